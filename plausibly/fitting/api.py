"""The main job: fit models to data, test them once on held-out rows, keep each as a run, and set up the board."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from itertools import count, product
from pathlib import Path
from typing import Any

from plausibly.capabilities import BoundedModel, DensityModel, Model, Trainable, device_of
from plausibly.data import labels
from plausibly.data.files.originals import again, rivals
from plausibly.data.formats.format import Dataset, Events
from plausibly.data.formats.labelled import LABEL
from plausibly.data.formats.tables import TableFormat
from plausibly.data.loading import is_table, load
from plausibly.data.questions import place_among
from plausibly.errors import UserError
from plausibly.evaluation import numbers
from plausibly.evaluation.answers.reconstruction import from_json
from plausibly.evaluation.likelihood.likelihood import Exact
from plausibly.evaluation.samples.samples import board_rows, judged, some
from plausibly.fitting import choose as choosing
from plausibly.fitting import portfolio as auto
from plausibly.fitting.fit import Fit, Listener, Settings, learned, settings, taken_up_or_new
from plausibly.fitting.portfolio import AUTO, MEMBERS, ensemble, fit_auto
from plausibly.jobs.compression import BLOCK, payload
from plausibly.models import MODELS
from plausibly.runs.board import Board, Coded, Row
from plausibly.runs.building import refusal
from plausibly.runs.run import (
    ENSEMBLE,
    TASKS,
    Run,
    built_in,
    misshapen_data,
    model_class,
    read_record,
    recorded_data,
    write_record,
)
from plausibly.runs.user_models import hold_to_contract, name_of
from plausibly.system import processes
from plausibly.system.files import is_draft, refuse_streams
from plausibly.system.locks import holding
from plausibly.system.seals import check_document, parse_document, write_sealed
from plausibly.training.estimates import duration
from plausibly.training.loop import Diverged

CODING_SECONDS = 60.0  # which coding may take, as one guesses from how fast rows are sampled
CODED_NUMBERS = 1 << 21  # of all rows that are coded for the board
FEW, MORE = 8, 64  # rows
COMPARISON = "compare.json"  # what a comparison was asked for, beside its runs
RESUMED = {"run.json": "fit", COMPARISON: "compare"}
ASKED = {"models": list, "refused": dict, "seed": int, "seeds": int, "mixed": bool, "arguments": dict, "train": dict}


def origin_of(dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Where the data came from, so that a run can find and recognise it again."""
    kept = {key: value for key, value in options.items() if isinstance(value, str | int | dict | list | tuple)}
    parts = {key: str(options.get(key)) for key in ("valid", "test") if isinstance(options.get(key), str | Path)}
    named: dict[str, Any] = {
        "kinds": {labels.name_of(name): word for name, word in (options.get("kinds") or {}).items()}
    }
    named["drop"] = [labels.name_of(name) for name in options.get("drop") or ()]
    return {
        "name": dataset.name,
        "source": anywhere(dataset.source),
        "fingerprint": dataset.fingerprint,
        "options": {key: value for key, value in kept.items() if key not in ("valid", "test")}
        | {key: found for key, found in named.items() if found}
        | {key: anywhere(path) for key, path in parts.items()},
    }


def conditioned(
    data: Any,
    seed: int,
    options: dict[str, Any],
    chosen: Settings,
    context: Sequence[str],
    event: Sequence[str],
    listener: Listener,
) -> tuple[Dataset, dict[str, Any], Settings]:
    """The data, their origin, and the settings with the context's variables, where one is named."""
    if LABEL in (*context, *event) and not is_table(data):
        options = options | {"labelled": True}
    dataset = load(data, seed=seed, heard=listener.read, **options)
    origin = origin_of(dataset, {"seed": seed, **options})
    first = context_of(dataset.format.names, context, event)
    if first:
        chosen = replace(chosen, arguments=chosen.arguments | {"context": list(first)})
    return dataset, origin, chosen


def context_of(names: Sequence[str], context: Sequence[str], event: Sequence[str]) -> tuple[int, ...]:
    """The context's variables, from names; `rest` stands for all that are no event. UserError for what cannot be."""
    context, event = [labels.name_of(name) for name in context], [labels.name_of(name) for name in event]
    for name in (*context, *event):
        if name != "rest":
            place_among(names, name)
    rest = [name for name in names if name not in event]
    chosen = rest if "rest" in context or (event and not context) else list(context)
    if both := set(chosen) & set(event):
        raise UserError(f"{both.pop()!r} is named as event and as context; it is one of the two")
    if event and set(chosen) != set(rest):
        raise UserError("what is no event is context: give --event NAMES with --context rest, or --context NAMES alone")
    if chosen and len(chosen) == len(names):
        raise UserError("all columns are context; at least one must be left to be modelled")
    return tuple(names.index(name) for name in chosen)


