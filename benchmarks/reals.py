"""RNADE (nade on real numbers) against scikit-learn's best GaussianMixture on the same held-out rows, paired.

python -m benchmarks.reals --data FOLDER [--splits 3] [--only wine_red,wine_white,parkinsons]
FOLDER holds uci_wine_red.npz, ... As in Uria et al. (2013), discrete columns (fewer than 50 values) are left out, and one
of each pair whose correlation is beyond 0.98. The mixture's components (1 to 30, full covariance, two starts) are chosen
on the validation rows that also stop the network; both are then scored, once, on the test rows of the split.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from plausibly.data import load
from plausibly.data.dataset import Dataset
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS

COMPONENTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)


def continuous(path: Path) -> np.ndarray:
    """The matrix of a file without discrete and near-collinear columns."""
    with np.load(path) as file:
        rows = file["data"].astype(np.float64)
    rows = rows[:, [len(np.unique(column)) >= 50 for column in rows.T]]
    kept: list[int] = []
    for i, row in enumerate(np.abs(np.corrcoef(rows.T))):
        if all(row[j] <= 0.98 for j in kept):
            kept.append(i)
    return rows[:, kept]


def best_mixture(dataset: Dataset, seed: int) -> tuple[int, np.ndarray]:
    """Number of components, and log p of the test rows, of the mixture that is best on validation."""
    train, valid, test = (
        dataset.format.rows(part) for part in (dataset.train, dataset.valid, dataset.test)
    )
    fitted = [
        GaussianMixture(k, random_state=seed + start, max_iter=300).fit(train)
        for k in COMPONENTS
        for start in (0, 1)
    ]
    best = max(fitted, key=lambda mixture: mixture.score(valid))
    return best.n_components, best.score_samples(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--only", default="wine_red,wine_white,parkinsons")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(
        "| set | columns | split | test rows | nade | best GaussianMixture | components | nade - mixture |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in given.only.split(","):
        rows = continuous(given.data / f"uci_{name}.npz")
        for seed in range(given.splits):
            dataset = load(rows, seed=seed, kinds={"*": "real"})
            run = fit_in_memory(
                MODELS["nade"], dataset, make_settings(None, seed, None, None, "cpu")
            )
            found = likelihood(run.model, dataset.test)
            assert found is not None
            components, other = best_mixture(dataset, seed)
            gap = found.nats.numpy() - other
            print(
                f"| {name} | {rows.shape[1]} | {seed} | {found.rows} | {found.value:.3f} | {other.mean():.3f} | {components} "
                f"| {gap.mean():+.3f} ± {gap.std() / len(gap) ** 0.5:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
