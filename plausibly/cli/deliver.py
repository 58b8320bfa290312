"""Rows that a command gives: printed, or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.cli.console import Common, print_result
from plausibly.printing import print_data, print_line
from plausibly.system.files import refuse_same

if TYPE_CHECKING:
    from plausibly.data.files.outputs import Output

MAX_ROWS_SHOWN = 30  # rows of an answer on the terminal


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
    from plausibly.data.files.spreadsheets import escape_formulas as guarded_cells

    known = isinstance(rows, Events)
    if out_ is not None:
        written = run.format.file_rows(rows, Path(out_)) if known else rows
        write(run.format.output(Path(out_), across), written, out_, guard, data)
        print_result(
            document | {"out": out_}, common, lambda: print_line(f"{len(rows):,} rows in {out_}")
        )
        return
    typed, shown = (
        (run.format.rows(rows), run.format.file_rows(rows, Path("rows.csv")))
        if known
        else (rows, rows)
    )
    frame, lines = (
        each if isinstance(each, pd.DataFrame) else pd.DataFrame(each.reshape(len(each), -1))
        for each in (typed, shown)
    )
    records = json.loads(frame.to_json(orient="records", date_format="iso"))

    def text() -> None:
        rows = lines.to_csv(index=False)
        print_data(guarded_cells(rows, ",") if guard else rows)

    print_result(document | {"values": records}, common, text)


def write(output: Output, rows: Any, out_: str, guard: bool, data: str | None = None) -> None:
    """Writes rows to a file, whole or not at all; it is not the `data` that they were made of."""
    refuse_same(out_, data)
    output.write([output.piece(rows)], Path(out_), guard)
