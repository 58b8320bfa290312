"""Typed cells <-> texts: what a table's column looked like before it was read, so that it can look so again.

Everything behind this module sees a column as a list of distinct texts and, for each row, which of them it
holds; so parsing runs once per distinct text whatever the column's type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from re import ASCII, compile, fullmatch, search
from typing import Any

import numpy as np

from plausibly.data.columns import dates
from plausibly.errors import UserError

LEAVE_OUT_HINT = "convert them to text or numbers, or leave the column out (--drop)"
OTHER_TEXT = "<other>"  # how a drawn value that the column did not foresee is shown
OBJECT_PARSERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "floating": float,
    "boolean": lambda text: {"True": True, "False": False}[text],
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
}
OBJECT_TIMES = {
    f"{word}{size}": word for word in ("datetime", "timedelta") for size in ("", "64")
}  # as objects
TIME_KINDS = ("date", "time", "duration")  # kinds of cells that have a form of dates and times
TEXT_DTYPES = compile(r"(large_)?string(_view)?|dictionary<values=(large_)?string(_view)?, .*|null")
DTYPE_MAXIMA = {"float16": 65_504, "halffloat": 65_504}  # the largest number
MAX_NS_SECONDS = 9_223_372_036  # seconds that 64 bits of nanoseconds reach
CLOCK_CHANGES: dict[str, Any] = {
    "ambiguous": True,
    "nonexistent": "shift_forward",
}  # of an hour that comes twice the first
DURATION_TEXT = compile(r"(-?)(\d+):(\d\d):(\d\d(?:\.\d{1,9})?)", ASCII)
INSTANT = compile(
    r"(.*\d)Z", ASCII
)  # a local time that comes twice, when the clock is put back, in UTC


@dataclass(frozen=True)
class Storage:
    """How a column was stored: a dtype's name and, for categorical ones, the categories.

    `kind` is text, bool, integer, float, decimal, date, time, duration or category; a text-like column in memory is
    `exact`: it has to come back letter by letter. Times in a zone are `local` or else in UTC.
    """

    dtype: str
    kind: str
    exact: bool = False
    none: bool = False  # holes of an object column are None, not NaN
    categories: tuple[str, ...] = ()
    inner: str = ""  # dtype of the categories
    ordered: bool = False
    local: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether the type says that cells are dates, times or durations."""
        return self.kind in TIME_KINDS

    @cached_property
    def zone(self) -> Any:
        """The time zone of the type, or None."""
        return (
            _zone(_dtype(self.dtype))
            if self.kind == "date" and not self.dtype.startswith("object")
            else None
        )

    def arrow(self, decimals: int) -> Any:
        """Arrow's type for the cells of a column of objects; None for any other, which says so itself."""
        import pyarrow as pa

        family, _, inner = self.dtype.partition(":")
        types = {
            "string": pa.string(),
            "integer": pa.int64(),
            "floating": pa.float64(),
            "boolean": pa.bool_(),
        }
        types |= {
            "date": pa.date32(),
            "time": pa.time64("us"),
            "decimal": pa.decimal128(38, decimals),
        }
        return types.get(inner) if family == "object" else None

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last second that a cell can hold, where that is less than any form says."""
        if self.kind == "time":
            return 0, 86_399
        return (
            (-MAX_NS_SECONDS, MAX_NS_SECONDS)
            if self.is_timed and search(r"\bns\b", self.dtype)
            else None
        )

    def limits(self, decimals: int) -> tuple[int, int] | None:
        """The least and the largest number of 10^-decimals that a cell can hold; None where the type sets none."""
        if digits := search(r"decimal\d+\((\d+), (-?\d+)\)", self.dtype):
            unit = Decimal(10) ** (decimals - int(digits[2]))
            largest = int((10 ** int(digits[1]) - 1) * unit)
            return -largest, largest
        if found := self.bounds:
            return found[0] * 10**decimals, found[1] * 10**decimals
        most = DTYPE_MAXIMA.get(self.dtype.removeprefix("arrow:"), 0)
        return (-most * 10**decimals, most * 10**decimals) if most else None

    def time_texts(self, times: Any, zone: Any = None) -> list[str]:
        """Texts of times, a DatetimeIndex without holes, in the zone of this column: in `zone` where it names none."""
        if times.tz is None:
            if self.zone is None or self.local:
                return _stamps(times)
            return _in_utc(times.tz_localize(self.zone, **CLOCK_CHANGES))
        if self.zone is None:
            return _stamps(times.tz_convert(zone or times.tz).tz_localize(None))
        return _local(times.tz_convert(self.zone)) if self.local else _in_utc(times)

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the largest whole number that a cell can hold; None where the type sets no bounds."""
        sized = search(r"\bu?int(8|16|32|64)\b", self.dtype.lower())
        if self.kind != "integer" or sized is None:
            return None
        found = np.iinfo(sized[0])
        return int(found.min), min(int(found.max), np.iinfo(np.int64).max)

    @property
    def cell_type(self) -> Any:
        """The dtype of a cell, of a categorical column that of its categories."""
        return _dtype(self.inner or self.dtype)

    def file_texts(self, texts: np.ndarray) -> np.ndarray:
        """Texts for a file, in which a drawn value that was not foreseen is a hole where cells are no texts."""
        textual = (
            self.dtype.startswith(("str", "nullable-string", "object:string", "arrow:"))
            and self.kind == "text"
        )
        return (
            texts
            if textual
            else np.array([None if text == OTHER_TEXT else text for text in texts], dtype=object)
        )

    def restore(self, texts: Any) -> Any:
        """A Series of this dtype from texts, None where there is a hole; plain text where a text does not fit."""
        import pandas as pd

        index, distinct = pd.factorize(texts)
        try:
            return self._cast(index, distinct)
        except (ValueError, TypeError, OverflowError, KeyError, ArithmeticError):
            if OTHER_TEXT in distinct:
                return self.restore(
                    np.array([None if text == OTHER_TEXT else text for text in texts], dtype=object)
                )
            return pd.Series(list(texts), dtype=None if len(texts) else "object")

    def _cast(self, index: np.ndarray, distinct: np.ndarray) -> Any:
        import pandas as pd

        holes = bool((index < 0).any())
        if self.kind == "category":
            places = np.array([self.categories.index(text) for text in distinct] + [-1])
            inner = _array(self.inner, list(self.categories), False)
            return pd.Series(
                pd.Categorical.from_codes(places[index], categories=inner, ordered=self.ordered)
            )
        if self.dtype.startswith("object"):
            cast = OBJECT_PARSERS[self.dtype.partition(":")[2]]
            cells = np.array([*map(cast, distinct), None if self.none else np.nan], dtype=object)
            return pd.Series(cells[index], dtype="object")
        extended = list(distinct) + ([None] if holes else [])
        return pd.Series(
            _array(self.dtype, extended, holes, self.local).take(index % max(len(extended), 1))
        )


