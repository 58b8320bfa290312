"""Toys in the plane: points drawn from a density that is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, pi
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from plausibly.data.dataset import TrueDistribution
from plausibly.data.formats.array_learning import learn_real_format
from plausibly.data.formats.format import Format
from plausibly.errors import UserError
from plausibly.events.kinds import Kind


class Plane(Protocol):
    """A density over the plane, as a way to draw and the log p of points, (n, 2) float64 to (n,)."""

    @property
    def entropy(self) -> float: ...

    def log_density(self, points: np.ndarray) -> np.ndarray: ...

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray: ...


class RealToy(NamedTuple):
    """Rows of each split, (n, 2) real numbers, and the density that they were drawn from."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    plane: Plane

    def format(self) -> Format:
        return learn_real_format(self.train)

    def parts(self, labels: bool = False) -> dict[str, np.ndarray]:
        if labels:
            raise UserError("this built-in has no labels; digits and digits-binary have")
        return dict(zip(("train", "valid", "test"), self[:3], strict=True))

    def truth_for(self, format: Format) -> TrueDistribution:
        return PlaneTruth(self.plane, format.schema.kinds)


@dataclass(frozen=True)
class PlaneTruth:
    """A plane's density over events, which are the points standardised."""

    plane: Plane
    kinds: tuple[Kind, ...]

    @property
    def entropy(self) -> float:
        """The entropy of the points, not of the events: log p of rows is held against it."""
        return self.plane.entropy

    def log_prob(self, codes: Tensor) -> Tensor:
        locations, scales = (
            np.array([getattr(kind, name) for kind in self.kinds]) for name in ("location", "scale")
        )
        points = locations + scales * codes.double().numpy()
        return torch.from_numpy(self.plane.log_density(points) + np.log(scales).sum())


@dataclass(frozen=True)
class Ring:
    """A ring: the angle is even, the distance from the origin normal; p(x) = p(r) / (2 pi r)."""

    radius: float = 2.0
    width: float = 0.2

    def log_density(self, points: np.ndarray) -> np.ndarray:
        r = np.hypot(*points.T)
        z = (r - self.radius) / self.width
        found: np.ndarray = -0.5 * z**2 - log(self.width) - 0.5 * log(2 * pi) - np.log(2 * pi * r)
        return found

    @property
    def entropy(self) -> float:
        """H(r) + log 2 pi + E log r, the last by Gauss and Hermite."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        mean_log = float((weights * np.log(self.radius + self.width * nodes)).sum() / weights.sum())
        return 0.5 * log(2 * pi * e) + log(self.width) + log(2 * pi) + mean_log

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        angle = generator.uniform(0, 2 * pi, rows)
        r = self.radius + self.width * generator.normal(size=rows)
        return np.stack([r * np.cos(angle), r * np.sin(angle)], 1)


@dataclass(frozen=True)
class NormalsOnCircle:
    """Normals of one width, evenly spaced on a circle, each equally likely."""

    modes: int = 8
    radius: float = 2.0
    width: float = 0.02

    @property
    def centres(self) -> np.ndarray:
        """(modes, 2)."""
        angle = 2 * pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], 1)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        squares = ((points[:, None] - self.centres) ** 2).sum(2) / self.width**2
        found: np.ndarray = (
            np.logaddexp.reduce(-0.5 * squares, 1) - log(self.modes) - log(2 * pi * self.width**2)
        )
        return found

    @property
    def entropy(self) -> float:
        """That of the mode and of a normal: they do not overlap."""
        return log(self.modes) + log(2 * pi * e * self.width**2)

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        centres = self.centres[generator.integers(self.modes, size=rows)]
        return centres + self.width * generator.normal(size=(rows, 2))


@dataclass(frozen=True)
class Checkerboard:
    """Uniform over the 8 dark of 4 x 4 unit squares, from -2 to 2: p(x) = 1/8 there and 0 elsewhere."""

    def log_density(self, points: np.ndarray) -> np.ndarray:
        square = np.floor(points).astype(int)
        inside = (np.abs(points) <= 2).all(1) & (square.sum(1) % 2 == 0)
        return np.where(inside, -log(8), -np.inf)

    @property
    def entropy(self) -> float:
        return log(8)

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        across = generator.integers(-2, 2, rows)
        up = 2 * generator.integers(-1, 1, rows) + across % 2
        # not quite to the edge, which rounding could carry a point over
        return np.stack([across, up], 1) + generator.uniform(1e-6, 1 - 1e-6, (rows, 2))


def draw_plane(plane: Plane, rows: tuple[int, ...], seed: int) -> RealToy:
    points = plane.sample(sum(rows), np.random.default_rng(seed))
    train, valid, test = np.split(points, np.cumsum(rows)[:-1])
    return RealToy(train, valid, test, plane)
