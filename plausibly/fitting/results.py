"""The measures of a fitted model for the board, and its report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path

from plausibly.capabilities import BoundedModel, Model, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.data.files.originals import rival_sizes, rows_from_events
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import ExactLikelihood
from plausibly.evaluation.samples.samples import board_rows, judge_auc, pick_rows
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import MEMBERS
from plausibly.fitting.settings import Listener
from plausibly.jobs.blocks import ROWS_PER_BLOCK, payload_bytes
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.record import Coded, read_record, write_record
from plausibly.runs.run import Run
from plausibly.system import processes
from plausibly.tasks.compress import compress
from plausibly.training.estimates import format_duration

MAX_CODING_SECONDS = 60.0  # which coding may take, as one guesses from how fast rows are sampled


MAX_CODED_NUMBERS = 1 << 21  # of all rows that are coded for the board


TRIAL_ROWS = 8
MORE_TRIAL_ROWS = 64


def run_test(fit: Fit) -> Run:
    """The run of a fit that has learned, after its test, with its report."""
    if processes.rank() == 0 and fit.record.status != "interrupted":
        shutil.rmtree(
            fit.path / MEMBERS, ignore_errors=True
        )  # it was the best of them, or is their mixture
    run = fit.test()
    if processes.rank() == 0:
        if not isinstance(
            run.model, BoundedModel
        ):  # no likelihood: test rows are held against samples
            judge_samples(run, fit.dataset)
        report_runs([run], fit.dataset, run.path)
    return run


def judge_samples(run: Run, dataset: Dataset) -> Run:
    """The run with its two-sample AUC on record, where its model samples, was not stopped, and there are rows enough."""
    rows = board_rows(dataset.format, len(dataset.test), run.record.rows_sampled_per_second)
    if not isinstance(run.model, Model) or run.record.status == "interrupted" or not rows:
        return run
    seed = run.record.seed
    real = pick_rows(dataset.test, rows, seed)
    with suppress(UserError):  # of a model that draws hardly any row that could be
        found = judge_auc(dataset.format, run.sample_events(rows, seed), real, seed)
        said = {"two_sample_auc": found.value, **found.to_json()}
        run.record = run.record.replace(samples=said)
        write_record(run.record.document, run.path)
    return run


def code_test_rows(board: Board, dataset: Dataset, listener: Listener) -> None:
    """Adds to the rows of models that compress, here and soon enough, what the first test rows take as bytes."""
    rows = min(ROWS_PER_BLOCK, max(1, MAX_CODED_NUMBERS // dataset.schema.size), len(dataset.test))
    able = [row.run for row in board.rows if row.run and compress.word(type(row.run.model))]
    if not rows or not able or board.interrupted:
        return
    try:
        record_coding(able, dataset, dataset.test[:rows], listener)
    except UserError as error:
        listener.log(f"no rows are coded for the board: {error}")
    except KeyboardInterrupt:
        board.interrupted = True
    board.rows = [
        replace(row, coded=row.run.record.coded) if row.run else row for row in board.rows
    ]


def record_coding(
    runs: Sequence[Run], dataset: Dataset, events: Events, listener: Listener
) -> None:
    """Writes what events take as bytes, coded by each run and by other programs, into the records of runs."""
    numbers = len(events) * dataset.schema.size
    sizes = rival_sizes(dataset.format, rows_from_events(dataset.format, events))
    others = {name: 8 * size / numbers for name, size in sizes.items()}
    for run in runs:
        if (size := coding_bytes(run, events, listener)) is not None:
            coded = Coded(len(events), 8 * size / numbers, others)
            run.record = run.record.replace(coded=coded.to_json())
            write_record(run.record.document, run.path)


def coding_bytes(run: Run, events: Events, listener: Listener) -> int | None:
    """The number of bytes that events take; None, which is said with the reason, where they are not coded."""
    name = run.record.model
    own = Exception if run.record.code else UserError  # what a user's own model may raise
    try:
        if reason := coding_refusal(run, events):
            listener.log(f"{name}: no actual bits, since {reason}")
            return None
        return payload_bytes(run, events)
    except own as error:
        listener.log(f"{name}: no actual bits: {error}")
        return None


def coding_refusal(run: Run, events: Events) -> str | None:
    """Why events are not coded, where it is foreseen."""
    if device_of(run.model).type != "cpu":
        return "compressing is for the CPU"
    seconds = coding_seconds(run, events)
    if seconds > MAX_CODING_SECONDS:
        return f"{len(events):,} rows would take about {format_duration(seconds)}"
    return None


def coding_seconds(run: Run, events: Events) -> float:
    """The seconds that coding may take, from those of a few rows, and of a few more."""
    times = [TRIAL_ROWS / (run.record.rows_sampled_per_second or inf)]
    for few in (TRIAL_ROWS, MORE_TRIAL_ROWS):
        if times[-1] > MAX_CODING_SECONDS:
            return times[-1]
        began = time.monotonic()
        payload_bytes(run, events[:few])
        times.append(time.monotonic() - began)
    each = max(0.0, times[-1] - times[-2]) / (MORE_TRIAL_ROWS - TRIAL_ROWS)
    return times[-1] + each * max(0, len(events) - MORE_TRIAL_ROWS)


def row_of(run: Run) -> BoardRow:
    """The board's row of a finished run."""
    record = run.record
    return BoardRow(
        model=record.model,
        family=run.model.family,
        parameters=record.parameters,
        test=run.test(),
        seconds=record.seconds,
        scored=record.rows_scored_per_second,
        sampled=record.rows_sampled_per_second,
        size=sum(
            file.stat().st_size
            for file in run.path.iterdir()
            if file.is_file() and file.suffix != ".html"
        ),
        run=run,
        reconstruction=record.reconstruction,
        samples=record.samples,
        health=record.health,
        coded=record.coded,
    )


