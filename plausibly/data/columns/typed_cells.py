"""Typed cells -> values, without their texts: numbers and times in memory, equal to the bit to what their texts say.

A cell is plain where its text is sure to be the one that the column writes for its value, as nearly all are. The others, such
as holes and what is not foreseen, are read by their texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.date_forms import ISO_DATE, unit_form
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.numbers import MAX_STEPS
from plausibly.data.columns.types import DateColumn, GridColumn, LatticeColumn, RealColumn
from plausibly.errors import UserError
from plausibly.events.kinds import OTHER

MAX_DIGITS = 15  # no two numbers of so many decimal digits are the same float64
MIN_FIXED = 1e-4  # smaller numbers are printed with an exponent

Cells = tuple[ColumnValues, np.ndarray | None]
Found = tuple[np.ndarray, np.ndarray]  # values, and which of them are plain


def read_cells(column: ModelledColumn, series: Any, asked: bool) -> Cells:
    """The cells of a column; and where they are `asked`, in which case any may be a hole, which are known.

    UserError names the row of one that cannot be recorded.
    """
    values, plain = _find_values(column, series)
    if not plain.any():
        return _read_texts(column, series, asked)
    if plain.all():
        return ColumnValues(values), plain if asked else None
    try:
        rest, seen = _read_texts(column, series[~plain], asked)
    except UserError:
        return _read_texts(column, series, asked)  # which counts all rows
    values[~plain] = rest.values
    texts = None if rest.texts is None else _spread(rest.texts, ~plain, None)
    return ColumnValues(values, texts), None if seen is None else _spread(seen, ~plain, True)


def _read_texts(column: ModelledColumn, series: Any, asked: bool) -> Cells:
    return column.parse_question(series) if asked else (column.cells(series), None)


def _spread(own: np.ndarray, places: np.ndarray, other: Any) -> np.ndarray:
    """An array that has its own entries at some places, and another entry elsewhere."""
    found = np.full(len(places), other, dtype=own.dtype)
    found[places] = own
    return found


def _find_values(column: ModelledColumn, series: Any) -> Found:
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    kind = dtype.kind if isinstance(dtype, np.dtype) and dtype.isnative else "O"
    if isinstance(column, RealColumn) and kind in "iuf":
        return _find_numbers(column, series, dtype)
    if isinstance(column, GridColumn) and kind in "iuf" and column.decimals <= MAX_DIGITS:
        return _find_numbers(column, series, dtype)
    if isinstance(column, DateColumn) and kind == "M" and dtype is series.dtype:
        return _find_dates(column, series.to_numpy())
    return np.empty(0), np.zeros(len(series), dtype=bool)


def _find_numbers(column: GridColumn | RealColumn, series: Any, dtype: np.dtype[Any]) -> Found:
    """Numbers of any type, but for those that are too large for it to be exact."""
    holes = {} if dtype is series.dtype else {"na_value": np.nan}
    is_float = dtype.kind == "f"
    if is_float and dtype.itemsize < 8:  # what the shortest text says
        numbers = series.to_numpy(dtype, **holes).astype("U").astype(np.float64)
    else:
        numbers = series.to_numpy(np.float64, **holes)
    numbers = numbers + 0.0  # -0.0 is 0.0
    # what all texts of such cells have; those of a column of another type are printed anew
    point = is_float if column.storage.kind == ("float" if is_float else "integer") else None
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(column, RealColumn):
            values, plain = _find_reals(column, numbers, point)
        else:
            values, plain = _find_multiples(column, numbers, point)
    exact = np.finfo(dtype if is_float else np.float64).precision
    return values, plain & (np.abs(numbers) < 10.0**exact)


def _find_reals(column: RealColumn, numbers: np.ndarray, point: bool | None) -> Found:
    near = np.abs(numbers - column.kind.location) <= column.reach
    styles = {None: ("dotted", "shortest"), True: ("dotted",), False: ("shortest",)}
    return numbers, near & (column.style in styles[point])


def _find_multiples(column: GridColumn, numbers: np.ndarray, point: bool | None) -> Found:
    unit = 10.0**column.decimals
    units = np.rint(numbers * unit)
    exact = (units / unit == numbers) & (np.abs(units) < 10.0**MAX_DIGITS)
    exact &= (numbers == 0) | (np.abs(numbers) >= MIN_FIXED)
    ticks = np.where(exact, units, 0).astype(np.int64)
    if point is not None:
        exact &= _are_shortest(column, ticks, point)
    return _find_steps(column, ticks, exact)


def _are_shortest(column: GridColumn, units: np.ndarray, point: bool) -> np.ndarray:
    """Which numbers the column prints with as few decimals as they need, but one where each has a `point`."""
    needed = np.zeros(units.shape, dtype=np.int64)
    for place in range(1, column.decimals + 1):
        needed += units % 10**place != 0
    if column.style.startswith("fixed:"):
        printed = np.full(units.shape, max(column.decimals, int(column.style[6:])))
    else:
        printed = np.maximum(needed, column.style == "dotted")
    return np.asarray(printed == np.maximum(needed, point))


def _find_dates(column: DateColumn, times: np.ndarray) -> Found:
    """Times without a zone, in a column that has dates and no zone of its own."""
    form, here = column.dates, unit_form(np.datetime_data(times.dtype)[0], f"{ISO_DATE}T")
    ticks = times.view(np.int64)
    if form.clock or column.storage.zone is not None:
        return ticks, np.zeros(len(ticks), dtype=bool)
    sound = (ticks >= here.ends[0]) & (ticks <= here.ends[1])
    moved = here.convert(np.where(sound, ticks, OTHER), form)
    sound = (moved >= form.ends[0]) & (moved <= form.ends[1])
    return _find_steps(column, moved, sound)


def _find_steps(column: LatticeColumn, ticks: np.ndarray, sound: np.ndarray) -> Found:
    steps, rest = np.divmod(np.where(sound, ticks, 0) - column.start, column.step)
    return steps, sound & (rest == 0) & (np.abs(steps) < MAX_STEPS)
