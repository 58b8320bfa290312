"""Cells as numbers that formulas are made of: in a column's own unit, dates in days since 1970, times of day in minutes."""

from __future__ import annotations

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import (
    DAY_SECONDS,
    DateColumn,
    GridColumn,
    LatticeColumn,
    NumberColumn,
)

MINUTE_SECONDS = 60
FAR_STEPS = 2.0**52  # steps, beyond which float64 tells no two apart


def has_amounts(column: ModelledColumn) -> bool:
    """True of numbers, and of dates and times whose steps are all as long."""
    if isinstance(column, DateColumn):
        return column.dates.seconds > 0
    return isinstance(column, NumberColumn)


def amounts_of(column: ModelledColumn, cells: ColumnValues) -> np.ndarray:
    """The amount in each cell, float64; NaN for a hole and for what is not foreseen."""
    if isinstance(column, DateColumn):
        return column.seconds(cells) / _unit_of(column)
    return column.numbers(cells)


def steps_near(column: LatticeColumn, amounts: np.ndarray) -> np.ndarray:
    """The value of the kind nearest to each amount, which is finite, int64."""
    if isinstance(column, GridColumn):
        units = amounts * 10.0**column.decimals
    else:
        assert isinstance(column, DateColumn)
        units = amounts * (_unit_of(column) * column.dates.scale / column.dates.seconds)
    steps = np.rint((units - column.start) / column.step)
    return np.asarray(steps.clip(-FAR_STEPS, FAR_STEPS), dtype=np.int64)


def _unit_of(column: DateColumn) -> int:
    """Seconds of the unit."""
    return MINUTE_SECONDS if column.dates.clock else DAY_SECONDS
