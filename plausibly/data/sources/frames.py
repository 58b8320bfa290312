"""Tables in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress
from plausibly.data.files.arrow_tables import (
    INDEX_NOTE,
    as_columns,
    index_to_columns,
    is_row_number,
    level_names,
)
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.regularity import TextStart, describe_irregularities, describe_spellings
from plausibly.data.files.tables import UTF16_NOTE, frame_fingerprint
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import check_options, describe_table, learn_table_format
from plausibly.data.formats.tables import TableFormat
from plausibly.data.labels import names_of
from plausibly.data.relations import find_relations
from plausibly.data.sources.rows import Places, Rows, split_events
from plausibly.data.sources.source import MemorySource


class TableRows(Rows):
    """Rows with names of columns, notes that were `said` of them, and the `dialect` of a text file."""

    dialect: Dialect | None
    said: list[str]

    def check(self, kinds: dict[str, str], drop: tuple[str, ...]) -> None:
        check_options(self.names, self.count, kinds, drop)

    @abstractmethod
    def teach(self, train: np.ndarray, seed: int) -> Any:
        """The rows from which the format is learned: some of those at these places."""

    @abstractmethod
    def start(self) -> TextStart:
        """The first bytes of a text file."""

    def learn_format(
        self, train: np.ndarray, kinds: dict[str, str], drop: tuple[str, ...], seed: int
    ) -> Format:
        return learn_table_format(self.teach(train, seed), self.dialect, kinds, drop, len(train))

    def reserve_unseen(self, format: TableFormat, train: Events) -> TableFormat:
        return format.reserve_unseen(train.codes)

    def describe(self, dataset: Dataset) -> None:
        format = dataset.format
        dataset.relations = find_relations(format, dataset.shown)
        told = [f"{each}; --drop {each.column} leaves it out" for each in dataset.relations]
        dataset.notes += told + self.said + describe_table(format)
        if self.dialect is not None:
            odd = describe_irregularities(self.start(), self.count, format)
            dataset.notes += describe_spellings(self.whole, format) + odd
            if not format.dropped:
                dataset.regular = not odd and UTF16_NOTE not in self.said


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
        return index_to_columns(self.held) if format.tabular else self.held
