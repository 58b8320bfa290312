"""Tables in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress
from plausibly.data.files.arrow_tables import (
    INDEX_NOTE,
    as_columns,
    frame_of,
    index_to_columns,
    is_row_number,
    level_names,
    refuse_metadata,
    with_index,
)
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.regularity import TextStart, describe_irregularities, describe_spellings
from plausibly.data.files.tables import UTF16_NOTE, frame_fingerprint
from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import (
    RelationWishes,
    check_options,
    follow_relations,
    learn_table_format,
    reserve_unseen,
)
from plausibly.data.labels import names_of
from plausibly.data.relations.relation import Relation
from plausibly.data.sources.rows import Places, Rows, split_events
from plausibly.data.sources.source import MemorySource
from plausibly.errors import UserError


class TableRows(Rows):
    """Rows with names of columns, notes that were `said` of them, and the `dialect` of a text file."""

    names: list[str]
    dialect: Dialect | None
    said: list[str]
    taught: Any
    relations: list[Relation]

    def check(self, kinds: dict[str, str], drop: tuple[str, ...]) -> None:
        check_options(self.names, self.count, kinds, drop)

    @abstractmethod
    def teach(self, train: np.ndarray, seed: int) -> Any:
        """The rows from which the format is learned: some of those at these places."""

    @abstractmethod
    def start(self) -> TextStart:
        """The first bytes of a text file."""

    def learn_format(
        self,
        train: np.ndarray,
        kinds: dict[str, str],
        drop: tuple[str, ...],
        seed: int,
        on_progress: RowProgress,
    ) -> Format:
        self.taught = self.teach(train, seed)
        return learn_table_format(self.taught, self.dialect, kinds, drop, len(train), on_progress)

    def follow(self, format: Format, wishes: RelationWishes) -> Format:
        found, self.relations = follow_relations(format, self.taught, wishes)
        del self.taught
        return found

    def reserve_unseen(self, format: Format, train: Events) -> Format:
        return reserve_unseen(format, train.codes)

    def describe(self, dataset: Dataset) -> None:
        table = dataset.format.table
        assert table is not None
        dataset.relations = self.relations
        dataset.notes += self.said + table.notes(self.whole)
        if self.dialect is not None:
            odd = describe_irregularities(self.start(), self.count, table)
            dataset.notes += describe_spellings(self.whole, spelled_columns(dataset)) + odd
            if not table.dropped:
                dataset.regular = not odd and UTF16_NOTE not in self.said


def spelled_columns(dataset: Dataset) -> list[ModelledColumn]:
    """The columns that keep texts of some cells, which they spell otherwise or do not foresee."""
    parts = (dataset.shown, dataset.valid, dataset.test, dataset.calibration)
    held = [part.values for part in parts if part.values is not None]
    pairs = [column_cells(dataset.format.blocks, values) for values in held]
    return [
        found[0][0]
        for found in zip(*pairs, strict=True)
        if any(cells.texts is not None for _, cells in found)
    ]


class FrameRows(TableRows):
    """A table that is in memory."""

    def __init__(
        self,
        whole: Any,
        said: Sequence[str],
        dialect: Dialect | None = None,
        suffix: str = "",
        contents: bytes = b"",
    ) -> None:
        self.whole, self.said, self.dialect = whole, list(said), dialect
        self.names, self.count = names_of(whole), len(whole)
        self.suffix, self.contents = suffix, contents

    def series(self, name: str) -> Any:
        return self.whole[self.whole.columns[self.names.index(name)]]

    def teach(self, train: np.ndarray, seed: int) -> Any:
        return self.whole if len(train) == self.count else self.whole.iloc[train]

    def events(self, format: Format, places: Places, on_progress: RowProgress) -> dict[str, Events]:
        return split_events(format.events(self.whole), places)

    def start(self) -> TextStart:
        return TextStart(self.suffix, self.contents, self.whole)


class Frame(MemorySource):
    """A DataFrame, or what became one."""

    has_columns = True

    @property
    def called(self) -> str:
        return "a table"

    def fingerprint(self) -> str:
        return frame_fingerprint(self.held)

    def digest(self, rows: Rows) -> str:
        return frame_fingerprint(rows.whole)

    def read_rows(self, size: Any, labelled: bool) -> FrameRows:
        index = self.held.index
        if not is_row_number(index):
            said = as_columns(level_names(index))
        else:
            said = [] if list(index) == list(range(len(index))) else [INDEX_NOTE]
        return FrameRows(index_to_columns(self.held), said)

    def frame(self) -> Any:
        return self.held

    def held_out(self, format: Format) -> Any:
        return index_to_columns(self.held) if format.table else self.held


def as_table(source: Any) -> Any:
    """Rows in memory that have named columns as a DataFrame in the machine's order of bytes; whatever else as it is.

    That is a Series, a dictionary of columns, a list of dictionaries, an array of structures, and a table of Arrow, Polars
    and all other libraries that hand over Arrow's columns.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return _with_native_bytes(source)
    if isinstance(source, pd.Series):
        return source.to_frame()
    try:
        if hasattr(source, "columns") and hasattr(source, "__arrow_c_stream__"):
            return _from_arrow(source)
        return _with_native_bytes(pd.DataFrame(source)) if _has_named_columns(source) else source
    except (ValueError, TypeError) as error:
        raise UserError(f"no table can be made of this {type(source).__name__}: {error}") from error


def _from_arrow(source: Any) -> Any:
    import pyarrow as pa

    table = pa.table(source)
    refuse_metadata(table.schema, "this table")
    return frame_of(with_index(table))


def _has_named_columns(source: Any) -> bool:
    """True of structures, dictionaries of columns and lists of dictionaries."""
    if isinstance(source, np.ndarray):
        return bool(source.dtype.names) and not isinstance(source, np.ma.MaskedArray)
    if isinstance(source, list | tuple):
        return len(source) > 0 and all(isinstance(row, Mapping) for row in source)
    # a sparse array of scipy's is a mapping of places
    return isinstance(source, Mapping) and not hasattr(source, "toarray")


def _with_native_bytes(frame: Any) -> Any:
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype == np.longdouble and dtype != np.float64:
            raise UserError(
                f"column {name!r}: numbers of type {dtype} would be rounded; give it as float64"
            )
    if all(map(_is_native, frame.dtypes)):
        return frame
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    for place, dtype in enumerate(frame.dtypes):
        if not _is_native(dtype):
            columns[place] = columns[place].astype(dtype.newbyteorder("="))
    return type(frame)(dict(enumerate(columns)), index=frame.index).set_axis(frame.columns, axis=1)


def _is_native(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype) or dtype.isnative
