"""Every command: load, do the task, print. Only results go to stdout, all else to stderr.

Exit status: 0 done, 1 a bug, 2 the user can mend it, 130 stopped by Ctrl-C (the run is usable).
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from plausibly import __version__
from plausibly.cli.console import (
    Common,
    GuardFormulas,
    OwnModel,
    Scheduler,
    cell,
    listener,
    out,
    print_board,
    rows_heard,
    say,
    shown,
    table,
    values_of,
)
from plausibly.errors import BrokenPromises, Unsupported, UserError
from plausibly.printing import cleaned_errors, print_data, print_line
from plausibly.system import processes
from plausibly.system.files import refuse_same

if TYPE_CHECKING:
    from plausibly.data.files.outputs import Output

SHOWN = 30  # rows of an answer on the terminal
BESIDE = 7  # models in one table

app = App(
    name="plausibly",
    version=__version__,
    help="Learns what your data looks like, and tells how plausible anything is.\n\n"
    "DATA is a .csv, .tsv, .parquet, .arrow, .npy, .npz (a split by name: file.npz:test) or idx file, a folder of images, "
    "or a built-in: digits, digits-binary, toy-bits, toy-mixed, toy-ising, toy-bars, toy-ring, toy-checkerboard. "
    "Start with: plausibly compare DATA",
    help_format="plaintext",
)


@Parameter(name="*")
@dataclass(frozen=True)
class DataOptions:
    """How to read DATA."""

    kind: Annotated[list[str], Parameter(name="--kind", consume_multiple=True, negative="")] | None = None
    "COLUMN=KIND overrides what was guessed: boolean, category, integer, number, real, date, id, text, constant or drop."
    kinds: str | None = None
    'A file of such overrides, COLUMN = "KIND" a line (TOML); `plausibly data DATA --write-kinds FILE` makes one.'
    drop: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns to leave out."
    split: str | None = None
    "time=COLUMN (latest rows are the test) or group=COLUMN (whole groups); else a seeded 75/10/10/5 (5: calibration)."
    valid: str | None = None
    "Validation rows from elsewhere."
    test: str | None = None
    "Test rows from elsewhere."
    size: int | None = None
    "Side in pixels that the images of a folder are resized to."

    def keywords(self) -> dict[str, Any]:
        """Those that were given, as `plausibly.load` takes them."""
        kinds = pairs(self.kind, "--kind COLUMN=KIND", [word.rpartition("=")[0] for word in self.kind or []])
        if self.kinds is not None:
            from plausibly.data.columns import kind_files

            kinds = kind_files.read(self.kinds) | kinds
        every: dict[str, Any] = {"kinds": kinds, "drop": tuple(self.drop or ()), "split": self.split}
        every |= {"valid": self.valid, "test": self.test, "size": self.size}
        return {key: value for key, value in every.items() if value not in (None, (), {})}


def pairs(words: list[str] | None, usage: str, names: Sequence[str] = ()) -> dict[str, str]:
    """`a=1 b=2` as a dictionary: the longest of the `names` that fits, else what stands before the first `=`."""
    found: dict[str, str] = {}
    for word in words or []:
        own = max((name for name in names if word.startswith(f"{name}=")), key=len, default="")
        name, mark, value = (own, "=", word[len(own) + 1 :]) if own else word.partition("=")
        if not mark or not name or not value:
            raise UserError(f"{word!r} is not of the form {usage}")
        if name in found:
            raise UserError(f"{name} is given twice: {found[name]!r} and {value!r}")
        found[name] = value
    return found


def literal(text: str) -> Any:
    """A number, true or false where the text is one, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def seconds(text: str | None) -> float | None:
    """`90`, `90s`, `5m` or `1h` in seconds."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise UserError(f"--budget {text!r} is no time; 60s, 5m and 1h are")
    return value


def start(common: Common) -> None:
    """Threads and device, before the first tensor."""
    import os

    import torch

    cores = os.cpu_count() or 1
    if common.threads is not None and common.threads < 1:
        raise UserError(f"--threads {common.threads}; at least 1 is needed")
    if not 0 <= common.seed < 1 << 62:
        raise UserError(f"--seed {common.seed}; a seed is a whole number from 0 on")
    torch.set_num_threads(common.threads or max(1, cores // 2 // processes.neighbours()))
    try:
        if torch.zeros(1, device=common.device).is_meta:
            raise RuntimeError("no memory")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {common.device!r} is not to be had here; cpu always is") from error


@app.command
def data(
    data: str,
    /,
    *,
    write_kinds: str | None = None,
    options: DataOptions | None = None,
    common: Common | None = None,
) -> None:
    """Show the column report of DATA: kinds, levels, holes, what was guessed and how to override it.

    Parameters
    ----------
    write_kinds
        a file to keep what was guessed in, to be edited and given to any command with --kinds.
    """
    common, options = common or Common(), options or DataOptions()
    from plausibly.data.columns import kind_files
    from plausibly.data.loading import is_table, load

    if write_kinds is not None and not is_table(data):
        raise UserError(f"--write-kinds {write_kinds}: {data} is no table, and has no columns to name")
    dataset = load(data, seed=common.seed, **options.keywords())
    columns = dataset.format.describe()
    if write_kinds is not None:
        left_out = [
            {"name": name, "kind": "drop", "guess": "as you said"} for name in dataset.format.fields()["dropped"]
        ]
        kind_files.write(columns + left_out, Path(data).name, Path(write_kinds))
    document = {"data": dataset.name, "rows": dataset.rows, "variables": dataset.schema.size, "columns": columns}

    def text() -> None:
        headings = ["column", "kind", "codes", "holes", "values", "guessed from"]
        title = f"{dataset.name}: {' + '.join(f'{count:,}' for count in dataset.rows.values())} rows "
        title += f"(train, validation, test, calibration), {dataset.schema.size:,} variables"
        cells = [[shown(column.get(key)) for key in ("name", "kind", "codes", "holes")] for column in columns]
        table(
            headings,
            [[*row, values_of(c), shown(c.get("guess"))] for row, c in zip(cells, columns, strict=True)],
            title,
        )
        here = "in the file, and give it with --kinds"
        kept = here if write_kinds else "with --kind COLUMN=KIND, or all with --write-kinds FILE"
        print_line(f"Override a guess {kept}: boolean, category, integer, number, real, date, id, text, drop.")
        if dataset.schema.guarded:
            shares = [kind.unforeseen for kind in dataset.schema.kinds if kind.unforeseen]
            ends = dict.fromkeys(f"{100 * end:.2g}" for end in (min(shares), max(shares)))
            said = f"A cell never seen costs its column's share of new values, {' to '.join(ends)} %"
            print_line(f"{said}, and says nothing of the others.")
        for note in [*dataset.notes, *["rows written again give this file, byte for byte"] * bool(dataset.regular)]:
            print_line(note)

    more = {
        "relations": [each.to_json() for each in dataset.relations],
        "byte_for_byte": dataset.regular,
        "notes": dataset.notes,
    }
    out(document | more, common, text)


@app.command
def models(
    *,
    data: str | None = None,
    variables: int | None = None,
    options: DataOptions | None = None,
    common: Common | None = None,
) -> None:
    """List every model: what it can do, and its number of free parameters.

    Parameters
    ----------
    data
        count them for this data.
    variables
        count them for so many binary variables (8 unless said otherwise).
    """
    common, options = common or Common(), options or DataOptions()
    from plausibly.evaluation.abilities import answers, model_entries, reasons
    from plausibly.events.schema import binary

    if data is not None and variables is not None:
        raise UserError("give either --data or --variables, not both")
    if variables is not None and not 1 <= variables <= 100_000:
        raise UserError(f"--variables {variables}; 1 to 100,000 can be counted")
    if data is not None:
        from plausibly.data.loading import load

        schema, what = load(data, seed=common.seed, **options.keywords()).schema, data
    else:
        schema, what = binary(variables or 8), f"n = {variables or 8} binary variables"
    entries = model_entries(schema)

    def text() -> None:
        sizes = [[e["name"], e["family"], shortened(e["parameters"]), e["formula"]] for e in entries]
        table(["model", "family", f"parameters, {what}", "formula (n bits)"], sizes)
        words = answers(entries)
        for start in range(0, len(entries), BESIDE):
            some = slice(start, start + BESIDE)
            table(["task", *(e["name"] for e in entries[some])], [[row[0], *row[1:][some]] for row in words])
        for number, reason in enumerate(reasons(entries), 1):
            print_line(f"({number}) {reason}")
        for entry in entries:
            if entry["accepts"]:
                print_line(f"{entry['accepts']}: refused for this data")

    out({"models": entries}, common, text)


def shortened(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"{count:.3g}"


@Parameter(name="*")
@dataclass(frozen=True)
class Conditioning:
    """What is modelled given what."""

    context: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns that the others are modelled given, such as a label: p(others | label), p(label) kept from training."
    event: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns that are modelled given all others (--context rest): a classifier is --event label --context rest."

    def keywords(self) -> dict[str, Any]:
        return {"context": tuple(self.context or ()), "event": tuple(self.event or ())}


@app.command
def fit(
    data: str | None = None,
    /,
    *,
    model: str | None = None,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    budget: str | None = None,
    steps: int | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True, negative="")] = None,
    resume: str | None = None,
    conditioning: Conditioning | None = None,
    options: DataOptions | None = None,
    common: Common | None = None,
) -> None:
    """Fit a model to DATA, test it once on held-out rows, and keep it as a run with its report.

    Parameters
    ----------
    model
        a name from `plausibly models`, FILE.py:CLASS for your own, which is held to the contract first, or auto: a
        portfolio, mixed by validation. Without it arrays and images get auto, a table the best one that answers any question.
    out_
        folder of the run (default runs/NAME-1).
    budget
        training time, 60s, 5m or 1h; turned into a number of steps once.
    steps
        training steps, instead of a budget.
    set_
        settings, such as hidden=256 or train.rate=0.001.
    resume
        go on with this run where it stopped; needs no DATA.
    """
    common, options = common or Common(), options or DataOptions()
    from plausibly.fitting import api as fitting

    if resume is not None:
        if data is not None:
            raise UserError("--resume needs no DATA: the run knows its own")
        run = fitting.resume(resume, common.device, listener(common), model)
    else:
        if data is None:
            raise UserError("DATA is missing; for example: plausibly fit digits-binary")
        run = fitting.fit(
            data,
            model,
            out=out_,
            seed=common.seed,
            budget=seconds(budget),
            steps=steps,
            set={key: literal(value) for key, value in pairs(set_, "--set NAME=VALUE").items()},
            device=common.device,
            listener=listener(common),
            **(conditioning or Conditioning()).keywords(),
            **options.keywords(),
        )

    def text() -> None:
        from plausibly.fitting.results import board_of

        print_board(board_of([run]))
        print_run(run)

    out(run.summary(), common, text)
    if run.record["status"] == "interrupted":
        say(common, f"interrupted at step {run.record['steps']:,}; go on with: plausibly fit --resume {run.path}")
        sys.exit(130)


def print_run(run: Any) -> None:
    """What a run is mixed of, if it is, and where it is."""
    from plausibly.runs.record import ingredients

    if mixed := ingredients(run.record):
        print_line(f"mixed:  {mixed}")
    print_line(f"run:    {run.path}")
    print_line(f"report: {run.path / 'report.html'}")


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
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True, negative="")] = None,
    resume: str | None = None,
    conditioning: Conditioning | None = None,
    options: DataOptions | None = None,
    common: Common | None = None,
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
    common, options = common or Common(), options or DataOptions()
    from plausibly.fitting import compare as compare_module

    named = [name.strip() for name in models.split(",") if name.strip()] if models is not None else None
    if resume is not None:
        if data is not None:
            raise UserError("--resume needs no DATA: the comparison knows its own")
        board = compare_module.resume_comparison(resume, named or (), common.device, listener(common))
    else:
        if data is None:
            raise UserError("DATA is missing; for example: plausibly compare digits-binary")
        board = compare_module.compare(
            data,
            named,
            out=out_,
            seed=common.seed,
            seeds=seeds,
            budget=seconds(budget),
            steps=steps,
            set={key: literal(value) for key, value in pairs(set_, "--set NAME=VALUE").items()},
            device=common.device,
            listener=listener(common),
            **(conditioning or Conditioning()).keywords(),
            **options.keywords(),
        )

    def text() -> None:
        print_board(board)
        print_line(f"report: {board.path / 'report.html'}")

    out({"data": board.data, "report": str(board.path / "report.html"), "board": board.to_json()}, common, text)
    if board.interrupted:
        say(common, f"stopped; go on with: plausibly compare --resume {board.path}")
        sys.exit(130)


@app.command
def ensemble(
    *runs: str, out_: Annotated[str | None, Parameter(name="--out")] = None, common: Common | None = None
) -> None:
    """Mix RUNS of the same data, with the weights that are best on validation rows, into a run of its own.

    Parameters
    ----------
    out_
        folder of the run (default runs/ensemble-1).
    """
    common = common or Common()
    from plausibly.fitting import ensemble as ensemble_module
    from plausibly.fitting import results as results_module

    run = ensemble_module.mixed(runs, out=out_, device=common.device, listener=listener(common))

    def text() -> None:
        print_board(results_module.board_of([run]))
        print_run(run)

    out(run.summary(), common, text)


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
    common: Common | None = None,
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
    common = common or Common()
    from plausibly.fitting.benchmark import HEADINGS, cells, sources
    from plausibly.fitting.benchmark import benchmark as rows

    names = [name.strip() for name in sets.split(",") if name.strip()] if sets is not None else None
    lines = list(
        rows(
            suite,
            data,
            sets=names,
            out=out_,
            budget=seconds(budget),
            steps=steps,
            seed=common.seed,
            device=common.device,
            listener=listener(common),
        )
    )
    found = {"suite": suite, "sets": [vars(line) for line in lines]}

    def text() -> None:
        table(HEADINGS, [cells(line) for line in lines])
        print_line(sources(lines))

    out(found, common, text)


@Parameter(name="*")
@dataclass(frozen=True)
class Annealing:
    """Annealed importance sampling instead, of models with a decoder: a tight bound, and by how much it can be off."""

    annealed: Annotated[bool, Parameter(negative="")] = False
    "Bounds on log p by chains that are led from the prior to the posterior. It takes minutes."
    chains: int = 16
    "Chains of each row."
    distributions: int = 1000
    "Steps from prior to posterior: more make the bound tighter, and take longer."
    sigma: str | None = None
    "Of images: the mean image with noise N(0, sigma^2) in place of the model's own pixels; validation finds the best."


@Parameter(name="*")
@dataclass(frozen=True)
class Sampling:
    """How close samples are to held-out rows instead, of models that sample."""

    samples: Annotated[bool, Parameter(negative="")] = False
    "Whether a classifier can tell them, whether they cover the rows, whether they are copies, and distances."
    extractor: str | None = None
    "What distances are taken of: columns, random-convolutions (default for images), classifier, or a FILE.onnx."
    label: str | None = None
    "The column of RUN's data that the extractor `classifier` learns to tell."
    target: str | None = None
    "Of a table, the column that trees learn to predict from samples (default: the last category of 2 to 20 levels)."


@app.command
def evaluate(
    run: str,
    data: str | None = None,
    /,
    *,
    draws: int | None = None,
    rows: int | None = None,
    annealing: Annealing | None = None,
    sampling: Sampling | None = None,
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
    common, annealing, sampling = common or Common(), annealing or Annealing(), sampling or Sampling()
    from plausibly.evaluation.intervals import beside
    from plausibly.runs.run import Run

    check_together(draws, rows, annealing, sampling)
    opened = Run.open(run, common.device, model)
    if annealing.annealed:
        print_annealed(opened, data, annealing, 100 if rows is None else rows, common)
        return
    if sampling.samples:
        print_samples(opened, data, sampling, {} if rows is None else {"rows": rows}, common)
        return
    events = opened.held_out(data)  # read once for all
    found = opened.evaluate(events, draws, rows_heard(common))
    apart, use, orders = opened.elbo(events), opened.codebook(events), opened.disagreement(events)
    columns = opened.by_column(events)

    def text() -> None:
        if found is None:
            hint = "; --samples tells how close its samples are" * opened.draws
            print_line(f"{opened.record['model']} has no likelihood{hint}")
            return
        print_line(
            f"{found.sign} {beside(found.value, found.standard_error)} nats per row, {found.over} "
            f"(log p: higher is better); {found.bits_per_variable:.4f} bits per variable (lower is better)"
        )
        print_line(sureness(found))
        if apart is not None:
            table(["part", "nats per row", ""], [list(part) for part in apart.parts()], apart.title())
        if use is not None:
            print_line(f"codebook: {use}")
        if orders is not None:
            print_line(f"orders: {orders}")
        if columns is not None:
            print_line(columns.title())
            table(*columns.table())

    document = opened.summary() | {
        "test": found.to_json() if found else None,
        "data": data or opened.record["data"]["source"],
    }
    more: dict[str, Any] = {"elbo": apart, "codebook": use, "orders": orders, "columns": columns}
    out(document | {name: each.to_json() for name, each in more.items() if each}, common, text)


def sureness(found: Any) -> str:
    """The 95 % interval of a mean log p, and what it is over, or why there is none."""
    from plausibly.evaluation.intervals import TOO_FEW

    if found.interval is None:
        return TOO_FEW
    whose = "" if found.sign == "=" else " of the bound, not of log p"
    return f"95 %{whose}: {found.interval[0]:.4f} to {found.interval[1]:.4f}, over {found.over} as these, the model as it is"


def check_together(draws: int | None, rows: int | None, annealing: Annealing, sampling: Sampling) -> None:
    """UserError where options do not go with each other."""
    if draws is not None and annealing.annealed:
        raise UserError("--draws is not for --annealed, which has --chains and --distributions; leave one out")
    if annealing != Annealing() and not annealing.annealed:
        raise UserError("--chains, --distributions and --sigma go with --annealed")
    if sampling != Sampling() and not sampling.samples:
        raise UserError("--extractor, --label and --target go with --samples")
    if sampling.samples and (annealing.annealed or draws is not None):
        raise UserError("--samples is not for --annealed or --draws, which are about likelihoods; leave one out")
    if rows is not None and not (annealing.annealed or sampling.samples):
        raise UserError("--rows goes with --annealed or --samples")


def print_samples(run: Any, data: str | None, chosen: Sampling, rows: dict[str, int], common: Common) -> None:
    """How close samples are to held-out rows."""
    heard, drawing = rows_heard(common, "folds of the judge"), rows_heard(common, "draws as large as the training rows")
    names: dict[str, Any] = {"extractor": chosen.extractor, "label": chosen.label, "target": chosen.target}
    found = run.samples(data, seed=common.seed, heard=heard, drawing=drawing, **names, **rows)

    def text() -> None:
        for headings, rows, title in found.tables():
            print_line(title)
            table(headings, rows)
        for note in found.notes():
            print_line(note)

    out(run.summary() | {"samples": found.to_json(), "data": data or run.record["data"]["source"]}, common, text)


def print_annealed(run: Any, data: str | None, chosen: Annealing, rows: int, common: Common) -> None:
    """Bounds by annealed importance sampling."""
    sigma = chosen.sigma if chosen.sigma is None else literal(chosen.sigma)
    heard = rows_heard(common, "transitions")
    found = run.annealed(data, rows, chosen.chains, chosen.distributions, sigma, common.seed, heard)
    document = run.summary() | {"annealed": found.to_json(), "data": data or run.record["data"]["source"]}

    def text() -> None:
        for line in found.lines():
            print_line(line)

    out(document, common, text)


@app.command
def score(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    calibrate: str | None = None,
    fdr: float | None = None,
    each: Annotated[bool, Parameter(negative="")] = False,
    conditionals: Annotated[bool, Parameter(negative="")] = False,
    guard_formulas: GuardFormulas = False,
    scheduler: Scheduler = None,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Tell how plausible each row of DATA is: nats, bits per variable, p-value, what surprises most.

    Parameters
    ----------
    out_
        a .csv or .parquet file for all rows; without it the least plausible rows are printed.
    calibrate
        rows that p-values are against; without it those that the run set aside, else its test rows.
    fdr
        mark anomalies so that of those marked at most this share, such as 0.05, is expected to be ordinary rows.
    each
        also the bits of each variable given earlier ones (they add up) and given all others (they do not).
    conditionals
        instead, p(x_i | earlier) of each cell and the same as surprisal in bits.
    """
    common = common or Common()
    from plausibly.jobs import files as bulk
    from plausibly.runs.run import Run

    if conditionals and (calibrate is not None or fdr is not None or each):
        raise UserError("--conditionals tells of cells alone; leave out --calibrate, --fdr and --each, or it")
    opened = Run.open(run, common.device, model)
    out_path, work = None if out_ is None else Path(out_), shard_work(scheduler, common, model)
    if conditionals:
        scored, frames = bulk.conditionals_to(opened, data, out_path, work, rows_heard(common), guard_formulas)
    else:
        scored, frames = bulk.score_to(
            opened, data, out_path, calibrate, fdr, each, work, rows_heard(common), guard_formulas
        )
    records = None if out_ else [record for frame in frames for record in frame.to_dict("records")]
    document = {"rows": scored.rows, "out": out_, "scores": records, **scored.told, **scored.marked}
    for warning in scored.told.get("warnings", []):
        say(common, f"warning: {warning}")

    def text() -> None:
        least = scored.few[0].iloc[:, :12]
        table(list(least.columns), [[cell(value) for value in row] for row in least.to_numpy(dtype=object)])
        print_line(
            f"{scored.rows:,} rows"
            + (f" in {out_}" if out_ else "; the 10 least plausible shown, --out FILE keeps all")
        )
        for note in scored.told.get("notes", []):
            print_line(note)

    out(document, common, text)


