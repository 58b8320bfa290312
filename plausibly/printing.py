"""Text for people goes through here: names and values from data never steer a terminal.

What moves the cursor, colours, rings, sets titles or turns the direction of writing is shown as an escape, `\\x1b`; rows of
data are printed as they are, unless a terminal would read them.
"""

from __future__ import annotations

import html
import io
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.cells import cell_len

# C0 and C1 controls, marks of direction, line and paragraph ends, zero-width and tag characters, halves of surrogates
CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
INDENT = 2  # spaces before what goes on from the line above
MIN_PLAIN, MAX_PLAIN = 1e-4, 1e15  # between which numbers have no power of ten
MIN_WIDTH = 40  # columns; a narrower terminal folds lines itself


def visible(text: object) -> str:
    """The text as one line in which every character that could steer a terminal is an escape."""
    return CONTROL_CHARACTERS.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text)
    )


def format_measure(value: float) -> str:
    """A number to four digits, those before the point always whole: `0.05237`, `17,660`."""
    return f"{value:,.0f}" if 10_000 <= abs(value) < MAX_PLAIN else f"{value:.4g}"


def format_numbers(values: Sequence[float]) -> list[str]:
    """The numbers of a column, all with the same places behind the point: four digits of the largest."""
    sizes = [abs(value) for value in values if math.isfinite(value)]
    largest = max(sizes, default=0.0)
    if largest and not MIN_PLAIN <= largest < MAX_PLAIN:
        return [f"{value:.3e}" for value in values]
    whole = all(size == int(size) for size in sizes)
    places = 0 if whole else max(0, 3 - math.floor(math.log10(largest)))
    form = f"{',' if largest >= 10_000 else ''}.{places}f"
    least = 10.0**-places
    lost = min(values, default=0) >= 0 and largest <= 1
    return [
        f"<{least:{form}}" if lost and 0 < value < least / 2 else f"{value:{form}}"
        for value in values
    ]


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table for a notebook."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def escape_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def escape_unprintable() -> None:
    """Has stdout show as an escape, `\\xfc`, what its encoding has no bytes for."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def stream_width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream goes to, or that COLUMNS tells; None of a file or a pipe."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return max(int(told), MIN_WIDTH)
    if not stream.isatty():
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, MIN_WIDTH)
    except OSError:  # a terminal that does not say
        return None


def wrap(text: str, width: int, indent: int = INDENT) -> list[str]:
    """The text in lines, those after the first indented; a word that is wider than one is left whole."""
    if cell_len(text) <= width:
        return [text]
    lead = text[: len(text) - len(text.lstrip())]
    return fill(text.split(), width, lead, " " * indent)


def fill(words: Sequence[str], width: int, lead: str = "", indent: str = "") -> list[str]:
    """The words in lines, of which the first begins with `lead` and the others with `indent`."""
    lines, line = [], lead + "".join(words[:1])
    for word in words[1:]:
        if cell_len(line) + 1 + cell_len(word) <= width:
            line += f" {word}"
        else:
            lines.append(line)
            line = indent + word
    return [*lines, line]


def print_line(text: object = "") -> None:
    """Prints one line of a result; on a terminal it is as many as it takes to break no word."""
    print_wrapped(text, sys.stdout)


def print_heading(text: str) -> None:
    """Prints a line of a table's heading, in bold on a terminal that knows it."""
    bold = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    print(f"{BOLD}{visible(text)}{PLAIN}" if bold else visible(text))


def print_error(text: object) -> None:
    """Prints one line on stderr, on a terminal like those of a result."""
    print_wrapped(text, sys.stderr)


def print_wrapped(text: object, stream: TextIO) -> None:
    width = stream_width(stream)
    lines = [visible(text)] if width is None else wrap(visible(text), width)
    print("\n".join(lines), file=stream)


def print_data(text: str) -> None:
    """Prints rows or JSON byte for byte; on a terminal so that nothing in them steers it."""
    sys.stdout.write(escape_lines(text) if sys.stdout.isatty() else text)


def print_progress(text: str, last: bool, width: int) -> None:
    """Prints a line on stderr, which on a terminal takes the place of the one before until the `last`.

    There it has `width` columns, or as many as the terminal, but for one that keeps the cursor on the line.
    """
    if not sys.stderr.isatty():
        print_error(text)
        sys.stderr.flush()
        return
    width = min(width, (stream_width(sys.stderr) or width + 1) - 1)
    stream = sys.stderr.stream if isinstance(sys.stderr, CleanStream) else sys.stderr
    stream.write(f"\r{visible(text)[:width]:<{width}}" + ("\n" if last else ""))
    stream.flush()


class CleanStream:
    """A stream of text that shows what could steer a terminal, whoever writes to it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(escape_lines(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.stream.writelines(map(escape_lines, lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def clean_errors() -> Iterator[None]:
    """Makes stderr a `CleanStream` within: for tracebacks, warnings and what other libraries say."""
    before = sys.stderr
    sys.stderr = cast(TextIO, CleanStream(before))
    try:
        yield
    finally:
        sys.stderr = before
