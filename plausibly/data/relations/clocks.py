"""Differences of times of day, which begin anew at midnight: a delay in minutes, from times as 1459 or 14:59."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from plausibly.data.columns.types import DateColumn
from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import clock_minutes, quote_name
from plausibly.data.relations.table import AmountTable

DAY_MINUTES = 1440
MAX_CLOCKS = 12  # columns that are times of day
TRIAL_ROWS = 256
LIKELY = 0.7  # share of these in which a difference has to hold


@dataclass(frozen=True)
class ClockTime:
    """A column of times of day: its minutes, the formula for them, and that of a time from minutes, with `{}` for these."""

    minutes: np.ndarray
    read: str
    write: str


def find_clocks(table: AmountTable, target: str | None) -> list[Equation]:
    """Times of day that follow from another one and the minutes between; the target, where it is these, follows itself."""
    read = {p: _read_times(table, p) for p in range(len(table.columns))}
    times = {p: time for p, time in read.items() if time is not None}
    found = list[Equation]()
    for between in np.flatnonzero(table.lattice & (table.levels > 10)).tolist():
        if between in times and isinstance(table.columns[between], DateColumn):
            continue
        for last, first in _pairs_apart(table, between, times):
            follows = between if table.names[between] == target else last
            if first != between and table.names[first] == target:
                follows = first
            right = _write_clock(
                table, between, (last, times[last]), (first, times[first]), follows
            )
            if equation := table.equation(follows, right):
                found.append(equation)
                break
    return found


def _write_clock(
    table: AmountTable,
    between: int,
    last: tuple[int, ClockTime],
    first: tuple[int, ClockTime],
    follows: int,
) -> str:
    """The formula of one of three columns by the two others."""
    minutes = quote_name(table.names[between])
    if follows == last[0]:
        return last[1].write.format(f"({first[1].read} + {minutes}) % {DAY_MINUTES}")
    if follows == first[0]:
        return first[1].write.format(f"({last[1].read} - {minutes}) % {DAY_MINUTES}")
    low = lowest_minutes(table.amounts[:, between])
    shift, back = (f"+ {-low}", f"- {-low}") if low < 0 else (f"- {low}", f"+ {low}")
    return f"({last[1].read} - {first[1].read} {shift}) % {DAY_MINUTES} {back}"


def lowest_minutes(minutes: np.ndarray) -> int:
    """The first of the day of minutes that all lie in the middle of."""
    low, high = np.nanmin(minutes), np.nanmax(minutes)
    return int(np.floor(low) - max(DAY_MINUTES - (high - low), 0) // 2)


def _read_times(table: AmountTable, place: int) -> ClockTime | None:
    """A column of times of day; None for others."""
    column, own = table.columns[place], table.amounts[:, place]
    name = quote_name(column.name)
    if isinstance(column, DateColumn):
        return ClockTime(own, name, "{}") if column.dates.clock else None
    known = own[~np.isnan(own)]
    sound = len(known) > 0 and known.min() >= 0 and 1_200 < known.max() <= 2_400
    if not sound or (known % 100 >= 60).any() or (known % 1).any() or table.levels[place] < 50:
        return None
    return ClockTime(clock_minutes(own), f"clock({name})", "hhmm({})")


def _pairs_apart(
    table: AmountTable, between: int, times: dict[int, ClockTime]
) -> Iterator[tuple[int, int]]:
    """Pairs of times of day, the later first, that lie the minutes of a column apart in most of a few rows."""
    own = table.amounts[:, between]
    rows = np.flatnonzero(table.sought & ~np.isnan(own))[:TRIAL_ROWS]
    if not len(rows) or np.nanmax(own) - np.nanmin(own) >= DAY_MINUTES:
        return
    for last, first in permutations([p for p in times if p != between][:MAX_CLOCKS], 2):
        apart = (times[last].minutes - times[first].minutes - own)[rows]
        if np.mean(np.mod(apart, DAY_MINUTES) == 0) > LIKELY:
            yield last, first