def anywhere(source: Any) -> Any:
    """A path that holds from any folder; a built-in's name as it is."""
    if not isinstance(source, str):
        return source
    path, mark, part = source.rpartition(":") if not Path(source).exists() else (source, "", "")
    return str(Path(path).resolve()) + mark + part if path and Path(path).exists() else source


def new_folder(out: Path | str | None, name: str) -> Path:
    """`out`, which must not exist or be empty, or the next free `runs/NAME-1`, which is made."""
    if out is None:
        return next(path for number in count(1) if made_anew(path := Path("runs") / f"{name}-{number}"))
    path = Path(out)
    if path.exists() and (path.is_file() or any(not is_draft(file) for file in path.iterdir())):
        command = next((each for file, each in RESUMED.items() if (path / file).exists()), None)
        more = f", or `plausibly {command} --resume {path}` to go on there" if command else ""
        if not command and (path / "weights.safetensors").exists():  # killed before its record was written
            more = f", or remove {path}, which holds weights without a record, and begin anew"
        raise UserError(f"{path} already exists; give another --out{more}")
    return path


def made_anew(path: Path) -> bool:
    """Makes a folder; False where there was something."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror}") from error
    return True


@contextmanager
def fresh(path: Path, anew: bool = False) -> Iterator[Path]:
    """Makes a folder for this process alone, which is removed again where the work in it fails before there are weights.

    With `anew` it must be as `new_folder` found it, though another job may have ended there since.
    """
    with held(path):
        if anew and processes.rank() == 0:
            new_folder(path, "")
        try:
            if processes.rank() == 0:
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {path}: {error.strerror}") from error
        try:
            yield path
        except BaseException:
            begun = processes.several() and (path / "run.json").exists()  # torchrun may go on with it
            if not begun and processes.rank() == 0 and not any(path.rglob("*.safetensors")):
                shutil.rmtree(path, ignore_errors=True)
            raise


def held(path: Path) -> AbstractContextManager[None]:
    """Keeps other jobs from a folder; of torchrun's processes the first does."""
    return holding(path) if processes.rank() == 0 else nullcontext()


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


def begun_before(out: Path | str | None, name: str) -> str | None:
    """The folder of the run that torchrun's processes were in the middle of before torchrun started them again."""
    if not processes.restarted():
        return None
    for folder in [Path(out)] if out is not None else sorted(Path("runs").glob(f"{name}-*")):
        with suppress(UserError):  # what is no run is not this one
            if read_record(folder).get("launch") == processes.launch():
                return str(folder)
    return None


def tested(fit: Fit) -> Run:
    """The run of a fit that has learned, after its test, with its report."""
    if processes.rank() == 0 and fit.record["status"] != "interrupted":
        shutil.rmtree(fit.path / MEMBERS, ignore_errors=True)  # it was the best of them, or is their mixture
    run = fit.test()
    if processes.rank() == 0:
        if not isinstance(run.model, BoundedModel):  # no likelihood: test rows are held against samples
            sampled(run, fit.dataset)
        report([run], fit.dataset, run.path)
    return run


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
    **options: Any,
) -> Board:
    """Fits several models to the same data and tests them on the same rows: one board, one report in `out`.

    A model that refuses the data stays on the board with its reason. The data are split once, by `seed`; with `seeds` > 1
    each model is fitted with seed, seed + 1, ...
    """
    processes.single("compare")
    listener = listener or Listener()
    chosen = settings(set, seed, budget, steps, device)
    kinds = chosen_models(choosing.defaults() if models is None else models)
    if not kinds or seeds < 1:
        raise UserError(f"at least one model and one seed are needed; models: {', '.join(MODELS)}")
    dataset, origin, chosen = conditioned(data, seed, options, chosen, context, event, listener)
    context_places = chosen.arguments.get("context", ())
    reasons = {name: refusal(kind, dataset.schema, context_places) for name, kind in kinds.items()}
    refused = {name: reason for name, reason in reasons.items() if reason}
    fitting = [
        name
        for name in (choosing.accepted(dataset, chosen, choosing.defaults(), listener) if models is None else kinds)
        if name not in refused
    ]
    for name in fitting:
        hold_to_contract(kinds[name], dataset.schema)
    if models is None:
        listener.say(f"comparing {', '.join(fitting)}{choosing.unasked(fitting)}")
    share = choosing.shares([kinds[name] for name in fitting], dataset, chosen, seeds)
    mixed = models is None and seeds == 1 and not context_places
    with fresh(new_folder(out, "compare"), anew=True) as path:
        asked = {"models": fitting, "refused": refused, "seed": seed, "seeds": seeds, "mixed": mixed, **asdict(share)}
        write_sealed({"data": origin, "rows": dataset.rows} | asked, path / COMPARISON)
        return compared_all(path, kinds, asked, dataset, origin, share, listener)


