"""Blocks of arrays, whose rows are opened as a matrix of the variables' values: whole numbers, real numbers, a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.events import Document
from plausibly.data.formats.block import Block, Variable
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Kind, Level, Real
from plausibly.events.real_matrix import RealMatrix, add_up

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

LABEL = "label"
MAX_LABELS = 256


class ArrayBlock(Block):
    """Values are the numbers of the array, (rows, variables), which tell themselves."""

    @property
    def variables(self) -> Sequence[Variable]:
        return (self,) * len(self.kinds)

    def spell(self, values: np.ndarray) -> list[str]:
        return [str(value) for value in values.tolist()]

    def display(self, value: float) -> float | str:
        return float(value)

    def in_units(self, values: np.ndarray) -> np.ndarray:
        return values

    def put(self, values: Any, opened: Any) -> None:
        opened[:, self.places] = values

    def numbers(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=np.float64)

    def merge(self, known: Any, drawn: Any, seen: np.ndarray) -> Any:
        return np.where(seen, known, drawn)


class WholeBlock(ArrayBlock):
    """Whole numbers from 0 of one kind, by tables from value to code and to log p(value | code)."""

    def __init__(
        self, kind: Kind, places: slice | np.ndarray, names: tuple[str, ...], flat: bool
    ) -> None:
        self.places, self.names, self.kinds, self.flat = places, names, (kind,) * len(names), flat
        values = np.arange(count_values(kind))
        self.codes, self.within = kind.code(values).astype(np.int16), kind.log_within(values)
        self.exact = not self.within.any()
        self.dtype = np.min_scalar_type(len(values) - 1)

    def read(self, opened: Any, asked: bool) -> tuple[np.ndarray, np.ndarray | None]:
        part = opened[:, self.places]
        seen = ~np.isnan(part) if asked else None
        self._refuse(part, seen)
        known = part if seen is None else np.where(seen, part, 0)
        return known.astype(self.dtype, copy=not self.exact), seen

    def _refuse(self, part: np.ndarray, seen: np.ndarray | None) -> None:
        """UserError for the first entry that has no code."""
        top = len(self.codes) - 1
        if part.dtype.kind in "iu":  # numpy 2.0 may crash where a bound is no number of the type
            top = min(top, int(np.iinfo(part.dtype).max))
        foreseen = (part >= 0) & (part <= top)
        if part.dtype.kind == "f":
            foreseen &= part == np.floor(part)
        if seen is not None:
            foreseen |= ~seen
        if not foreseen.all():
            row, place = np.argwhere(~foreseen)[0]
            problem = self._describe_strange(part[row, place])
            raise UserError(f"row {row + 1}, {self.names[place]}: {problem}")

    def _describe_strange(self, value: Any) -> str:
        """Says why an entry has no code."""
        if value != value:
            return "a hole (nan or masked), where there was none in training"
        whole = self.flat and np.isfinite(value) and value == np.floor(value)
        other = "; --kind '*=integer' models any whole numbers" if whole else ""
        return f"{value} is not a whole number from 0 to {len(self.codes) - 1}{other}"

    def encode(self, values: Any, seen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if self.exact:
            return values, np.zeros(len(values))
        return self.codes[values], self.log_within(values, seen).sum(axis=1)

    def log_within(self, values: Any, seen: np.ndarray | None) -> np.ndarray:
        if self.exact:
            return np.zeros(values.shape)
        nats: np.ndarray = self.within[values]
        return nats if seen is None else np.where(seen, nats, 0.0)

    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> np.ndarray:
        return self.kinds[0].draw(codes, generator).astype(self.dtype)

    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> np.ndarray:
        if self.exact:
            return codes.astype(self.dtype)
        own = None if values is None else values.ravel().astype(np.int64)
        found = self.kinds[0].through(coder, codes.ravel(), own)
        return found.reshape(codes.shape).astype(self.dtype)

    def describe(self) -> list[Document]:
        kind, last = self.kinds[0], len(self.codes) - 1
        word = "boolean" if kind == Category(2) else type(kind).__name__.lower()
        several = f"{len(self.names)} variables, {self.names[0]} to {self.names[-1]}"
        return [{
            "name": several if len(self.names) > 1 else self.names[0], "kind": word, "codes": kind.codes, "holes": 0,
            "resolution": str(kind.width if isinstance(kind, Level) else 1), "range": ["0", str(last)],
            "guess": "only 0 and 1" if word == "boolean" else f"whole numbers from 0 to {last}",
            "override": "give an array of another type",
        }]  # fmt: skip


def count_values(kind: Kind) -> int:
    """The number of values of a kind of whole numbers."""
    if isinstance(kind, Level):
        return kind.levels * kind.width
    assert isinstance(kind, Category)
    return kind.levels + len(kind.rare)


class RealBlock(ArrayBlock):
    """Real numbers of a float type, measured side by side."""

    def __init__(self, kinds: tuple[Real, ...], names: tuple[str, ...], dtype: str) -> None:
        self.places, self.kinds, self.names, self.dtype = slice(len(kinds)), kinds, names, dtype
        self.reals, self.matrix = kinds, RealMatrix(kinds)

    def read(self, opened: Any, asked: bool) -> tuple[np.ndarray, np.ndarray | None]:
        values = opened[:, self.places].astype(self.dtype)
        return values, ~np.isnan(values) if asked else None

    def encode(self, values: Any, seen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        events, nats = np.empty(values.shape, dtype=np.float32), np.empty(len(values))
        strange = np.empty(values.shape, dtype=bool)
        for own in self.matrix.blocks(len(values)):
            shown = True if seen is None else seen[own]
            found = self.matrix.measure(values[own])
            strange[own] = found.strange & shown
            events[own] = np.where(shown, found.events, 0.0)
            nats[own] = add_up(np.where(shown, found.log_within, 0.0))
        if strange.any():
            place = int(strange.any(axis=0).argmax())
            row = int(strange[:, place].argmax())
            problem = _describe_strange_real(values[row, place])
            raise UserError(f"row {row + 1}, column {self.names[place]!r}: {problem}")
        return events, nats

    def log_within(self, values: Any, seen: np.ndarray | None) -> np.ndarray:
        nats = np.empty(values.shape)
        for own in self.matrix.blocks(len(values)):
            nats[own] = self.matrix.measure(values[own]).log_within
        return nats if seen is None else np.where(seen, nats, 0.0)

    def columns(self, values: Any) -> Sequence[np.ndarray]:
        return list(values.astype(np.float64).T)

    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> np.ndarray:
        pairs = zip(self.kinds, codes.T, strict=True)
        return np.stack([kind.draw(own, generator) for kind, own in pairs], 1).astype(self.dtype)

    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> np.ndarray:
        own = [None] * len(self.kinds) if values is None else [*values.astype(np.float64).T]
        each = zip(self.kinds, codes.T, own, strict=True)
        columns = [kind.through(coder, events, known) for kind, events, known in each]
        return np.stack(columns, 1).astype(self.dtype)

    def describe(self) -> list[Document]:
        return list(map(_describe_real, self.names, self.reals))


def _describe_strange_real(value: float) -> str:
    """Says what is wrong with a number for which its kind has no room."""
    if np.isnan(value):
        return "a hole, where there was none in training"
    far = f"{value} is a million standard deviations away"
    return far if np.isfinite(value) else "the number is infinite"


def _describe_real(name: str, kind: Real) -> Document:
    low, high = (kind.location + kind.scale * end for end in (kind.edges[0], kind.edges[-1]))
    return {
        "name": name, "kind": "real", "codes": kind.codes, "holes": None if kind.missing else 0, "density": True,
        "range": [f"{low:.6g}", f"{high:.6g}"], "guess": "fractions", "resolution": f"{kind.step:g}" if kind.step else None,
        "override": f"--kind {name}=number|integer|category",
    }  # fmt: skip


class LabelBlock(WholeBlock):
    """The first variable, one of some whole numbers; its values are their places among these."""

    def __init__(self, labels: tuple[int, ...]) -> None:
        if not 1 < len(labels) <= MAX_LABELS or list(labels) != sorted(set(labels)):
            raise ValueError(f"labels are 2 to {MAX_LABELS} different whole numbers in order")
        super().__init__(Category(len(labels)), slice(1), (LABEL,), flat=False)
        self.labels = np.asarray(labels)

    def read(self, opened: Any, asked: bool) -> tuple[np.ndarray, np.ndarray | None]:
        given = opened[:, self.places]
        seen = ~np.isnan(given) if asked else None
        values = np.searchsorted(self.labels, given).clip(max=len(self.labels) - 1)
        unknown = (self.labels[values] != given) & (True if seen is None else seen)
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            known = ", ".join(map(str, self.labels.tolist()))
            raise UserError(f"row {row + 1}, label: {given[row, 0]} is none of {known}")
        return values if seen is None else np.where(seen, values, 0), seen

    def put(self, values: Any, opened: Any) -> None:
        super().put(self.labels[values.astype(np.int64)], opened)

    def numbers(self, values: Any) -> np.ndarray:
        return super().numbers(self.labels[values.astype(np.int64)])

    def spell(self, values: np.ndarray) -> list[str]:
        return [str(self.labels[value]) for value in values]

    def display(self, value: float) -> float | str:
        return str(self.labels[int(value)])

    def describe(self) -> list[Document]:
        levels = [str(label) for label in self.labels.tolist()]
        return [{
            "name": LABEL, "kind": "category", "codes": len(levels), "holes": 0, "levels": levels,
            "guess": "the labels beside the rows", "override": "leave --context and --event out",
        }]  # fmt: skip
