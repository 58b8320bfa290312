"""The storage of a table's column before it was read, so that it can be stored so again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from re import compile, match, search
from typing import Any

import numpy as np

from plausibly.data.columns import cell_types
from plausibly.data.columns.date_forms import ISO_DATE, unit_form
from plausibly.errors import UserError

OTHER_TEXT = "<other>"  # how a drawn value that the column did not foresee is shown
TIME_KINDS = ("date", "time", "duration")  # kinds of cells that have a form of dates and times
TEXT_DTYPES = compile(r"(large_)?string(_view)?|dictionary<values=(large_)?string(_view)?, .*|null")
DTYPE_WORDS = {"b": "bool", "i": "integer", "u": "integer", "f": "float"}
DTYPE_WORDS |= {"M": "date", "m": "duration"}
OBJECT_WORDS = {"string": "text", "floating": "float", "boolean": "bool"}
DTYPE_MAXIMA = {"float16": 65_504, "halffloat": 65_504}  # the largest number
MAX_NS_SECONDS = 9_223_372_036  # seconds that 64 bits of nanoseconds reach


@dataclass(frozen=True)
class Storage:
    """The storage of a column: a dtype's name and, for categorical ones, the categories.

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
        """True where the type says that cells are dates, times or durations."""
        return self.kind in TIME_KINDS

    @cached_property
    def zone(self) -> Any:
        """The time zone of the type, or None."""
        if self.kind == "date" and not self.dtype.startswith("object"):
            return cell_types.dtype_zone(cell_types.dtype_named(self.dtype))
        return None

    def arrow(self, decimals: int) -> Any:
        """Arrow's type for the cells of a column of objects; None for any other, which says so itself."""
        import pyarrow as pa

        words = {"integer": "int64", "floating": "float64", "boolean": "bool", "date": "date32"}
        family, _, inner = self.dtype.partition(":")
        if family != "object":
            return None
        if inner == "decimal":
            return pa.decimal128(38, decimals)
        return pa.type_for_alias({"time": "time64[us]", **words}.get(inner, inner))

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last second that a cell can hold, where that is less than any form says."""
        if self.kind == "time":
            return 0, 86_399
        if self.is_timed and search(r"\bns\b", self.dtype):
            return (-MAX_NS_SECONDS, MAX_NS_SECONDS)
        return None

    def limits(self, decimals: int) -> tuple[int, int] | None:
        """The least and the largest number of 10^-decimals that a cell can hold; None where the type sets none."""
        if digits := search(r"decimal\d+\((\d+), (-?\d+)\)", self.dtype):
            largest = int((10 ** int(digits[1]) - 1) * Decimal(10) ** (decimals - int(digits[2])))
            return -largest, largest
        sized = search(r"\bu?int(8|16|32|64)\b", self.dtype.lower())
        if self.kind == "integer" and sized:
            ends = np.iinfo(sized[0])
            least, most = int(ends.min), min(int(ends.max), np.iinfo(np.int64).max)
        else:
            most = DTYPE_MAXIMA.get(self.dtype.removeprefix("arrow:"), 0)
            least = -most
        return (least * 10**decimals, most * 10**decimals) if most else None

    def time_texts(self, times: Any, zone: Any = None) -> list[str]:
        """Texts of times, a DatetimeIndex without holes, in the zone of this column: in `zone` where it names none."""
        if times.tz is None and self.zone is not None and not self.local:
            times = times.tz_localize(self.zone, **cell_types.CLOCK_CHANGES)
        elif times.tz is not None and self.zone is None:
            times = times.tz_convert(zone or times.tz).tz_localize(None)
        elif times.tz is not None and self.local:
            return cell_types.local_stamps(times.tz_convert(self.zone))
        return cell_types.in_utc(times)

    def file_texts(self, texts: np.ndarray) -> np.ndarray:
        """Texts for a file, in which a drawn value that was not foreseen is a hole where cells are no texts."""
        families = ("str", "nullable-string", "object:string", "arrow:")
        textual = self.kind == "text" and self.dtype.startswith(families)
        return texts if textual else _without_others(texts)

    def restore(self, texts: Any) -> Any:
        """A Series of this dtype from texts, None where there is a hole; plain text where a text does not fit."""
        import pandas as pd

        index, distinct = pd.factorize(texts)
        try:
            return self._cast(index, distinct)
        except (ValueError, TypeError, OverflowError, KeyError, ArithmeticError):
            if OTHER_TEXT in distinct:
                return self.restore(_without_others(texts))
            return pd.Series(list(texts), dtype=None if len(texts) else "object")

    def _cast(self, index: np.ndarray, distinct: np.ndarray) -> Any:
        import pandas as pd

        if self.kind == "category":
            places = np.array([*map(self.categories.index, distinct), -1])
            inner = cell_types.array_of_texts(self.inner, list(self.categories), False)
            cells = pd.Categorical.from_codes(places[index], inner, ordered=self.ordered)
        elif self.dtype.startswith("object"):
            parse = cell_types.OBJECT_PARSERS[self.dtype.partition(":")[2]]
            known = [*map(parse, distinct), None if self.none else np.nan]
            return pd.Series(np.array(known, dtype=object)[index], dtype="object")
        else:
            holes = bool((index < 0).any())
            texts = [*distinct, None] if holes else list(distinct)
            own = cell_types.array_of_texts(self.dtype, texts, holes, self.local)
            cells = own.take(index % max(len(texts), 1))
        return pd.Series(cells)


def _without_others(texts: Any) -> np.ndarray:
    """The texts, without those that stand for what no column foresees."""
    return np.array([None if text == OTHER_TEXT else text for text in texts], dtype=object)


def storage_of(series: Any, name: str) -> Storage:
    """The storage of a column in memory. UserError for what cannot be recorded."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        inner = pd.Series(dtype.categories)
        texts, stored = tuple(cell_types.texts_of(inner, name)[1]), storage_of(inner, name).dtype
        ordered = bool(dtype.ordered)
        return Storage("category", "category", True, False, texts, stored, ordered)
    if isinstance(dtype, pd.StringDtype):
        family = "nullable-string" if dtype.na_value is pd.NA else "str"
        return Storage(f"{family}:{dtype.storage}", "text", True)
    if dtype == np.dtype(object):
        return _object_storage(series, name)
    arrow = getattr(dtype, "pyarrow_dtype", None)
    text = str(dtype if arrow is None else arrow)
    word = _word(getattr(dtype, "kind", "O"), text, name)
    found = Storage(text if arrow is None else f"arrow:{text}", word, exact=word == "text")
    return replace(found, local=_local_is_plainer(series)) if found.zone is not None else found


