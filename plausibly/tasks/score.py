"""How plausible each event is, as a whole and variable by variable."""

from __future__ import annotations

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
from plausibly.families.proposals import pieces
from plausibly.tasks import Task
from plausibly.training import batches, generator_for

score: Task[Any] = Task("score", "it has no likelihood")
conditionals: Task[Any] = Task("conditionals", "it does not factorise log p(x) over the variables")
marginal: Task[Any] = Task("marginal", "summing variables out is exact only for tractable models")


@score.rule(DensityModel, "exact")
@torch.no_grad()
def score_exactly(model: DensityModel, codes: Tensor, shard: int = 0) -> Tensor:
    """log p(x) in nats, (rows,) float64."""
    return torch.cat([model.log_prob(x.to(device_of(model))).double().cpu() for x in batches(codes)])


@score.rule(BoundedModel, "bound")
@torch.no_grad()
def score_bounded(model: BoundedModel, codes: Tensor, shard: int = 0) -> Tensor:
    """A lower bound on log p(x) in nats, (rows,) float64; each shard of rows has noise of its own."""
    noise = generator_for(device_of(model), 4, shard=shard)
    return torch.cat([model.log_bound(x.to(device_of(model)), noise).double().cpu() for x in batches(codes)])


@conditionals.rule(AutoregressiveModel, "exact")
@torch.no_grad()
def score_variables(model: AutoregressiveModel, codes: Tensor) -> Tensor:
    """log p(x_i | earlier) in nats, (rows, variables) float64; a row sums to its log p(x)."""
    parts = []
    for x in batches(codes):
        x = x.to(device_of(model))
        parts.append(model.predict(x).log_prob(x.flatten(1)).double().cpu())
    return torch.cat(parts)


@marginal.rule(TractableModel, "exact")
@torch.no_grad()
def score_observed(model: TractableModel, codes: Tensor, observed: Tensor) -> Tensor:
    """log p(observed variables) in nats, (rows,) float64; `observed` is bool, (rows, *shape)."""
    parts = []
    for x, seen in zip(batches(codes, 512), observed.split(512), strict=True):
        parts.append(model.log_marginal(x.to(device_of(model)), seen.to(device_of(model))).double().cpu())
    return torch.cat(parts)


@marginal.rule(Variational, "bound")
@torch.no_grad()
def bound_observed(model: Variational, codes: Tensor, observed: Tensor, draws: int = 128) -> Tensor:
    """In expectation at most log p(observed variables) in nats, (rows,) float64, by so many weighted draws."""
    noise = generator_for(device_of(model), 17)
    rows = pieces(model, codes, observed, draws)
    return torch.cat([evidence.draws(draws, noise).log_evidence.cpu() for evidence in rows])
