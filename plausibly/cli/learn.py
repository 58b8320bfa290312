"""Commands that learn: data, models, fit, compare, ensemble, benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import (
    Common,
    format_value,
    make_listener,
    print_board,
    print_result,
    print_table,
    say,
    values_of,
)
from plausibly.cli.options import (
    Conditioning,
    DataOptions,
    parse_literal,
    parse_pairs,
    parse_seconds,
)
from plausibly.errors import UserError
from plausibly.printing import print_line

MODELS_PER_TABLE = 7  # models in one table


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
    from plausibly.data.loading import load
    from plausibly.data.origins import is_table

    if write_kinds is not None and not is_table(data):
        raise UserError(
            f"--write-kinds {write_kinds}: {data} is no table, and has no columns to name"
        )
    dataset = load(data, seed=common.seed, **options.keywords())
    columns = dataset.format.describe()
    if write_kinds is not None:
        left_out = [
            {"name": name, "kind": "drop", "guess": "as you said"}
            for name in dataset.format.fields()["dropped"]
        ]
        kind_files.write_kinds(columns + left_out, Path(data).name, Path(write_kinds))
    document = {
        "data": dataset.name,
        "rows": dataset.rows,
        "variables": dataset.schema.size,
        "columns": columns,
    }

    def text() -> None:
        headings = ["column", "kind", "codes", "holes", "values", "guessed from"]
        title = (
            f"{dataset.name}: {' + '.join(f'{count:,}' for count in dataset.rows.values())} rows "
        )
        title += f"(train, validation, test, calibration), {dataset.schema.size:,} variables"
        cells = [
            [format_value(column.get(key)) for key in ("name", "kind", "codes", "holes")]
            for column in columns
        ]
        print_table(
            headings,
            [
                [*row, values_of(c), format_value(c.get("guess"))]
                for row, c in zip(cells, columns, strict=True)
            ],
            title,
        )
        here = "in the file, and give it with --kinds"
        kept = here if write_kinds else "with --kind COLUMN=KIND, or all with --write-kinds FILE"
        print_line(
            f"Override a guess {kept}: boolean, category, integer, number, real, date, id, text, drop."
        )
        if dataset.schema.has_unforeseen:
            shares = [kind.unforeseen for kind in dataset.schema.kinds if kind.unforeseen]
            ends = dict.fromkeys(f"{100 * end:.2g}" for end in (min(shares), max(shares)))
            said = (
                f"A cell never seen costs its column's share of new values, {' to '.join(ends)} %"
            )
            print_line(f"{said}, and says nothing of the others.")
        for note in [
            *dataset.notes,
            *["rows written again give this file, byte for byte"] * bool(dataset.regular),
        ]:
            print_line(note)

    more = {
        "relations": [each.to_json() for each in dataset.relations],
        "byte_for_byte": dataset.regular,
        "notes": dataset.notes,
    }
    print_result(document | more, common, text)


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
        sizes = [
            [e["name"], e["family"], format_count(e["parameters"]), e["formula"]] for e in entries
        ]
        print_table(["model", "family", f"parameters, {what}", "formula (n bits)"], sizes)
        words = answers(entries)
        for start in range(0, len(entries), MODELS_PER_TABLE):
            some = slice(start, start + MODELS_PER_TABLE)
            print_table(
                ["task", *(e["name"] for e in entries[some])],
                [[row[0], *row[1:][some]] for row in words],
            )
        for number, reason in enumerate(reasons(entries), 1):
            print_line(f"({number}) {reason}")
        for entry in entries:
            if entry["accepts"]:
                print_line(f"{entry['accepts']}: refused for this data")

    print_result({"models": entries}, common, text)


def format_count(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"{count:.3g}"


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
    from plausibly.fitting import api

    if resume is not None:
        if data is not None:
            raise UserError("--resume needs no DATA: the run knows its own")
        run = api.resume(resume, common.device, make_listener(common), model)
    else:
        if data is None:
            raise UserError("DATA is missing; for example: plausibly fit digits-binary")
        run = api.fit(
            data,
            model,
            out=out_,
            seed=common.seed,
            budget=parse_seconds(budget),
            steps=steps,
            set={
                key: parse_literal(value)
                for key, value in parse_pairs(set_, "--set NAME=VALUE").items()
            },
            device=common.device,
            listener=make_listener(common),
            **(conditioning or Conditioning()).keywords(),
            **options.keywords(),
        )

    def text() -> None:
        from plausibly.fitting.results import board_of

        print_board(board_of([run]))
        print_run(run)

    print_result(run.summary(), common, text)
    if run.record["status"] == "interrupted":
        say(
            common,
            f"interrupted at step {run.record['steps']:,}; go on with: plausibly fit --resume {run.path}",
        )
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
    set_: Annotated[
        list[str] | None, Parameter(name="--set", consume_multiple=True, negative="")
    ] = None,
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

    named = (
        [name.strip() for name in models.split(",") if name.strip()] if models is not None else None
    )
    if resume is not None:
        if data is not None:
            raise UserError("--resume needs no DATA: the comparison knows its own")
        board = compare_module.resume_comparison(
            resume, named or (), common.device, make_listener(common)
        )
    else:
        if data is None:
            raise UserError("DATA is missing; for example: plausibly compare digits-binary")
        board = compare_module.compare(
            data,
            named,
            out=out_,
            seed=common.seed,
            seeds=seeds,
            budget=parse_seconds(budget),
            steps=steps,
            set={
                key: parse_literal(value)
                for key, value in parse_pairs(set_, "--set NAME=VALUE").items()
            },
            device=common.device,
            listener=make_listener(common),
            **(conditioning or Conditioning()).keywords(),
            **options.keywords(),
        )

    def text() -> None:
        print_board(board)
        print_line(f"report: {board.path / 'report.html'}")

    print_result(
        {"data": board.data, "report": str(board.path / "report.html"), "board": board.to_json()},
        common,
        text,
    )
    if board.interrupted:
        say(common, f"stopped; go on with: plausibly compare --resume {board.path}")
        sys.exit(130)


@app.command
def ensemble(
    *runs: str,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    common: Common | None = None,
) -> None:
    """Mix RUNS of the same data, with the weights that are best on validation rows, into a run of its own.

    Parameters
    ----------
    out_
        folder of the run (default runs/ensemble-1).
    """
    common = common or Common()
    from plausibly.fitting import ensemble as ensemble_module
    from plausibly.fitting import results

    run = ensemble_module.mix(runs, out=out_, device=common.device, listener=make_listener(common))

    def text() -> None:
        print_board(results.board_of([run]))
        print_run(run)

    print_result(run.summary(), common, text)


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
    from plausibly.fitting.benchmark import HEADINGS, format_row, sources_line
    from plausibly.fitting.benchmark import benchmark as rows

    names = [name.strip() for name in sets.split(",") if name.strip()] if sets is not None else None
    lines = list(
        rows(
            suite,
            data,
            sets=names,
            out=out_,
            budget=parse_seconds(budget),
            steps=steps,
            seed=common.seed,
            device=common.device,
            listener=make_listener(common),
        )
    )
    found = {"suite": suite, "sets": [vars(line) for line in lines]}

    def text() -> None:
        print_table(HEADINGS, [format_row(line) for line in lines])
        print_line(sources_line(lines))

    print_result(found, common, text)