def _array(dtype: str, texts: list[str | None], holes: bool, local: bool = False) -> Any:
    """A pandas array of `dtype` from texts; whole numbers and truths with holes take the nullable type."""
    import pandas as pd
    import pyarrow as pa

    target = _dtype(dtype)
    if isinstance(target, np.dtype) and target.kind in "iub" and holes:
        target = (
            _dtype("boolean")
            if target.kind == "b"
            else _dtype(target.name.replace("i", "I").replace("u", "U"))
        )
    kind = getattr(target, "kind", "O")
    if isinstance(target, pd.ArrowDtype) and pa.types.is_time(target.pyarrow_dtype):
        return _clocks(target, texts)
    if isinstance(target, pd.ArrowDtype) and pa.types.is_decimal(target.pyarrow_dtype):
        return pd.array([None if text is None else Decimal(text) for text in texts], dtype=target)
    if kind == "b":
        cells: list[Any] = [
            None if text is None else OBJECT_PARSERS["boolean"](text) for text in texts
        ]
    elif kind in "iu":
        cells = [None if text is None else _whole(text) for text in texts]
    elif kind == "f":
        cells = [None if text is None else float(text) for text in texts]
    elif kind in "mM":
        return _times(target, texts, local)
    else:
        cells = list(texts)
    if isinstance(target, np.dtype):
        return pd.array(np.array(cells, dtype=target), dtype=target)
    return pd.array(cells, dtype=target)