def resume_comparison(
    path: Path | str,
    models: Sequence[str | type[Trainable]] = (),
    device: str = "cpu",
    listener: Listener | None = None,
) -> Board:
    """Goes on with a comparison where it stopped: what is finished is not fitted again.

    `models` names users' own among them, as then.
    """
    processes.single("compare --resume")
    path = Path(path)
    asked, own = read_comparison(path), chosen_models(models)
    kinds = {name: own.get(name) or built_in(name) for name in (*asked["models"], *asked["refused"])}
    chosen = Settings(asked["arguments"], asked["train"], asked["seed"], asked["budget"], device)
    with held(path):
        dataset = recorded_data(asked, path)
        return compared_all(path, kinds, asked, dataset, asked["data"], chosen, listener or Listener())


def read_comparison(path: Path) -> dict[str, Any]:
    """What a comparison was asked for. UserError where the folder holds none that can be gone on with."""
    refuse_streams(path / COMPARISON)
    try:
        asked = parse_document(path / COMPARISON)
    except OSError as error:
        raise UserError(f"there is no comparison at {path}; it is a folder that `plausibly compare` wrote") from error
    check_document(asked, path / COMPARISON)
    check_comparison(asked, path)
    return asked


def check_comparison(asked: Mapping[str, Any], path: Path) -> None:
    """Looks at the form of what a comparison was asked for. UserError where it is none."""
    sound = all(isinstance(asked.get(name), kind) for name, kind in ASKED.items())
    sound = sound and isinstance(asked.get("budget", ""), int | float | None) and isinstance(asked.get("rows"), dict)
    if not sound or misshapen_data(asked.get("data")):
        raise UserError(f"{path / COMPARISON} is damaged; compare anew")


def compared_all(
    path: Path,
    kinds: Mapping[str, type[Trainable]],
    asked: Mapping[str, Any],
    dataset: Dataset,
    origin: dict[str, Any],
    chosen: Settings,
    listener: Listener,
) -> Board:
    """The board of all models, each of which is fitted, gone on with or found finished, and its report."""
    board, seeds = Board(data=dataset.name), range(asked["seed"], asked["seed"] + asked["seeds"])
    for name, number in product(asked["models"], seeds):
        if board.interrupted:
            board.rows.append(Row(name, kinds[name].family, refusal="stopped before its turn"))
            continue
        folder = path / (name if len(seeds) == 1 else f"{name}-{number}")
        row = compared(folder, kinds[name], dataset, origin, replace(chosen, seed=number), listener)
        board.rows.append(row)
        board.interrupted = row.interrupted
    if asked["mixed"] and not board.interrupted:
        board.rows += ensemble_row(path, board, dataset, listener)
    board.rows += [Row(name, kinds[name].family, refusal=reason) for name, reason in asked["refused"].items()]
    code(board, dataset, listener)
    board.rows += truth_row(dataset)
    finish_board(board, dataset, path)
    return board


def chosen_models(names: Sequence[str | type[Trainable]]) -> dict[str, type[Trainable]]:
    """Each model by its name on the board. UserError where two of them share one."""
    kinds: dict[str, type[Trainable]] = {}
    for kind in map(model_class, names):
        if kinds.setdefault(name_of(kind), kind) is not kind:
            raise UserError(f"two models are called {name_of(kind)}; rename one class")
    return kinds


