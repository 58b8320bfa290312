"""Promises of a bound on log p(x)."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, device_of
from plausibly.contract.draws import draw_events
from plausibly.contract.enumeration import is_listable, mass_foreseen, place
from plausibly.contract.result import Result, near
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.score import score

# events of which bounds are added up, and how often each is drawn
MAX_BOUND_EVENTS = 1024
BOUND_ROUNDS = 16


@torch.no_grad()
def exp_bounds(model: BoundedModel) -> tuple[Tensor, Tensor] | None:
    """exp(bound) of all events by `ROUNDS` generators, (rounds, events) float64, and the events; None where too many.

    Of exact models `sums_to_one` says more.
    """
    if (
        isinstance(model, DensityModel)
        or not is_listable(model.schema)
        or model.schema.log_events > log(MAX_BOUND_EVENTS)
    ):
        return None
    device, events = device_of(model), model.schema.all_events()
    rounds = []
    for seed in range(BOUND_ROUNDS):
        noise = generator_for(device, seed, Stream.CHECKED_BOUNDS)
        x = events.view(-1, *model.schema.shape).to(device)
        rounds.append(
            torch.cat([model.log_bound(part, noise).double().cpu() for part in x.split(256)]).exp()
        )
    return torch.stack(rounds), events.flatten(1)


def bounds_sum_to_at_most_one(model: BoundedModel) -> Result:
    """A bound on log p(x) whose exponential has at most p(x) as its mean: over all events that is at most 1."""
    found = exp_bounds(model)
    if found is None:
        return near("bounds_sum_to_at_most_one", 0, 6, "too many events to list")
    totals = found[0].sum(1)
    error = float(totals.std()) / len(totals) ** 0.5 + 1e-6
    says = "standard errors by which the bounds' probabilities of all events exceed 1"
    return near("bounds_sum_to_at_most_one", max(0.0, float(totals.mean() - 1) / error), 6, says)


@torch.no_grad()
def rows_are_scored_alone(model: BoundedModel) -> Result:
    """The score of a row depends on the row, not on where it stands and on those beside it."""
    x = draw_events(model, 17)
    alone = torch.cat([score(model, event[None]) for event in x])
    places = torch.cat(
        [torch.arange(17), torch.zeros(48, dtype=torch.long), torch.arange(17).flip(0)]
    )
    difference = (score(model, x[places.to(x.device)]) - alone[places]).abs() / alone[
        places
    ].abs().clamp(min=1)
    says = "nats, or share of them, between a row scored alone and among others"
    return near("rows_are_scored_alone", difference.max(), 1e-3, says)


def samples_reach_the_bound(model: BoundedModel) -> Result:
    """Each event among samples at least as often as the bound says, in standard errors."""
    found = exp_bounds(model)
    if found is None:
        return near("samples_reach_the_bound", 0, 6, "too many events to list")
    p, error = found[0].mean(0), found[0].std(0) / len(found[0]) ** 0.5
    drawn = torch.cat([draw_events(model, 2000, seed) for seed in range(5)]).flatten(1).cpu()
    p, error = p / mass_foreseen(model.schema), error / mass_foreseen(model.schema)
    p[model.schema.is_unseen(found[1]).any(1)], drawn = (
        0.0,
        drawn[~model.schema.is_unseen(drawn).any(1)],
    )
    codes = list(model.schema.codes)
    counts = torch.bincount(place(drawn, codes), minlength=len(p)).double()[place(found[1], codes)]
    n = len(drawn)
    chance = (n * p * (1 - p).clamp(min=0) + (n * error).square() + 1).sqrt()
    worst = ((n * p - counts) / chance).max()
    return near(
        "samples_reach_the_bound",
        worst.clamp(min=0),
        6,
        "standard errors by which an event is too seldom drawn",
    )
