"""Tables laid out to a width, in which no word is broken.

What is too wide for its table goes elsewhere: long texts under their row, numbers into a further table of the same rows.
Only a word that is wider than what there is of the line is cut, and ends in `…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from plausibly.printing import INDENT, fill, wrap

GAP = 2  # spaces between columns
MAX_NAME = 32  # width of a word in the first column, unless half the table is more
MAX_SHORT = 24  # width of a cell that stays on one line
NUMBER = re.compile(r"best|no |none|[<>=~]*\s*[+-]?[\d.]")


class DrawnTable(NamedTuple):
    """The lines of a table's heading, and of its rows."""

    head: list[str]
    body: list[str]


def cut(text: str, width: int) -> str:
    """The text with words that are wider than the width cut to it."""
    return " ".join(
        word if cell_len(word) <= width else chop_cells(word, max(width - 1, 1))[0] + "…"
        for word in text.split(" ")
    )


def split_cell(text: str) -> list[str]:
    """The parts of a cell that stay on one line: words, or of a short one all but its standard error."""
    return re.split(" (?=±)", text) if cell_len(text) <= MAX_SHORT else text.split()


class Column:
    """A heading with its cells, and the widths that these take: on one line, and at least."""

    def __init__(self, heading: str, cells: Sequence[str]) -> None:
        self.heading = heading
        self.cells = cells
        self.natural = max(map(cell_len, (heading, *cells)))
        words = [heading.split(), *map(split_cell, cells)]
        self.least = max((cell_len(word) for each in words for word in each), default=0)
        self.is_long = any(cell_len(cell) > MAX_SHORT for cell in cells)
        self.is_number = not self.is_long and all(NUMBER.match(cell) for cell in cells if cell)

    def cut(self, width: int) -> Column:
        """The column with words no wider than that."""
        return Column(cut(self.heading, width), [cut(cell, width) for cell in self.cells])

    def lines(self, words: Sequence[str], width: int, right: bool) -> list[str]:
        """The words as lines of that width."""
        spaced = ((line, " " * (width - cell_len(line))) for line in fill(words, width))
        return [space + line if right else line + space for line, space in spaced]


def lay_out(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Iterator[DrawnTable]:
    """The tables that the columns take, one below the other."""
    columns = [
        Column(heading, [row[place] for row in rows]) for place, heading in enumerate(headings)
    ]
    columns[0] = columns[0].cut(max(MAX_NAME, width // 2))
    beside, below = set_aside(columns, width)
    for number, group in enumerate(split(beside, width)):
        yield draw(group, [] if number else below, width)


def set_aside(columns: list[Column], width: int) -> tuple[list[Column], list[Column]]:
    """The columns that stand side by side, and the long texts that stand under their rows, as few as will do."""
    beside, below = list(columns), list[Column]()
    for column in reversed(columns[1:]):
        if fits(beside, width):
            break
        if column.is_long:
            beside.remove(column)
            below.insert(0, column)
    return beside, below


def fits(columns: Sequence[Column], width: int) -> bool:
    """True where the columns stand side by side, and long texts have some room."""
    room = sum(max(each.least, MAX_SHORT) if each.is_long else each.least for each in columns)
    return room + GAP * (len(columns) - 1) <= width


def split(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """The columns in groups that fit, each led by the first column."""
    group = columns[:1]
    for column in columns[1:]:
        if len(group) > 1 and least_width([*group, column]) > width:
            yield group
            group = columns[:1]
        left = width - least_width(group) - GAP
        group.append(column if column.least <= left else column.cut(left))
    yield group


def least_width(columns: Sequence[Column]) -> int:
    return sum(each.least for each in columns) + GAP * (len(columns) - 1)


def share_width(columns: Sequence[Column], width: int) -> list[int]:
    """The width of each column: what it needs, and of what is left as much as it can use, small wishes first."""
    widths = [each.least for each in columns]
    left = width - least_width(columns)
    wishes = sorted(range(len(columns)), key=lambda i: columns[i].natural - widths[i])
    for done, place in enumerate(wishes):
        more = min(columns[place].natural - widths[place], left // (len(columns) - done))
        widths[place] += more
        left -= more
    return widths


def draw(columns: list[Column], below: list[Column], width: int) -> DrawnTable:
    """The table of these columns, with long texts under their rows."""
    widths = share_width(columns, width)
    body: list[str] = []
    for number in range(len(columns[0].cells)):
        body += draw_row(columns, [split_cell(each.cells[number]) for each in columns], widths)
        for each in below:
            if cell := each.cells[number]:
                text = cut(f"{each.heading}: {cell}".removeprefix(": "), width - 2 * INDENT)
                body += wrap(" " * INDENT + text, width, 2 * INDENT)
    return DrawnTable(
        list(draw_row(columns, [each.heading.split() for each in columns], widths)), body
    )


def draw_row(
    columns: list[Column], cells: Sequence[Sequence[str]], widths: list[int]
) -> Iterator[str]:
    """The lines of one row, from the words of its cells; numbers stand on the right, but for those that name rows."""
    filled = [
        each.lines(words, own, bool(place) and each.is_number)
        for place, (each, words, own) in enumerate(zip(columns, cells, widths, strict=True))
    ]
    for number in range(max(map(len, filled))):
        parts = [
            lines[number] if number < len(lines) else " " * own
            for lines, own in zip(filled, widths, strict=True)
        ]
        yield (" " * GAP).join(parts).rstrip()
