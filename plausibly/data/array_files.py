"""Files with arrays: npz (splits by name, bits packed or not), npy and idx. No pickles."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.dialects import Dialect
from plausibly.data.formats import did_you_mean, suffix_of, writer_for
from plausibly.data.reading import TABLE_SUFFIXES, contents, read_table, write_text
from plausibly.errors import UserError
from plausibly.files import replacing

SPLITS = dict(train="train", training="train", valid="valid", val="valid", validation="valid", test="test")
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def as_array(rows: Any) -> np.ndarray:
    """An array of numbers, of a tensor too. UserError for anything else."""
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu()
        rows = (rows.float() if rows.dtype is torch.bfloat16 else rows).numpy()
    array = np.asarray(rows)
    if array.dtype.kind in "biuf" and array.ndim == 0:
        raise UserError("a single number has no rows; give an array of them")
    if array.dtype.kind not in "biuf":
        raise UserError(f"an array of {array.dtype} cannot be modelled; give numbers or truths, one row an entry")
    return array


def read_splits(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by the names of its splits, or one array by the name `all`."""
    if suffix_of(path) != "npz":
        return {"all": _read_single(path)}
    arrays = _read_npz(path)
    splits = {split: array for key, array in arrays.items() if (split := _split_name(key))}
    if "train" in splits and len(splits) > 1:
        return splits
    if not arrays:
        raise UserError(f"{path} holds no arrays")
    if len(arrays) != 1:
        raise UserError(f"{path} holds the arrays {', '.join(arrays)}; name one: {path}:{next(iter(arrays))}")
    return {"all": next(iter(arrays.values()))}


def read_labels(source: str) -> dict[str, np.ndarray]:
    """The labels beside the rows of an npz file, such as y_train, by split; `all` for a lone y. None: an empty dictionary."""
    path = Path(source.rpartition(":")[0] if is_part(source) else source)
    if suffix_of(path) != "npz":
        return {}
    raw = _raw_npz(path)
    found = {
        key.lower().removeprefix("y").strip("_"): array for key, array in raw.items() if key.lower().startswith("y")
    }
    return {
        SPLITS.get(word, word or "all"): array.ravel() for word, array in found.items() if array.dtype.kind in "biu"
    }


def _split_name(key: str) -> str | None:
    word = key.lower().removeprefix("x_").removeprefix("x").removesuffix("_x")
    return SPLITS.get(word)


def read_one(source: str) -> np.ndarray:
    """One array of a file; `file.npz:NAME` names which. Of a table of numbers, a matrix."""
    path, _, part = source.rpartition(":") if is_part(source) else (source, "", "")
    if not part and suffix_of(path) in TABLE_SUFFIXES:
        return read_matrix(Path(path))
    if not part:
        splits = read_splits(Path(path))
        if len(splits) > 1:
            raise UserError(f"{path} has several splits; name one: " + ", ".join(f"{path}:{name}" for name in splits))
        return next(iter(splits.values()))
    if suffix_of(path) != "npz":
        raise UserError(f"{path} has no parts, so {part!r} names none; only npz files do")
    arrays = _read_npz(Path(path))
    named = arrays | {_split_name(key) or key: array for key, array in arrays.items()}
    if part not in named:
        raise UserError(f"{path} has no array {part!r}{did_you_mean(part, named)}; it has {', '.join(arrays)}")
    return named[part]


def read_matrix(path: Path) -> np.ndarray:
    """The numbers of a table, a column an entry. UserError where a cell is none."""
    frame, _ = read_table(path)
    for name in frame:
        try:
            frame[name] = frame[name].astype("float64")
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}, column {name!r}: not all cells are numbers ({error})") from error
    return np.asarray(frame.to_numpy())


def is_part(source: str) -> bool:
    """Whether a source names a part of a file, such as `digits.npz:test`."""
    path, mark, part = source.rpartition(":")
    return bool(mark and part and "/" not in part and not Path(source).exists() and Path(path).is_file())


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of rows in a file, bits unpacked; no labels, no descriptions."""
    raw = _raw_npz(path)
    kept = [k for k in raw if k != "meta" and not k.lower().startswith("y") and not k.endswith("_shape")]
    found = {key: _unpacked(raw[key], raw.get(f"{key}_shape"), f"{path}:{key}") for key in kept}
    return {key: as_array(array) for key, array in found.items() if array.ndim and array.dtype.kind in "biuf"}


def _raw_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(contents(path)), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # zipfile, zlib, struct and numpy each raise their own
        raise UserError(f"{path} is not a whole npz file of plain arrays: {error}") from error


def _unpacked(array: np.ndarray, shape: np.ndarray | None, where: str) -> np.ndarray:
    """The bits that `np.packbits` packed, in their shape; an array without a shape as it is."""
    if shape is None:
        return array
    sides = tuple(int(side) for side in shape.ravel())
    if array.dtype != np.uint8 or min(sides, default=0) < 0 or int(np.prod(sides)) > 8 * array.size:
        raise UserError(f"{where}: {array.size} bytes do not hold bits of shape {sides}")
    return np.unpackbits(array.ravel(), count=int(np.prod(sides))).reshape(sides)


def _read_single(path: Path) -> np.ndarray:
    data = contents(path)
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
        raise UserError(f"{path} is cut short: {len(data) - start} bytes do not hold an array of shape {shape}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_rows(rows: Any, path: Path, further: Mapping[str, Callable[..., None]] = MappingProxyType({})) -> None:
    """Writes an array to a file whose suffix says how, whole or not at all; `further` ways besides those for all arrays."""
    writer = writer_for(path, array_writers() | dict(further))
    with replacing(path) as draft:
        writer(np.asarray(rows), draft)


def array_writers() -> dict[str, Callable[..., None]]:
    """How arrays are written, by suffix."""
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
