"""Columns that say nothing new: each a function of one other, or the sum of two others, in every training row.

What holds in all rows may do so by chance. Were column b independent of a, each row whose a occurred before would have the b
of that earlier row with probability sum_v p(v)^2; a function is reported where all n - |a| of them do, and that has less than
one chance in 10^9. A sum c = a + b likewise, where each row would have it with probability sum_v p(c = v) p(a + b = v).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import numpy as np

from plausibly.data.columns.cells import ColumnValues, texts_at
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import DAY_SECONDS, DateColumn, NumberColumn
from plausibly.data.dataset import Relation
from plausibly.data.events import Events
from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.formats.format import Format
from plausibly.events.kinds import OTHER, REAL_OTHER

MAX_ROWS = 100_000  # training rows that are looked at
FIRST_ROWS = 1_000  # rows that most pairs fail on
MAX_NUMERIC = 200  # columns that may be sums
FEW_ROWS = 2  # rows that most pairs of a wide table fail on
TRIAL_ROWS = 16  # rows that nearly all pairs and sums fail on
MAX_LOG_CHANCE = log(1e-9)  # nats
MIN_TERM_ROWS = 5  # rows in which each term of a sum is not 0


def find_relations(format: Format, events: Events) -> list[Relation]:
    """Functions and sums among the modelled columns of training rows."""
    if len(events) > MAX_ROWS:
        events = events[np.linspace(0, len(events) - 1, MAX_ROWS).astype(np.int64)]
    pairs = column_cells(format.blocks, events.values)
    found = find_functions(format.names, [comparable_values(each) for _, each in pairs])
    numeric = [pair for pair in pairs if _is_number(pair[0])][:MAX_NUMERIC]
    if not numeric:
        return found
    table = np.stack([_amounts(*pair) for pair in numeric], 1)
    return found + find_sums(tuple(column.name for column, _ in numeric), table)


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


def find_functions(names: tuple[str, ...], columns: Sequence[np.ndarray]) -> list[Relation]:
    """Which columns of numbers each follow from one other: of several the one with fewest values."""
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
    return [Relation(names[b], (names[a],), a in given.get(b, ())) for b, a in best.items()]


def _log_alike(column: np.ndarray) -> float:
    """log of the chance that two rows of a column are alike."""
    return log(float(np.sum(np.bincount(column) ** 2.0) / len(column) ** 2.0))


def _log_chance(index: np.ndarray, size: Any, alike: Any) -> Any:
    """log of the chance that a column, of which rows are `alike`, follows from an independent one of so many values."""
    return (len(index) - size) * alike


def _functions_of(index: np.ndarray, place: int, size: int) -> np.ndarray:
    """Which other columns are functions of the one at `place`, their places."""
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


def _is_number(column: ModelledColumn) -> bool:
    """True of what can be a term: numbers, and dates in days."""
    if isinstance(column, DateColumn):
        form = column.dates
        whole = not column.step * form.seconds % (DAY_SECONDS * form.scale)
        return not form.clock and form.seconds > 0 and whole
    return isinstance(column, NumberColumn)


def _amounts(column: ModelledColumn, cells: ColumnValues) -> np.ndarray:
    if isinstance(column, DateColumn):
        return column.day_numbers(cells)
    return column.numbers(cells)


def find_sums(names: tuple[str, ...], table: np.ndarray) -> list[Relation]:
    """Which columns of numbers, (rows, columns) with NaN for holes, are the sum of two others wherever all three are."""
    columns = [*table.T]
    first = {(column + 0.0).tobytes(): c for c, column in reversed([*enumerate(columns)])}
    kept = np.array(sorted(first.values()))
    rich = np.argsort(-((table != 0) & ~np.isnan(table)).sum(1), kind="stable")[:TRIAL_ROWS]
    few = table[rich]
    return [
        Relation(names[c], (names[a], names[b]))
        for place, a in enumerate(kept.tolist())
        for b, c in _likely_sums(few, a, kept[place + 1 :], kept)
        if c not in (a, b) and _is_sum(columns[a], columns[b], columns[c])
    ]


def _likely_sums(
    few: np.ndarray, a: int, others: np.ndarray, kept: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Pairs: one of the others, and a column that is the sum of it and `a` in a few rows."""
    b, c = np.repeat(others, len(kept)), np.tile(kept, len(others))
    for row in few:
        close = _close(row[a] + row[b], row[c], row[a], row[b])
        b, c = b[close], c[close]
    return zip(b.tolist(), c.tolist(), strict=True)


def sum_holds(format: Format, relation: Relation, events: Events) -> np.ndarray:
    """True where a sum is one, bool, of the rows where no term is a hole."""
    pairs = {c.name: (c, cells) for c, cells in column_cells(format.blocks, events.values)}
    whole, one, other = (_amounts(*pairs[name]) for name in (relation.column, *relation.of))
    return _close(one + other, whole, one, other)[~np.isnan(one + other + whole)]


def _close(whole: np.ndarray, column: np.ndarray, a: np.ndarray, b: np.ndarray) -> Any:
    """Where a sum is what it says, but for the rounding of float64; or something is a hole."""
    error = np.abs(whole - column)
    rounding = 4 * np.finfo(np.float64).eps * (np.abs(a) + np.abs(b) + np.abs(column))
    return np.isnan(error) | (error <= rounding)


def _is_sum(one: np.ndarray, other: np.ndarray, column: np.ndarray) -> bool:
    """True where a column is the sum of two in all rows, and not by chance."""
    if not _close(one + other, column, one, other).all():
        return False
    full = ~np.isnan(one + other + column)
    terms = [each[full] for each in (one, other, column)]
    if any((each != 0).sum() < MIN_TERM_ROWS or np.ptp(each) == 0 for each in terms):
        return False
    wholes = np.concatenate([(terms[0] + terms[1]).round(9), terms[2].round(9)])
    values, index = np.unique(wholes, return_inverse=True)
    rows = len(terms[2])
    counts = [np.bincount(part, minlength=len(values)) / rows for part in np.split(index, 2)]
    return bool(rows * log(max(float(counts[0] @ counts[1]), 1e-300)) < MAX_LOG_CHANCE)
