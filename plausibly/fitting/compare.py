"""Several models on the same rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from plausibly.capabilities import DensityModel, Trainable
from plausibly.contract.own_models import hold_to_contract
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.fitting import choose, results
from plausibly.fitting.conditioning import load_conditioned
from plausibly.fitting.ensemble import ensemble
from plausibly.fitting.folders import COMPARISON, fresh_folder, hold_folder, new_folder
from plausibly.fitting.going_on import resume_or_new, train_or_restore
from plausibly.fitting.settings import DataRequest, Listener, Settings, make_settings
from plausibly.models import MODELS, model_name
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.building import building_refusal
from plausibly.runs.model_classes import builtin_model, model_class
from plausibly.runs.record import ENSEMBLE, Origin, is_origin
from plausibly.runs.run import Run, reload_data
from plausibly.system import processes
from plausibly.system.files import refuse_streams
from plausibly.system.seals import check_document, parse_document, write_sealed
from plausibly.training.plan import Diverged

REQUEST_TYPES = {
    "models": list,
    "refused": dict,
    "seed": int,
    "seeds": int,
    "mixed": bool,
    "arguments": dict,
    "train": dict,
}


def compare(
    data: Any,
    models: Sequence[str | type[Trainable]] | None = None,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    seeds: int = 1,
    budget: float | None = None,
    steps: int | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
    context: Sequence[str] = (),
    event: Sequence[str] = (),
    target: str | None = None,
    **options: Any,
) -> Board:
    """Fits several models to the same data and tests them on the same rows: one board, one report in `out`.

    A model that refuses the data stays on the board with its reason. The data are split once, by `seed`; with `seeds` > 1
    each model is fitted with seed, seed + 1, ... `context`, `event` and `target` are as those of `fit`.
    """
    processes.refuse_parallel("compare")
    chosen = make_settings(set, seed, budget, steps, device)
    wanted = DataRequest(data, seed, context, event, options, target)
    return compare_wanted(wanted, models, seeds, out, chosen, listener or Listener())


def compare_wanted(
    wanted: DataRequest,
    models: Sequence[str | type[Trainable]] | None,
    seeds: int,
    out: Path | str | None,
    chosen: Settings,
    listener: Listener,
) -> Board:
    """The comparison, with everything that was asked for about data and fits in two values."""
    kinds = models_by_name(choose.default_models() if models is None else models)
    if not kinds or seeds < 1:
        raise UserError(f"at least one model and one seed are needed; models: {', '.join(MODELS)}")
    dataset, origin, chosen = load_conditioned(wanted, chosen, listener)
    context = chosen.arguments.get("context", ())
    refused = reasons_to_refuse(kinds, dataset, context)
    fitting = names_to_fit(kinds, models is None, dataset, chosen, listener, refused)
    share = choose.share_budget([kinds[name] for name in fitting], dataset, chosen, seeds)
    asked = {
        "models": fitting,
        "refused": refused,
        "seed": chosen.seed,
        "seeds": seeds,
        "mixed": models is None and seeds == 1 and not context,
        **asdict(share),
    }
    with fresh_folder(new_folder(out, "compare"), anew=True) as path:
        write_sealed({"data": origin.to_json(), "rows": dataset.rows} | asked, path / COMPARISON)
        return compare_models(path, kinds, asked, dataset, origin, share, listener)


def reasons_to_refuse(
    kinds: Mapping[str, type[Trainable]], dataset: Dataset, context: Sequence[int]
) -> dict[str, str]:
    """The reason of each model that does not accept the data."""
    columns = dataset.format.names
    reasons = {
        name: building_refusal(kind, dataset.schema, context, columns)
        for name, kind in kinds.items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def names_to_fit(
    kinds: Mapping[str, type[Trainable]],
    by_default: bool,
    dataset: Dataset,
    chosen: Settings,
    listener: Listener,
    refused: Mapping[str, str],
) -> list[str]:
    """The models that are fitted, each held to the contract first; those by default are announced."""
    names: Sequence[str] = list(kinds)
    if by_default:
        names = choose.accepting_models(dataset, chosen, choose.default_models())
        if not chosen.arguments.get("context"):
            names = choose.leave_out_slow(names, dataset, chosen.budget, listener)
    fitting = [name for name in names if name not in refused]
    for name in fitting:
        hold_to_contract(kinds[name], dataset.schema)
    if by_default:
        listener.log(f"comparing {', '.join(fitting)}{choose.slow_models_note(fitting)}")
    return fitting


def resume_comparison(
    path: Path | str,
    models: Sequence[str | type[Trainable]] = (),
    device: str = "cpu",
    listener: Listener | None = None,
) -> Board:
    """Goes on with a comparison where it stopped: what is finished is not fitted again.

    `models` names users' own among them, as then.
    """
    processes.refuse_parallel("compare --resume")
    path = Path(path)
    asked, own = read_comparison(path), models_by_name(models)
    kinds = {
        name: own.get(name) or builtin_model(name) for name in (*asked["models"], *asked["refused"])
    }
    chosen = Settings(asked["arguments"], asked["train"], asked["seed"], asked["budget"], device)
    with hold_folder(path):
        origin = msgspec.convert(asked["data"], Origin)
        dataset = reload_data(origin, asked["rows"], path)
        return compare_models(path, kinds, asked, dataset, origin, chosen, listener or Listener())


def read_comparison(path: Path) -> dict[str, Any]:
    """Reads what a comparison was asked for. UserError where the folder holds none that can be gone on with."""
    refuse_streams(path / COMPARISON)
    try:
        asked = parse_document(path / COMPARISON)
    except OSError as error:
        raise UserError(
            f"there is no comparison at {path}; it is a folder that `plausibly compare` wrote"
        ) from error
    check_document(asked, path / COMPARISON)
    check_comparison(asked, path)
    return asked


def check_comparison(asked: Mapping[str, Any], path: Path) -> None:
    """Looks at the form of what a comparison was asked for. UserError where it is none."""
    sound = all(isinstance(asked.get(name), kind) for name, kind in REQUEST_TYPES.items())
    sound = (
        sound
        and isinstance(asked.get("budget", ""), int | float | None)
        and isinstance(asked.get("rows"), dict)
    )
    if not sound or not is_origin(asked.get("data")):
        raise UserError(f"{path / COMPARISON} is damaged; compare anew")


def compare_models(
    path: Path,
    kinds: Mapping[str, type[Trainable]],
    asked: Mapping[str, Any],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
) -> Board:
    """The board of all models, each of which is fitted, gone on with or found finished, and its report."""
    board, seeds = Board(data=dataset.name), range(asked["seed"], asked["seed"] + asked["seeds"])
    for name, number in product(asked["models"], seeds):
        if board.interrupted:
            board.rows.append(BoardRow(name, kinds[name].family, refusal="stopped before its turn"))
            continue
        folder = path / (name if len(seeds) == 1 else f"{name}-{number}")
        row = fit_row(folder, kinds[name], dataset, origin, replace(chosen, seed=number), listener)
        board.rows.append(row)
        board.interrupted = row.is_interrupted
    if asked["mixed"] and not board.interrupted:
        board.rows += ensemble_row(path, board, dataset, listener)
    board.rows += [
        BoardRow(name, kinds[name].family, refusal=reason)
        for name, reason in asked["refused"].items()
    ]
    results.code_test_rows(board, dataset, listener)
    board.rows += results.truth_row(dataset)
    results.finish_board(board, dataset, path)
    return board


def models_by_name(names: Sequence[str | type[Trainable]]) -> dict[str, type[Trainable]]:
    """Each model by its name on the board. UserError where two of them share one."""
    kinds: dict[str, type[Trainable]] = {}
    for kind in map(model_class, names):
        if kinds.setdefault(model_name(kind), kind) is not kind:
            raise UserError(f"two models are called {model_name(kind)}; rename one class")
    return kinds


def fit_row(
    folder: Path,
    kind: type[Trainable],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
) -> BoardRow:
    """One model's row. A diverging one keeps its row with the reason."""
    try:
        with fresh_folder(folder):
            each = train_or_restore(resume_or_new(folder, kind, dataset, origin, chosen, listener))
            if each.record.is_tested:
                return results.row_of(Run(folder, each.record, each.model, dataset.format))
            return results.row_of(results.judge_samples(each.test(), dataset))
    except Diverged as error:
        return BoardRow(model_name(kind), kind.family, refusal=str(error))


def ensemble_row(path: Path, board: Board, dataset: Dataset, listener: Listener) -> list[BoardRow]:
    """The row of the mixture of all models on the board with an exact log p, where it is better than each."""
    runs = [row.run for row in board.rows if row.run and isinstance(row.run.model, DensityModel)]
    members = [(run.record, run.model) for run in runs]
    with fresh_folder(path / ENSEMBLE) as folder:
        found = ensemble(folder, members, dataset, listener) if members else None
    if found is None:
        shutil.rmtree(path / ENSEMBLE)
        return []
    found.keep("done", found.record.steps)
    return [results.row_of(results.judge_samples(found.test(), dataset))]
