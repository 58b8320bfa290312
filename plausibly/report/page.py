"""The page: what is known about a board and its data, gathered for the template, written as one file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from plausibly.data.dataset import Dataset
from plausibly.printing import visible_lines
from plausibly.report import figures, tables
from plausibly.report.abilities import abilities
from plausibly.report.bits import codebooks, elbo_table, surprisal_part
from plausibly.report.column_report import column_report
from plausibly.report.drawing import shorten
from plausibly.report.overview import board_table, facts, headline, notes
from plausibly.report.parts import NO_MODEL
from plausibly.report.sample_part import samples_part
from plausibly.report.subjects import subjects
from plausibly.report.training import training_part
from plausibly.runs.board import Board
from plausibly.system.files import replacing
from plausibly.system.versions import __version__


def write_report(path: Path, board: Board, dataset: Dataset | None) -> None:
    """Writes the page of one run or several; without `dataset` the parts that need it say so.

    UserError where the file cannot be written; nothing is left behind then.
    """
    text = page(board, dataset)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="replace")


def page(board: Board, dataset: Dataset | None) -> str:
    """The page as HTML. Whatever comes from outside is escaped by the template."""
    shown = subjects(board)
    return template().render(
        title=shorten(dataset.name if dataset else board.data or "data", 80),
        version=__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        facts=facts(shown, dataset),
        notes=notes(shown, dataset),
        headline=headline(board),
        board=board_table(board),
        board_plot=figures.board_plot(board, shown),
        bytes_plot=figures.bytes_plot(board, shown),
        training=training_part(shown),
        samples=samples_part(shown, dataset),
        surprisal=surprisal_part(shown, dataset),
        surprising=tables.surprising_rows(shown, dataset),
        latents=elbo_table(shown, dataset),
        codebooks=codebooks(shown, dataset),
        abilities=abilities(shown) if shown else None,
        columns=column_report(shown, dataset),
        no_model=NO_MODEL,
    )


@cache
def template() -> Template:
    loader = PackageLoader("plausibly.report", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_show
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")


def _show(value: object) -> object:
    """Prepares a value for the page: texts so that none turns the direction of what stands beside it."""
    return visible_lines(value) if type(value) is str else value
