"""Commands that tell of each row: classify, encode, reconstruct, interpolate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import (
    Common,
    GuardFormulas,
    OwnModel,
    format_cell,
    print_result,
    print_table,
)
from plausibly.cli.deliver import deliver, write
from plausibly.errors import UserError
from plausibly.printing import print_line
from plausibly.system.files import refuse_same


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
    found = (
        opened.regress(data, target, common.seed)
        if opened.is_number(target)
        else opened.classify(data, target)
    )
    frame = found.frame()
    if out_ is not None:
        write(score_output(Path(out_)), frame, out_, guard_formulas, data)
    document = found.to_json() | {
        "out": out_,
        "predictions": None if out_ else frame.to_dict("records"),
    }

    def text() -> None:
        some = frame.head(10)
        print_table(
            list(some.columns),
            [[format_cell(value) for value in row] for row in some.to_numpy(dtype=object)],
        )
        print_line(
            f"{len(frame):,} rows"
            + (f" in {out_}" if out_ else "; the first 10 shown, --out FILE keeps all")
        )
        print_line(found.line())

    print_result(document, common, text)


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
            print_line(",".join(format_cell(value) for value in row))

    print_result(document, common, text)


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

    from plausibly.evaluation.answers.reconstruction import format_error
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    events = opened.events(data)
    errors = opened.reconstruction(events)
    if out_ is not None:
        write(
            opened.format.output(Path(out_)), opened.reconstruct(events), out_, guard_formulas, data
        )

    def text() -> None:
        for unit, error in errors.items():
            print_line(f"{format_error(unit, error)}, {error}")
        print_line(
            f"{len(events):,} rows in {out_}"
            if out_
            else "--out FILE keeps the rows that come back"
        )

    document = {"rows": len(events), "out": out_}
    print_result(
        document | {"reconstruction": {unit: asdict(error) for unit, error in errors.items()}},
        common,
        text,
    )


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
