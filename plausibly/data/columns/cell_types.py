"""Typed cells <-> texts, as arrays of pandas whose types have names.

Everything behind this module sees a column as a list of distinct texts and, for each row, which of them it holds; so
parsing runs once per distinct text whatever the column's type.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from re import ASCII, compile, fullmatch, search
from typing import Any

import numpy as np

from plausibly.data.columns.date_forms import unit_form
from plausibly.errors import UserError

OBJECT_PARSERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "floating": float,
    "boolean": lambda text: {"True": True, "False": False}[text],
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
}
# of an hour that comes twice the first
CLOCK_CHANGES: dict[str, Any] = {"ambiguous": True, "nonexistent": "shift_forward"}
DURATION_TEXT = compile(r"(-?)(\d+):(\d\d):(\d\d(?:\.\d{1,9})?)", ASCII)
# a local time that comes twice, when the clock is put back, in UTC
INSTANT = compile(r"(.*\d)Z", ASCII)
FEW_ROWS = 1_000  # for which pandas takes longer than Python
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

    if isinstance(series.dtype, pd.StringDtype):
        return factorize_texts(series.array)
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


def factorize_texts(cells: Any) -> tuple[np.ndarray, list[str]]:
    """As `texts_of`, of an array of texts or of a categorical one of texts, which may list others besides."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(cells, pd.Categorical):
        return cells.codes, cells.categories.tolist()
    if len(cells) > FEW_ROWS or getattr(cells.dtype, "storage", "") != "pyarrow":
        index, distinct = pd.factorize(cells)
        return index, np.asarray(distinct, dtype=object).tolist()
    places: dict[str | None, int] = {None: -1}
    index = [places.setdefault(text, len(places) - 1) for text in pa.array(cells).to_pylist()]
    return np.array(index, dtype=np.int64), [text for text in places if text is not None]


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
        ticks = pa.array(distinct).cast(_tick_type(arrow))
        return unit_form(arrow.unit).write(ticks.to_numpy(zero_copy_only=False))
    if kind == "f":
        # factorize and iteration widen small floats, whose shortest texts are then long
        distinct = np.asarray(distinct, dtype=getattr(dtype, "numpy_dtype", dtype))
    return [cell_text(cell) for cell in distinct]


def _tick_type(arrow: Any) -> Any:
    """The whole numbers that times of day of one of Arrow's types are."""
    import pyarrow as pa

    return pa.int32() if pa.types.is_time32(arrow) else pa.int64()


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


def plain_dtype(arrow: Any) -> Any:
    """The dtype of pandas that holds the same times as one of Arrow's."""
    import pandas as pd

    unit, zone = getattr(arrow, "unit", "s"), getattr(arrow, "tz", None)  # dates have no unit
    if zone is not None:
        return pd.DatetimeTZDtype(unit, zone)
    family = "timedelta64" if str(arrow).startswith("duration") else "datetime64"
    return np.dtype(f"{family}[{unit}]")


def arrow_type_named(name: str) -> Any:
    """The type that prints as `name`."""
    import pyarrow as pa

    if zoned := fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name):
        return pa.timestamp(*zoned.groups())
    if coded := fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>", name):
        values, index = map(arrow_type_named, coded.group(1, 2))
        return pa.dictionary(index, values, coded[3] == "1")
    if precise := fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", name):
        return getattr(pa, precise[1])(int(precise[2]), int(precise[3]))
    return pa.type_for_alias(name)


def dtype_named(name: str) -> Any:
    import pandas as pd

    family, _, detail = name.partition(":")
    if family == "object":
        return np.dtype(object)
    if family == "arrow":
        return pd.ArrowDtype(arrow_type_named(detail))
    if family == "nullable-string":
        return pd.StringDtype(detail)
    if family == "str":
        return pd.Series(["a"]).dtype if detail == "" else pd.StringDtype(detail, na_value=np.nan)
    return pd.api.types.pandas_dtype(name)


def dtype_zone(dtype: Any) -> Any:
    """The time zone of a type, or None."""
    return getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)


