"""The same AUC of other synthesizers: sequential trees, one a column and 30, and ctgan's TVAE with its defaults.

Each learns from the rows that the default's fits saw, and the same columns; its seconds are of learning and drawing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pandas as pd

from benchmarks.tables.auc import auc_line
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table
from benchmarks.tables.trees import draw_by_trees
from benchmarks.tables.tvae import draw_by_tvae

TREES = 30


def measure_one_tree(table: Table, work: Work) -> Iterator[Line]:
    return measure_peer(
        "one tree", table, work, lambda train, rows: draw_by_trees(train, rows, 1, work.seed)
    )


def measure_trees(table: Table, work: Work) -> Iterator[Line]:
    return measure_peer(
        "30 trees", table, work, lambda train, rows: draw_by_trees(train, rows, TREES, work.seed)
    )


def measure_tvae(table: Table, work: Work) -> Iterator[Line]:
    return measure_peer(
        "TVAE", table, work, lambda train, rows: draw_by_tvae(train, rows, work.seed)
    )


def measure_peer(
    who: str, table: Table, work: Work, draw: Callable[[pd.DataFrame, int], pd.DataFrame]
) -> Iterator[Line]:
    """The line of a synthesizer that draws so many rows like those of training."""
    trials, made, seconds = work.trials(table), [], []
    for trial in trials:
        started = time.monotonic()
        made.append(draw(trial.train, len(trial.held_out)))
        seconds.append(time.monotonic() - started)
    yield auc_line(who, table, trials, made) | {"seconds": max(seconds)}
