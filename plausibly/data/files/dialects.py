"""Dialects of text files: what separates cells, and which are in quotes, learned from a file's first lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plausibly.data.columns.cell_types import factorize_texts

BOM = b"\xef\xbb\xbf"
SNIFF_BYTES = 1 << 18
MAX_BARE_WORDS = 3  # texts without quotes among those with
NEEDS_QUOTES = re.compile(r"[\"\r\n]")
SEPARATORS = (",", ";", "\t", "|")
# the line that Excel takes a separator from
SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """The marks that separate cells and lines, and what is in quotes without need.

    quoted: the columns whose cells are, but for the texts `bare`, such as NA. header, holes: whether the names of the columns
    are, and empty cells. mark: whether a byte order mark begins the file. said: whether a line `sep=;` does. gap: what
    stands behind each delimiter.
    """

    delimiter: str = ","
    newline: str = "\n"
    quoted: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    header: bool = False
    holes: bool = False
    mark: bool = False
    said: bool = False
    gap: str = ""

    def __post_init__(self) -> None:
        if (
            self.delimiter not in SEPARATORS
            or self.newline not in ("\n", "\r\n")
            or self.gap not in ("", " ")
        ):
            raise ValueError(
                "cells are separated by comma, semicolon, tab or bar, lines by \\n or \\r\\n"
            )

    def first_line(self, names: Sequence[str]) -> bytes:
        """The header line, after the byte order mark and the line `sep=` where there are such."""
        cells = [self._format_cell(name, self.header, len(names) == 1) for name in names]
        said = f"sep={self.delimiter}{self.newline}" * self.said
        line = said + (self.delimiter + self.gap).join(cells) + self.newline
        return BOM * self.mark + line.encode("utf-8", "surrogatepass")

    def lines(self, names: Sequence[str], columns: Iterable[Any]) -> bytes:
        """The lines of rows, from the texts of each column; None is a hole."""
        quoted = {*self.quoted}
        cells = [
            self._column(texts, name in quoted, len(names) == 1)
            for name, texts in zip(names, columns, strict=True)
        ]
        rows = map((self.delimiter + self.gap).join, zip(*cells, strict=True))
        return "".join([row + self.newline for row in rows]).encode("utf-8", "surrogatepass")

    def _column(self, texts: Any, quoted: bool, alone: bool) -> list[str]:
        index, distinct = factorize_texts(texts)
        written = [self._format_cell(text, quoted, alone) for text in [*distinct, ""]]
        return np.array(written, dtype=object)[index].tolist()

    def _format_cell(self, text: str, own: bool, alone: bool) -> str:
        """A cell; one that is alone in its line is never nothing at all."""
        quotes = self.holes or alone if not text else own and text not in self.bare
        if (
            quotes
            or self.delimiter in text
            or NEEDS_QUOTES.search(text)
            or (self.gap and text.startswith(" "))
        ):
            return '"' + text.replace('"', '""') + '"'
        return text


def sniff_dialect(data: bytes, tabs: bool = False) -> tuple[Dialect, int]:
    """The dialect of the first lines, quotes aside, and where the header begins; with `tabs` it is known what separates.

    What separates cells makes of the most rows as many as the header has; of several such it is what makes the most.
    """
    start = len(BOM) * data.startswith(BOM)
    said = SEPARATOR_LINE.match(data, start)
    body = data[said.end() if said else start :]
    line = body.partition(b"\n")[0]
    newline = "\r\n" if line.endswith(b"\r") else "\n"
    text = _whole_lines(body).decode("utf-8", "replace")
    fits = {mark: _fit(_rows(text, mark)) for mark in SEPARATORS}
    found = (
        said[1].decode() if said else "\t" if tabs else max(SEPARATORS, key=lambda mark: fits[mark])
    )
    gap = " " * _has_spaces(_rows(text, found, quotes=False))
    return Dialect(found, newline, mark=start > 0, said=said is not None, gap=gap), len(data) - len(
        body
    )


def _whole_lines(data: bytes) -> bytes:
    """The first lines, without one that is cut."""
    return data if len(data) <= SNIFF_BYTES else data[: data.rfind(b"\n", 0, SNIFF_BYTES) + 1]


def _rows(text: str, delimiter: str, quotes: bool = True) -> list[list[str]]:
    """The cells of the lines that are not blank; without `quotes` these are characters like any other."""
    options: dict[str, Any] = {"skipinitialspace": True} if quotes else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **options)
    rows = list[list[str]]()
    with suppress(csv.Error):  # a quote that is never closed
        rows.extend(row for row in reader if row)
    return rows


def _fit(rows: list[list[str]]) -> tuple[float, int]:
    """The share of rows that have as many cells as the header, 0 where that is one; and how many that is."""
    cells = len(rows[0]) if rows else 0
    fitting = sum(len(row) == cells for row in rows[1:]) if cells > 1 else 0
    return fitting / max(len(rows) - 1, 1), cells


def _has_spaces(rows: list[list[str]]) -> bool:
    """True where a space stands before each cell that is not the first of its line, or before a quote."""
    later = [cell for row in rows for cell in row[1:] if cell]
    spaced = len(later) > 0 and all(cell.startswith(" ") for cell in later)
    return spaced or any(re.match(r' +"', cell) for cell in later)


def without_gaps(data: bytes, dialect: Dialect) -> bytes:
    """The bytes without spaces behind delimiters, where these are no part of the cells."""
    if not dialect.gap:
        return data
    mark = re.escape(dialect.delimiter.encode())
    return re.sub(rb'("(?:[^"]|"")*")|(?<=' + mark + rb") +", lambda found: found[1] or b"", data)


def learn_dialect(data: bytes, plain: Dialect) -> Dialect:
    """The dialect with the quotes of the first lines, from the header on."""
    rows = _cells(data[:SNIFF_BYTES].decode("utf-8", "ignore"), plain.delimiter)
    rows = rows if len(data) <= SNIFF_BYTES else rows[:-1]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return plain
    cells = [{*column} for column in zip(*rows[1:], strict=True)]
    quoted = [place for place, own in enumerate(cells) if _in_quotes(own, plain)]
    bare = {cell for place in quoted for cell in cells[place] if cell and cell[0] != '"'}
    every = set[str]().union(*cells)
    return replace(
        plain,
        quoted=tuple(dict.fromkeys(_text(rows[0][place]) for place in quoted)),
        bare=tuple(sorted(bare)),
        header=any(_needless(cell, plain) for cell in rows[0]),
        holes='""' in every and "" not in every and len(cells) > 1,
    )


def _cells(text: str, delimiter: str) -> list[list[str]]:
    """The cells of each line as they are written, quotes included; nothing where they are not to be told."""
    mark = re.escape(delimiter)
    cell = re.compile(rf'("(?:[^"]|"")*"|[^"{mark}\r\n][^{mark}\r\n]*|)({mark}|\r?\n|\Z)')
    rows, place = [list[str]()], 0
    while place < len(text):
        found = cell.match(text, place)
        if found is None:
            return []
        rows[-1].append(found[1])
        place = found.end()
        if found[2] != delimiter:
            rows.append([])
    return [row for row in rows if row and (row != [""] or len(rows[0]) == 1)]


def _text(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell


def _needless(cell: str, plain: Dialect) -> bool:
    """True where a cell is in quotes that it does not need."""
    quoted = len(cell) > 2 and cell[0] == '"'
    return quoted and not NEEDS_QUOTES.search(cell[1:-1]) and plain.delimiter not in cell


def _in_quotes(cells: set[str], plain: Dialect) -> bool:
    """True where all cells of a column are in quotes, but for a few words, and not because they need them."""
    bare = {cell for cell in cells if cell and cell[0] != '"'}
    again = {_text(cell) for cell in cells - bare}
    return (
        any(_needless(cell, plain) for cell in cells)
        and len(bare) <= MAX_BARE_WORDS
        and not bare & again
    )
