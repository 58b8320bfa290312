"""The main job: fit models to data, test them once on held-out rows, keep each as a run, and set up the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from plausibly.capabilities import Trainable
from plausibly.contract.own_models import hold_to_contract
from plausibly.data.formats.tables import TableFormat
from plausibly.errors import UserError
from plausibly.fitting import choose as choosing
from plausibly.fitting import portfolio as auto
from plausibly.fitting.conditioning import conditioned
from plausibly.fitting.fit import Fit, learned
from plausibly.fitting.folders import AUTO, begun_before, fresh, held, new_folder
from plausibly.fitting.portfolio import fit_auto
from plausibly.fitting.results import tested
from plausibly.fitting.settings import Listener, settings
from plausibly.models import MODELS, name_of
from plausibly.runs.record import ENSEMBLE, read_record
from plausibly.runs.run import Run, model_class
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
    **options: Any,
) -> Run:
    """Fits one model to data, tests it once and keeps it as a run with its report.

    `model` is a name, the `FILE.py:CLASS` of a user's own, or a class; a user's own is held to the contract first.
    Without `model` a table, or what has a context, gets the model that is best on validation, of a table among those that
    answer any question; other data, and all with `auto`, the mixture of a portfolio (`plausibly.fitting.portfolio`).
    `budget` is in seconds, of all training. `set` holds constructor arguments and `train.` settings; `options` go to
    `plausibly.load`. `context` names columns that the others are modelled given, `event` those that are modelled given all
    others: p(x | label) or p(label | x).
    UserError for what the user can mend; `Diverged` where a loss is not finite (a run with the last good weights is left).
    """
    listener = listener or Listener()
    chosen = settings(set, seed, budget, steps, device)
    kind = None if model in (None, AUTO) else model_class(model)
    dataset, origin, chosen = conditioned(data, seed, options, chosen, context, event, listener)
    if kind is None:
        processes.single("fit without --model")
        if model is None and (isinstance(dataset.format, TableFormat) or context or event):
            with fresh(new_folder(out, "best"), anew=True) as path:
                return tested(choosing.fit_best(path, dataset, origin, chosen, listener))
        with fresh(new_folder(out, AUTO), anew=True) as path:
            return tested(fit_auto(path, dataset, origin, chosen, listener))
    if kind.accepts(dataset.schema) is None:
        hold_to_contract(kind, dataset.schema)
    with ExitStack() as until_tested:
        with processes.together():
            begun = processes.first(lambda: begun_before(out, name_of(kind)))
            if begun is not None:
                until_tested.enter_context(held(Path(begun)))
                own = None if kind in MODELS.values() else kind
                fit = learned(Fit.taken_up(Path(begun), device, listener, own))
            else:
                path = Path(processes.first(lambda: str(new_folder(out, name_of(kind)))))
                until_tested.enter_context(fresh(path, anew=True))
                fit = learned(Fit.new(path, kind, dataset, origin, chosen, listener))
        return tested(fit)


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
    with held(path):
        if (record["model"] == ENSEMBLE or "candidates" in record) and record["status"] != "done":
            processes.single("fit --resume of several models")
            way = choosing if "candidates" in record else auto
            return tested(way.taken_up(path, record, device, listener or Listener()))
        with processes.together():
            fit = Fit.taken_up(path, device, listener or Listener(), model)
            if processes.first(lambda: is_finished(fit.record, path) and not processes.restarted()):
                raise UserError(f"{path} is finished: nothing is left to do")
            learned(fit)
        return tested(fit)


def is_finished(record: Mapping[str, Any], path: Path) -> bool:
    """Whether a run was learned and tested, has its page, and has still all files that it names."""
    files = ("report.html", *(record.get("files_sha256") or {}))
    tested = record["status"] == "done" and "test" in record
    return tested and all((path / name).exists() for name in files)
