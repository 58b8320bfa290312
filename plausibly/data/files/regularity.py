"""Tells whether rows that are read and written again give the same file, byte for byte; and where not, why.

Every cell is the same in any case. A file may quote a cell in one line and not in another; and where it writes 1.50 beside
1.5, drawn rows have one of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from plausibly.data.columns.cell_types import texts_of
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.files.dialects import Dialect
from plausibly.data.formats.frame_container import FrameContainer

MAX_ROWS_CHECKED = 200_000  # looked at for how lines are written
CHARACTERS_SHOWN = 40  # characters of a line


class TextStart(NamedTuple):
    """The start of a text file: its suffix, some bytes, and the rows of their first lines."""

    suffix: str
    data: bytes
    first: Any


def describe_irregularities(start: TextStart, rows: int, table: FrameContainer) -> list[str]:
    """A note on what of a text file's bytes does not come back; none where all do, but for columns that are dropped.

    The start has more than its lines where these are not all `rows`.
    """
    some, dialect = start.first.iloc[:MAX_ROWS_CHECKED], table.dialect_for(start.suffix)
    note = _line(start.data, some, rows, dialect)
    return [f"not byte for byte: {note}"] if note else []


def describe_spellings(frame: Any, columns: Iterable[ModelledColumn]) -> list[str]:
    """Notes on those of some columns of a text file whose cells are not all spelled as those of drawn rows."""
    return [note for column in columns if (note := _spelling_note(column, frame[column.name]))]


def _line(data: bytes, some: Any, rows: int, dialect: Dialect) -> str:
    """The first line of which the same texts would be written otherwise, or nothing."""
    names = list(some)
    written = dialect.first_line(names) + dialect.lines(
        names, [series.array for _, series in some.items()]
    )
    if data == written or (len(some) < rows and data.startswith(written)):
        return ""
    return first_difference(data, written)


def first_difference(data: bytes, written: bytes, before: int = 0) -> str:
    """The first line, after so many `before` these, that is not as it will be written."""
    shared = len(_common(data, written))
    start, line = data.rfind(b"\n", 0, shared) + 1, data.count(b"\n", 0, shared) + 1
    here, there = (_until_newline(text, start) for text in (data, written))
    return f"line {before + line} {_difference(here, there, shared - start)}"


def _common(one: bytes, other: bytes) -> bytes:
    """The bytes that both begin with."""
    size = min(len(one), len(other))
    differs = np.flatnonzero(
        np.frombuffer(one, np.uint8, size) != np.frombuffer(other, np.uint8, size)
    )
    return one[: int(differs[0]) if len(differs) else size]


def _until_newline(text: bytes, start: int) -> bytes:
    end = text.find(b"\n", start)
    return text[start : len(text) if end < 0 else end + 1]


def _difference(here: bytes, there: bytes, place: int) -> str:
    """A phrase that says how a line is written, and how it would be."""
    if not here.strip():
        return "is blank"
    if here.rstrip(b"\r\n") == there.rstrip(b"\r\n"):
        return "ends otherwise than the first" if here.endswith(b"\n") else "does not end"
    start = max(0, place - CHARACTERS_SHOWN // 2)
    shown = [
        text[start : start + CHARACTERS_SHOWN].decode("utf-8", "replace").rstrip("\r\n")
        for text in (here, there)
    ]
    return f"has {shown[0]!r} where {shown[1]!r} will be written"


def _spelling_note(column: ModelledColumn, series: Any) -> str:
    """A note that counts a column's different texts spelled otherwise than in drawn rows, with one of them; or nothing."""
    if not column.measures:
        return ""
    texts = texts_of(series, column.name)[1]
    pairs = zip(texts, column.canonical(texts), strict=True)
    differs = [(here, there) for here, there in pairs if here != there]
    if not differs:
        return ""
    here, there = differs[0]
    count = f"{len(differs):,} of {len(texts):,} texts are"
    return f"column {column.name!r}: {count} not spelled as drawn ones will be, such as {here!r} for {there!r}"
