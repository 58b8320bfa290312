"""A judge that tells samples from rows that it was not taught on: histogram gradient boosting of scikit-learn.

The judge sees numbers, holes, and levels as categories; 100 trees, leaves of 20 rows, of a twentieth of few rows. It is
taught on four fifths of the rows of both sorts and scores the rest, five times. The AUC is the mean over the five; its
standard error is that of DeLong et al. (1988), the five as if independent, which says rather too little. .5 is perfect,
and what counts is the distance from it, on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

MAX_LEVELS = 254
FOLDS = 5


@dataclass(frozen=True)
class Auc:
    """An AUC and its standard error."""

    value: float
    error: float

    @property
    def distance(self) -> float:
        return abs(self.value - 0.5)


def encode(frames: list[pd.DataFrame]) -> tuple[list[np.ndarray], list[int]]:
    """The frames as numbers, holes NaN, texts by their rank among the 254 most frequent; and which columns are categories."""
    whole = pd.concat(frames, ignore_index=True)
    columns, categories = [], []
    for place, name in enumerate(whole):
        column = whole[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns.append(column.to_numpy(float, na_value=np.nan))
            continue
        ranks = {level: code for code, level in enumerate(column.value_counts().index[:MAX_LEVELS])}
        codes = column.map(ranks).to_numpy(float)
        columns.append(
            np.where(column.isna(), np.nan, np.where(np.isnan(codes), MAX_LEVELS, codes))
        )
        categories.append(place)
    table = np.stack(columns, 1)
    return np.split(table, np.cumsum([len(frame) for frame in frames])[:-1]), categories


def boosted_trees(categories: list[int], rows: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        early_stopping=False,
        categorical_features=categories or None,
        min_samples_leaf=min(20, max(1, rows // 20)),
        random_state=0,
    )


def delong(real: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """The AUC of scores of both sorts, and its variance."""
    both = rankdata(np.concatenate([real, made]))
    above = (both[: len(real)] - rankdata(real)) / len(made)
    below = 1 - (both[len(real) :] - rankdata(made)) / len(real)
    variance = sum(each.var(ddof=1) / len(each) for each in (above, below))
    return float(above.mean()), float(variance)


def judge(real: pd.DataFrame, made: pd.DataFrame) -> Auc:
    """How well the judge tells real rows from others, of the columns that both have."""
    shared = [name for name in real if name in made]
    parts, categories = encode([real[shared], made[shared]])
    x, is_real = np.concatenate(parts), np.repeat([True, False], [len(real), len(made)])
    found = []
    for taught, asked in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, is_real):
        trees = boosted_trees(categories, len(taught)).fit(x[taught], is_real[taught])
        scores = trees.decision_function(x[asked])
        found.append(delong(scores[is_real[asked]], scores[~is_real[asked]]))
    return average([Auc(value, variance**0.5) for value, variance in found])


def average(each: list[Auc]) -> Auc:
    """The mean of AUCs, whose errors are independent."""
    errors = np.array([one.error for one in each])
    mean = float(np.mean([one.value for one in each]))
    return Auc(mean, float(np.sqrt((errors**2).sum()) / len(each)))
