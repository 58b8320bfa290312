"""The amounts of training rows as one table, in which relations are looked for, and the tests that they have to pass.

A formula is found on one half of the rows and taken only where the other half has it too: in at least 90 % of the rows
that can be asked, in as many of those in which neither side has its most frequent value, and not by chance. Were the
column independent of what the formula says, a row would have it with probability pi = sum_v p(c = v) p(g = v), and so
m of n rows with at most exp(-n KL(m / n, pi)) (Chernoff 1952), which has to be below 10^-9 of all formulas that were
tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import LatticeColumn
from plausibly.data.relations.amounts import amounts_of, has_amounts, steps_near
from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import read_formula

MIN_SHARE = 0.9  # of held-out rows in which a formula holds
MAX_LOG_CHANCE = log(1e-9)  # nats, of all that are tried
LOG_TRIED = log(1e7)
MIN_ROWS = 40  # held-out rows that can be asked
MIN_TELLING_ROWS = 10  # of these with no most frequent value
MAX_NUMERIC = 200  # columns


@dataclass(frozen=True)
class AmountTable:
    """The columns that have amounts, and those of training rows, (rows, columns) float64 with NaN for none."""

    columns: tuple[ModelledColumn, ...]
    cells: tuple[ColumnValues, ...]
    amounts: np.ndarray

    @classmethod
    def of(cls, pairs: Sequence[tuple[ModelledColumn, ColumnValues]]) -> AmountTable:
        """From the columns of a table and their cells."""
        kept = [pair for pair in pairs if has_amounts(pair[0])][:MAX_NUMERIC]
        amounts = [amounts_of(*pair) for pair in kept]
        rows = len(pairs[0][1].values) if pairs else 0
        return cls(
            tuple(column for column, _ in kept),
            tuple(cells for _, cells in kept),
            np.stack(amounts, 1) if amounts else np.empty((rows, 0)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def __len__(self) -> int:
        return len(self.amounts)

    @cached_property
    def sought(self) -> np.ndarray:
        """The half of the rows in which formulas are sought, bool."""
        return np.random.default_rng(len(self)).permutation(len(self)) % 2 == 0

    @cached_property
    def lattice(self) -> np.ndarray:
        """Which columns are on a lattice, bool."""
        return np.array([isinstance(column, LatticeColumn) for column in self.columns], dtype=bool)

    @cached_property
    def levels(self) -> np.ndarray:
        """The number of different amounts of each column."""
        return np.array([len(np.unique(c[~np.isnan(c)])) for c in self.amounts.T], dtype=np.int64)

    def steps(self, place: int, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cells of a column and the nearest to some amounts, both in steps, of the rows that can be asked."""
        column, own = self.columns[place], self.amounts[:, place]
        asked = np.isfinite(amounts) & ~np.isnan(own)
        assert isinstance(column, LatticeColumn)
        return self.cells[place].values[asked], steps_near(column, amounts[asked])

    def equation(self, place: int, right: str, near: bool = False) -> Equation | None:
        """The equation of the column at a place, where the rows have it and not by chance; else None."""
        formula = read_formula(right, self.names)
        known = {name: self.amounts[:, self.names.index(name)] for name in formula.columns}
        found = formula.evaluate(known)
        held = np.where(self.sought, np.nan, found)
        own, steps = self.steps(place, held)
        if not (near or holds_often(own, steps)):
            return None
        own, steps = self.steps(place, found)
        share = float((own == steps).mean())
        return Equation(self.names[place], formula.columns, share, right, near)


def holds_often(own: np.ndarray, steps: np.ndarray) -> bool:
    """True where two columns of whole numbers are equal in nearly all rows, and not by chance."""
    if len(own) < MIN_ROWS:
        return False
    equal = own == steps
    telling = (own != _usual(own)) & (steps != _usual(steps))
    if equal.mean() < MIN_SHARE or telling.sum() < MIN_TELLING_ROWS:
        return False
    return bool(equal[telling].mean() >= MIN_SHARE and log_chance(own, steps) < MAX_LOG_CHANCE)


def _usual(values: np.ndarray) -> int:
    different, counts = np.unique(values, return_counts=True)
    return int(different[counts.argmax()])


def log_chance(own: np.ndarray, steps: np.ndarray) -> float:
    """A bound on the log of the chance that so many rows are equal, were both columns independent, for all that are tried."""
    rows, held = len(own), float((own == steps).mean())
    values, index = np.unique(np.concatenate([own, steps]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(values)) / rows for part in np.split(index, 2)]
    alike = min(max(float(counts[0] @ counts[1]), 1 / rows**2), 1 - 1e-12)
    if held <= alike:
        return 0.0
    rest = 0.0 if held == 1 else (1 - held) * log((1 - held) / (1 - alike))
    return LOG_TRIED - rows * (held * log(held / alike) + rest)
