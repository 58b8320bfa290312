"""How a text file writes its cells: what separates them, and which are in quotes, learned from its first lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

BOM = b"\xef\xbb\xbf"
LOOKED_AT, FEW_WORDS = 1 << 18, 3  # bytes; texts without quotes among those with
NEEDY = re.compile(r"[\"\r\n]")


@dataclass(frozen=True)
class Dialect:
    """What separates cells and lines, and what is in quotes without need.

    quoted: the columns whose cells are, but for the texts `bare`, such as NA. header, holes: whether the names of the columns
    are, and empty cells. mark: whether a byte order mark begins the file.
    """

    delimiter: str = ","
    newline: str = "\n"
    quoted: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    header: bool = False
    holes: bool = False
    mark: bool = False

    def __post_init__(self) -> None:
        if self.delimiter not in (",", "\t", ";") or self.newline not in ("\n", "\r\n"):
            raise ValueError("cells are separated by comma, semicolon or tab, lines by \\n or \\r\\n")

    def first_line(self, names: Sequence[str]) -> bytes:
        """The header line, after the byte order mark where there is one."""
        cells = [self._written(name, self.header, len(names) == 1) for name in names]
        return BOM * self.mark + (self.delimiter.join(cells) + self.newline).encode("utf-8", "surrogatepass")

    def lines(self, names: Sequence[str], columns: Iterable[np.ndarray]) -> bytes:
        """The lines of rows, from the texts of each column; None is a hole."""
        cells = [self._column(name, texts, len(names) == 1) for name, texts in zip(names, columns, strict=True)]
        rows = map(self.delimiter.join, zip(*cells, strict=True))
        return "".join([row + self.newline for row in rows]).encode("utf-8", "surrogatepass")

    def _column(self, name: str, texts: np.ndarray, alone: bool) -> list[str]:
        import pandas as pd

        index, distinct = pd.factorize(texts)
        written = [self._written(text, name in self.quoted, alone) for text in [*distinct, ""]]
        return np.array(written, dtype=object)[index].tolist()

    def _written(self, text: str, own: bool, alone: bool) -> str:
        """A cell; one that is alone in its line is never nothing at all."""
        quotes = self.holes or alone if not text else own and text not in self.bare
        if quotes or self.delimiter in text or NEEDY.search(text):
            return '"' + text.replace('"', '""') + '"'
        return text


def learned(data: bytes, plain: Dialect) -> Dialect:
    """The dialect with the quotes of the first lines."""
    rows = _cells(data.removeprefix(BOM)[:LOOKED_AT].decode("utf-8", "ignore"), plain.delimiter)
    rows = rows if len(data) <= LOOKED_AT else rows[:-1]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return replace(plain, mark=data.startswith(BOM))
    names, cells = [_text(cell) for cell in rows[0]], [{*column} for column in zip(*rows[1:], strict=True)]
    quoted = {name: own for name, own in zip(names, cells, strict=True) if _in_quotes(own, plain)}
    bare = {cell for own in quoted.values() for cell in own if cell and cell[0] != '"'}
    every = set[str]().union(*cells)
    return replace(
        plain,
        quoted=tuple(quoted),
        bare=tuple(sorted(bare)),
        header=any(_needless(cell, plain) for cell in rows[0]),
        holes='""' in every and "" not in every and len(names) > 1,
        mark=data.startswith(BOM),
    )


def _cells(text: str, delimiter: str) -> list[list[str]]:
    """The cells of each line as they are written, quotes included; nothing where they are not to be told."""
    cell = re.compile(rf'("(?:[^"]|"")*"|[^"{delimiter}\r\n][^{delimiter}\r\n]*|)({delimiter}|\r?\n|\Z)')
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
    """Whether a cell is in quotes that it does not need."""
    return len(cell) > 2 and cell[0] == '"' and not NEEDY.search(cell[1:-1]) and plain.delimiter not in cell


def _in_quotes(cells: set[str], plain: Dialect) -> bool:
    """Whether all cells of a column are in quotes, but for a few words, and not because they need them."""
    bare = {cell for cell in cells if cell and cell[0] != '"'}
    again = {_text(cell) for cell in cells - bare}
    return any(_needless(cell, plain) for cell in cells) and len(bare) <= FEW_WORDS and not bare & again
