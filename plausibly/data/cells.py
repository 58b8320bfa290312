"""Typed cells <-> texts: what a table's column looked like before it was read, so that it can look so again.

Everything behind this module sees a column as a list of distinct texts and, for each row, which of them it
holds; so parsing runs once per distinct text whatever the column's type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from re import fullmatch, search
from typing import Any

import numpy as np

from plausibly.errors import UserError

OTHER_TEXT = "<other>"  # how a drawn value that the column did not foresee is shown
OBJECTS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "floating": float,
    "boolean": lambda text: {"True": True, "False": False}[text],
    "date": date.fromisoformat,
    "decimal": Decimal,
}


@dataclass(frozen=True)
class Storage:
    """How a column was stored: a dtype's name and, for categorical ones, the categories.

    `kind` is text, bool, integer, float, date, duration or category; a text-like column in memory is `exact`:
    it has to come back letter by letter.
    """

    dtype: str
    kind: str
    exact: bool = False
    none: bool = False  # holes of an object column are None, not NaN
    categories: tuple[str, ...] = ()
    inner: str = ""  # dtype of the categories
    ordered: bool = False

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

    def spoken(self, texts: np.ndarray) -> np.ndarray:
        """Texts for a file, in which a drawn value that was not foreseen is a hole where cells are no texts."""
        textual = self.dtype.startswith(("str", "nullable-string", "object:string", "arrow:")) and self.kind == "text"
        return texts if textual else np.array([None if text == OTHER_TEXT else text for text in texts], dtype=object)

    def restore(self, texts: Any) -> Any:
        """A Series of this dtype from texts, None where there is a hole; plain text where a text does not fit."""
        import pandas as pd

        index, distinct = pd.factorize(texts)
        try:
            return self._typed(index, distinct)
        except (ValueError, TypeError, OverflowError, KeyError, ArithmeticError):
            if OTHER_TEXT in distinct:
                return self.restore(np.array([None if text == OTHER_TEXT else text for text in texts], dtype=object))
            return pd.Series(list(texts), dtype=None if len(texts) else "object")

    def _typed(self, index: np.ndarray, distinct: np.ndarray) -> Any:
        import pandas as pd

        holes = bool((index < 0).any())
        if self.kind == "category":
            places = np.array([self.categories.index(text) for text in distinct] + [-1])
            inner = _array(self.inner, list(self.categories), False)
            return pd.Series(pd.Categorical.from_codes(places[index], categories=inner, ordered=self.ordered))
        if self.dtype.startswith("object"):
            cast = OBJECTS[self.dtype.partition(":")[2]]
            cells = np.array([*map(cast, distinct), None if self.none else np.nan], dtype=object)
            return pd.Series(cells[index], dtype="object")
        extended = list(distinct) + ([None] if holes else [])
        return pd.Series(_array(self.dtype, extended, holes).take(index % max(len(extended), 1)))


def _array(dtype: str, texts: list[str | None], holes: bool) -> Any:
    """A pandas array of `dtype` from texts; whole numbers and truths with holes take the nullable type."""
    import pandas as pd

    target = _dtype(dtype)
    if isinstance(target, np.dtype) and target.kind in "iub" and holes:
        target = _dtype("boolean") if target.kind == "b" else _dtype(target.name.replace("i", "I").replace("u", "U"))
    kind = getattr(target, "kind", "O")
    if kind == "b":
        cells: list[Any] = [None if text is None else OBJECTS["boolean"](text) for text in texts]
    elif kind in "iu":
        cells = [None if text is None else _whole(text) for text in texts]
    elif kind == "f":
        cells = [None if text is None else float(text) for text in texts]
    elif kind in "mM":
        return _times(target, texts)
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


def _times(target: Any, texts: list[str | None]) -> Any:
    import pandas as pd

    if isinstance(target, pd.ArrowDtype):
        return pd.Series(_times(_plain(target.pyarrow_dtype), texts)).astype(target).array
    unit: Any = np.datetime_data(target)[0] if isinstance(target, np.dtype) else target.unit
    if target.kind == "m":
        ticks = [np.timedelta64("NaT") if t is None else np.timedelta64(_whole(t), unit) for t in texts]
        return pd.array(np.array(ticks, dtype=f"timedelta64[{unit}]"))
    times = pd.DatetimeIndex(np.array(["NaT" if t is None else t for t in texts], dtype=f"datetime64[{unit}]"))
    return (times if isinstance(target, np.dtype) else times.tz_localize("UTC").tz_convert(target.tz)).array


def _plain(arrow: Any) -> Any:
    """The dtype of pandas that holds the same times as one of Arrow's."""
    import pandas as pd

    unit, zone = getattr(arrow, "unit", "s"), getattr(arrow, "tz", None)  # dates have no unit
    if zone is not None:
        return pd.DatetimeTZDtype(unit, zone)
    return np.dtype(f"{'timedelta64' if str(arrow).startswith('duration') else 'datetime64'}[{unit}]")