def array_of_texts(dtype: str, texts: list[str | None], holes: bool, local: bool = False) -> Any:
    """A pandas array of `dtype` from texts; whole numbers and truths with holes take the nullable type."""
    import pandas as pd
    import pyarrow as pa

    target = dtype_named(dtype)
    if holes and isinstance(target, np.dtype) and target.kind in "iub":
        nullable = target.name.replace("i", "I").replace("u", "U")
        target = dtype_named("boolean" if target.kind == "b" else nullable)
    kind, arrow = getattr(target, "kind", "O"), getattr(target, "pyarrow_dtype", None)
    if arrow is not None and pa.types.is_time(arrow):
        return _clocks(target, texts)
    if kind in "mM":
        return _times(target, texts, local)
    is_decimal = arrow is not None and pa.types.is_decimal(arrow)
    read = Decimal if is_decimal else CELL_READERS.get(kind, str)
    cells: Any = [None if text is None else read(text) for text in texts]
    return pd.array(
        np.array(cells, dtype=target) if isinstance(target, np.dtype) else cells, dtype=target
    )


def _whole(text: str) -> int:
    value = Decimal(text)
    if value != int(value):
        raise ValueError(f"{text} is not a whole number")
    return int(value)


CELL_READERS = {"b": OBJECT_PARSERS["boolean"], "i": _whole, "u": _whole, "f": float}


def _times(target: Any, texts: list[str | None], local: bool) -> Any:
    """Times, each of them without a zone, local or in UTC (those with a Z always), or durations."""
    import pandas as pd

    if isinstance(target, pd.ArrowDtype):
        plain = _times(plain_dtype(target.pyarrow_dtype), texts, local)
        return pd.Series(plain).astype(target).array
    unit: Any = np.datetime_data(target)[0] if isinstance(target, np.dtype) else target.unit
    if target.kind == "m":
        ticks = ["NaT" if text is None else _duration_ticks(text, unit) for text in texts]
        spans = [np.timedelta64(tick, unit) for tick in ticks]
        return pd.array(np.array(spans, dtype=f"timedelta64[{unit}]"))
    if isinstance(target, np.dtype):
        return _moments(texts, unit).array
    late = np.array([INSTANT.fullmatch(text or "") is not None for text in texts], dtype=bool)
    pairs = zip(texts, late, strict=True)
    times = _moments([text[:-1] if text and z else text for text, z in pairs], unit)
    utc = times.tz_localize("UTC").tz_convert(target.tz)
    if not local:
        return utc.array
    return times.tz_localize(target.tz, **CLOCK_CHANGES).where(~late, utc).array


def _moments(texts: list[str | None], unit: Any) -> Any:
    """Times in ISO's order without a zone as a DatetimeIndex. ValueError where they are too far for the unit."""
    import pandas as pd

    plain = ["NaT" if text is None else text for text in texts]
    times = np.array(plain, dtype=f"datetime64[{unit}]")
    days = np.array(plain, dtype="datetime64[D]")
    if (times.astype("datetime64[D]") != days)[~np.isnat(days)].any():
        raise OverflowError("a time is too far for its unit")
    return pd.DatetimeIndex(times)


def _duration_ticks(text: str, unit: str) -> int:
    """A duration such as 01:30:00.5, or a number of ticks, in ticks. ValueError where it is neither."""
    found = DURATION_TEXT.fullmatch(text)
    if found is None:
        return _whole(text)
    size = 10 ** (3 * ("s", "ms", "us", "ns").index(unit))
    seconds = int(found[2]) * 3_600 + int(found[3]) * 60 + Decimal(found[4])
    ticks = _whole(str(seconds * size))
    return -ticks if found[1] else ticks


def in_ticks(texts: list[str], dtype: str) -> list[str]:
    """Durations as whole numbers of ticks of a type, which names its unit; others as they are."""
    unit = (search(r"\b(s|ms|us|ns)\b", dtype) or ["ns"])[0]
    timed = DURATION_TEXT.fullmatch
    return [str(_duration_ticks(text, unit)) if timed(text) else text for text in texts]


def _clocks(target: Any, texts: list[str | None]) -> Any:
    """Times of day as an array of one of Arrow's types."""
    import pandas as pd
    import pyarrow as pa

    kind = target.pyarrow_dtype
    ticks = [None if text is None else _duration_ticks(text, kind.unit) for text in texts]
    day = _duration_ticks("24:00:00", kind.unit)
    if not all(tick is None or 0 <= tick < day for tick in ticks):
        raise ValueError("a time of day is from 00:00 to 23:59")
    return pd.arrays.ArrowExtensionArray(
        pa.chunked_array([pa.array(ticks, _tick_type(kind)).cast(kind)])
    )
