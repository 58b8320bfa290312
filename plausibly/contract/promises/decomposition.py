"""Promises of what falls into independent parts: best completions and entropies."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel
from plausibly.contract.draws import some_observed
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.contract.result import larger
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.complete import CompletionAscent


@promise(DecomposableModel, "nats that another completion is more probable", within=1e-3)
def completions_are_highest(exam: Examination[DecomposableModel]) -> float:
    """The most probable completion against draws given the same, and against every value of one more cell."""
    model, (x, observed) = exam.model, some_observed(exam.model, 12)
    observed &= ~exam.schema.is_unseen(x).view(x.shape)
    search = CompletionAscent(model, exam.schema.likeliest_inside(holes=False).to(x.device))
    generator = generator_for(exam.device, Stream.CHECKED_COMPLETIONS)
    best = model.complete(x, observed, search.weights)
    rivals = model.propose_completions(x, observed, search.weights, generator)
    heights = [search.height(y, observed) for y in [*rivals, search.climb(best, observed)]]
    own = search.height(best, observed)
    if (best != x)[observed].any() or not own.isfinite().all():
        return float("inf")
    return max(float((torch.stack(heights) - own).max()), 0.0)


@promise(
    DecomposableModel,
    "standard errors between an entropy and the mean of -log p over draws",
    within=6,
)
def entropies_are_means(exam: Examination[DecomposableModel]) -> float:
    """The entropy of an event, and of half of it given the other, against the mean of -log p over draws; both given that no
    cell was never seen."""
    x, _ = some_observed(exam.model, 1)
    worst, possible = 0.0, possible_codes(exam.schema)
    for first in (0, 1):
        observed = torch.zeros_like(x, dtype=torch.bool)
        observed.flatten(1)[:, first::2] = bool(first)
        observed &= ~exam.schema.is_unseen(x).view(x.shape)
        nats = draw_nats(exam.model, x, observed, possible, 2000)
        error = max(float(nats.std()), 1e-4) / len(nats) ** 0.5
        worst = larger(
            worst, abs(float(nats.mean() - exam.model.entropy_given(x, observed))) / error
        )
    return worst


def draw_nats(
    model: DecomposableModel, x: Tensor, observed: Tensor, possible: Tensor, n: int
) -> Tensor:
    """-log p of draws given one event's observed cells, float64."""
    many, seen = x.expand(n, *x.shape[1:]), observed.expand(n, *x.shape[1:])
    generator = generator_for(x.device, Stream.CHECKED_ENTROPIES)
    drawn = model.sample_given(many, seen, generator, possible)
    return (model.log_marginal(drawn, seen, possible) - model.log_prob(drawn)).double()


def possible_codes(schema: Schema) -> Tensor:
    """All codes but those of cells never seen, bool (sum of codes,)."""
    marks = [
        [code != kind.other_code or not kind.unforeseen for code in range(kind.codes)]
        for kind in schema.kinds
    ]
    return torch.tensor([mark for own in marks for mark in own])
