"""p(target | the rest of a row) against histogram gradient boosting with scikit-learn's defaults, on the first split.

The model is the default of `fit --target`. Both learn from the same rows, and tell up to 1,000 of the held-out rows: log
loss in nats of labels, the root mean squared error of the mean of numbers. `by` is the ratio: below 1 the model is better.
The error is that of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import plausibly
from benchmarks.tables.fits import Work
from benchmarks.tables.judge import encode
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import TOLD, Table, read_cells, read_rows
from plausibly.errors import UserError
from plausibly.runs.run import Run

MAX_ROWS = 1_000
MAX_LEVELS = 254  # of a category, for trees
LEAST = 1e-6  # the probability of what trees never saw


@dataclass(frozen=True)
class Contest:
    """Files of training and of asked rows without columns that are the target by another name, and the target."""

    train: Path
    asked: Path
    target: str


def measure_prediction(table: Table, work: Work) -> Iterator[Line]:
    for target in table.targets:
        contest = hold(table, target, work.seed)
        path, cost = work.fit(table, contest.train, words=("--target", target))
        run = plausibly.open(path)
        about = {"target": target, "model": run.record.model, "seconds": cost.seconds}
        try:
            yield about | (numbers if run.is_number(target) else labels)(run, contest)
        except UserError as error:
            yield about | {"refused": str(error)}


def hold(table: Table, target: str, seed: int) -> Contest:
    """The contest of a target: rows in which it is known, written."""
    files = []
    for file in (table.splits[0].train, table.splits[0].held_out):
        cells = read_cells(file)[read_rows(file)[target].notna().to_numpy()]
        if file == table.splits[0].held_out:
            cells = cells.sample(min(len(cells), MAX_ROWS), random_state=seed)
        files.append(file.with_name(f"{target}-{file.name}"))
        cells.drop(columns=TOLD.get(table.name, [])).to_csv(files[-1], index=False)
    return Contest(*files, target)


def inputs(contest: Contest) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """All columns but the target as trees take them, and which are categories."""
    frames = [
        read_rows(path).drop(columns=contest.target) for path in (contest.train, contest.asked)
    ]
    (train, asked), categories = encode(frames)
    return train, asked, categories


def labels(run: Run, contest: Contest) -> Line:
    """Log losses."""
    found = run.classify(contest.asked, contest.target)
    own = pd.DataFrame(found.probabilities, columns=list(found.labels))
    train, asked, categories = inputs(contest)
    y, truth = (read_cells(path)[contest.target] for path in (contest.train, contest.asked))
    trees = HistGradientBoostingClassifier(categorical_features=categories or None, random_state=0)
    trees.fit(train, y)
    peer = pd.DataFrame(trees.predict_proba(asked), columns=list(trees.classes_))
    ours, theirs = (losses(each, truth) for each in (own, peer))
    return versus("log loss", ours.mean(), theirs.mean(), ours - theirs)


def losses(chances: pd.DataFrame, truth: pd.Series) -> np.ndarray:
    """-log p of each row's label, (rows,)."""
    places = chances.columns.get_indexer(truth)
    own = chances.to_numpy()[np.arange(len(truth)), places]
    return -np.log(np.where(places < 0, LEAST, own).clip(LEAST))


def numbers(run: Run, contest: Contest) -> Line:
    """Root mean squared errors."""
    train, asked, categories = inputs(contest)
    y, truth = (read_rows(path)[contest.target] for path in (contest.train, contest.asked))
    trees = HistGradientBoostingRegressor(categorical_features=categories or None, random_state=0)
    theirs = (trees.fit(train, y).predict(asked) - truth.to_numpy()) ** 2
    ours = (run.regress(contest.asked, contest.target).mean - truth.to_numpy()) ** 2
    roots = ours.mean() ** 0.5, theirs.mean() ** 0.5
    # of the difference of roots, to first order
    return versus("RMSE", *roots, ours / (2 * roots[0]) - theirs / (2 * roots[1]))


def versus(measure: str, ours: float, theirs: float, gaps: np.ndarray) -> Line:
    return {
        "measure": measure,
        "ours": float(ours),
        "boosted": float(theirs),
        "by": float(ours / theirs),
        "error": float(gaps.std(ddof=1) / len(gaps) ** 0.5),
        "rows": len(gaps),
    }
