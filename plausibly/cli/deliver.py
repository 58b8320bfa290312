"""Rows that a command gives: printed, or in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.cli.console import Block, RawText, WrittenRowsPrintout, print_result
from plausibly.cli.options import CommonOptions
from plausibly.system.files import refuse_same

if TYPE_CHECKING:
    import pandas as pd

    from plausibly.data.files.outputs import Output
    from plausibly.runs.run import Run

MAX_ROWS_SHOWN = 30  # rows of an answer on the terminal


def deliver(
    run: Run,
    rows: Any,
    out_: str | None,
    common: CommonOptions,
    document: dict[str, Any],
    across: int | None = None,
    guard: bool = False,
    data: str | None = None,
) -> None:
    """Writes rows, or events as a file holds them, or prints them; in a grid of images `across` of them to a line.

    `guard` is for spreadsheets: see `data.files.spreadsheets`.
    """
    from plausibly.data.events import Events

    known = isinstance(rows, Events)
    if out_ is None:
        typed = run.format.rows(rows) if known else rows
        spelled = run.format.rows(rows, Path("rows.csv")) if known else rows
        print_result(RowsPrintout(frame_rows(typed), frame_rows(spelled), document, guard), common)
        return
    written = run.format.rows(rows, Path(out_)) if known else rows
    deliver_to_file(run.format.output(Path(out_), across), written, out_, guard, data)
    print_result(WrittenRowsPrintout(len(rows), out_, document | {"out": out_}), common)


def frame_rows(rows: Any) -> pd.DataFrame:
    """The rows as a data frame, those of an array with a column for each entry."""
    import pandas as pd

    return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows.reshape(len(rows), -1))


@dataclass(frozen=True)
class RowsPrintout:
    """The rows of an answer: typed for JSON, spelled as their file spells them for people."""

    typed: pd.DataFrame
    spelled: pd.DataFrame
    document: dict[str, Any]
    guard: bool

    def to_json(self) -> dict[str, Any]:
        records = self.typed.to_json(orient="records", date_format="iso")
        return self.document | {"values": json.loads(records)}

    def blocks(self) -> Iterator[Block]:
        from plausibly.data.files.spreadsheets import escape_formulas

        text = self.spelled.to_csv(index=False)
        yield RawText(escape_formulas(text, ",") if self.guard else text)


def deliver_to_file(
    output: Output, rows: Any, out_: str, guard: bool, data: str | None = None
) -> None:
    """Writes rows to a file, whole or not at all; it is not the `data` that they were made of."""
    refuse_same(out_, data)
    output.write_all(rows, Path(out_), guard)
