"""The fitted models of a board as the page shows them: each with a label and a colour of its own."""

from __future__ import annotations

from dataclasses import dataclass

from plausibly.report.drawing import SERIES_COLOURS, shorten
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.run import Run


@dataclass(frozen=True)
class Subject:
    row: BoardRow
    run: Run
    label: str
    colour: str
    dashes: str


def subject_labels(board: Board) -> dict[int, str]:
    """A label for each row, by its identity: the model's name, or its run's where models repeat."""
    return {id(row): shorten(board.label(row)) for row in board.rows}


def subjects(board: Board) -> list[Subject]:
    """Fitted models, best first."""
    names, fitted = subject_labels(board), [row for row in board.ranking() if row.run]
    return [
        Subject(
            row,
            row.run,
            names[id(row)],
            SERIES_COLOURS[place % len(SERIES_COLOURS)],
            ("-", ":", "-.")[place // len(SERIES_COLOURS) % 3],
        )
        for place, row in enumerate(fitted)
        if row.run
    ]
