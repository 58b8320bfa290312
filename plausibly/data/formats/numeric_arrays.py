"""Arrays of numbers in columns, modelled as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from plausibly.data.events import Document, Events
from plausibly.data.files.arrays import as_array, write_rows
from plausibly.data.formats import tables
from plausibly.data.formats.format import Format
from plausibly.errors import UserError, as_number, count_phrase

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


class NumericArrayFormat(Format):
    """A matrix of any numbers: a table whose columns are called 0, 1, ..."""

    word = "numeric-array"

    def __init__(self, table: tables.TableFormat, dtype: str) -> None:
        if np.dtype(dtype).kind not in "biuf":
            raise ValueError(f"no array of numbers is of type {dtype}")
        self.table, self.dtype = table, dtype
        self.schema, self.names = table.schema, table.names

    def _frame(self, rows: Any) -> Any:
        array = as_array(rows)
        width = len(self.table.columns)
        if array.ndim != 2 or array.shape[1] != width:
            raise UserError(
                f"rows of shape {array.shape[1:]}, but the model knows rows of {count_phrase(width, 'number')}"
            )
        return to_frame(array)

    def events(self, rows: Any) -> Events:
        return self.table.events(self._frame(rows))

    def questions(self, rows: Any) -> Events:
        return self.table.questions(self._frame(rows))

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        return self.table.parse_question(
            {name: as_number(value, name) for name, value in given.items()}
        )

    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        return self.table.format_values(place, values)

    def display(self, place: int, value: float) -> float | str:
        return self.table.display(place, value)

    def log_within(self, events: Events) -> Tensor:
        return self.table.log_within(events)

    def numbers(self, events: Events) -> np.ndarray:
        return self.table.numbers(events)

    def in_units(self, place: int, values: np.ndarray) -> np.ndarray:
        return self.table.in_units(place, values)

    def rows(self, events: Events) -> np.ndarray:
        frame = self.table.rows(events)
        holed = frame.isna().to_numpy().any()
        dtype = "float64" if holed and np.dtype(self.dtype).kind != "f" else self.dtype
        holes = {"na_value": np.nan} if holed else {}  # where there are none, old pandas refuses it
        try:
            array: np.ndarray = frame.to_numpy(dtype=dtype, **holes)
        except (ValueError, OverflowError):  # some cells are beyond the type of training's
            array = frame.to_numpy(dtype=object, na_value=np.nan).astype(np.float64)
        return array

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        return self.table.draw(codes, generator, before)

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        return self.table.through(coder, codes, events, before)

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        return self.table.fill(events, codes, generator, before)

    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        write_rows(rows, Path(path))

    def describe(self) -> list[Document]:
        return self.table.describe()

    def fields(self) -> Document:
        return {"table": self.table.fields(), "dtype": self.dtype}

    @classmethod
    def from_fields(cls, fields: Document) -> NumericArrayFormat:
        return cls(tables.TableFormat.from_fields(fields["table"]), fields["dtype"])


def to_frame(rows: np.ndarray) -> Any:
    """A matrix as a table, in the machine's order of bytes, which pandas needs."""
    import pandas as pd

    names = [str(place) for place in range(rows.shape[1])]
    return pd.DataFrame(rows.astype(rows.dtype.newbyteorder("="), copy=False), columns=names)
