"""The plausibility of each event, as a whole and variable by variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import (
    AutoregressiveModel,
    BoundedModel,
    DensityModel,
    TractableModel,
    Variational,
    device_of,
)
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.families.proposals import split_alike
from plausibly.families.variational import EVENTS_PER_BATCH
from plausibly.system.randomness import Stream
from plausibly.tasks import Task
from plausibly.training.loop import generators_for

Log = Callable[[Tensor, torch.Generator], Tensor]

score: Task[Any] = Task("score", "it has no likelihood")
conditionals: Task[Any] = Task("conditionals", "it does not factorise log p(x) over the variables")
marginal: Task[Any] = Task("marginal", "summing variables out is exact only for tractable models")


@score.rule(DensityModel, "exact")
@torch.no_grad()
def score_exactly(model: DensityModel, codes: Tensor) -> Tensor:
    """log p(x) in nats, (rows,) float64."""
    return torch.cat(
        [model.log_prob(x.to(device_of(model))).double().cpu() for x in batches(codes)]
    )


@score.rule(BoundedModel, "bound")
@torch.no_grad()
def score_bounded(model: BoundedModel, codes: Tensor) -> Tensor:
    """A lower bound on log p(x) in nats, (rows,) float64."""
    return score_row_by_row(model.log_bound, model, codes)


def score_row_by_row(
    log: Log, model: BoundedModel, codes: Tensor, done: Callable[[int], None] = lambda rows: None
) -> Tensor:
    """The results of `log` for events and noise, (rows,) float64, on the CPU.

    Equal events have equal noise wherever they stand. `done` is told of how many rows it is known.
    """
    parts = list[Tensor]()
    for x in batches(codes, None if isinstance(model, DensityModel) else EVENTS_PER_BATCH):
        x = x.to(device_of(model))
        parts.append(log(x, generators_for(x, Stream.BOUND_NOISE)).double().cpu())
        done(sum(map(len, parts)))
    return torch.cat(parts)


@conditionals.rule(AutoregressiveModel, "exact")
@torch.no_grad()
def score_variables(model: AutoregressiveModel, codes: Tensor) -> Tensor:
    """log p(x_i | earlier) in nats, (rows, variables) float64; a row sums to its log p(x)."""
    return torch.cat(
        [model.log_conditionals(x.to(device_of(model))).double().cpu() for x in batches(codes)]
    )


@torch.no_grad()
def score_by_variable(model: AutoregressiveModel, codes: Tensor) -> tuple[Tensor, Tensor]:
    """`score` and `conditionals` from one pass where one gives both."""
    nats, each = [], []
    for x in batches(codes):
        whole, parts = model.log_prob_by_variable(x.to(device_of(model)))
        nats.append(whole.double().cpu())
        each.append(parts.double().cpu())
    return torch.cat(nats), torch.cat(each)


@marginal.rule(TractableModel, "exact")
@torch.no_grad()
def score_observed(model: TractableModel, evidence: Evidence) -> Tensor:
    """log p(observed variables) in nats, (rows,) float64."""
    parts = evidence.batches(512, device_of(model))
    return torch.cat([model.log_marginal(part).double().cpu() for part in parts])


@marginal.rule(Variational, "bound")
@torch.no_grad()
def marginal_bound(model: Variational, evidence: Evidence, draws: int = 128) -> Tensor:
    """In expectation at most log p(observed variables) in nats, (rows,) float64, by so many weighted draws."""
    found = torch.zeros(len(evidence), dtype=torch.float64)
    for index, asked in split_alike(model, evidence, draws):
        noise = generators_for(asked.row_keys, Stream.MARGINAL_BOUNDS)
        found[index] = asked.draws(draws, noise).log_evidence.cpu()
    return found
