"""A training column as the guesses see it: distinct texts, how often each occurs, and the holes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plausibly.data.columns.cell_texts import texts_of
from plausibly.data.columns.cells import is_hole
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.storage import Storage

FEW_LEVELS = 32  # each of so few distinct texts has its own code
DIGITS = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)
THOUSANDS_NUMBER = re.compile(r"\s*[+-]?\d{1,3},\d{3}\s*", re.ASCII)


@dataclass
class ColumnSample:
    """A training column as the guesses see it: distinct texts, how often each occurs, and the holes."""

    name: str
    storage: Storage
    texts: list[str]
    counts: np.ndarray
    holes: int
    hole: str = ""

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def distinct(self) -> bool:
        return len(self.texts) == self.rows and not self.holes

    def common(self, why: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "storage": self.storage,
            "holes": self.holes,
            "why": why,
            "hole": self.hole,
        }


def count_texts(series: Any, name: str, storage: Storage) -> ColumnSample:
    """Counts a column's distinct texts; in a text file an empty cell is a hole."""
    index, texts = texts_of(series, name, storage.time_texts)
    counts = np.bincount(index[index >= 0], minlength=len(texts))
    shown = [i for i in range(len(texts)) if counts[i] and (storage.exact or texts[i])]
    holes = len(index) - int(counts[shown].sum())
    return ColumnSample(name, storage, [texts[i] for i in shown], counts[shown], holes)


Marks = dict[str, Any]  # fields of a column: `marks` and `marked`, and of one of numbers `point`


def without_hole_marks(sight: ColumnSample) -> tuple[ColumnSample, Marks]:
    """The cells but for words such as NA, which are holes: the most frequent is the hole, unless empty cells are."""
    places = [i for i, text in enumerate(sight.texts) if is_hole(text)]
    if not places or sight.storage.exact or len(places) == len(sight.texts):
        return sight, {}
    places.sort(key=lambda i: -sight.counts[i])
    further = places if sight.holes else places[1:]
    marks = {
        "marks": tuple(sight.texts[i] for i in further),
        "marked": tuple(int(sight.counts[i]) for i in further),
    }
    rest = sorted({*range(len(sight.texts))} - {*places})
    holes = sight.holes + int(sight.counts[places].sum())
    hole = sight.hole if sight.holes else sight.texts[places[0]]
    return ColumnSample(
        sight.name, sight.storage, [sight.texts[i] for i in rest], sight.counts[rest], holes, hole
    ), marks


def with_decimal_points(sight: ColumnSample, marks: Marks) -> tuple[ColumnSample, Marks]:
    """The cells with decimal points, where they are written with decimal commas that cannot be separators of thousands."""
    commas = np.array(
        [COMMA_NUMBER.fullmatch(text) is not None for text in sight.texts], dtype=bool
    )
    plain = np.array([DIGITS.fullmatch(text) is not None for text in sight.texts], dtype=bool)
    thousands = all(
        THOUSANDS_NUMBER.fullmatch(text)
        for text, comma in zip(sight.texts, commas, strict=True)
        if comma
    )
    if sight.counts[commas | plain].sum() < MIN_SHARE * sight.rows or thousands:
        return sight, marks
    return replace(sight, texts=[text.replace(",", ".") for text in sight.texts]), marks | {
        "point": ","
    }
