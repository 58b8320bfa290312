"""Where rows come from: is it there, is it a table, and what is it called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plausibly.data.files import arrays as array_files
from plausibly.data.files import images
from plausibly.data.files import tables as reading
from plausibly.data.toys import bits
from plausibly.errors import UserError, did_you_mean
from plausibly.system.files import refuse_streams, suffix_of

ARRAY_SUFFIXES = ("npz", "npy", "idx", "ubyte")
SOURCES_HINT = "a .csv, .tsv, .parquet, .arrow, .npy, .npz or idx file (.gz too), a folder of images, or one of "


def source_fingerprint(source: str) -> str:
    """SHA-256 of a file, or of a folder's images; the name of what is built in."""
    if source.partition(":")[0] in bits.BUILT_IN:
        return source
    path = existing_path(source)
    return reading.file_fingerprint(path, images.find_images(path)[0] if path.is_dir() else ())


def is_table(source: Any) -> bool:
    """True of a source that holds named columns. UserError where there is no such source."""
    if isinstance(source, str):
        return (
            source.partition(":")[0] not in bits.BUILT_IN
            and suffix_of(existing_path(source)) in reading.TABLE_SUFFIXES
        )
    return hasattr(source, "columns") and hasattr(source, "dtypes")


def existing_path(source: str) -> Path:
    """The path of a source that can be read. UserError lists what would work."""
    path = Path(source.rpartition(":")[0] if array_files.is_part(source) else source)
    known = ", ".join(bits.BUILT_IN)
    if not path.exists():
        hint = did_you_mean(source, bits.BUILT_IN)
        raise UserError(f"there is no {source!r}{hint}; DATA is {SOURCES_HINT}{known}")
    refuse_streams(path)
    named = (*reading.TABLE_SUFFIXES, *ARRAY_SUFFIXES)
    if path.is_file() and suffix_of(path) not in named and "ubyte" not in path.name:
        raise UserError(
            f"{path.name} is of no form that can be read; DATA is {SOURCES_HINT}{known}"
        )
    return path


@contextmanager
def naming_source(source: Any) -> Iterator[None]:
    """Puts the file's name before what is wrong with its rows, unless it is there."""
    try:
        yield
    except UserError as error:
        if not isinstance(source, str | Path) or str(source) in str(error):
            raise
        raise UserError(
            f"{source}{', ' if str(error).startswith('row ') else ': '}{error}"
        ) from error


def source_name(source: Any) -> str:
    if isinstance(source, str):
        return Path(source).name.partition(".")[0]
    return type(source).__name__.lower()


def source_text(source: Any) -> str:
    return source if isinstance(source, str) else f"<{type(source).__name__} in memory>"


def source_digest(source: Any, rows: Any, given: dict[str, Any]) -> str:
    """SHA-256 of the source's contents, and of the files that came with it."""
    named = (
        source_fingerprint(str(part)) if isinstance(part, str | Path) else _one_digest(part, part)
        for part in given.values()
    )
    parts = [_one_digest(source, rows), *named]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _one_digest(source: Any, rows: Any) -> str:
    if isinstance(source, str | Path) and str(source).partition(":")[0] not in bits.BUILT_IN:
        return source_fingerprint(str(source))
    if hasattr(rows, "columns"):
        return reading.frame_fingerprint(rows)
    array = array_files.as_array(rows)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()
