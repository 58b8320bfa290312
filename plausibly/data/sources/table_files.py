"""Tables in files, read whole or a piece at a time: frames of a fixed number of rows, as if cut from the whole frame.

A cell must not look otherwise because of the piece that it is in. So the types of columns are those that the whole table
has in memory, which may depend on whether a column has a hole anywhere. Of a large file the format is learned from some
training rows, and training rows keep their codes alone; the rows that the format was learned from, and the held-out ones,
keep their values too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from plausibly.data.events import Events, RowProgress, event_dtype, join_events
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.regularity import TextStart
from plausibly.data.formats.format import Format
from plausibly.data.sources.frames import FrameRows, TableRows
from plausibly.data.sources.rows import Places, counting_rows_from
from plausibly.data.sources.source import FileSource
from plausibly.errors import UserError
from plausibly.system.files import suffix_of

LARGE_CELLS = 5_000_000  # cells of a file that is read a piece at a time
ROWS_PER_PIECE = 65_536
SAMPLE_LINES = 1_000  # of a text file, those that show how it is written
TEACHING_STREAM = 1  # of random numbers, beside the seed: which rows teach the format
FORMAT_ROWS = 200_000  # training rows of a large file from which its format is learned
MAX_HELD_OUT_ROWS = 100_000  # rows of each held-out part of a large file that are looked at


class TableFile(FileSource):
    """A file with a table: `names` of columns, the number of rows, `count`, or nearly, found without taking cells apart.

    categorical: whether a column names its categories, which may differ from piece to piece. written: how a text file is.
    """

    has_columns = True
    names: list[str]
    count: int
    about: int
    categorical: bool = False
    written: Dialect | None = None

    @abstractmethod
    def table_notes(self) -> list[str]:
        """Notes on how it is read, and on what of the file is no part of the table."""

    @abstractmethod
    def frame(self) -> Any:
        """The table. UserError where the file is broken."""

    @abstractmethod
    def batches(self, rows: int) -> Iterator[Any]:
        """Arrow tables or batches of about so many rows, or fewer."""

    @abstractmethod
    def show(self, table: Any) -> Any:
        """An Arrow table of some of the rows as the whole frame would show them."""

    def head(self) -> bytes:
        """The first bytes of a text file."""
        return b""

    def array(self) -> np.ndarray:
        frame = self.frame()
        for name in frame:
            try:
                frame[name] = frame[name].astype("float64")
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"{self.path}, column {name!r}: not all cells are numbers ({error})"
                ) from error
        return np.asarray(frame.to_numpy())

    def pieces(self, format: Format, rows: int) -> Iterator[Any]:
        if format.table:
            return self.frames(rows)
        return super().pieces(format, rows)

    def estimate_rows(self, format: Format) -> int:
        return self.about if format.table else 0

    def read_rows(self, size: Any, labelled: bool) -> TableRows:
        return StreamRows(self) if self.is_large() else self.read_whole()

    def read_whole(self) -> FrameRows:
        """All rows, to learn from."""
        return FrameRows(self.frame(), self.table_notes())

    def is_large(self) -> bool:
        """True where the file is learned from a piece at a time."""
        return self.about * len(self.names) > LARGE_CELLS and not self.categorical

    def tables(self, rows: int) -> Iterator[Any]:
        """Arrow tables of exactly so many rows each, but for the last one. UserError where the file is broken."""
        with self.explain_errors():
            yield from _rechunk(self.batches(rows), rows)

    def frames(self, rows: int) -> Iterator[Any]:
        """The same as frames."""
        return map(self.show, self.tables(rows))

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Turns what Arrow says of a broken file into one line."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise self.file_error(error) from error

    def file_error(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is not a whole {suffix_of(self.path)} file: {str(error).splitlines()[0]}"
        )


def _rechunk(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Tables of exactly `rows` rows, but for the last one."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch]))
        if sum(map(len, waiting)) < rows:
            continue
        whole = pa.concat_tables(waiting)
        last = len(whole) - len(whole) % rows
        yield from (whole.slice(start, rows) for start in range(0, last, rows))
        waiting = [whole.slice(last)] if last < len(whole) else []
    if waiting:
        yield pa.concat_tables(waiting)


class StreamRows(TableRows):
    """A table in a file too large for memory."""

    def __init__(self, file: TableFile) -> None:
        self.file, self.names, self.count, self.dialect = file, file.names, file.count, file.written
        self.said = [
            *file.table_notes(),
            f"{self.count:,} rows are read a piece at a time: columns are learned from {FORMAT_ROWS:,} training rows at "
            f"most, and of each held-out part {MAX_HELD_OUT_ROWS:,} at most are looked at",
        ]

    def series(self, name: str) -> Any:
        import pandas as pd

        frames = self.file.frames(ROWS_PER_PIECE)
        return pd.concat([frame[name] for frame in frames], ignore_index=True)

    def teach(self, train: np.ndarray, seed: int) -> Any:
        import pyarrow as pa

        if len(train) > FORMAT_ROWS:
            chance = np.random.default_rng((seed, TEACHING_STREAM))
            train = np.sort(chance.choice(train, FORMAT_ROWS, replace=False))
        found, first = [], 0
        for table in self.file.tables(ROWS_PER_PIECE):
            found.append(table.take(places_in(train, first, len(table))))
            first += len(table)
        self.shown, self.whole = train, self.file.show(pa.concat_tables(found))
        return self.whole

    def kept(self, places: Places) -> Places:
        thin = {part: thin_places(rows) for part, rows in places.items() if part != "train"}
        return {"train": places["train"], **thin, "shown": self.shown}

    def events(self, format: Format, places: Places, on_progress: RowProgress) -> dict[str, Events]:
        held = {part: rows for part, rows in self.kept(places).items() if part != "train"}
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
            on_progress(first * len(self.names), self.count * len(self.names))
            with counting_rows_from(first):
                events = format.events(frame)
            yield first, events
            first += len(frame)

    def start(self) -> TextStart:
        first = next(self.file.frames(SAMPLE_LINES))
        return TextStart(suffix_of(self.file.path), self.file.head(), first)


def places_in(places: np.ndarray, first: int, rows: int) -> np.ndarray:
    """Which of so many rows from the `first` on are at these places."""
    return np.asarray(places[slice(*np.searchsorted(places, [first, first + rows]))] - first)


def thin_places(places: np.ndarray) -> np.ndarray:
    """Evenly some of the places where there are too many."""
    kept = min(len(places), MAX_HELD_OUT_ROWS)
    return places[np.linspace(0, len(places) - 1, kept).astype(np.int64)]


def blank_events(format: Format, rows: int) -> Events:
    """Room for so many rows, without values."""
    codes = np.empty((rows, *format.schema.shape), dtype=event_dtype(format.schema))
    return Events(torch.from_numpy(codes), torch.empty(rows, dtype=torch.float64))
