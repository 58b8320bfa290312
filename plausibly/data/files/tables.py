"""Files of rows -> data frames. Cells of text files stay texts; an empty one is a hole."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from plausibly.data.files.dialects import Dialect
from plausibly.errors import UserError, count_phrase

TEXT_SUFFIXES = ("csv", "tsv", "txt")
UTF32 = b"\xff\xfe\x00\x00"
PROBE_BYTES = 1000  # bytes, for those that no text has
ICONV_ADVICE = "`iconv -f {} -t UTF-8` converts it"
UTF16_NOTE = "not byte for byte: the file is in UTF-16, and what is written is in UTF-8"
TABLE_SUFFIXES = (*TEXT_SUFFIXES, "parquet", "arrow", "feather")


def read_contents(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzipped. UserError where it cannot be read."""
    try:
        packed = path.read_bytes()
        return (
            gzip.decompress(packed)
            if packed[:2] == b"\x1f\x8b" or path.suffix.lower() == ".gz"
            else packed
        )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


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


def is_utf16(data: bytes) -> bool:
    """True where the mark of UTF-16 begins a file."""
    return data[:2] in (b"\xff\xfe", b"\xfe\xff") and data[:4] != UTF32


def as_utf8(data: bytes, path: Path) -> bytes:
    """A text file that a mark says is in UTF-16 in UTF-8; any other as it is. UserError where the mark is wrong."""
    if not is_utf16(data):
        return data
    try:
        return data.decode("utf-16").encode()
    except UnicodeError as error:
        raise UserError(
            f"{path} begins as UTF-16 does, but is not: {error}; write it as UTF-8"
        ) from error


def refuse_encoding(data: bytes, path: Path) -> None:
    """UserError with the first line that is not UTF-8, and what would convert the file."""
    some = data[:PROBE_BYTES]
    if data[:4] == UTF32 or 4 * some.count(0) > len(some):
        guess = "UTF-32" if data[:4] == UTF32 else "UTF-16LE" if 0 in some[1::2] else "UTF-16BE"
        raise UserError(f"{path} is not UTF-8; if it is {guess}, {ICONV_ADVICE.format(guess)}")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        guess = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "ISO-8859-1"
        where = f"line {line}, byte {error.start}"
        raise UserError(
            f"{path} is not UTF-8: {where}; if it is {guess}, {ICONV_ADVICE.format(guess)}"
        ) from error


def column_header(file: IO[bytes], dialect: Dialect, path: Path) -> list[str]:
    """The names of the columns. UserError where two are the same."""
    text = io.TextIOWrapper(
        file, encoding="utf-8", newline="", errors="surrogateescape"
    )  # reads on past the header
    header = next(csv.reader(text, delimiter=dialect.delimiter), [])
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise UserError(f"{path} has more than one column named {repeated[0]!r}; rename one")
    return header


def parse_options(dialect: Dialect, columns: int) -> Any:
    """The options by which Arrow tells cells and lines."""
    import pyarrow.csv

    return pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter, newlines_in_values=True, ignore_empty_lines=columns > 1
    )


def text_options(
    dialect: Dialect,
    columns: int,
    included: list[str] | None = None,
    block_bytes: int | None = None,
) -> dict[str, Any]:
    """The options by which Arrow reads cells as texts, of columns that are named by their places."""
    import pyarrow as pa
    import pyarrow.csv

    places = [str(place) for place in range(columns)]
    read = pyarrow.csv.ReadOptions(
        column_names=places, skip_rows_after_names=1, block_size=block_bytes
    )
    types = dict.fromkeys(places, pa.string())
    convert = pyarrow.csv.ConvertOptions(
        column_types=types, strings_can_be_null=False, include_columns=included
    )
    parse = parse_options(dialect, columns)
    return {"read_options": read, "parse_options": parse, "convert_options": convert}


def text_frame(names: list[str], table: Any) -> Any:
    """An Arrow table of texts as a frame in which an empty one is a hole."""
    import pandas as pd

    columns = [column.to_pandas() for column in table.columns]
    return pd.DataFrame(dict(zip(names, [c.mask(c == "") for c in columns], strict=True)))


def refuse_ragged(file: IO[bytes], header: list[str], dialect: Dialect, path: Path) -> None:
    """UserError with the number of the first line that does not fit the header."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", errors="surrogateescape")
    reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
    try:
        for row in reader:
            if row and len(row) != len(header):
                line = reader.line_num + dialect.said
                raise UserError(
                    f"{path}, line {line}: {count_phrase(len(row), 'cell')}, but the header has {len(header)}"
                )
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num + dialect.said}: {error}") from error


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
