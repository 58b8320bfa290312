"""Continuous numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from plausibly.coding import reals
from plausibly.events.kinds.kind import Kind, check_edges, check_seen, log_shares_within

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

REAL_MISSING, REAL_OTHER = np.nan, np.inf  # the values of a hole and of what is not foreseen
UNFORESEEN, HOLE = (
    2.0**100,
    2.0**101,
)  # the events of what is not foreseen and of a hole, exact in float32
MAX_SCALES = 1e6  # a value farther from its location than so many scales is not foreseen


@dataclass(frozen=True)
class Real(Kind):
    """A continuous number; its event is (value - location) / scale. Its log p is the log of a density per unit.

    Models made of tables cut it at `edges` (sorted, in events): uniform within an inner interval, exponential with the
    means `tails` in the two outermost. `step` is the resolution that values were recorded at, 0 where there is none. `usual`
    is a value that most rows have: what is drawn within 0.005 standard deviations or 0.58 steps of it is that value. `seen`
    are the least and the largest value that rows had: what is drawn lies between, and is one of them within two floors.
    """

    location: float = 0.0
    scale: float = 1.0
    edges: tuple[float, ...] = (0.0,)
    tails: tuple[float, float] = (1.0, 1.0)
    step: float = 0.0
    usual: float | None = None
    seen: tuple[float, float] | None = None

    word, continuous = "real", True
    hole_value, other_value = REAL_MISSING, REAL_OTHER

    def __post_init__(self) -> None:
        check_edges(self.edges, self.tails)
        check_seen(self.seen)
        if not (np.isfinite(self.location) and 0 < self.scale < np.inf and 0 <= self.step < np.inf):
            raise ValueError("a real number has a finite location, a scale above 0 and a step")
        if self.usual is not None and not np.isfinite(self.usual):
            raise ValueError("what most rows have is a finite number")
        super().__post_init__()

    @property
    def floor(self) -> float:
        """The standard deviation, in events, that no density is narrower than.

        Rounding to a step has 0.29 steps; a narrower density would speak of digits that were not recorded.
        """
        return max(1e-3, 0.29 * self.step / self.scale)

    @property
    def regular(self) -> int:
        return len(self.edges) + 1

    def is_hole(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.isnan(values))

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """(value - location) / scale, float64; UNFORESEEN and HOLE for what is no number. ValueError without either."""
        hole, other = self._special(values)
        self._refuse(hole, other)
        events = self._z_scores(values)
        events[other] = UNFORESEEN
        events[hole] = HOLE if self.missing else UNFORESEEN
        return events

    @property
    def log_unit(self) -> float:
        return log(self.scale)

    def with_seen(self, seen: tuple[float, float] | None) -> Self:
        return self._with("seen", seen)

    @property
    def event_ends(self) -> tuple[float, float]:
        """The least and the largest event that is drawn: two floors beyond those of what was seen."""
        if self.seen is None:
            return super().event_ends
        low, high = self._z_scores(np.array(self.seen)).tolist()
        return low - 2 * self.floor, high + 2 * self.floor

    def log_seen(self, holes: bool) -> np.ndarray:
        shares, (low, high) = super().log_seen(holes), self.event_ends
        depths = self.edges[0] - low, high - self.edges[-1]
        shares[[0, self.regular - 1]] = log_shares_within(
            depths, (1 / self.tails[0], 1 / self.tails[1])
        )
        return shares

    @property
    def specials(self) -> list[float]:
        return [UNFORESEEN] * self.open + [HOLE] * self.missing

    @property
    def never_seen(self) -> float | None:
        return UNFORESEEN if self.unforeseen else None

    @property
    def event_of_hole(self) -> float:
        return HOLE if self.missing else UNFORESEEN

    def event_codes(self, events: np.ndarray) -> np.ndarray:
        codes = np.searchsorted(
            np.asarray(self.edges, np.float32), events.astype(np.float32), side="right"
        )
        codes[events >= UNFORESEEN] = self.regular
        codes[events >= HOLE] = self.codes - 1
        return codes

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        values = self.location + self.scale * events.astype(np.float64).clip(
            -MAX_SCALES / 2, MAX_SCALES / 2
        )
        if self.usual is not None:
            near = max(0.005, 2 * self.floor) * self.scale
            values[np.abs(values - self.usual) <= near] = self.usual
        if self.seen is not None:
            values = values.clip(*self.seen)
        values[events >= UNFORESEEN] = REAL_OTHER
        if self.missing:
            values[events >= HOLE] = REAL_MISSING
        return values

    def log_within(self, values: np.ndarray) -> np.ndarray:
        hole, other = self._special(values)
        return np.where(hole | other, 0.0, -np.log(self.scale))

    def through(self, coder: Coder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        found, special = np.full(events.shape, REAL_OTHER), events >= UNFORESEEN
        found[events >= HOLE] = REAL_MISSING
        own = None if values is None else values[~special]
        narrow = events[~special].astype(np.float32)
        found[~special] = reals.code_reals_within(coder, self._narrow, self.step, narrow, own)
        return found

    def _z_scores(self, values: np.ndarray) -> np.ndarray:
        return z_scores(values, self.location, self.scale)

    def _narrow(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self._z_scores(values).astype(np.float32)

    def _special(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return find_special(values, self._z_scores(values))

    def bin_sizes(self) -> np.ndarray:
        """The width of each inner bin, and the mean of the two outermost, in events, (codes,); 1 for the other codes."""
        low, high = self.tails
        return np.concatenate([[low], np.diff(self.edges), [high], np.ones(len(self.specials))])

    def bin_means(self) -> np.ndarray:
        """The mean of the events in each bin, (bins,) float64."""
        edges, (low, high) = np.asarray(self.edges, dtype=np.float64), self.tails
        return np.concatenate([edges[:1] - low, (edges[1:] + edges[:-1]) / 2, edges[-1:] + high])

    def code_means(self) -> np.ndarray:
        return self._pad(self.location + self.scale * self.bin_means())

    def probability_below(self, value: float) -> np.ndarray:
        edges, event = np.asarray(self.edges), (value - self.location) / self.scale
        inner = ((event - edges[:-1]) / np.diff(edges)).clip(0, 1)
        under = np.exp(-max(edges[0] - event, 0) / self.tails[0])
        over = -np.expm1(-max(event - edges[-1], 0) / self.tails[1])
        return self._pad(np.concatenate([[under], inner, [over]]))

    def outer_quantiles(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least = self.edges[0] + self.tails[0] * np.log(low)
        most = self.edges[-1] - self.tails[1] * np.log(high)
        return self.location + self.scale * least, self.location + self.scale * most

    def code_entropies(self) -> np.ndarray:
        own = torch.from_numpy(self.bin_sizes()).log().numpy()[: self.regular] + np.log(self.scale)
        own[[0, -1]] += 1  # an exponential's is 1 + log mean
        return self._pad(own)

    def knots(self) -> np.ndarray:
        return self.location + self.scale * np.asarray(self.edges, dtype=np.float64)

    @property
    def open_ends(self) -> tuple[bool, bool]:
        return True, True


def real_kinds(kinds: Iterable[Kind]) -> list[Real]:
    """Those of the kinds that are real."""
    return [kind for kind in kinds if isinstance(kind, Real)]


def z_scores(
    values: np.ndarray, location: float | np.ndarray, scale: float | np.ndarray
) -> np.ndarray:
    """(value - location) / scale, float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((values - location) / scale, dtype=np.float64)


def find_special(values: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which real values are holes, and which are not foreseen as their z-scores are too large."""
    hole = np.isnan(values)
    return hole, ~hole & ~(np.abs(scores) <= MAX_SCALES)
