"""Fills in what was not observed, by drawing from p(unobserved | observed).

Exact for tractable models; of a model of all orders one cell after the other, approximate, since its conditionals need not
belong to one joint distribution; for a fixed order exact where the observed variables come first in it and a filled cell may
be anything, otherwise by weighted particles (sampling-importance-resampling), an estimate. With latents so too: weighted
draws of these. What a filled cell may be is an argument: by default no hole and nothing never seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, AutoregressiveModel, TractableModel, Variational, device_of, drive
from plausibly.families.proposals import Effective, Evidence, decodable, effective
from plausibly.outcomes import Single, gumbel_max
from plausibly.tasks import Task

impute: Task[Any] = Task("impute", "it has no conditional distributions")

AT_ONCE = 1 << 14  # rows, particles counted
CELLS = 1 << 20  # their cells


class Filled(NamedTuple):
    """Codes (rows, *shape) in float32, the observed ones as they were; and, of draws by weight, how many tell something."""

    codes: Tensor
    effective: Effective | None = None


def at_once(variables: int, particles: int) -> int:
    """How many rows with so many particles each are filled in one go."""
    return max(1, min(AT_ONCE, CELLS // variables) // particles)


@impute.rule(TractableModel, "exact")
@torch.no_grad()
def impute_exactly(
    model: TractableModel,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 64,
) -> Filled:
    """With `holes` a drawn cell may be one."""
    device, parts, drawable = device_of(model), [], model.schema.drawable(holes)
    for x, seen in zip(codes.split(512), observed.split(512), strict=True):
        drawn = model.sample_given(x.to(device).float(), seen.to(device), generator, drawable)
        parts.append(drawn.cpu())
    return Filled(torch.cat(parts))


@impute.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def impute_one_by_one(
    model: AnyOrderModel,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 64,
) -> Filled:
    """In the model's order, each unobserved cell given the observed ones and those that are drawn by then."""
    filled, device = codes.float().clone(), device_of(model)
    drawable = model.schema.drawable(holes).to(device).split(list(model.schema.codes))
    for part in torch.arange(len(codes)).split(512):
        x, seen = filled[part].to(device), observed[part].to(device).clone()
        for i in model.order:
            rows = (~seen.flatten(1)[:, i]).nonzero()[:, 0]
            if len(rows):
                outcome, _ = model.predict_given(x[rows], seen[rows]).one(i).restricted(drawable[i])
                x.flatten(1)[rows, i] = outcome.sample(generator)
                seen.flatten(1)[rows, i] = True
        filled[part] = x.cpu()
    return Filled(filled)


@impute.rule(AutoregressiveModel, "estimate")
@torch.no_grad()
def impute_in_order(
    model: AutoregressiveModel,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 64,
) -> Filled:
    """One particle is enough behind a prefix, unless codes are barred: what a later cell may not be tells of earlier ones."""
    filled = codes.float().clone()
    barred = [not part.all() for part in model.schema.drawable(holes).split(list(model.schema.codes))]
    prefix = is_prefix(model, observed) & ~(~observed.flatten(1) & torch.tensor(barred)).any(1)
    for rows, many in ((prefix.nonzero()[:, 0], 1), ((~prefix).nonzero()[:, 0], particles)):
        for part in rows.split(at_once(model.schema.size, many)):
            filled[part] = resample(model, codes[part].float(), observed[part], generator, holes, many).cpu()
    return Filled(filled)


@impute.rule(Variational, "estimate")
@torch.no_grad()
def impute_by_latents(
    model: Variational,
    codes: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    holes: bool = False,
    particles: int = 256,
) -> Filled:
    """One draw is enough, and exact, where nothing is known that tells of the latents."""
    filled, device, drawable = codes.float().clone(), device_of(model), model.schema.drawable(holes)
    telling = Evidence(model, codes, observed, drawable).telling
    unknown = (~observed.flatten(1)).any(1)
    sizes, many = list[Tensor](), 0
    for rows, wanted in ((unknown & ~telling, 1), (unknown & telling, particles)):
        for part in rows.nonzero()[:, 0].split(max(1, decodable(model) // wanted)) if rows.any() else ():
            evidence = Evidence(model, codes[part].to(device), observed[part].to(device), drawable)
            draws = evidence.draws(wanted, generator)
            filled[part] = evidence.fill(*draws.one(generator), generator).cpu()
            if telling[part[0]]:
                sizes.append(effective(draws.log_weights).cpu())
                many = draws.log_weights.shape[1]
    return Filled(filled, Effective(torch.cat(sizes), many) if sizes else None)


def is_prefix(model: AutoregressiveModel, observed: Tensor) -> Tensor:
    """Whether the observed variables of each row come before all others in the model's order, (rows,)."""
    seen = observed.flatten(1)[:, list(model.order)]
    return ~(seen[:, 1:] & ~seen[:, :-1]).any(1)


class Particles:
    """So many draws for each row of what is not observed, in order, each weighed by p(observed | earlier).

    `drawable`, (sum of codes,), says which codes may be drawn. Called with each variable's outcome, as `drive` does.
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        x: Tensor,
        observed: Tensor,
        generator: torch.Generator,
        drawable: Tensor,
        particles: int,
    ) -> None:
        self.device, self.generator, self.shape = device_of(model), generator, (len(x), particles)
        self.flat = x.to(self.device).flatten(1).repeat_interleave(particles, 0)
        self.seen = observed.to(self.device).flatten(1).repeat_interleave(particles, 0)
        self.weight = torch.zeros(len(self.flat), device=self.device, dtype=torch.float64)
        self.drawable = drawable.to(self.device).split(list(model.schema.codes))

    def __call__(self, i: int, outcome: Single) -> Tensor:
        possible, allowed = outcome.restricted(self.drawable[i])
        value = torch.where(self.seen[:, i], self.flat[:, i], possible.sample(self.generator))
        self.weight += torch.where(self.seen[:, i], outcome.log_prob(value), allowed).double()
        return value

    @property
    def log_weights(self) -> Tensor:
        """(rows, particles), float64; the mean of their exponentials estimates p(observed) without bias."""
        return self.weight.view(self.shape)


def resample(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, generator: torch.Generator, holes: bool, many: int
) -> Tensor:
    """Events (rows, *shape): of each row's particles one, drawn by its weight."""
    particles = Particles(model, x, observed, generator, model.schema.drawable(holes), many)
    drawn = drive(model.unroll(len(particles.flat)), particles).unflatten(0, (len(x), many))
    pick = gumbel_max(particles.log_weights, generator)
    return drawn[torch.arange(len(x), device=particles.device), pick]
