"""Promises of what falls into independent parts: best completions and entropies."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel, device_of
from plausibly.contract.draws import some_observed
from plausibly.contract.result import Result, near
from plausibly.events.moments import likeliest_inside
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.complete import CompletionAscent


@torch.no_grad()
def completions_are_highest(model: DecomposableModel) -> Result:
    """The most probable completion against draws given the same, and against every value of one more cell."""
    x, observed = some_observed(model, 12)
    observed &= ~model.schema.is_unseen(x).view(x.shape)
    search = CompletionAscent(model, likeliest_inside(model.schema, holes=False).to(x.device))
    best = model.complete(x, observed, search.weights)
    rivals = model.propose_completions(
        x, observed, search.weights, generator_for(device_of(model), Stream.CHECKED_COMPLETIONS)
    )
    heights = [search.height(y, observed) for y in [*rivals, search.climb(best, observed)]]
    own = search.height(best, observed)
    climbed = float((torch.stack(heights) - own).max())
    touched = (best != x)[observed].any() or not own.isfinite().all()
    worst = float("inf") if touched else max(climbed, 0.0)
    return near(
        "completions_are_highest", worst, 1e-3, "nats that another completion is more probable"
    )


@torch.no_grad()
def entropies_are_means(model: DecomposableModel) -> Result:
    """The entropy of an event, and of half of it given the other, against the mean of -log p over draws; both given that no
    cell was never seen."""
    x, _ = some_observed(model, 1)
    worst, n, possible = 0.0, 2000, possible_codes(model.schema)
    for first in (0, 1):
        observed = torch.zeros_like(x, dtype=torch.bool)
        observed.flatten(1)[:, first::2] = bool(first)
        observed &= ~model.schema.is_unseen(x).view(x.shape)
        many, seen = x.expand(n, *x.shape[1:]), observed.expand(n, *x.shape[1:])
        drawn = model.sample_given(
            many, seen, generator_for(device_of(model), Stream.CHECKED_ENTROPIES), possible
        )
        nats = (model.log_marginal(drawn, seen, possible) - model.log_prob(drawn)).double()
        error = max(float(nats.std()), 1e-4) / n**0.5
        worst = max(worst, abs(float(nats.mean() - model.entropy_given(x, observed))) / error)
    return near(
        "entropies_are_means",
        worst,
        6,
        "standard errors between an entropy and the mean of -log p over draws",
    )


def possible_codes(schema: Schema) -> Tensor:
    """All codes but those of cells never seen, bool (sum of codes,)."""
    marks = [
        [code != kind.other_code or not kind.unforeseen for code in range(kind.codes)]
        for kind in schema.kinds
    ]
    return torch.tensor([mark for own in marks for mark in own])
