"""Commands that draw: sample, impute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import WrittenRowsPrintout, print_remark, print_result
from plausibly.cli.deliver import deliver
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
    from plausibly.runs.run import Run

COMPLETE_NOTE = (
    "rows are drawn given that no cell is a hole; "
    "that holes tell nothing of what they hide is assumed"
)
FILLING_WORDS = {
    "exact": "exact draws",
    "approximate": "drawn one after the other, each given the others: approximate",
    "estimate": "draws by weight, an estimate",
}


@app.command
def sample(
    run: str,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"])] = 10,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    given: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    complete: Annotated[bool, Parameter(negative="")] = False,
    beyond: Annotated[bool, Parameter(negative="")] = False,
    guard_formulas: GuardFormulas = False,
    scheduler: Scheduler = None,
    model: OwnModel = None,
    common: CommonOptions | None = None,
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
    beyond
        draw numbers too that lie below the least that training rows have, or above the largest.
    """
    common = common or CommonOptions()
    from plausibly.runs.run import Run
    from plausibly.tasks.impute import impute as impute_task

    if n < 1:
        raise UserError(f"-n {n}; at least one row can be drawn")
    opened = Run.open(run, common.device, model)
    known = parse_pairs(given, "--given COLUMN=VALUE", opened.format.names)
    if complete:
        print_remark(common, COMPLETE_NOTE)
    drawing = opened.answerer(impute_task) if known or complete else opened
    asked = DrawRequest(drawing, n, known, complete, beyond)
    if out_ is not None:
        draw_to_file(asked, out_, shard_work(scheduler, common, model), common, guard_formulas)
        return
    if scheduler is not None:
        raise UserError("--scheduler needs --out FILE: what is done is kept beside it until all is")
    rows, ess = drawing.sample_with_ess(n, common.seed, known, complete, beyond)
    deliver(drawing, rows, None, common, asked.report(ess, common), guard=guard_formulas)


@dataclass(frozen=True)
class DrawRequest:
    """The rows that are asked for: so many, given some columns, without holes where they are to be complete, and with
    numbers beyond those seen."""

    run: Run
    n: int
    given: dict[str, str]
    complete: bool
    beyond: bool

    def report(self, ess: Any, common: CommonOptions) -> dict[str, Any]:
        """Says how good draws given something are, and is that as JSON; nothing but the number of plain draws."""
        from plausibly.tasks.impute import impute as impute_task

        if not self.given and not self.complete:
            return {"rows": self.n} | self.run.attribution
        word = impute_task.word(type(self.run.model)) or ""
        if word != "exact" or self.run.by:
            print_remark(common, f"drawn cells are {describe_filling(word, ess, self.run.by)}")
        drawn = {"rows": self.n, "drawn": word} | (ess.to_json() if ess else {})
        return drawn | self.run.attribution


def draw_to_file(
    asked: DrawRequest, out_: str, work: Any, common: CommonOptions, guard: bool
) -> None:
    """Draws rows into a file, shard by shard."""
    from plausibly.jobs import files

    out, meter = Path(out_), row_meter(common)
    wanted = asked.n, common.seed, asked.given, asked.complete, asked.beyond
    ess = files.sample_to(asked.run, out, *wanted, work=work, on_progress=meter, guard=guard)
    document = asked.report(ess, common) | {"out": out_}
    print_result(WrittenRowsPrintout(asked.n, out_, document), common)


def describe_filling(word: str, ess: Any, by: str) -> str:
    """Says how good drawn cells are, how many weighted draws tell something, and whose they are."""
    quality = f"{FILLING_WORDS[word]}: {ess.line()}" if ess else FILLING_WORDS[word]
    return quality + (f", by {by}" if by else "")


