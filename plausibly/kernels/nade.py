"""NADE's recurrence: one running activation, to which each variable adds its own contribution.

    a_1 = start,   params_i = V_i (keep * f(a_i)) + c_i,   a_{i+1} = a_i + W_i n_i

n_i are the numbers that stand for x_i. Going forward only the running activation is kept; going backward it is
wound back, a_i = a_{i+1} - W_i n_i, so that memory is O(batch x units) besides inputs and outputs.

`recurrence` is the operator. `forward_loop` and `backward_loop` say what it means, a few calls of torch for each variable;
with f = relu the loops of `compiled` do the same on a CPU, many times faster, and those of `cuda` where there is Triton.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.networks.heads import symmetric_log_softmax

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid}


def loop_table(added: Sequence[slice], read: Sequence[slice]) -> Tensor:
    """Which numbers each variable adds, and which parameters are read before: from, to, from, to, (variables, 4).

    `added` may have fewer entries than `read`: nothing sees the last variable.
    """
    none = slice(0, 0)
    rows = [
        [(n := added[i] if i < len(added) else none).start, n.stop, own.start, own.stop]
        for i, own in enumerate(read)
    ]
    return torch.tensor(rows, dtype=torch.long, device="cpu").reshape(-1, 4)


def activation_gradient(name: str, grad: Tensor, activated: Tensor) -> Tensor:
    """The gradient before the activation from that behind it, given the activation's value."""
    if name == "relu":
        return torch.ops.aten.threshold_backward(grad, activated, 0)
    return torch.ops.aten.sigmoid_backward(grad, activated)


def slices(table: Tensor) -> list[tuple[slice, slice]]:
    return [(slice(a, b), slice(c, d)) for a, b, c, d in table.tolist()]


def forward_loop(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
) -> tuple[Tensor, Tensor]:
    """Parameters, (batch, outputs), and the last activation, (batch, units)."""
    activation = start.clone()
    columns = numbers.T.contiguous()  # a variable's numbers stand together
    parameters = numbers.new_zeros(len(readout), len(numbers))
    for added, read in slices(table):
        hidden = ACTIVATIONS[name](activation)
        if keep is not None:
            hidden.mul_(keep)
        torch.mm(readout[read], hidden.T, out=parameters[read])
        activation.addmm_(columns[added].T, weight[added])
    return parameters.T + offset, activation


def backward_loop(
    grad: Tensor,
    numbers: Tensor,
    weight: Tensor,
    last: Tensor,
    readout: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the numbers, which are 0 where not `wanted`, the weight, the start and the readout."""
    activation, asked, columns = last.clone(), grad.T.contiguous(), numbers.T.contiguous()
    later = torch.zeros_like(
        activation
    )  # gradient of the running activation, from all later variables
    grad_columns, grad_weight, grad_readout = (
        torch.zeros_like(t) for t in (columns, weight, readout)
    )
    for added, read in reversed(slices(table)):
        activation.addmm_(columns[added].T, weight[added], alpha=-1)
        torch.mm(columns[added], later, out=grad_weight[added])
        if wanted:
            torch.mm(weight[added], later.T, out=grad_columns[added])
        activated = ACTIVATIONS[name](activation)
        out = asked[read].T @ readout[read]
        kept = activated if keep is None else activated * keep
        torch.mm(asked[read], kept, out=grad_readout[read])
        later += activation_gradient(name, out if keep is None else out * keep, activated)
    return grad_columns.T.contiguous(), grad_weight, later, grad_readout


def draw_loop(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    table: Tensor,
    uniforms: Tensor,
    name: str,
) -> Tensor:
    """Codes, (n, variables), one after the other: each where the sum of its probabilities passes a uniform number.

    numbers (codes, inputs) stand for each code of each variable, start is (units,), uniforms (n, variables) in [0, 1).
    """
    activation, codes = start.expand(len(uniforms), -1), torch.zeros_like(uniforms)
    for i, (added, read) in enumerate(slices(table)):
        parameters = offset[read] + ACTIVATIONS[name](activation) @ readout[read].T
        below = symmetric_log_softmax(parameters).exp().cumsum(1)[:, :-1] <= uniforms[:, i, None]
        codes[:, i] = below.sum(1)
        activation = activation + numbers[codes[:, i].long(), added] @ weight[added]
    return codes


def nade_draw(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    table: Tensor,
    uniforms: Tensor,
    name: str,
) -> Tensor:
    """The codes of `draw_loop`, by the compiled loop where there is one."""
    if (loops := fused_loops(start, name)) and loops.draw:
        return loops.draw(numbers, weight, start, readout, offset, table, uniforms)
    return draw_loop(numbers, weight, start, readout, offset, table, uniforms, name)


class Loops(NamedTuple):
    """The loops of one processor, with the activation fused into them."""

    forward: Callable[..., tuple[Tensor, Tensor]]
    backward: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    draw: Callable[..., Tensor] | None = None


def fused_loops(start: Tensor, name: str) -> Loops | None:
    """The fused loops for such activations, if there are any: imported, and compiled, at first use."""
    if name != "relu" or start.dtype not in (torch.float32, torch.float64):
        return None
    if start.device.type == "cpu":
        from plausibly.kernels import compiled

        return Loops(compiled.cpu_forward, compiled.cpu_backward, compiled.cpu_draw)
    if start.device.type == "cuda" and find_spec("triton"):
        from plausibly.kernels import cuda

        return Loops(cuda.cuda_forward, cuda.cuda_backward)
    return None


@torch.library.custom_op("plausibly::recurrence", mutates_args=())
def recurrence(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
) -> tuple[Tensor, Tensor]:
    """(batch, inputs) numbers to (batch, outputs) parameters, and the last activation.

    weight (inputs, units), start (batch, units), readout (outputs, units), offset (outputs,), keep (batch, units) or None:
    the share of each unit that is passed on. Outputs that are not read, as `table` says (`layout`), are the offset.
    """
    if loops := fused_loops(start, name):
        return loops.forward(numbers, weight, start, readout, offset, keep, table)
    return forward_loop(numbers, weight, start, readout, offset, keep, table, name)


@recurrence.register_fake
def _(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
) -> tuple[Tensor, Tensor]:
    return start.new_empty(len(start), len(offset)), torch.empty_like(start)


@torch.library.custom_op("plausibly::recurrence_backward", mutates_args=())
def recurrence_backward(
    grad: Tensor,
    numbers: Tensor,
    weight: Tensor,
    last: Tensor,
    readout: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of `backward_loop`."""
    if loops := fused_loops(last, name):
        return loops.backward(grad, numbers, weight, last, readout, keep, table, wanted)
    return backward_loop(grad, numbers, weight, last, readout, keep, table, name, wanted)


@recurrence_backward.register_fake
def _(
    grad: Tensor,
    numbers: Tensor,
    weight: Tensor,
    last: Tensor,
    readout: Tensor,
    keep: Tensor | None,
    table: Tensor,
    name: str,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(numbers),
        torch.empty_like(weight),
        torch.empty_like(last),
        torch.empty_like(readout),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    numbers, weight, _, readout, _, keep, table, name = inputs
    ctx.save_for_backward(numbers, weight, output[1], readout, keep, table)
    ctx.name = name


def _gradients(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[0]
    numbers, weight, start, readout = recurrence_backward(
        grad, *ctx.saved_tensors, ctx.name, wanted
    )
    return numbers if wanted else None, weight, start, readout, grad.sum(0), None, None, None


recurrence.register_autograd(_gradients, setup_context=_keep)
