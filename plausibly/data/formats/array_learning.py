"""The format of an array, learned from training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plausibly.data.columns.column import Column
from plausibly.data.columns.numbers import MAX_REAL, decimal_step, learn_real
from plausibly.data.columns.types import BooleanColumn, RealColumn
from plausibly.data.files.images import DEEP_GRAY_BITS
from plausibly.data.formats.array_container import ArrayContainer, RealContainer
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import ColumnMatrix, FrameContainer, with_native_bytes
from plausibly.data.formats.table_learning import check_options, learn_columns
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Kind, Level, Real
from plausibly.events.schema import MAX_VARIABLES, Schema

MAX_LEVELS, MAX_TOTAL_CODES, MIN_PIXEL_TOP = 256, 65_536, 32


def learn_array_format(
    rows: np.ndarray, kinds: dict[str, str], drop: tuple[str, ...], depth: int = DEEP_GRAY_BITS
) -> Format:
    """The format of an array, from its training rows; `depth` is of deep gray in the files of images."""
    if not kinds and not drop and _small_whole(rows) and rows.ndim <= 4:
        return _learn_entries(rows, depth)
    if rows.ndim != 2:
        raise UserError(_no_matrix(rows))
    every = {str(i): kinds["*"] for i in range(rows.shape[1])} if "*" in kinds else {}
    kinds = every | {name: word for name, word in kinds.items() if name != "*"}
    words = kinds | _fractions(rows, kinds)
    if (
        not drop
        and rows.dtype.kind == "f"
        and [words.get(str(i)) for i in range(rows.shape[1])] == ["real"] * rows.shape[1]
    ):
        return learn_real_format(rows)
    return _learn_matrix(rows, words, drop)


def _learn_entries(rows: np.ndarray, depth: int) -> Format:
    """The format of small whole numbers, all of one kind."""
    layout = _layout(rows.shape)
    shape = _event_shape(rows.shape, layout)
    kind = _kind(rows, shape)
    if np.prod(shape) > MAX_VARIABLES:
        raise UserError(
            f"rows of shape {rows.shape[1:]} have more than {MAX_VARIABLES:,} entries; give smaller ones"
        )
    schema = Schema(shape, (kind,) * int(np.prod(shape)))
    return Format(ArrayContainer(schema, layout, rows.dtype.str, depth))


def _fractions(rows: np.ndarray, kinds: dict[str, str]) -> dict[str, str]:
    """Columns of floats that are not all whole are real, unless said otherwise."""
    if rows.dtype.kind != "f":
        return {}
    free = [i for i in range(rows.shape[1]) if str(i) not in kinds]
    return {str(i): "real" for i in free if is_fractional(rows[:, i])}


def _no_matrix(rows: np.ndarray) -> str:
    """Why rows of other shapes than a matrix's cannot be modelled, and what would be."""
    what = f"rows of shape {rows.shape[1:]} and type {rows.dtype} are neither a matrix nor whole numbers from 0 to 255"
    if rows.ndim > 1 and rows.dtype.kind == "f" and np.isnan(rows).any():
        return f"{what}: some are holes (nan or masked), which only a matrix may have"
    if rows.ndim in (3, 4) and rows.dtype.kind == "f" and _small_whole(rows * 255):
        return f"{what}; these look like pixels / 255: give `(x * 255).round().astype('uint8')`"
    return f"{what}; rows.reshape(len(rows), -1) makes a matrix of them"


def learn_real_format(rows: np.ndarray) -> Format:
    """The format of a matrix of real numbers, from its training rows."""
    kinds = tuple(map(_learn_kind, rows.T))
    return Format(RealContainer(Schema((len(kinds),), kinds), rows.dtype.str))


def _learn_kind(column: np.ndarray) -> Real:
    known = column[np.isfinite(column)]
    holes, step = bool(np.isnan(column).any()), decimal_step(known)
    return learn_real(known.astype(np.float64), holes, closed=True, step=step)


def is_fractional(column: np.ndarray) -> bool:
    """True where a column of floats holds real numbers: some are not whole, not all are one, and none is beyond measure."""
    known = column[np.isfinite(column)]
    if not len(known) or float(np.abs(known).max()) > MAX_REAL:
        return False
    return bool((known != np.floor(known)).any()) and bool(known.min() < known.max())


def _learn_matrix(rows: np.ndarray, kinds: dict[str, str], drop: tuple[str, ...]) -> Format:
    """The format of a matrix whose columns are modelled as a table's."""
    import pandas as pd

    if drop or "drop" in kinds.values():
        raise UserError("columns of an array cannot be dropped; give the array without them")
    names = [str(place) for place in range(rows.shape[1])]
    check_options(names, len(rows), kinds, drop)
    frame = pd.DataFrame(with_native_bytes(rows), columns=names)
    columns = learn_columns(frame, names, None, kinds, 0)
    table = FrameContainer(map(_fix_kind, columns), names)
    return Format(ColumnMatrix(table, rows.dtype.str))


def _fix_kind(column: Column) -> Column:
    """Bits of an array are bits for ever, and its real numbers are numbers."""
    if isinstance(column, RealColumn):
        return replace(column, kind=replace(column.kind, open=False))
    if isinstance(column, BooleanColumn):
        return replace(column, kind=Category(2, missing=column.kind.missing))
    return column


def _small_whole(rows: np.ndarray) -> bool:
    if rows.dtype.kind == "b":
        return True
    if not rows.size or not rows.min() >= 0 or not rows.max() < MAX_LEVELS:
        return False
    return rows.dtype.kind != "f" or bool((rows == np.floor(rows)).all())


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) < 4:
        return ("single", "flat", "hw")[len(shape) - 1]
    few = (1, 2, 3, 4)
    return (
        "hwc"
        if shape[3] in few
        and (shape[1] not in few or (shape[3] in (1, 3) and shape[1] not in (1, 3)))
        else "chw"
    )


def _event_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    if layout == "hwc":
        return shape[3], shape[1], shape[2]
    return {"single": (1,), "flat": shape[1:], "hw": (1, *shape[1:]), "chw": shape[1:]}[layout]


def _kind(rows: np.ndarray, shape: tuple[int, ...]) -> Kind:
    """Bits, or levels: all 256 of what looks like pixels, in steps so that an event has not too many codes."""
    top = int(rows.max())
    if top <= 1:
        return Category(2)
    if len(shape) == 1 or top < MIN_PIXEL_TOP:
        return Level(top + 1)
    width = 1
    while int(np.prod(shape)) * (MAX_LEVELS // width) > MAX_TOTAL_CODES and width < MAX_LEVELS // 2:
        width *= 2
    return Level(MAX_LEVELS // width, width)
