"""Commands that ask: score, sample, query, impute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import (
    Common,
    GuardFormulas,
    OwnModel,
    Scheduler,
    format_cell,
    print_result,
    print_table,
    row_meter,
    say,
)
from plausibly.cli.deliver import MAX_ROWS_SHOWN, deliver
from plausibly.cli.options import parse_pairs
from plausibly.errors import UserError
from plausibly.printing import print_line


def interval_line(found: Any) -> str:
    """The 95 % interval of a mean log p, and what it is over, or why there is none."""
    from plausibly.evaluation.intervals import TOO_FEW

    if found.interval is None:
        return TOO_FEW
    whose = "" if found.sign == "=" else " of the bound, not of log p"
    return f"95 %{whose}: {found.interval[0]:.4f} to {found.interval[1]:.4f}, over {found.over} as these, the model as it is"


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
    from plausibly.jobs import files
    from plausibly.runs.run import Run

    if conditionals and (calibrate is not None or fdr is not None or each):
        raise UserError(
            "--conditionals tells of cells alone; leave out --calibrate, --fdr and --each, or it"
        )
    opened = Run.open(run, common.device, model)
    out_path, work = None if out_ is None else Path(out_), shard_work(scheduler, common, model)
    if conditionals:
        scored, frames = files.conditionals_to(
            opened, data, out_path, work, row_meter(common), guard_formulas
        )
    else:
        scored, frames = files.score_to(
            opened, data, out_path, calibrate, fdr, each, work, row_meter(common), guard_formulas
        )
    records = None if out_ else [record for frame in frames for record in frame.to_dict("records")]
    document = {"rows": scored.rows, "out": out_, "scores": records, **scored.told, **scored.marked}
    for warning in scored.told.get("warnings", []):
        say(common, f"warning: {warning}")

    def text() -> None:
        least = scored.few[0].iloc[:, :12]
        print_table(
            list(least.columns),
            [[format_cell(value) for value in row] for row in least.to_numpy(dtype=object)],
        )
        print_line(
            f"{scored.rows:,} rows"
            + (f" in {out_}" if out_ else "; the 10 least plausible shown, --out FILE keeps all")
        )
        for note in scored.told.get("notes", []):
            print_line(note)

    print_result(document, common, text)


def shard_work(scheduler: str | None, common: Common, model: str | None) -> Any:
    """Who does the shards of a job: this process, or the cluster of that scheduler."""
    from plausibly.jobs.shards import work_here

    if scheduler is None:
        return work_here
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
    from plausibly.jobs import files
    from plausibly.runs.run import Run

    if n < 1:
        raise UserError(f"-n {n}; at least one row can be drawn")
    opened = Run.open(run, common.device, model)
    known = parse_pairs(given, "--given COLUMN=VALUE", opened.format.names)
    if complete:
        say(
            common,
            "rows are drawn given that no cell is a hole; that holes tell nothing of what they hide is assumed",
        )
    if out_ is None:
        if scheduler is not None:
            raise UserError(
                "--scheduler needs --out FILE: what is done is kept beside it until all is"
            )
        rows, told = opened.sample_with_ess(n, common.seed, known, complete)
        deliver(
            opened,
            rows,
            out_,
            common,
            {"rows": n} | report_draws(opened, known, complete, told, common),
            guard=guard_formulas,
        )
        return
    heard, work = row_meter(common), shard_work(scheduler, common, model)
    told = files.sample_to(
        opened, Path(out_), n, common.seed, known, complete, work, heard, guard_formulas
    )
    document = {"rows": n} | report_draws(opened, known, complete, told, common) | {"out": out_}
    print_result(document, common, lambda: print_line(f"{n:,} rows in {out_}"))


def report_draws(
    run: Any, given: dict[str, str], complete: bool, told: Any, common: Common
) -> dict[str, Any]:
    """Says how good draws given something are, and is that as JSON; nothing of plain draws."""
    from plausibly.tasks.impute import impute as impute_task

    if not given and not complete:
        return {}
    word = impute_task.word(type(run.model)) or ""
    if word != "exact":
        say(common, f"drawn cells are {FILLING_WORDS[word]}{f': {told.line()}' if told else ''}")
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
    known = parse_pairs(given, "--given COLUMN=VALUE", opened.format.names)
    found = opened.query(target, known, common.seed, particles)
    shared = None if about is None else opened.information(target, about, known) / math.log(2)
    document = found.to_json() | (
        {} if about is None else {"about": about, "information_bits": shared}
    )

    def text() -> None:
        rows = [
            [format_cell(value) for value in row]
            for row in found.frame.head(MAX_ROWS_SHOWN).to_numpy(dtype=object)
        ]
        print_table(list(found.frame.columns), rows)
        more = (
            f"; the first {MAX_ROWS_SHOWN} of {len(found.frame):,} shown"
            if len(found.frame) > MAX_ROWS_SHOWN
            else ""
        )
        kind = "differential entropy" if found.differential else "entropy"
        bits = "" if found.entropy_bits is None else f"; {kind} {found.entropy_bits:.4g} bits"
        print_line(found.note + bits + more)
        if shared is not None:
            print_line(f"mutual information of {target} and {about}: {shared:.4g} bits")

    print_result(document, common, text)


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
    from plausibly.jobs import files
    from plausibly.runs.run import Run
    from plausibly.tasks.impute import impute as impute_task

    opened = Run.open(run, common.device, model)
    if most_probable:
        if draws != 1:
            raise UserError("--most-probable fills in one way only; leave --draws out")
        complete(opened, data, out_, common, guard_formulas)
        return
    impute_task.require(opened.model)
    word = impute_task.word(type(opened.model)) or ""
    if draws < 1 or (draws > 1 and out_ is None):
        raise UserError(f"--draws {draws} needs --out FILE and at least one draw")
    if out_ is None:
        events, told = opened.fill_events(data, common.seed)
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
            path = path_of_draw(Path(out_), draw) if draws > 1 else Path(out_)
            count, told = files.fill_to(
                opened,
                data,
                path,
                common.seed + draw,
                heard=row_meter(common),
                guard=guard_formulas,
            )
        document = (
            {"rows": count, "filled": word} | (told.to_json() if told else {}) | {"out": str(path)}
        )
        print_result(document, common, lambda: print_line(f"{count:,} rows in {path}"))
    many = f": {told.line()}" if told else ""
    say(common, f"filled cells are {FILLING_WORDS[word]}{many}")


FILLING_WORDS = {
    "exact": "exact draws",
    "approximate": "drawn one after the other, each given the others: approximate",
    "estimate": "draws by weight, an estimate",
}


def complete(run: Any, data: str, out_: str | None, common: Common, guard: bool) -> None:
    """The most probable completion of each row."""
    from plausibly.tasks.complete import complete as complete_task

    events, word = run.complete_events(data), complete_task.word(type(run.model))
    deliver(
        run, events, out_, common, {"rows": len(events), "completed": word}, guard=guard, data=data
    )
    say(
        common,
        f"each row's holes hold what is most probable together{', the best found' * (word != 'exact')}",
    )


def path_of_draw(path: Path, draw: int) -> Path:
    return path.with_name(f"{path.stem}-{draw + 1}{path.suffix}")
