"""Rows in arrays, which are opened as a matrix of the event's variables; with a label before each row or without."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.events import Document
from plausibly.data.files import images
from plausibly.data.files.arrays import array_writers, as_array, write_rows
from plausibly.data.files.outputs import ArrayOutput, Output
from plausibly.data.formats.array_blocks import (
    LABEL,
    LabelBlock,
    RealBlock,
    WholeBlock,
    count_values,
)
from plausibly.data.formats.block import Block
from plausibly.data.formats.container import Container
from plausibly.errors import UserError, as_number, count_phrase
from plausibly.events.kinds import Category, Kind, Level
from plausibly.events.schema import Schema
from plausibly.system.files import writer_for

LAYOUTS = ("single", "flat", "hw", "chw", "hwc")
COLOURS = ("red", "green", "blue")
SIDES = {"chw": "channels, height and width", "hwc": "height, width and channels"}


class ArrayContainer(Container):
    """Arrays of one dtype.

    `layout` says how a row lies in its array: single (n,), flat (n, d), hw (n, h, w), chw (n, c, h, w) or
    hwc (n, h, w, c); events are (d,) or (c, h, w). `depth`: of images from files, how many bits deep gray uses.
    """

    word = "array"
    takes_label = True

    def __init__(
        self, schema: Schema, layout: str, dtype: str, depth: int = images.DEEP_GRAY_BITS
    ) -> None:
        if not 8 <= depth <= 32:
            raise ValueError(f"no gray of {depth} bits is read")
        if layout not in LAYOUTS or len(schema.shape) != (1 if layout in ("single", "flat") else 3):
            raise ValueError(f"shape {schema.shape} does not fit the layout {layout!r}")
        if np.dtype(dtype).kind not in "biuf":
            raise ValueError(f"no array of numbers is of type {dtype}")
        self.schema, self.shape, self.names = schema, schema.shape, name_entries(schema.shape)
        self.layout, self.dtype, self.depth = layout, dtype, depth
        self.picture = (slice(len(self.names)), schema) if len(schema.shape) == 3 else None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row as the array has it."""
        shape, layout = self.shape, self.layout
        if layout == "hwc":
            return (*shape[1:], shape[0])
        return {"single": (), "hw": shape[1:]}.get(layout, shape)

    @property
    def form(self) -> str:
        """The shape of a row in words."""
        return f"shape {self.row_shape}"

    def blocks(self, first: int = 0) -> list[Block]:
        """A block of all variables of each kind; the first of them stands at that place of the event."""
        places: dict[Kind, list[int]] = {}
        for place, kind in enumerate(self.schema.kinds):
            if not isinstance(kind, Category | Level) or kind.open or kind.missing:
                raise ValueError("arrays hold numbers of the kinds Category and Level")
            places.setdefault(kind, []).append(place)
        found = list[Block]()
        for kind, own in places.items():
            whole = slice(first, first + len(own)) if len(places) == 1 else np.array(own) + first
            names = tuple(self.names[place] for place in own)
            found.append(WholeBlock(kind, whole, names, self.layout == "flat"))
        return found

    def open(self, rows: Any, asked: bool) -> np.ndarray:
        array = as_array(rows)
        if array.ndim == 1 and self.row_shape == (1,):
            array = array[:, None]
        if array.shape[1:] != self.row_shape:
            raise UserError(
                f"rows of shape {array.shape[1:]}, but the model knows rows of {self.form}"
            )
        if self.layout == "hwc":
            array = np.moveaxis(array, 3, 1)
        return array.reshape(len(array), self.schema.size)

    def ask(self, given: Mapping[str, Any]) -> np.ndarray:
        row = np.full((1, len(self.names)), np.nan)
        for name, value in given.items():
            row[0, self.names.index(name)] = as_number(value, name)
        return row

    def blank(self, rows: int, path: Path | None) -> np.ndarray:
        return np.empty((rows, len(self.names)), dtype=self.dtype)

    def close(self, opened: np.ndarray) -> np.ndarray:
        array = opened.reshape(len(opened), *self.shape)
        if self.layout == "hwc":
            array = np.ascontiguousarray(np.moveaxis(array, 1, 3))
        return array.reshape(len(opened), *self.row_shape)

    def present(self, rows: Any) -> Collection[str]:
        return self.names

    def reshape(self, rows: Any) -> Any:
        if not isinstance(rows, np.ndarray):
            return rows
        flat = rows.ndim == 2 and rows.shape[1] == self.schema.size
        return rows.reshape(len(rows), *self.row_shape) if flat and self.layout != "hwc" else rows

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        if self.layout not in ("hw", "hwc"):
            raise UserError(f"a folder of images has other rows than shape {self.row_shape}")
        return (self.shape[1], self.shape[2]), self.layout == "hwc", self.depth

    def output(self, path: Path, across: int | None = None) -> Output:
        png = {"png": partial(self._write_png, across=across)} if self.picture else {}
        writer_for(path, array_writers() | png)
        return ArrayOutput(partial(write_rows, further=png))

    def _write_png(self, rows: np.ndarray, path: Path, across: int | None) -> None:
        """Writes rows to one picture, a grid."""
        assert self.picture is not None
        places, schema = self.picture
        pixels = self.open(rows, False)[:, places].reshape(len(rows), *schema.shape)
        top = max(map(count_values, {*schema.kinds})) - 1
        shades = (pixels.astype(np.float64) * 255 / max(top, 1)).round().astype(np.uint8)
        images.write_grid(shades, path, across)

    def notes(self, rows: Any) -> list[str]:
        sides = SIDES.get(self.layout)
        return [f"rows of shape {self.row_shape} are read as {sides}"] if sides else []

    def to_json(self) -> Document:
        own = {"layout": self.layout, "dtype": self.dtype, "depth": self.depth}
        return {"schema": self.schema.to_json(), **own}


