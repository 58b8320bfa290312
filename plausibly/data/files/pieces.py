"""Tables in files, read a piece at a time: frames of a fixed number of rows, as if cut from the whole frame.

A cell must not look otherwise because of the piece that it is in. So the types of columns are those that the whole table
has in memory, which may depend on whether a column has a hole anywhere.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from plausibly.data.files.arrow_tables import frame_of, index_notes, labels_of, with_index
from plausibly.data.files.dialects import (
    SNIFF_BYTES,
    Dialect,
    learn_dialect,
    sniff_dialect,
    without_gaps,
)
from plausibly.data.files.tables import (
    TEXT_SUFFIXES,
    UTF16_NOTE,
    as_utf8,
    column_header,
    is_utf16,
    read_contents,
    refuse_encoding,
    refuse_ragged,
    text_frame,
    text_options,
)
from plausibly.data.labels import label_text
from plausibly.errors import UserError
from plausibly.system.files import suffix_of

BLOCK_BYTES = 8 << 20  # bytes of a text file that are parsed at once
BUFFER_BYTES = 1 << 20  # bytes of a Parquet column that are read at once


class TableFile(ABC):
    """A file with a table; its `dialect` is None where cells have types."""

    dialect: Dialect | None = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the columns."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of rows."""

    @property
    def about(self) -> int:
        """The number of rows, or nearly, found without taking the cells apart."""
        return self.rows

    @property
    def cells(self) -> int:
        """About how many cells there are."""
        return self.about * len(self.names)

    @property
    def categorical(self) -> bool:
        """True where a column names its categories, which may differ from piece to piece."""
        return False

    def notes(self) -> list[str]:
        """Notes on what of the file is no part of the table."""
        return []

    @abstractmethod
    def batches(self, rows: int) -> Iterator[Any]:
        """Arrow tables or batches of about so many rows, or fewer."""

    @abstractmethod
    def frame(self, table: Any) -> Any:
        """An Arrow table of some of the rows as the whole frame would show them."""

    def tables(self, rows: int) -> Iterator[Any]:
        """Arrow tables of exactly so many rows each, but for the last one. UserError where the file is broken."""
        with self.explain_errors():
            yield from _rechunk(self.batches(rows), rows)

    def frames(self, rows: int) -> Iterator[Any]:
        """The same as frames."""
        return map(self.frame, self.tables(rows))

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Turns what Arrow says of a broken file into one line."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
            if isinstance(error, UserError):
                raise
            raise self.file_error(error) from error

    def file_error(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is not a whole {suffix_of(self.path)} file: {str(error).splitlines()[0]}"
        )


def table_file(path: Path) -> TableFile:
    """The file of that path, by its suffix."""
    suffix = suffix_of(path)
    return (
        TextFile(path)
        if suffix in TEXT_SUFFIXES
        else ParquetFile(path)
        if suffix == "parquet"
        else ArrowFile(path)
    )


@contextmanager
def counting_rows_from(first: int) -> Iterator[None]:
    """Counts rows, where one of a piece is wrong, from the start of the file."""
    try:
        yield
    except UserError as error:
        moved = re.sub(r"^row (\d+)", lambda found: f"row {int(found[1]) + first}", str(error))
        if moved == str(error):
            raise
        raise UserError(moved) from error


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


