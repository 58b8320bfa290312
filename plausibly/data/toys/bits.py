"""Small data at hand: digits, and toys drawn from distributions whose log p is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import log
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from plausibly.data.dataset import TrueDistribution
from plausibly.data.formats.array_container import ArrayContainer
from plausibly.data.formats.format import Format
from plausibly.data.toys.planes import Checkerboard, NormalsOnCircle, RealToy, Ring, draw_plane
from plausibly.data.toys.tints import TintsTruth
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Kind, Level
from plausibly.events.schema import Schema, binary

SPLIT_ROWS = (5_000, 1_000, 2_000)
SEED = 2_010


class Toy(NamedTuple):
    """Rows of each split, what they are, how they lie in their arrays, and where they come from."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    schema: Schema
    layout: str
    truth: TrueDistribution | None = None
    labels: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # of the rows of each split

    def format(self) -> Format:
        return Format(ArrayContainer(self.schema, self.layout, self.train.dtype.str))

    def truth_for(self, format: Format) -> TrueDistribution | None:
        return self.truth

    def parts(self, labels: bool = False) -> dict[str, np.ndarray]:
        """Rows, or their labels, by the names of the splits. UserError where there are no labels."""
        if labels and self.labels is None:
            raise UserError("this built-in has no labels; digits and digits-binary have")
        chosen = self.labels if labels and self.labels else (self.train, self.valid, self.test)
        return dict(zip(("train", "valid", "test"), chosen, strict=True))


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis=axis, keepdims=True)
    found: np.ndarray = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return found


@dataclass(frozen=True)
class JointTruth:
    """A distribution given by a table of all events: log_probs (events,) in lexical order."""

    codes: tuple[int, ...]
    log_probs: np.ndarray

    def log_prob(self, codes: Tensor) -> Tensor:
        columns = tuple(codes.reshape(len(codes), -1).long().numpy().T)
        return torch.from_numpy(self.log_probs[np.ravel_multi_index(columns, self.codes)])

    @cached_property
    def entropy(self) -> float:
        return float(-(np.exp(self.log_probs) * self.log_probs).sum())

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        index = generator.choice(len(self.log_probs), size=rows, p=np.exp(self.log_probs))
        return np.stack(np.unravel_index(index, self.codes), axis=1).astype(np.uint8)


def random_joint(codes: tuple[int, ...], generator: np.random.Generator) -> JointTruth:
    """log p(x) = sum of a random number for each value, pair and triple of values, normalised."""
    grids = np.meshgrid(*(np.arange(levels) for levels in codes), indexing="ij", sparse=True)
    scores = np.zeros(codes)
    for order, strength in ((1, 0.5), (2, 0.6), (3, 0.3)):
        for chosen in combinations(range(len(codes)), order):
            table = generator.normal(size=[codes[variable] for variable in chosen]) * strength
            scores += table[tuple(grids[variable] for variable in chosen)]
    flat = scores.ravel()
    return JointTruth(codes, flat - _log_sum_exp(flat, 0))


