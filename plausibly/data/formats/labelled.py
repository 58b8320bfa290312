"""Arrays with a label for each row as events: the label is the first variable, the entries of the row follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.events import Document, Events, pack_events
from plausibly.data.files.arrays import as_array, write_rows
from plausibly.data.formats.arrays import ArrayFormat
from plausibly.data.formats.format import Format
from plausibly.errors import UserError, as_number
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

LABEL = "label"
MAX_LABELS = 256


class LabelledFormat(Format):
    """Rows of 1 + d whole numbers: one of `labels`, and the d entries of a row that `inner` knows, flattened.

    A question may leave the label out and come in the shape of the unlabelled rows.
    """

    word = "labelled"
    labelled = True

    def __init__(self, labels: tuple[int, ...], inner: ArrayFormat) -> None:
        if not 1 < len(labels) <= MAX_LABELS or list(labels) != sorted(set(labels)):
            raise ValueError(f"labels are 2 to {MAX_LABELS} different whole numbers in order")
        self.labels, self.inner = labels, inner
        self.schema = Schema((1 + inner.schema.size,), (Category(len(labels)), *inner.schema.kinds))
        self.names = (LABEL, *inner.names)

    def events(self, rows: Any) -> Events:
        array = self._matrix(rows)
        return self._join(
            self._places(array[:, 0]), self.inner.events(self._images(array)), array, None
        )

    def _places(self, labels: np.ndarray) -> np.ndarray:
        """Which of the known labels each is. UserError for another."""
        places = np.searchsorted(self.labels, labels).clip(max=len(self.labels) - 1)
        unknown = np.asarray(self.labels)[places] != labels
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            raise UserError(
                f"row {row + 1}, label: {labels[row]} is none of {', '.join(map(str, self.labels))}"
            )
        return places

    def questions(self, rows: Any) -> Events:
        array = as_array(rows)
        if array.shape[1:] != self.inner.row_shape:
            events = self.events(array)
            observed = torch.ones(events.codes.shape, dtype=torch.bool)
            return Events(events.codes, events.log_within, events.values, observed)
        return self._question(self.inner.questions(rows), None)

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        inner = self.inner.parse_question(
            {name: value for name, value in given.items() if name != LABEL}
        )
        return self._question(inner, as_number(given[LABEL], LABEL) if LABEL in given else None)

    def _question(self, inner: Events, label: float | None) -> Events:
        """A question to the inner format with one label for all rows, or none."""
        assert inner.observed is not None
        labels = np.full(len(inner), self.labels[0] if label is None else label)
        seen = torch.cat(
            [torch.full((len(inner), 1), label is not None), inner.observed.flatten(1)], 1
        )
        rows = _beside(labels, inner.values.reshape(len(inner), -1), self.labels)
        return self._join(self._places(labels), inner, rows, seen)

    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        return (
            [str(self.labels[v]) for v in values]
            if place == 0
            else self.inner.format_values(place - 1, values)
        )

    def display(self, place: int, value: float) -> float | str:
        return str(self.labels[int(value)]) if place == 0 else self.inner.display(place - 1, value)

    def picture(self) -> tuple[slice, Schema] | None:
        return (slice(1, None), self.inner.schema) if len(self.inner.schema.shape) == 3 else None

    def _matrix(self, rows: Any) -> np.ndarray:
        array = as_array(rows)
        if array.ndim != 2 or array.shape[1] != self.schema.size:
            shape = self.inner.row_shape
            raise UserError(
                f"rows of shape {array.shape[1:]}, but the model knows a label and rows of shape {shape}"
            )
        return array

    def _images(self, array: np.ndarray) -> np.ndarray:
        return array[:, 1:].reshape(len(array), *self.inner.row_shape)

    def _join(
        self, places: np.ndarray, inner: Events, rows: np.ndarray, observed: Tensor | None
    ) -> Events:
        codes = np.concatenate([places[:, None], inner.codes.flatten(1).numpy()], 1)
        return Events(pack_events(codes, self.schema), inner.log_within, rows, observed)

    def log_within(self, events: Events) -> Tensor:
        inner = self.inner.log_within(self.inner.events(self._images(events.values)))
        return torch.cat([torch.zeros(len(events), 1, dtype=torch.float64), inner], 1)

    def numbers(self, events: Events) -> np.ndarray:
        inner = self.inner.numbers(self.inner.events(self._images(events.values)))
        return np.concatenate([events.values[:, :1].astype(np.float64), inner], 1)

    def rows(self, events: Events) -> np.ndarray:
        array: np.ndarray = events.values
        return array

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        inner = self.inner.draw(
            codes[:, 1:].reshape(len(codes), *self.inner.schema.shape), generator
        )
        labels = np.asarray(self.labels)[codes[:, 0].long().numpy()]
        return self.events(
            _beside(labels, self.inner.rows(inner).reshape(len(codes), -1), self.labels)
        )

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        own = None if events is None else self.inner.events(self._images(events.values))
        inner = self.inner.through(
            coder, codes[:, 1:].reshape(len(codes), *self.inner.schema.shape), own
        )
        labels = np.asarray(self.labels)[codes[:, 0].long().numpy()]
        return self.events(
            _beside(labels, self.inner.rows(inner).reshape(len(codes), -1), self.labels)
        )

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        if events.observed is None:
            return events
        drawn = self.draw(codes, generator).values
        return self.events(np.where(events.observed.numpy(), events.values, drawn))

    def reshape(self, rows: Any) -> Any:
        return self.inner.reshape(rows)

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        return self.inner.image_form()

    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        png = partial(self._write_png, across=across)
        write_rows(rows, Path(path), {"png": png} if len(self.inner.schema.shape) == 3 else {})

    def _write_png(self, rows: np.ndarray, path: Path, across: int | None) -> None:
        self.inner.write_png(self._images(rows), path, across)

    def describe(self) -> list[Document]:
        levels = [str(label) for label in self.labels]
        label = {
            "name": LABEL, "kind": "category", "codes": len(levels), "holes": 0, "levels": levels,
            "guess": "the labels beside the rows", "override": "leave --context and --event out",
        }  # fmt: skip
        return [label, *self.inner.describe()]

    def fields(self) -> Document:
        return {"labels": list(self.labels), "inner": self.inner.fields()}

    @classmethod
    def from_fields(cls, fields: Document) -> LabelledFormat:
        return cls(tuple(fields["labels"]), ArrayFormat.from_fields(fields["inner"]))


def prepend_labels(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows with their label before them, (n, 1 + d)."""
    labels = as_array(labels).ravel()
    if len(labels) != len(rows):
        raise UserError(f"{len(labels)} labels for {len(rows)} rows")
    return _beside(
        labels,
        rows.reshape(len(rows), -1),
        (int(labels.min()), int(labels.max())) if len(labels) else (),
    )


def _beside(labels: np.ndarray, flat: np.ndarray, ends: Iterable[int]) -> np.ndarray:
    """Rows with their label before them, in the type of the rows or a wider one that holds all labels."""
    narrow = np.result_type(flat.dtype, *map(np.min_scalar_type, ends))
    return np.concatenate([labels[:, None].astype(narrow), flat.astype(narrow)], 1)
