"""Distances of two sets of rows in an extractor's features; they compare only within one extractor.

    kernel     MMD^2 with k(x, y) = (x . y / d + 1)^3, unbiased           (Binkowski et al. 2018, arXiv:1801.01401, "KID")
    Frechet    |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^1/2)            (Heusel et al. 2017, arXiv:1706.08500, "FID")

The second is biased upwards, the more the fewer rows there are to a feature, so that few rows are refused, and training
rows in the samples' stead tell how large the bias is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import BOTH_SORTS
from plausibly.evaluation.samples.two_samples import kernel_influences, mmd

# that the Frechet distance needs of each sort: its bias is about features / rows of the total variance
MIN_ROWS_PER_FEATURE = 10


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x . y / d + 1)^3 of all pairs of (n, d) and (m, d), (n, m)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def kernel_distance(real: np.ndarray, made: np.ndarray) -> float:
    """The unbiased estimate, which may be below 0, of features (n, d) and (m, d)."""
    return mmd(
        polynomial_kernel(real, real), polynomial_kernel(made, made), polynomial_kernel(real, made)
    )


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Between normals with the means and covariances of features (n, d) and (m, d)."""
    apart = real.mean(0) - made.mean(0)
    of_real, of_made = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (real, made))
    return float(
        apart @ apart + np.trace(of_real) + np.trace(of_made) - 2 * root_trace(of_real, of_made)
    )


def root_trace(a: np.ndarray, b: np.ndarray) -> float:
    """tr (a b)^1/2 of symmetric matrices without negative eigenvalues: that of the symmetric a^1/2 b a^1/2."""
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return float(np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0)).sum())


def kernel_number(
    real: np.ndarray,
    made: np.ndarray,
    by: str,
    training: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Number:
    """The kernel distance with its standard error; `training` rows' features are the reference; `groups` of real rows."""
    reference = None if training is None else kernel_distance(real, training)
    both, n = np.concatenate([real, made]), len(real)
    kernel = polynomial_kernel(both, both)
    value = mmd(kernel[:n, :n], kernel[n:, n:], kernel[:n, n:])
    moved = kernel_influences(kernel, n, groups)
    told: dict[str, Any] = {
        "reference": reference,
        "interval": moved.even_interval(value),
        "over": BOTH_SORTS,
    }
    return Number(value, moved.error, len(made), by, "lower is better; 0 is perfect", 0.0, **told)


def frechet_number(
    real: np.ndarray, made: np.ndarray, by: str, training: np.ndarray | None = None
) -> Number | str:
    """The Frechet distance, or why there is none."""
    rows, needed = min(len(real), len(made)), MIN_ROWS_PER_FEATURE * real.shape[1]
    if rows < needed:
        features = f"{real.shape[1]:,} features of {by}"
        return f"needs {needed:,} rows of each sort, {MIN_ROWS_PER_FEATURE} for each of {features}; here are {rows:,}"
    enough = training is not None and len(training) >= needed
    reference = frechet_distance(real, training) if training is not None and enough else None
    better = "lower is better; " + ("real rows' is perfect" if enough else "biased upwards")
    value = frechet_distance(real, made)
    return Number(value, None, len(made), by, better, 0.0, reference=reference)
