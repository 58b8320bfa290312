"""Results on stdout, as one JSON document or as tables and lines; remarks on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from plausibly.cli.layout import lay_out
from plausibly.cli.options import BoardOptions, CommonOptions
from plausibly.errors import UserError
from plausibly.printing import (
    format_numbers,
    print_data,
    print_error,
    print_heading,
    print_line,
    stream_width,
    visible,
)
from plausibly.system import processes

if TYPE_CHECKING:
    import pandas as pd

    from plausibly.runs.board import Board

FILE_WIDTH = 180  # of a table that goes to a file or a pipe
SHORT_BOARD = {
    "model": "model",
    "test log-likelihood": "log-likelihood",
    "to best": "to best",
    "fit": "time",
}  # the columns that are shown without --wide, and their headings there


@dataclass(frozen=True)
class ConsoleTable:
    """A table for people: a heading for each column, and rows of cells."""

    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class RawText:
    """Rows of data, which are printed byte for byte."""

    text: str


Block = str | ConsoleTable | RawText  # a line, a table, or rows of data


class Printout(Protocol):
    """The answer of a command, which says itself how it is printed."""

    def to_json(self) -> Any:
        """The document for scripts."""

    def blocks(self) -> Iterator[Block]:
        """Tables and lines for people, from top to bottom."""


@dataclass(frozen=True)
class WrittenRowsPrintout:
    """The result of a command that writes rows to a file."""

    rows: int
    file: str
    document: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.document

    def blocks(self) -> Iterator[Block]:
        yield f"{self.rows:,} rows in {self.file}"


def print_remark(common: CommonOptions, line: str) -> None:
    """Prints a remark on stderr, unless nobody wants any."""
    if not common.quiet and processes.rank() == 0:
        print_error(line)


def print_result(result: Printout, common: CommonOptions) -> None:
    """Prints a result as JSON, or else block by block; of several processes the first does."""
    if processes.rank() != 0:
        return
    if common.json:
        document = json.dumps(nan_to_null(result.to_json()), indent=1)
        blocks: Iterator[Block] = iter([RawText(document.replace("\x7f", "\\u007f") + "\n")])
    else:
        blocks = result.blocks()
    for block in blocks:
        with explaining_output():
            print_block(block)
            sys.stdout.flush()


@contextmanager
def explaining_output() -> Iterator[None]:
    """Turns a failure of standard output, such as a full disk, into a line; what waits to be written is given up."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        with suppress(OSError, ValueError):  # else Python tries again as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"cannot write to standard output: {error.strerror or error}") from error


def print_block(block: Block) -> None:
    """Prints a line, a table or rows on stdout."""
    if isinstance(block, ConsoleTable):
        print_table(block.headings, block.rows)
    elif isinstance(block, RawText):
        print_rows(block.text)
    else:
        print_line(block)


def print_rows(text: str) -> None:
    """Prints rows. UserError where they would not come out as they are, but on a terminal, where escapes show them."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding, "strict" if not sys.stdout.isatty() else "backslashreplace")
    except UnicodeEncodeError as error:
        lost = text[error.start]
        raise UserError(
            f"standard output is in {encoding}, which has no {lost!r}: set PYTHONIOENCODING=utf-8, or give --out FILE"
        ) from error
    print_data(text)


def nan_to_null(document: Any) -> Any:
    """The document with null for what JSON has no word for."""
    if isinstance(document, dict):
        return {key: nan_to_null(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [nan_to_null(value) for value in document]
    if isinstance(document, float) and not math.isfinite(document):
        return None
    return document


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table on stdout, as wide as the terminal allows: columns for which there is no room follow in another one."""
    width = stream_width(sys.stdout) or FILE_WIDTH
    cells = [[visible(cell) for cell in row] for row in rows]
    for number, table in enumerate(lay_out([visible(each) for each in headings], cells, width)):
        if number:
            print_line()
        for line in table.head:
            print_heading(line)
        for line in table.body:
            print_line(line)


def frame_table(frame: pd.DataFrame) -> ConsoleTable:
    """A data frame as a table, in each column of numbers as many places behind the point."""
    columns = [format_cells(frame.iloc[:, place].tolist()) for place in range(frame.shape[1])]
    return ConsoleTable(list(frame.columns), [list(row) for row in zip(*columns, strict=True)])


def format_cells(values: Sequence[Any]) -> list[str]:
    """Formats the values of a column: numbers alike, and others as they are."""
    numbers = iter(format_numbers([value for value in values if isinstance(value, float)]))
    return [next(numbers) if isinstance(value, float) else str(value) for value in values]


def board_blocks(board: Board, options: BoardOptions) -> Iterator[Block]:
    """A board as a table, under it those that refused, and what the numbers are."""
    headings, rows = board.cells()
    ranked = list(zip(board.ranking(), rows, strict=True))
    shown = range(len(headings)) if options.wide else [headings.index(each) for each in SHORT_BOARD]
    yield ConsoleTable(
        headings if options.wide else [*SHORT_BOARD.values()],
        [[cells[place] for place in shown] for row, cells in ranked if not row.refusal],
    )
    for row, _ in ranked:
        if row.refusal:
            reason = row.refusal.removeprefix(f"{row.model}: ")
            yield f"{row.model} refused: {reason}"
    yield board.caption() if options.explain else board.legend()


def format_value(value: Any) -> str:
    """Formats a value of a report: nothing for none, thousands with commas."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
