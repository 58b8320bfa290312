"""Commands that turn each row into something else: classify, encode, reconstruct, interpolate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import Block, frame_table, print_result
from plausibly.cli.deliver import deliver, deliver_to_file
from plausibly.cli.options import CommonOptions, GuardFormulas, OwnModel
from plausibly.cli.progress import row_meter
from plausibly.errors import UserError
from plausibly.system.files import refuse_same

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from plausibly.evaluation.answers.classification import Classification
    from plausibly.evaluation.answers.reconstruction import ReconstructionError
    from plausibly.evaluation.answers.regression import Regression

PREDICTIONS_SHOWN = 10  # rows


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
    common: CommonOptions | None = None,
) -> None:
    """Tell p(label | the rest) for each row of DATA, of a number its median and interval; and how good that is where known.

    Parameters
    ----------
    target
        the column with the labels or numbers (default: the target of the fit, or its context or event, where that is one
        column).
    out_
        a .csv or .parquet file with a column p(LABEL) for each label, or with mean, median and interval; without it the
        first rows are printed.
    """
    common = common or CommonOptions()
    from plausibly.data.files.outputs import score_output
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    meter = row_meter(common)
    found = (
        opened.regress(data, target, common.seed, on_progress=meter)
        if opened.is_number(target)
        else opened.classify(data, target, meter)
    )
    frame = found.frame()
    if out_ is not None:
        deliver_to_file(score_output(Path(out_)), frame, out_, guard_formulas, data)
    print_result(PredictionsPrintout(found, frame, out_), common)


@dataclass(frozen=True)
class PredictionsPrintout:
    """The prediction of each row, or where they are, and how good they are where that is known."""

    found: Classification | Regression
    frame: pd.DataFrame
    out: str | None

    def to_json(self) -> dict[str, Any]:
        predictions = None if self.out else self.frame.to_dict("records")
        return self.found.to_json() | {"out": self.out, "predictions": predictions}

    def blocks(self) -> Iterator[Block]:
        yield frame_table(self.frame.head(PREDICTIONS_SHOWN))
        shown = f"; the first {PREDICTIONS_SHOWN} shown, --out FILE keeps all"
        yield f"{len(self.frame):,} rows" + (f" in {self.out}" if self.out else shown)
        yield self.found.line()


@app.command
def encode(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    model: OwnModel = None,
    common: CommonOptions | None = None,
) -> None:
    """Turn each row of DATA into the latents that stand for it, so many numbers.

    Parameters
    ----------
    out_
        a .csv, .tsv, .npy or .npz file, a line for each row; without it the latents are printed.
    """
    common = common or CommonOptions()
    from plausibly.data.files.arrays import write_rows
    from plausibly.runs.run import Run

    latents = Run.open(run, common.device, model).encode(data)
    if out_ is not None:
        refuse_same(out_, data)
        write_rows(latents, Path(out_))
    print_result(LatentsPrintout(latents, out_), common)


@dataclass(frozen=True)
class LatentsPrintout:
    """The latents of each row, or where they are."""

    latents: np.ndarray
    out: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": len(self.latents),
            "latents": self.latents.shape[1],
            "out": self.out,
            "values": None if self.out else self.latents.tolist(),
        }

    def blocks(self) -> Iterator[Block]:
        rows, columns = self.latents.shape
        if self.out is not None:
            yield f"{columns:,} latents of {rows:,} rows in {self.out}"
            return
        yield ",".join(map(str, range(columns)))
        for row in self.latents.tolist():
            yield ",".join(f"{value:.4g}" for value in row)


@app.command
def reconstruct(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: CommonOptions | None = None,
) -> None:
    """Encode each row of DATA and decode it again, and tell how far the rows are from what comes back.

    Parameters
    ----------
    out_
        file for the rows that come back: .csv, .parquet, .npz or .png (a grid of images).
    """
    common = common or CommonOptions()
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    events = opened.events(data)
    errors = opened.reconstruction(events)
    if out_ is not None:
        output = opened.format.output(Path(out_))
        deliver_to_file(output, opened.reconstruct(events), out_, guard_formulas, data)
    print_result(ReconstructionPrintout(len(events), errors, out_), common)


@dataclass(frozen=True)
class ReconstructionPrintout:
    """The distance of rows from what comes back, by unit, and where that is."""

    rows: int
    errors: dict[str, ReconstructionError]
    out: str | None

    def to_json(self) -> dict[str, Any]:
        errors = {unit: error.to_json() for unit, error in self.errors.items()}
        return {"rows": self.rows, "out": self.out, "reconstruction": errors}

    def blocks(self) -> Iterator[Block]:
        from plausibly.evaluation.answers.reconstruction import format_error

        for unit, error in self.errors.items():
            yield f"{format_error(unit, error)}, {error}"
        if self.out:
            yield f"{self.rows:,} rows in {self.out}"
        else:
            yield "--out FILE keeps the rows that come back"


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
    common: CommonOptions | None = None,
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
    common = common or CommonOptions()
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    events = opened.events(data)
    if len(rows) % 2:
        raise UserError(f"--rows {' '.join(map(str, rows))}: rows go in pairs, such as --rows 0 5")
    if outside := [row for row in rows if not 0 <= row < len(events)]:
        raise UserError(f"--rows {outside[0]}: {data} has the rows 0 to {len(events) - 1:,}")
    found = opened.interpolate(events[rows[::2]], events[rows[1::2]], steps)
    document = {"rows": len(found), "pairs": len(rows) // 2, "steps": steps}
    deliver(opened, found, out_, common, document, steps, guard_formulas)
