"""The work of drawing all variables one after the other: about one pass, never one for each variable."""

from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from plausibly.capabilities import AutoregressiveModel, drive_unrolled
from plausibly.contract.checks import shake_weights
from plausibly.events.schema import binary
from plausibly.families.orderless import OrderlessModel
from plausibly.models import MODELS

BUILT = {
    "nade": {"hidden": 64},
    "made": {"hidden": 256, "masks": 2},
    "fvsbn": {},
    "transformer": {"width": 16},
}


def model_of(name, variables):
    return shake_weights(MODELS[name](binary(variables), **BUILT.get(name, {})).eval())


def flops(work):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops()


def unrolled(model, n=8):
    return drive_unrolled(
        model.unroll(n), lambda i, outcome: outcome.sample(torch.Generator().manual_seed(i))
    )


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, kind in MODELS.items()
        if issubclass(kind, AutoregressiveModel) and not kind.accepts(binary(8))
    ],
)
def test_no_pass_over_all_variables_is_made_for_one(name, monkeypatch):
    """Networks of all orders make one for each variable, as they say: what is observed changes all of their answers."""
    model, calls = model_of(name, 8), []
    for function in ("predict", "predict_given"):
        sound = getattr(type(model), function, None)
        if sound is not None:
            monkeypatch.setattr(
                type(model),
                function,
                lambda *given, sound=sound: (calls.append(1), sound(*given))[1],
            )
    unrolled(model)
    model.sample(8, torch.Generator().manual_seed(0))
    assert len(calls) == (16 if issubclass(MODELS[name], OrderlessModel) else 0)


@pytest.mark.parametrize(
    ("name", "most"), [("nade", 2.2), ("markov", 2.2), ("fvsbn", 4.4), ("made", 4.4)]
)
def test_the_work_grows_as_that_of_one_pass(name, most):
    """Linearly with the variables; where each has weights to every other, with their square."""
    small, large = (flops(partial(unrolled, model_of(name, variables))) for variables in (64, 128))
    assert large <= most * small


@pytest.mark.parametrize("name", list(BUILT))
def test_it_is_about_one_pass(name):
    model = model_of(name, 96)
    x = (torch.rand(8, 96, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    once, all_variables = flops(lambda: model.log_prob(x)), flops(lambda: unrolled(model))
    once = once or 2 * 8 * sum(
        p.numel() for p in model.parameters()
    )  # a compiled operator is not counted
    assert 0 < all_variables <= 1.1 * once
