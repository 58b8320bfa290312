"""The distribution of one number in each of many rows: its mean, how much lies below a place, and its quantiles.

Given that it is a number that was foreseen; in the unit of its kind. From the probabilities of codes, of which F is linear
between `places`, up to the tails' bend, or from a density, whose quantiles are found by halving.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from plausibly.interiors import below, means
from plausibly.kinds import Grid, Kind, Level, Real
from plausibly.outcomes import Density, Finite, Histogram, Single

TAIL = np.append(-np.log1p(-np.arange(64) / 64), np.arange(4.5, 60, 0.5))  # means of a tail: even in F, then far
HALVINGS = 60


class Curve(ABC):
    """F of a number in each row; arrays (rows,) float64."""

    @abstractmethod
    def mean(self) -> np.ndarray: ...

    @abstractmethod
    def below(self, values: np.ndarray) -> np.ndarray:
        """The probability of a number at most its row's value."""

    @abstractmethod
    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """The smallest numbers, in whole steps where the kind has them, that are at least so far up, (levels, rows)."""


def curve(kind: Kind, outcome: Single) -> Curve:
    """Of a variable of that kind, which is no category."""
    if isinstance(outcome, Density):
        assert isinstance(kind, Real)
        return DensityCurve(kind, outcome)
    inner = outcome.inner if isinstance(outcome, Histogram) else outcome
    assert isinstance(inner, Finite)
    shares = inner.log_probs.double().exp().cpu().numpy()[:, : kind.regular]
    return CodeCurve(kind, shares / shares.sum(1, keepdims=True))


class CodeCurve(Curve):
    """`shares` (rows, regular codes) of each row add up to 1."""

    def __init__(self, kind: Kind, shares: np.ndarray) -> None:
        self.kind, self.shares = kind, shares
        self.step = 0.0 if isinstance(kind, Real) else 1.0

    def mean(self) -> np.ndarray:
        return np.asarray(self.shares @ means(self.kind)[: self.kind.regular])

    def below(self, values: np.ndarray) -> np.ndarray:
        different, which = np.unique(values, return_inverse=True)
        return np.asarray((self.shares * self._inside(different)[which]).sum(1))

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        at = places(self.kind)
        reached = self.shares @ self._inside(at).T
        found = np.stack([self._at(at, reached, q) for q in levels])
        return np.asarray(np.ceil(found - 1e-9) if self.step else found)

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
        return np.stack([below(self.kind, float(value))[: self.kind.regular] for value in values])


def places(kind: Kind) -> np.ndarray:
    """Numbers between which F of the kind's codes is a straight line, or nearly so in the tails; sorted."""
    if isinstance(kind, Level):
        starts = np.arange(kind.levels + 1) * kind.width
        return np.union1d(starts - 1.0, starts[:-1])
    assert isinstance(kind, Grid | Real)
    edges = np.asarray(kind.edges, dtype=np.float64)
    low, high = (tail + isinstance(kind, Grid) for tail in kind.tails)
    own = np.concatenate([edges[0] - low * TAIL, edges, edges[-1] + high * TAIL])
    if isinstance(kind, Real):
        return np.unique(kind.location + kind.scale * own)
    atoms = np.asarray(kind.atoms, dtype=np.float64)
    return np.unique(np.floor(np.concatenate([own, own - 1, atoms, atoms - 1])))


class DensityCurve(Curve):
    def __init__(self, kind: Real, outcome: Density) -> None:
        self.kind, self.outcome = kind, outcome

    def mean(self) -> np.ndarray:
        return self.kind.location + self.kind.scale * self.outcome.mean().cpu().numpy()

    def below(self, values: np.ndarray) -> np.ndarray:
        events = torch.from_numpy((values - self.kind.location) / self.kind.scale)
        return np.asarray(self.outcome.below(events.to(self.outcome.means.device)).cpu().numpy())

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        reach = (self.outcome.scales * 40).double()
        q = torch.from_numpy(levels).to(reach.device)[:, None]
        low = (self.outcome.means - reach).amin(-1).expand(len(levels), -1)
        high = (self.outcome.means + reach).amax(-1).expand(len(levels), -1)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            enough = torch.stack([self.outcome.below(each) for each in middle]) >= q
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        return self.kind.location + self.kind.scale * np.asarray(high.cpu().numpy())
