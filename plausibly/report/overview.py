"""The beginning of the page: facts, notes, the board in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plausibly.data.dataset import Dataset
from plausibly.evaluation.intervals import with_error
from plausibly.evaluation.likelihood.likelihood import Likelihood
from plausibly.report.drawing import shorten
from plausibly.report.sections import format_of
from plausibly.report.subjects import Subject, subject_labels
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.record import ingredients

LEADS = {"=": "", "<=": "at least ", ">=": "at most ", "~": "about "}  # of its gap to the best
MAX_NOTES = 40


def page_facts(shown: list[Subject], dataset: Dataset | None) -> list[tuple[str, str]]:
    """Rows and variables, as far as they are known."""
    kept = shown[0].run.record if shown else None
    rows = dataset.rows if dataset else kept.rows if kept else {}
    found = [(f"{name} rows", f"{count:,}") for name, count in rows.items() if count]
    format = format_of(shown, dataset)
    if format is not None:
        shape = format.schema.shape
        sides = f" ({' × '.join(map(str, shape))})" if len(shape) == 3 else ""
        found.append(("variables", f"{format.schema.size:,}{sides}"))
    origin = dataset or (kept.data if kept else None)
    source = origin.source if origin else ""
    fingerprint = origin.fingerprint if origin else ""
    found += [("source", shorten(source, 60))] if source else []
    return found + ([("SHA-256", f"{str(fingerprint)[:12]}…")] if fingerprint else [])


def page_notes(shown: list[Subject], dataset: Dataset | None) -> list[str]:
    """The notes from loading the data."""
    found = dataset.notes if dataset else shown[0].run.record.notes if shown else []
    cut = [shorten(note, 300) for note in found[:MAX_NOTES]]
    return cut + ([f"and {len(found) - MAX_NOTES} more notes"] if len(found) > MAX_NOTES else [])


def page_headline(board: Board) -> list[str]:
    """The board in words: who is best, by how much, and what that is worth."""
    best, names = board.best, subject_labels(board)
    if best is None or best.test is None:
        fitted = any(row.run for row in board.rows)
        return ["No model on this board has a likelihood."] if fitted else []
    first = f"{names[id(best)]} gives a test row a mean log p of {format_test(best.test)}"
    mixed = [
        f"{names[id(row)]} mixes {told}."
        for row in board.rows
        if row.run and (told := ingredients(row.run.record))
    ]
    beside = [
        f"Where {names[id(row)]} refuses or only estimates, {told}."
        for row in board.rows
        if row.run and (told := row.run.describe_companion())
    ]
    gaps = [(row, gap) for row in board.ranking() if row.run and (gap := board.to_best(row))]
    others = [(names[id(row)], gap) for row, gap in gaps]
    if not others:
        return [f"{first}.", *mixed, *beside]
    return [f"{first}, the best of {len(others) + 1}.", *describe_gaps(others), *mixed, *beside]


def format_test(test: Likelihood) -> str:
    least, most = ("at least ", "at most ") if test.sign == ">=" else ("", "")
    return f"{least}{test.value:.3f} nats ({most}{test.bits_per_variable:.3f} bits per variable)"


def describe_gaps(others: list[tuple[str, Likelihood]]) -> Iterator[str]:
    """The lead of the best model over others, of which there are some."""
    close = [name for name, gap in others if gap.value > -2 * gap.standard_error]
    hidden = [name for name, gap in others if gap.sign != "="]
    if close:
        yield f"Within two standard errors of it, and so not told apart by these rows: {', '.join(close)}."
    else:
        name, gap = others[0]
        by = LEADS[gap.sign] + with_error(-gap.value, gap.standard_error, ".3f")
        yield f"It leads {name} by {by} nats per row."
    if hidden:
        yield f"Not compared as equals, since a bound is involved: {', '.join(hidden)}."


@dataclass(frozen=True)
class BoardLine:
    """A row of the board's table; one that refused has its reason instead of numbers."""

    cells: list[str]
    refusal: str = ""
    best: bool = False
    truth: bool = False


@dataclass(frozen=True)
class BoardTable:
    headings: list[str]
    lines: list[BoardLine]
    caption: str

    @property
    def truth(self) -> bool:
        return any(line.truth for line in self.lines)


def board_table(board: Board) -> BoardTable:
    headings, cells = board.cells()
    lines = [_line(board, row, texts) for row, texts in zip(board.ranking(), cells, strict=True)]
    return BoardTable(headings, lines, board.caption())


def _line(board: Board, row: BoardRow, texts: list[str]) -> BoardLine:
    first = [subject_labels(board)[id(row)], *texts[1:]]
    if row.refusal:
        return BoardLine(first[:2], refusal=shorten(row.refusal, 400))
    return BoardLine(first, best=row is board.best, truth=row.run is None)