@dataclass(frozen=True)
class IsingTruth:
    """Spins on a strip with open ends: p(x) proportional to exp(coupling sum s_i s_j + field sum s_i), s = 2x - 1.

    log Z by the transfer matrix, column by column.
    """

    height: int = 4
    width: int = 6
    coupling: float = 0.4
    field: float = 0.1

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.array(list(product((-1, 1), repeat=self.height)))

    @cached_property
    def _within(self) -> Any:
        columns = self._columns
        coupled = (columns[:, :-1] * columns[:, 1:]).sum(axis=1)
        return self.coupling * coupled + self.field * columns.sum(axis=1)

    @cached_property
    def _between(self) -> Any:
        return self.coupling * self._columns @ self._columns.T

    @cached_property
    def _futures(self) -> np.ndarray:
        """Log of the sum over all later columns, for each column and its state: (width, states)."""
        futures = np.zeros((self.width, len(self._columns)))
        for column in range(self.width - 2, -1, -1):
            futures[column] = _log_sum_exp(self._between + self._within + futures[column + 1], 1)
        return futures

    @cached_property
    def log_normaliser(self) -> float:
        return float(_log_sum_exp(self._within + self._futures[0], 0))

    def log_prob(self, codes: Tensor) -> Tensor:
        spins = 2.0 * codes.reshape(-1, self.height, self.width).double() - 1
        pairs = (spins[:, 1:] * spins[:, :-1]).sum((1, 2)) + (
            spins[:, :, 1:] * spins[:, :, :-1]
        ).sum((1, 2))
        return self.coupling * pairs + self.field * spins.sum((1, 2)) - self.log_normaliser

    @cached_property
    def _steps(self) -> Any:
        """log p(next column | this column): (width - 1, states, states)."""
        scores = self._between[None] + (self._within + self._futures[1:])[:, None]
        return scores - _log_sum_exp(scores, 2)[..., None]

    @cached_property
    def entropy(self) -> float:
        """The chain rule over columns."""
        log_first = self._within + self._futures[0] - self.log_normaliser
        marginal = np.exp(log_first)
        total = float(-(np.exp(log_first) * log_first).sum())
        for step in self._steps:
            total -= float((marginal[:, None] * np.exp(step) * step).sum())
            marginal = marginal @ np.exp(step)
        return total

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        first = np.exp(self._within + self._futures[0] - self.log_normaliser)
        states = [generator.choice(len(first), size=rows, p=first / first.sum())]
        for step in self._steps:
            sums = np.exp(step).cumsum(axis=1)[states[-1]]
            states.append((generator.random((rows, 1)) * sums[:, -1:] > sums).sum(axis=1))
        spins = self._columns[np.stack(states, axis=1)]  # (rows, width, height)
        return ((np.moveaxis(spins, 1, 2) + 1) // 2).astype(np.uint8)


@dataclass(frozen=True)
class BarsTruth:
    """Bars or stripes, each line on or off, every pixel flipped with probability `noise`; summed over all patterns."""

    side: int = 4
    noise: float = 0.05

    @cached_property
    def patterns(self) -> np.ndarray:
        """All equally likely patterns, (2^(side + 1), side^2)."""
        lines = np.array(list(product((0, 1), repeat=self.side)))
        stripes = np.repeat(lines[:, :, None], self.side, axis=2)
        return np.concatenate([stripes, stripes.transpose(0, 2, 1)]).reshape(-1, self.side**2)

    def log_prob(self, codes: Tensor) -> Tensor:
        bits = codes.reshape(len(codes), -1).double()
        patterns = torch.from_numpy(self.patterns).double()
        flips = bits @ (1 - patterns).T + (1 - bits) @ patterns.T
        scores = flips * log(self.noise) + (self.side**2 - flips) * log(1 - self.noise)
        return torch.logsumexp(scores, 1) - log(len(patterns))

    @cached_property
    def entropy(self) -> float:
        nats = self.log_prob(binary(self.side**2).all_events())
        return float(-(nats.exp() * nats).sum())

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        bits = self.patterns[generator.integers(len(self.patterns), size=rows)]
        flipped = bits ^ (generator.random(bits.shape) < self.noise)
        return flipped.reshape(rows, self.side, self.side).astype(np.uint8)


def _draw_toy(
    truth: JointTruth | IsingTruth | BarsTruth | TintsTruth,
    schema: Schema,
    layout: str,
    rows: tuple[int, ...],
) -> Toy:
    sample = truth.sample(sum(rows), np.random.default_rng(SEED))
    train, valid, test = np.split(sample, np.cumsum(rows)[:-1])
    return Toy(train, valid, test, schema, layout, truth)


def toy_bits(rows: tuple[int, ...] = SPLIT_ROWS) -> Toy:
    """Ten bits from a random joint."""
    return _draw_toy(random_joint((2,) * 10, np.random.default_rng(SEED)), binary(10), "flat", rows)


def toy_mixed(rows: tuple[int, ...] = SPLIT_ROWS) -> Toy:
    """Ten variables of two or three values, some ordered, from a random joint."""
    kinds: tuple[Kind, ...] = (Category(2), Category(3), Level(3), Category(2), Level(3)) * 2
    schema = Schema((10,), kinds)
    return _draw_toy(
        random_joint(schema.codes, np.random.default_rng(SEED + 1)), schema, "flat", rows
    )


def toy_ising(rows: tuple[int, ...] = SPLIT_ROWS) -> Toy:
    """A strip of 4 x 6 spins."""
    return _draw_toy(IsingTruth(), Schema((1, 4, 6), (Category(2),) * 24), "hw", rows)


def toy_bars(rows: tuple[int, ...] = SPLIT_ROWS) -> Toy:
    """Noisy bars and stripes, 4 x 4."""
    return _draw_toy(BarsTruth(), Schema((1, 4, 4), (Category(2),) * 16), "hw", rows)


def toy_tints(rows: tuple[int, ...] = SPLIT_ROWS) -> Toy:
    """Noisy bars and stripes in colour, 2 x 2 pixels of 3 channels with 3 levels."""
    patterns = BarsTruth(side=2).patterns.reshape(-1, 2, 2)
    palettes = np.random.default_rng(SEED + 2).integers(0, 3, size=(4, 2, 3))
    truth = TintsTruth(patterns, palettes, levels=3, noise=0.1)
    return _draw_toy(truth, truth.schema, "hwc", rows)


def toy_ring() -> RealToy:
    """Points on a ring in the plane."""
    return draw_plane(Ring(), SPLIT_ROWS, SEED)


def toy_modes() -> RealToy:
    """Eight narrow normals on a circle in the plane."""
    return draw_plane(NormalsOnCircle(), SPLIT_ROWS, SEED)


def toy_checkerboard() -> RealToy:
    """Points on the dark squares of a board."""
    return draw_plane(Checkerboard(), SPLIT_ROWS, SEED)


def _digits(rows: np.ndarray, names: np.ndarray, kind: Kind) -> Toy:
    """The split is fixed, so that `digits:test` names the same rows whatever the seed."""
    order = np.random.default_rng(SEED).permutation(len(rows))
    held = len(rows) // 10
    valid, test, train = np.split(order, [held, 2 * held])
    labels = (names[train], names[valid], names[test])
    return Toy(
        rows[train], rows[valid], rows[test], Schema((1, 8, 8), (kind,) * 64), "hw", labels=labels
    )


def _scans() -> tuple[np.ndarray, np.ndarray]:
    """Images, 0 to 16, and which digit each shows."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.uint8), found.target.astype(np.uint8)


def digits() -> Toy:
    """Handwritten digits, 8 x 8, 17 levels of ink."""
    return _digits(*_scans(), Level(17))


def digits_binary() -> Toy:
    """Handwritten digits, 8 x 8, ink where there is at least half."""
    images, names = _scans()
    return _digits((images >= 8).astype(np.uint8), names, Category(2))


BUILT_IN: dict[str, Callable[[], Toy | RealToy]] = {
    "digits-binary": digits_binary,
    "digits": digits,
    "toy-bits": toy_bits,
    "toy-mixed": toy_mixed,
    "toy-ising": toy_ising,
    "toy-bars": toy_bars,
    "toy-tints": toy_tints,
    "toy-ring": toy_ring,
    "toy-modes": toy_modes,
    "toy-checkerboard": toy_checkerboard,
}
