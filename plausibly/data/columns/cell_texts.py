"""Typed cells -> texts.

Everything behind this module sees a column as a list of distinct texts and, for each row, which of them it holds; so
parsing runs once per distinct text whatever the column's type.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from typing import Any

import numpy as np

from plausibly.data.columns.cell_arrays import CLOCK_CHANGES, OBJECT_PARSERS, dtype_zone
from plausibly.data.columns.date_forms import unit_form
from plausibly.errors import UserError

LEAVE_OUT_HINT = "convert them to text or numbers, or leave the column out (--drop)"
OBJECT_TIMES = {  # as objects
    f"{word}{size}": word for word in ("datetime", "timedelta") for size in ("", "64")
}


def object_type(series: Any, name: str) -> str:
    """The type of the cells of a column of objects. UserError where they are of no one type."""
    import pandas as pd

    found = pd.api.types.infer_dtype(series, skipna=True)
    found = "string" if found == "empty" else found
    if found in OBJECT_PARSERS:
        return found
    mend = LEAVE_OUT_HINT
    if found in OBJECT_TIMES:
        mend = f"pandas.to_{OBJECT_TIMES[found]} gives them theirs, or {mend}"
    elif found.startswith("mixed"):
        mend = f"give all of them one type, or {mend}"
    raise UserError(f"column {name!r} holds {found} cells, which cannot be recorded; {mend}")


def unbox_objects(series: Any) -> Any:
    """The column; where its cells are times or durations as objects, in the type that is made for them."""
    import pandas as pd

    if series.dtype != np.dtype(object):
        return series
    found = pd.api.types.infer_dtype(series, skipna=True)
    try:
        return getattr(pd, f"to_{OBJECT_TIMES[found]}")(series) if found in OBJECT_TIMES else series
    except (ValueError, TypeError, OverflowError):
        return series


def texts_of(
    series: Any, name: str, stamped: Callable[[Any], list[str]] | None = None
) -> tuple[np.ndarray, list[str]]:
    """For each row the index of its text, -1 for a hole, and the distinct texts.

    `stamped` writes times; without it they are written in UTC.
    """
    import pandas as pd

    series = unbox_objects(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = texts_of(pd.Series(series.cat.categories), name)[1]
        return np.asarray(series.cat.codes, dtype=np.int64), texts
    if series.dtype == np.dtype(object):
        object_type(series, name)  # refuses what has none
    index, distinct = pd.factorize(series)
    try:
        return index, _distinct_texts(series.dtype, distinct, stamped or in_utc)
    except OverflowError as error:
        raise UserError(f"column {name!r} holds days of no calendar; {LEAVE_OUT_HINT}") from error


def _distinct_texts(dtype: Any, distinct: Any, stamped: Callable[[Any], list[str]]) -> list[str]:
    """The texts of distinct cells of a type."""
    import pandas as pd
    import pyarrow as pa

    kind, arrow = getattr(dtype, "kind", "O"), getattr(dtype, "pyarrow_dtype", None)
    if kind == "M":
        return stamped(times_of(distinct))
    if kind == "m":
        spans = pd.TimedeltaIndex(distinct)
        return unit_form(spans.unit).write(spans.asi8)
    if arrow is not None and pa.types.is_time(arrow):
        whole = pa.array(distinct).cast(pa.int32() if pa.types.is_time32(arrow) else pa.int64())
        ticks = whole.to_numpy(zero_copy_only=False)
        return unit_form(arrow.unit).write(ticks)
    if kind == "f":
        # factorize and iteration widen small floats, whose shortest texts are then long
        distinct = np.asarray(distinct, dtype=getattr(dtype, "numpy_dtype", dtype))
    if isinstance(dtype, pd.StringDtype):
        return np.asarray(distinct, dtype=object).tolist()
    return [cell_text(cell) for cell in distinct]


def times_of(distinct: Any) -> Any:
    """A DatetimeIndex; pandas takes Arrow's times for such without a zone."""
    import pandas as pd

    times = pd.DatetimeIndex(distinct)
    zone = dtype_zone(distinct.dtype)
    if zone is None or times.tz is not None:
        return times
    return times.tz_localize("UTC").tz_convert(zone)


def in_utc(times: Any) -> list[str]:
    return stamps(times if times.tz is None else times.tz_convert("UTC").tz_localize(None))


def stamps(naive: Any) -> list[str]:
    return [str(text) for text in np.datetime_as_string(naive.to_numpy(), unit=naive.unit)]


def local_stamps(times: Any) -> list[str]:
    """Local times; the second of two that are alike, when the clock is put back, is written in UTC, with a Z."""
    wall = times.tz_localize(None)
    again = wall.tz_localize(times.tz, **CLOCK_CHANGES)
    late = np.asarray(again != times)
    pairs = zip(stamps(wall), in_utc(times), late, strict=True)
    return [f"{utc}Z" if twice else text for text, utc, twice in pairs]


def cell_text(cell: Any) -> str:
    """The shortest text that reads back equal."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, time):
        return cell.isoformat("microseconds")
    if isinstance(cell, float | np.floating):
        cell = cell + type(cell)(0)  # -0.0 equals 0.0
    return str(cell)
