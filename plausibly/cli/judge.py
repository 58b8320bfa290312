"""Commands that judge: evaluate, check, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from plausibly.cli.app import app
from plausibly.cli.ask import interval_line
from plausibly.cli.console import (
    Common,
    OwnModel,
    make_listener,
    print_result,
    print_table,
    row_meter,
)
from plausibly.cli.options import AnnealingOptions, SamplingOptions, parse_literal
from plausibly.errors import UserError
from plausibly.printing import print_line


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
    common: Common | None = None,
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
    common, annealing, sampling = (
        common or Common(),
        annealing or AnnealingOptions(),
        sampling or SamplingOptions(),
    )
    from plausibly.evaluation.intervals import with_error
    from plausibly.runs.run import Run

    check_combinations(draws, rows, annealing, sampling)
    opened = Run.open(run, common.device, model)
    if annealing.annealed:
        print_annealed(opened, data, annealing, 100 if rows is None else rows, common)
        return
    if sampling.samples:
        print_samples(opened, data, sampling, {} if rows is None else {"rows": rows}, common)
        return
    events = opened.test_events(data)  # read once for all
    found = opened.evaluate(events, draws, row_meter(common))
    apart, use, orders = opened.elbo(events), opened.codebook(events), opened.disagreement(events)
    columns = opened.by_column(events)

    def text() -> None:
        if found is None:
            hint = "; --samples tells how close its samples are" * opened.can_sample
            print_line(f"{opened.record['model']} has no likelihood{hint}")
            return
        print_line(
            f"{found.sign} {with_error(found.value, found.standard_error)} nats per row, {found.over} "
            f"(log p: higher is better); {found.bits_per_variable:.4f} bits per variable (lower is better)"
        )
        print_line(interval_line(found))
        if apart is not None:
            print_table(
                ["part", "nats per row", ""], [list(part) for part in apart.parts()], apart.title()
            )
        if use is not None:
            print_line(f"codebook: {use}")
        if orders is not None:
            print_line(f"orders: {orders}")
        if columns is not None:
            print_line(columns.title())
            print_table(*columns.table())

    document = opened.summary() | {
        "test": found.to_json() if found else None,
        "data": data or opened.record["data"]["source"],
    }
    more: dict[str, Any] = {"elbo": apart, "codebook": use, "orders": orders, "columns": columns}
    print_result(
        document | {name: each.to_json() for name, each in more.items() if each}, common, text
    )


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
    run: Any, data: str | None, chosen: SamplingOptions, rows: dict[str, int], common: Common
) -> None:
    """How close samples are to held-out rows."""
    heard, drawing = (
        row_meter(common, "folds of the judge"),
        row_meter(common, "draws as large as the training rows"),
    )
    names: dict[str, Any] = {
        "extractor": chosen.extractor,
        "label": chosen.label,
        "target": chosen.target,
    }
    found = run.samples(data, seed=common.seed, heard=heard, drawing=drawing, **names, **rows)

    def text() -> None:
        for headings, rows, title in found.tables():
            print_line(title)
            print_table(headings, rows)
        for note in found.notes():
            print_line(note)

    print_result(
        run.summary() | {"samples": found.to_json(), "data": data or run.record["data"]["source"]},
        common,
        text,
    )


def print_annealed(
    run: Any, data: str | None, chosen: AnnealingOptions, rows: int, common: Common
) -> None:
    """Bounds by annealed importance sampling."""
    sigma = chosen.sigma if chosen.sigma is None else parse_literal(chosen.sigma)
    heard = row_meter(common, "transitions")
    found = run.anneal(data, rows, chosen.chains, chosen.distributions, sigma, common.seed, heard)
    document = run.summary() | {
        "annealed": found.to_json(),
        "data": data or run.record["data"]["source"],
    }

    def text() -> None:
        for line in found.lines():
            print_line(line)

    print_result(document, common, text)


@app.command
def check(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Check on RUN what its model promises: sums to one, samples follow the density, no variable sees a later one, ..."""
    common = common or Common()
    from plausibly.runs.run import Run

    results = Run.open(run, common.device, model).check()
    holds = all(result.holds for result in results)

    def text() -> None:
        rows = [
            [
                r.name,
                "holds" if r.holds else "BROKEN",
                f"{r.value:.3g}",
                f"{r.tolerance:.3g}",
                r.says,
            ]
            for r in results
        ]
        print_table(["promise", "", "value", "tolerance", "what is measured"], rows)
        print_line("all hold" if holds else "NOT all hold: do not trust this run's numbers")

    print_result({"checks": [result.to_json() for result in results], "holds": holds}, common, text)
    if not holds:
        sys.exit(1)


@app.command
def report(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Build the one-file HTML report of RUN, or of a folder that `compare` made, again."""
    common = common or Common()
    from plausibly.fitting.results import report_again

    path = report_again(Path(run), common.device, make_listener(common), model)
    print_result({"report": str(path)}, common, lambda: print_line(path))
