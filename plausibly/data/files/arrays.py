"""Files with arrays: npz (splits by name, bits packed or not), npy and idx. No pickles."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.files.dialects import Dialect
from plausibly.data.files.tables import TABLE_SUFFIXES, read_contents, read_table, write_text
from plausibly.errors import UserError, did_you_mean
from plausibly.system.files import delivering_file, suffix_of, writer_for

SPLITS = dict(
    train="train", training="train", valid="valid", val="valid", validation="valid", dev="valid", test="test", testing="test"
)  # fmt: skip
ROW_NAMES, LABEL_NAMES = (
    ("x", "data", "images", "features", "inputs"),
    ("y", "labels", "label", "targets", "target"),
)
NAME_PATTERN = re.compile(
    "(?P<role>{0})?_?(?P<split>{1})?_?(?P<after>{0})?".format(
        "|".join(ROW_NAMES + LABEL_NAMES), "|".join(SPLITS)
    )
)
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MAX_EXACT_INTEGER = 2**53  # whole numbers up to here are floats
TABLE_ADVICE = "give numbers or truths, one row an entry; texts, dates and columns of several types come as a DataFrame"


def as_array(rows: Any) -> np.ndarray:
    """An array of numbers, of a tensor too; what is masked or missing is NaN. UserError for anything else."""
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
    return array


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


def read_splits(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by the names of its splits, or one array by the name `all`."""
    if suffix_of(path) != "npz":
        return {"all": _read_single(path)}
    arrays = _read_npz(path)
    return _by_split(arrays) or {"all": _pick_only(arrays, path)}


def _pick_only(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """The one array of rows. UserError where a file holds none, or several."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if arrays:
        raise UserError(
            f"{path} holds the arrays {', '.join(arrays)}; name one: {path}:{next(iter(arrays))}"
        )
    others = ", ".join(_raw_npz(path))
    raise UserError(
        f"{path} holds no arrays of rows{others and f', but {others}; name one: {path}:NAME'}"
    )


def _by_split(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names are those of splits, if there are training rows among several."""
    found = {split: array for key, array in arrays.items() if (split := _role(key)[1])}
    return found if "train" in found and len(found) > 1 else {}


def omission_notes(path: Path, labelled: bool) -> list[str]:
    """Notes on all else that a file of splits, or of one array, holds; on labels only if they are not modelled."""
    if suffix_of(path) != "npz":
        return []
    raw, arrays = _raw_npz(path), _read_npz(path)
    labels = [key for key in raw if _role(key)[0] == "labels"]
    taken = [key for key in arrays if _role(key)[1]] if _by_split(arrays) else list(arrays)
    others = [key for key in raw if key not in (*taken, *labels) and not _is_shape(key, raw)]
    notes = []
    if labels and not labelled:
        names = ", ".join(labels)
        notes.append(f"the labels {names} beside the rows are not modelled; --context label does")
    if others:
        notes.append(f"left out of the file: {', '.join(others)}; {path}:NAME takes one alone")
    return notes


def read_labels(source: str) -> dict[str, np.ndarray]:
    """The labels beside the rows of an npz file, such as y_train, by split; `all` for a lone y. None: an empty dictionary."""
    path = Path(source.rpartition(":")[0] if is_part(source) else source)
    if suffix_of(path) != "npz":
        return {}
    found = {_role(key): array.ravel() for key, array in _raw_npz(path).items() if _is_whole(array)}
    return {split or "all": labels for (role, split), labels in found.items() if role == "labels"}


def _is_whole(array: np.ndarray) -> bool:
    """True where all entries are whole numbers."""
    return array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )


def _role(key: str) -> tuple[str, str]:
    """The role of an npz file's array by its name, rows or labels, and its split; empty where the name tells none."""
    named = NAME_PATTERN.fullmatch(key.lower())
    if not named or (named["role"] and named["after"]):
        return "rows", ""
    return "labels" if (named["role"] or named["after"]) in LABEL_NAMES else "rows", SPLITS.get(
        named["split"] or "", ""
    )


