"""Real numbers as symbols, by the order of their bit patterns: whole numbers that grow as the floats do.

A model's event, a float32, is found by halving: each question, whether it lies in the lower half of the patterns that are
left, is answered by the share of probability there. A value, a float64, is then one of those that give this event: of the
multiples of a step, of the float32 numbers, or of all, whichever most of a column are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plausibly.coding.streams import Coder, DamagedStream, Symbols

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Event = Callable[[Numbers], NDArray[np.float32]]
MAX_FLOAT32, MAX_MULTIPLE = float(np.finfo(np.float32).max), 1 << 53
HALVINGS, MIN_SHARE = 32, 1e-12  # a smaller share of probability is halved evenly
MIN_HALF = 1e-6  # the probability of either half, at least
# that a value is one of what most are, or of each of the two others
USUAL_SHARE = 0.98
RARE_SHARE = 0.01


def floats_to_places(x: NDArray[Any]) -> Places:
    """The place of each number in the order of all of its type, float32 or float64; 0.0 and -0.0 are both at 0."""
    bits = np.int32 if x.dtype == np.float32 else np.int64
    signed = (x + x.dtype.type(0)).view(bits).astype(np.int64)
    return np.where(signed < 0, np.iinfo(bits).min - signed, signed)


def places_to_floats(where: Places, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """The numbers of a type at these places."""
    bits = np.int32 if dtype == np.float32 else np.int64
    return np.where(where < 0, np.iinfo(bits).min - where, where).astype(bits).view(dtype)


def code_float(
    coder: Coder, below: Callable[[Numbers], Numbers], reach: float, rows: int, events: Symbols
) -> NDArray[np.float32]:
    """A float32 within +-reach for each row; `below` gives the probability of at most x, (rows,)."""
    own = None if events is None else floats_to_places(np.asarray(events, np.float32))
    ends = floats_to_places(np.array([-reach, reach], np.float32))
    low, high = (np.full(rows, end) for end in ends)  # what is left, ends included
    under, over = np.zeros(rows), np.ones(rows)
    for _ in range(HALVINGS):
        middle = (low + high) >> 1
        share = np.clip(below(places_to_floats(middle, np.float32).astype(np.float64)), under, over)
        law = _halving_law(share - under, over - under, low == high)
        upper = coder.finite(law, None if own is None else own > middle).astype(bool)
        low = np.where(upper, np.minimum(middle + 1, high), low)
        under = np.where(upper, share, under)
        high = np.where(upper, high, middle)
        over = np.where(upper, over, share)
    return places_to_floats(low, np.float32)


def _halving_law(part: Numbers, whole: Numbers, single: NDArray[np.bool_]) -> Numbers:
    """log p of the lower and the upper half, (rows, 2), by the part of the whole probability that the lower half has.

    Where a single pattern is left, it is in the lower half.
    """
    known = whole > MIN_SHARE
    shares = np.where(known, part / np.where(known, whole, 1), 0.5)
    first = np.where(single, 1.0, shares.clip(MIN_HALF, 1 - MIN_HALF))
    with np.errstate(divide="ignore"):
        return np.log(np.stack([first, 1 - first], 1))


@dataclass(frozen=True)
class FloatRaster:
    """Numbers that values are often taken from, each with a place; places are whole numbers up to +-`end`."""

    at: Callable[[Places], Numbers]
    place: Callable[[Numbers], Places]
    end: int

    def holds(self, values: Numbers) -> NDArray[np.bool_]:
        return np.asarray(self.at(self.place(values)) == values)

    def giving(self, event: Event, events: NDArray[np.float32]) -> tuple[Places, Places]:
        """The first place whose number gives each event, and how many there are."""
        first = self._first(lambda x: event(x) >= events, len(events))
        return first, self._first(lambda x: event(x) > events, len(events)) - first

    def _first(self, reached: Callable[[Numbers], NDArray[np.bool_]], rows: int) -> Places:
        """The first place from which on that holds."""
        low, high = np.full(rows, -self.end), np.full(rows, self.end)
        while (low < high).any():
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            there = reached(self.at(middle))
            low, high = (
                np.where(there, low, np.minimum(middle + 1, high)),
                np.where(there, middle, high),
            )
        return low


def last_float_place(dtype: type[np.floating[Any]]) -> int:
    """The place of the largest number of a type."""
    return int(floats_to_places(np.array([np.finfo(dtype).max], dtype))[0])


FLOATS32 = FloatRaster(
    lambda where: places_to_floats(where, np.float32).astype(np.float64),
    lambda x: floats_to_places(x.clip(-MAX_FLOAT32, MAX_FLOAT32).astype(np.float32)),
    last_float_place(np.float32),
)
FLOATS64 = FloatRaster(
    lambda where: places_to_floats(where, np.float64),
    floats_to_places,
    last_float_place(np.float64),
)


def _multiples(step: float) -> FloatRaster:
    parts = round(1 / step)  # 3 / 10 is the number that is written 0.3, and 3 * 0.1 is not
    divides = abs(parts * step - 1) < 1e-9
    return FloatRaster(
        lambda where: np.asarray(where / parts if divides else where * step, np.float64),
        lambda x: np.rint(x / step).clip(-MAX_MULTIPLE, MAX_MULTIPLE).astype(np.int64),
        MAX_MULTIPLE,
    )


def float_rasters(step: float) -> list[FloatRaster]:
    """Multiples of a step, if there is one, float32 numbers, and all."""
    return [*([_multiples(step)] if step else []), FLOATS32, FLOATS64]


def code_reals_within(
    coder: Coder, event: Event, step: float, events: NDArray[np.float32], values: Numbers | None
) -> Numbers:
    """Values that give these events; `event` never falls as they grow. `step` is 0 where there is none."""
    known = float_rasters(step)
    ways = _code_ways(coder, known, len(events), values)
    found = np.empty(len(events))
    for way, raster in enumerate(known):
        rows = ways == way
        if not rows.any():
            continue
        first, size = raster.giving(event, events[rows])
        if (size < 1).any():
            raise DamagedStream("a number that cannot be")
        place = None if values is None else raster.place(values[rows]) - first
        found[rows] = raster.at(first + coder.below(size, place))
    return found


def _code_ways(coder: Coder, known: list[FloatRaster], rows: int, values: Numbers | None) -> Places:
    """Which of the rasters each value is taken from: the first that holds it; which is most often so is coded before."""
    number = len(known)
    ways = usual = None
    if values is not None:
        ways = np.stack([raster.holds(values) for raster in known]).argmax(0)
        usual = np.array([np.bincount(ways, minlength=number).argmax()])
    shares = np.full(number, RARE_SHARE)
    shares[coder.iid(np.full(number, 1 / number), 1, usual)] = USUAL_SHARE
    return coder.iid(shares / shares.sum(), rows, ways)
