"""Tables in text files: cells separated by a mark, below a header line. They stay texts; an empty one is a hole."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import IO, Any

from plausibly.data.files.dialects import (
    SNIFF_BYTES,
    Dialect,
    learn_dialect,
    sniff_dialect,
    without_gaps,
)
from plausibly.data.files.tables import (
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
from plausibly.data.sources.table_files import TableFile
from plausibly.errors import UserError
from plausibly.system.files import suffix_of

BLOCK_BYTES = 8 << 20  # bytes of a text file that are parsed at once
MARK_BYTES = 16  # bytes at most before the header, of a byte order mark and a line `sep=;`


class TextFile(TableFile):
    """A .csv, .tsv or .txt file."""

    @cached_property
    def contents(self) -> bytes:
        """All of it in UTF-8, which is kept."""
        return as_utf8(read_contents(self.path), self.path)

    @cached_property
    def wide(self) -> bool:
        """True where it is in UTF-16."""
        with self._open_plain() as file:
            return is_utf16(file.read(4))

    @contextmanager
    def _open_plain(self) -> Iterator[IO[bytes]]:
        with open(self.path, "rb") as packed:
            squeezed = packed.read(2) == b"\x1f\x8b" or self.path.suffix.lower() == ".gz"
            packed.seek(0)
            with gzip.open(packed) if squeezed else packed as file:
                yield file  # type: ignore[misc]

    @contextmanager
    def _open_utf8(self) -> Iterator[IO[bytes]]:
        """The file's bytes, from memory where they are there or in UTF-16."""
        if "contents" in self.__dict__ or self.wide:
            yield io.BytesIO(self.contents)
            return
        with self._open_plain() as file:
            yield file

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The bytes from the header on; all at once where spaces behind delimiters have to go."""
        dialect, start = self._plain
        with self._open_utf8() as file:
            file.read(start)
            yield io.BytesIO(without_gaps(file.read(), dialect)) if dialect.gap else file

    @cached_property
    def _plain(self) -> tuple[Dialect, int]:
        """The dialect, quotes aside, and where the header begins."""
        with self.explain_errors(), self._open_utf8() as file:
            begin = file.read(SNIFF_BYTES + MARK_BYTES)
        refuse_encoding(begin.partition(b"\n")[0], self.path)
        dialect, start = sniff_dialect(begin, suffix_of(self.path) == "tsv")
        if not begin[start:].strip():
            raise UserError(f"{self.path} is empty; it needs a header line and rows below it")
        return dialect, start

    @cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        with self._open() as file:
            return column_header(file, self._plain[0], self.path)

    @cached_property
    def written(self) -> Dialect:  # type: ignore[override]
        """The dialect with the quotes of the first lines."""
        with self.explain_errors(), self._open() as file:
            return learn_dialect(file.read(SNIFF_BYTES + 1), self._plain[0])

    @cached_property
    def marks(self) -> tuple[int, int]:
        """The number of ends of lines, and that of quotes."""
        lines = quotes = 0
        with self.explain_errors(), self._open() as file:
            while block := file.read(BLOCK_BYTES):
                lines, quotes = lines + block.count(b"\n"), quotes + block.count(b'"')
        return lines, quotes

    @property
    def about(self) -> int:  # type: ignore[override]
        """More than there are where cells hold ends of lines."""
        return max(self.marks[0] - 1, 0)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        with self.explain_errors():
            return sum(batch.num_rows for batch in self.batches(0, ["0"]))

    def table_notes(self) -> list[str]:
        return [UTF16_NOTE] if self.wide else []

    def head(self) -> bytes:
        if "contents" in self.__dict__:
            return self.contents
        with self.explain_errors(), self._open_utf8() as file:
            return file.read(BLOCK_BYTES)

    def frame(self) -> Any:
        import pyarrow.csv

        refuse_encoding(self.contents, self.path)
        dialect, names = self._plain[0], self.names
        with self._open() as file:
            data = file.read()
        if data.count(b'"') % 2:
            refuse_ragged(io.BytesIO(data), names, dialect, self.path)
        with self.explain_errors():
            table = pyarrow.csv.read_csv(io.BytesIO(data), **text_options(dialect, len(names)))
        if not table.num_rows:
            raise UserError(f"{self.path} has a header line but no rows")
        return self.show(table)

    def batches(self, rows: int, columns: list[str] | None = None) -> Iterator[Any]:
        """Batches of a block each, whatever the number of `rows`."""
        import pyarrow.csv

        if self.marks[1] % 2:
            raise self.file_error(ValueError("a quote is not closed"))
        options = text_options(self._plain[0], len(self.names), columns, BLOCK_BYTES)
        with self._open() as file, pyarrow.csv.open_csv(file, **options) as reader:
            yield from (batch for batch in reader if batch.num_rows)

    def show(self, table: Any) -> Any:
        return text_frame(self.names, table)

    def file_error(self, error: Exception) -> UserError:
        """Which line is wrong, as far as it can be told."""
        if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error):
            return UserError(f"{self.path} is not a whole gzip file ({error}); fetch it again")
        if isinstance(error, OSError):
            return UserError(f"cannot read {self.path}: {error.strerror or error}")
        with self._open() as file:
            refuse_ragged(file, self.names, self._plain[0], self.path)
        refuse_encoding(self.contents, self.path)
        return UserError(f"{self.path} cannot be read: {error}")
