"""Columns of numbers, guessed from their texts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from plausibly.data.columns import numbers
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import DIGITS, ColumnSample
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.types import GridColumn, RealColumn

TIME_NAME = re.compile(
    r"(?i)time|date|epoch|stamp|unix|_at$|_on$|\bts\b|_ts$|created|updated|modified"
)
SMALL_FLOATS = ("float32", "<f4", "float16", "<f2")
MAX_SMALL_DECIMALS = 7  # finer than such numbers are apart: not recorded at a resolution
EPOCH_UNITS = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}
EPOCH_SECONDS = (946_684_800, 2_051_222_400)  # seconds to 2000 and to 2035


def guess_number(sight: ColumnSample) -> Column | None:
    """Nearly all cells are numbers; words such as NA may stand for holes."""
    sight = sight.known.pointed
    weight = sight.counts[[found is not None for found in sight.numbers]].sum()
    endless = sight.counts[sight.matches(numbers.INFINITE_NUMBER)].sum()
    if weight < MIN_SHARE * (sight.rows - endless) or not weight:
        return None
    if sight.matches(numbers.LEADING_ZERO).any():
        return None
    decimals = numbers.decimal_resolution(sight.numbers, sight.counts)
    is_small = sight.storage.dtype.lower() in SMALL_FLOATS
    if decimals is None or (is_small and decimals > MAX_SMALL_DECIMALS):
        return real_column(sight)
    return grid_column(sight, decimals)


def grid_column(sight: ColumnSample, decimals: int) -> Column | None:
    """Numbers of so many decimals."""
    steps = [numbers.number_in_steps(found, decimals) for found in sight.numbers]
    fitting = np.array([step is not None for step in steps], dtype=bool)
    if not fitting.any():
        return None
    values = np.array([step for step in steps if step is not None], dtype=np.int64)
    counts = sight.counts[fitting]
    step, start = numbers.number_lattice(values, counts)
    kind = numbers.learn_grid((values - start) // step, counts, sight.holes > 0)
    texts = [text.strip() for text, fits in zip(sight.texts, fitting, strict=True) if fits]
    style = numbers.number_style(texts, counts, values.tolist(), decimals)
    why = f"numbers with up to {decimals} decimals" if decimals else "whole numbers"
    why += "" if decimals else _epoch(sight.name, values)
    ends = (int(values.min()), int(values.max()))
    span = tuple(numbers.format_number(end, decimals, "shortest") for end in ends)
    scale: dict[str, Any] = {"decimals": decimals, "step": step, "start": start}
    return GridColumn(
        **sight.common(why), **sight.marks, **scale, kind=kind, style=style, span=span
    )


def _epoch(name: str, values: Any) -> str:
    """A remark on whole numbers that by name and size are times since 1970, or nothing."""
    if not TIME_NAME.search(name):
        return ""
    first, last = int(min(values)), int(max(values))
    for unit, word in EPOCH_UNITS.items():
        if first >= EPOCH_SECONDS[0] * unit and last < EPOCH_SECONDS[1] * unit:
            days = [str(np.datetime64(end // unit, "s"))[:10] for end in (first, last)]
            return f", {word} since 1970: {days[0]} to {days[1]}"
    return ""


def real_column(sight: ColumnSample, why: str = "real numbers") -> Column | None:
    """Numbers with a density, at whatever resolution they were recorded."""
    places = [place for place, number in enumerate(sight.numbers) if number]
    texts = [sight.texts[place] for place in places]
    style = numbers.style_of_reals(texts)
    plain = why == "real numbers" and sight.storage.kind != "float"
    if plain and all(map(DIGITS.fullmatch, texts)):
        if not (epoch := _epoch(sight.name, [int(text) for text in texts])):
            return None  # whole numbers too large to be exact: labels, not amounts
        style = "whole"
        why = "whole numbers" + epoch
    values = np.repeat(np.array([float(text) for text in texts]), sight.counts[places])
    if not len(values) or np.abs(values).max() > numbers.MAX_REAL or values.max() == values.min():
        return None
    kind = numbers.learn_real(values, sight.holes > 0, step=numbers.decimal_step(values))
    span = (repr(float(values.min())), repr(float(values.max())))
    why += "" if kind.usual is None else f", mostly {kind.usual:g}"
    return RealColumn(**sight.common(why), **sight.marks, kind=kind, style=style, span=span)
