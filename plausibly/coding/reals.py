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

from plausibly.coding.streams import Coder, Damaged, Symbols

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
    low, high = (
        np.full(rows, end) for end in floats_to_places(np.array([-reach, reach], np.float32))
    )  # what is left, ends included
    under, over = np.zeros(rows), np.ones(rows)
    for _ in range(HALVINGS):
        middle = (low + high) >> 1
        share = np.clip(below(places_to_floats(middle, np.float32).astype(np.float64)), under, over)
        known = over - under > MIN_SHARE
        first = np.where(known, (share - under) / np.where(known, over - under, 1), 0.5).clip(
            MIN_HALF, 1 - MIN_HALF
        )
        first = np.where(low == high, 1.0, first)
        with np.errstate(divide="ignore"):
            law = np.log(np.stack([first, 1 - first], 1))
        upper = coder.finite(law, None if own is None else own > middle).astype(bool)
        low, under = (
            np.where(upper, np.minimum(middle + 1, high), low),
            np.where(upper, share, under),
        )
        high, over = np.where(upper, high, middle), np.where(upper, over, share)
    return places_to_floats(low, np.float32)


@dataclass(frozen=True)
class Raster:
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


def rasters(step: float) -> list[Raster]:
    """Multiples of a step, if there is one, float32 numbers, and all."""

    def narrow(where: Places) -> Numbers:
        return places_to_floats(where, np.float32).astype(np.float64)

    def multiple(where: Places) -> Numbers:
        parts = round(1 / step)  # 3 / 10 is the number that is written 0.3, and 3 * 0.1 is not
        return np.asarray(
            where / parts if abs(parts * step - 1) < 1e-9 else where * step, np.float64
        )

    found = [
        Raster(
            narrow,
            lambda x: floats_to_places(x.clip(-MAX_FLOAT32, MAX_FLOAT32).astype(np.float32)),
            last_place(np.float32),
        ),
        Raster(
            lambda where: places_to_floats(where, np.float64),
            floats_to_places,
            last_place(np.float64),
        ),
    ]
    if step:
        found.insert(
            0,
            Raster(
                multiple,
                lambda x: np.rint(x / step).clip(-MAX_MULTIPLE, MAX_MULTIPLE).astype(np.int64),
                MAX_MULTIPLE,
            ),
        )
    return found


def last_place(dtype: type[np.floating[Any]]) -> int:
    """The place of the largest number of a type."""
    return int(floats_to_places(np.array([np.finfo(dtype).max], dtype))[0])


def code_within(
    coder: Coder, event: Event, step: float, events: NDArray[np.float32], values: Numbers | None
) -> Numbers:
    """Values that give these events; `event` never falls as they grow. `step` is 0 where there is none."""
    known = rasters(step)
    number = len(known)
    ways = (
        None if values is None else np.stack([raster.holds(values) for raster in known]).argmax(0)
    )
    usual = None if ways is None else np.array([np.bincount(ways, minlength=number).argmax()])
    shares = np.full(number, RARE_SHARE)
    shares[coder.iid(np.full(number, 1 / number), 1, usual)] = USUAL_SHARE
    found, ways = np.empty(len(events)), coder.iid(shares / shares.sum(), len(events), ways)
    for way, raster in enumerate(known):
        rows = ways == way
        if rows.any():
            own = events[rows]
            first, size = raster.giving(event, own)
            if (size < 1).any():
                raise Damaged("a number that cannot be")
            place = None if values is None else raster.place(values[rows]) - first
            found[rows] = raster.at(first + coder.below(size, place))
    return found