def compared(
    folder: Path,
    kind: type[Trainable],
    dataset: Dataset,
    origin: dict[str, Any],
    chosen: Settings,
    listener: Listener,
) -> Row:
    """One model's row. A diverging one keeps its row with the reason."""
    try:
        with fresh(folder):
            each = learned(taken_up_or_new(folder, kind, dataset, origin, chosen, listener))
            if "test" in each.record:
                return row_of(Run(folder, each.record, each.model, dataset.format))
            return row_of(sampled(each.test(), dataset))
    except Diverged as error:
        return Row(name_of(kind), kind.family, refusal=str(error))


def mixed(
    runs: Sequence[Run | Path | str],
    *,
    out: Path | str | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
) -> Run:
    """The mixture of fitted runs, with the weights that are best on validation rows, tested once and kept as a run.

    UserError where the runs are not of the same data, have no exact log p, or one of them is better alone.
    """
    opened = [run if isinstance(run, Run) else Run.open(run, device) for run in runs]
    for run in opened:
        if unfit := unmixable(run, opened[0]):
            raise UserError(f"{run.path}: {unfit}")
    if len(opened) < 2:
        raise UserError("an ensemble is of two runs at least")
    dataset = opened[0].dataset()
    with fresh(new_folder(out, ENSEMBLE), anew=True) as path:
        found = ensemble(path, [(run.record, run.model) for run in opened], dataset, listener or Listener())
        if found is None:
            best = max(opened, key=lambda run: run.record["validation"])
            raise UserError(f"{best.path} alone is best on validation rows: no mixture of these runs is better")
        found.keep("done", found.record["steps"])
        return tested(found)


def unmixable(run: Run, first: Run) -> str | None:
    """Why a run cannot be mixed with the first one."""
    if not isinstance(run.model, DensityModel):
        return f"{run.record['model']} has no exact log p, which an ensemble needs"
    if run.record.get("code") is not None:
        return "an ensemble is of models that come with plausibly"
    if run.model.context:
        return "it has a context, which an ensemble does not know"
    data, others = (own.record["data"] for own in (run, first))
    if any(data[key] != others[key] for key in ("fingerprint", "options")):
        return f"it was fitted to other data than {first.path}, or to rows that were split or read otherwise"
    return "its data were only in memory" if run.in_memory else None


def ensemble_row(path: Path, board: Board, dataset: Dataset, listener: Listener) -> list[Row]:
    """The row of the mixture of all models on the board with an exact log p, where it is better than each."""
    runs = [row.run for row in board.rows if row.run is not None and isinstance(row.run.model, DensityModel)]
    with fresh(path / ENSEMBLE) as folder:
        found = ensemble(folder, [(run.record, run.model) for run in runs], dataset, listener) if runs else None
    if found is None:
        shutil.rmtree(path / ENSEMBLE)
        return []
    found.keep("done", found.record["steps"])
    return [row_of(sampled(found.test(), dataset))]


def sampled(run: Run, dataset: Dataset) -> Run:
    """The run with its two-sample AUC on record, where its model samples, was not stopped, and there are rows enough."""
    rows = board_rows(dataset.format, len(dataset.test), run.record["rows_sampled_per_second"])
    if not isinstance(run.model, Model) or run.record["status"] == "interrupted" or not rows:
        return run
    seed = run.record["seed"]
    real = some(dataset.test, rows, seed)
    with suppress(UserError):  # of a model that draws hardly any row that could be
        found = judged(dataset.format, run.drawn(rows, seed), real, seed)
        run.record["samples"] = {"two_sample_auc": found.value, **found.to_json()}
        write_record(run.record, run.path)
    return run


