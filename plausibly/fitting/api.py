"""The main job: fit models to data, test them once on held-out rows, keep each as a run, and set up the board."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from plausibly.capabilities import Trainable
from plausibly.contract.own_models import hold_to_contract
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.fitting import choose, portfolio
from plausibly.fitting.conditioning import load_conditioned
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import AUTO, find_restarted, fresh_folder, hold_folder, new_folder
from plausibly.fitting.going_on import train_or_restore
from plausibly.fitting.portfolio import fit_auto
from plausibly.fitting.results import run_test
from plausibly.fitting.settings import DataRequest, Listener, Settings, make_settings
from plausibly.models import MODELS, model_name
from plausibly.runs.model_classes import model_class
from plausibly.runs.record import ENSEMBLE, Origin, Record, read_record
from plausibly.runs.run import Run
from plausibly.system import processes


def fit(
    data: Any,
    model: str | type[Trainable] | None = None,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    budget: float | None = None,
    steps: int | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
    context: Sequence[str] = (),
    event: Sequence[str] = (),
    target: str | None = None,
    **options: Any,
) -> Run:
    """Fits one model to data, tests it once and keeps it as a run with its report.

    `model` is a name, the `FILE.py:CLASS` of a user's own, or a class; a user's own is held to the contract first.
    Without `model` a table, or what has a context, gets the model that is best on validation (of a table all whose log p is
    exact are tried); other data, and all with `auto`, the mixture of a portfolio (`plausibly.fitting.portfolio`).
    `budget` is in seconds, of all training; where the best of several is chosen, of reading, choice and test besides.
    `set` holds constructor arguments and `train.` settings; `options` go to
    `plausibly.load`. `context` names columns that the others are modelled given, `event` those that are modelled given all
    others: p(x | label) or p(label | x). `target` names the column that comes last in the order of a model that takes any, so
    that p(target | the rest) is one factor of log p; `classify` tells it by default.
    UserError for what the user can mend; `Diverged` where a loss is not finite (a run with the last good weights is left).
    """
    chosen = make_settings(set, seed, budget, steps, device)
    wanted = DataRequest(data, seed, context, event, options, target)
    return fit_wanted(wanted, model, out, chosen, listener or Listener())


def fit_wanted(
    wanted: DataRequest,
    model: str | type[Trainable] | None,
    out: Path | str | None,
    chosen: Settings,
    listener: Listener,
    began: float | None = None,
) -> Run:
    """Fits one model, the best of several, or the portfolio, with everything that was asked for in two values.

    A budget of the whole command is of what was done since the clock showed `began`, by default now.
    """
    began = time.monotonic() if began is None else began
    kind = None if model in (None, AUTO) else model_class(model)
    dataset, origin, chosen = load_conditioned(wanted, chosen, listener)
    if kind is not None:
        return fit_kind(kind, dataset, origin, out, chosen, listener)
    processes.refuse_parallel("fit without --model")
    if model is None and (dataset.format.table or wanted.context or wanted.event):
        with fresh_folder(new_folder(out, "best"), anew=True) as path:
            return run_test(choose.fit_best(path, dataset, origin, chosen, listener, began))
    with fresh_folder(new_folder(out, AUTO), anew=True) as path:
        return run_test(fit_auto(path, dataset, origin, chosen, listener))


def fit_kind(
    kind: type[Trainable],
    dataset: Dataset,
    origin: Origin,
    out: Path | str | None,
    chosen: Settings,
    listener: Listener,
) -> Run:
    """Fits one model, or goes on with it where torchrun has started its processes again."""
    if kind.accepts(dataset.schema) is None:
        hold_to_contract(kind, dataset.schema)
    with ExitStack() as until_tested:
        with processes.process_group():
            begun = processes.run_on_first(lambda: find_restarted(out, model_name(kind)))
            if begun is not None:
                until_tested.enter_context(hold_folder(Path(begun)))
                own = None if kind in MODELS.values() else kind
                fit = train_or_restore(Fit.from_folder(Path(begun), chosen.device, listener, own))
            else:
                path = Path(processes.run_on_first(lambda: str(new_folder(out, model_name(kind)))))
                until_tested.enter_context(fresh_folder(path, anew=True))
                fit = train_or_restore(Fit.new(path, kind, dataset, origin, chosen, listener))
        return run_test(fit)


def resume(
    path: Path | str,
    device: str = "cpu",
    listener: Listener | None = None,
    model: str | type[Trainable] | None = None,
) -> Run:
    """Goes on with a run where it stopped; its data are found by their path and recognised by their fingerprint.

    `model` names a user's own, as in `Run.open`.
    """
    path = Path(path)
    record = read_record(path)
    with hold_folder(path):
        if (record.model == ENSEMBLE or record.candidates) and record.status != "done":
            processes.refuse_parallel("fit --resume of several models")
            go_on = choose.resume_best if record.candidates else portfolio.resume_auto
            return run_test(go_on(path, record, device, listener or Listener()))
        with processes.process_group():
            fit = Fit.from_folder(path, device, listener or Listener(), model)
            if processes.run_on_first(
                lambda: is_finished(fit.record, path) and not processes.is_restart()
            ):
                raise UserError(f"{path} is finished: nothing is left to do")
            train_or_restore(fit)
        return run_test(fit)


def is_finished(record: Record, path: Path) -> bool:
    """A run is finished if it was learned and tested, has its page, and still has all files that it names."""
    files = ("report.html", *(record.files_sha256 or {}))
    tested = record.status == "done" and record.is_tested
    return tested and all((path / name).exists() for name in files)
