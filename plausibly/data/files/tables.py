"""Bytes of files, in and out, and what tells one content from another."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from plausibly.data.files.dialects import Dialect
from plausibly.errors import UserError
from plausibly.system.memory import refuse_bomb, refuse_swelling

GZIP_MARK = b"\x1f\x8b"
GUNZIP_ADVICE = "gunzip it, if that is right"
PIECE_BYTES = 16 << 20  # bytes that are unpacked at once
TEXT_SUFFIXES = ("csv", "tsv", "txt")
UTF16_NOTE = "not byte for byte: the file is in UTF-16, and what is written is in UTF-8"
TABLE_SUFFIXES = (*TEXT_SUFFIXES, "parquet", "arrow", "feather")


def read_contents(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzipped. UserError where it cannot be read, or swells beyond memory."""
    with explaining_gzip(path):
        size = path.stat().st_size
        refuse_swelling(path, size, size, "free some, or give a smaller file")
        packed = path.read_bytes()
        gzipped = packed[:2] == GZIP_MARK or path.suffix.lower() == ".gz"
        return unpack_gzip(packed, path) if gzipped else packed


@contextmanager
def explaining_gzip(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file that may be gzipped into one line."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def unpack_gzip(packed: bytes, path: Path) -> bytes:
    """The bytes that were gzipped, unpacked piece by piece. UserError as soon as they swell as no data do."""
    whole, source = io.BytesIO(), io.BytesIO(packed)
    with gzip.open(source) as file:
        while piece := file.read(PIECE_BYTES):
            whole.write(piece)
            refuse_swelling(path, source.tell(), whole.tell(), GUNZIP_ADVICE)
    return whole.getvalue()


@contextmanager
def open_contents(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked as they are read where it is gzipped. UserError where it is broken, or swells."""
    with explaining_gzip(path), open(path, "rb") as packed:
        gzipped = packed.read(2) == GZIP_MARK or path.suffix.lower() == ".gz"
        packed.seek(0)
        if not gzipped:
            yield packed
            return
        with gzip.open(packed) as plain:
            yield io.BufferedReader(Unpacking(plain, path))


class Unpacking(io.RawIOBase):
    """Bytes that are counted as they are unpacked. UserError as soon as they are more than any data become."""

    def __init__(self, plain: gzip.GzipFile, path: Path) -> None:
        self.plain, self.path, self.packed_bytes = plain, path, path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.plain.readinto(buffer)
        refuse_bomb(self.path, self.packed_bytes, self.plain.tell(), GUNZIP_ADVICE)
        return size


def file_fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    return str(_sha256(path).hexdigest())


def folder_fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of some files of a folder."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(folder)).encode() + b"\0")
        digest.update(_sha256(file).digest())
    return digest.hexdigest()


def _sha256(path: Path) -> Any:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256")


def write_text(header: list[str], columns: list[np.ndarray], dialect: Dialect, path: Path) -> None:
    """Writes texts (None: a hole) as a table, gzipped where the path says so."""
    data = dialect.first_line(header) + dialect.lines(header, columns)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def frame_fingerprint(frame: Any) -> str:
    """SHA-256 of a frame's names, types and cells."""
    import pandas as pd

    digest = hashlib.sha256(
        repr([(str(name), str(dtype)) for name, dtype in frame.dtypes.items()]).encode()
    )
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()
