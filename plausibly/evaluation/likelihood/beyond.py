"""The probability of what training rows do not show, which samples leave out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Model, Trainable, device_of
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.families.within import barred_cells
from plausibly.system.randomness import Stream, generator_for

MAX_ROWS, MAX_CODES = 1000, 1 << 20  # that are looked at, and the probabilities of their codes
MAX_NAMED = 20  # columns


@dataclass(frozen=True)
class MassBeyond:
    """The share of rows that are left out, and of cells in each of some columns, those with the most first."""

    rows: float
    columns: dict[str, float]

    def __str__(self) -> str:
        name, most = next(iter(self.columns.items()), ("", 0.0))
        most_in = f" ({most:.2%} in {name!r})" if name else ""
        return f"samples leave out {self.rows:.2%} of p{most_in}, which is of what was never seen"

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": self.columns}


def mass_beyond(model: Trainable, format: Format, valid: Events) -> MassBeyond | None:
    """The mean over validation rows of the mass beyond what was seen; None where no column knows that or nothing is drawn."""
    if not format.schema.knows_seen or not isinstance(model, Model) or not len(valid):
        return None
    rows = min(MAX_ROWS, max(16, MAX_CODES // sum(format.schema.codes)))
    x = valid.codes[:rows].to(device_of(model)).float()
    with torch.no_grad():
        each = masses_beyond(model, x, format.schema.allowed(holes=True))
    cells = each.mean(0)
    worst = cells.argsort(descending=True)[:MAX_NAMED].tolist()
    named = {format.names[i]: float(cells[i]) for i in worst if cells[i] > 0}
    return MassBeyond(float(1 - (1 - each).prod(1).mean()), named)


@singledispatch
def masses_beyond(model: Model, x: Tensor, allowed: Allowed) -> Tensor:
    """The mass beyond what is allowed of each cell, (rows, variables) float64: of draws, those that are."""
    noise = generator_for(device_of(model), Stream.SLACK)
    drawn = Evidence.nothing(model.sample(MAX_ROWS, noise)).with_allowed(allowed)
    return barred_cells(model.schema, drawn, noise).double().cpu()


@masses_beyond.register
def _(model: AutoregressiveModel, x: Tensor, allowed: Allowed) -> Tensor:
    outcome, each = model.predict(x), allowed.split(model.schema.codes)
    masses = [outcome.one(i).truncate(own)[1] for i, own in enumerate(each)]
    return -torch.stack(masses, 1).double().cpu().clamp(max=0).expm1()
