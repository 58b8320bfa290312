"""Commands that ask how plausible something is: score, query."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import Block, frame_table, print_remark, print_result
from plausibly.cli.deliver import MAX_ROWS_SHOWN
from plausibly.cli.options import (
    CommonOptions,
    GuardFormulas,
    OwnModel,
    Scheduler,
    parse_pairs,
    shard_work,
)
from plausibly.cli.progress import row_meter
from plausibly.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from plausibly.evaluation.answers.answers import Answer
    from plausibly.jobs.files import ScoreSummary

MAX_COLUMNS_SHOWN = 12  # columns of scores on the terminal


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
    common: CommonOptions | None = None,
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
    common = common or CommonOptions()
    from plausibly.jobs import files
    from plausibly.runs.run import Run

    if conditionals and (calibrate is not None or fdr is not None or each):
        raise UserError(
            "--conditionals tells of cells alone; leave out --calibrate, --fdr and --each, or it"
        )
    opened = Run.open(run, common.device, model)
    out = None if out_ is None else Path(out_)
    work, meter = shard_work(scheduler, common, model), row_meter(common)
    write: Any = partial(files.score_to, calibrate=calibrate, fdr=fdr, each=each)
    if conditionals:
        write = files.conditionals_to
    scored, frames = write(opened, data, out, work=work, on_progress=meter, guard=guard_formulas)
    for warning in scored.told.get("warnings", []):
        print_remark(common, f"warning: {warning}")
    print_result(ScorePrintout(scored, list(frames), out_), common)


@dataclass(frozen=True)
class ScorePrintout:
    """The scores of all rows, or where they are, and the least plausible of them."""

    scored: ScoreSummary
    frames: list[pd.DataFrame]
    out: str | None

    def to_json(self) -> dict[str, Any]:
        records = [record for frame in self.frames for record in frame.to_dict("records")]
        return {
            "rows": self.scored.rows,
            "out": self.out,
            "scores": None if self.out else records,
            **self.scored.told,
            **self.scored.marked,
        }

    def blocks(self) -> Iterator[Block]:
        yield frame_table(self.scored.few[0].iloc[:, :MAX_COLUMNS_SHOWN])
        kept = (
            f" in {self.out}"
            if self.out
            else "; the 10 least plausible shown, --out FILE keeps all"
        )
        yield f"{self.scored.rows:,} rows{kept}"
        yield from self.scored.told.get("notes", [])
        if model := self.scored.told.get("model"):
            yield f"by {model}"


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
    common: CommonOptions | None = None,
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
    common = common or CommonOptions()
    from plausibly.runs.run import Run
    from plausibly.tasks.information import information

    if particles < 1:
        raise UserError(f"--particles {particles}; at least 1 is needed")
    opened = Run.open(run, common.device, model)
    known = parse_pairs(given, "--given COLUMN=VALUE", opened.format.names)
    found = opened.query(target, known, common.seed, particles)
    shared = None if about is None else opened.information(target, about, known) / math.log(2)
    by = "" if about is None else opened.answerer(information).by
    print_result(QueryPrintout(found, target, about, shared, by), common)


@dataclass(frozen=True)
class QueryPrintout:
    """The distribution of a column; of a further one the bits that both tell about each other, and whose answer these are."""

    found: Answer
    target: str
    about: str | None
    shared_bits: float | None
    shared_by: str

    def to_json(self) -> dict[str, Any]:
        if self.about is None:
            return self.found.to_json()
        shared = {"about": self.about, "information_bits": self.shared_bits}
        by = {"information_model": self.shared_by} if self.shared_by else {}
        return self.found.to_json() | shared | by

    def blocks(self) -> Iterator[Block]:
        frame = self.found.frame
        shares = frame.iloc[:, 0].astype(str).str.startswith("p(") & (not self.found.levels)
        table, rest = frame_table(frame[~shares].head(MAX_ROWS_SHOWN)), frame_table(frame[shares])
        yield replace(table, rows=table.rows + rest.rows)  # probabilities are not in its unit
        line = self.found.note
        if self.found.entropy_bits is not None:
            kind = "differential entropy" if self.found.differential else "entropy"
            line += f"; {kind} {self.found.entropy_bits:.4g} bits"
        if len(frame) > MAX_ROWS_SHOWN:
            line += f"; the first {MAX_ROWS_SHOWN} of {len(frame):,} shown"
        yield line
        if self.shared_bits is not None:
            by = f", by {self.shared_by}" if self.shared_by else ""
            yield f"mutual information of {self.target} and {self.about}: {self.shared_bits:.4g} bits{by}"
