"""Commands that learn: fit, compare, ensemble, benchmark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import BEGAN, app
from plausibly.cli.console import Block, ConsoleTable, board_blocks, print_remark, print_result
from plausibly.cli.options import (
    BoardOptions,
    CommonOptions,
    ConditioningOptions,
    DataOptions,
    parse_literal,
    parse_pairs,
    parse_seconds,
)
from plausibly.cli.progress import make_listener
from plausibly.errors import UserError

if TYPE_CHECKING:
    from plausibly.fitting.benchmark import BenchmarkRow
    from plausibly.fitting.settings import DataRequest, Settings
    from plausibly.runs.board import Board
    from plausibly.runs.run import Run


@dataclass(frozen=True)
class FitOptions:
    """A request for fits as people write it, in two values. UserError for a text that cannot be read."""

    common: CommonOptions
    budget: str | None
    steps: int | None
    settings: list[str] | None
    conditioning: ConditioningOptions | None
    data: DataOptions | None

    def wanted(self, source: str) -> DataRequest:
        from plausibly.fitting.settings import DataRequest

        named = self.conditioning or ConditioningOptions()
        context, event = tuple(named.context or ()), tuple(named.event or ())
        reading = (self.data or DataOptions()).keywords()
        seed, target = self.common.seed, named.target
        return DataRequest(source, seed, context, event, reading, target)

    def chosen(self) -> Settings:
        from plausibly.fitting.settings import make_settings

        budget, values = parse_seconds(self.budget), parse_settings(self.settings)
        return make_settings(values, self.common.seed, budget, self.steps, self.common.device)


def parse_settings(words: list[str] | None) -> dict[str, Any]:
    """The settings that `--set NAME=VALUE ...` gives."""
    pairs = parse_pairs(words, "--set NAME=VALUE")
    return {name: parse_literal(text) for name, text in pairs.items()}


def parse_names(text: str | None) -> list[str] | None:
    """The names with commas between; None where nobody names any."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def require_data(data: str | None, command: str) -> str:
    """The name of the data. UserError where nobody gave any."""
    if data is None:
        raise UserError(f"DATA is missing; for example: plausibly {command} digits-binary")
    return data


def refuse_data(data: str | None, what: str) -> None:
    """UserError where data are given to what goes on with its own."""
    if data is not None:
        raise UserError(f"--resume needs no DATA: the {what} knows its own")


@app.command
def fit(
    data: str | None = None,
    /,
    *,
    model: str | None = None,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    budget: str | None = None,
    steps: int | None = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", consume_multiple=True, negative="")
    ] = None,
    resume: str | None = None,
    conditioning: ConditioningOptions | None = None,
    options: DataOptions | None = None,
    shown: BoardOptions | None = None,
    common: CommonOptions | None = None,
) -> None:
    """Fit a model to DATA, test it once on held-out rows, and keep it as a run with its report.

    Parameters
    ----------
    model
        a name from `plausibly models`, FILE.py:CLASS for your own, which is held to the contract first, or auto: a
        portfolio, mixed by validation. Without it arrays and images get auto, a table the best on validation of all whose
        log p is exact; among equals that whose samples a judge tells from validation rows least.
    out_
        folder of the run (default runs/NAME-1).
    budget
        training time, 60s, 5m or 1h; turned into a number of steps once; of a table without --model, all of the command.
    steps
        training steps, instead of a budget.
    set_
        settings, such as hidden=256 or train.rate=0.001.
    resume
        go on with this run where it stopped; needs no DATA.
    """
    common = common or CommonOptions()
    from plausibly.fitting import api

    listener = make_listener(common)
    if resume is None:
        asked = FitOptions(common, budget, steps, set_, conditioning, options)
        wanted = asked.wanted(require_data(data, "fit"))
        run = api.fit_wanted(wanted, model, out_, asked.chosen(), listener, BEGAN)
    else:
        refuse_data(data, "run")
        run = api.resume(resume, common.device, listener, model)
    print_result(FitPrintout(run, shown or BoardOptions()), common)
    if run.record.status == "interrupted":
        again = f"plausibly fit --resume {run.path}"
        print_remark(common, f"interrupted at step {run.record.steps:,}; go on with: {again}")
        sys.exit(130)


@dataclass(frozen=True)
class FitPrintout:
    """A run as its row of the board, what it is mixed of if it is, and where it is."""

    run: Run
    shown: BoardOptions

    def to_json(self) -> dict[str, Any]:
        return self.run.summary()

    def blocks(self) -> Iterator[Block]:
        from plausibly.fitting.results import board_of
        from plausibly.runs.record import ingredients

        yield from board_blocks(board_of([self.run]), self.shown)
        if mixed := ingredients(self.run.record):
            yield f"mixed:  {mixed}"
        if beside := self.run.describe_companion():
            yield f"beside: {beside}"
        yield f"run:    {self.run.path}"
        yield f"report: {self.run.path / 'report.html'}"


