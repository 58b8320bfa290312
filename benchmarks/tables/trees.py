"""Sequential trees: each column by trees that see the columns before it, and a row of a leaf in its place.

The first column is drawn from the training rows. Of each other one a tree, or one of a forest's, is asked for the leaf of
what was drawn so far, and a training row of that leaf hands on its cell (Reiter 2005, with scikit-learn's trees). Leaves
hold 5 rows or more. Numbers are regressed by their ranks, holes below all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from benchmarks.tables.judge import encode

LEAF_ROWS = 5


def draw_by_trees(train: pd.DataFrame, rows: int, trees: int, seed: int) -> pd.DataFrame:
    """So many rows like those of `train`, by so many trees a column."""
    (table,), categories = encode([train])
    noise = np.random.default_rng([seed, trees])
    made, cells = np.empty((rows, table.shape[1])), {}
    for place, name in enumerate(train):
        if place == 0:
            donors = noise.integers(len(table), size=rows)
        else:
            forest = grow(table[:, :place], table[:, place], place in categories, trees, seed)
            leaves, asked = (forest.apply(each[:, :place]) for each in (table, made))
            donors = pick_donors(leaves, asked, noise)
        made[:, place] = table[donors, place]
        cells[name] = train[name].to_numpy()[donors]
    return pd.DataFrame(cells)


def grow(
    x: np.ndarray, y: np.ndarray, is_category: bool, trees: int, seed: int
) -> RandomForestClassifier | RandomForestRegressor:
    """A forest with scikit-learn's defaults, or one tree of all rows and columns."""
    options = {"n_estimators": trees, "min_samples_leaf": LEAF_ROWS, "random_state": seed}
    if trees == 1:
        options |= {"bootstrap": False, "max_features": None}
    if is_category:
        return RandomForestClassifier(**options).fit(x, np.nan_to_num(y, nan=-1))
    return RandomForestRegressor(**options).fit(x, rankdata(np.nan_to_num(y, nan=-np.inf)))


def pick_donors(leaves: np.ndarray, asked: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """A training row of the leaf that a tree by chance has for each row that is asked; leaves are (rows, trees)."""
    donors, chosen = np.empty(len(asked), int), noise.integers(leaves.shape[1], size=len(asked))
    for tree in range(leaves.shape[1]):
        own = chosen == tree
        order = leaves[:, tree].argsort(kind="stable")
        first, last = (
            np.searchsorted(leaves[order, tree], asked[own, tree], side)
            for side in ("left", "right")
        )
        donors[own] = order[noise.integers(first, last)]
    return donors
