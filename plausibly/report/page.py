"""The page: what is known about a board and its data, gathered for the template, written as one file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from plausibly.data.dataset import Dataset
from plausibly.printing import escape_lines
from plausibly.report import figures, tables
from plausibly.report.abilities import ability_section
from plausibly.report.bits import codebook_section, elbo_section, surprisal_section
from plausibly.report.column_report import column_section
from plausibly.report.drawing import shorten
from plausibly.report.overview import board_table, page_facts, page_headline, page_notes
from plausibly.report.samples_section import samples_section
from plausibly.report.sections import NO_MODEL
from plausibly.report.subjects import subjects
from plausibly.report.training import training_section
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
    return page_template().render(
        title=shorten(dataset.name if dataset else board.data or "data", 80),
        version=__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        facts=page_facts(shown, dataset),
        notes=page_notes(shown, dataset),
        headline=page_headline(board),
        board=board_table(board),
        board_plot=figures.board_plot(board, shown),
        bytes_plot=figures.bytes_plot(board, shown),
        training=training_section(shown),
        samples=samples_section(shown, dataset),
        surprisal=surprisal_section(shown, dataset),
        surprising=tables.surprising_section(shown, dataset),
        latents=elbo_section(shown, dataset),
        codebooks=codebook_section(shown, dataset),
        abilities=ability_section(shown) if shown else None,
        columns=column_section(shown, dataset),
        no_model=NO_MODEL,
    )


@cache
def page_template() -> Template:
    loader = PackageLoader("plausibly.report", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_show
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")


def _show(value: object) -> object:
    """Prepares a value for the page: texts so that none turns the direction of what stands beside it."""
    return escape_lines(value) if type(value) is str else value