class RealContainer(ArrayContainer):
    """Matrices of real numbers of a float type."""

    word = "real-array"
    takes_label = False

    def __init__(self, schema: Schema, dtype: str) -> None:
        if np.dtype(dtype).kind != "f":
            raise ValueError(f"no array of real numbers is of type {dtype}")
        super().__init__(schema, "flat", dtype)
        if not all(kind.continuous for kind in schema.kinds):
            raise ValueError("arrays of real numbers are of the kind Real")

    def blocks(self, first: int = 0) -> list[Block]:
        return [RealBlock(self.schema.kinds, self.names, self.dtype)]  # type: ignore[arg-type]

    def with_kinds(self, kinds: Sequence[Kind]) -> RealContainer:
        return RealContainer(Schema(self.shape, tuple(kinds)), self.dtype)

    @property
    def form(self) -> str:
        return count_phrase(len(self.names), "number")

    def notes(self, rows: Any) -> list[str]:
        holes = int(np.isnan(rows).sum())
        return [f"{holes:,} of {rows.size:,} entries are holes (nan or masked)"] if holes else []

    def to_json(self) -> Document:
        return {"schema": self.schema.to_json(), "dtype": self.dtype}


class LabelledContainer(ArrayContainer):
    """Rows of 1 + d whole numbers: one of `labels`, and the d entries of a row of `inner`, flattened.

    A question may leave the label out and come in the shape of the unlabelled rows.
    """

    word = "labelled"
    labelled = True
    takes_label = False

    def __init__(self, labels: tuple[int, ...], inner: ArrayContainer) -> None:
        self.labels, self.inner = labels, inner
        self.names = (LABEL, *inner.names)
        self.shape = (len(self.names),)
        self.dtype = widen_dtype(np.dtype(inner.dtype), labels).str
        self.picture = inner.picture and (slice(1, len(self.names)), inner.schema)

    def blocks(self, first: int = 0) -> list[Block]:
        return [LabelBlock(self.labels), *self.inner.blocks(1)]

    def open(self, rows: Any, asked: bool) -> np.ndarray:
        array, shape = as_array(rows), self.inner.row_shape
        if asked and array.shape[1:] == shape:
            return place_before(np.full(len(array), np.nan), self.inner.open(array, asked))
        if array.shape[1:] != self.shape:
            raise UserError(
                f"rows of shape {array.shape[1:]}, but the model knows a label and rows of {self.inner.form}"
            )
        inner = array[:, 1:].reshape(len(array), *shape)
        return place_before(array[:, 0], self.inner.open(inner, asked))

    def close(self, opened: np.ndarray) -> np.ndarray:
        return place_before(opened[:, 0], self.inner.close(opened[:, 1:]))

    def reshape(self, rows: Any) -> Any:
        return self.inner.reshape(rows)

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        return self.inner.image_form()

    def notes(self, rows: Any) -> list[str]:
        return self.inner.notes(rows)

    def to_json(self) -> Document:
        return {"labels": list(self.labels), "inner": self.inner.to_json()}


def name_entries(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of an array's variables."""
    if len(shape) == 1:
        return tuple(str(place) for place in range(shape[0]))
    channels, height, width = shape
    other = tuple(f"channel {channel}" for channel in range(channels))
    words = {1: ("pixel",), 3: COLOURS}.get(channels, other)
    return tuple(
        f"{word} {row},{column}"
        for word in words
        for row in range(height)
        for column in range(width)
    )


def prepend_labels(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows with their label before them, (n, 1 + d), in their type or a wider one that holds all labels."""
    labels = as_array(labels).ravel()
    if len(labels) != len(rows):
        raise UserError(f"{len(labels)} labels for {len(rows)} rows")
    ends = (int(labels.min()), int(labels.max())) if len(labels) else ()
    return place_before(labels.astype(widen_dtype(rows.dtype, ends)), rows)


def widen_dtype(dtype: np.dtype[Any], labels: Iterable[int]) -> np.dtype[Any]:
    """The type that holds what `dtype` does, and labels."""
    return np.result_type(dtype, *map(np.min_scalar_type, labels))


def place_before(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows as a matrix, with a label before each."""
    return np.concatenate([labels[:, None], rows.reshape(len(rows), -1)], 1)
