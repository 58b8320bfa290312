"""A stack of symbols, last in, first out: what bits-back coding takes its choices from, and puts them back on.

The coder is constriction's asymmetric numeral system (Duda 2014, arXiv:1311.2540).
"""

from __future__ import annotations

from typing import Any, Self

import constriction
import numpy as np
from numpy.typing import NDArray

from plausibly.coding.streams import Coder, DamagedStream, law_arrays


class Stack:
    """Begins with so many words of 32 bits of chance, by a fixed seed, for the first picks to be taken from.

    Where it runs out of bits, what is taken is less random, and the stack as sound: it is a whole number, which a symbol is
    taken from, and put back on, by division with remainder.
    """

    def __init__(self, words: int) -> None:
        self._first = fill_stack_words(0, words) | np.uint32(1)
        self.coder = constriction.stream.stack.AnsCoder(self._first)

    @classmethod
    def of(cls, written: bytes, words: int) -> Self:
        """The stack that was written, which began with so many words. Damaged where these are no such bytes."""
        if len(written) % 4 or (written and not any(written[-4:])):
            raise DamagedStream("its stack is no whole number of words")
        stack = cls(words)
        stack.coder = constriction.stream.stack.AnsCoder(
            np.frombuffer(written, "<u4").astype(np.uint32)
        )
        return stack

    @property
    def payload(self) -> bytes:
        return self.coder.get_compressed().astype("<u4").tobytes()

    def stir(self, turn: int) -> None:
        """Turns some bits over, chosen by chance for each turn; a second time gives back what was there.

        A symbol that was very improbable leaves bits that are no chance at all, and what is next taken by them would be as
        improbable, and leave such bits in turn.
        """
        words = self.coder.get_compressed()
        words[:-1] ^= fill_stack_words(turn + 1, len(words))[:-1]  # the last one must not become 0
        self.coder = constriction.stream.stack.AnsCoder(words)

    def check_empty(self) -> None:
        """Damaged unless all that is left is what the stack began with."""
        if not np.array_equal(self.coder.get_compressed(), self._first):
            raise DamagedStream("its stack does not end where it began")


def fill_stack_words(key: int, words: int) -> NDArray[np.uint32]:
    """So many words, the same wherever and whenever they are asked for."""
    return np.random.PCG64(key).random_raw(words).astype(np.uint32)


class StackReader(Coder):
    """Takes symbols from a stack."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.stack = stack

    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        found: NDArray[np.int32] = self.stack.coder.decode(law, *parameters)
        return found


class StackWriter(Coder):
    """Notes symbols, and puts them on a stack, so that they are taken in the order in which they were noted."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.stack, self._noted = stack, list[tuple[Any, ...]]()

    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        assert symbols is not None
        self._noted.append((symbols, law, *law_arrays(parameters)))
        return symbols

    def put(self) -> None:
        for noted in reversed(self._noted):
            self.stack.coder.encode_reverse(*noted)
        self._noted.clear()
