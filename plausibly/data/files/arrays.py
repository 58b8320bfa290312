"""Arrays of numbers out of whatever holds them, and files of arrays that are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.files.dialects import Dialect
from plausibly.data.files.tables import write_text
from plausibly.errors import UserError
from plausibly.system.files import delivering_file, suffix_of, writer_for

MAX_EXACT_INTEGER = 2**53  # whole numbers up to here are floats
TABLE_ADVICE = "give numbers or truths, one row an entry; texts, dates and columns of several types come as a DataFrame"


def as_array(rows: Any) -> np.ndarray:
    """An array of numbers in the machine's order of bytes, of a tensor too; what is masked or missing is NaN.

    UserError for anything else.
    """
    array = _array(rows)
    if array.dtype.kind == "O":
        array = _plain(array)
    if isinstance(array, np.ma.MaskedArray):
        array = _with_holes(np.asarray(array), np.ma.getmaskarray(array))
    if array.dtype.kind in "biuf" and array.ndim == 0:
        raise UserError("a single number has no rows; give an array of them")
    if array.dtype.kind not in "biuf":
        raise UserError(f"an array of {array.dtype} cannot be modelled; {TABLE_ADVICE}")
    if array.dtype.itemsize > 8:
        raise UserError(
            f"numbers of type {array.dtype} would be rounded; give rows.astype('float64')"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _array(rows: Any) -> np.ndarray:
    """Rows as an array of whatever type, masked where they are."""
    if hasattr(rows, "toarray"):
        raise UserError(f"a sparse {type(rows).__name__} cannot be modelled; give rows.toarray()")
    try:
        return _unwrap(rows)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"no array can be made of this {type(rows).__name__} ({reason}); {TABLE_ADVICE}"
        ) from error


def _unwrap(rows: Any) -> np.ndarray:
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu().resolve_conj()
        return np.asarray((rows.float() if rows.dtype is torch.bfloat16 else rows).numpy())
    parts = rows if isinstance(rows, list | tuple) else [rows]
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    return np.ma.asarray(rows) if masked else np.asarray(rows)


def _plain(cells: np.ndarray) -> np.ndarray:
    """The numbers that objects are, masked where they are None or NA. UserError where one is no number."""
    import pandas as pd

    hidden = np.ma.getmaskarray(cells) | pd.isna(np.asarray(cells))
    numbers = _numbers_of(np.asarray(cells)[~hidden])
    whole = np.zeros(cells.shape, numbers.dtype)
    whole[~hidden] = numbers
    return np.ma.MaskedArray(whole, hidden)


def _numbers_of(known: np.ndarray) -> np.ndarray:
    """Objects as numbers of one type. UserError where one is no number, or is too large for it."""
    types = int | float | np.bool_ | np.integer | np.floating
    odd = [cell for cell in known.flat if not isinstance(cell, types)]
    if odd or not known.size:
        held = type(odd[0]).__name__ if odd else "no"
        raise UserError(f"an array of objects with {held} cells cannot be modelled; {TABLE_ADVICE}")
    numbers = np.array(known.tolist())
    if numbers.dtype.kind == "O" or not (numbers.astype(object) == known).all():
        raise UserError(
            "an array of objects holds whole numbers too large for one type; give a DataFrame"
        )
    return numbers


def _with_holes(array: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The array with NaN where it is hidden. UserError where floats cannot hold the others."""
    if not hidden.any() or array.dtype.kind not in "biuf":
        return array
    if (
        array.dtype.kind in "iu"
        and (np.abs(array[~hidden].astype(np.float64)) > MAX_EXACT_INTEGER).any()
    ):
        raise UserError(
            f"masked {array.dtype} numbers beyond 2^53 would be rounded; give a DataFrame with Int64 columns"
        )
    return np.where(hidden, np.nan, array).astype(
        array.dtype if array.dtype.kind == "f" else np.float64
    )


def write_rows(
    rows: Any, path: Path, further: Mapping[str, Callable[..., None]] = MappingProxyType({})
) -> None:
    """Writes an array to a file whose suffix says how, whole or not at all; `further` ways besides those for all arrays."""
    writer = writer_for(path, array_writers() | dict(further))
    with delivering_file(path) as draft:
        writer(np.asarray(rows), draft)


def array_writers() -> dict[str, Callable[..., None]]:
    """The functions that write arrays, by suffix."""
    return {"npz": _write_npz, "npy": _write_npy, "csv": _write_csv, "tsv": _write_csv}


def _write_npz(rows: np.ndarray, path: Path) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, rows=rows)


def _write_npy(rows: np.ndarray, path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, rows)


def _write_csv(rows: np.ndarray, path: Path) -> None:
    flat = rows.reshape(len(rows), -1)
    columns = [np.array([str(value) for value in column], dtype=object) for column in flat.T]
    delimiter = "\t" if suffix_of(path) == "tsv" else ","
    write_text([str(place) for place in range(flat.shape[1])], columns, Dialect(delimiter), path)
