"""Gradient boosting of one variable of few codes: leaves of small trees add to the logits of all codes (Friedman 2001).

A tree's nodes are those of `plausibly.kernels.leaves`, with one entry for each leaf: its number, which is the row of what it
adds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

MAX_BOOSTED_CODES = 64
MAX_ROUNDS = 100
PATIENCE = 8  # rounds that may tell held-out rows no better
RATE = 0.2  # of a Newton step
MIN_LEAF_ROWS = 10
MAX_LEAVES = 8
SKETCH = 8  # sums of slopes, drawn at random, by which trees of more codes are grown (Iosipoi and Vakhrushev 2022)
MAX_HELD_OUT = 5_000  # rows that tell when to stop
SEEN_SHARE = 0.65  # of the rows, from which each tree is grown


class Steps(NamedTuple):
    """Trees of all rounds: nodes, what each leaf adds, (leaves, codes) float32, and roots, (rounds,)."""

    nodes: NDArray[np.int32]
    values: NDArray[np.float32]
    roots: NDArray[np.int32]


class Told(NamedTuple):
    """The numbers that trees see, (features, rows) int16, and codes, (rows,)."""

    features: NDArray[np.int16]
    codes: NDArray[np.int64]


def boost(rows: Told, held_out: Told, logits: NDArray[np.float64], seed: int) -> Steps:
    """Trees that add to `logits`, (codes,), of as many rounds as tell held-out rows best."""
    from plausibly.kernels.growing import find_leaves, grow_tree

    chance = np.random.RandomState(seed)
    own, asked = (
        np.tile(logits.astype(np.float32), (len(each.codes), 1)) for each in (rows, held_out)
    )
    is_code = np.eye(len(logits), dtype=np.float32)[rows.codes]
    alone = np.eye(len(logits), min(len(logits), SKETCH))
    trees = [
        Steps(
            np.empty((0, 5), np.int32),
            np.empty((0, len(logits)), np.float32),
            np.empty(0, np.int32),
        )
    ]
    best, best_round, leaves_so_far, nodes_so_far = tell(asked, held_out.codes), 0, 0, 0
    while len(trees) <= MAX_ROUNDS and len(trees) - best_round <= PATIENCE:
        p = softmax(own, 1)
        slope = is_code - p
        some = np.flatnonzero(chance.random_sample(len(p)) < SEEN_SHARE)
        nodes = grow_tree(
            rows.features,
            slope @ (chance.normal(size=alone.shape) if len(logits) > SKETCH else alone),
            some,
            MIN_LEAF_ROWS,
            MAX_LEAVES,
            False,
            chance.randint(2**31),
        )
        leaf = nodes[:, 0] < 0
        number = leaf.cumsum() - 1
        seen, reached = (number[find_leaves(each.features, nodes)] for each in (rows, held_out))
        inside = np.equal.outer(np.arange(leaf.sum()), seen).astype(np.float32)
        values = RATE * (inside @ slope) / (inside @ (p * (1 - p)) + 1)
        own, asked = own + values[seen], asked + values[reached]
        nodes[~leaf, 2:4] += nodes_so_far
        nodes[leaf, 2:4] = (leaves_so_far + number[leaf])[:, None] + [0, 1]
        trees.append(Steps(nodes, values, np.array([nodes_so_far], np.int32)))
        leaves_so_far, nodes_so_far = leaves_so_far + len(values), nodes_so_far + len(nodes)
        if (told := tell(asked, held_out.codes)) > best:
            best, best_round = told, len(trees) - 1
    return Steps(*map(np.concatenate, zip(*trees[: best_round + 1], strict=True)))


def tell(logits: NDArray[np.floating], codes: NDArray[np.int64]) -> float:
    """The log p of all codes."""
    return float(log_softmax(logits, 1)[np.arange(len(codes)), codes].sum())


def add_steps(
    features: NDArray[np.int16], steps: Steps, logits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probabilities of codes, (rows, codes), of features, (rows, features)."""
    from plausibly.kernels.leaves import add_leaves

    reached = np.zeros((len(features), len(steps.values)))
    numbers = np.arange(len(steps.values), dtype=np.int16)
    add_leaves(
        features, steps.nodes, np.stack([numbers, np.ones_like(numbers)], 1), steps.roots, reached
    )
    return np.asarray(softmax(logits + len(steps.roots) * reached @ steps.values, 1))
