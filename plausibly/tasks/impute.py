"""Fills in what was not observed, by drawing from p(unobserved | observed).

Exact for tractable models; for a fixed order exact where the observed variables come first in it and a filled cell may
be anything, otherwise by weighted particles (sampling-importance-resampling), an estimate. What a filled cell may be is
an argument: by default no hole and nothing never seen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, TractableModel, device_of, drive
from plausibly.outcomes import Single
from plausibly.tasks import Task

impute: Task[Any] = Task("impute", "it has no conditional distributions")

AT_ONCE = 1 << 14  # rows, particles counted


@impute.rule(TractableModel, "exact")
@torch.no_grad()
def impute_exactly(
    model: TractableModel,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 64,
) -> Tensor:
    """Codes (rows, *shape) in float32; the observed ones as they are. With `holes` a drawn cell may be one."""
    device, parts, drawable = device_of(model), [], model.schema.drawable(holes)
    for x, seen in zip(codes.split(512), observed.split(512), strict=True):
        drawn = model.sample_given(x.to(device).float(), seen.to(device), generator, drawable)
        parts.append(drawn.cpu())
    return torch.cat(parts)


@impute.rule(AutoregressiveModel, "estimate")
@torch.no_grad()
def impute_in_order(
    model: AutoregressiveModel,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 64,
) -> Tensor:
    """Codes (rows, *shape) in float32; the observed ones as they are.

    One particle is enough behind a prefix, unless codes are barred: what a later cell may not be tells of earlier ones.
    """
    filled = codes.float().clone()
    barred = [not part.all() for part in model.schema.drawable(holes).split(list(model.schema.codes))]
    prefix = is_prefix(model, observed) & ~(~observed.flatten(1) & torch.tensor(barred)).any(1)
    for rows, many in ((prefix.nonzero()[:, 0], 1), ((~prefix).nonzero()[:, 0], particles)):
        for part in rows.split(max(1, AT_ONCE // many)):
            filled[part] = resample(model, codes[part].float(), observed[part], generator, holes, many).cpu()
    return filled


def is_prefix(model: AutoregressiveModel, observed: Tensor) -> Tensor:
    """Whether the observed variables of each row come before all others in the model's order, (rows,)."""
    seen = observed.flatten(1)[:, list(model.order)]
    return ~(seen[:, 1:] & ~seen[:, :-1]).any(1)


def resample(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, generator: torch.Generator, holes: bool, particles: int
) -> Tensor:
    """Draws what is unobserved in order, weighs each particle by p(observed | earlier), keeps one by its weight."""
    device = device_of(model)
    flat = x.to(device).flatten(1).repeat_interleave(particles, 0)
    seen = observed.to(device).flatten(1).repeat_interleave(particles, 0)
    weight = torch.zeros(len(flat), device=device, dtype=torch.float64)
    drawable = model.schema.drawable(holes).split(list(model.schema.codes))

    def choose(i: int, outcome: Single) -> Tensor:
        possible, allowed = outcome.restricted(drawable[i].to(device))
        value = torch.where(seen[:, i], flat[:, i], possible.sample(generator))
        weight.add_(torch.where(seen[:, i], outcome.log_prob(value), allowed).double())
        return value

    drawn = drive(model.unroll(len(flat)), choose).unflatten(0, (len(x), particles))
    noise = torch.empty(len(x), particles, device=device, dtype=torch.float64).exponential_(generator=generator)
    pick = (weight.view(len(x), particles) - noise.log()).argmax(1)
    return drawn[torch.arange(len(x), device=device), pick]
