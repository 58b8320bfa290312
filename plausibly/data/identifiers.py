"""Identifiers for rows that nobody recorded: written like those of the training rows, and each different.

Where training has one text around a number, the number counts up. Where all are equally long, as a UUID is, each place
draws from the characters that it had. Otherwise drawn rows are numbered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import numpy as np

LAST_NUMBER = re.compile(r"(.*\D|)(\d+)(\D*)", re.ASCII | re.DOTALL)
FEW_ROWS, SMOOTH = 20, 0.02  # von Neumann's ratio, which is 1 for numbers in no order
LONGEST, ROOM, TRIES = 64, 1000, 9  # places of an identifier; possible ones for each in training; rounds of drawing


def follows(numbers: np.ndarray) -> bool:
    """Whether a column, in the order of its keys, is a smooth function of them: each number near those beside it.

    One that only rises, or only falls, comes in their order, as dates do, and is none; nor is one in few rows.
    """
    known = numbers[~np.isnan(numbers)]
    steps = np.diff(known)
    if len(known) < FEW_ROWS or (steps >= 0).all() or (steps <= 0).all():
        return False
    return bool((steps**2).mean() < SMOOTH * 2 * known.var())


@dataclass(frozen=True)
class Making:
    """How identifiers are made: `first` and those after it; or one of `letters` at each place."""

    first: str = ""
    letters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.first and not LAST_NUMBER.fullmatch(self.first):
            raise ValueError(f"{self.first!r} has no number to count up")

    def made(self, rows: int, generator: np.random.Generator, before: int = 0) -> list[str]:
        """Identifiers of `rows` rows that come after `before` others."""
        if self.letters:
            return self._drawn(rows, generator)
        found = LAST_NUMBER.fullmatch(self.first or "1")
        assert found is not None
        head, digits, tail = found.groups()
        return [f"{head}{int(digits) + before + row:0{len(digits)}d}{tail}" for row in range(rows)]

    def _drawn(self, rows: int, generator: np.random.Generator) -> list[str]:
        """Different ones, as long as there are enough."""
        texts: dict[str, None] = {}  # in the order of drawing, each once
        for _ in range(TRIES):
            texts |= dict.fromkeys(self._any(rows - len(texts), generator))
        return [*texts, *self._any(rows - len(texts), generator)]

    def _any(self, rows: int, generator: np.random.Generator) -> list[str]:
        places = [np.array(list(own))[generator.integers(0, len(own), rows)] for own in self.letters]
        return np.stack(places, 1).view(f"<U{len(places)}")[:, 0].tolist() if rows else []

    def shown(self) -> str:
        """An example, or two short ones."""
        first, second = self.made(2, np.random.default_rng(0))
        return ", ".join([first, *[second] * (len(first) <= 20), "..."])


def learned(texts: list[str]) -> Making:
    """How to make more identifiers like these."""
    found = [LAST_NUMBER.fullmatch(text) for text in texts]
    around = {(match[1], match[3]) if match else None for match in found}
    if len(around) == 1 and None not in around:
        ((head, tail),) = [pair for pair in around if pair]
        number = _first([match[2] for match in found if match])
        return Making(f"{head}{number}{tail}") if number else Making()
    letters = tuple("".join(sorted(set(own))) for own in zip(*texts, strict=False))
    alike = len({len(text) for text in texts}) == 1 and len(letters) <= LONGEST
    return Making(letters=letters) if alike and prod(map(len, letters)) > ROOM * len(texts) else Making()


def _first(digits: list[str]) -> str:
    """The number to begin with: 0 or 1, with zeros before it as training has them, or the least of numbers of one length."""
    least, widths = min(map(int, digits)), {*map(len, digits)}
    padded = any(text[0] == "0" and text != "0" for text in digits)
    if padded and len(widths) > 1:
        return ""
    start = min(least, 1) if padded or len(widths) > 1 else least
    return f"{start:0{min(widths)}d}" if padded else str(start)
