"""A block: some variables of an event that are read, coded and written together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from plausibly.data.events import Document
from plausibly.events.kinds import Kind

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


class Variable(Protocol):
    """Tells the values of one variable as people read them."""

    def spell(self, values: np.ndarray) -> list[str]:
        """The texts of a category's values, as they are written."""

    def display(self, value: float) -> float | str:
        """A number among the values, or between two, as one reads it."""

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Values of the kind, or numbers between, in the variable's own units."""


class Block(ABC):
    """Variables at `places` of the flat event, of these `kinds`; there may be none.

    Its `values` are what it needs to give the cells of rows back: any type that can be indexed, an array or one with a
    static `join`. Where the block is `exact` they are the codes, (rows, variables). `opened` is what the container makes of
    rows, and `seen`, bool (rows, variables), tells which cells are known; None: all are. What has no variables inherits all
    that is asked of each. Of one that follows from others, `parents` are their places among the blocks: all that speaks of
    codes is asked of what it is `given` their values.
    """

    places: slice | np.ndarray = slice(0)
    kinds: tuple[Kind, ...] = ()
    names: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    exact = False

    @property
    def variables(self) -> Sequence[Variable]:
        """For each variable what tells its values."""
        return ()

    def given(self, values: Sequence[Any]) -> Block:
        """The block of rows of which its parents' values are these."""
        return self

    @abstractmethod
    def read(self, opened: Any, asked: bool) -> tuple[Any, np.ndarray | None]:
        """The values of rows, and where they are `asked`, in which case any may be a hole, which are known.

        UserError names the row (from 1) and the column of what cannot be recorded.
        """

    @abstractmethod
    def put(self, values: Any, opened: Any) -> None:
        """Puts the cells of rows where `read` found them."""

    def encode(self, values: Any, seen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Events, (rows, variables) with 0 where they are not seen, and the sum of `log_within`, (rows,)."""
        return np.empty(0), np.zeros(1)

    def columns(self, values: Any) -> Sequence[np.ndarray]:
        """The values of each variable as its kind has them, (rows,) each, where that is a kind of numbers; else nothing."""
        return ()

    def log_within(self, values: Any, seen: np.ndarray | None) -> np.ndarray:
        """log p(value | code) of each variable, (rows, variables) nats; 0 where it is not seen."""
        return np.empty(0)

    def log_beside(self, values: Any) -> dict[str, np.ndarray]:
        """log p of each cell, (rows,) nats, of a column that is no variable and yet says how plausible a row is, by name."""
        return {}

    def numbers(self, values: Any) -> np.ndarray:
        """Each value in its variable's own units, (rows, variables); NaN for what is none foreseen."""
        return np.empty(0)

    @abstractmethod
    def draw(self, codes: np.ndarray, generator: np.random.Generator, before: int) -> Any:
        """Values drawn inside codes, of rows that come after `before` others."""

    @abstractmethod
    def through(self, coder: Coder, codes: np.ndarray, values: Any, before: int) -> Any:
        """Passes through a coder what codes leave open of values, None where they are to be told; the values."""

    @abstractmethod
    def merge(self, known: Any, drawn: Any, seen: np.ndarray) -> Any:
        """The known values where they are seen, the drawn elsewhere."""

    @abstractmethod
    def describe(self) -> list[Document]:
        """Entries of the column report."""
