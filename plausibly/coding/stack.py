"""A stack of symbols, last in, first out: what bits-back coding takes its choices from, and puts them back on.

The coder is constriction's asymmetric numeral system (Duda 2014, arXiv:1311.2540).
"""

from __future__ import annotations

from typing import Any, Self

import constriction
import numpy as np
from numpy.typing import NDArray

from plausibly.coding.streams import TABLES, Damaged, quantised

FIRST = np.array([0x9E3779B9, 0x85EBCA6B], np.uint32)  # any bits will do


class Stack:
    """Begins with `FIRST`, 64 bits for the first picks to be taken from.

    Where it runs out of bits, what is taken is less random, and the stack as sound: it is a whole number, which a symbol is
    taken from, and put back on, by division with remainder.
    """

    def __init__(self, words: NDArray[np.uint32] = FIRST) -> None:
        self._coder = constriction.stream.stack.AnsCoder(words)

    @classmethod
    def of(cls, written: bytes) -> Self:
        """The stack that was written. Damaged where these are no such bytes."""
        if len(written) % 4 or (written and not any(written[-4:])):
            raise Damaged("its stack is no whole number of words")
        return cls(np.frombuffer(written, "<u4").astype(np.uint32))

    @property
    def written(self) -> bytes:
        return self._coder.get_compressed().astype("<u4").tobytes()

    def put(self, log_probs: NDArray[np.floating[Any]], symbols: NDArray[Any]) -> None:
        """Puts a symbol for each row of log p, (rows, K)."""
        if log_probs.shape[1] > 1:
            self._coder.encode_reverse(symbols.astype(np.int32), TABLES, quantised(log_probs))

    def take(self, log_probs: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """The symbols that were put last, as many as there are rows of log p, (rows, K)."""
        if log_probs.shape[1] == 1:
            return np.zeros(len(log_probs), np.int64)
        return np.asarray(self._coder.decode(TABLES, quantised(log_probs)), np.int64)

    def emptied(self) -> None:
        """Damaged unless all that is left is what the stack began with."""
        if not np.array_equal(self._coder.get_compressed(), FIRST):
            raise Damaged("its stack does not end where it began")
