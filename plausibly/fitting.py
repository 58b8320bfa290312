"""The main job: fit models to data, test them once on held-out rows, keep each as a run, and set up the board."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import plausibly
from plausibly.capabilities import Model, device_of
from plausibly.data.formats import Dataset, did_you_mean
from plausibly.data.loading import load
from plausibly.errors import UserError
from plausibly.evaluation.board import Board, Row
from plausibly.evaluation.likelihood import Exact, likelihood
from plausibly.heads import marginal_logits
from plausibly.models import MODELS
from plausibly.runs import VERSION, Run, build, model_class, read_record, recorded_data, write_json, write_tensors
from plausibly.training import (
    Diverged,
    Plan,
    Progress,
    Training,
    count,
    default_every,
    default_steps,
    generator_for,
    steps_within,
    watch,
)

CHECKPOINT_SECONDS = 2.0


@dataclass
class Listener:
    """Who hears about the progress: `say` gets lines, `progress` each validation. Silent unless told otherwise."""

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str, Progress], None] = lambda name, progress: None


@dataclass(frozen=True)
class Settings:
    """What the user asked of a fit."""

    arguments: dict[str, Any]
    train: dict[str, Any]
    seed: int = 0
    budget: float | None = None
    device: str = "cpu"


def settings(
    values: Mapping[str, Any] | None, seed: int, budget: float | None, steps: int | None, device: str
) -> Settings:
    """Sorts `hidden=256 train.rate=1e-3` into constructor arguments and the plan. UserError for an unknown one."""
    values = dict(values or {})
    train = {key.removeprefix("train."): values.pop(key) for key in list(values) if key.startswith("train.")}
    known = [f.name for f in fields(Plan) if f.name != "seed"]
    known.append("epochs")
    for name, value in train.items():
        if name not in known:
            hint = did_you_mean(name, known).replace("'", "'train.", 1)
            raise UserError(
                f"there is no setting 'train.{name}'{hint}; settings: {', '.join(known)}, each with train. before"
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"train.{name} = {value!r}; it is a number")
    types = {f.name: type(getattr(Plan(1), f.name)) for f in fields(Plan)}
    for name, value in train.items():
        if types.get(name) is int and value != int(value):
            raise UserError(f"train.{name} = {value}; it is a whole number")
    if train.get("epochs", 1) <= 0 or train.get("batch", 1) < 1:
        raise UserError("train.epochs must be more than 0 and train.batch at least 1")
    if budget is not None and not budget > 0:
        raise UserError(f"a budget of {budget} s is none; 60 is")
    if steps is not None:
        train["steps"] = steps
    if budget is not None and ("steps" in train or "epochs" in train):
        raise UserError("give either a budget or a number of steps, not both")
    return Settings(values, train, seed, budget, device)


def make_plan(chosen: Settings, model: Model, dataset: Dataset, batch: int = 100) -> Plan:
    """The plan of a gradient run: steps as asked for, or from the budget, or by default."""
    train = dict(chosen.train)
    batch = int(train.get("batch", batch))
    rounds = train.pop("epochs", None)
    if rounds is not None:
        train["steps"] = max(1, round(rounds * -(-len(dataset.train) // max(batch, 1))))
    train.setdefault("steps", default_steps(len(dataset.train), batch))
    train.setdefault("every", default_every(len(dataset.train), batch))
    types = {f.name: type(getattr(Plan(1), f.name)) for f in fields(Plan)}
    plan = Plan(seed=chosen.seed, **{name: types[name](value) for name, value in train.items()})
    if chosen.budget is not None:
        return steps_within(chosen.budget, model, dataset.train.codes, dataset.valid.codes, plan)
    return replace(plan, every=max(1, min(plan.every, -(-plan.steps // 10))))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks once for a stop at the next step instead of raising; a second one raises."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Fit:
    """One model on its way to a run at `path`."""

    def __init__(self, path: Path, record: dict[str, Any], model: Model, dataset: Dataset, listener: Listener) -> None:
        self.path, self.record, self.model, self.dataset, self.listener = path, record, model, dataset, listener

    @classmethod
    def new(
        cls, path: Path, name: str, dataset: Dataset, origin: dict[str, Any], chosen: Settings, listener: Listener
    ) -> Fit:
        model = untrained(name, dataset, chosen.arguments, chosen.seed).to(chosen.device)
        record = {
            "plausibly_run": VERSION,
            "status": "running",
            "model": name,
            "arguments": model.arguments,
            "seed": chosen.seed,
            "plan": asdict(make_plan(chosen, model, dataset)) if model.objective().turns(model) else None,
            "data": origin,
            "notes": dataset.notes,
            "rows": {"train": len(dataset.train), "valid": len(dataset.valid), "test": len(dataset.test)},
            "versions": versions(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "format": dataset.format.to_json(),
        }
        fit = cls(path, record, model, dataset, listener)
        write_json(record, path / "run.json")
        return fit

    @classmethod
    def taken_up(cls, path: Path, device: str, listener: Listener) -> Fit:
        """The fit that a run folder without a result is in the middle of."""
        record = read_record(path)
        try:
            dataset = recorded_data(record, path)
            model = untrained(record["model"], dataset, record["arguments"], record["seed"])
            Plan(**(record["plan"] or {"steps": 1}))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path / 'run.json'} is damaged: {type(error).__name__}: {error}") from error
        return cls(path, record, model.to(device), dataset, listener)

    def learn(self) -> None:
        """Trains to the end, or until Ctrl-C; writes the weights and what became of it."""
        status = "done"
        try:
            if self.record["plan"]:
                status = self._descend()
            else:
                self._count()
        except Diverged:
            self._keep("diverged", self.record.get("steps", 0))
            raise
        self._keep(status, self.record.get("steps", 0))
        if status == "done":
            self._checkpoint_path.unlink(missing_ok=True)

    def _count(self) -> None:
        self.log = (self.path / "log.jsonl").open("w", encoding="utf-8")
        with self.log:
            for progress in count(self.model, self.dataset.train.codes, self.dataset.valid.codes):
                self._hear(progress)

    def _descend(self) -> str:
        plan = Plan(**self.record["plan"])
        training = Training(self.model, self.dataset.train.codes, self.dataset.valid.codes, plan)
        self._take_up(training)
        saved = time.monotonic()
        with interruptible() as stop, (self.path / "log.jsonl").open("a", encoding="utf-8") as self.log:
            for progress in training.run(stop):
                self._hear(progress)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._checkpoint(training)
                    saved = time.monotonic()
            interrupted = stop() and not training.done
        if interrupted:
            self._checkpoint(training)
            if training.best_validation == float("inf"):  # stopped before the first validation
                training.best = training.averaged.state_dict()
        training.finish()
        return "interrupted" if interrupted else "done"

    def _hear(self, progress: Progress) -> None:
        self.log.write(json.dumps(asdict(progress)) + "\n")
        self.log.flush()
        self.record |= {"steps": progress.step, "seconds": progress.seconds}
        self.listener.progress(self.record["model"], progress)

    def _checkpoint(self, training: Training) -> None:
        tensors, numbers = training.state()
        # the numbers travel inside the tensors' file, so that both change in one step
        text = json.dumps(numbers).encode()
        write_tensors(
            tensors | {"numbers": torch.frombuffer(bytearray(text), dtype=torch.uint8)}, self._checkpoint_path
        )

    def _take_up(self, training: Training) -> None:
        """Goes on from the checkpoint, if there is one; the log forgets what came after it."""
        log, lines = self.path / "log.jsonl", []
        if self._checkpoint_path.exists():
            try:
                tensors = load_file(self._checkpoint_path)
                training.resume(tensors, json.loads(tensors.pop("numbers").numpy().tobytes()))
            except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
                raise UserError(f"{self._checkpoint_path} is damaged; without it the run starts from step 0") from error
            lines = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= training.step]
            self.listener.say(f"going on at step {training.step:,} of {training.plan.steps:,}")
        log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    @property
    def _checkpoint_path(self) -> Path:
        return self.path / "checkpoint.safetensors"

    def _keep(self, status: str, steps: int) -> None:
        """Writes the weights, and the record without test results yet."""
        weights = self.path / "weights.safetensors"
        write_tensors(self.model.state_dict(), weights)
        self.record |= {
            "status": status,
            "steps": steps,
            "parameters": self.model.free_parameters,
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "validation": -watch(self.model, self.dataset.valid.codes),
        }
        write_json(self.record, self.path / "run.json")

    def test(self) -> Run:
        """Looks at the test rows, once, and times scoring and sampling."""
        self.model.eval()
        started = time.monotonic()
        found = likelihood(self.model, self.dataset.test)
        scored = len(self.dataset.test) / max(time.monotonic() - started, 1e-9)
        if found is not None:
            write_tensors({"nats": found.nats}, self.path / "heldout.safetensors")
        self.record |= {
            "test": found.to_json() if found else None,
            "rows_scored_per_second": scored,
            "rows_sampled_per_second": sampling_speed(self.model),
        }
        write_json(self.record, self.path / "run.json")
        return Run(self.path, self.record, self.model, self.dataset.format)


def untrained(name: str, dataset: Dataset, arguments: dict[str, Any], seed: int) -> Model:
    """The model before its first step: weights from the seed, outputs at the marginals of the training rows."""
    model = build(name, dataset.schema, arguments)
    model.initialise(generator_for(torch.device("cpu"), seed, 0))
    model.settle(marginal_logits(dataset.train.codes.flatten(1), dataset.schema))
    return model


def sampling_speed(model: Model) -> float:
    """Rows sampled a second, in one batch: 250 rows, or 16 where a row has many variables."""
    n = 250 if model.schema.size <= 128 else 16
    generator = generator_for(device_of(model), 13)
    started = time.monotonic()
    with torch.no_grad():
        model.sample(n, generator)
    return n / max(time.monotonic() - started, 1e-9)


def versions() -> dict[str, str]:
    import numpy

    return {
        "plausibly": plausibly.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "threads": str(torch.get_num_threads()),
    }


def origin_of(dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Where the data came from, so that a run can find and recognise it again."""
    kept = {key: value for key, value in options.items() if isinstance(value, str | int | dict | list | tuple)}
    return {
        "name": dataset.name,
        "source": anywhere(dataset.source),
        "fingerprint": dataset.fingerprint,
        "options": {key: anywhere(value) if key in ("valid", "test") else value for key, value in kept.items()},
    }


