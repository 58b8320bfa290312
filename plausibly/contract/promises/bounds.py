"""Promises of a bound on log p(x)."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel
from plausibly.contract.enumeration import count_places, mass_foreseen, place
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.contract.result import larger
from plausibly.tasks.score import score


@promise(
    BoundedModel,
    "standard errors by which the bounds' probabilities of all events exceed 1",
    within=6,
)
def bounds_sum_to_at_most_one(exam: Examination[BoundedModel]) -> float:
    """A bound on log p(x) whose exponential has at most p(x) as its mean: over all events that is at most 1."""
    totals = exam.bounds[0].sum(1)
    error = float(totals.std()) / len(totals) ** 0.5 + 1e-6
    return larger(0.0, float(totals.mean() - 1) / error)


@promise(
    BoundedModel, "nats, or share of them, between a row scored alone and among others", within=1e-3
)
def rows_are_scored_alone(exam: Examination[BoundedModel]) -> Tensor:
    """The score of a row depends on the row, not on where it stands and on those beside it."""
    x = exam.draws(17)
    each = torch.arange(len(x))
    alone = torch.cat([score(exam.model, event[None]) for event in x])
    places = torch.cat([each, torch.zeros(48, dtype=torch.long), each.flip(0)])
    among = score(exam.model, x[places.to(x.device)])
    return ((among - alone[places]).abs() / alone[places].abs().clamp(min=1)).max()


@promise(BoundedModel, "standard errors by which an event is too seldom drawn", within=6)
def samples_reach_the_bound(exam: Examination[BoundedModel]) -> Tensor:
    """Each event among samples at least as often as the bound says, in standard errors; given that no cell was never seen."""
    bounds, events = exam.bounds
    bounds = bounds / mass_foreseen(exam.schema)
    bounds[:, exam.schema.is_unseen(events).any(1)] = 0.0
    p, error = bounds.mean(0), bounds.std(0) / len(bounds) ** 0.5
    drawn = exam.draws(10_000).flatten(1).cpu()
    drawn = drawn[~exam.schema.is_unseen(drawn).any(1)]
    counts = count_places(drawn, exam.schema.codes)[place(events, exam.schema.codes)]
    chance = (len(drawn) * p * (1 - p).clamp(min=0) + (len(drawn) * error).square() + 1).sqrt()
    return ((len(drawn) * p - counts) / chance).max().clamp(min=0)
