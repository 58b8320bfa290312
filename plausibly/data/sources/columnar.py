"""Tables in files whose columns have types: Parquet and Arrow."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from plausibly.data.files.arrow_tables import frame_of, index_notes, labels_of, with_index
from plausibly.data.files.tables import read_contents
from plausibly.data.labels import label_text
from plausibly.data.sources.table_files import TableFile

BUFFER_BYTES = 1 << 20  # bytes of a Parquet column that are read at once


class ColumnarFile(TableFile):
    """A file whose `schema` is Arrow's."""

    schema: Any

    @property
    def packed(self) -> bool:
        """True where it is gzipped as a whole."""
        return self.path.suffix.lower() == ".gz"

    @abstractmethod
    def parse(self, file: Any) -> Any:
        """An open file as an Arrow table."""

    def frame(self) -> Any:
        with self.explain_errors():
            return frame_of(with_index(self.parse(io.BytesIO(read_contents(self.path)))))

    @cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        empty = with_index(self.schema.empty_table())
        return [label_text(label) for label in labels_of(empty.schema)]

    @property
    def about(self) -> int:  # type: ignore[override]
        return self.count

    @property
    def categorical(self) -> bool:  # type: ignore[override]
        import pyarrow as pa

        return any(pa.types.is_dictionary(kind) for kind in self.schema.types)

    def tables(self, rows: int) -> Iterator[Any]:
        first = 0
        for table in super().tables(rows):
            yield with_index(table.replace_schema_metadata(self.schema.metadata), first)
            first += len(table)

    def show(self, table: Any) -> Any:
        return frame_of(table)

    def table_notes(self) -> list[str]:
        return index_notes(self.schema)


class ParquetFile(ColumnarFile):
    """A .parquet file."""

    def _open(self) -> Any:
        import pyarrow.parquet

        file = io.BytesIO(read_contents(self.path)) if self.packed else self.path
        return pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)

    @cached_property
    def _described(self) -> tuple[Any, int]:
        with self.explain_errors(), self._open() as file:
            return file.schema_arrow, int(file.metadata.num_rows)

    @property
    def schema(self) -> Any:
        return self._described[0]

    @property
    def count(self) -> int:  # type: ignore[override]
        return self._described[1]

    def parse(self, file: Any) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.read_table(file)

    def batches(self, rows: int) -> Iterator[Any]:
        with self._open() as file:
            yield from file.iter_batches(batch_size=rows)


class ArrowFile(ColumnarFile):
    """An .arrow or .feather file."""

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa

        whole = pa.BufferReader(read_contents(self.path)) if self.packed else None
        with whole or pa.memory_map(str(self.path)) as file, pa.ipc.open_file(file) as reader:
            yield reader

    @cached_property
    def schema(self) -> Any:
        with self.explain_errors(), self._open() as file:
            return file.schema

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        with self.explain_errors():
            return sum(batch.num_rows for batch in self.batches(0))

    def parse(self, file: Any) -> Any:
        import pyarrow.feather

        return pyarrow.feather.read_table(file)

    def batches(self, rows: int) -> Iterator[Any]:
        """The file's own batches, whatever the number of `rows`."""
        with self._open() as file:
            yield from map(file.get_batch, range(file.num_record_batches))
