"""Where held-out nats go, column by column, by the chain rule in the model's own order:

    log p(x)  =  sum_i log p(x_i | earlier in the order)

Another order shares the same sum out differently. Of a model with one context c of few values, which is summed out,

    log p(x_i | earlier)  =  log sum_c p(c) p(x_1 .. x_i | c)  -  log sum_c p(c) p(x_1 .. x_i-1 | c)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Trainable
from plausibly.data.formats.format import Format, log_beside
from plausibly.evaluation.intervals import Mean, finite_or_none, rows_text, with_error
from plausibly.evaluation.likelihood.likelihood import is_conditional
from plausibly.tasks.score import conditionals

if TYPE_CHECKING:
    from plausibly.data.events import Events

MAX_SHOWN_COLUMNS = 30  # columns on the terminal


@dataclass(frozen=True)
class ByColumn:
    """log p(value | earlier) in nats, (rows, columns) float64, in the model's order; a row adds up to its log p."""

    names: tuple[str, ...]
    nats: Tensor
    groups: np.ndarray | None = None  # of the rows, as of events

    @property
    def means(self) -> Tensor:
        """Nats per row of each column: higher is better."""
        return self.nats.mean(0)

    @property
    def each(self) -> list[Mean]:
        """The mean of each column over rows, or groups of rows, the model as it is."""
        return [Mean(column, self.groups) for column in self.nats.numpy().T]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "nats": mean.value,
                "standard_error": finite_or_none(mean.error),
                "interval": mean.interval,
                "bits": -mean.value / log(2),
            }
            for name, mean in zip(self.names, self.each, strict=True)
        ]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """All columns in order; of many, those with most bits."""
        found = self.to_json()
        chosen = sorted(
            sorted(range(len(found)), key=lambda i: found[i]["nats"])[:MAX_SHOWN_COLUMNS]
        )
        rows = [
            [
                found[i]["name"],
                with_error(found[i]["nats"], found[i]["standard_error"]),
                f"{found[i]['bits']:.3f}",
            ]
            for i in chosen
        ]
        return ["column", "nats per row", "bits"], rows

    def title(self) -> str:
        some = "column by column"
        if len(self.names) > MAX_SHOWN_COLUMNS:
            some = f"the {MAX_SHOWN_COLUMNS} of {len(self.names):,} columns with most bits"
        return (
            f"{some}, each given those before it in the model's order; nats: higher is better, bits: lower; ± standard error "
            f"over {rows_text(len(self.nats), self.groups)}"
        )


@torch.no_grad()
def by_column(model: Trainable, format: Format, events: Events) -> ByColumn | None:
    """The bits of the columns that are no context; None where the model does not factorise log p(x)."""
    if not isinstance(model, AutoregressiveModel):
        return None
    order = [i for i in model.order if i not in model.context]
    summed = model.context and not is_conditional(model)
    nats = context_summed(model, events.codes) if summed else conditionals(model, events.codes)
    besides = log_beside(format, events.values)
    along = [
        (nats + format.log_within(events))[:, order],
        *(own[:, None] for own in besides.values()),
    ]
    return ByColumn(
        (*(format.names[i] for i in order), *besides), torch.cat(along, 1), events.groups
    )


def context_summed(model: AutoregressiveModel, codes: Tensor) -> Tensor:
    """log p(x_i | earlier) with the lone context summed out, (rows, variables) float64; 0 for the context itself."""
    (label,), order, reached = model.context, list(model.order), []
    codes = codes.clone()
    for code in range(model.schema.codes[label]):
        codes.flatten(1)[:, label] = code
        reached.append(conditionals(model, codes)[:, order].cumsum(1))
    begun = torch.stack(reached).logsumexp(
        0
    )  # the context comes first, and its probabilities sum to one
    found = torch.empty_like(begun)
    found[:, order] = begun.diff(dim=1, prepend=torch.zeros(len(begun), 1, dtype=begun.dtype))
    return found
