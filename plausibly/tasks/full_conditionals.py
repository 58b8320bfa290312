"""The surprise of each variable given all others: the full conditionals p(x_i | rest).

    p(x_i | rest) = p(x) / sum over the codes k of variable i of p(x with x_i = k)

Exact wherever log p(x) is; of a model of all orders approximate: what it says of each variable given the others. Unlike
log p(x_i | earlier) they do not add up to log p(x): two variables that tell the same surprise each once more, or excuse
each other (Besag 1974 calls their sum the pseudo-likelihood).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, DensityModel, TractableModel, device_of
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.tasks import Task

full_conditionals: Task[Any] = Task(
    "full_conditionals", "it has no exact log p(x) to compare values by"
)

MAX_EVENTS_PER_CALL = 1 << 22  # events weighed in one call


@full_conditionals.rule(TractableModel, "exact")
@full_conditionals.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def from_conditionals(model: AnyOrderModel, codes: Tensor) -> Tensor:
    """log p(x_i | rest) in nats, (rows, variables) float64."""
    parts = []
    for x in batches(codes, 512):
        whole, columns = Evidence.whole(x.to(device_of(model))), []
        for i, own in enumerate(whole.x.flatten(1).unbind(1)):
            outcome = model.predict_given(whole.without(i)).one(i)
            columns.append(outcome.log_prob(own).double().cpu())
        parts.append(torch.stack(columns, 1))
    return torch.cat(parts)


@full_conditionals.rule(DensityModel, "exact")
@torch.no_grad()
def from_densities(model: DensityModel, codes: Tensor) -> Tensor:
    """log p(x_i | rest) in nats, (rows, variables) float64; NaN for a variable that has no codes to sum over."""
    found = torch.full((len(codes), model.schema.size), torch.nan, dtype=torch.float64)
    listed, start = finite_variables(model.schema), 0
    for x in batches(codes):
        x = x.to(device_of(model))
        own = model.log_prob(x).double()
        for i in listed:
            found[start : start + len(x), i] = (own - log_total(model, x, i)).cpu()
        start += len(x)
    return found


def log_total(model: DensityModel, x: Tensor, i: int) -> Tensor:
    """log of the sum over the codes of variable `i` of p(x with it), (batch,) float64."""
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    changed = x.clone()
    for code in range(model.schema.codes[i]):
        changed.flatten(1)[:, i] = code
        total = torch.logaddexp(total, model.log_prob(changed).double())
    return total


def finite_variables(schema: Schema) -> list[int]:
    """Variables with finitely many values."""
    return [i for i, kind in enumerate(schema.kinds) if not kind.continuous]


def rows_per_call(model: DensityModel) -> int:
    """The most rows that are answered in one call."""
    if isinstance(model, AnyOrderModel):
        return MAX_EVENTS_PER_CALL // model.schema.size
    return MAX_EVENTS_PER_CALL // (
        1 + sum(model.schema.codes[i] for i in finite_variables(model.schema))
    )
