"""The interface of every source of data to the rest of the package: events out of rows, and the same rows again.

An event is a row as models see it: one code a variable, or a real number standardised. What it leaves out, `log_within`
weighs and `values` keeps, so that `rows(events(rows))` gives equal values, dtypes and order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from plausibly.data.events import Document, Events
from plausibly.data.files.outputs import ArrayOutput, Output
from plausibly.errors import UserError
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

MALFORMED_ERRORS = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)


class Format(ABC):
    """The only code that knows the outside world; learned from training rows, kept as JSON."""

    word: ClassVar[str]
    tabular: ClassVar[bool] = False  # whether rows are tables
    labelled: ClassVar[bool] = False  # whether a label stands before each row
    known: ClassVar[dict[str, type[Format]]] = {}
    schema: Schema
    names: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        Format.known[cls.word] = cls

    @abstractmethod
    def events(self, rows: Any) -> Events:
        """Events of `rows`. UserError names the row (from 1) and the column of what cannot be recorded."""

    @abstractmethod
    def log_within(self, events: Events) -> Tensor:
        """log p(value | code) of each variable, (n, variables) float64 nats.

        A row's sum, and what `besides` says, is its `log_within`.
        """

    def besides(self, events: Events) -> dict[str, Tensor]:
        """log p of the cells of columns that are no variables and yet say how plausible a row is, each (n,), by name."""
        return {}

    def present(self, rows: Any) -> Collection[str]:
        """Names of variables that these rows have, if only as holes."""
        return self.names

    @abstractmethod
    def numbers(self, events: Events) -> np.ndarray:
        """Each value as a number in its variable's own units, (n, variables) float64; NaN for what is none foreseen."""

    def in_units(self, place: int, values: np.ndarray) -> np.ndarray:
        """Values of a variable's kind, or numbers between, as its `numbers`."""
        return values

    def without(self, events: Events, variables: Sequence[int]) -> Events:
        """Events whose `log_within` leaves these variables out."""
        if not variables:
            return events
        return replace(
            events,
            log_within=events.log_within - self.log_within(events)[:, list(variables)].sum(1),
        )

    def picture(self) -> tuple[slice, Schema] | None:
        """Which variables make up an image, and its schema; None where rows are no images."""
        return (slice(None), self.schema) if len(self.schema.shape) == 3 else None

    @abstractmethod
    def rows(self, events: Events) -> Any:
        """The rows of `events`: equal values, dtypes and order."""

    def file_rows(self, events: Events, path: Path) -> Any:
        """The rows of events as a file of that suffix holds them: each cell of a text file as it is spelled."""
        return self.rows(events)

    @abstractmethod
    def questions(self, rows: Any) -> Events:
        """As `events`, but every hole is an unobserved cell (code 0, observed False)."""

    @abstractmethod
    def parse_question(self, given: Mapping[str, Any]) -> Events:
        """A question of one row in which only the given variables, by name, are observed. Values may be texts."""

    @abstractmethod
    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        """The texts of a category's values, as they are written."""

    @abstractmethod
    def display(self, place: int, value: float) -> float | str:
        """A number among a variable's values, or between two, as one reads it."""

    @abstractmethod
    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        """Events with values drawn inside `codes`, (n, *schema.shape) of any dtype.

        They come after `before` others, for columns that number their rows.
        """

    @abstractmethod
    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        """Questions answered: unobserved cells take values drawn inside `codes`, observed cells stay as they are."""

    @abstractmethod
    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        """Passes through a coder what the codes of rows leave open of their `events`; the events.

        They come after `before` others.
        """

    def reshape(self, rows: Any) -> Any:
        """The rows of an array that may be flat, in their shape."""
        return rows

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        """The height and width of images, whether they are coloured, and the bits of deep gray. UserError for others."""
        raise UserError(f"a folder of images has other rows than the {self.word} of the model")

    @abstractmethod
    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        """Writes rows to a file whose suffix says how; whole or not at all. Of images, `across` go to a line of a grid."""

    def output(self, path: Path, across: int | None = None) -> Output:
        """An output that writes rows to such a file a piece at a time. UserError lists the suffixes that can be written."""
        return ArrayOutput(partial(self.write, across=across))

    @abstractmethod
    def describe(self) -> list[Document]:
        """The column report: for each column its name, kind, codes, what was guessed, and how to override it."""

    @abstractmethod
    def fields(self) -> Document:
        """Everything needed to build this format again, as JSON."""

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: Document) -> Format:
        """The inverse of `fields`."""

    def to_json(self) -> Document:
        return {"format": self.word, **self.fields()}

    @staticmethod
    def from_json(document: Document) -> Format:
        """The format that wrote `document`. UserError where it is malformed."""
        try:
            kind = Format.known[document["format"]]
            return kind.from_fields(
                {key: value for key, value in document.items() if key != "format"}
            )
        except UserError:
            raise
        except MALFORMED_ERRORS as error:
            raise UserError(
                f"this does not describe a data format: {type(error).__name__}: {error}"
            ) from error
