"""Symbols into bytes, and out of them, by one description.

Every method of a `Coder` is told the law of one symbol in each row, and gives the symbols: the `SymbolWriter` those that it
is given, which it writes, the `SymbolReader` those that it finds, whatever it is given. What is coded is described once, as a
function of a coder and the symbols, which are None for a reader; a law may depend on what came before.

Both are range coders of constriction (Bamler 2022, arXiv:2201.01741): first in, first out. Probabilities become whole
numbers once, `quantised`, in which a reader has to agree.
"""

from __future__ import annotations

import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from plausibly.errors import UserError

Symbols = NDArray[Any] | None
FORMAT_VERSION = 2  # of what is written; 1, of plausibly 0.1, has nothing of how cells are spelled
# what probabilities are multiples of; the coder leaves 2^-24 even to those of 0
PROBABILITY_UNITS = 1 << 22
DIGIT_BITS = 16  # bits of a large number that are coded at once
# of a geometric number: pieces of a mean, pieces at once, and how often before all its bits
STEPS_PER_MEAN, MAX_QUOTIENT, MAX_TABLE_ROUNDS = 16, 256, 4
MAX_STREAM_BYTES = 1 << 40
END_OF_TEXT = 256  # the symbol behind the last byte of a text
LAWS = constriction.stream.model  # compiled modules have to be reached by attribute
GRAIN, CELLS = 2.0**-7, 64
TABLE_LAW, EVEN_LAW = LAWS.Categorical(perfect=False), LAWS.Uniform()


class DamagedStream(UserError):
    """Bytes that no writer wrote."""


