"""Text for people goes through here: names and values from data never steer a terminal.

What moves the cursor, colours, rings, sets titles or turns the direction of writing is shown as an escape, `\\x1b`; rows of
data are printed as they are, unless a terminal would read them.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# C0 and C1 controls, marks of direction, line and paragraph ends, zero-width and tag characters, halves of surrogates
CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: object) -> str:
    """The text as one line in which every character that could steer a terminal is an escape."""
    return CONTROL_CHARACTERS.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text)
    )


def escape_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def escape_unprintable() -> None:
    """Has stdout show as an escape, `\\xfc`, what its encoding has no bytes for."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_line(text: object = "") -> None:
    """Prints one line of a result."""
    print(visible(text))


def print_error(text: object) -> None:
    """Prints one line on stderr."""
    print(visible(text), file=sys.stderr)


def print_data(text: str) -> None:
    """Prints rows or JSON byte for byte; on a terminal so that nothing in them steers it."""
    sys.stdout.write(escape_lines(text) if sys.stdout.isatty() else text)


def print_progress(text: str, last: bool, width: int) -> None:
    """Prints a line on stderr, which on a terminal takes the place of the one before until the `last`."""
    if not sys.stderr.isatty():
        print(visible(text), file=sys.stderr, flush=True)
        return
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
