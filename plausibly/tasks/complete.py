"""The most probable values of all unobserved cells together, given the observed ones.

    argmax over the unobserved of log p(value of every cell)

That is not each cell's own most probable value: those need not go together. Exact by dynamic programming (Viterbi 1967)
where nothing is hidden. With a hidden component it is NP-hard: there, the best of several completions, each improved one
cell at a time until none gets better (Besag 1986, iterated conditional modes). A cell never seen says nothing: it stays,
and what it hides is among what is unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel, TractableModel, device_of
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.outcome import Single
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks import Task

complete: Task[Any] = Task(
    "complete", "the most probable of all completions is found in tractable models only"
)

ROWS_PER_BATCH, MAX_SWEEPS = 512, 50


@complete.rule(DecomposableModel, "exact")
@torch.no_grad()
def complete_exactly(model: DecomposableModel, evidence: Evidence, holes: bool = False) -> Tensor:
    """Events (rows, *shape) in float32; the observed cells as they are. With `holes` a cell may be completed with one."""
    weights = model.schema.likeliest_inside(holes)
    parts = without_unseen(model, evidence).batches(ROWS_PER_BATCH, device_of(model))
    whole = torch.cat([model.complete(part, weights).cpu() for part in parts])
    return evidence.to(whole.device).fill(whole)


@complete.rule(TractableModel, "approximate")
@torch.no_grad()
def complete_by_ascent(model: TractableModel, evidence: Evidence, holes: bool = False) -> Tensor:
    """As above, the best that was found."""
    device = device_of(model)
    search = CompletionAscent(model, model.schema.likeliest_inside(holes).to(device))
    parts = without_unseen(model, evidence).batches(ROWS_PER_BATCH // 8, device)
    whole = torch.cat([search(part).cpu() for part in parts])
    return evidence.to(whole.device).fill(whole)


def without_unseen(model: TractableModel, evidence: Evidence) -> Evidence:
    """The same, in which no cell never seen counts as observed."""
    unseen = model.schema.is_unseen(evidence.x.float()).view(evidence.observed.shape)
    return replace(evidence, observed=evidence.observed & ~unseen)


class CompletionAscent:
    """Climbs log p(x) plus the weights of what is chosen."""

    def __init__(self, model: TractableModel, weights: Tensor) -> None:
        self.model, self.weights = model, weights
        self.starts = torch.tensor([0, *model.schema.codes]).cumsum(0)[:-1]

    def __call__(self, evidence: Evidence) -> Tensor:
        """The best of all climbs, (batch, *shape)."""
        rows, generator = len(evidence), generator_for(evidence.x.device, Stream.COMPLETIONS)
        suggested = self.model.propose_completions(evidence, self.weights, generator)
        starts = evidence.repeat(len(suggested)).with_events(torch.cat(suggested))
        ends = self.climb(starts)
        best = self.height(ends).view(-1, rows).argmax(0)
        return ends.x.unflatten(0, (-1, rows))[best, torch.arange(rows, device=best.device)]

    def height(self, whole: Evidence) -> Tensor:
        """log p of whole events, and the weights of what is not observed of them, (batch,)."""
        places = self.model.schema.event_codes(whole.x.cpu()) + self.starts
        own = self.weights[places.to(whole.x.device)]
        free = own.masked_fill(whole.observed.flatten(1), 0.0)
        return self.model.log_prob(whole.x).double() + free.sum(1)

    def climb(self, whole: Evidence) -> Evidence:
        """Whole events as high as single moves lead."""
        height = self.height(whole)
        for _ in range(MAX_SWEEPS):
            before = height
            for i in (~whole.observed).flatten(1).any(0).nonzero()[:, 0].tolist():
                whole, height = self.step(whole, i, height)
            if not (height > before).any():
                break
        return whole

    def step(self, whole: Evidence, i: int, height: Tensor) -> tuple[Evidence, Tensor]:
        """Moves variable `i` to its best value given all others, where that is better."""
        others = Evidence.whole(whole.x).without(i)
        own = self.weights[self.starts[i] : self.starts[i] + self.model.schema.codes[i]]
        best = most_probable(self.model.predict_given(others).one(i), own)
        moved = whole.with_events(whole.fill(others.with_known(i, best).x))
        higher = self.height(moved)
        better = higher > height
        wide = better.view(-1, *[1] * (whole.x.ndim - 1))
        return whole.with_events(torch.where(wide, moved.x, whole.x)), torch.where(
            better, higher, height
        )


def most_probable(outcome: Single, weights: Tensor) -> Tensor:
    """The most probable number of a variable whose codes have log weights besides."""
    if isinstance(outcome, Categorical):
        return (outcome.log_probs + weights).argmax(-1).float()
    return outcome.truncate(Allowed.of_codes(weights > -torch.inf))[0].mode()
