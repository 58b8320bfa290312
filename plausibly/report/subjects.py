"""The fitted models of a board as the page shows them: each with a label and a colour of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from plausibly.evaluation.board import Board, Row
from plausibly.report.drawing import SERIES, shortened
from plausibly.runs import Run


@dataclass(frozen=True)
class Subject:
    row: Row
    run: Run
    label: str
    colour: str
    dashes: str


def labels(board: Board) -> dict[int, str]:
    """A label for each row, by its identity: the model's name, or its run's where models repeat."""
    repeated = Counter(row.model for row in board.rows)
    names = [row.run.path.name if row.run and repeated[row.model] > 1 else row.model for row in board.rows]
    return {id(row): shortened(name) for row, name in zip(board.rows, names, strict=True)}


def subjects(board: Board) -> list[Subject]:
    """Fitted models, best first."""
    names, fitted = labels(board), [row for row in board.ranked() if row.run]
    return [
        Subject(row, row.run, names[id(row)], SERIES[place % len(SERIES)], ("-", ":", "-.")[place // len(SERIES) % 3])
        for place, row in enumerate(fitted)
        if row.run
    ]
