"""A matrix of real numbers as events: every entry a density, holes where training had some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.columns.numbers import MAX_REAL, decimal_step, learn_real
from plausibly.data.events import Document, Events, pack_events
from plausibly.data.files.arrays import as_array, write_rows
from plausibly.data.formats.format import Format
from plausibly.errors import UserError, as_number, count_phrase
from plausibly.events.kinds import Real
from plausibly.events.real_matrix import RealMatrix, add_up
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


class RealArrayFormat(Format):
    """Rows of `len(kinds)` real numbers, of the float type `dtype`; events measure them in standard deviations."""

    word = "real-array"

    def __init__(self, kinds: tuple[Real, ...], dtype: str) -> None:
        if np.dtype(dtype).kind != "f" or not all(kind.continuous for kind in kinds):
            raise ValueError(f"no array of real numbers is of type {dtype}")
        self.kinds, self.dtype = kinds, dtype
        self.schema = Schema((len(kinds),), kinds)
        self.names = tuple(str(place) for place in range(len(kinds)))
        self._reals = RealMatrix(kinds)

    def events(self, rows: Any) -> Events:
        return self._events(self._matrix(rows), None)

    def questions(self, rows: Any) -> Events:
        array = self._matrix(rows)
        return self._events(array, ~np.isnan(array))

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        row = np.full((1, len(self.kinds)), np.nan)
        for name, value in given.items():
            row[0, self.names.index(name)] = as_number(value, name)
        return self.questions(row)

    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        return [str(value) for value in values.tolist()]

    def display(self, place: int, value: float) -> float:
        return float(value)

    def _matrix(self, rows: Any) -> np.ndarray:
        array = as_array(rows)
        array = array[:, None] if array.ndim == 1 and len(self.kinds) == 1 else array
        if array.ndim != 2 or array.shape[1] != len(self.kinds):
            known = count_phrase(len(self.kinds), "number")
            raise UserError(f"rows of shape {array.shape[1:]}, but the model knows rows of {known}")
        return array.astype(self.dtype)

    def _events(self, array: np.ndarray, seen: np.ndarray | None) -> Events:
        events, nats = np.empty(array.shape, dtype=np.float32), np.empty(len(array))
        strange = np.empty(array.shape, dtype=bool)
        for own in self._reals.blocks(len(array)):
            shown = True if seen is None else seen[own]
            found = self._reals.measure(array[own])
            strange[own] = found.strange & shown
            events[own] = np.where(shown, found.events, 0.0)
            nats[own] = add_up(np.where(shown, found.log_within, 0.0))
        if strange.any():
            raise UserError(_describe_strange(array, strange))
        observed = None if seen is None else torch.from_numpy(seen)
        return Events(pack_events(events, self.schema), torch.from_numpy(nats), array, observed)

    def log_within(self, events: Events) -> Tensor:
        nats = np.empty(events.values.shape)
        for own in self._reals.blocks(len(events)):
            nats[own] = self._reals.measure(events.values[own]).log_within
        shown = True if events.observed is None else events.observed.numpy()
        return torch.from_numpy(np.where(shown, nats, 0.0))

    def numbers(self, events: Events) -> np.ndarray:
        return np.asarray(events.values, dtype=np.float64)

    def rows(self, events: Events) -> np.ndarray:
        array: np.ndarray = events.values
        return array

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        numbers = codes.numpy().reshape(len(codes), -1)
        columns = [
            kind.draw(own, generator) for kind, own in zip(self.kinds, numbers.T, strict=True)
        ]
        return self._events(np.stack(columns, 1).astype(self.dtype), None)

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        numbers = codes.numpy().reshape(len(codes), -1)
        own = [None] * len(self.kinds) if events is None else [*events.values.astype(np.float64).T]
        pairs = zip(self.kinds, numbers.T, own, strict=True)
        columns = [kind.through(coder, events, values) for kind, events, values in pairs]
        return self._events(np.stack(columns, 1).astype(self.dtype), None)

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        if events.observed is None:
            return events
        drawn = self.draw(codes, generator).values
        return self._events(np.where(events.observed.numpy(), events.values, drawn), None)

    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        write_rows(rows, Path(path))

    def describe(self) -> list[Document]:
        return [
            _describe_real(name, kind) for name, kind in zip(self.names, self.kinds, strict=True)
        ]

    def fields(self) -> Document:
        return {"schema": self.schema.to_json(), "dtype": self.dtype}

    @classmethod
    def from_fields(cls, fields: Document) -> RealArrayFormat:
        return cls(Schema.from_json(fields["schema"]).kinds, fields["dtype"])  # type: ignore[arg-type]


def _describe_strange(array: np.ndarray, strange: np.ndarray) -> str:
    """Says what is wrong with the first strange entry of the first column that has one."""
    place = int(strange.any(axis=0).argmax())
    row = int(strange[:, place].argmax())
    return f"row {row + 1}, column '{place}': {_strangeness(array[row, place])}"


def _strangeness(value: float) -> str:
    if np.isnan(value):
        return "a hole, where there was none in training"
    return (
        f"{value} is a million standard deviations away"
        if np.isfinite(value)
        else "the number is infinite"
    )


def _describe_real(name: str, kind: Real) -> Document:
    low, high = (kind.location + kind.scale * end for end in (kind.edges[0], kind.edges[-1]))
    return {
        "name": name, "kind": "real", "codes": kind.codes, "holes": None if kind.missing else 0, "density": True,
        "range": [f"{low:.6g}", f"{high:.6g}"], "guess": "fractions", "resolution": f"{kind.step:g}" if kind.step else None,
        "override": f"--kind {name}=number|integer|category",
    }  # fmt: skip


def is_fractional(column: np.ndarray) -> bool:
    """True where a column of floats holds real numbers: some are not whole, not all are one, and none is beyond measure."""
    known = column[np.isfinite(column)]
    if not len(known) or float(np.abs(known).max()) > MAX_REAL:
        return False
    return bool((known != np.floor(known)).any()) and bool(known.min() < known.max())


def learn_real_format(rows: np.ndarray) -> RealArrayFormat:
    """The format of a matrix of real numbers, from its training rows."""
    kinds = []
    for column in rows.T:
        known = column[np.isfinite(column)].astype(np.float64)
        kinds.append(
            learn_real(
                known,
                bool(np.isnan(column).any()),
                closed=True,
                step=decimal_step(column[np.isfinite(column)]),
            )
        )
    return RealArrayFormat(tuple(kinds), rows.dtype.str)
