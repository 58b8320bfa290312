"""What commands print: one JSON document or tables on stdout; lines and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from plausibly.printing import print_data, print_error, print_progress, visible
from plausibly.system import processes

if TYPE_CHECKING:
    from plausibly.fitting.settings import Listener


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every command takes."""

    json: Annotated[bool, Parameter(negative="")] = False
    "Print one JSON document, and nothing else, on stdout."
    seed: int = 0
    "Decides every draw: splits, first weights, batches, samples."
    device: str = "cpu"
    "Where to compute: cpu or cuda."
    threads: int | None = None
    "CPU threads; 1 unless there are more than two cores, and a repeated run is bit-identical with 1."
    quiet: Annotated[bool, Parameter(negative="")] = False
    "No progress and no remarks on stderr."


OwnModel = Annotated[
    str | None,
    Parameter(
        name="--model",
        help="FILE.py:CLASS, where RUN was fitted with a model of your own; the same file as then.",
    ),
]

Scheduler = Annotated[
    str | None,
    Parameter(
        name="--scheduler",
        help="tcp://HOST:PORT of a dask scheduler, whose workers do the work; after a stop the same command goes on.",
    ),
]

GuardFormulas = Annotated[
    bool,
    Parameter(
        name="--guard-formulas",
        negative="",
        help="For spreadsheets: in CSV and TSV, texts that begin with = + - @ or a tab get a leading apostrophe. "
        "Such a file read again is not the same rows.",
    ),
]


def say(common: Common, line: str) -> None:
    if not common.quiet and processes.rank() == 0:
        print_error(line)


def print_result(document: Any, common: Common, text: Callable[[], None]) -> None:
    """The result: as JSON, or as `text` prints it."""
    if processes.rank() != 0:
        return
    if common.json:
        print_data(json.dumps(nan_to_null(document), indent=1).replace("\x7f", "\\u007f") + "\n")
    else:
        text()


def nan_to_null(document: Any) -> Any:
    """The document with null for what JSON has no word for."""
    if isinstance(document, dict):
        return {key: nan_to_null(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [nan_to_null(value) for value in document]
    if isinstance(document, float) and (
        document != document or document in (float("inf"), float("-inf"))
    ):
        return None
    return document


def has_refusal(row: list[str]) -> bool:
    return any(cell.startswith("refused") for cell in row)


def print_table(
    headings: list[str], rows: list[list[str]], title: str = "", caption: str = ""
) -> None:
    """A table on stdout, as wide as the terminal allows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        title=Text(visible(title)) if title else None,
        caption=Text(visible(caption)) if caption else None,
        box=None,
        header_style="bold",
        caption_justify="left",
    )
    for number, heading in enumerate(headings):
        numbers = all(
            row[number][:1] in "0123456789+-=<>~" or row[number].startswith(("best", "no "))
            for row in rows
            if not has_refusal(row)
        )
        whole = (
            0 if number else min(24, max((len(row[0]) for row in rows), default=0))
        )  # names are not folded
        justify: Literal["left", "right"] = "right" if numbers and number else "left"
        shown.add_column(Text(visible(heading)), justify=justify, overflow="fold", min_width=whole)
    for row in rows:
        shown.add_row(*(Text(visible(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False, markup=False)
    console.print(shown)


def make_listener(common: Common) -> Listener:
    """Lines and progress on stderr: a moving bar with the time left on a terminal, else a line now and then."""
    from plausibly.fitting.settings import Listener

    if common.quiet:
        return Listener()
    return Listener(lambda line: say(common, line), Meter(), row_meter(common, "rows read"))


class Meter:
    """Prints training progress: the current line is rewritten on a terminal, otherwise a new one every 10 s."""

    def __init__(self) -> None:
        self.printed, self.began = 0.0, (0, 0.0)

    def __call__(self, name: str, progress: Any) -> None:
        import time

        live, last = sys.stderr.isatty(), progress.step >= progress.steps
        if not live and not last and time.monotonic() - self.printed < 10:
            return
        self.printed = time.monotonic()
        left = progress.seconds / max(progress.step, 1) * (progress.steps - progress.step)
        line = f"  {name} {progress.step:,}/{progress.steps:,}  {progress_line(progress)}"
        line += f"  {progress.seconds:.0f} s, at most {left:.0f} s left"
        print_progress(line, last, 110)


def progress_line(progress: Any) -> str:
    """How far training has come: nats, higher is better, or else the validation's own unit, where lower is better."""
    if progress.unit == "nats per row":
        return f"train {-progress.loss:.3f}  validation {-progress.validation:.3f} nats per row"
    health = [f"{name} {value:.2f}" for name, value in progress.health.items()]
    return "  ".join([f"{progress.unit} {progress.validation:.4f}", *health])


def row_meter(common: Common, unit: str = "rows") -> Callable[[int, int], None]:
    """How many rows are done, on stderr, where that takes long; or how much of what the unit says."""
    return (lambda done, rows: None) if common.quiet else RowMeter(unit)


class RowMeter:
    """Prints rows done and the time left: every second on a terminal, on one line, otherwise every 10 s."""

    def __init__(self, unit: str) -> None:
        import time

        self.unit = unit
        self.clock, self.began = time.monotonic, time.monotonic()
        self.printed = self.began

    def __call__(self, done: int, rows: int) -> None:
        now, live = self.clock(), sys.stderr.isatty()
        if not done:  # what comes before the first is no measure of the rest
            self.began = self.printed = now
            return
        closing = live and done >= rows and self.printed > self.began
        if now - self.printed < (1 if live else 10) and not closing:
            return
        self.printed = now
        line = f"  {done:,} of {rows:,} {self.unit}  {(now - self.began) / done * (rows - done):.0f} s left"
        print_progress(line, closing, 60)


def values_of(column: dict[str, Any]) -> str:
    """What a column's values are, in a few words."""
    if column.get("levels"):
        levels = [str(level) for level in column["levels"]]
        more = f", ... ({len(levels):,} levels)" if len(levels) > 5 else ""
        return ", ".join(level[:20] for level in levels[:5]) + more
    if column.get("range"):
        step = f" by {column['resolution']}" if column.get("resolution") else ""
        return f"{column['range'][0]} to {column['range'][1]}{step}"
    if column.get("drawn"):
        return f"{column['drawn']} in drawn rows"
    return str(column.get("value") or "")


def format_value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def print_board(board: Any) -> None:
    headings, rows = board.cells()
    print_table(headings, rows, caption=board.caption())


def format_cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
