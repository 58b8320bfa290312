"""Rows in memory that have named columns -> a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.files.arrow_tables import frame_of, with_index
from plausibly.errors import UserError


def as_table(source: Any) -> Any:
    """Rows in memory that have named columns as a DataFrame in the machine's order of bytes; whatever else as it is.

    That is a Series, a dictionary of columns, a list of dictionaries, an array of structures, and a table of Arrow, Polars
    and all other libraries that hand over Arrow's columns.
    """
    import pandas as pd

    if isinstance(source, str | Path):
        return source
    if isinstance(source, pd.DataFrame):
        return _with_native_bytes(source)
    if isinstance(source, pd.Series):
        return source.to_frame()
    try:
        if hasattr(source, "columns") and hasattr(source, "__arrow_c_stream__"):
            return _from_arrow(source)
        return _with_native_bytes(pd.DataFrame(source)) if _has_named_columns(source) else source
    except (ValueError, TypeError) as error:
        raise UserError(f"no table can be made of this {type(source).__name__}: {error}") from error


def _from_arrow(source: Any) -> Any:
    import pyarrow as pa

    return frame_of(with_index(pa.table(source)))


def _has_named_columns(source: Any) -> bool:
    """True of structures, dictionaries of columns and lists of dictionaries."""
    if isinstance(source, np.ndarray):
        return bool(source.dtype.names) and not isinstance(source, np.ma.MaskedArray)
    if isinstance(source, list | tuple):
        return len(source) > 0 and all(isinstance(row, Mapping) for row in source)
    # a sparse array of scipy's is a mapping of places
    return isinstance(source, Mapping) and not hasattr(source, "toarray")


def _with_native_bytes(frame: Any) -> Any:
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype == np.longdouble and dtype != np.float64:
            raise UserError(
                f"column {name!r}: numbers of type {dtype} would be rounded; give it as float64"
            )
    if all(map(_is_native, frame.dtypes)):
        return frame
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    for place, dtype in enumerate(frame.dtypes):
        if not _is_native(dtype):
            columns[place] = columns[place].astype(dtype.newbyteorder("="))
    return type(frame)(dict(enumerate(columns)), index=frame.index).set_axis(frame.columns, axis=1)


def _is_native(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype) or dtype.isnative
