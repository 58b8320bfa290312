"""The cells of a column of some rows: values of its kind, and texts where these say more.

Texts that no column foresees are kept, and

    log p(text) = -(bytes + 1) log 257

which sums to one over all texts, so that no recordable cell has probability 0.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.coding.xz import unpack_xz

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

HOLE_WORDS = {"na", "n/a", "nan", "null", "none", "nil", "missing", "#n/a", "<na>", "nat", r"\n"}
HOLE_WORDS |= {*"?-."}
EMPTY_TEXT = b"\xff"


@dataclass
class ColumnValues:
    """One column of some rows: values of its kind, and the texts of those that it does not foresee or spells otherwise.

    Any other text is None. How a value is spelled, such as 1.50 for 1.5 or NA for a hole, has no probability of its own.
    """

    values: np.ndarray
    texts: np.ndarray | None = None  # where there are some

    def __post_init__(self) -> None:
        if self.texts is not None and not has_text(self.texts).any():
            self.texts = None

    @property
    def all_texts(self) -> np.ndarray:
        """The texts, each of which may be None."""
        blank = np.full(len(self.values), None, dtype=object)
        return blank if self.texts is None else self.texts

    def __getitem__(self, index: Any) -> ColumnValues:
        return ColumnValues(self.values[index], None if self.texts is None else self.texts[index])

    @staticmethod
    def join(parts: Sequence[ColumnValues]) -> ColumnValues:
        """A column's cells, piece after piece."""
        values = np.concatenate([part.values for part in parts])
        if all(part.texts is None for part in parts):
            return ColumnValues(values)
        return ColumnValues(values, np.concatenate([part.all_texts for part in parts]))


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


def code_texts(coder: Coder, texts: np.ndarray | None) -> np.ndarray:
    """Passes texts, some of which may be None, through a coder, compressed together by LZMA."""
    listed = None if texts is None else json.dumps(list(texts)).encode()
    kept = None if listed is None else lzma.compress(listed, lzma.FORMAT_ALONE)
    found = json.loads(b"".join(unpack_xz(coder.block(kept), "its texts")))
    if not all(text is None or isinstance(text, str) for text in found):
        raise ValueError("its texts are none")
    return np.array(found, dtype=object)


def log_text(text: str | None) -> float:
    """log p of a text: each of its bytes, and its end, is one of 257 equally likely symbols."""
    return -(len(encode_text(text)) + 1) * log(257)


def encode_text(text: str | None) -> bytes:
    """The bytes of a cell that is not foreseen: a hole, None, has none; an empty text, one that begins no character."""
    return b"" if text is None else text.encode("utf-8", "surrogatepass") or EMPTY_TEXT
