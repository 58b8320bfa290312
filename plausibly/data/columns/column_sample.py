"""A training column as the guesses see it: distinct texts, how often each occurs, and the holes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np

from plausibly.data.columns.cell_types import texts_of
from plausibly.data.columns.cells import is_hole
from plausibly.data.columns.date_patterns import find_date_forms
from plausibly.data.columns.numbers import MIN_SHARE, ExactNumber, parse_number
from plausibly.data.columns.storage import Storage

FEW_LEVELS = 32  # each of so few distinct texts has its own code
DIGITS = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)
THOUSANDS_NUMBER = re.compile(r"\s*[+-]?\d{1,3},\d{3}\s*", re.ASCII)


@dataclass
class ColumnSample:
    """A training column as the guesses see it: distinct texts, how often each occurs, and the holes.

    `marks`: fields of a column, `marks` and `marked`, and of one of numbers `point`, that say how the texts were found.
    `narrow`: where all texts are numbers, those between which none lies are to have the open code.
    """

    name: str
    storage: Storage
    texts: list[str]
    counts: np.ndarray
    holes: int
    hole: str = ""
    marks: dict[str, Any] = field(default_factory=dict)
    narrow: bool = False

    @cached_property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def distinct(self) -> bool:
        return len(self.texts) == self.rows and not self.holes

    @cached_property
    def numbers(self) -> list[ExactNumber | None]:
        """The number that each text writes."""
        return [*map(parse_number, self.texts)]

    @cached_property
    def characters(self) -> frozenset[str]:
        """All that the texts are made of."""
        return frozenset("".join(self.texts))

    @cached_property
    def date_forms(self) -> list[str]:
        """The forms that nearly all known texts are written in; several where day and month may be either."""
        return find_date_forms(self.known.texts, self.known.counts)

    def matches(self, form: re.Pattern[str]) -> np.ndarray:
        """Which texts are of a form, bool."""
        return np.array([form.fullmatch(text) is not None for text in self.texts], dtype=bool)

    def common(self, why: str) -> dict[str, Any]:
        """The fields that all columns have."""
        names = ("name", "storage", "holes", "hole")
        return {name: getattr(self, name) for name in names} | {"why": why}

    @cached_property
    def known(self) -> ColumnSample:
        """The cells but for words such as NA, which are holes: the most frequent is the hole, unless empty cells are."""
        places = [i for i, text in enumerate(self.texts) if is_hole(text)]
        if not places or self.storage.exact or len(places) == len(self.texts):
            return self
        places.sort(key=lambda i: -self.counts[i])
        further = places if self.holes else places[1:]
        rest = sorted({*range(len(self.texts))} - {*places})
        return replace(
            self,
            texts=[self.texts[i] for i in rest],
            counts=self.counts[rest],
            holes=self.holes + int(self.counts[places].sum()),
            hole=self.hole if self.holes else self.texts[places[0]],
            marks={
                "marks": tuple(self.texts[i] for i in further),
                "marked": tuple(int(self.counts[i]) for i in further),
            },
        )

    @cached_property
    def pointed(self) -> ColumnSample:
        """The cells with decimal points, if they are written with decimal commas that cannot be separators of thousands."""
        if "," not in self.characters:
            return self
        commas = self.matches(COMMA_NUMBER)
        if self.counts[commas | self.matches(DIGITS)].sum() < MIN_SHARE * self.rows:
            return self
        if (self.matches(THOUSANDS_NUMBER) >= commas).all():
            return self
        texts = [text.replace(",", ".") for text in self.texts]
        return replace(self, texts=texts, marks=self.marks | {"point": ","})


def count_texts(series: Any, name: str, storage: Storage, narrow: bool = False) -> ColumnSample:
    """Counts a column's distinct texts; in a text file an empty cell is a hole."""
    index, texts = texts_of(series, name, storage.time_texts)
    counts = np.bincount(index[index >= 0], minlength=len(texts))
    shown = [bool(n and (storage.exact or t)) for t, n in zip(texts, counts.tolist(), strict=True)]
    if not all(shown):
        texts, counts = [*compress(texts, shown)], counts[shown]
    holes = len(index) - int(counts.sum())
    return ColumnSample(name, storage, texts, counts, holes, narrow=narrow)