def anywhere(source: Any) -> Any:
    """A path that holds from any folder; a built-in's name as it is."""
    if not isinstance(source, str):
        return source
    path, mark, part = source.rpartition(":") if not Path(source).exists() else (source, "", "")
    return str(Path(path).resolve()) + mark + part if path and Path(path).exists() else source


def new_folder(out: Path | str | None, name: str) -> Path:
    """`out`, which must not exist or be empty, or the next free `runs/NAME-1`."""
    if out is None:
        number = 1
        while (path := Path("runs") / f"{name}-{number}").exists():
            number += 1
    else:
        path = Path(out)
        if path.exists() and (path.is_file() or any(path.iterdir())):
            raise UserError(
                f"{path} already exists; give another --out, or `plausibly fit --resume {path}` to go on there"
            )
    return path


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """Makes a folder that is removed again where the work in it fails before there are weights."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror}") from error
    try:
        yield path
    except BaseException:
        if not any(path.rglob("*.safetensors")):
            shutil.rmtree(path, ignore_errors=True)
        raise


def fit(
    data: Any,
    model: str | None = None,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    budget: float | None = None,
    steps: int | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
    **options: Any,
) -> Run:
    """Fits one model to data, tests it once and keeps it as a run with its report.

    Without `model` all that accept the data are tried and validation decides. `budget` is in seconds, of all training.
    `set` holds constructor arguments and `train.` settings; `options` go to `plausibly.load`. UserError for what
    the user can mend; `Diverged` where a loss is not finite (a run with the last good weights is left).
    """
    listener = listener or Listener()
    chosen = settings(set, seed, budget, steps, device)
    dataset = load(data, seed=seed, **options)
    origin = origin_of(dataset, {"seed": seed, **options})
    if model is not None:
        model_class(model)
    with fresh(new_folder(out, model or "best")) as path:
        if model is None:
            return fit_best(path, dataset, origin, chosen, listener)
        started = Fit.new(path, model, dataset, origin, chosen, listener)
        return conclude(started)


def conclude(fit: Fit) -> Run:
    """Training, the test and the report of a run that has begun."""
    announce(fit)
    fit.learn()
    return tested(fit)


def tested(fit: Fit) -> Run:
    """The run of a fit that has learned, after its test, with its report."""
    run = fit.test()
    report([run], fit.dataset, run.path)
    return run


def announce(fit: Fit) -> None:
    """Before a long run: rows, parameters, steps and the time they may take."""
    plan, line = fit.record["plan"], f"{fit.record['model']}: {len(fit.dataset.train):,} rows"
    if plan:
        trial = Training(fit.model, fit.dataset.train.codes, fit.dataset.valid.codes, Plan(**plan))
        line += f", {fit.model.free_parameters:,} parameters, at most {plan['steps']:,} steps"
        line += f", about {duration(step_seconds(trial) * plan['steps'])}"
    fit.listener.say(line + ("" if plan else ", by counting"))


def step_seconds(training: Training) -> float:
    """How long a step takes, tried on a copy."""
    trial = Training(deepcopy(training.model), training.codes, training.validation, training.plan)
    started = time.monotonic()
    for taken in range(1, 5):
        try:
            trial.take_step()
        except Diverged:  # the run itself will say so
            break
        if taken == 1:  # the first is slower than all others
            started = time.monotonic()
    return (time.monotonic() - started) / max(taken - 1, 1)


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def resume(path: Path | str, device: str = "cpu", listener: Listener | None = None) -> Run:
    """Goes on with a run where it stopped; its data are found by their path and recognised by their fingerprint."""
    path = Path(path)
    fit = Fit.taken_up(path, device, listener or Listener())
    if fit.record.get("status") != "done":
        return conclude(fit)
    if (path / "report.html").exists():
        raise UserError(f"{path} is finished: nothing is left to do")
    fit.model.restore(load_file(path / "weights.safetensors"))
    return tested(fit)


def accepted(dataset: Dataset) -> list[str]:
    """Names of the models that accept the data: those that count first, then by size."""
    names = [name for name, kind in MODELS.items() if issubclass(kind, Model) and kind.accepts(dataset.schema) is None]
    if not names:
        raise UserError(
            f"no model accepts this data: {'; '.join(str(k.accepts(dataset.schema)) for k in MODELS.values())}"
        )
    return sorted(names, key=lambda name: (learns_by_steps(name, dataset), MODELS[name].count(dataset.schema)))


def learns_by_steps(name: str, dataset: Dataset) -> bool:
    with torch.device("meta"):
        model = MODELS[name](dataset.schema)
    return bool(model.objective().turns(model))


def shares(names: Sequence[str], dataset: Dataset, chosen: Settings, repeats: int = 1) -> Settings:
    """The settings of each of several fits: the budget is divided among those that take steps."""
    stepping = sum(learns_by_steps(name, dataset) for name in names) * repeats
    return replace(chosen, budget=chosen.budget / stepping if chosen.budget is not None and stepping else chosen.budget)


def fit_best(path: Path, dataset: Dataset, origin: dict[str, Any], chosen: Settings, listener: Listener) -> Run:
    """Fits every model that accepts the data; the best on validation is tested and kept, the others are not."""
    names = accepted(dataset)
    if chosen.arguments:
        raise UserError(f"{next(iter(chosen.arguments))} is an argument of one model: name it with --model")
    listener.say(f"no --model given: trying {', '.join(names)}; validation decides")
    share, fits = shares(names, dataset, chosen), []
    for name in names:
        each = Fit.new(path / name, name, dataset, origin, share, listener)
        announce(each)
        each.learn()
        fits.append(each)
        if each.record["status"] == "interrupted":
            break
    best = max(fits, key=lambda each: each.record["validation"])
    listener.say(f"best on validation: {best.record['model']}, {best.record['validation']:.3f} nats per row")
    for file in list(best.path.iterdir()):
        file.rename(path / file.name)
    for each in fits:
        shutil.rmtree(each.path)
    best.path = path
    best.record["tried"] = {each.record["model"]: each.record["validation"] for each in fits}
    run = best.test()
    report([run], dataset, path)
    return run


def compare(
    data: Any,
    models: Sequence[str] | None = None,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    seeds: int = 1,
    budget: float | None = None,
    steps: int | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
    **options: Any,
) -> Board:
    """Fits several models to the same data and tests them on the same rows: one board, one report in `out`.

    A model that refuses the data stays on the board with its reason. The data are split once, by `seed`; with `seeds` > 1
    each model is fitted with seed, seed + 1, ...
    """
    listener = listener or Listener()
    chosen = settings(set, seed, budget, steps, device)
    names = list(MODELS) if models is None else list(dict.fromkeys(models))
    for name in names:
        model_class(name)
    if not names or seeds < 1:
        raise UserError(f"at least one model and one seed are needed; models: {', '.join(MODELS)}")
    dataset = load(data, seed=seed, **options)
    origin = origin_of(dataset, {"seed": seed, **options})
    refused = {name: reason for name in names if (reason := MODELS[name].accepts(dataset.schema))}
    fitting = [name for name in (accepted(dataset) if models is None else names) if name not in refused]
    share = shares(fitting, dataset, chosen, seeds)
    board = Board(data=dataset.name)
    with fresh(new_folder(out, "compare")) as path:
        for name, number in product(fitting, range(seed, seed + seeds)):
            if board.interrupted:
                board.rows.append(Row(name, MODELS[name].family, refusal="stopped before its turn"))
                continue
            row = compared(path, name, dataset, origin, replace(share, seed=number), listener, seeds)
            board.rows.append(row)
            board.interrupted = row.interrupted
        board.rows += [Row(name, MODELS[name].family, refusal=reason) for name, reason in refused.items()]
        board.rows += truth_row(dataset)
        finish_board(board, dataset, path)
    return board


def compared(
    path: Path, name: str, dataset: Dataset, origin: dict[str, Any], chosen: Settings, listener: Listener, seeds: int
) -> Row:
    """One model's row. A diverging one keeps its row with the reason."""
    folder = path / (name if seeds == 1 else f"{name}-{chosen.seed}")
    try:
        with fresh(folder):
            each = Fit.new(folder, name, dataset, origin, chosen, listener)
            announce(each)
            each.learn()
    except Diverged as error:
        return Row(name, MODELS[name].family, refusal=str(error))
    return row_of(each.test())


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


def report_again(path: Path, device: str, listener: Listener) -> Path:
    """Builds the report of a run, or of a folder of runs, anew; without the data where they are gone."""
    folders = [path] if (path / "run.json").exists() else sorted(f.parent for f in path.glob("*/run.json"))
    if not folders:
        raise UserError(f"there is no run at {path}, nor are there runs in it")
    runs = []
    for folder in folders:
        if folder != path and not (folder / "heldout.safetensors").exists():
            listener.say(f"left out: {folder} has not come to its test; `plausibly fit --resume {folder}` goes on")
            continue
        runs.append(Run.open(folder, device))
    if not runs:
        raise UserError(f"no run in {path} has come to its test")
    try:
        dataset = runs[0].dataset()
    except UserError as error:
        listener.say(f"without the data: {error}")
        dataset = None
    report(runs, dataset, path)
    return path / "report.html"
