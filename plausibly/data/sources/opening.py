"""The one place where it is asked what a source is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plausibly.data.files.conversions import describe_conversion, find_form
from plausibly.data.files.tables import TEXT_SUFFIXES
from plausibly.data.sources.arrays import Array, ArrayFile, NpzFile
from plausibly.data.sources.built_in import BuiltIn
from plausibly.data.sources.columnar import ArrowFile, ParquetFile
from plausibly.data.sources.frames import Frame, as_table
from plausibly.data.sources.images import ImageFolder
from plausibly.data.sources.rows import naming
from plausibly.data.sources.source import FileSource, Source
from plausibly.data.sources.text import TextFile
from plausibly.data.toys.bits import BUILT_IN
from plausibly.errors import UserError, did_you_mean
from plausibly.system.files import refuse_name, refuse_streams, suffix_of

FILES: dict[str, type[FileSource]] = {
    **dict.fromkeys(TEXT_SUFFIXES, TextFile),
    "parquet": ParquetFile,
    **dict.fromkeys(("arrow", "feather"), ArrowFile),
    "npz": NpzFile,
    **dict.fromkeys(("npy", "idx", "ubyte"), ArrayFile),
}
SOURCES_HINT = "a .csv, .tsv, .parquet, .arrow, .npy, .npz or idx file (.gz too), a folder of images, or one of "


def open_source(source: Any) -> Source:
    """The source that a path (`file.npz:NAME` for one array), a built-in's name or rows in memory are.

    UserError lists what would work.
    """
    if not isinstance(source, str | Path):
        held = as_table(source)
        return Frame(held) if hasattr(held, "columns") and hasattr(held, "dtypes") else Array(held)
    text = str(source)
    if text.partition(":")[0] in BUILT_IN:
        return BuiltIn(text)
    path, part = split_part(text)
    kind = file_kind(path, text)
    if part and kind is not NpzFile:
        raise UserError(f"{path} has no parts, so {part!r} names none; only npz files do")
    return kind(text, path, part)


@contextmanager
def reading_source(source: Any) -> Iterator[Source]:
    """The source, whose name stands before what is wrong with its rows."""
    with naming(str(source) if isinstance(source, str | Path) else ""):
        yield open_source(source)


def split_part(text: str) -> tuple[Path, str]:
    """The path of a source, and the part of it that is named, such as `test` in `digits.npz:test`."""
    path, _, part = text.rpartition(":")
    named = path and part and "/" not in part and not Path(text).exists() and Path(path).is_file()
    return (Path(path), part) if named else (Path(text), "")


def file_kind(path: Path, text: str) -> type[FileSource]:
    """The kind of source that a file or folder is. UserError where it is none that can be read."""
    known = f"DATA is {SOURCES_HINT}{', '.join(BUILT_IN)}"
    if not path.exists():
        raise UserError(f"there is no {text!r}{did_you_mean(text, BUILT_IN)}; {known}")
    refuse_streams(path)
    if path.is_dir():
        return ImageFolder
    kind = FILES.get(suffix_of(path), ArrayFile if "ubyte" in path.name else None)
    if kind is None:
        raise UserError(
            f"{path.name} is of no form that can be read; {describe_conversion(path) or known}"
        )
    if kind is TextFile and (form := find_form(path)):
        raise UserError(f"{path} is no text: its first bytes are those of .{form}; name it so")
    if kind in (ParquetFile, ArrowFile):
        refuse_name(path)
    return kind
