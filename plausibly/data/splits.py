"""Which rows are for training, validation, the test and calibration: 75, 10, 10 and 5 percent.

Calibration rows serve p-values and nothing else (docs/decisions/0009-calibration-rows.md). Where there are too few
rows, times or groups for a fourth part there are none, and the test rows serve.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from plausibly.data.columns import guesses
from plausibly.data.columns.cells import is_hole
from plausibly.data.columns.column_sample import count_texts
from plausibly.data.columns.guessing import guess_column
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import Storage, storage_of
from plausibly.data.events import Events
from plausibly.data.sources.rows import Places, Rows
from plausibly.errors import UserError, did_you_mean

HELD_OUT_EVERY = 10  # one row in so many is for validation, and one for the test
CALIBRATION_EVERY = 20  # one row in so many is for calibration: none where there are fewer


class Split(NamedTuple):
    """Indices of rows; those of calibration may be none."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    calibration: np.ndarray


def divide(
    rows: Rows,
    given: Collection[str],
    split: str | None,
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """The places of the rows of each part that did not come on its own. UserError where these cannot be divided."""
    rows.check(kinds, drop)
    if split:
        return _split_by(rows, split, seed, kinds)._asdict()
    if both := [name for name in given if name in rows.own]:
        raise UserError(
            f"the source has its own {both[0]} rows; name its training rows alone: {rows.text}:train"
        )
    apart = {*given, *rows.own}
    if not apart:
        return split_at_random(rows.count, seed)._asdict()
    if len(apart) > 1:
        return {"train": np.arange(rows.count)}
    stay = split_rest(rows.count, seed)
    other = "valid" if "test" in apart else "test"
    return {"train": stay.train, other: stay.test, "calibration": stay.calibration}


def _split_by(rows: Rows, split: str, seed: int, kinds: dict[str, str]) -> Split:
    word, _, name = split.partition("=")
    if word not in ("time", "group"):
        raise UserError(f"a split is `time=COLUMN` or `group=COLUMN`, not {split!r}")
    if name not in rows.names:
        raise UserError(f"there is no column {name!r} to split by{did_you_mean(name, rows.names)}")
    series = rows.series(name)
    if word == "time":
        return split_by_time(time_ranks(series, name, kinds.get(name, "")))
    return split_by_group(group_numbers(series), seed)


def note_groups(events: dict[str, Events], rows: Rows, split: str | None, places: Places) -> None:
    """Each part's events know from now on which rows came together, where a split keeps groups whole."""
    if name := group_column(split):
        groups = group_numbers(rows.series(name))
        for part, kept in rows.kept(places).items():
            events[part].groups = groups[kept]


def split_at_random(rows: int, seed: int) -> Split:
    """A permutation that the seed decides, cut. UserError below three rows."""
    if rows < 3:
        raise UserError(
            f"{rows} row{'' if rows == 1 else 's'} cannot be split: training, validation and test need one each"
        )
    valid, test, calibration, train = _shuffle_parts(rows, seed, 2)
    return Split(train, valid, test, calibration)


def split_rest(rows: int, seed: int) -> Split:
    """As `at_random` for files that bring one of the held-out parts: the other one is `test`, and `valid` is empty."""
    if rows < 2:
        raise UserError("one row cannot be split: training and validation need one each")
    test, calibration, train = _shuffle_parts(rows, seed, 1)
    return Split(train, test[:0], test, calibration)


def _shuffle_parts(rows: int, seed: int, held_out: int) -> list[np.ndarray]:
    """So many held-out parts, one for calibration, and what is left, each in the order of the rows."""
    sizes = [max(1, rows // HELD_OUT_EVERY)] * held_out + [rows // CALIBRATION_EVERY]
    order = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes))]


