"""Columns that follow, as what their relations leave open.

For every value u of the parents there is a bijection between the cells
that the column can record and an event, a code and a remainder, of the same alphabet whatever u is.

Numbers on a lattice are d = c - g(u) in whole steps; of a near relation d + floor(s / 2) = q s + rho with s(u) =
max(1, floor(h |g(u)|)), of which q is learned and rho uniform over its s places. Levels change places: f(u) with level
0. Where a hole is what follows, it changes places with d = 0, or with level 0. What the column does not foresee stays
what it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.numbers import learn_grid
from plausibly.events.kinds import MISSING, OTHER, Category, Kind

FINENESS = 16  # steps of a near relation's residual in the middle half of rows


@dataclass(frozen=True)
class Residual(ABC):
    """The `kind` of what is left of a column's values; `expected` are those as its parents have it, MISSING for a hole."""

    kind: Kind

    @abstractmethod
    def leave(self, values: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the kind, and the places inside them, both int64 (rows,)."""

    @abstractmethod
    def restore(self, left: np.ndarray, places: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """The column's values again."""

    @abstractmethod
    def locate(self, values: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Values of the kind, or numbers between, among the column's own; of several in one the middle."""

    def sizes(self, expected: np.ndarray) -> np.ndarray:
        """The number of places inside a foreseen value, all equally likely."""
        return np.ones(len(expected), dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"kind": self.kind.to_json()}


def exchange(values: np.ndarray, one: np.ndarray | int, other: np.ndarray | int) -> np.ndarray:
    """The values, where one of two stands the other."""
    return np.where(values == one, other, np.where(values == other, one, values))


@dataclass(frozen=True)
class LevelResidual(Residual):
    """Levels, of which the expected one and level 0 change places."""

    def leave(self, values: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return exchange(values, expected, 0), np.zeros(len(values), dtype=np.int64)

    def restore(self, left: np.ndarray, places: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return exchange(left, expected, 0)

    def locate(self, values: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return exchange(values, expected, 0)


@dataclass(frozen=True)
class StepResidual(Residual):
    """Whole steps from what is expected, or from `home` where that is a hole; several are one where `spread` is above 0."""

    home: int = 0
    spread: float = 0.0

    def sizes(self, expected: np.ndarray) -> np.ndarray:
        # a hole has one place, and changes them with one
        steps = np.where(expected == MISSING, 0.0, np.abs(expected.astype(np.float64)))
        return np.maximum(1, np.floor(self.spread * steps)).astype(np.int64)

    def leave(self, values: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        known, size = values > OTHER, self.sizes(expected)
        apart = np.where(known, values - self._base(expected), 0) + size // 2
        left, places = np.divmod(apart, size)
        left = np.where(known, left, values)
        return self._swap(left, expected), np.where(known, places, 0)

    def restore(self, left: np.ndarray, places: np.ndarray, expected: np.ndarray) -> np.ndarray:
        left, size = self._swap(left, expected), self.sizes(expected)
        known = left > OTHER
        whole = np.where(known, left, 0) * size + places - size // 2 + self._base(expected)
        return np.where(known, whole, left)

    def locate(self, values: np.ndarray, expected: np.ndarray) -> np.ndarray:
        size = self.sizes(expected)
        return values * size + (size - 1) / 2 - size // 2 + self._base(expected)

    def _base(self, expected: np.ndarray) -> np.ndarray:
        return np.where(expected == MISSING, self.home, expected)

    def _swap(self, left: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.where(expected == MISSING, exchange(left, MISSING, 0), left)


def learn_residual(
    column: ModelledColumn, values: np.ndarray, expected: np.ndarray, near: bool
) -> Residual:
    """The residual of a column, from the values of training rows and what is expected of them."""
    if isinstance(column.kind, Category):
        return LevelResidual(column.kind)
    known = values > OTHER
    home = int(np.sort(values[known])[known.sum() // 2]) if known.any() else 0
    asked = known & (expected != MISSING)
    spread = _learn_spread(values[asked], expected[asked]) if near else 0.0
    rough = StepResidual(column.kind, home, spread)
    left, _ = rough.leave(values, expected)
    different, counts = np.unique(left[left > OTHER], return_counts=True)
    kind = learn_grid(different, counts, column.kind.missing)
    kind = replace(kind, unseen=kind.without_rows(kind.code(different)))
    return replace(rough, kind=kind)


def _learn_spread(values: np.ndarray, expected: np.ndarray) -> float:
    """The width of a step, as a share of what is expected."""
    off = (values - expected) / np.maximum(np.abs(expected), 1)
    low, high = np.quantile(off, [0.25, 0.75])
    return float(high - low) / FINENESS


def residual_from_json(document: dict[str, Any]) -> Residual:
    """The residual that wrote a document. ValueError or TypeError where it is none."""
    fields = dict(document)
    kind = Kind.from_json(fields.pop("kind"))
    form = LevelResidual if isinstance(kind, Category) else StepResidual
    return form(kind, **fields)