def storage_kind(series: Any, name: str) -> str:
    """The kind that a column is stored as; of a categorical one that of its categories."""
    import pandas as pd

    if isinstance(series.dtype, pd.StringDtype):
        return "text"
    series = cell_types.unbox_objects(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return storage_kind(pd.Series(series.dtype.categories), name)
    is_object = series.dtype == np.dtype(object)
    return storage_of(series if is_object else series[:0], name).kind


def _word(kind: str, dtype: str, name: str) -> str:
    if kind in DTYPE_WORDS and not dtype.startswith("Sparse"):
        return DTYPE_WORDS[kind]
    if timed := match("decimal(?!32|64)|time", dtype):
        return timed[0]
    if TEXT_DTYPES.fullmatch(dtype):
        return "text"
    raise UserError(
        f"column {name!r} holds {dtype} cells, which cannot be recorded; {cell_types.LEAVE_OUT_HINT}"
    )


def _object_storage(series: Any, name: str) -> Storage:
    found = cell_types.object_type(series, name)
    holes = series[series.isna()]
    none = not len(holes) or holes.iloc[0] is None
    exact = found in ("string", "decimal")
    return Storage(f"object:{found}", OBJECT_WORDS.get(found, found), exact, none)


def _local_is_plainer(series: Any) -> bool:
    """True where times in their zone lie on a coarser lattice, such as whole days, than they do in UTC."""
    import pandas as pd

    times = cell_types.times_of(pd.factorize(series)[1])
    utc, wall = (each.tz_localize(None).asi8 for each in (times.tz_convert("UTC"), times))
    return len(times) > 0 and _coarseness(wall, times.unit) > _coarseness(utc, times.unit)


def _coarseness(ticks: np.ndarray, unit: str) -> tuple[int, int]:
    """The largest unit of time that divides all ticks, and the largest step between them."""
    size = unit_form(unit, f"{ISO_DATE}T").step(ticks)[0]
    return size, int(np.gcd.reduce(ticks - ticks[0]))
