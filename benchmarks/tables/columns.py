"""The worst column's distance, Kolmogorov-Smirnov of numbers and total variation of categories, by an independent draw's.

Twenty times in all splits together, half of the held-out rows stand against as many samples, and against as many training
rows, which are the independent draw; the ratio of the means. 1 is as good as real rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from benchmarks.tables.fits import Trial, Work
from benchmarks.tables.judge import encode
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table, kinds_of

ROUNDS = 20


def measure_columns(table: Table, work: Work) -> Iterator[Line]:
    """The worst column, and of a scripted table the worst of each rule."""
    trials = work.trials(table)
    ratios = column_ratios(trials, work.seed)
    worst = ratios.idxmax()
    yield {
        "column": worst,
        "ratio": ratios[worst],
        "above 1.5": int((ratios > 1.5).sum()),
        "columns": len(ratios),
    }
    if table.seed is not None:
        by_rule = ratios.groupby(kinds_of(table)).agg(["idxmax", "max", "count"])
        for rule, (column, ratio, count) in by_rule.iterrows():
            yield {"rule": rule, "column": column, "ratio": ratio, "columns": count}


def column_ratios(trials: list[Trial], seed: int) -> pd.Series:
    """Of each column that all fits have, the mean distance of samples by that of training rows."""
    own, drawn = [], []
    for trial in trials:
        for number in range(max(1, ROUNDS // len(trials))):
            ours, theirs = column_distances(trial, seed + number)
            own.append(ours)
            drawn.append(theirs)
    means = [pd.DataFrame(each).mean().clip(lower=1e-9) for each in (own, drawn)]
    return (means[0] / means[1]).dropna()


def column_distances(trial: Trial, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Each column's distance between held-out rows and samples, and between those and training rows."""
    rows = min(len(trial.held_out) // 2, len(trial.train))
    frames = (trial.held_out, trial.made, trial.train)
    parts, categories = encode([frame.sample(rows, random_state=seed) for frame in frames])
    found: list[dict[str, float]] = [{}, {}]
    for i, name in enumerate(trial.held_out):
        real, *others = (part[:, i] for part in parts)
        for each, other in zip(found, others, strict=True):
            each[name] = (total_variation if i in categories else column_distance)(real, other)
    return found[0], found[1]


def column_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The larger of the Kolmogorov-Smirnov distance of numbers and the difference of the shares of holes."""
    known = [each[~np.isnan(each)] for each in (a, b)]
    holes = abs(np.isnan(a).mean() - np.isnan(b).mean())
    if not all(map(len, known)):
        return float(holes)
    return float(max(ks_2samp(*known, method="asymp").statistic, holes))


def total_variation(a: np.ndarray, b: np.ndarray) -> float:
    """Half of the sum over levels of the difference of shares; a hole is a level."""
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True, equal_nan=True)
    shares = [
        np.bincount(part, minlength=len(values)) / len(part) for part in np.split(codes, [len(a)])
    ]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())
