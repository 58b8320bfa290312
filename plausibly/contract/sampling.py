"""Promises of what can be drawn from."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import Model, Trainable
from plausibly.contract.draws import draw_events
from plausibly.contract.result import Result, near
from plausibly.events.kinds import Real


def samples_are_events(model: Model) -> Result:
    return near(
        "samples_are_events",
        wrong_cells(model, draw_events(model, 64)),
        0,
        "samples that are no codes",
    )


def wrong_cells(model: Trainable, x: Tensor) -> float:
    """The number of cells that are no codes and no numbers; infinite where the form is not that of events."""
    codes = torch.tensor(model.schema.codes, device=x.device).view(model.schema.shape)
    real = torch.tensor([isinstance(k, Real) for k in model.schema.kinds], device=x.device).view(
        model.schema.shape
    )
    wrong = (~real & ((x != x.round()) | (x < 0) | (x >= codes))) | ~x.isfinite()
    right_form = x.shape[1:] == model.schema.shape and len(x) > 0 and x.dtype == torch.float32
    return float(wrong.sum()) if right_form else float("inf")


def generator_decides_samples(model: Model) -> Result:
    before = torch.get_rng_state()
    first, again, other = (
        draw_events(model, 200, 1),
        draw_events(model, 200, 1),
        draw_events(model, 200, 2),
    )
    untouched = torch.equal(before, torch.get_rng_state())
    faults = (
        int(not torch.equal(first, again)) + int(torch.equal(first, other)) + int(not untouched)
    )
    return near(
        "generator_decides_samples",
        faults,
        0,
        "equal seeds differ, other seeds agree, global generator used",
    )
