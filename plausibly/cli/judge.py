"""Commands that judge: evaluate, check, report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.cli.app import app
from plausibly.cli.console import Block, ConsoleTable, print_result
from plausibly.cli.options import (
    AnnealingOptions,
    CommonOptions,
    OwnModel,
    SamplingOptions,
    parse_literal,
)
from plausibly.cli.progress import make_listener, row_meter
from plausibly.errors import UserError

if TYPE_CHECKING:
    from plausibly.contract.result import Result
    from plausibly.evaluation.likelihood.annealed import Annealed
    from plausibly.evaluation.likelihood.by_column import ByColumn
    from plausibly.evaluation.likelihood.codebook import CodebookUse
    from plausibly.evaluation.likelihood.elbo import ElboParts
    from plausibly.evaluation.likelihood.likelihood import Likelihood
    from plausibly.evaluation.likelihood.orders import Disagreement
    from plausibly.evaluation.samples.samples import Samples
    from plausibly.runs.run import Run


@app.command
def evaluate(
    run: str,
    data: str | None = None,
    /,
    *,
    draws: int | None = None,
    rows: int | None = None,
    annealing: AnnealingOptions | None = None,
    sampling: SamplingOptions | None = None,
    model: OwnModel = None,
    common: CommonOptions | None = None,
) -> None:
    """Print the held-out log-likelihood of RUN, on DATA or on the test rows of its own data.

    Of a model with latent variables also the parts of its ELBO, over the first 500 rows; of one with a codebook, its use;
    of one of all orders, how far these disagree. Of a table, and a model that factorises log p, what each column takes.

    Parameters
    ----------
    draws
        draws of the latents for each row (100 unless said otherwise): more make the bound tighter, and take longer.
    rows
        rows that --annealed (100 unless said otherwise) or --samples (2,000) look at.
    """
    common = common or CommonOptions()
    annealing = annealing or AnnealingOptions()
    sampling = sampling or SamplingOptions()
    from plausibly.runs.run import Run

    check_combinations(draws, rows, annealing, sampling)
    opened = Run.open(run, common.device, model)
    if annealing.annealed:
        print_annealed(opened, data, annealing, 100 if rows is None else rows, common)
    elif sampling.samples:
        print_samples(opened, data, sampling, {} if rows is None else {"rows": rows}, common)
    else:
        print_result(evaluate_run(opened, data, draws, common), common)


def evaluate_run(
    run: Run, data: str | None, draws: int | None, common: CommonOptions
) -> EvaluationPrintout:
    """Evaluates a run on rows that are read once for all."""
    events = run.test_events(data)
    return EvaluationPrintout(
        run,
        data,
        run.evaluate(events, draws, row_meter(common)),
        run.elbo(events),
        run.codebook(events),
        run.disagreement(events),
        run.by_column(events),
    )


def name_data(run: Run, data: str | None) -> str:
    """The data that a run is judged on, by default its own."""
    return data or run.record.data.source


@dataclass(frozen=True)
class EvaluationPrintout:
    """The held-out log-likelihood of a run, and what else its type has to say of it."""

    run: Run
    data: str | None
    likelihood: Likelihood | None
    elbo: ElboParts | None
    codebook: CodebookUse | None
    orders: Disagreement | None
    columns: ByColumn | None

    def to_json(self) -> dict[str, Any]:
        document = self.run.summary()
        document["test"] = self.likelihood.to_json() if self.likelihood else None
        document["data"] = name_data(self.run, self.data)
        for name in ("elbo", "codebook", "orders", "columns"):
            if part := getattr(self, name):
                document[name] = part.to_json()
        return document

    def blocks(self) -> Iterator[Block]:
        if self.likelihood is None:
            hint = "; --samples tells how close its samples are" if self.run.can_sample else ""
            yield f"{self.run.record.model} has no likelihood{hint}"
            return
        yield from likelihood_lines(self.likelihood)
        if self.run.by:
            yield f"by {self.run.by}; {self.run.describe_companion()}"
        if self.elbo is not None:
            parts = [list(part) for part in self.elbo.parts()]
            yield self.elbo.title()
            yield ConsoleTable(["part", "nats per row", ""], parts)
        if self.codebook is not None:
            yield f"codebook: {self.codebook}"
        if self.orders is not None:
            yield f"orders: {self.orders}"
        if self.columns is not None:
            yield self.columns.title()
            yield ConsoleTable(*self.columns.table())


def likelihood_lines(found: Likelihood) -> Iterator[str]:
    """The mean log p with its error, its 95 % interval and what that is over, or why there is none."""
    from plausibly.evaluation.intervals import TOO_FEW, with_error

    yield (
        f"{found.sign} {with_error(found.value, found.standard_error)} nats per row, "
        f"{found.over} (log p: higher is better); "
        f"{found.bits_per_variable:.4f} bits per variable (lower is better)"
    )
    if found.interval is None:
        yield TOO_FEW
        return
    whose = "" if found.sign == "=" else " of the bound, not of log p"
    ends = f"{found.interval[0]:.4f} to {found.interval[1]:.4f}"
    yield f"95 %{whose}: {ends}, over {found.over} as these, the model as it is"


def check_combinations(
    draws: int | None, rows: int | None, annealing: AnnealingOptions, sampling: SamplingOptions
) -> None:
    """UserError where options do not go with each other."""
    if draws is not None and annealing.annealed:
        raise UserError(
            "--draws is not for --annealed, which has --chains and --distributions; leave one out"
        )
    if annealing != AnnealingOptions() and not annealing.annealed:
        raise UserError("--chains, --distributions and --sigma go with --annealed")
    if sampling != SamplingOptions() and not sampling.samples:
        raise UserError("--extractor, --label and --target go with --samples")
    if sampling.samples and (annealing.annealed or draws is not None):
        raise UserError(
            "--samples is not for --annealed or --draws, which are about likelihoods; leave one out"
        )
    if rows is not None and not (annealing.annealed or sampling.samples):
        raise UserError("--rows goes with --annealed or --samples")


def print_samples(
    run: Run, data: str | None, chosen: SamplingOptions, rows: dict[str, int], common: CommonOptions
) -> None:
    """Prints how close samples are to held-out rows."""
    found = run.samples(
        data,
        seed=common.seed,
        extractor=chosen.extractor,
        label=chosen.label,
        target=chosen.target,
        on_progress=row_meter(common, "folds of the judge"),
        drawing=row_meter(common, "draws as large as the training rows"),
        **rows,
    )
    print_result(SamplesPrintout(run, data, found), common)


@dataclass(frozen=True)
class SamplesPrintout:
    """Samples beside held-out rows."""

    run: Run
    data: str | None
    found: Samples

    def to_json(self) -> dict[str, Any]:
        judged = {"samples": self.found.to_json(), "data": name_data(self.run, self.data)}
        return self.run.summary() | judged

    def blocks(self) -> Iterator[Block]:
        for headings, rows, title in self.found.tables():
            yield title
            yield ConsoleTable(headings, rows)
        yield from self.found.notes()


def print_annealed(
    run: Run, data: str | None, chosen: AnnealingOptions, rows: int, common: CommonOptions
) -> None:
    """Prints bounds by annealed importance sampling."""
    sigma = chosen.sigma if chosen.sigma is None else parse_literal(chosen.sigma)
    on_progress = row_meter(common, "transitions")
    found = run.anneal(
        data, rows, chosen.chains, chosen.distributions, sigma, common.seed, on_progress
    )
    print_result(AnnealingPrintout(run, data, found), common)


@dataclass(frozen=True)
class AnnealingPrintout:
    """Bounds on log p from both sides."""

    run: Run
    data: str | None
    found: Annealed

    def to_json(self) -> dict[str, Any]:
        judged = {"annealed": self.found.to_json(), "data": name_data(self.run, self.data)}
        return self.run.summary() | judged

    def blocks(self) -> Iterator[Block]:
        yield from self.found.lines()


@app.command
def check(run: str, /, *, model: OwnModel = None, common: CommonOptions | None = None) -> None:
    """Check on RUN what its model promises: sums to one, samples follow the density, no variable sees a later one, ..."""
    common = common or CommonOptions()
    from plausibly.runs.run import Run

    found = PromisesPrintout(Run.open(run, common.device, model).check())
    print_result(found, common)
    if not found.hold:
        sys.exit(1)


@dataclass(frozen=True)
class PromisesPrintout:
    """The promises of a model, and how far each is kept."""

    results: list[Result]

    @property
    def hold(self) -> bool:
        return not any(result.broken for result in self.results)

    def to_json(self) -> dict[str, Any]:
        return {"checks": [result.to_json() for result in self.results], "holds": self.hold}

    def blocks(self) -> Iterator[Block]:
        rows = [promise_row(result) for result in self.results]
        headings = ["promise", "", "value", "tolerance", "what is measured"]
        if any(result.model for result in self.results):
            headings = ["model", *headings]
            rows = [[result.model, *row] for result, row in zip(self.results, rows, strict=True)]
        yield ConsoleTable(headings, rows)
        unmeasured = sum(result.holds is None for result in self.results)
        if not self.hold:
            yield "NOT all hold: do not trust this run's numbers"
        elif unmeasured:
            yield f"all hold that were measured; {unmeasured} of {len(rows)} were not"
        else:
            yield "all hold"


def promise_row(result: Result) -> list[str]:
    """A line of the table of promises."""
    if result.holds is None:
        return [result.name, "not measured", "", "", result.says]
    verdict = "holds" if result.holds else "BROKEN"
    return [result.name, verdict, f"{result.value:.3g}", f"{result.tolerance:.3g}", result.says]


@app.command
def calibrate(run: str, /, *, folds: int = 5, common: CommonOptions | None = None) -> None:
    """Fit the model of RUN without each part of its rows in turn: `score` ranks rows against all of a small table.

    Parameters
    ----------
    folds
        parts of the rows, and models that are fitted and kept in the run's folder.
    """
    common = common or CommonOptions()
    from plausibly.fitting.calibrating import cross_fit
    from plausibly.runs.run import Run

    rows = cross_fit(Run.open(run, common.device), folds, make_listener(common))
    print_result(CalibrationPrintout(run, rows, folds), common)


@dataclass(frozen=True)
class CalibrationPrintout:
    """The rows that calibrate a run from now on."""

    run: str
    rows: int
    folds: int

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "rows": self.rows, "folds": self.folds}

    def blocks(self) -> Iterator[Block]:
        yield f"{self.rows:,} rows, each left out by one of {self.folds} models, calibrate the scores of {self.run}"


@app.command
def report(run: str, /, *, model: OwnModel = None, common: CommonOptions | None = None) -> None:
    """Build the one-file HTML report of RUN, or of a folder that `compare` made, again."""
    common = common or CommonOptions()
    from plausibly.fitting.results import report_again

    path = report_again(Path(run), common.device, make_listener(common), model)
    print_result(ReportPrintout(str(path)), common)


@dataclass(frozen=True)
class ReportPrintout:
    """The page that was built."""

    path: str

    def to_json(self) -> dict[str, Any]:
        return {"report": self.path}

    def blocks(self) -> Iterator[Block]:
        yield self.path
