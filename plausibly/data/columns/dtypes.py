"""Types of columns <-> their names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from re import fullmatch
from typing import Any

import numpy as np

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
