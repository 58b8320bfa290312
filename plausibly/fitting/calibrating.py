"""Models that are fitted without each fold of a run's rows in turn, and kept: they calibrate p-values of small tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plausibly.data.events import join_events
from plausibly.data.loading import load
from plausibly.errors import UserError
from plausibly.fitting.conditioning import data_origin
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import hold_folder
from plausibly.fitting.going_on import train_or_restore
from plausibly.fitting.settings import Listener, Settings
from plausibly.runs.building import GENERAL_ARGUMENTS
from plausibly.runs.record import ENSEMBLE
from plausibly.runs.run import FOLDS, Run

if TYPE_CHECKING:
    import pandas as pd

MIN_FOLD_ROWS = 3


def cross_fit(run: Run, folds: int = 5, listener: Listener | None = None) -> int:
    """Fits the run's model without each of so many folds of its rows, and keeps these models; how many rows calibrate.

    UserError where the data are no table, the rows too few, or the model not one of plausibly's that stands alone.
    """
    listener = listener or Listener()
    check_cross_fit(run, folds)
    dataset = run.dataset()
    events = [dataset.train, dataset.valid, dataset.test, dataset.calibration]
    frame = run.format.rows(join_events([part for part in events if len(part)]))
    if len(frame) < MIN_FOLD_ROWS * folds:
        raise UserError(f"{len(frame)} rows make no {folds} folds; give fewer --folds")
    with hold_folder(run.path):
        draft = run.path / f".{FOLDS}"
        shutil.rmtree(draft, ignore_errors=True)
        order = np.random.default_rng(run.record.seed).permutation(len(frame))
        for k, left_out in enumerate(np.array_split(order, folds), 1):
            listener.log(f"fitting without fold {k} of {folds}: {len(left_out):,} rows")
            kept = frame.drop(frame.index[left_out])
            fit_without(run, draft / str(k), kept, frame.iloc[np.sort(left_out)])
        shutil.rmtree(run.path / FOLDS, ignore_errors=True)
        draft.rename(run.path / FOLDS)
    return len(frame)


def check_cross_fit(run: Run, folds: int) -> None:
    """UserError where a run cannot be fitted without some of its rows."""
    if folds < 2:
        raise UserError(f"{folds} folds; at least 2 are needed")
    if run.format.table is None:
        raise UserError(f"{run.path} is of no table: only tables are calibrated by cross-fitting")
    if run.record.model == ENSEMBLE or run.record.code is not None:
        raise UserError(f"{run.path} is of {run.record.model}: name one of plausibly's models")
    options = run.record.data.options.given()
    if run.model.context or {"split", "valid", "test"} & options.keys():
        raise UserError(
            f"{run.path} has a context or a split of its own; score has --calibrate ROWS"
        )


def fit_without(run: Run, path: Path, kept: pd.DataFrame, left_out: pd.DataFrame) -> None:
    """Fits the run's model to some of its rows; the run at `path` ranks scores against those that were left out."""
    options = run.record.data.options.given()
    options = {name: options[name] for name in ("kinds", "drop") if name in options}
    dataset = load(kept, test=left_out, seed=run.record.seed, **options)
    dataset.calibration = dataset.test
    arguments, plan = run.record.arguments, run.record.plan or {}
    chosen = Settings(
        {name: value for name, value in arguments.items() if name not in GENERAL_ARGUMENTS},
        {name: value for name, value in plan.items() if name != "seed"},
        run.record.seed,
    )
    path.mkdir(parents=True)
    origin = data_origin(dataset, options)
    fit = train_or_restore(Fit.new(path, type(run.model), dataset, origin, chosen, Listener()))
    if fit.record.status == "interrupted":
        raise KeyboardInterrupt
    fit.test()
