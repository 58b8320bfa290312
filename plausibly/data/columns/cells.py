"""The cells of a column of some rows: values of its kind, and texts where these say more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HOLE_WORDS = {
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "?",
    "-",
    ".",
    "#n/a",
    "<na>",
    "nat",
    "missing",
    r"\n",
}


@dataclass
class ColumnValues:
    """One column of some rows: values of its kind, and the texts of those that it does not foresee or spells otherwise.

    Any other text is None. How a value is spelled, such as 1.50 for 1.5 or NA for a hole, has no probability of its own.
    """

    values: np.ndarray
    texts: np.ndarray | None = None

    def __getitem__(self, index: Any) -> ColumnValues:
        texts = None if self.texts is None else self.texts[index]
        known = texts is not None and has_text(texts).any()
        return ColumnValues(self.values[index], texts if known else None)


def join_cells(parts: Sequence[ColumnValues]) -> ColumnValues:
    """A column's cells, piece after piece."""
    values = np.concatenate([part.values for part in parts])
    if all(part.texts is None for part in parts):
        return ColumnValues(values)
    blank = [
        np.full(len(part.values), None, dtype=object) if part.texts is None else part.texts
        for part in parts
    ]
    return ColumnValues(values, np.concatenate(blank))


def has_text(texts: np.ndarray) -> np.ndarray:
    """Where there is a text."""
    return np.array([text is not None for text in texts], dtype=bool)


def texts_at(texts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The texts at some places, None at all others."""
    found = texts.copy()
    found[~places] = None
    return found


def is_hole(text: str) -> bool:
    """True of a word that stands for a hole among numbers and dates."""
    return text.strip().lower() in HOLE_WORDS
