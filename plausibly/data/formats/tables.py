"""Tables with columns of any type as events: one variable a column that is worth modelling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cells import ColumnValues, join_cells
from plausibly.data.columns.column import Column, lists_to_tuples
from plausibly.data.columns.conditions import condition_cell
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.events import Document, Events, pack_events
from plausibly.data.files import tables
from plausibly.data.files.arrow_tables import index_to_columns
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.outputs import ColumnarOutput, Output, TextOutput
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_columns import (
    column_texts,
    describe_column,
    list_roles,
    merge_cells,
    partial_codes,
    refuse_names,
    reserve_share,
)
from plausibly.data.labels import label_from_json, label_to_json, names_of
from plausibly.errors import UserError
from plausibly.events.schema import Schema
from plausibly.system.files import suffix_of, writer_for

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

MAX_COLUMNS = 100_000


@dataclass
class TableValues:
    """The cells of the modelled columns and the texts of those set aside, by name; a column may be absent."""

    cells: dict[str, ColumnValues]
    aside: dict[str, np.ndarray]
    recorded: bool = True  # else the columns set aside are made anew with the cells that are drawn

    def __getitem__(self, index: Any) -> TableValues:
        cells = {name: column[index] for name, column in self.cells.items()}
        return TableValues(
            cells, {name: texts[index] for name, texts in self.aside.items()}, self.recorded
        )

    @staticmethod
    def concat(parts: Sequence[TableValues]) -> TableValues:
        """Cells of rows one after the other."""
        cells = {name: join_cells([part.cells[name] for part in parts]) for name in parts[0].cells}
        aside = {
            name: np.concatenate([part.aside[name] for part in parts]) for name in parts[0].aside
        }
        return TableValues(cells, aside, parts[0].recorded)


class TableFormat(Format):
    """Columns in the order of the file; `dialect` is None for tables whose cells have types."""

    word = "table"
    tabular = True

    def __init__(
        self,
        columns: Iterable[Column],
        labels: Iterable[Any] = (),
        dialect: Dialect | None = None,
        dropped: Iterable[str] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.labels = tuple(labels) or tuple(column.name for column in self.columns)
        self.dialect, self.dropped = dialect, tuple(dropped)
        self.modelled = tuple(
            column for column in self.columns if isinstance(column, ModelledColumn)
        )
        self.aside = tuple(column for column in self.columns if isinstance(column, AsideColumn))
        if not self.modelled:
            found = list_roles(self.aside) or "there are no columns"
            raise UserError(f"nothing to model: {found}")
        self.names = tuple(column.name for column in self.modelled)
        self.schema = Schema((len(self.modelled),), tuple(column.kind for column in self.modelled))

    def events(self, rows: Any) -> Events:
        return self._events(self._frame(rows, self.names), {}, None)

    def _events(
        self, frame: Any, absent: dict[str, ColumnValues], observed: np.ndarray | None
    ) -> Events:
        cells = {
            c.name: absent[c.name] if c.name in absent else c.cells(frame[c.name])
            for c in self.modelled
        }
        aside = {c.name: c.texts(frame[c.name]) for c in self.aside if c.name in frame}
        return self._assemble(TableValues(cells, aside), len(frame), observed)

    def _assemble(
        self, values: TableValues, rows: int, observed: np.ndarray | None = None
    ) -> Events:
        codes, nats = np.empty((rows, len(self.modelled))), np.zeros(rows)
        for place, column in enumerate(self.modelled):
            cells = values.cells[column.name]
            seen = None if observed is None else observed[:, place]
            codes[:, place] = partial_codes(column, cells, seen)
            nats += column.log_within(cells, seen)
        if observed is None:
            nats += sum(self._constants(values).values(), np.zeros(rows))
        flags = None if observed is None else torch.from_numpy(observed)
        return Events(pack_events(codes, self.schema), torch.from_numpy(nats), values, flags)

    def _constants(self, values: TableValues) -> dict[str, np.ndarray]:
        """log p of the cells of each constant column that is there."""
        there = [
            column for column in self.aside if column.unforeseen and column.name in values.aside
        ]
        return {column.name: column.log_within(values.aside[column.name]) for column in there}

    def besides(self, events: Events) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(nats) for name, nats in self._constants(events.values).items()
        }

    def present(self, rows: Any) -> Collection[str]:
        return set(self._frame(rows, ()).columns)

    def reserve_unseen(self, train: Tensor) -> TableFormat:
        """This format with the probability of a cell never seen, of each column in which none of these codes is one.

        It is the smoothed share of cells that are new, (n1 + 1/2) / (n + 1), with n1 levels seen once.
        """
        codes = self.schema.event_codes(train).numpy()
        columns = [
            column
            if not isinstance(column, ModelledColumn)
            else reserve_share(column, codes[:, self.names.index(column.name)])
            for column in self.columns
        ]
        return TableFormat(columns, self.labels, self.dialect, self.dropped)

    def log_within(self, events: Events) -> Tensor:
        observed = None if events.observed is None else events.observed.numpy()
        nats = np.empty((len(events), len(self.modelled)))
        for place, column in enumerate(self.modelled):
            seen = None if observed is None else observed[:, place]
            nats[:, place] = column.log_within(events.values.cells[column.name], seen)
        return torch.from_numpy(nats)

    def numbers(self, events: Events) -> np.ndarray:
        return np.stack(
            [column.numbers(events.values.cells[column.name]) for column in self.modelled], 1
        )

    def in_units(self, place: int, values: np.ndarray) -> np.ndarray:
        return self.modelled[place].in_units(values)

    def _frame(self, rows: Any, needed: Iterable[str]) -> Any:
        """Rows as a frame with texts for names. UserError where columns are missing or not known."""
        import pandas as pd

        known = {column.name for column in self.columns}
        frame = index_to_columns(
            rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows), known
        )
        frame = frame.set_axis(names_of(frame), axis=1)
        refuse_names(
            [name for name in needed if name not in frame],
            [name for name in frame if name not in known and name not in self.dropped],
        )
        return frame

    def questions(self, rows: Any) -> Events:
        """Every hole is unobserved; a column that is not there at all is unobserved everywhere."""
        frame = self._frame(rows, ())
        observed = np.zeros((len(frame), len(self.modelled)), dtype=bool)
        cells: dict[str, ColumnValues] = {}
        for place, column in enumerate(self.modelled):
            if column.name in frame:
                cells[column.name], observed[:, place] = column.parse_question(frame[column.name])
            else:
                cells[column.name] = ColumnValues(np.full(len(frame), column.other))
        return self._events(frame, cells, observed)

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        import pandas as pd

        columns = {column.name: column for column in self.modelled}
        events = self.questions(
            pd.DataFrame(
                {name: condition_cell(columns[name], value) for name, value in given.items()},
                index=[0],
            )
        )
        events.values.recorded = False
        return events

    def format_values(self, place: int, values: np.ndarray) -> list[str]:
        return self.modelled[place].spell(values)

    def display(self, place: int, value: float) -> float | str:
        return self.modelled[place].display(value)

    def rows(self, events: Events) -> Any:
        import pandas as pd

        texts = self._texts(events, lambda column, cells: column.plain(cells))
        return pd.DataFrame(
            {self.labels[place]: self.columns[place].storage.restore(own) for place, own in texts}
        )

    def file_rows(self, events: Events, path: Path) -> Any:
        if suffix_of(path) not in tables.TEXT_SUFFIXES:
            return self.rows(events)
        import pandas as pd

        texts = self._texts(events, lambda column, cells: column.texts(cells))
        cells = {
            self.labels[place]: self.columns[place].storage.file_texts(own) for place, own in texts
        }
        return pd.DataFrame(cells, dtype=object)

    def _texts(
        self, events: Events, of: Callable[[ModelledColumn, ColumnValues], np.ndarray]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The place of each column that there is, and its texts."""
        values: TableValues = events.values
        for place, column in enumerate(self.columns):
            if isinstance(column, ModelledColumn):
                yield place, of(column, values.cells[column.name])
            elif column.name in values.aside:
                yield place, values.aside[column.name]

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        numbers = codes.numpy().reshape(len(codes), -1)
        cells = {
            c.name: c.draw(numbers[:, place], generator) for place, c in enumerate(self.modelled)
        }
        aside = {
            column.name: column.new_texts(len(codes), generator, before) for column in self.aside
        }
        return self._assemble(TableValues(cells, aside), len(codes))

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        numbers = codes.numpy().reshape(len(codes), -1)
        values: TableValues | None = None if events is None else events.values
        cells = {
            column.name: column.through(
                coder, numbers[:, place], None if values is None else values.cells[column.name]
            )
            for place, column in enumerate(self.modelled)
        }
        aside = {
            column.name: column.through(
                coder,
                len(codes),
                before,
                None if values is None else values.aside.get(column.name),
                values is not None,
            )
            for column in self.aside
        }
        present = {name: texts for name, texts in aside.items() if texts is not None}
        return self._assemble(TableValues(cells, present), len(codes))

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        if events.observed is None:
            return events
        known, drawn = events.values, self.draw(codes, generator, before).values
        seen = events.observed.numpy()
        cells = {
            column.name: merge_cells(
                known.cells[column.name], drawn.cells[column.name], seen[:, place]
            )
            for place, column in enumerate(self.modelled)
        }
        return self._assemble(
            TableValues(cells, known.aside if known.recorded else drawn.aside), len(events)
        )

    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        output = self.output(Path(path))
        output.join([output.piece(rows)], Path(path))

    def output(self, path: Path, across: int | None = None) -> Output:
        holed = [column.name for column in self.modelled if column.kind.missing]
        types = {
            c.name: found
            for c in self.columns
            if (found := c.storage.arrow(getattr(c, "decimals", 9))) is not None
        }
        kinds: dict[str, Output] = {
            name: ColumnarOutput(name, holed, types) for name in ("parquet", "arrow", "feather")
        }
        suffix = suffix_of(path)
        text = TextOutput(partial(self.text_lines, suffix), self.dialect_for(suffix).delimiter)
        return writer_for(path, {"csv": text, "tsv": text} | kinds)

    def text_lines(self, suffix: str, rows: Any) -> tuple[bytes, bytes]:
        """The header line and the lines of a text file with these rows."""
        frame = rows.set_axis(names_of(rows), axis=1)
        columns = {column.name: column for column in self.columns}
        texts = [column_texts(columns.get(name), frame[name], name) for name in frame]
        names, dialect = list(frame), self.dialect_for(suffix)
        return dialect.first_line(names), dialect.lines(names, texts)

    def dialect_for(self, suffix: str) -> Dialect:
        """The dialect of such a file: training's, but tabs go to .tsv and to no other."""
        dialect = self.dialect or Dialect()
        delimiter = "," if dialect.delimiter == "\t" else dialect.delimiter
        return replace(dialect, delimiter="\t" if suffix == "tsv" else delimiter)

    def describe(self) -> list[Document]:
        return [describe_column(column) for column in self.columns]

    def fields(self) -> Document:
        dialect = None if self.dialect is None else asdict(self.dialect)
        columns, kept = (
            [column.to_json() for column in self.columns],
            [label_to_json(label) for label in self.labels],
        )
        return {
            "columns": columns,
            "labels": kept,
            "dialect": dialect,
            "dropped": list(self.dropped),
        }

    @classmethod
    def from_fields(cls, fields: Document) -> TableFormat:
        if len(fields["columns"]) > MAX_COLUMNS or len(fields["labels"]) != len(fields["columns"]):
            raise ValueError("too many columns, or labels that do not fit them")
        columns = [Column.from_json(document) for document in fields["columns"]]
        dialect = (
            None if fields["dialect"] is None else Dialect(**lists_to_tuples(fields["dialect"]))
        )
        return cls(columns, map(label_from_json, fields["labels"]), dialect, fields["dropped"])
