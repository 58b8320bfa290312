"""Promises about float32: losses and bounds are those of float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, Trainable
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.contract.result import NotMeasured
from plausibly.system.randomness import Stream, generator_for

SAYS = "nats, or share of them, between a row in float32 and in float64"


@promise(BoundedModel, SAYS, within=1e-3)
def single_precision_will_do(exam: Examination[BoundedModel]) -> Tensor:
    """Bounds by the same noise in float32 and in float64."""
    return compare_precisions(exam, torch.cat([exam.events(), exam.draws(64)]), bounds_of)


@promise(Trainable, SAYS, within=1e-3)
def losses_in_single_precision(exam: Examination[Trainable]) -> Tensor:
    """The losses that turns minimise, by the same noise in float32 and in float64."""
    if not exam.model.objective.turns(exam.model):
        raise NotMeasured("it learns without gradient steps")
    return compare_precisions(exam, exam.events(), losses_of)


def compare_precisions(
    exam: Examination[Trainable], x: Tensor, give: Callable[[Any, Tensor], Tensor]
) -> Tensor:
    """Compares numbers of events by a model in float32 and in float64; nats beyond one count as a share."""
    found = give(deepcopy(exam.model), x)
    try:
        exact = give(deepcopy(exam.model).double(), x.double())
    except (RuntimeError, TypeError) as refused:
        raise NotMeasured(f"not computed in float64: {refused}") from None
    return ((found - exact).abs() / exact.abs().clamp(min=1)).max()


def bounds_of(model: BoundedModel, x: Tensor) -> Tensor:
    """The bound of each event, float64."""
    generator = generator_for(x.device, 0, Stream.CHECKED_BOUND_PRECISION)
    return model.log_bound(x, generator).double()


def losses_of(model: Trainable, x: Tensor) -> Tensor:
    """The losses of each event in all turns, one after the other, float64."""
    losses = list[Tensor]()
    for turn in model.objective.turns(model):
        generator = generator_for(x.device, 0, Stream.CHECKED_LOSS_PRECISION)
        with torch.enable_grad():
            losses.append(turn.loss(x, generator, 0.5).total.detach().double())
    return torch.cat(losses)
