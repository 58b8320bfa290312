"""Samples that a fitted model draws, held against the rows that it was fitted to and against others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress
from plausibly.data.formats.format import Format
from plausibly.errors import UserError
from plausibly.evaluation.samples.features import Extractor, find_extractor
from plausibly.evaluation.samples.readers import ONNX, OnnxFile
from plausibly.evaluation.samples.samples import (
    DRAW_REPEATS,
    MAX_DRAWS,
    ReferenceRows,
    Samples,
    measure_samples,
    measure_table,
    pick_rows,
    rows_to_learn,
)
from plausibly.evaluation.samples.usefulness import target_of

Draw = Callable[[int, int], Events]  # so many events, from a seed


def reference_rows(real: Events, rows: int, seed: int, dataset: Dataset | None) -> ReferenceRows:
    """So many of the real rows, and beside them what the data of the fit give, where these are at hand."""
    picked = pick_rows(real, rows, seed)
    if dataset is None:
        return ReferenceRows(picked, None, (), real, ())
    control = (dataset.valid, dataset.test)
    return ReferenceRows(picked, dataset.shown, control, real, dataset.relations)


def tree_target(format: Format, target: str | None) -> int | None:
    """The variable that trees predict. UserError where the target is none, or there is no table."""
    if target is not None and format.table is None:
        raise UserError(
            "a target is a column of a table, and this run's data are none; leave --target out"
        )
    return target_of(format, target)


def choose_extractor(
    format: Format,
    name: str | None,
    label: str | None,
    rows: ReferenceRows,
    classifier: Callable[[], Extractor],
) -> Extractor:
    """The extractor of that name, which learns from the training rows, or else from the real ones."""
    if name == "classifier":
        return classifier()
    if label is not None:
        raise UserError(
            "a label is for the extractor that learns to tell it: --extractor classifier"
        )
    if name is not None and name.endswith(ONNX):
        return OnnxFile(format, Path(name))
    return find_extractor(name)(format, rows.real if rows.train is None else rows.train)


def compare_samples(
    format: Format,
    draw: Draw,
    rows: ReferenceRows,
    extractor: Extractor,
    seed: int,
    place: int | None,
    speed: float | None,
    on_progress: RowProgress,
    drawing: RowProgress,
) -> Samples:
    """Measures how close samples that `draw` gives are to as many real rows.

    place: of the variable that trees learn to predict. speed: in rows drawn a second, None where it is not known.
    `on_progress` is told of the judge's folds, `drawing` of the draws that tables take besides.
    """
    n = len(rows.real)
    found = measure_samples(format, draw(n, seed), rows, extractor, seed, on_progress)
    if format.table is None:
        return found
    train = n * MAX_DRAWS if rows.train is None else len(rows.train)
    draws = draw_repeats(draw, rows_to_learn(train, n, speed), seed, drawing)
    return measure_table(found, format, draws, rows, place, seed)


def draw_repeats(draw: Draw, rows: int, seed: int, on_progress: RowProgress) -> list[Events]:
    """Several draws of so many events each."""
    draws = list[Events]()
    on_progress(0, DRAW_REPEATS)
    for repeat in range(1, DRAW_REPEATS + 1):
        draws.append(draw(rows, seed + (repeat << 40)))
        on_progress(repeat, DRAW_REPEATS)
    return draws
