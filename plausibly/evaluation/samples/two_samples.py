"""Are two sets of rows from one distribution? Two tests that ask it.

The classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545) teaches a judge to tell both sorts apart and
takes the area under its ROC curve on rows that it was not taught with:

    AUC  =  P(score of a real row > score of a made one) + 1/2 P(equal)         0.5: the judge sees no difference

The maximum mean discrepancy (Gretton et al. 2012, JMLR 13) with a kernel k, by its unbiased estimate,

    MMD^2  =  E k(x, x') + E k(y, y') - 2 E k(x, y)                             0: one distribution, for a Gaussian kernel
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from plausibly.evaluation.intervals import UnitInfluences, influence_by_unit
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import BOTH_SORTS
from plausibly.evaluation.samples.judges import Judge

FOLDS = 5
MAX_TEST_ROWS = (
    1000  # rows of each sort that a permutation test takes, at most: it holds a matrix of all pairs
)
PERMUTATIONS = 200


def roc_auc(real: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve of scores (n,) and (m,), and its standard error over rows (DeLong et al. 1988)."""
    ours, theirs = placements(real, made)
    variance = ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs)
    return float(ours.mean()), float(np.sqrt(variance))


def placements(real: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each real score the share of made ones below it, and for each made one that of real ones above; half for equal."""
    from scipy.stats import rankdata  # slow to import

    n, m = len(real), len(made)
    ranks = rankdata(np.concatenate([real, made]))
    return (ranks[:n] - rankdata(real)) / m, 1 - (ranks[n:] - rankdata(made)) / n


def two_sample_auc(
    judge: Judge,
    rows: int,
    seed: int = 0,
    folds: int = FOLDS,
    on_progress: Callable[[int, int], None] = lambda done, folds: None,
    groups: np.ndarray | None = None,
) -> Number:
    """The judge's AUC over so many real and as many made rows, which it holds in this order, each scored by folds.

    `on_progress` is told how many folds are done, of how many; `groups` are of the real rows.

    All folds' judges were taught on much the same rows, and others would score otherwise: the error over rows is too small.
    It is widened by sqrt(1 + folds * scored / taught), 1.5 for five folds (Nadeau & Bengio 2003).
    """
    scores = score_by_folds(judge, rows, seed, folds, on_progress)
    ours, theirs = placements(scores[:rows], scores[rows:])
    widened = sqrt(1 + folds / (folds - 1))
    moved = UnitInfluences(
        (widened * influence_by_unit(ours, groups), widened * influence_by_unit(theirs))
    )
    value, better = float(ours.mean()), "lower is better; 0.5 is perfect, and so is less"
    told: dict[str, Any] = {
        "interval": moved.interval_of_share(value, rows),
        "over": BOTH_SORTS,
        "folds": folds,
    }
    return Number(value, moved.error, rows, judge.name, better, 0.5, **told)


def score_by_folds(
    judge: Judge, rows: int, seed: int, folds: int, on_progress: Callable[[int, int], None]
) -> np.ndarray:
    """The score of each row, real ones first, by the judge that was taught with the other folds."""
    generator = np.random.default_rng((seed, 40))
    fold = np.concatenate([generator.permutation(np.arange(rows) % folds) for _ in range(2)])
    is_real, scores = np.arange(2 * rows) < rows, np.empty(2 * rows)
    for part in range(folds):
        own, others = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        scores[others] = judge.scores(own, is_real[own], others, seed)
        on_progress(part + 1, folds)
    return scores


def mmd(within_x: np.ndarray, within_y: np.ndarray, between: np.ndarray) -> float:
    """MMD^2 of kernel matrices (n, n), (m, m) and (n, m): no row is paired with itself."""
    n, m = between.shape
    own_x, own_y = within_x.sum() - np.trace(within_x), within_y.sum() - np.trace(within_y)
    return float(own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2 * between.mean())


def kernel_influences(
    kernel: np.ndarray, n: int, groups: np.ndarray | None = None
) -> UnitInfluences:
    """The moves by rows of MMD^2, a U-statistic, by the kernel matrix of all rows, the first n of one sort: twice what a row
    is nearer to its own sort by. Pairs alone move it between sorts of one law (Gretton et al. 2012, section 6)."""
    m = len(kernel) - n
    off = kernel - np.diag(np.diag(kernel))
    ours, theirs = off[:, :n].sum(1), off[:, n:].sum(1)
    own_x, own_y = ours[:n] / (n - 1) - theirs[:n] / m, theirs[n:] / (m - 1) - ours[n:] / n
    means = kernel.mean(0)
    squares = (kernel - means - means[:, None] + means.mean()) ** 2
    pairs = 1 / (n * (n - 1)) + 1 / (m * (m - 1)) + 2 / (n * m)
    paired = sqrt(
        2 * pairs * float(squares.sum() - np.trace(squares)) / (len(kernel) * (len(kernel) - 1))
    )
    return UnitInfluences(
        (influence_by_unit(2 * own_x, groups), influence_by_unit(2 * own_y)), paired=paired
    )


def gaussian_kernel(rows: np.ndarray) -> np.ndarray:
    """exp(-|x - y|^2 / (2 s^2)) of all pairs, (n, n); s is the median distance of different rows."""
    from scipy.spatial.distance import cdist

    squares = cdist(rows, rows, "sqeuclidean")
    apart = squares[squares > 0]
    return (
        np.asarray(np.exp(-squares / (2 * np.median(apart))))
        if len(apart)
        else np.ones_like(squares)
    )


@dataclass(frozen=True)
class PermutationTest:
    """MMD^2, and the same of rows whose sorts were shuffled, (permutations,)."""

    value: float
    shuffled: np.ndarray

    @property
    def p_value(self) -> float:
        """The share of shuffled sorts that look as different, the true ones too: uniform where both are of one law."""
        slack = 1e-12 * max(abs(self.value), 1e-12)
        return float((1 + (self.shuffled >= self.value - slack).sum()) / (1 + len(self.shuffled)))


def permutation_test(
    kernel: np.ndarray, n: int, seed: int, permutations: int = PERMUTATIONS
) -> PermutationTest:
    """The test of a kernel matrix of all rows, the first n of one sort."""
    total, generator = len(kernel), np.random.default_rng((seed, 41))
    first = np.zeros((total, permutations + 1))
    first[:n, 0] = 1
    for column in range(1, permutations + 1):
        first[generator.permutation(total)[:n], column] = 1
    m, off = total - n, kernel - np.diag(np.diag(kernel))
    towards = off @ first
    own, across = (first * towards).sum(0), ((1 - first) * towards).sum(0)
    rest = off.sum() - own - 2 * across
    found = own / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)
    return PermutationTest(float(found[0]), found[1:])


def mmd_number(
    real: np.ndarray, made: np.ndarray, by: str, seed: int = 0, groups: np.ndarray | None = None
) -> Number:
    """MMD^2 of features (n, d) each with a Gaussian kernel; `groups` are of the real rows."""
    real, made = real[:MAX_TEST_ROWS], made[:MAX_TEST_ROWS]
    n = len(real)
    kernel = gaussian_kernel(np.concatenate([real, made]))
    test = permutation_test(kernel, n, seed)
    moved = kernel_influences(kernel, n, None if groups is None else groups[:n])
    better = "lower is better; 0 is perfect"
    told: dict[str, Any] = {
        "interval": moved.even_interval(test.value),
        "over": BOTH_SORTS,
        "p_value": test.p_value,
    }
    return Number(test.value, moved.error, len(made), f"Gaussian kernel, {by}", better, 0.0, **told)