def _whole(text: str) -> int:
    value = Decimal(text)
    if value != int(value):
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def _times(target: Any, texts: list[str | None], local: bool) -> Any:
    import pandas as pd

    if isinstance(target, pd.ArrowDtype):
        return pd.Series(_times(_plain(target.pyarrow_dtype), texts, local)).astype(target).array
    unit: Any = np.datetime_data(target)[0] if isinstance(target, np.dtype) else target.unit
    if target.kind == "m":
        ticks = [
            np.timedelta64("NaT") if t is None else np.timedelta64(_duration_ticks(t, unit), unit)
            for t in texts
        ]
        return pd.array(np.array(ticks, dtype=f"timedelta64[{unit}]"))
    if isinstance(target, np.dtype):
        return _moments(texts, unit).array
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
    times, seconds = (
        np.array(plain, dtype=f"datetime64[{unit}]"),
        np.array(plain, dtype="datetime64[D]"),
    )
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


def _plain(arrow: Any) -> Any:
    """The dtype of pandas that holds the same times as one of Arrow's."""
    import pandas as pd

    unit, zone = getattr(arrow, "unit", "s"), getattr(arrow, "tz", None)  # dates have no unit
    if zone is not None:
        return pd.DatetimeTZDtype(unit, zone)
    return np.dtype(
        f"{'timedelta64' if str(arrow).startswith('duration') else 'datetime64'}[{unit}]"
    )


def _arrow(name: str) -> Any:
    """The type that prints as `name`."""
    import pyarrow as pa

    if zoned := fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name):
        return pa.timestamp(*zoned.groups())
    if coded := fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>", name):
        return pa.dictionary(_arrow(coded[2]), _arrow(coded[1]), coded[3] == "1")
    if precise := fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", name):
        return getattr(pa, precise[1])(int(precise[2]), int(precise[3]))
    return pa.type_for_alias(name)


def _dtype(name: str) -> Any:
    import pandas as pd

    family, _, detail = name.partition(":")
    if family == "object":
        return np.dtype(object)
    if family == "arrow":
        return pd.ArrowDtype(_arrow(detail))
    if family == "nullable-string":
        return pd.StringDtype(detail)
    if family == "str":
        return pd.Series(["a"]).dtype if detail == "" else pd.StringDtype(detail, na_value=np.nan)
    return pd.api.types.pandas_dtype(name)


def storage_of(series: Any, name: str) -> Storage:
    """How a column in memory is stored. UserError for what cannot be recorded."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        inner = pd.Series(dtype.categories)
        texts = tuple(texts_of(inner, name)[1])
        return Storage(
            "category",
            "category",
            True,
            False,
            texts,
            storage_of(inner, name).dtype,
            bool(dtype.ordered),
        )
    if isinstance(dtype, pd.StringDtype):
        family = "nullable-string" if dtype.na_value is pd.NA else "str"
        return Storage(f"{family}:{dtype.storage}", "text", True)
    if isinstance(dtype, pd.ArrowDtype):
        found = Storage(
            f"arrow:{dtype.pyarrow_dtype}", *_word(dtype.kind, str(dtype.pyarrow_dtype), name)
        )
        return replace(found, local=_local_is_plainer(series)) if found.zone is not None else found
    if dtype == np.dtype(object):
        return _object_storage(series, name)
    found = Storage(str(dtype), *_word(getattr(dtype, "kind", "O"), str(dtype), name))
    return replace(found, local=_local_is_plainer(series)) if found.zone is not None else found


def storage_kind(series: Any, name: str) -> str:
    """The kind that a column is stored as; of a categorical one that of its categories."""
    import pandas as pd

    series = unbox(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return storage_kind(pd.Series(series.dtype.categories), name)
    return (
        _object_storage(series, name).kind
        if series.dtype == np.dtype(object)
        else storage_of(series[:0], name).kind
    )


def _word(kind: str, dtype: str, name: str) -> tuple[str, bool]:
    words = {
        "b": "bool",
        "i": "integer",
        "u": "integer",
        "f": "float",
        "M": "date",
        "m": "duration",
    }
    if kind in words and not dtype.startswith("Sparse"):
        return words[kind], False
    if dtype.startswith(("decimal", "time")):
        return dtype[: 7 if dtype.startswith("decimal") else 4], False
    if TEXT_DTYPES.fullmatch(dtype):
        return "text", True
    raise UserError(
        f"column {name!r} holds {dtype} cells, which cannot be recorded; {LEAVE_OUT_HINT}"
    )


def _object_type(series: Any, name: str) -> str:
    """What the cells of a column of objects are. UserError where they are of no one type."""
    import pandas as pd

    found = pd.api.types.infer_dtype(series, skipna=True)
    found = "string" if found == "empty" else found
    if found not in OBJECT_PARSERS:
        mend = (
            f"give all of them one type, or {LEAVE_OUT_HINT}"
            if found.startswith("mixed")
            else LEAVE_OUT_HINT
        )
        mend = (
            f"pandas.to_{OBJECT_TIMES[found]} gives them theirs, or {LEAVE_OUT_HINT}"
            if found in OBJECT_TIMES
            else mend
        )
        raise UserError(f"column {name!r} holds {found} cells, which cannot be recorded; {mend}")
    return found


def _object_storage(series: Any, name: str) -> Storage:
    found = _object_type(series, name)
    holes = series[series.isna()]
    words = {"string": "text", "floating": "float", "boolean": "bool"}
    none = not len(holes) or holes.iloc[0] is None
    return Storage(f"object:{found}", words.get(found, found), found in ("string", "decimal"), none)


def unbox(series: Any) -> Any:
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
    import pyarrow as pa

    series = unbox(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        index, texts = (
            np.asarray(series.cat.codes, dtype=np.int64),
            texts_of(pd.Series(series.cat.categories), name)[1],
        )
        return index, texts
    if series.dtype == np.dtype(object):
        _object_type(series, name)  # refuses what has none
    index, distinct = pd.factorize(series)
    kind, arrow = getattr(series.dtype, "kind", "O"), getattr(series.dtype, "pyarrow_dtype", None)
    if (
        kind == "f"
    ):  # factorize and iteration widen small floats, whose shortest texts are then long
        return index, [
            cell_text(cell)
            for cell in np.asarray(
                distinct, dtype=getattr(series.dtype, "numpy_dtype", series.dtype)
            )
        ]
    if kind == "M":
        return index, (stamped or _in_utc)(_times_of(distinct))
    if kind == "m":
        spans = pd.TimedeltaIndex(distinct)
        return index, _spans(spans.asi8, spans.unit)
    if arrow is not None and pa.types.is_time(arrow):
        whole = pa.int32() if pa.types.is_time32(arrow) else pa.int64()
        return index, _spans(
            pa.array(distinct).cast(whole).to_numpy(zero_copy_only=False).astype(np.int64),
            arrow.unit,
        )
    return index, [cell_text(cell) for cell in distinct]


def _times_of(distinct: Any) -> Any:
    """A DatetimeIndex; pandas takes Arrow's times for such without a zone."""
    import pandas as pd

    times, zone = pd.DatetimeIndex(distinct), _zone(distinct.dtype)
    return (
        times if zone is None or times.tz is not None else times.tz_localize("UTC").tz_convert(zone)
    )