@app.command
def impute(
    run: str,
    data: str,
    /,
    *,
    out_: Annotated[str | None, Parameter(name="--out")] = None,
    draws: int = 1,
    most_probable: Annotated[bool, Parameter(negative="")] = False,
    beyond: Annotated[bool, Parameter(negative="")] = False,
    mask: str | None = None,
    known: str | None = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: CommonOptions | None = None,
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
    beyond
        draw numbers too that lie below the least that training rows have, or above the largest.
    mask
        of DATA that is one picture: an image, white where the picture is unknown.
    known
        of DATA that is one picture: known rows and columns, 0:14,0:28; without both what is transparent is unknown.
    """
    common = common or CommonOptions()
    from plausibly.data.files.images import SUFFIXES
    from plausibly.runs.run import Run
    from plausibly.tasks.impute import impute as impute_task

    opened = Run.open(run, common.device, model)
    if Path(data).suffix.lower() in SUFFIXES:
        question = PictureQuestion(Path(data), Path(mask) if mask else None, known, draws)
        fill_picture(opened, question, out_, common)
        return
    if mask is not None or known is not None:
        raise UserError("--mask and --known are of a DATA that is one picture, such as photo.png")
    if most_probable and draws != 1:
        raise UserError("--most-probable fills in one way only; leave --draws out")
    if most_probable:
        complete_rows(opened, data, out_, common, guard_formulas)
        return
    opened = opened.answerer(impute_task)
    impute_task.require(opened.model)
    word = impute_task.word(type(opened.model)) or ""
    if draws < 1 or (draws > 1 and out_ is None):
        raise UserError(f"--draws {draws} needs --out FILE and at least one draw")
    if out_ is None:
        drawing = opened.drawing_beyond() if beyond else opened
        ess = fill_and_print(drawing, data, word, common, guard_formulas)
    else:
        request = FillRequest(opened, data, draws, word, beyond)
        ess = fill_files(request, Path(out_), common, guard_formulas)
    print_remark(common, f"filled cells are {describe_filling(word, ess, opened.by)}")


@dataclass(frozen=True)
class PictureQuestion:
    """A picture, what is unknown of it, and the number of completions."""

    path: Path
    mask: Path | None
    known: str | None
    draws: int


def fill_picture(run: Run, asked: PictureQuestion, out_: str | None, common: CommonOptions) -> None:
    """Completes a picture, each completion beside the one before."""
    import numpy as np

    from plausibly.data.pictures import read_question
    from plausibly.tasks.impute import impute as impute_task

    if out_ is None or asked.draws < 1:
        raise UserError("a picture is completed into --out FILE.png, with at least one draw")
    own = run.answerer(impute_task)
    impute_task.require(own.model)
    row = read_question(own.format, asked.path, asked.mask, asked.known)
    events, ess = own.fill_events(np.repeat(row, asked.draws, 0), common.seed)
    word = impute_task.word(type(own.model)) or ""
    document = {"rows": asked.draws, "filled": word} | (ess.to_json() if ess else {})
    deliver(own, events, out_, common, document | own.attribution, across=asked.draws)
    print_remark(common, f"filled pixels are {describe_filling(word, ess, own.by)}")


def fill_and_print(run: Run, data: str, word: str, common: CommonOptions, guard: bool) -> Any:
    """Fills rows and prints them; gives the effective number of weighted draws."""
    events, ess = run.fill_events(data, common.seed)
    document = {"rows": len(events), "filled": word} | (ess.to_json() if ess else {})
    deliver(run, events, None, common, document | run.attribution, guard=guard)
    return ess


@dataclass(frozen=True)
class FillRequest:
    """The rows that are to be filled so many times, and the word for how good that is."""

    run: Run
    data: str
    draws: int
    word: str
    beyond: bool


def fill_files(asked: FillRequest, out: Path, common: CommonOptions, guard: bool) -> Any:
    """Fills rows into files, a file for each draw; gives the effective number of weighted draws."""
    from plausibly.jobs import files

    for draw in range(asked.draws):
        path = path_of_draw(out, draw) if asked.draws > 1 else out
        wanted = asked.data, path, common.seed + draw, asked.beyond
        meter = row_meter(common)
        rows, ess = files.fill_to(asked.run, *wanted, on_progress=meter, guard=guard)
    document = {"rows": rows, "filled": asked.word} | (ess.to_json() if ess else {})
    document |= asked.run.attribution
    print_result(WrittenRowsPrintout(rows, str(path), document | {"out": str(path)}), common)
    return ess


def path_of_draw(path: Path, draw: int) -> Path:
    return path.with_name(f"{path.stem}-{draw + 1}{path.suffix}")


def complete_rows(
    run: Run, data: str, out_: str | None, common: CommonOptions, guard: bool
) -> None:
    """Fills the holes of each row with what is most probable together."""
    from plausibly.tasks.complete import complete as complete_task

    run = run.answerer(complete_task)
    events = run.complete_events(data)
    word = complete_task.word(type(run.model))
    document = {"rows": len(events), "completed": word} | run.attribution
    deliver(run, events, out_, common, document, guard=guard, data=data)
    quality = ("" if word == "exact" else ", the best found") + (f", by {run.by}" if run.by else "")
    print_remark(common, f"each row's holes hold what is most probable together{quality}")
