"""False discoveries among rows that a table calibrates by cross-fitting, beside n fresh calibration rows.

python -m benchmarks.folds [--tables 200] [--seed S] [--level 0.1]

A table has 200 to 2,000 rows of six columns, a mixture of normals drawn by a seed; 200 rows are asked about, of which 20 are
planted: each cell is of some row, with one moved by up to five standard deviations. The model is a normal density with
all covariances, the quickest there is; its excess is taken column by column in the order of the chain rule. Both ways mark
by Benjamini and Hochberg at the level; told are the shares of false marks and of planted rows found, with standard errors.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable
from math import log, pi

import numpy as np
import torch

from plausibly.evaluation.likelihood.anomalies import Calibration, CrossCalibration, discoveries
from plausibly.evaluation.likelihood.excess import Usual

ROWS = (200, 2_000)
COLUMNS, GROUPS, FOLDS = 6, 3, 5
ASKED, PLANTED = 200, 20
VALID_SHARE = 0.1  # of the rows that fit a model

Noise = np.random.Generator
Costs = Callable[[np.ndarray], torch.Tensor]  # log p(x_i | earlier) of rows


def fit_normal(rows: np.ndarray) -> Costs:
    """log p(x_i | earlier) by a normal density of the mean and the covariance of rows."""
    root = np.linalg.cholesky(np.cov(rows.T) + 1e-6 * np.eye(rows.shape[1]))
    mean, spread = rows.mean(0), np.log(np.diag(root)) + log(2 * pi) / 2

    def costs(asked: np.ndarray) -> torch.Tensor:
        white = np.linalg.solve(root, (asked - mean).T).T
        return torch.from_numpy(-(white**2) / 2 - spread)

    return costs


class Ranked:
    """A model of some rows, with what is usual on a tenth of them."""

    def __init__(self, rows: np.ndarray) -> None:
        held = max(1, round(VALID_SHARE * len(rows)))
        self.costs = fit_normal(rows[held:])
        self.usual = Usual.of_rows(self.costs(rows[:held]))

    def calibration(self, rows: np.ndarray) -> Calibration:
        each = self.costs(rows)
        return Calibration(each.sum(1).numpy(), "", self.usual.excess(each).numpy())


def cross_p_values(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The p-values by models that were fitted without each fold."""
    folds, total, calibrations = np.array_split(np.arange(len(rows)), FOLDS), np.zeros(0), []
    for fold in folds:
        model = Ranked(np.delete(rows, fold, 0))
        own, each = model.calibration(rows[fold]), model.calibration(asked)
        calibrations.append(own)
        counted = own.count_as_odd(each.nats, each.excess)
        total = counted if not len(total) else total + counted
    return np.asarray((1 + total) / (CrossCalibration.of_folds(calibrations).rows + 1))


def fresh_p_values(rows: np.ndarray, fresh: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The p-values by a model of all rows, against as many fresh ones."""
    model = Ranked(rows)
    each = model.calibration(asked)
    return model.calibration(fresh).p_values(each.nats, each.excess)


def draw_rows(law: Noise, noise: Noise, rows: int) -> np.ndarray:
    """Rows of a mixture of normals, the law of which a seed draws."""
    means = law.normal(0, 1.5, (GROUPS, COLUMNS))
    roots = law.normal(0, 0.7, (GROUPS, COLUMNS, COLUMNS)) + 0.3 * np.eye(COLUMNS)
    own = noise.choice(GROUPS, rows)
    return means[own] + np.einsum("nij,nj->ni", roots[own], noise.normal(size=(rows, COLUMNS)))


def plant(rows: np.ndarray, noise: Noise) -> None:
    """Changes the first rows into ones that cannot be."""
    first = noise.permuted(rows[:PLANTED], axis=0)
    at = (np.arange(PLANTED), noise.integers(0, COLUMNS, PLANTED))
    first[at] += (
        noise.uniform(2.5, 5, PLANTED) * noise.choice([-1, 1], PLANTED) * rows.std(0)[at[1]]
    )
    rows[:PLANTED] = first


def measure_table(seed: int, level: float) -> list[tuple[float, float]]:
    """The share of false marks and of planted rows found, by cross-fitting and by fresh rows."""
    noise = np.random.default_rng([seed, 1])
    n = int(noise.integers(ROWS[0], ROWS[1] + 1))
    table, fresh, asked = (
        draw_rows(np.random.default_rng(seed), noise, rows) for rows in (n, n, ASKED)
    )
    plant(asked, noise)
    found = []
    for p_values in (cross_p_values(table, asked), fresh_p_values(table, fresh, asked)):
        marked = discoveries(p_values, level)
        found.append((marked[PLANTED:].sum() / max(marked.sum(), 1), marked[:PLANTED].mean()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--level", type=float, default=0.1)
    given = parser.parse_args()
    found = np.array([measure_table(given.seed + k, given.level) for k in range(given.tables)])
    mean, error = found.mean(0), found.std(0, ddof=1) / len(found) ** 0.5
    print(f"seed {given.seed}, {given.tables} tables, level {given.level:g}")
    for way, each, apart in zip(("cross-fitting", "n fresh rows"), mean, error, strict=True):
        print(
            f"{way:14} false discoveries {each[0]:.3f} ± {apart[0]:.3f}, "
            f"planted rows found {each[1]:.3f} ± {apart[1]:.3f}"
        )


if __name__ == "__main__":
    main()
