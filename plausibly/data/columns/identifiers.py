"""Identifiers for rows that nobody recorded: written like those of the training rows, and each different.

Where training has one text around a number, the number counts up. Where all have the same marks between pieces, as UUIDs,
addresses and versions do, each piece is drawn: a number between the least and the largest, else as many characters as one of
training's, at each place one that it had. Otherwise, or where this would make too few, drawn rows are numbered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log

import numpy as np

LAST_NUMBER = re.compile(r"(.*\D|)(\d+)(\D*)", re.ASCII | re.DOTALL)
PIECES = re.compile(r"([A-Za-z0-9]+)", re.ASCII)
NUMBER = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
MIN_ROWS = 20  # rows; in fewer, numbers are smooth by chance
MAX_ROUGHNESS = 0.02  # von Neumann's ratio, which is 1 for numbers in no order
MAX_PLACES = 64  # places of an identifier
IDS_PER_ROW = 100  # possible ones for each in training
MAX_ROUNDS = 9  # rounds of drawing


def is_smooth(numbers: np.ndarray) -> bool:
    """True of a column that, in the order of its keys, is a smooth function of them: each number near those beside it.

    One that only rises, or only falls, comes in their order, as dates do, and is none; nor is one in few rows.
    """
    known = numbers[~np.isnan(numbers)]
    steps = np.diff(known)
    if len(known) < MIN_ROWS or (steps >= 0).all() or (steps <= 0).all():
        return False
    return bool((steps**2).mean() < MAX_ROUGHNESS * 2 * known.var())


@dataclass(frozen=True)
class IdPiece:
    """A part of identifiers: a number from `low` to `high`, or a text with one of the `letters` at each place.

    Of the texts of training, `lengths[k]` had k + 1 places. `before` is what stands before it, such as a dot.
    """

    before: str = ""
    low: int = 0
    high: int = -1
    letters: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        places = len(self.letters)
        if places > MAX_PLACES or len(self.lengths) != places or not all(self.letters):
            raise ValueError(
                "a piece of an identifier has letters at each place, and a count of texts of each length"
            )
        if not self.letters and not 0 <= self.low <= self.high < 10**18:
            raise ValueError("a piece of an identifier is a number between two, or letters")
        if self.letters and (min(self.lengths) < 0 or not self.lengths[-1]):
            raise ValueError("lengths of texts are counts, and some text has all places")

    @property
    def log_ways(self) -> float:
        """log of how many there may be."""
        if self.letters:
            return float(np.log(list(map(len, self.letters))).sum())
        return log(self.high - self.low + 1)

    def draw(self, rows: int, generator: np.random.Generator) -> list[str]:
        """One for each row, with what stands before it."""
        if not self.letters:
            picks = generator.integers(self.low, self.high, rows, endpoint=True)
            return [f"{self.before}{number}" for number in picks]
        shares = np.array(self.lengths) / sum(self.lengths)
        sizes = generator.choice(len(self.lengths), rows, p=shares) + 1
        columns = [np.array([*own])[generator.integers(0, len(own), rows)] for own in self.letters]
        texts = map("".join, zip(*columns, strict=True))
        return [self.before + text[:size] for text, size in zip(texts, sizes.tolist(), strict=True)]


@dataclass(frozen=True)
class IdGenerator:
    """A maker of identifiers: `first` and those after it; or of `pieces`, before an `end`."""

    first: str = ""
    pieces: tuple[IdPiece, ...] = ()
    end: str = ""

    def __post_init__(self) -> None:
        if self.first and not LAST_NUMBER.fullmatch(self.first):
            raise ValueError(f"{self.first!r} has no number to count up")

    def generate(self, rows: int, generator: np.random.Generator, before: int = 0) -> list[str]:
        """Identifiers of `rows` rows that come after `before` others."""
        if self.pieces:
            return self._draw_distinct(rows, generator)
        found = LAST_NUMBER.fullmatch(self.first or "1")
        assert found is not None
        head, digits, tail = found.groups()
        return [f"{head}{int(digits) + before + row:0{len(digits)}d}{tail}" for row in range(rows)]

    def _draw_distinct(self, rows: int, generator: np.random.Generator) -> list[str]:
        """Different ones, as long as there are enough."""
        texts: dict[str, None] = {}  # in the order of drawing, each once
        for _ in range(MAX_ROUNDS):
            texts |= dict.fromkeys(self._any(rows - len(texts), generator))
        return [*texts, *self._any(rows - len(texts), generator)]

    def _any(self, rows: int, generator: np.random.Generator) -> list[str]:
        columns = [piece.draw(rows, generator) for piece in self.pieces]
        return ["".join(parts) + self.end for parts in zip(*columns, strict=True)]

    def example(self) -> str:
        """An example, or two short ones."""
        first, second = self.generate(2, np.random.default_rng(0))
        return ", ".join([first, second, "..."] if len(first) <= 20 else [first, "..."])


def learn_ids(texts: list[str]) -> IdGenerator:
    """The maker of more identifiers like these."""
    found = [LAST_NUMBER.fullmatch(text) for text in texts]
    known = [match for match in found if match]
    around = {(match[1], match[3]) for match in known}
    if len(around) != 1 or len(known) < len(texts):
        return _in_pieces([PIECES.split(text) for text in texts])
    ((head, tail),) = around
    number = _first([match[2] for match in known])
    return IdGenerator(f"{head}{number}{tail}") if number else IdGenerator()


def _in_pieces(parts: list[list[str]]) -> IdGenerator:
    """As the pieces of all, at odd places, are made, where there are the same marks between them and no piece is long."""
    marks = {tuple(own[::2]) for own in parts}
    longest = max(len(text) for own in parts for text in own)
    if len(marks) > 1 or len(parts[0]) < 2 or longest > MAX_PLACES:
        return IdGenerator()
    columns = [*zip(*parts, strict=True)]
    before = parts[0][::2]
    pieces = tuple(_piece(mark, texts) for mark, texts in zip(before, columns[1::2], strict=False))
    enough = sum(piece.log_ways for piece in pieces) > log(IDS_PER_ROW * len(parts))
    return IdGenerator(pieces=pieces, end=before[-1]) if enough else IdGenerator()


def _piece(before: str, texts: tuple[str, ...]) -> IdPiece:
    sizes = {len(text) for text in texts}
    if all(map(NUMBER.fullmatch, texts)) and len(sizes) > 1:
        return IdPiece(before, min(map(int, texts)), max(map(int, texts)))
    places = [{text[k] for text in texts if len(text) > k} for k in range(max(sizes))]
    lengths = np.bincount([len(text) - 1 for text in texts]).tolist()
    letters = tuple("".join(sorted(place)) for place in places)
    return IdPiece(before, letters=letters, lengths=tuple(lengths))


def _first(digits: list[str]) -> str:
    """The number to begin with: 0 or 1, with zeros before it as training has them, or the least of numbers of one length."""
    least = min(map(int, digits))
    widths = {*map(len, digits)}
    padded = any(text[0] == "0" and text != "0" for text in digits)
    if padded and len(widths) > 1:
        return ""
    start = min(least, 1) if padded or len(widths) > 1 else least
    return f"{start:0{min(widths)}d}" if padded else str(start)
