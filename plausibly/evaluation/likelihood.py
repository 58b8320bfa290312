"""Held-out log-likelihood, and what kind of number it is. The only place where that is decided.

`likelihood(model, events)` gives an `Exact`, an `AtLeast` or None by the model's type; whatever prints, ranks or compares
takes only these. Nats inside; bits when printing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import log, nan
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, device_of
from plausibly.training import batches, generator_for

if TYPE_CHECKING:
    from plausibly.data.formats import Events


@dataclass(frozen=True)
class Likelihood:
    """The log p of each row in nats, (rows,) float64, of events with so many variables."""

    nats: Tensor
    variables: int

    sign: ClassVar[str]

    @property
    def rows(self) -> int:
        return len(self.nats)

    @property
    def value(self) -> float:
        """Mean nats per row: higher is better."""
        return float(self.nats.mean())

    @property
    def standard_error(self) -> float:
        return float(self.nats.std()) / self.rows**0.5 if self.rows > 1 else nan

    @property
    def bits_per_variable(self) -> float:
        """Bits to write one variable: lower is better."""
        return -self.value / log(2) / self.variables

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "unit": "nats per row",
            "sign": self.sign,
            "standard_error": None if self.rows < 2 else self.standard_error,
            "rows": self.rows,
            "bits_per_variable": self.bits_per_variable,
        }


class Exact(Likelihood):
    sign = "="


class AtLeast(Likelihood):
    sign = ">="


class AtMost(Likelihood):
    sign = "<="


class Estimate(Likelihood):
    sign = "~"


@singledispatch
def likelihood(model: object, events: Events) -> Likelihood | None:
    """The log p of held-out rows, or None where the model has none."""
    return None


@likelihood.register(DensityModel)
def _(model: DensityModel, events: Events) -> Exact:
    return Exact(row_nats(model, events), model.schema.size)


@likelihood.register(BoundedModel)
def _(model: BoundedModel, events: Events) -> AtLeast:
    return AtLeast(row_nats(model, events), model.schema.size)


@torch.no_grad()
def row_nats(model: BoundedModel, events: Events) -> Tensor:
    """log p(codes) by the model plus log p(values | codes) by the schema, (rows,) float64, on the CPU."""
    device = device_of(model)
    parts = [
        model.log_bound(x.to(device), generator_for(device, 4, i)).double().cpu()
        for i, x in enumerate(batches(events.codes))
    ]
    return torch.cat(parts) + events.log_within


def difference(a: Likelihood, b: Likelihood) -> Likelihood:
    """a - b row by row, a bound where one of the two is: exact minus a lower bound is at most what it says."""
    signs: dict[tuple[str, str], type[Likelihood]] = {("=", "="): Exact, (">=", "="): AtLeast, ("=", ">="): AtMost}
    return signs.get((a.sign, b.sign), Estimate)(a.nats - b.nats, a.variables)
