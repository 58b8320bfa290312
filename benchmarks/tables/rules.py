"""Which rules of a scripted table give its samples away: what the judge's AUC loses when their columns say nothing.

One judge is taught on half of the samples and held-out rows and asks the others, whose cells of a rule's columns are then
shuffled over all rows, each column by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.tables.fits import Trial, Work
from benchmarks.tables.judge import boosted_trees, delong, encode
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table, kinds_of


def measure_rules(table: Table, work: Work) -> Iterator[Line]:
    trial = work.trials(table)[0]
    names = list(trial.held_out)
    rules = np.array([kinds_of(table)[name] for name in names])
    lost = lost_auc(
        trial, {str(rule): np.flatnonzero(rules == rule) for rule in np.unique(rules)}, work.seed
    )
    for rule, (auc, fallen) in lost.items():
        yield {"rule": rule, "columns": int((rules == rule).sum()), "AUC": auc, "lost": fallen}


def lost_auc(
    trial: Trial, groups: dict[str, np.ndarray], seed: int
) -> dict[str, tuple[float, float]]:
    """The AUC, and what it loses without each group of columns, by name."""
    noise = np.random.default_rng(seed)
    parts, categories = encode([trial.held_out, trial.samples])
    x, is_real = np.concatenate(parts), np.repeat([True, False], [*map(len, parts)])
    order = noise.permutation(len(x))
    taught, asked = order[::2], order[1::2]
    trees = boosted_trees(categories, len(taught)).fit(x[taught], is_real[taught])

    def auc(rows: np.ndarray) -> float:
        scores = trees.decision_function(rows)
        return delong(scores[is_real[asked]], scores[~is_real[asked]])[0]

    whole, found = auc(x[asked]), {}
    for name, places in groups.items():
        blind = x[asked].copy()
        blind[:, places] = noise.permuted(blind[:, places], axis=0)
        found[name] = whole, whole - auc(blind)
    return found
