"""Texts -> typed cells, as arrays of pandas."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from re import ASCII, compile, search
from typing import Any

import numpy as np

from plausibly.data.columns.dtypes import CLOCK_CHANGES, OBJECT_PARSERS, dtype_named, plain_dtype

DURATION_TEXT = compile(r"(-?)(\d+):(\d\d):(\d\d(?:\.\d{1,9})?)", ASCII)
# a local time that comes twice, when the clock is put back, in UTC
INSTANT = compile(r"(.*\d)Z", ASCII)


def array_of_texts(dtype: str, texts: list[str | None], holes: bool, local: bool = False) -> Any:
    """A pandas array of `dtype` from texts; whole numbers and truths with holes take the nullable type."""
    import pandas as pd
    import pyarrow as pa

    target = _target_type(dtype, holes)
    arrow = getattr(target, "pyarrow_dtype", None)
    if arrow is not None and pa.types.is_time(arrow):
        return _clocks(target, texts)
    kind = getattr(target, "kind", "O")
    if kind in "mM":
        return _times(target, texts, local)
    is_decimal = arrow is not None and pa.types.is_decimal(arrow)
    read = Decimal if is_decimal else CELL_READERS.get(kind, str)
    cells: Any = [None if text is None else read(text) for text in texts]
    if isinstance(target, np.dtype):
        cells = np.array(cells, dtype=target)
    return pd.array(cells, dtype=target)


def _target_type(dtype: str, holes: bool) -> Any:
    """The type of that name, or the nullable one of whole numbers and truths with holes."""
    target = dtype_named(dtype)
    holeless = isinstance(target, np.dtype) and target.kind in "iub"
    return _nullable(target) if holeless and holes else target


def _nullable(target: Any) -> Any:
    """The nullable type of whole numbers or truths."""
    if target.kind == "b":
        return dtype_named("boolean")
    return dtype_named(target.name.replace("i", "I").replace("u", "U"))


def _whole(text: str) -> int:
    value = Decimal(text)
    if value != int(value):
        raise ValueError(f"{text} is not a whole number")
    return int(value)


CELL_READERS: dict[str, Callable[[str], Any]] = {
    "b": OBJECT_PARSERS["boolean"],
    "i": _whole,
    "u": _whole,
    "f": float,
}


def _times(target: Any, texts: list[str | None], local: bool) -> Any:
    import pandas as pd

    if isinstance(target, pd.ArrowDtype):
        plain = _times(plain_dtype(target.pyarrow_dtype), texts, local)
        return pd.Series(plain).astype(target).array
    unit: Any = np.datetime_data(target)[0] if isinstance(target, np.dtype) else target.unit
    if target.kind == "m":
        return _durations(texts, unit)
    if isinstance(target, np.dtype):
        return _moments(texts, unit).array
    return _zoned_times(target, unit, texts, local)


def _durations(texts: list[str | None], unit: Any) -> Any:
    import pandas as pd

    hole = np.timedelta64("NaT")
    ticks = [hole if t is None else np.timedelta64(_duration_ticks(t, unit), unit) for t in texts]
    return pd.array(np.array(ticks, dtype=f"timedelta64[{unit}]"))


def _zoned_times(target: Any, unit: Any, texts: list[str | None], local: bool) -> Any:
    """Times in a zone, each of which is written local or in UTC, those with a Z always in UTC."""
    twice = [text is not None and INSTANT.fullmatch(text) is not None for text in texts]
    utc = _moments(
        [text[:-1] if text and late else None for text, late in zip(texts, twice, strict=True)],
        unit,
    )
    wall = _moments([None if late else text for text, late in zip(texts, twice, strict=True)], unit)
    there = (
        wall.tz_localize(target.tz, **CLOCK_CHANGES)
        if local
        else wall.tz_localize("UTC").tz_convert(target.tz)
    )
    return there.where(
        ~np.array(twice, dtype=bool), utc.tz_localize("UTC").tz_convert(target.tz)
    ).array


def _moments(texts: list[str | None], unit: Any) -> Any:
    """Times in ISO's order without a zone as a DatetimeIndex. ValueError where they are too far for the unit."""
    import pandas as pd

    plain = ["NaT" if text is None else text for text in texts]
    times = np.array(plain, dtype=f"datetime64[{unit}]")
    seconds = np.array(plain, dtype="datetime64[D]")
    if (times.astype("datetime64[D]") != seconds)[~np.isnat(seconds)].any():
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
    return [
        str(_duration_ticks(text, unit)) if DURATION_TEXT.fullmatch(text) else text
        for text in texts
    ]


def _clocks(target: Any, texts: list[str | None]) -> Any:
    """Times of day as an array of one of Arrow's types."""
    import pandas as pd
    import pyarrow as pa

    kind = target.pyarrow_dtype
    whole = pa.int32() if pa.types.is_time32(kind) else pa.int64()
    ticks = [None if text is None else _duration_ticks(text, kind.unit) for text in texts]
    day = _duration_ticks("24:00:00", kind.unit)
    if not all(tick is None or 0 <= tick < day for tick in ticks):
        raise ValueError("a time of day is from 00:00 to 23:59")
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(ticks, whole).cast(kind)]))
