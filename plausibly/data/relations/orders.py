"""Columns that are never above others: `start <= end`. They are said; a column does not follow by them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import log
from typing import ClassVar

import numpy as np

from plausibly.data.relations.amounts import amounts_of
from plausibly.data.relations.expressions import quote_name
from plausibly.data.relations.relation import Cells, Columns, Relation
from plausibly.data.relations.table import MAX_LOG_CHANCE, MIN_ROWS, AmountTable

MAX_ORDERED = 40  # columns
MAX_SAID = 20  # orders
MAX_BY_CHANCE = 0.9  # share of independent pairs that are in order all the same


@dataclass(frozen=True)
class Order(Relation):
    """The column is at most the other."""

    how: ClassVar[str] = "order"
    follows: ClassVar[bool] = False

    @property
    def text(self) -> str:
        return f"{quote_name(self.column)} <= {quote_name(self.of[0])}"

    def holds(self, columns: Columns, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        low, high = (amounts_of(columns[name], cells[name]) for name in self.columns)
        asked = ~np.isnan(low + high)
        return asked & (low <= high), asked


def find_orders(table: AmountTable) -> list[Order]:
    """Pairs of columns of one sort that are in order in every row, and not by chance."""
    found = list[Order]()
    for a, b in permutations(range(min(len(table.columns), MAX_ORDERED)), 2):
        if type(table.columns[a]) is not type(table.columns[b]):
            continue
        low, high = table.amounts[:, a], table.amounts[:, b]
        asked = ~np.isnan(low + high)
        low, high = low[asked], high[asked]
        if len(low) < MIN_ROWS or not (low <= high).all() or not (low < high).any():
            continue
        # of a pair of independent rows
        alike = float((np.searchsorted(np.sort(low), high, side="right") / len(low)).mean())
        if alike < MAX_BY_CHANCE and len(low) * log(max(alike, 1e-300)) < MAX_LOG_CHANCE:
            found.append(Order(table.names[a], (table.names[b],)))
    return found[:MAX_SAID]
