"""Tables to learn from: in memory, or in a file too large for it, which is read a piece at a time.

Of a large file the format is learned from some training rows, and training rows keep their codes alone; the rows that the
format was learned from, and the held-out ones, keep their values too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plausibly.data.events import Events, RowProgress, ignore_progress, join_events, pack_events
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.pieces import TableFile, TextFile, counting_rows_from, table_file
from plausibly.data.files.tables import TABLE_SUFFIXES, as_utf8, read_contents
from plausibly.data.formats.format import Format
from plausibly.data.labels import names_of
from plausibly.system.files import suffix_of

LARGE_CELLS = 5_000_000  # cells of a file that is read a piece at a time
SMALL_BYTES = 200_000  # bytes of a file that is read as a whole, whatever it holds
ROWS_PER_PIECE = 65_536
SAMPLE_LINES = 1_000  # of a text file, those that show how it is written
TEACHING_STREAM = 1  # of random numbers, beside the seed: which rows teach the format
FORMAT_ROWS = 200_000  # training rows of a large file from which its format is learned
MAX_HELD_OUT_ROWS = 100_000  # rows of each held-out part of a large file that are looked at


class Source(ABC):
    """A table: `names` of columns, the number of `rows`, and the `dialect` of a text file."""

    names: list[str]
    rows: int
    dialect: Dialect | None

    @abstractmethod
    def series(self, name: str) -> Any:
        """One column."""

    @abstractmethod
    def some(self, places: np.ndarray, seed: int) -> np.ndarray:
        """Those of training's rows from which the format is learned."""

    @abstractmethod
    def frame(self, places: np.ndarray) -> Any:
        """The rows at these places, which rise."""

    @abstractmethod
    def rows_in_memory(self, frame: Any) -> Any:
        """The rows that are in memory: all, or those of the frame that was read of a large file."""

    @abstractmethod
    def events(
        self,
        format: Format,
        places: Mapping[str, np.ndarray],
        shown: np.ndarray,
        on_progress: RowProgress = ignore_progress,
    ) -> dict[str, Events]:
        """Events of each part's rows, which rise; where those of training have no values, those of `shown` besides."""

    @abstractmethod
    def start(self) -> tuple[str, bytes, Any]:
        """The suffix and first bytes of a text file, and a frame of the rows that they hold."""

    def notes(self) -> list[str]:
        """Notes worth knowing on how it is read."""
        return []


class FrameSource(Source):
    def __init__(
        self, source: Any, frame: Any, dialect: Dialect | None, said: Sequence[str] = ()
    ) -> None:
        self.source = source
        self.whole = frame
        self.dialect = dialect
        self.said = list(said)
        self.names = names_of(frame)
        self.rows = len(frame)

    def series(self, name: str) -> Any:
        return self.whole[self.whole.columns[self.names.index(name)]]

    def some(self, places: np.ndarray, seed: int) -> np.ndarray:
        return places

    def frame(self, places: np.ndarray) -> Any:
        return self.whole if len(places) == self.rows else self.whole.iloc[places]

    def rows_in_memory(self, frame: Any) -> Any:
        return self.whole

    def events(
        self,
        format: Format,
        places: Mapping[str, np.ndarray],
        shown: np.ndarray,
        on_progress: RowProgress = ignore_progress,
    ) -> dict[str, Events]:
        whole = format.events(self.whole)
        return split_events(whole, places)

    def start(self) -> tuple[str, bytes, Any]:
        path = Path(self.source)
        return suffix_of(path), as_utf8(read_contents(path), path), self.whole

    def notes(self) -> list[str]:
        return self.said