def truth_row(dataset: Dataset) -> list[BoardRow]:
    """For a toy, the distribution that it was drawn from, on the same test rows."""
    if dataset.truth is None:
        return []
    nats = dataset.truth.log_prob(dataset.test.codes.float()).double() + dataset.test.log_within
    return [BoardRow("truth", "known", test=ExactLikelihood(nats, dataset.schema.size))]


def report_runs(runs: Sequence[Run], dataset: Dataset | None, path: Path) -> Board:
    """The board and report of runs that are finished."""
    board = board_of(runs)
    board.rows += truth_row(dataset) if dataset else []
    finish_board(board, dataset, path)
    return board


def board_of(runs: Sequence[Run]) -> Board:
    return Board([row_of(run) for run in runs], data=runs[0].record.data.name)


def finish_board(board: Board, dataset: Dataset | None, path: Path) -> None:
    """Writes the board of a comparison, and the report."""
    from plausibly.report import write_report

    board.path = path
    write_report(path / "report.html", board, dataset)


def report_again(path: Path, device: str, listener: Listener, model: str | None = None) -> Path:
    """Builds the report of a run, or of a folder of runs, anew; without the data where they are gone.

    `model` names users' own models as in `Run.open`, with commas between where runs have several.
    """
    is_run = (path / "run.json").exists()
    runs = [Run.open(path, device, model)] if is_run else open_tested(path, device, listener, model)
    try:
        dataset = runs[0].dataset()
    except UserError as error:
        listener.log(f"without the data: {error}")
        dataset = None
    report_runs(runs, dataset, path)
    return path / "report.html"


def open_tested(path: Path, device: str, listener: Listener, model: str | None) -> list[Run]:
    """The runs in a folder that have come to their test, of which there is one at least."""
    folders = sorted(file.parent for file in path.glob("*/run.json"))
    if not folders:
        raise UserError(f"there is no run at {path}, nor are there runs in it")
    tested = [folder for folder in folders if read_record(folder).is_tested]
    for folder in folders:
        if folder not in tested:
            listener.log(
                f"left out: {folder} has not come to its test; `plausibly fit --resume {folder}` goes on"
            )
    if not tested:
        raise UserError(f"no run in {path} has come to its test")
    return [Run.open(folder, device, own_model_for(folder, model)) for folder in tested]


def own_model_for(folder: Path, model: str | None) -> str | None:
    """Which of several named models, with commas between, is that of a run; None for a run of plausibly's own."""
    code = read_record(folder).code
    named = (model or "").split(",")
    return next((each for each in named if code and each.rpartition(":")[2] == code.name), None)
