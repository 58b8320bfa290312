"""Gradient boosting of one variable: leaves of small trees add to the logits of all codes (Friedman 2001).

A leaf adds a step along each of some axes, which are numbers of codes. Of few codes each has an axis of its own. Many ordered
ones have cosines along their ranks: the logits are a smooth function, and few numbers tell its change.

A tree's nodes are those of `plausibly.kernels.leaves`, with one entry for each leaf: its number, which is the row of its
steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

MAX_BOOSTED_CODES = 64
WAVES = 8  # cosines by which more ordered codes than these are told
MAX_ROUNDS = 300
PATIENCE = 20  # rounds that may tell held-out rows no better
RATE = 0.1  # of a Newton step
MIN_LEAF_ROWS = 10
MAX_LEAVES, MAX_WAVE_LEAVES = 8, 16  # of a tree where each code has an axis, and of cosines
MAX_SUMS = 12  # of slopes, by which a tree is grown
SKETCH = 8  # sums, drawn at random, of slopes along more axes (Iosipoi and Vakhrushev 2022)
MAX_HELD_OUT = 5_000  # rows that tell when to stop
SEEN_SHARE = 0.65  # of the rows, from which each tree is grown
MAX_SEEN = 10_000  # such rows
ROWS_AT_ONCE = 1_000


class Steps(NamedTuple):
    """Trees of all rounds: nodes, each leaf's steps, (leaves, axes) float32, and roots, (rounds,)."""

    nodes: NDArray[np.int32]
    values: NDArray[np.float32]
    roots: NDArray[np.int32]


class Told(NamedTuple):
    """The numbers that trees see, (features, rows) int16, and codes, (rows,)."""

    features: NDArray[np.int16]
    codes: NDArray[np.int64]


def axes_along(chances: NDArray[np.float64], ordered: int) -> NDArray[np.float32]:
    """Axes, (codes, axes), of codes with these probabilities, the first of which are so many ordered ones: cosines along
    their ranks, the rougher the smaller, and an axis for each other code."""
    if ordered <= WAVES:
        return np.eye(len(chances), dtype=np.float32)
    own, number = chances[:ordered], np.arange(1, WAVES + 1)
    ranks = (own.cumsum() - own / 2) / own.sum()
    axes = np.zeros((len(chances), WAVES + len(chances) - ordered), np.float32)
    axes[:ordered, :WAVES] = np.cos(np.pi * np.outer(ranks, number)) / number**1.5
    axes[ordered:, WAVES:] = np.eye(len(chances) - ordered)
    return axes


def boost(
    rows: Told, held_out: Told, logits: NDArray[np.float64], axes: NDArray[np.float32], seed: int
) -> Steps:
    """Trees that add to `logits`, (codes,), along axes, (codes, axes), of as many rounds as tell held-out rows best."""
    from plausibly.kernels.growing import find_leaves

    chance, logits = np.random.RandomState(seed), logits.astype(np.float32)
    own, asked = (
        np.zeros((len(each.codes), axes.shape[1]), np.float32) for each in (rows, held_out)
    )
    share = min(SEEN_SHARE, MAX_SEEN / max(1, len(own)))
    trees = [Steps(np.empty((0, 5), np.int32), own[:0], np.empty(0, np.int32))]
    best, best_round = tell(logits + asked @ axes.T, held_out.codes), 0
    leaves_so_far = nodes_so_far = 0
    while len(trees) <= MAX_ROUNDS and len(trees) - best_round <= PATIENCE:
        drawn = chance.random_sample(len(own))
        some = np.flatnonzero(drawn <= max(share, drawn.min()))
        seen = Told(np.ascontiguousarray(rows.features[:, some]), rows.codes[some])
        nodes, values = _step_once(seen, logits + own[some] @ axes.T, axes, chance)
        leaf = nodes[:, 0] < 0
        number = leaf.cumsum() - 1
        for each, added in ((rows, own), (held_out, asked)):
            added += values[number[find_leaves(each.features, nodes)]]
        nodes[~leaf, 2:4] += nodes_so_far
        nodes[leaf, 2:4] = (leaves_so_far + number[leaf])[:, None] + [0, 1]
        trees.append(Steps(nodes, values, np.array([nodes_so_far], np.int32)))
        leaves_so_far, nodes_so_far = leaves_so_far + len(values), nodes_so_far + len(nodes)
        if (told := tell(logits + asked @ axes.T, held_out.codes)) > best:
            best, best_round = told, len(trees) - 1
    return Steps(*map(np.concatenate, zip(*trees[: best_round + 1], strict=True)))


def _step_once(
    rows: Told,
    logits: NDArray[np.float32],
    axes: NDArray[np.float32],
    chance: np.random.RandomState,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """A tree's nodes and its leaves' steps, from what rows are told so far, (rows, codes)."""
    from plausibly.kernels.growing import find_leaves, grow_tree

    p, (codes, directions) = softmax(logits, 1), axes.shape
    mean = p @ axes
    slope, curve = axes[rows.codes] - mean, p @ axes**2 - mean**2
    told = slope if directions <= MAX_SUMS else slope @ chance.normal(size=(directions, SKETCH))
    nodes = grow_tree(
        rows.features,
        told.astype(float),
        np.arange(len(slope)),
        MIN_LEAF_ROWS,
        MAX_LEAVES if directions == codes else MAX_WAVE_LEAVES,
        False,
        chance.randint(2**31),
    )
    place = (np.cumsum(nodes[:, 0] < 0) - 1)[find_leaves(rows.features, nodes)]
    inside = np.equal.outer(np.arange(place.max(initial=0) + 1), place).astype(np.float32)
    return nodes, RATE * (inside @ slope) / (inside @ curve + 1)


def tell(logits: NDArray[np.floating], codes: NDArray[np.int64]) -> float:
    """The log p of all codes."""
    return float(log_softmax(logits, 1)[np.arange(len(codes)), codes].sum())


def add_steps(
    features: NDArray[np.int16],
    steps: Steps,
    logits: NDArray[np.float64],
    axes: NDArray[np.float32],
) -> NDArray[np.float64]:
    """The probabilities of codes, (rows, codes), of features, (rows, features)."""
    from plausibly.kernels.leaves import add_leaves

    numbers = np.arange(len(steps.values), dtype=np.int16)
    entries, found = np.stack([numbers, np.ones_like(numbers)], 1), list[np.ndarray]()
    for start in range(0, max(1, len(features)), ROWS_AT_ONCE):
        some = features[start : start + ROWS_AT_ONCE]
        reached = np.zeros((len(some), len(steps.values)))
        add_leaves(some, steps.nodes, entries, steps.roots, reached)
        found.append(len(steps.roots) * reached @ steps.values)
    return np.asarray(softmax(logits + np.concatenate(found) @ axes.T, 1))
