"""Promises of what falls into independent parts: best completions and entropies."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel
from plausibly.contract.draws import some_observed
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.contract.result import larger
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.complete import CompletionAscent, without_unseen


@promise(DecomposableModel, "nats that another completion is more probable", within=1e-3)
def completions_are_highest(exam: Examination[DecomposableModel]) -> float:
    """The most probable completion against draws given the same, and against every value of one more cell."""
    model, evidence = exam.model, without_unseen(exam.model, some_observed(exam.model, 12))
    search = CompletionAscent(model, exam.schema.likeliest_inside(holes=False).to(exam.device))
    generator = generator_for(exam.device, Stream.CHECKED_COMPLETIONS)
    best = evidence.with_events(model.complete(evidence, search.weights))
    rivals = model.propose_completions(evidence, search.weights, generator)
    others = [*map(evidence.with_events, rivals), search.climb(best)]
    heights, own = [search.height(other) for other in others], search.height(best)
    if (best.x != evidence.x)[evidence.observed].any() or not own.isfinite().all():
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
    x, worst, possible = some_observed(exam.model, 1).x, 0.0, possible_codes(exam.schema)
    for half in (Evidence.nothing(x), Evidence.some(x, range(1, exam.schema.size, 2))):
        evidence = without_unseen(exam.model, half)
        nats = draw_nats(exam.model, evidence.with_allowed(possible), 2000)
        error = max(float(nats.std()), 1e-4) / len(nats) ** 0.5
        gap = float(nats.mean() - exam.model.entropy_given(evidence))
        worst = larger(worst, abs(gap) / error)
    return worst


def draw_nats(model: DecomposableModel, evidence: Evidence, n: int) -> Tensor:
    """-log p of draws given one event's observed cells, float64."""
    many, generator = evidence.expand(n), generator_for(evidence.x.device, Stream.CHECKED_ENTROPIES)
    drawn = model.sample_given(many, generator)
    return (model.log_marginal(many.with_events(drawn)) - model.log_prob(drawn)).double()


def possible_codes(schema: Schema) -> Allowed:
    """All codes but those of cells never seen."""
    marks = [
        [code != kind.other_code or not kind.unforeseen for code in range(kind.codes)]
        for kind in schema.kinds
    ]
    return Allowed.of_codes(torch.tensor([mark for own in marks for mark in own]))