class TextFile(TableFile):
    """Cells separated by a mark, below a header line. They stay texts; an empty one is a hole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.explain_errors(), self._open_utf8() as file:
            start = file.read(SNIFF_BYTES + 1)
        refuse_encoding(start.partition(b"\n")[0], path)
        self.dialect, self._start = sniff_dialect(start, suffix_of(path) == "tsv")
        if not start[self._start :].strip():
            raise UserError(f"{path} is empty; it needs a header line and rows below it")
        with self._open() as file:
            self._names = column_header(file, self.dialect, path)

    @property
    def names(self) -> list[str]:
        return self._names

    def notes(self) -> list[str]:
        return [UTF16_NOTE] * self._wide

    @contextmanager
    def _open_utf8(self) -> Iterator[IO[bytes]]:
        """The file's bytes, all at once where they are in UTF-16."""
        with self._plain() as file:
            start = file.read(4)
            self._wide = is_utf16(start)
            file.seek(0)
            yield io.BytesIO(as_utf8(file.read(), self.path)) if self._wide else file

    @contextmanager
    def _plain(self) -> Iterator[IO[bytes]]:
        with open(self.path, "rb") as packed:
            squeezed = packed.read(2) == b"\x1f\x8b" or self.path.suffix.lower() == ".gz"
            packed.seek(0)
            with gzip.open(packed) if squeezed else packed as file:
                yield file  # type: ignore[misc]

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The bytes from the header on; all at once where spaces behind delimiters have to go."""
        assert self.dialect is not None
        with self._open_utf8() as file:
            file.read(self._start)
            yield io.BytesIO(without_gaps(file.read(), self.dialect)) if self.dialect.gap else file

    def head(self) -> bytes:
        """The first block."""
        with self.explain_errors(), self._open_utf8() as file:
            return file.read(BLOCK_BYTES)

    def as_written(self) -> Dialect:
        """The dialect with the quotes of the first lines."""
        assert self.dialect is not None
        with self.explain_errors(), self._open() as file:
            return learn_dialect(file.read(BLOCK_BYTES), self.dialect)

    @cached_property
    def marks(self) -> tuple[int, int]:
        """The number of ends of lines, and that of quotes."""
        with self.explain_errors(), self._open() as file:
            found = [
                (block.count(b"\n"), block.count(b'"'))
                for block in iter(lambda: file.read(BLOCK_BYTES), b"")
            ]
        return sum(lines for lines, _ in found), sum(quotes for _, quotes in found)

    @property
    def about(self) -> int:
        """More than there are where cells hold ends of lines."""
        return max(self.marks[0] - 1, 0)

    @cached_property
    def rows(self) -> int:
        with self.explain_errors():
            return sum(batch.num_rows for batch in self.batches(0, ["0"]))

    def batches(self, rows: int, columns: list[str] | None = None) -> Iterator[Any]:
        """Batches of a block each, whatever the number of `rows`."""
        if self.marks[1] % 2:
            raise self.file_error(ValueError("a quote is not closed"))
        yield from self._parse(columns)

    def _parse(self, columns: list[str] | None) -> Iterator[Any]:
        import pyarrow.csv

        assert self.dialect is not None
        options = text_options(self.dialect, len(self.names), columns, BLOCK_BYTES)
        with self._open() as file, pyarrow.csv.open_csv(file, **options) as reader:
            yield from (batch for batch in reader if batch.num_rows)

    def frame(self, table: Any) -> Any:
        return text_frame(self.names, table)

    def file_error(self, error: Exception) -> UserError:
        """Which line is wrong, as far as it can be told."""
        if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error):
            return UserError(f"{self.path} is not a whole gzip file ({error}); fetch it again")
        assert self.dialect is not None
        with self._open() as file:
            refuse_ragged(file, self.names, self.dialect, self.path)
        refuse_encoding(as_utf8(read_contents(self.path), self.path), self.path)
        return UserError(f"{self.path} cannot be read: {error}")


class ColumnarFile(TableFile):
    """A table whose columns have types; `schema` is Arrow's, of the file."""

    schema: Any

    @cached_property
    def _empty_table(self) -> Any:
        """The empty table, with its index as columns."""
        return with_index(self.schema.empty_table())

    @property
    def names(self) -> list[str]:
        return [label_text(label) for label in labels_of(self._empty_table.schema)]

    @property
    def categorical(self) -> bool:
        import pyarrow as pa

        return any(pa.types.is_dictionary(kind) for kind in self.schema.types)

    def tables(self, rows: int) -> Iterator[Any]:
        first = 0
        for table in super().tables(rows):
            yield with_index(table.replace_schema_metadata(self.schema.metadata), first)
            first += len(table)

    def frame(self, table: Any) -> Any:
        return frame_of(table)

    def notes(self) -> list[str]:
        return index_notes(self.schema)


class ParquetFile(ColumnarFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.explain_errors(), self._open() as file:
            self.metadata, self.schema = file.metadata, file.schema_arrow

    def _open(self) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=BUFFER_BYTES)

    @property
    def rows(self) -> int:
        return int(self.metadata.num_rows)

    def batches(self, rows: int) -> Iterator[Any]:
        with self._open() as file:
            yield from file.iter_batches(batch_size=rows)


class ArrowFile(ColumnarFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.explain_errors(), self._open() as file:
            self.schema = file.schema

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa

        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            yield reader

    @cached_property
    def rows(self) -> int:
        with self.explain_errors():
            return sum(batch.num_rows for batch in self.batches(0))

    def batches(self, rows: int) -> Iterator[Any]:
        """The file's own batches, whatever the number of `rows`."""
        with self._open() as file:
            yield from map(file.get_batch, range(file.num_record_batches))
