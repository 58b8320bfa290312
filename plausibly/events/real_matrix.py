"""Real variables side by side: what their kinds tell of a matrix of values, a column each, told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from plausibly.events.kinds.real import UNFORESEEN, Real, find_special, z_scores

CELLS_TOGETHER = 1 << 16


class RealMatrix:
    """The real kinds of the columns of a matrix. All numbers are those of each kind alone, to the bit."""

    def __init__(self, kinds: Sequence[Real]) -> None:
        self.locations = np.array([kind.location for kind in kinds])
        self.scales = np.array([kind.scale for kind in kinds])
        # one by one: the logarithms of an array may round otherwise than that of a number
        self.log_densities = np.array([-np.log(kind.scale) for kind in kinds])
        self.events_of_holes = np.array([kind.event_of_hole for kind in kinds])
        self.without_others = np.array([not kind.open for kind in kinds])
        self.without_holes = np.array([not (kind.open or kind.missing) for kind in kinds])

    def measure(self, array: np.ndarray) -> MeasuredMatrix:
        """Measures values, (rows, kinds) of any float type."""
        with np.errstate(invalid="ignore"):  # a signalling NaN is a hole as any other
            values = array.astype(np.float64)
        scores = z_scores(values, self.locations, self.scales)
        hole, other = find_special(values, scores)
        events = np.where(hole, self.events_of_holes, np.where(other, UNFORESEEN, scores))
        nats = np.where(hole | other, 0.0, self.log_densities)
        strange = (other & self.without_others) | (hole & self.without_holes)
        return MeasuredMatrix(events, nats, strange)

    def blocks(self, rows: int) -> Iterator[slice]:
        """Cuts so many rows into blocks of few enough cells to stay in a processor's cache."""
        together = max(1, CELLS_TOGETHER // len(self.scales))
        return (slice(start, start + together) for start in range(0, rows, together))


class MeasuredMatrix(NamedTuple):
    """Values that were measured, each (rows, kinds): events of those that are not strange, and log p(value | event) in nats.

    strange: which their kinds have no room for, bool.
    """

    events: np.ndarray
    log_within: np.ndarray
    strange: np.ndarray


def add_up(terms: np.ndarray) -> np.ndarray:
    """Sums of rows, added column by column from the left, and so equal to the bit to a loop over columns from 0.0."""
    return np.asarray(terms.cumsum(axis=1)[:, -1] + 0.0)
