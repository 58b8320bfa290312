"""NADE's kernels do what the plain loops say, and their gradients are those of autograd."""

import os
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plausibly.capabilities import drive_unrolled
from plausibly.contract.checks import shake_weights
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema
from plausibly.kernels import compiled, nade
from plausibly.kernels.nade import ACTIVATIONS, backward_loop, forward_loop, loop_table, recurrence
from plausibly.models import MODELS
from plausibly.system import threads


@st.composite
def problems(draw, most=40):
    """Arguments of `recurrence` but for the name: any widths, zeros among the numbers, units that are dropped."""
    batch, units = draw(st.integers(1, 30)), draw(st.integers(1, most))
    variables = draw(st.integers(1, 6))
    widths = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(variables)]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return problem(batch, units, widths, dtype, draw(st.booleans()), draw(st.integers(0, 99)))


def problem(batch, units, widths, dtype, dropping, seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    added, read = [], []
    for k, (inward, outward) in enumerate(widths):
        first, out = (
            sum(w for w, _ in widths[:k]),
            sum(w for _, w in widths[:k]) + 1,
        )  # one output is never read
        added.append(slice(first, first + inward))
        read.append(slice(out, out + outward))
    numbers = normal(batch, added[-1].stop) * (
        torch.rand(batch, added[-1].stop, generator=generator) < 0.5
    )
    keep = (
        2.0 * (torch.rand(batch, units, generator=generator) < 0.5).to(dtype) if dropping else None
    )
    start = normal(units).expand(batch, -1)
    last = read[-1].stop + 1
    return (
        numbers,
        normal(added[-1].stop, units),
        start,
        normal(last, units),
        normal(last),
        keep,
        loop_table(added, read),
    )


def close(ours, theirs):
    return torch.allclose(
        ours, theirs, **({"rtol": 1e-4, "atol": 1e-4} if ours.dtype == torch.float32 else {})
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems())
def test_compiled_loops_do_what_the_plain_ones_say(arguments):
    """Of all gradients; each activation that is 0 but for rounding is as likely to count as not, so none is near it."""
    parameters, last = compiled.cpu_forward(*arguments)
    expected, theirs = forward_loop(*arguments, "relu")
    numbers, weight, _, readout, _, keep, table = arguments
    kept = last if keep is None else torch.where(keep > 0, last / keep, theirs)
    assert close(parameters, expected) and close(kept, theirs)
    grad = torch.randn(
        parameters.shape, generator=torch.Generator().manual_seed(1), dtype=parameters.dtype
    )
    ours = compiled.cpu_backward(grad, numbers, weight, last, readout, keep, table, True)
    for found, wanted in zip(
        ours,
        backward_loop(grad, numbers, weight, theirs, readout, keep, table, "relu", True),
        strict=True,
    ):
        assert close(found, wanted)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems(), st.integers(1, 20))
def test_the_same_uniforms_draw_the_same_codes(arguments, rows):
    """Of numbers that are multiples of a 64th, so that their sums are exact in whatever order they are added."""
    table = arguments[-1]
    weight, start, readout, offset = ((64 * arguments[k]).round() / 64 for k in (1, 2, 3, 4))
    generator = torch.Generator().manual_seed(5)
    numbers = torch.randn(5, len(weight), generator=generator, dtype=weight.dtype).round()
    uniforms = torch.rand(rows, len(table), generator=generator, dtype=weight.dtype)
    given_ = numbers, weight, start[0], readout, offset, table, uniforms
    assert torch.equal(compiled.cpu_draw(*given_), nade.draw_loop(*given_, "relu"))


@pytest.mark.parametrize("context", [(), (2,)])
def test_a_sample_is_drawn_as_it_is_unrolled(context):
    schema = Schema((5,), tuple(Category(levels=k) for k in (3, 2, 4, 2, 70)))
    model = shake_weights(MODELS["nade"](schema, hidden=9, context=context).eval())
    uniforms = iter(torch.rand(40, 5, generator=torch.Generator().manual_seed(3)).T)

    def choose(_, outcome):
        return (
            (outcome.log_probs.exp().cumsum(-1)[:, :-1] <= next(uniforms)[:, None]).sum(1).float()
        )

    assert torch.equal(
        model.sample(40, torch.Generator().manual_seed(3)), drive_unrolled(model.unroll(40), choose)
    )


