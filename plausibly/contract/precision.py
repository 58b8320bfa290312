"""Promises about float32: losses and bounds are those of float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, Trainable, device_of
from plausibly.contract.draws import draw_events, events_for
from plausibly.contract.result import Result, near
from plausibly.system.randomness import Stream, generator_for


def single_precision_will_do(model: BoundedModel) -> Result:
    """Bounds by the same noise in float32 and in float64."""
    x = torch.cat([events_for(model), draw_events(model, 64)])
    return compare_precisions("single_precision_will_do", model, x, by_fixed_noise)


def losses_in_single_precision(model: Trainable) -> Result:
    """The losses that turns minimise, by the same noise in float32 and in float64."""
    return compare_precisions("losses_in_single_precision", model, events_for(model), losses)


def compare_precisions(
    name: str, model: Trainable, x: Tensor, told: Callable[[Any, Tensor], Tensor]
) -> Result:
    """Compares numbers of events by a model in float32 and in float64; nats beyond one count as a share."""
    try:
        found, exact = told(deepcopy(model), x), told(deepcopy(model).double(), x.double())
    except (RuntimeError, TypeError) as refused:
        return near(name, 0.0, 1e-3, f"not computed in float64: {refused}")
    difference = (found - exact).abs() / exact.abs().clamp(min=1)
    worst = difference.max() if len(exact) else 0.0
    return near(
        name, worst, 1e-3, "nats, or share of them, between a row in float32 and in float64"
    )


@torch.no_grad()
def by_fixed_noise(model: BoundedModel, x: Tensor) -> Tensor:
    """The bound of each event, float64."""
    return model.log_bound(
        x, generator_for(device_of(model), 0, Stream.CHECKED_BOUND_PRECISION)
    ).double()


def losses(model: Trainable, x: Tensor) -> Tensor:
    """The losses of each event in all turns, one after the other, float64."""
    turns = model.objective.turns(model)
    each = [
        turn.loss(x, generator_for(device_of(model), 0, Stream.CHECKED_LOSS_PRECISION), 0.5)
        .total.detach()
        .double()
        for turn in turns
    ]
    return torch.cat([x.new_zeros(0, dtype=torch.float64), *each])