class StreamSource(Source):
    def __init__(self, file: TableFile) -> None:
        self.file = file
        self.names = file.names
        self.rows = file.rows
        self.dialect = file.as_written() if isinstance(file, TextFile) else None

    def series(self, name: str) -> Any:
        import pandas as pd

        return pd.concat(
            [frame[name] for frame in self.file.frames(ROWS_PER_PIECE)], ignore_index=True
        )

    def some(self, places: np.ndarray, seed: int) -> np.ndarray:
        if len(places) <= FORMAT_ROWS:
            return places
        chance = np.random.default_rng((seed, TEACHING_STREAM))
        return np.sort(chance.choice(places, FORMAT_ROWS, replace=False))

    def frame(self, places: np.ndarray) -> Any:
        import pyarrow as pa

        found = []
        first = 0
        for table in self.file.tables(ROWS_PER_PIECE):
            found.append(table.take(places_in(places, first, len(table))))
            first += len(table)
        return self.file.frame(pa.concat_tables(found))

    def rows_in_memory(self, frame: Any) -> Any:
        return frame

    def events(
        self,
        format: Format,
        places: Mapping[str, np.ndarray],
        shown: np.ndarray,
        on_progress: RowProgress = ignore_progress,
    ) -> dict[str, Events]:
        held = {part: thin_places(rows) for part, rows in places.items() if part != "train"}
        held["shown"] = shown
        kept: dict[str, list[Events]] = {part: [] for part in held}
        train = blank_events(format, len(places["train"]))
        filled = 0
        for first, events in self._pieces(format, on_progress):
            for part, rows in held.items():
                kept[part].append(events[places_in(rows, first, len(events))])
            own = places_in(places["train"], first, len(events))
            train.codes[filled : filled + len(own)] = events.codes[own]
            train.log_within[filled : filled + len(own)] = events.log_within[own]
            filled += len(own)
        return {"train": train} | {part: join_events(pieces) for part, pieces in kept.items()}

    def _pieces(self, format: Format, on_progress: RowProgress) -> Iterator[tuple[int, Events]]:
        """The events of each piece, and the number of rows before it."""
        first = 0
        for frame in self.file.frames(ROWS_PER_PIECE):
            on_progress(first, self.rows)
            with counting_rows_from(first):
                events = format.events(frame)
            yield first, events
            first += len(frame)

    def start(self) -> tuple[str, bytes, Any]:
        assert isinstance(self.file, TextFile)
        return suffix_of(self.file.path), self.file.head(), next(self.file.frames(SAMPLE_LINES))

    def notes(self) -> list[str]:
        said = f"{self.rows:,} rows are read a piece at a time: columns are learned from {FORMAT_ROWS:,} training rows at "
        return [
            *self.file.notes(),
            said + f"most, and of each held-out part {MAX_HELD_OUT_ROWS:,} at most are looked at",
        ]


def open_large(path: Path) -> TableFile | None:
    """The file, where it is read a piece at a time."""
    if (
        not path.is_file()
        or suffix_of(path) not in TABLE_SUFFIXES
        or path.stat().st_size < SMALL_BYTES
    ):
        return None
    file = table_file(path)
    return file if file.cells > LARGE_CELLS and not file.categorical else None


def split_events(whole: Events, places: Mapping[str, np.ndarray]) -> dict[str, Events]:
    """The events of each part; a part that is the whole is no copy."""
    return {
        part: whole if len(rows) == len(whole) else whole[rows] for part, rows in places.items()
    }


def places_in(places: np.ndarray, first: int, rows: int) -> np.ndarray:
    """Which of so many rows from the `first` on are at these places."""
    return np.asarray(places[slice(*np.searchsorted(places, [first, first + rows]))] - first)


def thin_places(places: np.ndarray) -> np.ndarray:
    """Evenly some of the places where there are too many."""
    return places[
        np.linspace(0, len(places) - 1, min(len(places), MAX_HELD_OUT_ROWS)).astype(np.int64)
    ]


def blank_events(format: Format, rows: int) -> Events:
    """Room for so many rows, without values."""
    none = pack_events(np.empty((0, format.schema.size)), format.schema)
    codes = none.new_empty(rows, *format.schema.shape)
    return Events(codes, torch.empty(rows, dtype=torch.float64))
