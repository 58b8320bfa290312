"""Do the answers of a model of all orders belong to one joint distribution? log p of the same rows in several orders.

    log p_o(x)  =  sum over k of log p(x_(o_k) | x_(o_1), ..., x_(o_(k-1)))        o: an order of the variables
    disagreement  =  mean over rows of the standard deviation over orders of log p_o(x), in nats; 0 is one joint

By the chain rule all orders give a joint distribution's log p. Orders are drawn once, for all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, device_of
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.system.randomness import Stream, generator_for

if TYPE_CHECKING:
    from plausibly.data.events import Events

ORDERS = 8
ORDER_ROWS = 500


@dataclass(frozen=True)
class Disagreement:
    """Nats by which so many orders differ about a row, on average over rows, and the least and largest mean log p."""

    value: float
    least: float
    largest: float
    orders: int
    rows: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.orders} orders differ by {self.value:.3g} nats about a row (standard deviation, mean over "
            f"{self.rows:,} rows; 0 is one joint distribution); mean log p {self.least:.3f} to {self.largest:.3f}"
        )


def disagreement(model: AnyOrderModel, events: Events, seed: int = 0) -> Disagreement:
    """Over the first rows, in the model's own order and others that the seed draws."""
    noise = generator_for(torch.device("cpu"), seed, Stream.ORDERS)
    drawn = [torch.randperm(model.schema.size, generator=noise).tolist() for _ in range(ORDERS - 1)]
    few = events[:ORDER_ROWS]
    inside = few.log_within
    logs = torch.stack(
        [log_prob_in(model, few.codes, order) + inside for order in (model.order, *drawn)]
    )
    means = logs.mean(1)
    return Disagreement(
        float(logs.std(0).mean()), float(means.min()), float(means.max()), ORDERS, len(few)
    )


@torch.no_grad()
def log_prob_in(model: AnyOrderModel, codes: Tensor, order: Sequence[int]) -> Tensor:
    """log p of events by the chain rule in that order, (rows,) float64."""
    parts = []
    for x in batches(codes, 512):
        x = x.to(device_of(model))
        total = torch.zeros(len(x), dtype=torch.float64)
        for place, i in enumerate(order):
            outcome = model.predict_given(Evidence.some(x, order[:place])).one(i)
            total += outcome.log_prob(x.flatten(1)[:, i]).double().cpu()
        parts.append(total)
    return torch.cat(parts)
