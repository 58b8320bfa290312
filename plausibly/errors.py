"""Errors that a person can mend. Messages may hold names from data, which are shown so that they steer no terminal."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from plausibly.printing import escape_lines


class UserError(ValueError):
    """An error that says in one line where it is and what would have worked. The command line exits with 2."""

    def __str__(self) -> str:
        return escape_lines(super().__str__())


class BrokenPromises(UserError):
    """A user's model does not keep the contract; `lines` say what is broken, a line for each promise."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Unsupported(TypeError):
    """A task asked of a model whose type cannot do it; the message says why."""

    def __str__(self) -> str:
        return escape_lines(super().__str__())


def count_phrase(number: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def as_number(value: Any, name: str) -> float:
    """The number that a value or its text is. UserError where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name}={value}: {value!r} is no number")
    return number


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind a message, or nothing."""
    lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(lower), n=1)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""