@app.command
def compare(
    data: str | None = None,
    /,
    *,
    models: str | None = None,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    seeds: int = 1,
    budget: str | None = None,
    steps: int | None = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", consume_multiple=True, negative="")
    ] = None,
    resume: str | None = None,
    conditioning: ConditioningOptions | None = None,
    options: DataOptions | None = None,
    shown: BoardOptions | None = None,
    common: CommonOptions | None = None,
) -> None:
    """Fit several models to DATA and test them on the same held-out rows: one board, one report.

    Parameters
    ----------
    models
        names or FILE.py:CLASS with commas between; by default all that accept the data, cheap ones first.
    out_
        folder of the runs and the report (default runs/compare-1).
    seeds
        fit each model so many times, with seed, seed + 1, ...
    budget
        training time of all together, 60s, 5m or 1h.
    steps
        training steps of each, instead of a budget.
    set_
        settings of all, such as train.rate=0.001.
    resume
        go on with this comparison where it stopped; needs no DATA, and --models only for models of your own.
    """
    common = common or CommonOptions()
    from plausibly.fitting import compare as compare_module

    named = parse_names(models)
    listener = make_listener(common)
    if resume is None:
        asked = FitOptions(common, budget, steps, set_, conditioning, options)
        wanted = asked.wanted(require_data(data, "compare"))
        board = compare_module.compare_wanted(wanted, named, seeds, out_, asked.chosen(), listener)
    else:
        refuse_data(data, "comparison")
        board = compare_module.resume_comparison(resume, named or (), common.device, listener)
    print_result(ComparisonPrintout(board, shown or BoardOptions()), common)
    if board.interrupted:
        print_remark(common, f"stopped; go on with: plausibly compare --resume {board.path}")
        sys.exit(130)


@dataclass(frozen=True)
class ComparisonPrintout:
    """A board and its report."""

    board: Board
    shown: BoardOptions

    @property
    def report(self) -> str:
        return str(self.board.path / "report.html")

    def to_json(self) -> dict[str, Any]:
        return {"data": self.board.data, "report": self.report, "board": self.board.to_json()}

    def blocks(self) -> Iterator[Block]:
        yield from board_blocks(self.board, self.shown)
        yield f"report: {self.report}"


@app.command
def ensemble(
    *runs: str,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    shown: BoardOptions | None = None,
    common: CommonOptions | None = None,
) -> None:
    """Mix RUNS of the same data, with the weights that are best on validation rows, into a run of its own.

    Parameters
    ----------
    out_
        folder of the run (default runs/ensemble-1).
    """
    common = common or CommonOptions()
    from plausibly.fitting import ensemble as ensemble_module

    run = ensemble_module.mix_runs(
        runs, out=out_, device=common.device, listener=make_listener(common)
    )
    print_result(FitPrintout(run, shown or BoardOptions()), common)


@app.command
def benchmark(
    suite: str,
    /,
    *,
    data: str,
    sets: str | None = None,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    budget: str | None = None,
    steps: int | None = None,
    common: CommonOptions | None = None,
) -> None:
    """Fit the standard sets of SUITE (debd, larochelle, binary-mnist) and put the results beside published ones.

    Every set gets the same portfolio of models, and is tested once. Sets that are done are not fitted again.

    Parameters
    ----------
    data
        folder with the sets, such as debd_nltcs.npz with the arrays train, valid and test.
    sets
        names with commas between, such as nltcs,plants; by default all that are there.
    out_
        folder of the runs and of table.csv and table.md (default runs/SUITE).
    budget
        training time of each row (default 4m, of binary-mnist 15m).
    steps
        training steps of each fit, instead of a budget: the same seed gives the same table.
    """
    common = common or CommonOptions()
    from plausibly.fitting import benchmark as benchmark_module

    rows = benchmark_module.benchmark(
        suite,
        data,
        sets=parse_names(sets),
        out=out_,
        budget=parse_seconds(budget),
        steps=steps,
        seed=common.seed,
        device=common.device,
        listener=make_listener(common),
    )
    print_result(BenchmarkPrintout(suite, list(rows)), common)


@dataclass(frozen=True)
class BenchmarkPrintout:
    """The table of a suite: results beside published ones."""

    suite: str
    rows: list[BenchmarkRow]

    def to_json(self) -> dict[str, Any]:
        return {"suite": self.suite, "sets": [vars(row) for row in self.rows]}

    def blocks(self) -> Iterator[Block]:
        from plausibly.fitting.benchmark import HEADINGS, format_row, sources_line

        yield ConsoleTable(HEADINGS, [format_row(row) for row in self.rows])
        yield sources_line(self.rows)
