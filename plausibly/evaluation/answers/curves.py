"""The distribution of one number in each of many rows: its mean, how much lies below a place, and its quantiles.

Given that it is a number that was foreseen; in the unit of its kind. From the probabilities of codes, of which F is linear
between `places` and in the tails a known law, or from an outcome that knows its F, whose quantiles are found by halving.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from plausibly.events.kinds import Kind, Real
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Numeric, Single

BISECTION_STEPS = 60


class CDF(ABC):
    """F of a number in each row; arrays (rows,) float64."""

    @abstractmethod
    def mean(self) -> np.ndarray: ...

    @abstractmethod
    def below(self, values: np.ndarray) -> np.ndarray:
        """The probability of a number at most its row's value."""

    @abstractmethod
    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """The smallest numbers, in whole steps where the kind has them, that are at least so far up, (levels, rows)."""


def outcome_cdf(kind: Kind, outcome: Single) -> CDF:
    """The curve of a variable of that kind, which is no category."""
    if isinstance(outcome, Numeric) and not isinstance(outcome, Histogram):
        assert isinstance(kind, Real)
        return NumberCDF(kind, outcome)
    inner = outcome.inner if isinstance(outcome, Histogram) else outcome
    assert isinstance(inner, Categorical)
    shares = inner.log_probs.double().exp().cpu().numpy()[:, : kind.regular]
    return CodeCDF(kind, shares / shares.sum(1, keepdims=True))


class CodeCDF(CDF):
    """`shares` (rows, regular codes) of each row add up to 1."""

    def __init__(self, kind: Kind, shares: np.ndarray) -> None:
        self.kind, self.shares = kind, shares
        self.step = 0.0 if kind.continuous else 1.0

    def mean(self) -> np.ndarray:
        return np.asarray(self.shares @ self.kind.code_means()[: self.kind.regular])

    def below(self, values: np.ndarray) -> np.ndarray:
        different, which = np.unique(values, return_inverse=True)
        return np.asarray((self.shares * self._inside(different)[which]).sum(1))

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        at = self.kind.knots()
        reached = self.shares @ self._inside(at).T
        found = np.stack([self._at(at, reached, q) for q in levels])
        found = self._outside(levels, found) if any(self.kind.open_ends) else found
        return np.asarray(np.ceil(found - 1e-9) if self.step else found)

    def _outside(self, levels: np.ndarray, found: np.ndarray) -> np.ndarray:
        """The values found, (levels, rows), but those in the outermost codes by the law inside these."""
        ends = self.shares[:, 0], self.shares[:, -1]
        low, high = (
            np.where(there, end, 0.0) for there, end in zip(self.kind.open_ends, ends, strict=True)
        )
        under, over = levels[:, None] < low, 1 - levels[:, None] < high
        least, most = self.kind.outer_quantiles(
            np.where(under, levels[:, None] / np.where(low > 0, low, 1), 1.0),
            np.where(over, (1 - levels[:, None]) / np.where(high > 0, high, 1), 1.0),
        )
        return np.asarray(np.where(under, least, np.where(over, most, found)))

    @staticmethod
    def _at(at: np.ndarray, reached: np.ndarray, q: float) -> np.ndarray:
        """Where F, `reached` (rows, places) at the places, is q: on the straight line between two of them."""
        high = np.minimum((reached < q - 1e-12).sum(1), len(at) - 1)
        low, rows = np.maximum(high - 1, 0), np.arange(len(reached))
        gap = reached[rows, high] - reached[rows, low]
        part = np.where(gap > 0, (q - reached[rows, low]) / np.maximum(gap, 1e-300), 1.0).clip(0, 1)
        return np.asarray(at[low] + part * (at[high] - at[low]))

    def _inside(self, values: np.ndarray) -> np.ndarray:
        """p(at most each value | code), (values, codes)."""
        return np.stack(
            [self.kind.probability_below(float(value))[: self.kind.regular] for value in values]
        )


class NumberCDF(CDF):
    def __init__(self, kind: Real, outcome: Numeric) -> None:
        self.kind, self.outcome, self.ends = kind, outcome, outcome.cuts().double().aminmax(dim=-1)

    def mean(self) -> np.ndarray:
        return self.kind.location + self.kind.scale * self.outcome.mean().cpu().numpy()

    def below(self, values: np.ndarray) -> np.ndarray:
        events = torch.from_numpy((values - self.kind.location) / self.kind.scale)
        return np.asarray(self.outcome.below(events.to(self.ends.min.device)).cpu().numpy())

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        q = torch.from_numpy(levels).to(self.ends.min.device)[:, None]
        low, high = (end.expand(len(levels), -1) for end in self.ends)
        for _ in range(BISECTION_STEPS):
            middle = (low + high) / 2
            enough = torch.stack([self.outcome.below(each) for each in middle]) >= q
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        return self.kind.location + self.kind.scale * np.asarray(high.cpu().numpy())