def code(board: Board, dataset: Dataset, listener: Listener) -> None:
    """Adds to the rows of models that compress, here and soon enough, what the first test rows take as bytes."""
    rows = min(BLOCK, max(1, CODED_NUMBERS // dataset.schema.size), len(dataset.test))
    able = [row.run for row in board.rows if row.run and TASKS["compress"].word(type(row.run.model))]
    if not rows or not able or board.interrupted:
        return
    some, numbers = dataset.test[:rows], rows * dataset.schema.size
    try:
        others = {
            name: 8 * size / numbers for name, size in rivals(dataset.format, again(dataset.format, some)).items()
        }
        for run in able:
            if (size := coded_size(run, some, listener)) is not None:
                run.record["coded"] = asdict(Coded(rows, 8 * size / numbers, others))
                write_record(run.record, run.path)
    except UserError as error:
        listener.say(f"no rows are coded for the board: {error}")
    except KeyboardInterrupt:
        board.interrupted = True
    board.rows = [replace(row, coded=coded_of(row.run)) if row.run else row for row in board.rows]


def coded_of(run: Run) -> Coded | None:
    """What is on record."""
    return Coded(**run.record["coded"]) if run.record.get("coded") else None


def coded_size(run: Run, events: Events, listener: Listener) -> int | None:
    """How many bytes events take; None, which is said with the reason, where they are not coded."""
    name = run.record["model"]
    if device_of(run.model).type != "cpu":
        listener.say(f"{name}: no actual bits, since compressing is for the CPU")
        return None
    own = Exception if run.record.get("code") else UserError  # what a user's own model may raise
    try:
        seconds = coding_seconds(run, events)
        if seconds > CODING_SECONDS:
            listener.say(f"{name}: no actual bits, since {len(events):,} rows would take about {duration(seconds)}")
            return None
        return payload(run, events)
    except own as error:
        listener.say(f"{name}: no actual bits: {error}")
        return None


def coding_seconds(run: Run, events: Events) -> float:
    """How long coding may take, from how long a few rows take, and a few more."""
    times = [FEW / run.record["rows_sampled_per_second"]]
    for few in (FEW, MORE):
        if times[-1] > CODING_SECONDS:
            return times[-1]
        began = time.monotonic()
        payload(run, events[:few])
        times.append(time.monotonic() - began)
    each = max(0.0, times[-1] - times[-2]) / (MORE - FEW)
    return times[-1] + each * max(0, len(events) - MORE)


def row_of(run: Run) -> Row:
    """The board's row of a finished run."""
    record = run.record
    return Row(
        model=record["model"],
        family=run.model.family,
        parameters=record["parameters"],
        test=run.test(),
        seconds=record.get("seconds"),
        scored=record.get("rows_scored_per_second"),
        sampled=record.get("rows_sampled_per_second"),
        size=sum(file.stat().st_size for file in run.path.iterdir() if file.suffix != ".html"),
        run=run,
        reconstruction=from_json(record.get("reconstruction")),
        samples=numbers.from_json(record["samples"]) if record.get("samples") else None,
        health=record.get("health") or {},
        coded=coded_of(run),
    )


def truth_row(dataset: Dataset) -> list[Row]:
    """For a toy, the distribution that it was drawn from, on the same test rows."""
    if dataset.truth is None:
        return []
    nats = dataset.truth.log_prob(dataset.test.codes.float()).double() + dataset.test.log_within
    return [Row("truth", "known", test=Exact(nats, dataset.schema.size))]


def report(runs: Sequence[Run], dataset: Dataset | None, path: Path) -> Board:
    """The board and report of runs that are finished."""
    board = board_of(runs)
    board.rows += truth_row(dataset) if dataset else []
    finish_board(board, dataset, path)
    return board


def board_of(runs: Sequence[Run]) -> Board:
    return Board([row_of(run) for run in runs], data=runs[0].record["data"]["name"])


def finish_board(board: Board, dataset: Dataset | None, path: Path) -> None:
    """Writes the board of a comparison, and the report."""
    from plausibly.report import write_report

    board.path = path
    write_report(path / "report.html", board, dataset)


def report_again(path: Path, device: str, listener: Listener, model: str | None = None) -> Path:
    """Builds the report of a run, or of a folder of runs, anew; without the data where they are gone.

    `model` names users' own models as in `Run.open`, with commas between where runs have several.
    """
    folders = [path] if (path / "run.json").exists() else sorted(f.parent for f in path.glob("*/run.json"))
    if not folders:
        raise UserError(f"there is no run at {path}, nor are there runs in it")
    runs = []
    for folder in folders:
        if folder != path and "test" not in read_record(folder):
            listener.say(f"left out: {folder} has not come to its test; `plausibly fit --resume {folder}` goes on")
            continue
        runs.append(Run.open(folder, device, named_for(folder, model) if folder != path else model))
    if not runs:
        raise UserError(f"no run in {path} has come to its test")
    try:
        dataset = runs[0].dataset()
    except UserError as error:
        listener.say(f"without the data: {error}")
        dataset = None
    report(runs, dataset, path)
    return path / "report.html"


def named_for(folder: Path, model: str | None) -> str | None:
    """Which of several named models, with commas between, is that of a run; None for a run of plausibly's own."""
    code = read_record(folder).get("code") or {}
    named = (model or "").split(",")
    return next((each for each in named if each.rpartition(":")[2] == code.get("name")), None)
