"""Columns that a formula of others gives: exactly, at the column's own resolution, or nearly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plausibly.data.columns.types import LatticeColumn
from plausibly.data.relations.amounts import amounts_of, steps_near
from plausibly.data.relations.expressions import Formula, quote_name
from plausibly.data.relations.relation import Cells, Columns, Relation


@dataclass(frozen=True)
class Equation(Relation):
    """The column is what `right` says, with `near` but about: in so many of the rows within `reach` steps of it."""

    right: str = ""
    near: bool = False
    off: float = 0.0  # of a near one: how far from it nine of ten rows are at most, as a share

    @property
    def measure(self) -> str:
        return (
            f"within {100 * self.off:.2g} % in nine of ten rows" if self.near else super().measure
        )

    @property
    def how(self) -> str:  # type: ignore[override]
        return self.formula.sort

    @cached_property
    def formula(self) -> Formula:
        """The right side, taken apart."""
        return Formula(self.right, self.of)

    @property
    def text(self) -> str:
        return f"{quote_name(self.column)} {'~' if self.near else '='} {self.right}"

    def amounts(self, columns: Columns, cells: Cells) -> np.ndarray:
        """The right side in each row, float64."""
        known = {name: amounts_of(columns[name], cells[name]) for name in self.of}
        return self.formula.evaluate(known)

    def apart(self, columns: Columns, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """The steps by which each row's cell is off, int64, and which rows can be asked."""
        column, own = columns[self.column], cells[self.column]
        assert isinstance(column, LatticeColumn)
        amounts = self.amounts(columns, cells)
        asked = np.isfinite(amounts) & column.foresees(own.values)
        steps = steps_near(column, np.where(asked, amounts, 0.0))
        return np.where(asked, own.values - steps, 0), asked

    def share_off(self, columns: Columns, cells: Cells) -> float:
        """The share of what is expected by which nine of ten rows are off at most."""
        apart, asked = self.apart(columns, cells)
        expected = np.maximum(np.abs(cells[self.column].values - apart), 1)
        return float(np.quantile(np.abs(apart / expected)[asked], 0.9)) if asked.any() else 0.0

    def holds(self, columns: Columns, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        apart, asked = self.apart(columns, cells)
        return asked & (apart == 0), asked
