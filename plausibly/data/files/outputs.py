"""Files written a piece at a time: an Arrow table for the rows of each piece, then one file of all pieces.

A piece is made where its rows are, which may be another machine; whoever has all pieces joins them.
"""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from plausibly.data.files.spreadsheets import escape_formulas
from plausibly.system.files import delivering_file, writer_for

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


ROWS_PER_GROUP = 200_000  # rows that are written together to a Parquet file


class Output(ABC):
    """A file of rows that is written a piece at a time."""

    @abstractmethod
    def piece(self, rows: Any) -> pa.Table:
        """Some rows, as the file will hold them."""

    @abstractmethod
    def join(self, pieces: Iterable[pa.Table], path: Path) -> None:
        """Writes all pieces, which agree in their columns, to one file: whole or not at all."""

    def guarding(self) -> Output:
        """The same for spreadsheets, which could take texts for formulas; see `files.spreadsheets`."""
        return self

    def write(self, pieces: Iterable[pa.Table], path: Path, guard: bool) -> None:
        """Joins the pieces; with `guard` no spreadsheet takes a text of theirs for a formula."""
        (self.guarding() if guard else self).join(pieces, path)

    def write_all(self, rows: Any, path: Path, guard: bool = False) -> None:
        """The same with rows that are all here."""
        self.write([self.piece(rows)], path, guard)


class TextOutput(Output):
    """Lines of text.

    `print_rows` gives the header line and the lines of some rows as bytes; `guard` makes of these what is written.
    """

    def __init__(
        self,
        print_rows: Callable[[Any], tuple[bytes, bytes]],
        delimiter: str,
        guard: Callable[[Any], Any] = memoryview,
    ) -> None:
        self.print_rows, self.delimiter, self.guard = print_rows, delimiter, guard

    def guarding(self) -> TextOutput:
        return TextOutput(self.print_rows, self.delimiter, self._escape)

    def _escape(self, lines: Any) -> bytes:
        text = bytes(lines).decode("utf-8", "surrogatepass")
        return escape_formulas(text, self.delimiter).encode("utf-8", "surrogatepass")

    def piece(self, rows: Any) -> pa.Table:
        import pyarrow as pa

        header, lines = self.print_rows(rows)
        return pa.table({"header": [header], "lines": pa.array([lines], pa.large_binary())})

    def join(self, pieces: Iterable[pa.Table], path: Path) -> None:
        with delivering_file(path) as draft, _text_file(draft) as file:
            for place, piece in enumerate(pieces):
                if not place:
                    file.write(self.guard(piece["header"][0].as_buffer()))
                file.write(self.guard(piece["lines"][0].as_buffer()))


@contextmanager
def _text_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write bytes to, gzipped where the path says so."""
    with open(path, "wb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            yield packed  # type: ignore[misc]


class ColumnarOutput(Output):
    """A .parquet, .arrow or .feather file. Columns that may have holes take types that can hold them.

    `types` are Arrow's of columns of objects, which show theirs in some rows only.
    """

    def __init__(
        self, suffix: str, holed: Sequence[str] = (), types: Mapping[str, Any] | None = None
    ) -> None:
        self.suffix, self.holed, self.types = suffix, set(holed), types or {}

    def piece(self, rows: Any) -> pa.Table:
        import pyarrow as pa

        wide = {name: _nullable(rows[name].dtype) for name in rows if str(name) in self.holed}
        table = pa.Table.from_pandas(rows.astype(wide), preserve_index=False)
        for place, name in enumerate(table.schema.names):
            if name in self.types and table.schema.types[place] != self.types[name]:
                table = table.set_column(place, name, _as(table.column(place), self.types[name]))
        return table

    def join(self, pieces: Iterable[pa.Table], path: Path) -> None:
        groups = _regroup(pieces, ROWS_PER_GROUP)
        first = next(groups)
        with delivering_file(path) as draft, self._writer(draft, first.schema) as writer:
            for table in chain([first], groups):
                writer.write_table(table)

    def _writer(self, draft: Path, schema: Any) -> Any:
        import pyarrow as pa
        import pyarrow.parquet

        if self.suffix == "parquet":
            return pyarrow.parquet.ParquetWriter(draft, schema)
        return pa.ipc.new_file(
            str(draft), schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        )


def _as(column: Any, kind: Any) -> Any:
    """A column in another of Arrow's types, where that takes all its cells."""
    import pyarrow as pa

    try:
        return column.cast(kind)
    except pa.ArrowException:
        return column


def _nullable(dtype: Any) -> Any:
    """The type of pandas that holds the same and holes, for whole numbers and truths."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iub":
        return dtype
    return "boolean" if dtype.kind == "b" else dtype.name.replace("i", "I").replace("u", "U")


def _regroup(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Tables of at least so many rows, but for the last one."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= rows:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def score_output(path: Path) -> Output:
    """Numbers about rows: a .csv, .tsv or .parquet file (text also .gz). UserError for another suffix."""
    makers: dict[str, Callable[[], Output]] = {
        "csv": lambda: TextOutput(partial(_lines, mark=","), ","),
        "tsv": lambda: TextOutput(partial(_lines, mark="\t"), "\t"),
        "parquet": lambda: ColumnarOutput("parquet"),
    }
    return writer_for(path, makers)()


def _lines(frame: pd.DataFrame, mark: str) -> tuple[bytes, bytes]:
    """The header line and the lines of a frame."""
    header = frame[:0].to_csv(index=False, sep=mark).encode()
    return header, frame.to_csv(index=False, sep=mark, header=False).encode()


class ArrayOutput(Output):
    """Arrays, which `save` writes when all are there."""

    def __init__(self, save: Callable[[np.ndarray, Path], None]) -> None:
        self.save = save

    def piece(self, rows: np.ndarray) -> pa.Table:
        import pyarrow as pa

        held = pa.array([rows.tobytes()], pa.large_binary())
        return pa.table({"type": [rows.dtype.str], "shape": [list(rows.shape)], "rows": held})

    def join(self, pieces: Iterable[pa.Table], path: Path) -> None:
        parts = [piece.to_pylist()[0] for piece in pieces]
        arrays = [
            np.frombuffer(part["rows"], part["type"]).reshape(part["shape"]) for part in parts
        ]
        self.save(np.concatenate(arrays), path)
