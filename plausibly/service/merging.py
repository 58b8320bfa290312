"""Requests that are scored together, and still get the bytes that each would get alone.

Only exact log p is merged, since bounds depend on the noise that events of one batch share. A pass over at least EIGHT rows
gives each row the same bits whatever stands beside it, so that fewer are padded. Ranks are taken after splitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from plausibly.data.events import Events, join_events
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.anomalies import Calibration
from plausibly.evaluation.likelihood.scores import ScoreColumns, ScoreRanking, score_columns
from plausibly.runs.run import Run
from plausibly.service.answers import Question, Reply, column_records, held_rows, plain
from plausibly.tasks.score import score

EIGHT = 8  # rows of a pass, from which on its bits are those of any larger one
MOST_TOGETHER = 4096  # rows


def is_mergeable(run: Run, task: str, asked: Question) -> bool:
    """True where a request may share a pass with others."""
    exact = score.word(type(run.model)) == "exact"
    alone = asked.get("each") or asked.get("fdr") is not None or run.count_as_odd is not None
    return task == "score" and exact and not alone


def read_together(run: Run, asked: Sequence[list[Any]]) -> list[Events | UserError]:
    """The events of each request's rows, or what is wrong with them.

    Requests whose rows all have the same columns are read as one table, unless something is wrong with any.
    """
    alike = len({name_columns(rows) for rows in asked} - {None}) == 1
    if len(asked) > 1 and alike and all(name_columns(rows) for rows in asked):
        try:
            whole = run.format.events(held_rows(run, [row for rows in asked for row in rows]))
        except ValueError:
            pass
        else:
            starts = np.cumsum([0, *map(len, asked)]).tolist()
            return [whole[start:end] for start, end in pairwise(starts)]
    return [read_alone(run, rows) for rows in asked]


def name_columns(rows: list[Any]) -> frozenset[str] | None:
    """The columns that each of the rows has; None where they differ, or rows are arrays."""
    names = {frozenset(row) if isinstance(row, dict) else None for row in rows}
    return names.pop() if len(names) == 1 else None


def read_alone(run: Run, rows: list[Any]) -> Events | UserError:
    try:
        return run.format.events(held_rows(run, rows))
    except UserError as error:
        return error
    except ValueError as error:
        return UserError(f"no table can be made of these rows: {error}")


def score_together(run: Run, parts: Sequence[Events]) -> list[Reply]:
    """The answer to each request, from one pass over the rows of all."""
    whole = join_events(pad(parts))
    found = score_columns(run.model, run.format, whole, run.usual, False, False)
    starts, calibration = np.cumsum([0, *map(len, parts)]).tolist(), run.calibration()
    own = [cut(found, slice(*ends)) for ends in pairwise(starts)]
    return [add_ranks(run, calibration, *each) for each in zip(own, map(len, parts), strict=True)]


def pad(parts: Sequence[Events]) -> list[Events]:
    """The parts, and as many rows more as make eight."""
    missing = EIGHT - sum(map(len, parts))
    return [*parts, *[parts[0][:1]] * missing]


def cut(columns: ScoreColumns, rows: slice) -> ScoreColumns:
    """The rows of columns of which some are one value for all."""
    return {name: own if isinstance(own, str) else own[rows] for name, own in columns.items()}  # type: ignore[index]


def add_ranks(run: Run, calibration: Calibration | None, columns: ScoreColumns, rows: int) -> Reply:
    """Rows with their ranks among the run's calibration rows, and what is told of them."""
    ranking = ScoreRanking(calibration, None, False, None, None)
    found = ranking.rank_columns(columns)
    return {"rows": column_records(found, rows)} | plain(ranking.describe()) | run.attribution
