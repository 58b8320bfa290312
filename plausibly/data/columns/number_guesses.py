"""Columns of numbers, guessed from their texts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from plausibly.data.columns import numbers
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import (
    DIGITS,
    ColumnSample,
    Marks,
    with_decimal_points,
    without_hole_marks,
)
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.types import GridColumn, RealColumn

TIME_NAME = re.compile(
    r"(?i)time|date|epoch|stamp|unix|_at$|_on$|\bts\b|_ts$|created|updated|modified"
)
SMALL_FLOATS = ("float32", "<f4", "float16", "<f2")
MAX_SMALL_DECIMALS = 7  # finer than such numbers are apart: not recorded at a resolution
EPOCH_UNITS = (
    (1, "seconds"),
    (10**3, "milliseconds"),
    (10**6, "microseconds"),
    (10**9, "nanoseconds"),
)
EPOCH_SECONDS = (946_684_800, 2_051_222_400)  # seconds to 2000 and to 2035


def guess_number(sight: ColumnSample) -> Column | None:
    """Nearly all cells are numbers; words such as NA may stand for holes."""
    sight, marks = with_decimal_points(*without_hole_marks(sight))
    read = [numbers.parse_number(text) for text in sight.texts]
    weight = sight.counts[[found is not None for found in read]].sum()
    endless = sight.counts[
        [numbers.INFINITE_NUMBER.fullmatch(text) is not None for text in sight.texts]
    ].sum()
    if weight < MIN_SHARE * (sight.rows - endless) or not weight:
        return None
    if any(map(numbers.LEADING_ZERO.fullmatch, sight.texts)):
        return None
    decimals = numbers.decimal_resolution(read, sight.counts)
    is_small = sight.storage.dtype.lower() in SMALL_FLOATS
    if decimals is None or (is_small and decimals > MAX_SMALL_DECIMALS):
        return _real_column(sight, marks)
    return _grid_column(sight, marks, read, decimals)


def guess_integer(sight: ColumnSample) -> Column | None:
    sight, marks = without_hole_marks(sight)
    return _grid_column(sight, marks, [numbers.parse_number(text) for text in sight.texts], 0)


def _grid_column(
    sight: ColumnSample, marks: Marks, read: list[numbers.ExactNumber | None], decimals: int
) -> Column | None:
    steps = [numbers.number_in_steps(found, decimals) for found in read]
    fitting = np.array([step is not None for step in steps], dtype=bool)
    if not fitting.any():
        return None
    values = np.array([step for step in steps if step is not None], dtype=np.int64)
    step, start = numbers.number_lattice(values, sight.counts[fitting])
    kind = numbers.learn_grid((values - start) // step, sight.counts[fitting], sight.holes > 0)
    texts = [text.strip() for text, fits in zip(sight.texts, fitting, strict=True) if fits]
    style = numbers.number_style(texts, sight.counts[fitting], values.tolist(), decimals)
    why = "whole numbers" if decimals == 0 else f"numbers with up to {decimals} decimals"
    why += _epoch(sight.name, values) if decimals == 0 else ""
    ends = (int(values.min()), int(values.max()))
    span = tuple(numbers.format_number(end, decimals, "shortest") for end in ends)
    scale: dict[str, Any] = {"decimals": decimals, "step": step, "start": start}
    return GridColumn(**sight.common(why), **marks, **scale, kind=kind, style=style, span=span)


def _epoch(name: str, values: Any) -> str:
    """A remark on whole numbers that by name and size are times since 1970, or nothing."""
    if not TIME_NAME.search(name):
        return ""
    first, last = int(min(values)), int(max(values))
    for unit, word in EPOCH_UNITS:
        if first >= EPOCH_SECONDS[0] * unit and last < EPOCH_SECONDS[1] * unit:
            days = [str(np.datetime64(end // unit, "s"))[:10] for end in (first, last)]
            return f", {word} since 1970: {days[0]} to {days[1]}"
    return ""


def guess_real(sight: ColumnSample) -> Column | None:
    """Numbers with a density, at whatever resolution they were recorded."""
    sight, marks = with_decimal_points(*without_hole_marks(sight))
    decimals = numbers.decimal_resolution(
        [numbers.parse_number(text) for text in sight.texts], sight.counts
    )
    return _real_column(sight, marks, "as you said", 0.0 if decimals is None else 10.0**-decimals)


def _real_column(
    sight: ColumnSample, marks: Marks, why: str = "real numbers", step: float = 0.0
) -> Column | None:
    texts, counts = _number_texts(sight)
    style = numbers.style_of_reals(texts)
    if (
        why == "real numbers"
        and sight.storage.kind != "float"
        and all(map(DIGITS.fullmatch, texts))
    ):
        if not (epoch := _epoch(sight.name, [int(text) for text in texts])):
            return None  # whole numbers too large to be exact: labels, not amounts
        style = "whole"
        why = "whole numbers" + epoch
    values = np.repeat(np.array([float(text) for text in texts]), counts)
    if not len(values) or np.abs(values).max() > numbers.MAX_REAL or values.max() == values.min():
        return None
    kind = numbers.learn_real(values, sight.holes > 0, step=numbers.decimal_step(values))
    span = (repr(float(values.min())), repr(float(values.max())))
    why += "" if kind.usual is None else f", mostly {kind.usual:g}"
    return RealColumn(**sight.common(why), **marks, kind=kind, style=style, span=span)


def _number_texts(sight: ColumnSample) -> tuple[list[str], np.ndarray]:
    """The texts that are numbers, and how often each occurs."""
    places = [place for place, text in enumerate(sight.texts) if numbers.parse_number(text)]
    return [sight.texts[place] for place in places], sight.counts[places]
