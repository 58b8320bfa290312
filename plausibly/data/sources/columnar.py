"""Tables in files whose columns have types: Parquet and Arrow."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from plausibly.data.files.arrow_messages import measure_batches
from plausibly.data.files.arrow_tables import (
    frame_of,
    index_notes,
    labels_of,
    refuse_metadata,
    refuse_types,
    validate,
    with_index,
)
from plausibly.data.files.tables import read_contents
from plausibly.data.formats.frame_container import refuse_repeated
from plausibly.data.labels import label_text
from plausibly.data.sources.table_files import TableFile
from plausibly.system.memory import refuse_bomb

BUFFER_BYTES = 1 << 20  # bytes of a Parquet column that are read at once
CELL_BYTES = 8  # bytes of a cell in memory, of most types
BOMB_ADVICE = "write it again without compression, if that is right"


class ColumnarFile(TableFile):
    """A file whose columns have types."""

    @property
    def packed(self) -> bool:
        """True where it is gzipped as a whole."""
        return self.path.suffix.lower() == ".gz"

    @cached_property
    def schema(self) -> Any:
        """Arrow's schema. UserError where the file is broken, or claims more than any data become."""
        with self.explain_errors():
            schema = self.read_schema()
            refuse_repeated(schema.names, self.path)
            claimed_bytes = self.measure_claims(schema)
            refuse_bomb(self.path, self.path.stat().st_size, claimed_bytes, BOMB_ADVICE)
            refuse_types(schema, self.path)
            refuse_metadata(schema, self.path)
        return schema

    @abstractmethod
    def read_schema(self) -> Any:
        """Arrow's schema."""

    @abstractmethod
    def measure_claims(self, schema: Any) -> int:
        """The bytes that the file claims to unpack to."""

    @abstractmethod
    def parse(self, file: Any) -> Any:
        """An open file as an Arrow table."""

    @abstractmethod
    def read_batches(self, rows: int) -> Iterator[Any]:
        """Arrow batches of about so many rows, or fewer, which may be damaged."""

    def frame(self) -> Any:
        schema = self.schema  # which is refused before its rows are unpacked
        with self.explain_errors():
            table = validate(self.parse(io.BytesIO(read_contents(self.path))))
            return frame_of(with_index(table.replace_schema_metadata(schema.metadata)))

    def batches(self, rows: int) -> Iterator[Any]:
        # the schema is refused before rows are unpacked
        return map(validate, self.read_batches(rows)) if len(self.schema) else iter(())

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

    def _open(self, **options: Any) -> Any:
        import pyarrow.parquet

        file = io.BytesIO(read_contents(self.path)) if self.packed else self.path
        return pyarrow.parquet.ParquetFile(
            file, pre_buffer=False, buffer_size=BUFFER_BYTES, **options
        )

    def read_schema(self) -> Any:
        with self._open() as file:
            return file.schema_arrow

    def measure_claims(self, schema: Any) -> int:
        import pyarrow as pa

        plain = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
        texts = [name for name in schema.names if schema.field(name).type in plain]
        with self._open(read_dictionary=texts) as file:
            sizes = file.metadata
            groups = [sizes.row_group(place) for place in range(sizes.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            cells = sizes.num_rows * sizes.num_columns * CELL_BYTES
            repeated = sum(
                group.num_rows * measure_texts(file, place, texts)
                for place, group in enumerate(groups)
            )
            return max(unpacked, cells, repeated)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        with self.explain_errors(), self._open() as file:
            return int(file.metadata.num_rows)

    def parse(self, file: Any) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.read_table(file)

    def read_batches(self, rows: int) -> Iterator[Any]:
        with self._open() as file:
            yield from file.iter_batches(batch_size=rows)


def measure_texts(file: Any, group: int, columns: list[str]) -> int:
    """The bytes of a row's texts in a group of rows, as if all that its dictionaries list were equally frequent."""
    first = next(file.iter_batches(1, row_groups=[group], columns=columns), None)
    found = [] if first is None else [column.dictionary for column in first.columns]
    return sum(texts.nbytes // max(len(texts), 1) for texts in found)


class ArrowFile(ColumnarFile):
    """An .arrow or .feather file."""

    @contextmanager
    def _open_bytes(self) -> Iterator[Any]:
        import pyarrow as pa

        whole = pa.BufferReader(read_contents(self.path)) if self.packed else None
        with whole or pa.memory_map(str(self.path)) as file:
            yield file

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa

        with self._open_bytes() as file, pa.ipc.open_file(file) as reader:
            yield reader

    def read_schema(self) -> Any:
        with self._open() as file:
            return file.schema

    def measure_claims(self, schema: Any) -> int:
        with self._open_bytes() as file:
            sizes = measure_batches(file)
        unpacked = sum(size.unpacked_bytes for size in sizes)
        return max(unpacked, sum(size.rows for size in sizes) * len(schema) * CELL_BYTES)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        with self.explain_errors():
            return sum(batch.num_rows for batch in self.batches(0))

    def parse(self, file: Any) -> Any:
        import pyarrow.feather

        return pyarrow.feather.read_table(file)

    def read_batches(self, rows: int) -> Iterator[Any]:
        """The file's own batches, whatever the number of `rows`."""
        with self._open() as file:
            yield from map(file.get_batch, range(file.num_record_batches))
