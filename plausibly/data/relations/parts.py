"""Parts of another column: the month of a date, the hour of 1459, what a divisor leaves of a number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plausibly.data.columns.types import DateColumn
from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import quote_name, read_formula
from plausibly.data.relations.table import AmountTable

DATE_PARTS = ("year", "month", "day", "weekday", "hour")
DIVISORS = (7, 10, 12, 24, 60, 100, 1000, 1440)
TRIAL_ROWS = 64
MAX_PARTED = 60  # columns


def find_parts(table: AmountTable) -> list[Equation]:
    """Columns that are parts of another."""
    trial = np.flatnonzero(table.sought)[:TRIAL_ROWS]
    places = np.flatnonzero(table.lattice & (table.levels > 1))[:MAX_PARTED].tolist()
    found = list[Equation]()
    for other in range(min(len(table.columns), MAX_PARTED)):
        for right in _parts_of(table, other):
            formula = read_formula(right, table.names)
            known = {table.names[other]: table.amounts[trial, other]}
            few = formula.evaluate(known)
            for place in places:
                own = table.amounts[trial, place]
                asked = ~np.isnan(few + own)
                likely = asked.any() and np.mean((few == own)[asked]) > 0.7
                if place != other and likely and (equation := table.equation(place, right)):
                    found.append(equation)
    return found


def _parts_of(table: AmountTable, place: int) -> Iterator[str]:
    """Formulas of the parts that a column can have."""
    column, name = table.columns[place], quote_name(table.names[place])
    if isinstance(column, DateColumn):
        yield from (f"{part}({name})" for part in DATE_PARTS if not column.dates.clock)
        return
    largest = np.nanmax(table.amounts[:, place], initial=0)
    for divisor in DIVISORS:
        if largest >= 2 * divisor:
            yield f"{name} // {divisor}"
            yield f"{name} % {divisor}"
