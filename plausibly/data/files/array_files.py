"""Bytes of npy, npz and idx files -> arrays, whose sizes are checked before anything is unpacked. No pickles."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from plausibly.errors import UserError
from plausibly.system.memory import refuse_swelling

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MAX_HEADER_BYTES = 1 << 16  # of npy, which begins so
PIECE_BYTES = 1 << 20  # bytes that are unpacked at once
MAX_ARRAYS = 10_000  # in a file
NPY_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
NPZ_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # which unpack piece by piece


@contextmanager
def refusing_damage(name: object, kind: str) -> Iterator[None]:
    """Makes a UserError, in one line, of whatever a reader raises."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, struct, tokenize and numpy each raise their own
        reason = "".join(str(error).splitlines()[:1])[:200] or type(error).__name__
        raise UserError(
            f"{name} is not a whole {kind}: {reason}; write or fetch it again"
        ) from error


def parse_npy(data: bytes, path: Path) -> np.ndarray:
    """The array of an npy file, as it is."""
    with refusing_damage(path, "npy file with an array of numbers"):
        return _read_array(io.BytesIO(data), len(data))


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """The array in an npy file of so many bytes. ValueError where its header says another number."""
    head = io.BytesIO(file.read(MAX_HEADER_BYTES))
    shape, by_columns, dtype = _read_header(head)
    content = size - head.tell()
    if dtype.hasobject:
        raise ValueError("it holds objects, and no pickle is loaded")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != content:
        raise ValueError(f"{content:,} bytes do not hold {_describe(shape)} of {dtype}")
    file.seek(head.tell())
    array = _read_bytes(file, content).view(dtype)
    return array.reshape(shape, order="F" if by_columns else "C")


def _read_header(head: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The sides, True where columns come first, and the type. ValueError where it says no such things."""
    form = npy.read_magic(head)
    if form not in NPY_HEADERS:
        raise ValueError(f"form {form[0]}.{form[1]} is not read, and np.save writes 1.0")
    try:
        return NPY_HEADERS[form](head)
    except MemoryError as error:  # of Python's parser
        raise ValueError("its header is nested too deeply") from error


def _describe(shape: Sequence[int]) -> str:
    sides = " x ".join(map(str, shape[:4])) + (" x ..." if len(shape) > 4 else "")
    return f"an array of shape {sides or '()'}"


def _read_bytes(file: IO[bytes], count: int) -> np.ndarray:
    """The next bytes of a file, read piece by piece. EOFError where there are fewer."""
    found = np.empty(count, np.uint8)
    for start in range(0, count, PIECE_BYTES):
        piece = file.read(min(PIECE_BYTES, count - start))
        found[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
        if len(piece) < min(PIECE_BYTES, count - start):
            raise EOFError(f"it ends after {start + len(piece):,} of {count:,} bytes")
    return found


def parse_npz(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file by name, as they are."""
    with (
        refusing_damage(path, "npz file of plain arrays"),
        zipfile.ZipFile(io.BytesIO(data)) as archive,
    ):
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        _refuse_members(members, len(data), path)
        return {each.filename.removesuffix(".npy"): _read_member(archive, each) for each in members}


def _refuse_members(members: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    """UserError where arrays are too many, too large, or packed so that they cannot be read in pieces."""
    if len(members) > MAX_ARRAYS:
        raise UserError(
            f"{path} holds {len(members):,} arrays; one file has at most {MAX_ARRAYS:,}"
        )
    for each in members:
        if each.compress_type not in NPZ_PACKINGS:
            raise UserError(
                f"{path}:{each.filename} is not packed by deflate, as np.savez_compressed does"
            )
    unpacked = sum(each.file_size for each in members)
    refuse_swelling(path, size, unpacked, "np.savez writes it unpacked, if that is right")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return _read_array(file, member.file_size)


def parse_idx(data: bytes, path: Path) -> np.ndarray:
    """The array of an idx file, the form of LeCun's MNIST: type, number of sides, sides, entries."""
    with refusing_damage(path, "idx file"):
        kind, sides = data[2], data[3]
        shape = struct.unpack_from(f">{sides}I", data, 4)
        if kind not in IDX_TYPES or not sides:
            raise ValueError(f"type {kind}, {sides} sides")
        dtype, start = np.dtype(IDX_TYPES[kind]), 4 + 4 * sides
        if len(data) - start != prod(shape) * dtype.itemsize:
            raise ValueError(f"{len(data) - start:,} bytes do not hold {_describe(shape)}")
        entries = np.frombuffer(data, dtype, offset=start)
        return entries.reshape(shape).astype(dtype.newbyteorder("="))