def read_one(source: str) -> np.ndarray:
    """One array of a file; `file.npz:NAME` names which. Of a table of numbers, a matrix."""
    if not is_part(source):
        return _read_whole(source)
    path, _, part = source.rpartition(":")
    if suffix_of(path) != "npz":
        raise UserError(f"{path} has no parts, so {part!r} names none; only npz files do")
    raw, arrays = _raw_npz(Path(path)), _read_npz(Path(path))
    named = {_role(key)[1] or key: array for key, array in arrays.items()} | arrays
    if part not in named and part not in raw:
        raise UserError(
            f"{path} has no array {part!r}{did_you_mean(part, named)}; it has {', '.join(arrays)}"
        )
    return named[part] if part in named else as_array(raw[part])


def _read_whole(path: str) -> np.ndarray:
    """The only array of a file. UserError where it has several splits."""
    if suffix_of(path) in TABLE_SUFFIXES:
        return read_matrix(Path(path))
    splits = read_splits(Path(path))
    if len(splits) > 1:
        names = ", ".join(f"{path}:{name}" for name in splits)
        raise UserError(f"{path} has several splits; name one: {names}")
    return next(iter(splits.values()))


def read_matrix(path: Path) -> np.ndarray:
    """The numbers of a table, a column an entry. UserError where a cell is none."""
    frame, _ = read_table(path)
    for name in frame:
        try:
            frame[name] = frame[name].astype("float64")
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}, column {name!r}: not all cells are numbers ({error})"
            ) from error
    return np.asarray(frame.to_numpy())


def is_part(source: str) -> bool:
    """True where a source names a part of a file, such as `digits.npz:test`."""
    path, mark, part = source.rpartition(":")
    named = bool(mark and part) and "/" not in part
    return named and not Path(source).exists() and Path(path).is_file()


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of rows in a file, bits unpacked; no labels, no descriptions."""
    raw = _raw_npz(path)
    kept = [key for key in raw if _role(key)[0] == "rows" and not _is_shape(key, raw)]
    found = {key: _unpack_bits(raw[key], raw.get(f"{key}_shape"), f"{path}:{key}") for key in kept}
    return {
        key: as_array(array)
        for key, array in found.items()
        if array.ndim and array.dtype.kind in "biuf"
    }


def _is_shape(key: str, raw: dict[str, np.ndarray]) -> bool:
    """True where an array tells the shape of packed bits beside it."""
    return key.endswith("_shape") and key.removesuffix("_shape") in raw


def _raw_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(read_contents(path)), allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
            return {
                key: array for key, array in found.items() if isinstance(array, np.ndarray)
            }  # others are bytes
    except Exception as error:  # zipfile, zlib, struct and numpy each raise their own
        raise UserError(f"{path} is not a whole npz file of plain arrays: {error}") from error


def _unpack_bits(array: np.ndarray, shape: np.ndarray | None, where: str) -> np.ndarray:
    """The bits that `np.packbits` packed, in their shape; an array without a shape as it is."""
    if shape is None:
        return array
    sides = tuple(int(side) for side in shape.ravel())
    if array.dtype != np.uint8 or min(sides, default=0) < 0 or int(np.prod(sides)) > 8 * array.size:
        raise UserError(f"{where}: {array.size} bytes do not hold bits of shape {sides}")
    return np.unpackbits(array.ravel(), count=int(np.prod(sides))).reshape(sides)


def _read_single(path: Path) -> np.ndarray:
    data = read_contents(path)
    if data[:2] == b"\0\0":
        return _read_idx(data, path)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, struct.error) as error:
        raise UserError(f"{path} is not a whole file with an array of numbers: {error}") from error
    try:
        return as_array(array)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _read_idx(data: bytes, path: Path) -> np.ndarray:
    """The idx form of LeCun's MNIST files: type, number of sides, sides, entries."""
    kind, sides = data[2], data[3]
    start = 4 + 4 * sides
    shape = struct.unpack(f">{sides}I", data[4:start]) if len(data) >= start else ()
    if kind not in IDX_TYPES or not sides or not shape:
        raise UserError(f"{path} is not an idx file")
    dtype = np.dtype(IDX_TYPES[kind])
    if len(data) - start != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise UserError(
            f"{path} is cut short: {len(data) - start} bytes do not hold an array of shape {shape}"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


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