def _in_utc(times: Any) -> list[str]:
    return _stamps(times if times.tz is None else times.tz_convert("UTC").tz_localize(None))


def _stamps(naive: Any) -> list[str]:
    return [str(text) for text in np.datetime_as_string(naive.to_numpy(), unit=naive.unit)]


def _spans(ticks: np.ndarray, unit: str) -> list[str]:
    digits = 3 * ("s", "ms", "us", "ns").index(unit)
    return dates.format_ticks(ticks, "%H:%M:%S" + f".%{digits}f" * bool(digits))


def _zone(dtype: Any) -> Any:
    """The time zone of a type, or None."""
    return getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)


def _local(times: Any) -> list[str]:
    """Local times; the second of two that are alike, when the clock is put back, is written in UTC, with a Z."""
    wall = times.tz_localize(None)
    again = wall.tz_localize(times.tz, **CLOCK_CHANGES)
    late, utc = np.asarray(again != times), _in_utc(times)
    return [
        f"{z}Z" if twice else text for text, z, twice in zip(_stamps(wall), utc, late, strict=True)
    ]


def _local_is_plainer(series: Any) -> bool:
    """Whether times in their zone lie on a coarser lattice, such as whole days, than they do in UTC."""
    import pandas as pd

    times = _times_of(pd.factorize(series)[1])
    utc, wall = (each.tz_localize(None).asi8 for each in (times.tz_convert("UTC"), times))
    return len(times) > 0 and _coarseness(wall, times.unit) > _coarseness(utc, times.unit)


def _coarseness(ticks: np.ndarray, unit: str) -> tuple[int, int]:
    """The largest unit of time that divides all ticks, and the largest step between them."""
    digits = 3 * ("s", "ms", "us", "ns").index(unit)
    size = dates.tick_step(ticks, "%Y-%m-%dT%H:%M:%S" + f".%{digits}f" * bool(digits))[0]
    return size, int(np.gcd.reduce(ticks - ticks[0]))


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
