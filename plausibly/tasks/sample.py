"""Draws events, of what is allowed.

A model that answers all of a row at once draws p(x | allowed). One that is unrolled draws p(x_i | earlier, allowed), variable
by variable, which is another law: log q = log p - sum log p(allowed_i | earlier). Rows are drawn anew in which a variable is
left nothing. Of all others whole rows are drawn until they are allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from plausibly.capabilities import (
    AutoregressiveModel,
    Model,
    TractableModel,
    device_of,
    drive_unrolled,
)
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.families.within import barred_cells, redraw_rows
from plausibly.outcomes.outcome import Single
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks import Task

Drawn = TypeVar("Drawn", bound=Model)

sample: Task[Any] = Task("sample", "it has no distribution")

EVENTS_PER_BATCH = 250  # events drawn together


def draw_in_batches(
    draw: Callable[[Drawn, Evidence, torch.Generator], Tensor],
) -> Callable[..., Tensor]:
    """The rule that draws batches of what is allowed by `draw`, which has as many events of which nothing is known."""

    @torch.no_grad()
    def sample_events(
        model: Drawn, n: int, seed: int, first: int = 0, allowed: Allowed | None = None
    ) -> Tensor:
        """Codes of `n` events, (n, *shape) float32: batches of fixed size from number `first` on, seeded by (seed, number).

        NothingAllowed where a row is drawn a hundred times in vain.
        """
        device, shape = device_of(model), model.schema.shape
        nothing = Evidence.nothing(torch.zeros(EVENTS_PER_BATCH, *shape, device=device))
        asked, drawn = nothing.with_allowed(allowed), []
        for number in range(first, first - (-n // EVENTS_PER_BATCH)):
            generator = generator_for(device, seed, Stream.SAMPLES, number)
            if allowed is None:
                drawn.append(model.sample(EVENTS_PER_BATCH, generator).cpu())
            else:
                drawn.append(draw(model, asked, generator).cpu())
        return torch.cat(drawn)[:n] if drawn else torch.zeros(0, *shape)

    return sample_events


@sample.rule(Model, "yes")
@draw_in_batches
def draw_whole(model: Model, asked: Evidence, generator: torch.Generator) -> Tensor:
    """Whole rows, again and again."""

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        x = model.sample(len(rows), generator)
        return x, barred_cells(model.schema, asked[rows].with_events(x), generator)

    return redraw_rows(*draw(torch.arange(len(asked))), draw)


@sample.rule(TractableModel, "yes")
@draw_in_batches
def draw_exactly(model: TractableModel, asked: Evidence, generator: torch.Generator) -> Tensor:
    """Rows of p(x), and for those with a cell that is not allowed others of p(x | allowed)."""
    x = model.sample(len(asked), generator)
    barred = barred_cells(model.schema, asked.with_events(x), generator)

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        own = model.sample_given(asked[rows], generator)
        return own, barred_cells(model.schema, asked[rows].with_events(own), None)

    return redraw_rows(x, barred, draw)


@sample.rule(AutoregressiveModel, "yes")
@draw_in_batches
def draw_in_order(
    model: AutoregressiveModel, asked: Evidence, generator: torch.Generator
) -> Tensor:
    """Each variable given those before it and what it may hold."""
    each = asked.allowed_by_variable(model.schema.codes)
    free = [allowed.is_everything for allowed in each]

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        nothing_left = torch.zeros(len(rows), len(each), dtype=torch.bool, device=asked.x.device)

        def choose(i: int, outcome: Single) -> Tensor:
            if free[i]:
                return outcome.sample(generator)
            own, mass = outcome.truncate(each[i])
            nothing_left[:, i] = mass == -torch.inf
            return own.sample(generator)

        return drive_unrolled(model.unroll(len(rows)), choose), nothing_left

    return redraw_rows(*draw(torch.arange(len(asked))), draw)
