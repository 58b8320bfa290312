"""Real variables side by side: what their kinds tell of a matrix of values, a column each, told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        values = array.astype(np.float64)
        scores = z_scores(values, self.locations, self.scales)
        return MeasuredMatrix(self, scores, *find_special(values, scores))

    def blocks(self, rows: int) -> Iterator[slice]:
        """Cuts so many rows into blocks of few enough cells to stay in a processor's cache."""
        together = max(1, CELLS_TOGETHER // len(self.scales))
        return (slice(start, start + together) for start in range(0, rows, together))


@dataclass(frozen=True)
class MeasuredMatrix:
    """Values, each (rows, kinds): their `scores`, and which are a `hole` or `other` than what is foreseen."""

    kinds: RealMatrix
    scores: np.ndarray
    hole: np.ndarray
    other: np.ndarray

    @property
    def strange(self) -> np.ndarray:
        """Which values their kinds have no room for, bool."""
        return (self.other & self.kinds.without_others) | (self.hole & self.kinds.without_holes)

    @property
    def events(self) -> np.ndarray:
        """The events of values that are not strange, float64."""
        unforeseen = np.where(self.other, UNFORESEEN, self.scores)
        return np.where(self.hole, self.kinds.events_of_holes, unforeseen)

    @property
    def log_within(self) -> np.ndarray:
        """log p(value | its event) in nats, float64."""
        return np.where(self.hole | self.other, 0.0, self.kinds.log_densities)


def add_up(terms: np.ndarray) -> np.ndarray:
    """Sums of rows, added column by column from the left, and so equal to the bit to a loop over columns from 0.0."""
    return np.asarray(terms.cumsum(axis=1)[:, -1] + 0.0)
