"""Which rows are for training, for validation and for the test: 80, 10 and 10 percent."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from plausibly.errors import UserError

SHARE = 10  # one row in so many is for validation, and one for the test


class Split(NamedTuple):
    """Indices of rows."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def at_random(rows: int, seed: int) -> Split:
    """A permutation that the seed decides, cut. UserError below three rows."""
    if rows < 3:
        raise UserError(f"{rows} row{'s' * (rows != 1)} cannot be split: training, validation and test need one each")
    order = np.random.default_rng(seed).permutation(rows)
    held = max(1, rows // SHARE)
    return Split(np.sort(order[2 * held :]), np.sort(order[:held]), np.sort(order[held : 2 * held]))


def cut(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stay and rows held out, one in ten: for files that bring only one held-out part."""
    if rows < 2:
        raise UserError("one row cannot be split: training and validation need one each")
    order = np.random.default_rng(seed).permutation(rows)
    held = max(1, rows // SHARE)
    return np.sort(order[held:]), np.sort(order[:held])


def by_time(ranks: np.ndarray) -> Split:
    """The last tenth for the test, the tenth before for validation; equal times stay together."""
    order = np.argsort(ranks, kind="stable")
    times, rows = ranks[order], len(ranks)
    starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))  # where a new time begins
    if len(starts) < 3:
        raise UserError(f"a split by time needs at least 3 different times, not {len(starts)}")
    held = max(1, rows // SHARE)
    last = _nearest(starts[2:], rows - held)
    first = _nearest(starts[(starts > 0) & (starts < last)], last - held)
    return Split(np.sort(order[:first]), np.sort(order[first:last]), np.sort(order[last:]))


def _nearest(starts: np.ndarray, place: int) -> int:
    return int(starts[np.argmin(np.abs(starts - place))])


def by_group(groups: np.ndarray, seed: int) -> Split:
    """Whole groups, in an order that the seed decides, until each held-out part has a tenth of the rows."""
    distinct, index = np.unique(groups, return_inverse=True)
    if len(distinct) < 3:
        raise UserError(f"a split by group needs at least 3 groups, not {len(distinct)}")
    order, sizes = np.random.default_rng(seed).permutation(len(distinct)), np.bincount(index)
    part, wanted, taken = np.zeros(len(distinct), dtype=np.int64), len(groups) / SHARE, [0, 0, 0]
    for place, group in enumerate(order):
        left = len(distinct) - place
        side = 1 if not taken[1] else 2 if not taken[2] else _side(taken, wanted, left)
        part[group] = side
        taken[side] += sizes[group]
    where = part[index]
    return Split(*(np.flatnonzero(where == side) for side in range(3)))


def _side(taken: list[int], wanted: float, left: int) -> int:
    """The part that the next group goes to; the last one is for training where that has none."""
    if left == 1 and not taken[0]:
        return 0
    return next((side for side in (1, 2) if taken[side] < wanted), 0)


def groups_of(series: Any) -> np.ndarray:
    """A whole number for each group of a column, in the order of their texts; the holes are a group, -1."""
    import pandas as pd

    return np.asarray(pd.factorize(series.astype(str).where(series.notna(), None), sort=True)[0])


def ranks_of(series: Any, name: str, word: str = "") -> np.ndarray:
    """Whole numbers in the order of a column's times: dates, numbers, else texts. UserError for a hole.

    With the word `date`, dates whose day and month are ambiguous are read as month/day.
    """
    from plausibly.data.cells import Storage, storage_of
    from plausibly.data.columns import ModelledColumn, held
    from plausibly.data.guessing import AMBIGUOUS, ambiguous, any_date, date, number, see

    _refuse_holes(series, name)
    storage = storage_of(series, name)
    sight = see(series, name, Storage("str", "text") if storage.kind == "text" else storage)
    if word != "date" and ambiguous(sight):
        raise UserError(f"column {name!r}: {AMBIGUOUS}, or give `--kind {name}=date` to read month/day")
    column = (any_date if word == "date" else date)(sight) or number(sight)
    if isinstance(column, ModelledColumn):
        cells = column.cells(series)
        if cells.texts is not None:
            row = int(np.flatnonzero(held(cells.texts))[0])
            other = "number" if column.numeric else "time"
            raise UserError(f"row {row + 1}, column {name!r}: {cells.texts[row]!r} is no {other} like the others")
        return np.unique(cells.values, return_inverse=True)[1]
    return np.unique(series.astype(str).to_numpy(dtype=object), return_inverse=True)[1]


def _refuse_holes(series: Any, name: str) -> None:
    """UserError for the first row without a time, be it empty or a word such as NA."""
    from plausibly.data.guessing import HOLE_MARKS

    hole = (series.isna() | series.astype(str).str.strip().str.lower().isin(HOLE_MARKS)).to_numpy(dtype=bool)
    if hole.any():
        row = int(np.flatnonzero(hole)[0])
        raise UserError(f"row {row + 1}, column {name!r}: a hole; a split by time needs the time of every row")


def repeated(train: np.ndarray, held: np.ndarray) -> int:
    """How many held-out rows, (n, width) of any plain type, also occur in training."""
    known = {row.tobytes() for row in train}
    return sum(row.tobytes() in known for row in held)
