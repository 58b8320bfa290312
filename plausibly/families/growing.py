"""Forests that scikit-learn grows for one variable, as plain arrays, and the numbers by which trees see codes.

Trees see of ordered codes the place of each, a hole below all, and of a category the order of its levels along the main
axes of what else their rows hold (correspondence analysis, Benzecri 1973): a split parts levels that are alike from the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plausibly.events.kinds import Kind
from plausibly.kernels.leaves import UNKNOWN

# of each forest: the fewest rows of a leaf, and whether places of splits are drawn at random
FORESTS = ((5, False), (3, True), (20, False))
MAX_AXES = 2  # numbers by which a category is seen
MAX_CLASSES = 6  # ordered codes, of which more are learned as numbers
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
    features: NDArray[np.int16], codes: NDArray[np.int64], kind: Kind, trees: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int32]]:
    """Forests for codes, (rows,), given features, (rows, features): nodes, entries and roots, (forests, trees).

    Nodes and entries are those of `plausibly.kernels.leaves`.
    """
    seen, target = features.astype(np.float32), learned_numbers(codes, kind)
    nodes, entries, roots = list[np.ndarray](), list[np.ndarray](), list[int]()
    nodes_so_far = entries_so_far = 0
    for number, (leaf_rows, random) in enumerate(FORESTS):
        forest = _plant(target.dtype == np.int64, random)(
            trees,
            min_samples_leaf=leaf_rows,
            max_features=1.0,
            bootstrap=True,
            random_state=np.random.RandomState([seed, number]),
        )
        for grown in forest.fit(seen, target).estimators_:
            own, leaves = _read_tree(grown.tree_, seen, codes, kind.codes)
            is_leaf = own[:, :1] < 0
            own[:, 2:4] += np.where(is_leaf, entries_so_far, nodes_so_far)
            roots.append(nodes_so_far)
            nodes_so_far, entries_so_far = nodes_so_far + len(own), entries_so_far + len(leaves)
            nodes.append(own)
            entries.append(leaves)
    where = np.array(roots, np.int32).reshape(len(FORESTS), trees)
    return np.concatenate(nodes), np.concatenate(entries), where


def learned_numbers(codes: NDArray[np.int64], kind: Kind) -> np.ndarray:
    """Codes as classes; of many ordered ones the places, and which are frequent: (rows, numbers), or (rows,) of one."""
    if not kind.ordered or kind.codes <= MAX_CLASSES:
        return codes
    number = codes < kind.regular
    places = first_places(kind)[0, codes].astype(float)
    places[~number] = places[number].mean() if number.any() else 0.0
    counts = np.bincount(codes, minlength=kind.codes) / len(codes)
    frequent = counts.argsort()[::-1][:MAX_SINGLED_OUT]
    single = [codes == code for code in frequent if counts[code] >= MIN_SHARE]
    spread = places.std() or 1.0
    holes = [] if number.all() else [2.0 * ~number]
    found = np.column_stack([(places - places.mean()) / spread, *holes, *single])
    return found[:, 0] if found.shape[1] == 1 else found


def _plant(classes: bool, random: bool) -> type:
    from sklearn import ensemble

    best = ensemble.RandomForestClassifier, ensemble.RandomForestRegressor
    drawn = ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor
    return (drawn if random else best)[0 if classes else 1]


def _read_tree(
    tree: Any, seen: NDArray[np.float32], codes: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Nodes and entries of one of scikit-learn's trees; its leaves hold all rows, also those that it was not grown from."""
    leaf = tree.children_left < 0
    rank = leaf.cumsum() - 1
    counts = np.bincount(
        rank[tree.apply(seen)] * size + codes, minlength=leaf.sum() * size
    ).reshape(-1, size)
    held, code = counts.nonzero()
    ends = np.searchsorted(held, np.arange(len(counts) + 1))
    nodes = np.empty((len(leaf), 5), np.int32)
    nodes[:, 0] = np.where(leaf, -1, tree.feature)
    nodes[:, 1] = np.where(leaf, 0, np.floor(tree.threshold))
    nodes[:, 2] = np.where(leaf, ends[rank], tree.children_left)
    nodes[:, 3] = np.where(leaf, ends[rank + 1], tree.children_right)
    nodes[:, 4] = tree.n_node_samples
    return nodes, np.column_stack([code, counts[held, code]]).astype(np.int16)
