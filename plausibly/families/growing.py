"""Forests for one variable, as plain arrays, and the numbers by which trees see codes.

Trees see of ordered codes the place of each, a hole below all, and of a category the order of its levels along the main
axes of what else their rows hold (correspondence analysis, Benzecri 1973): a split parts levels that are alike from the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plausibly.events.kinds import Kind
from plausibly.kernels.leaves import UNKNOWN

# of each forest: the fewest rows of a leaf, and whether places of splits are drawn at random
FORESTS = ((5, False), (3, True), (20, False))
MAX_AXES = 2  # numbers by which a category is seen
MAX_ORDERED_CLASSES = 6  # ordered codes, of which more are learned as numbers
MAX_CLASSES = 16  # levels, of which more are learned as numbers
TREE_SHARE = 0.65  # of the rows, from which each tree is grown
MIN_SHARE = 0.08  # of rows with one code, from which on it is learned for itself besides
MAX_SINGLED_OUT = 5  # such codes


def first_places(kind: Kind) -> NDArray[np.int16]:
    """The numbers by which trees see each code before any rows are seen, (features, codes).

    They are the places of ordered codes and of two levels, and what stands for no number is below them all.
    """
    axes = 1 if kind.ordered else min(MAX_AXES, max(kind.codes - 1, 1))
    places = np.tile(np.arange(kind.codes), (axes, 1))
    if kind.ordered:
        means = kind.code_means()[: kind.regular]
        places[:, : kind.regular] = means.argsort(kind="stable").argsort()
        places[:, kind.regular :] = -1
    if kind.unforeseen:
        places[:, kind.regular] = UNKNOWN
    return places.astype(np.int16)


def order_levels(pairs: NDArray[np.float64], axes: int) -> NDArray[np.int16]:
    """The places of levels along the main axes of their counts with other codes, (levels, others): (axes, levels)."""
    rows, columns = pairs.sum(1, keepdims=True) + 0.5, pairs.sum(0) + 0.5
    even = rows * columns / columns.sum()
    left, _, _ = np.linalg.svd((pairs - even) / np.sqrt(even), full_matrices=False)
    along = left[:, :axes] / np.sqrt(rows)
    return along.T.argsort(1, kind="stable").argsort(1).astype(np.int16)


def grow_forests(
    features: NDArray[np.int16],
    codes: NDArray[np.int64],
    kind: Kind,
    places: NDArray[np.int16],
    trees: int,
    seed: int,
) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int32]]:
    """Forests for codes, (rows,), whose numbers are `places`, given features, (rows, features): nodes, entries and roots,
    (forests, trees).

    Nodes and entries are those of `plausibly.kernels.leaves`.
    """
    from plausibly.kernels.growing import grow_tree

    seen, target = np.ascontiguousarray(features.T), learned_numbers(codes, kind, places)
    nodes, entries, roots = list[np.ndarray](), list[np.ndarray](), list[int]()
    nodes_so_far = entries_so_far = 0
    for number, (least, random) in enumerate(FORESTS):
        chance = np.random.RandomState([seed, number])
        for _ in range(trees):
            some = np.flatnonzero(chance.random_sample(len(codes)) < TREE_SHARE)
            grown = grow_tree(
                seen, target, some, least, max(1, len(some)), random, chance.randint(2**31)
            )
            own, leaves = _fill_leaves(grown, seen, codes, kind.codes)
            is_leaf = own[:, :1] < 0
            own[:, 2:4] += np.where(is_leaf, entries_so_far, nodes_so_far)
            roots.append(nodes_so_far)
            nodes_so_far, entries_so_far = nodes_so_far + len(own), entries_so_far + len(leaves)
            nodes.append(own)
            entries.append(leaves)
    where = np.array(roots, np.int32).reshape(len(FORESTS), trees)
    return np.concatenate(nodes), np.concatenate(entries), where


def learned_numbers(
    codes: NDArray[np.int64], kind: Kind, places: NDArray[np.int16]
) -> NDArray[np.float64]:
    """The numbers by whose squares trees tell codes, (rows, numbers): which code, of few; of many their places, how far out
    ordered ones are, and which of the frequent ones."""
    counts = np.bincount(codes, minlength=kind.codes) / len(codes)
    frequent = counts.argsort()[::-1]
    if kind.codes <= (MAX_ORDERED_CLASSES if kind.ordered else MAX_CLASSES):
        return np.column_stack([codes == code for code in frequent if counts[code]]).astype(float)
    single = [codes == code for code in frequent[:MAX_SINGLED_OUT] if counts[code] >= MIN_SHARE]
    known = codes < kind.regular
    far = [np.cos(2 * np.pi * (counts.cumsum() - counts / 2)[codes])] if kind.ordered else []
    along = [_standardise(numbers, known) for numbers in (*places[:, codes].astype(float), *far)]
    return np.column_stack([*along, *single, 2.0 * ~known])


def _standardise(numbers: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Numbers of mean 0 and spread 1, those not known in the middle."""
    numbers[~known] = numbers[known].mean() if known.any() else 0.0
    return np.asarray((numbers - numbers.mean()) / (numbers.std() or 1.0))


def _fill_leaves(
    nodes: NDArray[np.int32], seen: NDArray[np.int16], codes: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Nodes and entries of a tree; its leaves hold all rows, also those that it was not grown from."""
    from plausibly.kernels.growing import find_leaves

    leaf = nodes[:, 0] < 0
    rank = leaf.cumsum() - 1
    counts = np.bincount(
        rank[find_leaves(seen, nodes)] * size + codes, minlength=leaf.sum() * size
    ).reshape(-1, size)
    held, code = counts.nonzero()
    ends = np.searchsorted(held, np.arange(len(counts) + 1))
    nodes[leaf, 2], nodes[leaf, 3] = ends[rank[leaf]], ends[rank[leaf] + 1]
    return nodes, np.column_stack([code, counts[held, code]]).astype(np.int16)