def quantise_probabilities(log_probs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities as multiples of 1 / WHOLE, (..., K) float64, from log p in nats."""
    return quantise_shares(np.exp(np.asarray(log_probs, np.float64)))


def quantise_shares(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest multiples of 1 / WHOLE."""
    return np.rint(probabilities * PROBABILITY_UNITS) / PROBABILITY_UNITS


def _piece_chances(piece: int, mean: float) -> NDArray[np.float64]:
    """The probabilities of 0, 1, ... pieces in a geometric number of this mean, the last one of all that are more."""
    one = -np.expm1(-piece * np.log1p(1 / mean))  # that there is no further piece
    table = one * (1 - one) ** np.arange(MAX_QUOTIENT, dtype=np.float64)
    return np.append(table, (1 - one) ** MAX_QUOTIENT)


def _subtract(symbols: Symbols, found: NDArray[np.int64], rows: NDArray[np.int64]) -> Symbols:
    """The rest of the symbols of some rows, behind what is found; None for a reader."""
    return None if symbols is None else symbols[rows] - found[rows]


class Coder(ABC):
    """`checksum` is the CRC-32 of all symbols so far; `most` is how many bytes there can be, `form` which are coded."""

    def __init__(self, most: int = MAX_STREAM_BYTES, form: int = FORMAT_VERSION) -> None:
        self.checksum, self.most, self.form = 0, most, form

    @abstractmethod
    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        """One symbol for each row of the parameters, or as many as the last one says."""

    def _one(self, symbols: Symbols, law: Any, *parameters: Any) -> NDArray[np.int64]:
        own = None if symbols is None else np.ascontiguousarray(symbols, np.int32)
        found = self._code(own, law, *parameters)
        self.checksum = zlib.crc32(found.tobytes(), self.checksum)
        return found.astype(np.int64)

    def finite(self, log_probs: NDArray[np.floating[Any]], symbols: Symbols) -> NDArray[np.int64]:
        """Codes 0 to K - 1 by log p, (rows, K)."""
        rows, codes = log_probs.shape
        if codes == 1 or not rows:
            return np.zeros(rows, np.int64)
        return self._one(symbols, TABLE_LAW, quantise_probabilities(log_probs))

    def iid(
        self,
        probabilities: NDArray[np.float64],
        rows: int,
        symbols: Symbols,
        sizes: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Codes of which all rows have the same probabilities, (K,), however many values each stands for."""
        if len(probabilities) == 1 or not rows:
            return np.zeros(rows, np.int64)
        return self._one(
            symbols, LAWS.Categorical(quantise_shares(probabilities), perfect=False), rows
        )

    def below(self, sizes: NDArray[np.int64], symbols: Symbols) -> NDArray[np.int64]:
        """Whole numbers from 0, all those below each row's size being equally likely, within a factor of 1 + 2^-15."""
        found, rest = np.zeros(len(sizes), np.int64), sizes - 1
        shift = np.maximum(0, _bit_lengths(rest) - DIGIT_BITS)
        digits = (rest >> shift) + 1  # as many values as the leading digit has
        while True:
            rows = np.flatnonzero(digits > 1)
            if len(rows):
                own = None if symbols is None else (symbols[rows] - found[rows]) >> shift[rows]
                found[rows] += self._even(digits[rows], own) << shift[rows]
            if not shift.any():
                return found
            lower = np.maximum(0, shift - DIGIT_BITS)
            shift, digits = lower, np.int64(1) << (shift - lower)

    def _even(self, sizes: NDArray[np.int64], symbols: Symbols) -> NDArray[np.int64]:
        return self._one(symbols, EVEN_LAW, sizes.astype(np.int32))

    def geometric(self, mean: float, rows: int, symbols: Symbols) -> NDArray[np.int64]:
        """Whole numbers from 0 with p(k) = m^k / (1 + m)^(k + 1), those beyond all reason bit by bit."""
        piece = max(1, int(mean / STEPS_PER_MEAN))
        table = _piece_chances(piece, mean)
        found, going = np.zeros(rows, np.int64), np.arange(rows)
        for _ in range(MAX_TABLE_ROUNDS):
            left = _subtract(symbols, found, going)
            own = None if left is None else np.minimum(left // piece, MAX_QUOTIENT)
            more = self.iid(table, len(going), own)
            found[going] += more * piece
            ended, going = going[more < MAX_QUOTIENT], going[more == MAX_QUOTIENT]
            left = _subtract(symbols, found, ended)
            found[ended] += self.below(np.full(len(ended), piece), left)
        found[going] = self.below(
            np.full(len(going), np.int64(1) << 62), None if symbols is None else symbols[going]
        )
        return found

    def normal(
        self, centre: NDArray[np.float64], scale: NDArray[np.float64], symbols: Symbols
    ) -> NDArray[np.int64]:
        """Numbers in units of `GRAIN`, CELLS^2 of them around 0, by the probability that a normal rounds to them.

        First which of `CELLS`, then where in it: at once, what the coder leaves to each of so many would be far away.
        """
        known = None if symbols is None else symbols + CELLS**2 // 2
        start = np.zeros(len(centre), np.int64)
        for width in (CELLS, 1):
            law = self._cells(centre, scale, start, width)
            own = None if known is None else (known - start) // width
            start = start + self.finite(law, own) * width
        return start - CELLS**2 // 2

    def _cells(
        self,
        centre: NDArray[np.float64],
        scale: NDArray[np.float64],
        start: NDArray[np.int64],
        width: int,
    ) -> NDArray[np.float64]:
        """log p of `CELLS` cells of so many numbers each, (rows, CELLS), from `start` on."""
        from scipy.special import ndtr

        edges = (start[:, None] + np.arange(CELLS + 1) * width - CELLS**2 // 2 - 0.5) * GRAIN
        if width > 1:
            edges[:, [0, -1]] = -np.inf, np.inf
        shares = np.diff(ndtr((edges - centre[:, None]) / scale[:, None]))
        total = shares.sum(1, keepdims=True)
        with np.errstate(divide="ignore"):
            return np.log(np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / CELLS))

    def text(self, text: bytes | None) -> bytes:
        """One text, byte by byte, all being equally likely, and its end."""
        symbols = None if text is None else [*text, END_OF_TEXT]
        found = bytearray()
        while True:
            own = None if symbols is None else np.array([symbols[len(found)]])
            byte = int(self._even(np.array([END_OF_TEXT + 1]), own)[0])
            if byte == END_OF_TEXT:
                return bytes(found)
            found.append(byte)
            if len(found) > self.most:
                raise DamagedStream("a text is longer than its bytes")

    def block(self, data: bytes | None) -> bytes:
        """Bytes of any number, as they are."""
        length = int(
            self.below(
                np.array([MAX_STREAM_BYTES]), None if data is None else np.array([len(data)])
            )[0]
        )
        if length > self.most:
            raise DamagedStream("its bytes were changed")
        own = None if data is None else np.frombuffer(data, np.uint8)
        return self._even(np.full(length, 256), own).astype(np.uint8).tobytes() if length else b""

    def code_checksum(self) -> None:
        """The end: what was coded, and the checksum of it. Damaged where a reader finds another one."""
        said = self.checksum
        if int(self.below(np.array([1 << 32]), np.array([said]))[0]) != said:
            raise DamagedStream("its contents are not those that were written")


class SymbolWriter(Coder):
    """Writes symbols; `written` are the bytes so far."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = constriction.stream.queue.RangeEncoder()

    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        assert symbols is not None
        self._encoder.encode(symbols, law, *law_arrays(parameters))
        return symbols

    @property
    def payload(self) -> bytes:
        return self._encoder.get_compressed().astype("<u4").tobytes()


class SymbolReader(Coder):
    """Reads what a `SymbolWriter` wrote. Damaged where it cannot be."""

    def __init__(self, written: bytes, form: int = FORMAT_VERSION) -> None:
        super().__init__(len(written), form)
        if len(written) % 4:
            raise DamagedStream("it is no whole number of words")
        self._decoder = constriction.stream.queue.RangeDecoder(
            np.frombuffer(written, "<u4").astype(np.uint32)
        )

    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        try:
            found: NDArray[np.int32] = self._decoder.decode(law, *parameters)
        except (AssertionError, ValueError) as error:
            raise DamagedStream("its bytes were changed") from error
        return found


class CodingProbe(Coder):
    """Writes nothing; `digest` is a hash of symbols and of the numbers that make up their laws."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()

    def _code(
        self, symbols: NDArray[np.int32] | None, law: Any, *parameters: Any
    ) -> NDArray[np.int32]:
        assert symbols is not None
        for numbers in (*parameters, symbols):
            self.digest.update(np.asarray(numbers).tobytes())
        return symbols


def law_arrays(parameters: Sequence[Any]) -> list[NDArray[Any]]:
    """The parameters of a law without the number of symbols, which only who reads has to be told."""
    return [one for one in parameters if isinstance(one, np.ndarray)]


def _bit_lengths(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of bits of each number."""
    found = np.zeros(len(numbers), np.int64)
    left = numbers.copy()
    while left.any():
        found += left > 0
        left >>= 1
    return found
