"""The most probable values of all unobserved cells together, given the observed ones.

    argmax over the unobserved of log p(value of every cell)

That is not each cell's own most probable value: those need not go together. Exact by dynamic programming (Viterbi 1967)
where nothing is hidden. With a hidden component it is NP-hard: there, the best of several completions, each improved one
cell at a time until none gets better (Besag 1986, iterated conditional modes). A cell never seen says nothing: it stays,
and what it hides is among what is unknown.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel, TractableModel, device_of
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
def complete_exactly(
    model: DecomposableModel, codes: Tensor, observed: Tensor, holes: bool = False
) -> Tensor:
    """Events (rows, *shape) in float32; the observed cells as they are. With `holes` a cell may be completed with one."""
    device, weights = device_of(model), model.schema.likeliest_inside(holes)
    parts = []
    told = observed & ~model.schema.is_unseen(codes.float()).view(observed.shape)
    for x, seen in zip(codes.split(ROWS_PER_BATCH), told.split(ROWS_PER_BATCH), strict=True):
        parts.append(model.complete(x.to(device).float(), seen.to(device), weights).cpu())
    return torch.where(observed, codes.float(), torch.cat(parts))


@complete.rule(TractableModel, "approximate")
@torch.no_grad()
def complete_by_ascent(
    model: TractableModel, codes: Tensor, observed: Tensor, holes: bool = False
) -> Tensor:
    """As above, the best that was found."""
    device, parts = device_of(model), []
    search = CompletionAscent(model, model.schema.likeliest_inside(holes).to(device))
    told = observed & ~model.schema.is_unseen(codes.float()).view(observed.shape)
    for x, seen in zip(
        codes.split(ROWS_PER_BATCH // 8), told.split(ROWS_PER_BATCH // 8), strict=True
    ):
        parts.append(search(x.to(device).float(), seen.to(device)).cpu())
    return torch.where(observed, codes.float(), torch.cat(parts))


class CompletionAscent:
    """Climbs log p(x) plus the weights of what is chosen."""

    def __init__(self, model: TractableModel, weights: Tensor) -> None:
        self.model, self.weights = model, weights
        self.starts = torch.tensor([0, *model.schema.codes]).cumsum(0)[:-1]

    def __call__(self, x: Tensor, observed: Tensor) -> Tensor:
        """The best of all climbs, (batch, *shape)."""
        generator = generator_for(x.device, Stream.COMPLETIONS)
        suggested = self.model.propose_completions(x, observed, self.weights, generator)
        ends = self.climb(
            torch.cat(suggested), observed.repeat(len(suggested), *[1] * (x.ndim - 1))
        )
        best = (
            self.height(ends, observed.repeat(len(suggested), *[1] * (x.ndim - 1)))
            .view(-1, len(x))
            .argmax(0)
        )
        return ends.unflatten(0, (-1, len(x)))[best, torch.arange(len(x), device=x.device)]

    def height(self, x: Tensor, observed: Tensor) -> Tensor:
        places = self.model.schema.event_codes(x.cpu()) + self.starts
        own = self.weights[places.to(x.device)]
        return self.model.log_prob(x).double() + own.masked_fill(observed.flatten(1), 0.0).sum(1)

    def climb(self, x: Tensor, observed: Tensor) -> Tensor:
        height = self.height(x, observed)
        for _ in range(MAX_SWEEPS):
            before = height
            for i in (~observed).flatten(1).any(0).nonzero()[:, 0].tolist():
                x, height = self.step(x, observed, i, height)
            if not (height > before).any():
                break
        return x

    def step(self, x: Tensor, observed: Tensor, i: int, height: Tensor) -> tuple[Tensor, Tensor]:
        """Moves variable `i` to its best value given all others, where that is better."""
        rest, moved = torch.ones_like(observed), x.clone()
        rest.flatten(1)[:, i] = False
        own = self.weights[self.starts[i] : self.starts[i] + self.model.schema.codes[i]]
        moved.flatten(1)[:, i] = most_probable(self.model.predict_given(x, rest).one(i), own).to(
            x.dtype
        )
        moved = torch.where(observed, x, moved)
        higher = self.height(moved, observed)
        better = higher > height
        return torch.where(better.view(-1, *[1] * (x.ndim - 1)), moved, x), torch.where(
            better, higher, height
        )


def most_probable(outcome: Single, weights: Tensor) -> Tensor:
    """The most probable number of a variable whose codes have log weights besides."""
    if isinstance(outcome, Categorical):
        return (outcome.log_probs + weights).argmax(-1).float()
    return outcome.truncate(weights > -torch.inf)[0].mode()