def _arrow(name: str) -> Any:
    """The type that prints as `name`."""
    import pyarrow as pa

    if zoned := fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name):
        return pa.timestamp(*zoned.groups())
    if coded := fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>", name):
        return pa.dictionary(_arrow(coded[2]), _arrow(coded[1]), coded[3] == "1")
    return pa.type_for_alias(name)


def _dtype(name: str) -> Any:
    import pandas as pd

    family, _, detail = name.partition(":")
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
        return Storage("category", "category", True, False, texts, storage_of(inner, name).dtype, bool(dtype.ordered))
    if isinstance(dtype, pd.StringDtype):
        family = "nullable-string" if dtype.na_value is pd.NA else "str"
        return Storage(f"{family}:{dtype.storage}", "text", True)
    if isinstance(dtype, pd.ArrowDtype):
        return Storage(f"arrow:{dtype.pyarrow_dtype}", *_word(dtype.kind, str(dtype.pyarrow_dtype), name))
    if dtype == np.dtype(object):
        return _object_storage(series, name)
    return Storage(str(dtype), *_word(getattr(dtype, "kind", "O"), str(dtype), name))


def _word(kind: str, dtype: str, name: str) -> tuple[str, bool]:
    words = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "M": "date", "m": "duration"}
    if kind in words:
        return words[kind], False
    if "string" in dtype:
        return "text", True
    raise UserError(f"column {name!r} holds {dtype} cells, which cannot be recorded; convert them to text or numbers")


def _object_type(series: Any, name: str) -> str:
    """What the cells of a column of objects are. UserError where they are of no one type."""
    import pandas as pd

    found = pd.api.types.infer_dtype(series, skipna=True)
    found = "string" if found == "empty" else found
    if found not in OBJECTS:
        raise UserError(f"column {name!r} holds {found} cells, which cannot be recorded; give all of them one type")
    return found


def _object_storage(series: Any, name: str) -> Storage:
    found = _object_type(series, name)
    holes = series[series.isna()]
    words = {"string": "text", "floating": "float", "boolean": "bool", "date": "text", "decimal": "text"}
    none = bool(len(holes)) and holes.iloc[0] is None
    return Storage(f"object:{found}", words.get(found, found), found in ("string", "decimal"), none)


def texts_of(series: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """For each row the index of its text, -1 for a hole, and the distinct texts."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        index, texts = np.asarray(series.cat.codes, dtype=np.int64), texts_of(pd.Series(series.cat.categories), name)[1]
        return index, texts
    if series.dtype == np.dtype(object):
        _object_type(series, name)  # refuses what has none
    index, distinct = pd.factorize(series)
    kind = getattr(series.dtype, "kind", "O")
    if kind == "f":  # factorize and iteration widen small floats, whose shortest texts are then long
        return index, [
            text_of(cell) for cell in np.asarray(distinct, dtype=getattr(series.dtype, "numpy_dtype", series.dtype))
        ]
    if kind == "M":
        return index, _stamps(distinct)
    if kind == "m":
        return index, [str(ticks) for ticks in pd.TimedeltaIndex(distinct).asi8]
    return index, [text_of(cell) for cell in distinct]


def _stamps(distinct: Any) -> list[str]:
    import pandas as pd

    times = pd.DatetimeIndex(distinct)
    naive = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    return [str(text) for text in np.datetime_as_string(naive.to_numpy(), unit=times.unit)]


def text_of(cell: Any) -> str:
    """The shortest text that reads back equal."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, float | np.floating):
        cell = cell + type(cell)(0)  # -0.0 equals 0.0
    return str(cell)