def split_by_time(ranks: np.ndarray) -> Split:
    """The last tenth for the test, before it the rows for calibration, before them those for validation.

    Equal times stay together.
    """
    order = np.argsort(ranks, kind="stable")
    times = ranks[order]
    rows = len(ranks)
    starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))  # where a new time begins
    if len(starts) < 3:
        raise UserError(f"a split by time needs at least 3 different times, not {len(starts)}")
    held = max(1, rows // HELD_OUT_EVERY)
    spared = rows // CALIBRATION_EVERY
    sizes = [held, spared, held] if spared and len(starts) > 3 else [held, held]
    ends = [rows]
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        possible = starts[left:]
        ends.append(_nearest(possible[possible < ends[-1]], ends[-1] - size))
    train, valid, *calibration, test = map(np.sort, np.split(order, ends[:0:-1]))
    return Split(train, valid, test, calibration[0] if calibration else order[:0])


def _nearest(starts: np.ndarray, place: int) -> int:
    return int(starts[np.argmin(np.abs(starts - place))])


def split_by_group(groups: np.ndarray, seed: int) -> Split:
    """Whole groups, in an order that the seed decides, until each held-out part has its share of the rows."""
    distinct, index = np.unique(groups, return_inverse=True)
    if len(distinct) < 3:
        raise UserError(f"a split by group needs at least 3 groups, not {len(distinct)}")
    order = np.random.default_rng(seed).permutation(len(distinct))
    held = len(groups) / HELD_OUT_EVERY
    spared = len(groups) // CALIBRATION_EVERY if len(distinct) > 3 else 0
    where = _deal(order, np.bincount(index), [held, held, spared])[index]
    return Split(*(np.flatnonzero(where == side) for side in range(4)))


def _deal(order: np.ndarray, sizes: np.ndarray, wanted: list[float]) -> np.ndarray:
    """The part of each group, 0 for training: in this order to the first part that has no group, then that lacks rows."""
    part = np.zeros(len(order), dtype=np.int64)
    taken = [0, 0, 0]
    for place, group in enumerate(order):
        last = place == len(order) - 1 and place == np.count_nonzero(part)  # training has none yet
        lacking = [side for side in range(3) if taken[side] < wanted[side]]
        first = [side for side in lacking if not taken[side]]
        if lacking and not last:
            side = (first or lacking)[0]
            part[group] = side + 1
            taken[side] += sizes[group]
    return part


def group_column(split: str | None) -> str | None:
    """The column whose groups a split keeps whole, if it does."""
    word, _, name = (split or "").partition("=")
    return name if word == "group" else None


def group_numbers(series: Any) -> np.ndarray:
    """A whole number for each group of a column, in the order of their texts; the holes are a group, -1."""
    import pandas as pd

    return np.asarray(pd.factorize(series.astype(str).where(series.notna(), None), sort=True)[0])


def time_ranks(series: Any, name: str, word: str = "") -> np.ndarray:
    """Whole numbers in the order of a column's times: dates, numbers, else texts with one. UserError for a hole.

    With the word `date`, dates whose day and month are ambiguous are read as month/day; with `date:FORM`, as FORM says.
    """
    _refuse_holes(series, name)
    column = _time_column(series, name, word)
    if isinstance(column, ModelledColumn):
        return _rank_cells(column, series)
    if getattr(series.dtype, "ordered", False):
        return np.asarray(series.cat.codes)
    texts, index = np.unique(series.astype(str).to_numpy(dtype=object), return_inverse=True)
    return _rank_texts(texts.tolist(), name)[index]


def _time_column(series: Any, name: str, word: str) -> Any:
    """The column of dates or numbers that a series is, if any. UserError where day and month are ambiguous."""
    storage = storage_of(series, name)
    sight = count_texts(series, name, Storage("str", "text") if storage.kind == "text" else storage)
    if word.partition(":")[0] == "date":
        return guess_column(sight, word)
    if guesses.guess_ambiguous(sight):
        raise UserError(
            f"column {name!r}: {guesses.AMBIGUOUS_REASON}, or give `--kind {name}=date` to read month/day"
        )
    return guesses.guess_date(sight) or (
        None if guesses.guess_code(sight) else guesses.guess_number(sight)
    )


def _rank_cells(column: Any, series: Any) -> np.ndarray:
    """The ranks of a column's values. UserError for a cell that is unlike the others."""
    cells = column.cells(series)
    odd = np.flatnonzero(cells.values == column.other)
    if len(odd) and cells.texts is not None:
        where = f"row {odd[0] + 1}, column {column.name!r}"
        other = "number" if column.numeric else "time"
        raise UserError(f"{where}: {cells.texts[odd[0]]!r} is no {other} like the others")
    return np.unique(cells.values, return_inverse=True)[1]


def _rank_texts(texts: list[str], name: str) -> np.ndarray:
    """The ranks of texts that differ in one number, or in several behind a year: week 9, 2023-W09. UserError for others."""
    found = [tuple(int(digits) for digits in re.findall(r"\d+", text)) for text in texts]
    alike = len({re.sub(r"\d+", "0", text) for text in texts}) == 1
    varying = sum(len({*numbers}) > 1 for numbers in zip(*found, strict=alike))
    years = all(re.match(r"\D*[12]\d{3}(?!\d)", text) for text in texts)
    if not alike or not (varying == 1 or (varying > 1 and years)):
        raise UserError(
            f"column {name!r} holds {texts[0]!r} and {texts[-1]!r}, whose order in time is not known; give dates or numbers"
        )
    return np.unique(np.array(found), axis=0, return_inverse=True)[1].ravel()


def _refuse_holes(series: Any, name: str) -> None:
    """UserError for the first row without a time, be it empty or a word such as NA."""
    hole = series.isna().to_numpy(dtype=bool) | np.array(
        [is_hole(str(cell)) for cell in series], dtype=bool
    )
    if hole.any():
        row = int(np.flatnonzero(hole)[0])
        raise UserError(
            f"row {row + 1}, column {name!r}: a hole; a split by time needs the time of every row"
        )