@pytest.mark.parametrize("rows", [15, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("whose", ["torch's", "own"])
def test_threads_share_the_rows(whose, dtype, rows, monkeypatch):
    if whose == "own":
        monkeypatch.setattr(threads, "OPENMP", None)
    arguments = problem(rows, 33, [(2, 1), (1, 3), (0, 2)], dtype, True, 3)
    alone = compiled.cpu_forward(*arguments)
    numbers, weight, _, readout, _, keep, table = arguments
    one = compiled.cpu_backward(alone[0], numbers, weight, alone[1], readout, keep, table, True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert all(map(torch.equal, compiled.cpu_forward(*arguments), alone))
    three = compiled.cpu_backward(alone[0], numbers, weight, alone[1], readout, keep, table, True)
    assert all(map(close, three, one)) and not torch.equal(
        three[1], one[1]
    )  # sums of parts: there were several


@pytest.mark.parametrize("openmp", [threads.OPENMP, None])
def test_what_stops_a_thread_stops_the_call(openmp, monkeypatch):
    monkeypatch.setattr(threads, "OPENMP", openmp)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    def work(task):
        if task == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.run_in_threads(range(5), work)


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_recurrence_and_its_gradients_are_those_of_autograd(name, dropping):
    arguments = problem(6, 5, [(3, 2), (1, 1), (3, 4), (0, 2)], torch.float64, dropping, 0)
    numbers, weight, start, readout, offset, keep, table = arguments
    tensors = [t.clone().requires_grad_() for t in (numbers, weight, start[0], readout, offset)]
    numbers, weight, start, readout, offset = tensors
    activation, parts = start.expand(6, -1), [offset[:1].expand(6, -1)]
    for added, read in nade.slices(table):
        hidden = ACTIVATIONS[name](activation) * (1.0 if keep is None else keep)
        parts.append(hidden @ readout[read].T + offset[read])
        activation = activation + numbers[:, added] @ weight[added]
    want, weights = (
        torch.cat([*parts, offset[-1:].expand(6, -1)], 1),
        torch.randn(6, 11, generator=torch.Generator().manual_seed(2)).double(),
    )
    expected = torch.autograd.grad((want * weights).sum(), tensors)
    got, _ = recurrence(numbers, weight, start.expand(6, -1), readout, offset, keep, table, name)
    assert torch.allclose(got, want)
    for ours, theirs in zip(
        torch.autograd.grad((got * weights).sum(), tensors), expected, strict=True
    ):
        assert torch.allclose(ours, theirs)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(problems(most=6), st.sampled_from(list(ACTIVATIONS)))
def test_gradients_by_differences(arguments, name):
    *tensors, keep, table = arguments
    tensors = [t.double().clone().requires_grad_() for t in tensors]
    keep = None if keep is None else keep.double()

    def parameters(*given):
        return recurrence(*given, keep, table, name)[0]

    assert torch.autograd.gradcheck(parameters, tensors, eps=1e-7, atol=1e-4)


def test_torch_takes_it_for_an_operator():
    arguments = problem(4, 5, [(1, 2), (2, 1)], torch.float64, True, 0)
    tensors = [t.clone().requires_grad_() for t in arguments[:5]]
    found = torch.library.opcheck(
        recurrence,
        (*tensors, *arguments[5:], "relu"),
        test_utils=("test_schema", "test_faketensor"),
    )
    assert set(found.values()) == {"SUCCESS"}


def test_the_loops_are_fused_where_they_fit():
    real = torch.zeros(1)
    loops = nade.Loops(compiled.cpu_forward, compiled.cpu_backward, compiled.cpu_draw)
    assert nade.fused_loops(real, "relu") == nade.fused_loops(real.double(), "relu") == loops
    others = ((real, "sigmoid"), (real.half(), "relu"), (real.to("meta"), "relu"))
    assert not any(nade.fused_loops(start, name) for start, name in others)


@pytest.mark.skipif(
    not find_spec("triton"), reason="Triton is not installed: NADE's loops for CUDA are not run"
)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems())
def test_the_loops_for_cuda_do_what_the_plain_ones_say(arguments):
    """On a CUDA device, or where there is none as Triton interprets them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    from plausibly.kernels import cuda

    moved = [t if t is None else t.to(device) for t in arguments]
    numbers, weight, _, readout, _, keep, table = moved
    parameters, last = cuda.cuda_forward(*moved)
    expected, theirs = forward_loop(*moved, "relu")
    kept = last if keep is None else torch.where(keep > 0, last / keep, theirs)
    assert close(parameters, expected) and close(kept, theirs)
    grad = torch.randn(
        parameters.shape, generator=torch.Generator().manual_seed(1), dtype=last.dtype
    ).to(device)
    ours = cuda.cuda_backward(grad, numbers, weight, last, readout, keep, table, True)
    plain = backward_loop(grad, numbers, weight, theirs, readout, keep, table, "relu", True)
    assert all(map(close, ours, plain))
