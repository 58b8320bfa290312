"""Arrays as events: bits, small whole numbers and images, one variable an entry; other numbers column by column."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.events import Document, Events, pack_events
from plausibly.data.files import images
from plausibly.data.files.arrays import as_array, write_rows
from plausibly.data.formats.format import Format
from plausibly.errors import UserError, as_number
from plausibly.events.kinds import Category, Kind, Level
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

MAX_LEVELS, MAX_TOTAL_CODES, MIN_PIXEL_TOP = 256, 65_536, 32
LAYOUTS = ("single", "flat", "hw", "chw", "hwc")
COLOURS = ("red", "green", "blue")


class ArrayFormat(Format):
    """Entries are whole numbers that each kind foresees, Category or Level.

    `layout` says how a row lies in its array: single (n,), flat (n, d), hw (n, h, w), chw (n, c, h, w) or
    hwc (n, h, w, c); events are (d,) or (c, h, w). `depth`: of images from files, how many bits deep gray uses.
    """

    word = "array"

    def __init__(
        self, schema: Schema, layout: str, dtype: str, depth: int = images.DEEP_GRAY_BITS
    ) -> None:
        if not 8 <= depth <= 32:
            raise ValueError(f"no gray of {depth} bits is read")
        if layout not in LAYOUTS or len(schema.shape) != (1 if layout in ("single", "flat") else 3):
            raise ValueError(f"shape {schema.shape} does not fit the layout {layout!r}")
        if np.dtype(dtype).kind not in "biuf" or any(
            not isinstance(kind, Category | Level) for kind in schema.kinds
        ):
            raise ValueError("arrays hold numbers of the kinds Category and Level")
        self.schema, self.layout, self.dtype, self.depth = schema, layout, dtype, depth
        self.names = _names(schema.shape)
        self._lookups = [_Lookup(kind, places) for kind, places in _kind_groups(schema)]

    def events(self, rows: Any) -> Events:
        flat = self._flat(rows)
        return self._pack(flat, np.ones(flat.shape, dtype=bool) if flat.dtype.kind == "f" else None)

    def _pack(self, flat: np.ndarray, seen: np.ndarray | None = None) -> Events:
        """Events of rows without holes, as `_flat` gives them."""
        codes, nats = self._encode(flat, seen)
        return Events(
            pack_events(codes, self.schema), torch.from_numpy(nats), self._raw_values(flat)
        )

    def questions(self, rows: Any) -> Events:
        flat = self._flat(rows)
        seen = ~np.isnan(flat) if flat.dtype.kind == "f" else np.ones(flat.shape, dtype=bool)
        flat = np.where(seen, flat, 0)
        codes, nats = self._encode(flat, seen)
        flat = flat.astype(self.dtype)
        observed = torch.from_numpy(seen).reshape(len(flat), *self.schema.shape)
        return Events(pack_events(codes, self.schema), torch.from_numpy(nats), flat, observed)

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        values, free = np.zeros((1, self.schema.size)), np.ones((1, self.schema.size), dtype=bool)
        for name, value in given.items():
            place = self.names.index(name)
            values[0, place], free[0, place] = as_number(value, name), False
        return self.questions(np.ma.masked_array(self._unflat(values), self._unflat(free)))

    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        return [str(value) for value in values.tolist()]

    def display(self, place: int, value: float) -> float:
        return float(value)

    def log_within(self, events: Events) -> Tensor:
        nats = np.zeros((len(events), self.schema.size))
        if events.values is not None:
            seen = True if events.observed is None else events.observed.numpy().reshape(nats.shape)
            for lookup in self._lookups:
                nats[:, lookup.places] = lookup.within[
                    events.values[:, lookup.places].astype(np.int64)
                ]
            nats = np.where(seen, nats, 0.0)
        return torch.from_numpy(nats)

    def _flat(self, rows: Any) -> np.ndarray:
        """(n, variables) in the order of the event. UserError for another shape."""
        array = as_array(rows)
        shape = self.row_shape
        if array.shape[1:] != shape:
            raise UserError(
                f"rows of shape {array.shape[1:]}, but the model knows rows of shape {shape}"
            )
        if self.layout == "hwc":
            array = np.moveaxis(array, 3, 1)
        return array.reshape(len(array), self.schema.size)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row as the array had it."""
        shape = self.schema.shape
        return {
            "single": (),
            "flat": shape,
            "hw": shape[1:],
            "chw": shape,
            "hwc": (*shape[1:], shape[0]),
        }[self.layout]

    def _encode(self, flat: np.ndarray, seen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        codes, nats = np.zeros(flat.shape, dtype=np.int16), np.zeros(len(flat))
        for lookup in self._lookups:
            part = flat[:, lookup.places]
            known = None if seen is None else seen[:, lookup.places]
            self._refuse(part, known, lookup)
            index = part if part.dtype == np.uint8 else part.astype(np.int64)
            codes[:, lookup.places] = lookup.codes[index]
            if lookup.within.any():
                nats += (lookup.within[index] * (1 if known is None else known)).sum(axis=1)
        return codes, nats

    def _refuse(self, part: np.ndarray, known: np.ndarray | None, lookup: _Lookup) -> None:
        """UserError for the first entry that has no code."""
        top = len(lookup.codes) - 1
        if part.dtype.kind in "iu":  # numpy 2.0 may crash where a bound is no number of the type
            top = min(top, int(np.iinfo(part.dtype).max))
        foreseen = (part >= 0) & (part <= top)
        if part.dtype.kind == "f":
            foreseen &= part == np.floor(part)
        if known is not None:
            foreseen |= ~known
        if not foreseen.all():
            row, place = np.argwhere(~foreseen)[0]
            name = self.names[int(np.arange(self.schema.size)[lookup.places][place])]
            problem = self._describe_strange(part[row, place], len(lookup.codes) - 1)
            raise UserError(f"row {row + 1}, {name}: {problem}")

    def _describe_strange(self, value: Any, top: int) -> str:
        """Says why an entry has no code among those of 0 to `top`."""
        if value != value:
            return "a hole (nan or masked), where there was none in training"
        whole = self.layout == "flat" and np.isfinite(value) and value == np.floor(value)
        other = "; --kind '*=integer' models any whole numbers" if whole else ""
        return f"{value} is not a whole number from 0 to {top}{other}"

    def numbers(self, events: Events) -> np.ndarray:
        values = events.codes.numpy() if events.values is None else events.values
        return np.asarray(values.reshape(len(events), -1), dtype=np.float64)

    def _raw_values(self, flat: np.ndarray) -> np.ndarray | None:
        """The values, where codes alone do not tell them."""
        return (
            flat.astype(self.dtype)
            if any(lookup.within.any() for lookup in self._lookups)
            else None
        )

    def rows(self, events: Events) -> np.ndarray:
        values = events.codes.numpy() if events.values is None else events.values
        array = values.reshape(len(events), *self.schema.shape).astype(self.dtype)
        if self.layout == "hwc":
            array = np.ascontiguousarray(np.moveaxis(array, 1, 3))
        return array.reshape(len(events), *self.row_shape)

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        numbers = codes.numpy().astype(np.int64).reshape(len(codes), -1)
        flat = np.empty(numbers.shape, dtype=self.dtype)
        for lookup in self._lookups:
            flat[:, lookup.places] = lookup.kind.draw(numbers[:, lookup.places], generator)
        return self._pack(flat)

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        numbers = codes.numpy().astype(np.int64).reshape(len(codes), -1)
        flat = np.empty(numbers.shape, dtype=self.dtype)
        known = None if events is None else events.values
        for lookup in self._lookups:
            part = None if known is None else known[:, lookup.places].astype(np.int64)
            flat[:, lookup.places] = lookup.through(coder, numbers[:, lookup.places], part)
        return self._pack(flat)

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        if events.observed is None:
            return events
        drawn = self.rows(self.draw(codes, generator))
        seen = events.observed.numpy().reshape(len(events), -1)
        return self.events(self._unflat(np.where(seen, events.values, self._flat(drawn))))

    def _unflat(self, flat: np.ndarray) -> np.ndarray:
        array = flat.reshape(len(flat), *self.schema.shape)
        return (np.moveaxis(array, 1, 3) if self.layout == "hwc" else array).reshape(
            len(flat), *self.row_shape
        )

    def reshape(self, rows: Any) -> Any:
        if not isinstance(rows, np.ndarray):
            return rows
        flat = rows.ndim == 2 and rows.shape[1] == self.schema.size
        return rows.reshape(len(rows), *self.row_shape) if flat and self.layout != "hwc" else rows

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        if self.layout not in ("hw", "hwc"):
            raise UserError(f"a folder of images has other rows than shape {self.row_shape}")
        return (self.schema.shape[1], self.schema.shape[2]), self.layout == "hwc", self.depth

    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        png = partial(self.write_png, across=across)
        write_rows(rows, Path(path), {"png": png} if len(self.schema.shape) == 3 else {})

    def write_png(self, rows: np.ndarray, path: Path, across: int | None = None) -> None:
        top = max(len(lookup.codes) for lookup in self._lookups) - 1
        flat = self._flat(rows).reshape(len(rows), *self.schema.shape).astype(np.float64)
        images.write_grid((flat * 255 / max(top, 1)).round().astype(np.uint8), path, across)

    def describe(self) -> list[Document]:
        return [_describe_lookup(lookup, self) for lookup in self._lookups]

    def fields(self) -> Document:
        return {
            "schema": self.schema.to_json(),
            "layout": self.layout,
            "dtype": self.dtype,
            "depth": self.depth,
        }

    @classmethod
    def from_fields(cls, fields: Document) -> ArrayFormat:
        schema, depth = (
            Schema.from_json(fields["schema"]),
            fields.get("depth", images.DEEP_GRAY_BITS),
        )
        return cls(schema, fields["layout"], fields["dtype"], depth)


class _Lookup:
    """Tables from value to code and log p(value | code), for all variables of one kind."""

    def __init__(self, kind: Kind, places: Any) -> None:
        self.kind, self.places = kind, places
        width = kind.width if isinstance(kind, Level) else 1
        rare = len(kind.rare) if isinstance(kind, Category) else 0
        values = np.arange(
            (kind.levels if isinstance(kind, Category | Level) else 0) * width + rare
        )
        self.codes, self.within = kind.code(values).astype(np.int16), kind.log_within(values)

    def through(self, coder: Coder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        """Passes through a coder what codes leave open of values; the values."""
        if not self.within.any():
            return codes
        own = None if values is None else values.ravel()
        return self.kind.through(coder, codes.ravel(), own).reshape(codes.shape)


def _kind_groups(schema: Schema) -> list[tuple[Kind, Any]]:
    """Each kind with the variables that are of it: a slice where all are."""
    if len(set(schema.kinds)) == 1:
        return [(schema.kinds[0], slice(None))]
    places: dict[Kind, list[int]] = {}
    for place, kind in enumerate(schema.kinds):
        places.setdefault(kind, []).append(place)
    return [(kind, np.array(of)) for kind, of in places.items()]


def _names(shape: tuple[int, ...]) -> tuple[str, ...]:
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


def _describe_lookup(lookup: _Lookup, format: ArrayFormat) -> Document:
    places = np.arange(format.schema.size)[lookup.places]
    first, last = format.names[int(places[0])], format.names[int(places[-1])]
    word = "boolean" if lookup.kind == Category(2) else type(lookup.kind).__name__.lower()
    name = first if len(places) == 1 else f"{len(places)} variables, {first} to {last}"
    step = lookup.kind.width if isinstance(lookup.kind, Level) else 1
    guess = (
        "only 0 and 1" if word == "boolean" else f"whole numbers from 0 to {len(lookup.codes) - 1}"
    )
    return {
        "name": name, "kind": word, "codes": lookup.kind.codes, "holes": 0, "resolution": str(step),
        "range": ["0", str(len(lookup.codes) - 1)], "guess": guess, "override": "give an array of another type",
    }  # fmt: skip
