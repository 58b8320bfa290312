"""Blocks of columns that follow from others: values are the column's own cells, codes what the relation leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.events import Document
from plausibly.data.formats.block import Variable
from plausibly.data.formats.column_blocks import ColumnBlock, describe_column
from plausibly.data.relations.following import Follower
from plausibly.data.relations.residuals import Residual
from plausibly.errors import UserError
from plausibly.events.kinds import MISSING

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


class FollowingBlock(ColumnBlock):
    """A column that follows from those at `parents`, which bear these names."""

    def __init__(
        self,
        column: ModelledColumn,
        place: int,
        follower: Follower,
        parents: Mapping[int, ModelledColumn],
    ) -> None:
        super().__init__(column, place)
        self.follower, self.parents, self.others = follower, tuple(parents), tuple(parents.values())
        self.kinds = (follower.residual.kind,)

    def given(self, values: Sequence[ColumnValues]) -> ExpectingBlock:
        columns = {column.name: column for column in (self.column, *self.others)}
        cells = {c.name: own for c, own in zip(self.others, values, strict=True)}
        return ExpectingBlock(self, self.follower.expect(columns, cells))

    def describe(self) -> list[Document]:
        found = describe_column(self.column, self.kinds[0].codes)
        return [found | {"follows": self.follower.relation.text}]


class ExpectingBlock(ColumnBlock):
    """The same, of rows of which the parents expect these values."""

    def __init__(self, block: FollowingBlock, expected: np.ndarray) -> None:
        super().__init__(block.column, 0)
        self.places = block.places
        self.kinds, self.residual, self.expected = block.kinds, block.follower.residual, expected

    @property
    def variables(self) -> Sequence[Variable]:
        return (RestoredVariable(self.column, self.residual, self.expected),)

    @cached_property
    def left(self) -> ModelledColumn:
        """The column of what is left, whose cells have the same texts."""
        return replace(self.column, kind=self.residual.kind)

    def _leave(self, cells: ColumnValues) -> tuple[ColumnValues, np.ndarray]:
        values, places = self.residual.leave(cells.values, self.expected)
        return ColumnValues(values, cells.texts), places

    def columns(self, values: ColumnValues) -> Sequence[np.ndarray]:
        return [self._leave(values)[0].values] if self.kinds[0].ordered else ()

    def encode(self, values: ColumnValues, seen: np.ndarray | None) -> tuple[np.ndarray, Any]:
        known = slice(None) if seen is None else seen[:, 0]
        left, _ = self._leave(values)
        events = np.zeros((len(left.values), 1))
        events[known, 0] = self.kinds[0].standardise(left.values[known])
        return events, self.log_within(values, seen)[:, 0]

    def log_within(self, values: ColumnValues, seen: np.ndarray | None) -> np.ndarray:
        left, _ = self._leave(values)
        nats = self.left.log_within(left)
        nats -= np.where(self.column.foresees(values.values), self._log_sizes, 0.0)
        return nats[:, None] if seen is None else np.where(seen, nats[:, None], 0.0)

    @cached_property
    def _log_sizes(self) -> np.ndarray:
        return np.log(self.residual.sizes(self.expected))

    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> ColumnValues:
        left = self.kinds[0].draw(codes[:, 0], generator)
        places = generator.integers(0, self.residual.sizes(self.expected))
        values = self.residual.restore(left, places, self.expected)
        return self.column.dress(self.column.within_type(values), generator)

    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> ColumnValues:
        left, places = (None, None) if values is None else self._leave(values)
        found = self.left.through(coder, codes[:, 0], left)
        sizes = self.residual.sizes(self.expected)
        own = self.column.foresees(found.values)
        inside = np.zeros(len(sizes), dtype=np.int64)
        inside[own] = coder.below(sizes[own], None if places is None else places[own])
        restored = self.residual.restore(found.values, inside, self.expected)
        return ColumnValues(restored, found.texts)


@dataclass(frozen=True)
class RestoredVariable:
    """Tells what is left of a column as the column's own values, in rows of which these are expected."""

    column: ModelledColumn
    residual: Residual
    expected: np.ndarray

    def codes_of(self, level: int) -> np.ndarray:
        """The code of one of the column's levels in each row."""
        return self.residual.locate(np.full(len(self.expected), level), self.expected)

    def refuse_holes(self) -> None:
        """UserError where a hole is expected, which numbers say nothing of."""
        if (self.expected == MISSING).any():
            raise UserError(
                f"{self.column.name!r} is most likely a hole, by what it follows from; ask a run fitted without this relation"
            )

    def spell(self, values: np.ndarray) -> list[str]:
        return self.column.spell(self.residual.locate(values, self.expected))

    def display(self, value: float) -> float | str:
        return self.column.display(float(self.residual.locate(np.array([value]), self.expected)[0]))

    def in_units(self, values: np.ndarray) -> np.ndarray:
        return self.column.in_units(self.residual.locate(values, self.expected))