def shard_work(scheduler: str | None, common: Common, model: str | None) -> Any:
    """Who does the shards of a job: this process, or the cluster of that scheduler."""
    from plausibly.jobs.shards import here

    if scheduler is None:
        return here
    import torch

    from plausibly.jobs.cluster import Cluster

    return Cluster(scheduler, common.device, torch.get_num_threads(), model)


@app.command
def sample(
    run: str,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"])] = 10,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    given: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    complete: Annotated[bool, Parameter(negative="")] = False,
    guard_formulas: GuardFormulas = False,
    scheduler: Scheduler = None,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Draw rows from RUN.

    Parameters
    ----------
    n
        number of rows.
    out_
        .csv, .parquet, .npz or .png (a grid of images); without it the rows are printed.
    given
        COLUMN=VALUE fixes columns, never by rejection; an array's columns are called 0, 1, ...
    complete
        draw rows without holes, as if holes told nothing of what they hide.
    """
    common = common or Common()
    from plausibly.jobs import files as bulk
    from plausibly.runs.run import Run

    if n < 1:
        raise UserError(f"-n {n}; at least one row can be drawn")
    opened = Run.open(run, common.device, model)
    known = pairs(given, "--given COLUMN=VALUE", opened.format.names)
    if complete:
        say(common, "rows are drawn given that no cell is a hole; that holes tell nothing of what they hide is assumed")
    if out_ is None:
        if scheduler is not None:
            raise UserError("--scheduler needs --out FILE: what is done is kept beside it until all is")
        rows, told = opened.sample_told(n, common.seed, known, complete)
        deliver(
            opened,
            rows,
            out_,
            common,
            {"rows": n} | conditioned(opened, known, complete, told, common),
            guard=guard_formulas,
        )
        return
    heard, work = rows_heard(common), shard_work(scheduler, common, model)
    told = bulk.sample_to(opened, Path(out_), n, common.seed, known, complete, work, heard, guard_formulas)
    document = {"rows": n} | conditioned(opened, known, complete, told, common) | {"out": out_}
    out(document, common, lambda: print_line(f"{n:,} rows in {out_}"))


def conditioned(run: Any, given: dict[str, str], complete: bool, told: Any, common: Common) -> dict[str, Any]:
    """Says how good draws given something are, and is that as JSON; nothing of plain draws."""
    from plausibly.runs.run import TASKS

    if not given and not complete:
        return {}
    word = TASKS["impute"].word(type(run.model)) or ""
    if word != "exact":
        say(common, f"drawn cells are {FILLED[word]}{f': {told.line()}' if told else ''}")
    return {"drawn": word} | (told.to_json() if told else {})


@app.command
def query(
    run: str,
    target: str,
    /,
    *,
    given: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    about: str | None = None,
    particles: int = 1000,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Tell the distribution of column TARGET given others: probabilities of its levels, or mean and quantiles.

    Parameters
    ----------
    given
        COLUMN=VALUE, what is known; all other columns are summed out.
    about
        a further column: how many bits TARGET and it tell about each other.
    particles
        draws behind an estimate; exact answers need none.
    """
    common = common or Common()
    from plausibly.runs.run import Run

    if particles < 1:
        raise UserError(f"--particles {particles}; at least 1 is needed")
    opened = Run.open(run, common.device, model)
    known = pairs(given, "--given COLUMN=VALUE", opened.format.names)
    found = opened.query(target, known, common.seed, particles)
    shared = None if about is None else opened.information(target, about, known) / math.log(2)
    document = found.to_json() | ({} if about is None else {"about": about, "information_bits": shared})

    def text() -> None:
        rows = [[cell(value) for value in row] for row in found.frame.head(SHOWN).to_numpy(dtype=object)]
        table(list(found.frame.columns), rows)
        more = f"; the first {SHOWN} of {len(found.frame):,} shown" if len(found.frame) > SHOWN else ""
        kind = "differential entropy" if found.differential else "entropy"
        bits = "" if found.entropy_bits is None else f"; {kind} {found.entropy_bits:.4g} bits"
        print_line(found.note + bits + more)
        if shared is not None:
            print_line(f"mutual information of {target} and {about}: {shared:.4g} bits")

    out(document, common, text)


@app.command
def impute(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    draws: int = 1,
    most_probable: Annotated[bool, Parameter(negative="")] = False,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Fill every hole of DATA with a draw from p(hole | the rest of the row); observed cells come back as they are.

    Parameters
    ----------
    out_
        file for the filled rows; with several draws, out-1.csv, out-2.csv, ...
    draws
        number of independent fillings.
    most_probable
        instead, fill all holes of a row with what is most probable together.
    """
    common = common or Common()
    from plausibly.jobs import files as bulk
    from plausibly.runs.run import TASKS, Run

    opened = Run.open(run, common.device, model)
    if most_probable:
        if draws != 1:
            raise UserError("--most-probable fills in one way only; leave --draws out")
        complete(opened, data, out_, common, guard_formulas)
        return
    TASKS["impute"].require(opened.model)
    word = TASKS["impute"].word(type(opened.model)) or ""
    if draws < 1 or (draws > 1 and out_ is None):
        raise UserError(f"--draws {draws} needs --out FILE and at least one draw")
    if out_ is None:
        events, told = opened.filled(data, common.seed)
        deliver(
            opened,
            events,
            None,
            common,
            {"rows": len(events), "filled": word} | (told.to_json() if told else {}),
            guard=guard_formulas,
        )
    else:
        for draw in range(draws):
            path = numbered(Path(out_), draw) if draws > 1 else Path(out_)
            count, told = bulk.fill_to(
                opened, data, path, common.seed + draw, heard=rows_heard(common), guard=guard_formulas
            )
        document = {"rows": count, "filled": word} | (told.to_json() if told else {}) | {"out": str(path)}
        out(document, common, lambda: print_line(f"{count:,} rows in {path}"))
    many = f": {told.line()}" if told else ""
    say(common, f"filled cells are {FILLED[word]}{many}")


FILLED = {
    "exact": "exact draws",
    "approximate": "drawn one after the other, each given the others: approximate",
    "estimate": "draws by weight, an estimate",
}


def complete(run: Any, data: str, out_: str | None, common: Common, guard: bool) -> None:
    """The most probable completion of each row."""
    from plausibly.runs.run import TASKS

    events, word = run.completed(data), TASKS["complete"].word(type(run.model))
    deliver(run, events, out_, common, {"rows": len(events), "completed": word}, guard=guard, data=data)
    say(common, f"each row's holes hold what is most probable together{', the best found' * (word != 'exact')}")


def numbered(path: Path, draw: int) -> Path:
    return path.with_name(f"{path.stem}-{draw + 1}{path.suffix}")


def deliver(
    run: Any,
    rows: Any,
    out_: str | None,
    common: Common,
    document: dict[str, Any],
    across: int | None = None,
    guard: bool = False,
    data: str | None = None,
) -> None:
    """Writes rows, or events as a file holds them, or prints them; in a grid of images `across` of them to a line.

    `guard` is for spreadsheets: see `data.spreadsheets`.
    """
    import pandas as pd

    from plausibly.data.events import Events
    from plausibly.data.files.spreadsheets import guarded as guarded_cells

    known = isinstance(rows, Events)
    if out_ is not None:
        written = run.format.written(rows, Path(out_)) if known else rows
        write(run.format.output(Path(out_), across), written, out_, guard, data)
        out(document | {"out": out_}, common, lambda: print_line(f"{len(rows):,} rows in {out_}"))
        return
    typed, shown = (run.format.rows(rows), run.format.written(rows, Path("rows.csv"))) if known else (rows, rows)
    frame, lines = (
        each if isinstance(each, pd.DataFrame) else pd.DataFrame(each.reshape(len(each), -1)) for each in (typed, shown)
    )
    records = json.loads(frame.to_json(orient="records", date_format="iso"))

    def text() -> None:
        rows = lines.to_csv(index=False)
        print_data(guarded_cells(rows, ",") if guard else rows)

    out(document | {"values": records}, common, text)


def write(output: Output, rows: Any, out_: str, guard: bool, data: str | None = None) -> None:
    """Writes rows to a file, whole or not at all; it is not the `data` that they were made of."""
    refuse_same(out_, data)
    (output.guarding() if guard else output).join([output.piece(rows)], Path(out_))


@app.command
def classify(
    run: str,
    data: str,
    /,
    *,
    target: str | None = None,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Tell p(label | the rest) for each row of DATA, of a number its median and interval; and how good that is where known.

    Parameters
    ----------
    target
        the column with the labels or numbers (default: the run's context or event, where that is one column).
    out_
        a .csv or .parquet file with a column p(LABEL) for each label, or with mean, median and interval; without it the
        first rows are printed.
    """
    common = common or Common()
    from plausibly.data.files.outputs import score_output
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    found = opened.regress(data, target, common.seed) if opened.is_number(target) else opened.classify(data, target)
    frame = found.frame()
    if out_ is not None:
        write(score_output(Path(out_)), frame, out_, guard_formulas, data)
    document = found.to_json() | {"out": out_, "predictions": None if out_ else frame.to_dict("records")}

    def text() -> None:
        some = frame.head(10)
        table(list(some.columns), [[cell(value) for value in row] for row in some.to_numpy(dtype=object)])
        print_line(f"{len(frame):,} rows" + (f" in {out_}" if out_ else "; the first 10 shown, --out FILE keeps all"))
        print_line(found.line())

    out(document, common, text)


@app.command
def encode(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Turn each row of DATA into the latents that stand for it, so many numbers.

    Parameters
    ----------
    out_
        a .csv, .tsv, .npy or .npz file, a line for each row; without it the latents are printed.
    """
    common = common or Common()
    from plausibly.data.files.arrays import write_rows
    from plausibly.runs.run import Run

    latents = Run.open(run, common.device, model).encode(data)
    document = {"rows": len(latents), "latents": latents.shape[1], "out": out_}
    if out_ is not None:
        refuse_same(out_, data)
        write_rows(latents, Path(out_))
    document |= {"values": None if out_ else latents.tolist()}

    def text() -> None:
        if out_ is not None:
            print_line(f"{latents.shape[1]:,} latents of {len(latents):,} rows in {out_}")
            return
        for row in [range(latents.shape[1]), *latents.tolist()]:
            print_line(",".join(cell(value) for value in row))

    out(document, common, text)


@app.command
def reconstruct(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Encode each row of DATA and decode it again, and tell how far the rows are from what comes back.

    Parameters
    ----------
    out_
        file for the rows that come back: .csv, .parquet, .npz or .png (a grid of images).
    """
    common = common or Common()
    from dataclasses import asdict

    from plausibly.evaluation.answers.reconstruction import text_of
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    events = opened.events(data)
    errors = opened.reconstruction(events)
    if out_ is not None:
        write(opened.format.output(Path(out_)), opened.reconstruct(events), out_, guard_formulas, data)

    def text() -> None:
        for unit, error in errors.items():
            print_line(f"{text_of(unit, error)}, {error}")
        print_line(f"{len(events):,} rows in {out_}" if out_ else "--out FILE keeps the rows that come back")

    document = {"rows": len(events), "out": out_}
    out(document | {"reconstruction": {unit: asdict(error) for unit, error in errors.items()}}, common, text)


@app.command
def interpolate(
    run: str,
    data: str,
    /,
    *,
    rows: Annotated[list[int], Parameter(consume_multiple=True, negative="")],
    steps: int = 8,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Decode rows along the straight line between the latents of two rows of DATA; the ends are their reconstructions.

    Parameters
    ----------
    rows
        two rows of DATA, counted from 0, or several pairs of them.
    steps
        rows from one to the other, both ends counted.
    out_
        .csv, .parquet, .npz or .png (a line of images for each pair); without it the rows are printed.
    """
    common = common or Common()
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    events = opened.events(data)
    if len(rows) % 2:
        raise UserError(f"--rows {' '.join(map(str, rows))}: rows go in pairs, such as --rows 0 5")
    if outside := [row for row in rows if not 0 <= row < len(events)]:
        raise UserError(f"--rows {outside[0]}: {data} has the rows 0 to {len(events) - 1:,}")
    found = opened.interpolate(events[rows[::2]], events[rows[1::2]], steps)
    deliver(
        opened,
        found,
        out_,
        common,
        {"rows": len(found), "pairs": len(rows) // 2, "steps": steps},
        steps,
        guard_formulas,
    )


@app.command
def compress(
    run: str,
    data: str,
    file: str,
    /,
    *,
    embed: Annotated[bool, Parameter(negative="")] = False,
    verify: bool = True,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Write the rows of DATA to FILE in as few bits as RUN finds them plausible, without loss.

    Parameters
    ----------
    embed
        put the model into FILE too, its weights in half precision; else RUN is needed to decompress.
    verify
        decode what was written before calling it done.
    """
    common = common or Common()
    from plausibly.jobs import compression
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    found = compression.compress(opened, data, file, embed, verify, rows_heard(common))

    def text() -> None:
        print_line(f"{found.rows:,} rows of {data}, {found.original:,} bytes, in {file}: {found.file:,} bytes")
        bits, payload = found.model_bits, found.per_variable(8 * found.payload)
        sign = f"{found.sign} " * (found.sign != "=")
        ideal = "" if bits is None else f"; the model's -log2 p is {sign}{found.per_variable(bits):.4f}"
        print_line(f"{payload:.4f} bits a variable{ideal}{found.of}")
        for name, size in found.rivals.items():
            print_line(f"{name:>5} {size:12,} bytes, {found.per_variable(8 * size):.4f} bits a variable")
        for note in found.notes:
            print_line(f"values come back equal, but {note}")
        print_line("decoded again: the same rows" if verify else "not decoded again: --no-verify")
        print_line(
            "the model is in it" if embed else f"to decompress it, keep {run} as it is; --embed puts the model into it"
        )
        print_line(
            f"decoded by {compression.decoded_by()}, for certain on a processor like this: {compression.processor()}"
        )

    out(found.to_json() | {"file": file}, common, text)


@app.command
def decompress(
    run: str,
    file: str,
    data: str | None = None,
    /,
    *,
    rows: str | None = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: Common | None = None,
) -> None:
    """Write the rows that RUN compressed to FILE to DATA: .csv, .parquet, .npz, whatever can hold them.

    `plausibly decompress FILE DATA` is enough where FILE holds its model, or RUN is where it was.

    Parameters
    ----------
    rows
        only some, counted from 0: FIRST:END.
    """
    common = common or Common()
    from plausibly.jobs import compression
    from plausibly.runs.run import Run

    some = None if rows is None else between(rows)
    opened = None if data is None else Run.open(run, common.device, model)
    file, data = (run, file) if data is None else (file, data)
    number = compression.decompress(file, data, opened, some, rows_heard(common), guard_formulas)
    out({"rows": number, "out": data}, common, lambda: print_line(f"{number:,} rows in {data}"))


def between(text: str) -> slice:
    """The rows that FIRST:END says."""
    first, colon, end = text.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal()):
        raise UserError(f"--rows {text}: give the first row and the one after the last, such as --rows 0:10")
    return slice(int(first), int(end))


@app.command
def check(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Check on RUN what its model promises: sums to one, samples follow the density, no variable sees a later one, ..."""
    common = common or Common()
    from plausibly.runs.run import Run

    results = Run.open(run, common.device, model).check()
    holds = all(result.holds for result in results)

    def text() -> None:
        rows = [
            [r.name, "holds" if r.holds else "BROKEN", f"{r.value:.3g}", f"{r.tolerance:.3g}", r.says] for r in results
        ]
        table(["promise", "", "value", "tolerance", "what is measured"], rows)
        print_line("all hold" if holds else "NOT all hold: do not trust this run's numbers")

    out({"checks": [result.to_json() for result in results], "holds": holds}, common, text)
    if not holds:
        sys.exit(1)


@app.command
def seal(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Renew the checksums of RUN, or of a folder that `compare` made, after an edit by hand; they tell damage, not malice."""
    common = common or Common()
    from plausibly.fitting.resealing import seal

    found = seal(run, model)

    def text() -> None:
        for file, how in found.items():
            print_line(f"{file}: {how}")

    out({"run": run, "sealed": found}, common, text)


@app.command
def report(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Build the one-file HTML report of RUN, or of a folder that `compare` made, again."""
    common = common or Common()
    from plausibly.fitting.results import report_again

    path = report_again(Path(run), common.device, listener(common), model)
    out({"report": str(path)}, common, lambda: print_line(path))


@app.command
def upgrade(*runs: str, common: Common | None = None) -> None:
    """Rewrite RUNS of earlier versions as this one writes them: their scores stay the same, and all commands open both.

    A run of a later version is left as it is, and that version named.
    """
    common = common or Common()
    from plausibly.runs import upgrading

    if not runs:
        raise UserError("RUN is missing; for example: plausibly upgrade runs/best-1")
    found = [upgrading.upgrade(run) for run in runs]

    def text() -> None:
        for each in found:
            print_line(each.line())

    out({"runs": [each.to_json() for each in found]}, common, text)


def guarded(call: Callable[[], Any]) -> int:
    """The exit status of a command; an error that the user can mend is one line, a bug its traceback."""
    with cleaned_errors():
        try:
            return status_of(call)
        except Exception:
            traceback.print_exc()
            return 1


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
        return 0
    except BrokenPromises as error:
        for line in error.lines:
            processes.tell(f"plausibly: {' '.join(line.split())}")
        return 2
    except (UserError, Unsupported) as error:
        processes.tell(f"plausibly: {' '.join(str(error).split())}")
        return 2
    except CycloptsError as error:
        processes.tell(f"plausibly: {' '.join(str(error).split())} (plausibly --help)")
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        processes.tell(f"plausibly: {error.filename or 'a file'}: {error.strerror or error}")
        return 2
    except ValueError as error:
        if "embedded null" not in str(error):
            raise
        processes.tell("plausibly: the name of a file holds a NUL character, which none can have")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        processes.tell("plausibly: the memory is not enough for this: fewer rows or a smaller model take less")
        return 2
    except KeyboardInterrupt as stopped:
        processes.tell(f"plausibly: {str(stopped) or 'stopped'}")
        return 130


def is_out_of_memory(error: Exception) -> bool:
    """Python, numpy and Arrow raise a MemoryError; torch says it in words."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "out of memory", "can't start new thread")
    )


def prepared(command: Callable[..., Any], bound: Any) -> Any:
    common = bound.arguments.get("common") or Common()
    if command is not fit:
        processes.single(command.__name__)
    start(common)
    return command(*bound.args, **bound.kwargs)


def main() -> None:
    """The entry point."""

    def call() -> None:
        command, bound, _ = app.parse_args(sys.argv[1:], print_error=False, exit_on_error=False)
        if command.__module__ == __name__:
            prepared(command, bound)
        else:
            command(*bound.args, **bound.kwargs)

    sys.exit(guarded(call))


if __name__ == "__main__":
    main()
