"""Blocks of tables: a column that is one variable of the event, and one that is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.columns import guessing
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.column import Column
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.typed_cells import read_cells
from plausibly.data.events import Document
from plausibly.data.formats.block import Block, Variable
from plausibly.events.kinds import Grid, Real

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


@dataclass
class OpenFrame:
    """Rows by the names of their columns, of which any may be absent.

    anew: those that are no variables are made with the cells that are drawn. spelled: cells are to be texts for a file.
    """

    rows: int
    columns: dict[str, Any] = field(default_factory=dict)
    anew: bool = False
    spelled: bool = False

    def __len__(self) -> int:
        return self.rows


def category_of(index: np.ndarray, texts: np.ndarray) -> Any:
    """The texts at some places, None for holes, as a column that holds each of them once."""
    import pandas as pd

    places, distinct = pd.factorize(texts)
    return pd.Categorical.from_codes(places[index], pd.Index(distinct, dtype=object))


class ColumnBlock(Block):
    """A column that is worth modelling: a block of one variable."""

    def __init__(self, column: ModelledColumn, place: int) -> None:
        self.column, self.places = column, slice(place, place + 1)
        self.kinds, self.names = (column.kind,), (column.name,)

    @property
    def variables(self) -> Sequence[Variable]:
        return (self.column,)

    def read(self, opened: Any, asked: bool) -> tuple[ColumnValues, np.ndarray | None]:
        name, column = self.column.name, self.column
        if asked and name not in opened.columns:
            nothing = np.zeros((len(opened), 1), dtype=bool)
            return ColumnValues(np.full(len(opened), column.other)), nothing
        cells, known = read_cells(column, opened.columns[name], asked)
        return cells, None if known is None else known[:, None]

    def put(self, values: ColumnValues, opened: Any) -> None:
        column = self.column
        if opened.spelled:
            index, texts = column.spell_cells(values)
            found = category_of(index, column.storage.file_texts(texts))
        else:
            found = column.storage.restore(column.plain(values))
        opened.columns[column.name] = found

    def encode(self, values: ColumnValues, seen: np.ndarray | None) -> tuple[np.ndarray, Any]:
        kind, known = self.column.kind, slice(None) if seen is None else seen[:, 0]
        events = np.zeros((len(values.values), 1))
        events[known, 0] = kind.standardise(values.values[known])
        return events, self.log_within(values, seen)[:, 0]

    def columns(self, values: ColumnValues) -> Sequence[np.ndarray]:
        return [values.values] if isinstance(self.column.kind, Grid | Real) else ()

    def log_within(self, values: ColumnValues, seen: np.ndarray | None) -> np.ndarray:
        return self.column.log_within(values, None if seen is None else seen[:, 0])[:, None]

    def numbers(self, values: ColumnValues) -> np.ndarray:
        return self.column.numbers(values)[:, None]

    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> ColumnValues:
        return self.column.draw(codes[:, 0], generator)

    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> ColumnValues:
        return self.column.through(coder, codes[:, 0], values)

    def merge(self, known: ColumnValues, drawn: ColumnValues, seen: np.ndarray) -> ColumnValues:
        own, texts = seen[:, 0], None
        if known.texts is not None or drawn.texts is not None:
            texts = np.where(own, known.all_texts, drawn.all_texts)
        return ColumnValues(np.where(own, known.values, drawn.values), texts)

    def describe(self) -> list[Document]:
        return [describe_column(self.column, self.column.kind.codes)]


@dataclass
class AsideTexts:
    """The texts of a column that is no variable; None where it is absent, or, `anew`, where nobody recorded it."""

    texts: np.ndarray | None
    anew: bool = False

    def __getitem__(self, index: Any) -> AsideTexts:
        return self if self.texts is None else AsideTexts(self.texts[index])

    @staticmethod
    def join(parts: Sequence[AsideTexts]) -> AsideTexts:
        """Rows one after the other."""
        known = [part.texts for part in parts if part.texts is not None]
        return AsideTexts(np.concatenate(known)) if known else parts[0]


class AsideBlock(Block):
    """A column that is no variable: its texts are kept, and made anew for drawn rows."""

    def __init__(self, column: AsideColumn) -> None:
        self.column = column

    def read(self, opened: Any, asked: bool) -> tuple[AsideTexts, np.ndarray | None]:
        series = opened.columns.get(self.column.name)
        texts = None if series is None else self.column.texts(series)
        return AsideTexts(texts, opened.anew), np.empty((len(opened), 0), bool) if asked else None

    def put(self, values: AsideTexts, opened: Any) -> None:
        if values.texts is None:
            return
        storage, texts = self.column.storage, values.texts
        opened.columns[self.column.name] = (
            category_of(np.arange(len(texts)), storage.file_texts(texts))
            if opened.spelled
            else storage.restore(texts)
        )

    def log_beside(self, values: AsideTexts) -> dict[str, np.ndarray]:
        """The log p of the cells of a constant."""
        if not self.column.unforeseen or values.texts is None:
            return {}
        return {self.column.name: self.column.log_within(values.texts)}

    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> AsideTexts:
        return AsideTexts(self.column.new_texts(len(codes), generator, before))

    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> AsideTexts:
        texts = None if values is None else values.texts
        return AsideTexts(self.column.through(coder, len(codes), before, texts, values is not None))

    def merge(self, known: AsideTexts, drawn: AsideTexts, seen: np.ndarray) -> AsideTexts:
        return drawn if known.anew else known

    def describe(self) -> list[Document]:
        return [describe_column(self.column, None)]


def describe_column(column: Column, codes: int | None) -> Document:
    """A column's entry of the report."""
    start = {"name": column.name, "kind": column.word, "codes": codes, "holes": column.holes}
    found = start | column.details()
    passed = (found["kind"], "boolean", "text", "constant")
    others = [word for word in guessing.KIND_WORDS if word not in passed]
    return found | {"guess": column.why, "override": f"--kind {column.name}={'|'.join(others)}"}


def column_cells(
    blocks: Sequence[Block], values: Sequence[Any] | None
) -> list[tuple[ModelledColumn, ColumnValues]]:
    """The columns that are variables of a table, in their order, and their cells."""
    pairs = zip(blocks, values or (), strict=True)
    return [(block.column, own) for block, own in pairs if isinstance(block, ColumnBlock)]
