"""Columns that another one's value decides: `country from city`.

What holds in all rows may do so by chance. Were column b independent of a, each row whose a occurred before would have the b
of that earlier row with probability sum_v p(v)^2; a function is reported where all n - |a| of them do, and that has less than
one chance in 10^9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any, ClassVar

import numpy as np

from plausibly.data.columns.cells import ColumnValues, texts_at
from plausibly.data.relations.expressions import quote_name
from plausibly.data.relations.relation import Cells, Columns, Relation
from plausibly.events.kinds import OTHER, REAL_OTHER

FIRST_ROWS = 1_000  # rows that most pairs fail on
FEW_ROWS = 2  # rows that most pairs of a wide table fail on
TRIAL_ROWS = 16  # rows that nearly all pairs fail on
MAX_LOG_CHANCE = log(1e-9)  # nats


@dataclass(frozen=True)
class Lookup(Relation):
    """The column has one value for each value of another; with `mutual` the other has one for each of its own."""

    mutual: bool = False

    how: ClassVar[str] = "function"

    @property
    def back(self) -> bool:  # type: ignore[override]
        return self.mutual

    @property
    def text(self) -> str:
        return f"{quote_name(self.column)} from {quote_name(self.of[0])}"

    def holds(self, columns: Columns, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        own, other = (comparable_values(cells[name]) for name in self.columns)
        return own == learn_table(other, own).find(other, -1), np.ones(len(own), dtype=bool)


@dataclass(frozen=True)
class LookupTable:
    """The value for each of some `keys`, sorted; `usual` for all others."""

    keys: tuple[int, ...]
    values: tuple[int, ...]
    usual: int

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.keys, dtype=np.int64), np.asarray(self.values, dtype=np.int64)

    def find(self, keys: np.ndarray, otherwise: int | None = None) -> np.ndarray:
        """The value for each key, int64."""
        own, values = self._arrays
        places = np.searchsorted(own, keys).clip(max=len(own) - 1)
        usual = self.usual if otherwise is None else otherwise
        return np.where(own[places] == keys, values[places], usual)


def learn_table(keys: np.ndarray, values: np.ndarray) -> LookupTable:
    """For each key the value that most rows with it have, the least of several."""
    pairs, counts = np.unique(np.stack([keys, values], 1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    pairs = pairs[order]
    first = np.flatnonzero(np.concatenate([[True], pairs[1:, 0] != pairs[:-1, 0]]))
    different, often = np.unique(values, return_counts=True)
    return LookupTable(
        tuple(pairs[first, 0].tolist()),
        tuple(pairs[first, 1].tolist()),
        int(different[often.argmax()]),
    )


def comparable_values(cells: ColumnValues) -> np.ndarray:
    """A number for each different cell; a hole is one like any other."""
    if cells.texts is None:
        return cells.values
    index = number_values(cells.values)
    # of any other cell the text is but how it is spelled
    other = np.isin(cells.values, (OTHER, REAL_OTHER))
    own = number_values(texts_at(cells.texts, other).astype(str).astype(object))
    return index * (own.max(initial=0) + 1) + own


def number_values(values: np.ndarray) -> np.ndarray:
    """The values numbered from 0, equal ones alike."""
    import pandas as pd

    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0])


def find_functions(names: tuple[str, ...], columns: Sequence[np.ndarray]) -> list[Lookup]:
    """Columns of numbers that each follow from one other: of several the one with fewest values."""
    index = np.stack([number_values(column) for column in columns], 1).astype(np.int32)
    sizes = index.max(0) + 1
    alike = np.array([_log_alike(column) for column in index.T])
    given = {
        place: _functions_of(index, place, int(sizes[place]))
        for place in np.flatnonzero(
            _log_chance(index, sizes, alike.min()) < MAX_LOG_CHANCE
        ).tolist()
    }
    found = dict[int, list[int]]()
    for a, followers in given.items():
        sure = _log_chance(index, sizes[a], alike[followers]) < MAX_LOG_CHANCE
        for place in followers[sure].tolist():
            # of columns that say the same the first stays
            if a < place or a not in given.get(place, ()):
                found.setdefault(place, []).append(a)
    best = {place: min(of, key=lambda a: (sizes[a], a)) for place, of in sorted(found.items())}
    return [Lookup(names[b], (names[a],), mutual=a in given.get(b, ())) for b, a in best.items()]


def _log_alike(column: np.ndarray) -> float:
    """log of the chance that two rows of a column are alike."""
    return log(float(np.sum(np.bincount(column) ** 2.0) / len(column) ** 2.0))


def _log_chance(index: np.ndarray, size: Any, alike: Any) -> Any:
    """log of the chance that a column, of which rows are `alike`, follows from an independent one of so many values."""
    return (len(index) - size) * alike


def _functions_of(index: np.ndarray, place: int, size: int) -> np.ndarray:
    """The places of the other columns that are functions of the one at `place`."""
    own = index[:, place]
    first = np.empty(size, dtype=np.int64)
    first[own[::-1]] = np.arange(len(own))[::-1]  # the earliest row of each value stays
    again = np.flatnonzero(first[own] < np.arange(len(own)))
    few = again[:FEW_ROWS]
    likely = np.flatnonzero((index[few] == index[first[own[few]]]).all(0))
    for rows in (again[:TRIAL_ROWS], again[:FIRST_ROWS], again):
        here, before = np.ix_(rows, likely), np.ix_(first[own[rows]], likely)
        likely = likely[(index[here] == index[before]).all(0)]
    return likely[likely != place]
