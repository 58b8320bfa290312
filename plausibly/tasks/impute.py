"""Fills in what was not observed, by drawing from p(unobserved | observed).

Exact for tractable models; of a model of all orders one cell after the other, approximate, since its conditionals need not
belong to one joint distribution; for a fixed order exact where the observed variables come first in it and a filled cell may
be anything, otherwise by weighted particles (sampling-importance-resampling), an estimate. With latents so too: weighted
draws of these. What a filled cell may be is what the evidence allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    TractableModel,
    Variational,
    device_of,
    drive_unrolled,
)
from plausibly.events.evidence import Evidence
from plausibly.families.particles import LookaheadTree, Particles, rows_per_batch_of
from plausibly.families.proposals import (
    EffectiveSampleSize,
    LatentQuery,
    effective_size,
    events_per_decoding,
)
from plausibly.families.within import barred_cells, redraw_rows
from plausibly.outcomes.outcome import Single
from plausibly.tasks import Task

impute: Task[Any] = Task("impute", "it has no conditional distributions")

# times as many particles for rows in which fewer than so many tell something
MORE = 16
ENOUGH = 32.0


class ImputedEvents(NamedTuple):
    """Codes (rows, *shape) in float32, the observed ones as they were; and, of draws by weight, how many tell something."""

    codes: Tensor
    effective: EffectiveSampleSize | None = None


@impute.rule(TractableModel, "exact")
@torch.no_grad()
def impute_exactly(
    model: TractableModel, evidence: Evidence, generator: torch.Generator, particles: int = 64
) -> ImputedEvents:
    """Some rows at a time, those anew that have numbers outside of their ends, of which some models know nothing."""
    filled = []
    for part in evidence.batches(512, device_of(model)):

        def draw(rows: Tensor, part: Evidence = part) -> tuple[Tensor, Tensor]:
            x = model.sample_given(part[rows], generator)
            return x, barred_cells(model.schema, part[rows].with_events(x), None)

        filled.append(redraw_rows(*draw(torch.arange(len(part))), draw).cpu())
    return ImputedEvents(torch.cat(filled))


@impute.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def impute_one_by_one(
    model: AnyOrderModel, evidence: Evidence, generator: torch.Generator, particles: int = 64
) -> ImputedEvents:
    """In the model's order, each unobserved cell given the observed ones and those that are drawn by then."""
    filled = []
    for part in evidence.batches(512, device_of(model)):
        allowed = part.allowed_by_variable(model.schema.codes)
        for i in model.order:
            rows = (~part.observed.flatten(1)[:, i]).nonzero()[:, 0]
            if len(rows):
                outcome, _ = model.predict_given(part[rows]).one(i).truncate(allowed[i])
                values = part.x.flatten(1)[:, i].index_put((rows,), outcome.sample(generator))
                part = part.with_known(i, values)
        filled.append(part.x.cpu())
    return ImputedEvents(torch.cat(filled))


@impute.rule(AutoregressiveModel, "estimate")
@torch.no_grad()
def impute_in_order(
    model: AutoregressiveModel, evidence: Evidence, generator: torch.Generator, particles: int = 64
) -> ImputedEvents:
    """One particle is enough behind a prefix, unless codes are barred: what a later cell may not be tells of earlier ones.

    Rows in which too few particles tell something are filled anew with more.
    """
    filled, free = evidence.x.float().clone(), ~evidence.observed.flatten(1)
    each = evidence.allowed_by_variable(model.schema.codes)
    barred = [not allowed.is_everything for allowed in each]
    prefix = is_prefix(model, evidence) & ~(free & torch.tensor(barred)).any(1)
    first, rest = prefix.nonzero()[:, 0], (~prefix).nonzero()[:, 0]
    for part in first.split(rows_per_batch_of(model.schema.size, 1)):
        following = ImputingChooser(evidence[part], generator)
        filled[part] = drive_unrolled(model.unroll(len(part)), following).cpu()
    if not len(rest):
        return ImputedEvents(filled)
    found = fill_by_particles(model, evidence[rest], generator, particles)
    filled[rest] = found.codes
    return ImputedEvents(filled, found.effective)


def fill_by_particles(
    model: AutoregressiveModel, evidence: Evidence, generator: torch.Generator, particles: int
) -> ImputedEvents:
    """Rows filled by one of their particles, anew by one of more where too few tell something."""
    filled, sizes = evidence.x.float().clone(), torch.zeros(len(evidence), dtype=torch.float64)
    tree, many = LookaheadTree(model, generator), particles
    for many in (particles, MORE * particles):
        few = (sizes < ENOUGH).nonzero()[:, 0]
        for part in few.split(rows_per_batch_of(model.schema.size, many)):
            particle = Particles(model, tree, evidence[part], many, generator)
            cloud = particle.draw_to(model.schema.size - 1)
            filled[part] = cloud.resample(1, generator).view(len(part), *model.schema.shape).cpu()
            sizes[part] = cloud.effective.cpu()
        if not (sizes < ENOUGH).any():
            break
    return ImputedEvents(filled, EffectiveSampleSize(sizes, many))


class ImputingChooser:
    """Takes what is known of events and draws the rest, each given those before it."""

    def __init__(self, evidence: Evidence, generator: torch.Generator) -> None:
        self.known, self.generator = evidence.flatten().to(generator.device), generator

    def __call__(self, i: int, outcome: Single) -> Tensor:
        own = self.known.observed[:, i], self.known.x[:, i]
        return torch.where(*own, outcome.sample(self.generator))


@impute.rule(Variational, "estimate")
@torch.no_grad()
def impute_by_latents(
    model: Variational, evidence: Evidence, generator: torch.Generator, particles: int = 256
) -> ImputedEvents:
    """One draw is enough, and exact, where nothing is known that tells of the latents."""
    filled, device = evidence.x.float().clone(), device_of(model)
    telling = LatentQuery(model, evidence).telling
    unknown = (~evidence.observed.flatten(1)).any(1)
    sizes, many = list[Tensor](), 0
    for rows, wanted in ((unknown & ~telling, 1), (unknown & telling, particles)):
        for part in split_true(rows, max(1, events_per_decoding(model) // wanted)):
            asked = LatentQuery(model, evidence[part].to(device))
            draws = asked.draws(wanted, generator)
            filled[part] = asked.fill(*draws.one(generator), generator).cpu()
            if telling[part[0]]:
                sizes.append(effective_size(draws.log_weights).cpu())
                many = draws.log_weights.shape[1]
    return ImputedEvents(filled, EffectiveSampleSize(torch.cat(sizes), many) if sizes else None)


def split_true(rows: Tensor, most: int) -> Sequence[Tensor]:
    """The places at which there is a truth, at most so many together; nothing where there is none."""
    return rows.nonzero()[:, 0].split(most) if rows.any() else ()


def is_prefix(model: AutoregressiveModel, evidence: Evidence) -> Tensor:
    """True where the observed variables of a row come before all others in the model's order, (rows,)."""
    seen = evidence.observed.flatten(1)[:, list(model.order)]
    return ~(seen[:, 1:] & ~seen[:, :-1]).any(1)
