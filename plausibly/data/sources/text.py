"""Tables in text files: cells separated by a mark, below a header line. They stay texts; an empty one is a hole."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from plausibly.data.files.dialects import (
    SNIFF_BYTES,
    Dialect,
    learn_dialect,
    sniff_dialect,
    without_gaps,
)
from plausibly.data.files.tables import UTF16_NOTE, read_contents
from plausibly.data.sources.frames import FrameRows
from plausibly.data.sources.table_files import TableFile
from plausibly.errors import UserError, count_phrase
from plausibly.system.files import suffix_of

BLOCK_BYTES = 8 << 20  # bytes of a text file that are parsed at once
MARK_BYTES = 16  # bytes at most before the header, of a byte order mark and a line `sep=;`
PROBE_BYTES = 1000  # bytes, for those that no text has
UTF32 = b"\xff\xfe\x00\x00"
ICONV_ADVICE = "`iconv -f {} -t UTF-8` converts it"


class TextFile(TableFile):
    """A .csv, .tsv or .txt file, gzipped or not."""

    @cached_property
    def contents(self) -> bytes:
        """All of it in UTF-8, which is kept in memory. UserError where a mark says UTF-16, and is wrong."""
        data = read_contents(self.path)
        if not is_utf16(data):
            return data
        try:
            return data.decode("utf-16").encode()
        except UnicodeError as error:
            raise UserError(
                f"{self.path} begins as UTF-16 does, but is not: {error}; write it as UTF-8"
            ) from error

    @contextmanager
    def _open_plain(self) -> Iterator[IO[bytes]]:
        with open(self.path, "rb") as packed:
            squeezed = packed.read(2) == b"\x1f\x8b" or self.path.suffix.lower() == ".gz"
            packed.seek(0)
            with gzip.open(packed) if squeezed else packed as file:
                yield file  # type: ignore[misc]

    @cached_property
    def wide(self) -> bool:
        """True where it is in UTF-16."""
        with self._open_plain() as file:
            return is_utf16(file.read(4))

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The file's bytes, from memory where they are there or in UTF-16."""
        if "contents" in self.__dict__ or self.wide:
            yield io.BytesIO(self.contents)
            return
        with self._open_plain() as file:
            yield file

    @contextmanager
    def _open_lines(self) -> Iterator[IO[bytes]]:
        """The bytes from the header on; all at once where spaces behind delimiters have to go."""
        dialect, start = self._plain
        with self._open() as file:
            file.read(start)
            yield io.BytesIO(without_gaps(file.read(), dialect)) if dialect.gap else file

    @cached_property
    def _plain(self) -> tuple[Dialect, int]:
        """The dialect, quotes aside, and where the header begins."""
        with self.explain_errors(), self._open() as file:
            begin = file.read(SNIFF_BYTES + MARK_BYTES)
        refuse_encoding(begin.partition(b"\n")[0], self.path)
        dialect, start = sniff_dialect(begin, suffix_of(self.path) == "tsv")
        if not begin[start:].strip():
            raise UserError(f"{self.path} is empty; it needs a header line and rows below it")
        return dialect, start

    def _cells(self, file: IO[bytes], strict: bool = False) -> Any:
        """A reader of the cells of lines; bytes that are no UTF-8 are read on."""
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", errors="surrogateescape")
        return csv.reader(text, delimiter=self._plain[0].delimiter, strict=strict)

    @cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        with self._open_lines() as file:
            header: list[str] = next(self._cells(file), [])
        if repeated := sorted({name for name in header if header.count(name) > 1}):
            raise UserError(
                f"{self.path} has more than one column named {repeated[0]!r}; rename one"
            )
        return header

    @cached_property
    def written(self) -> Dialect:  # type: ignore[override]
        """The dialect with the quotes of the first lines."""
        with self.explain_errors(), self._open_lines() as file:
            return learn_dialect(file.read(SNIFF_BYTES + 1), self._plain[0])

    @cached_property
    def marks(self) -> tuple[int, int]:
        """The number of ends of lines, and that of quotes."""
        lines = quotes = 0
        with self.explain_errors(), self._open_lines() as file:
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
        with self.explain_errors(), self._open() as file:
            return file.read(BLOCK_BYTES)

    def read_whole(self) -> FrameRows:
        whole, suffix = self.frame(), suffix_of(self.path)
        return FrameRows(whole, self.table_notes(), self.written, suffix, self.contents)

    def frame(self) -> Any:
        import pyarrow.csv

        refuse_encoding(self.contents, self.path)
        with self._open_lines() as file:
            data = file.read()
        if data.count(b'"') % 2:
            self._refuse_ragged()
        with self.explain_errors():
            table = pyarrow.csv.read_csv(io.BytesIO(data), **self._options())
        if not table.num_rows:
            raise UserError(f"{self.path} has a header line but no rows")
        return self.show(table)

    def batches(self, rows: int, columns: list[str] | None = None) -> Iterator[Any]:
        """Batches of a block each, whatever the number of `rows`."""
        import pyarrow.csv

        if self.marks[1] % 2:
            raise self.file_error(ValueError("a quote is not closed"))
        options = self._options(columns, BLOCK_BYTES)
        with self._open_lines() as file, pyarrow.csv.open_csv(file, **options) as reader:
            yield from (batch for batch in reader if batch.num_rows)

    def _options(
        self, included: list[str] | None = None, block_bytes: int | None = None
    ) -> dict[str, Any]:
        """The options by which Arrow reads cells as texts, of columns that are named by their places."""
        import pyarrow as pa
        from pyarrow import csv

        places = [str(place) for place in range(len(self.names))]
        return {
            "read_options": csv.ReadOptions(
                column_names=places, skip_rows_after_names=1, block_size=block_bytes
            ),
            "parse_options": csv.ParseOptions(
                delimiter=self._plain[0].delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(places) > 1,
            ),
            "convert_options": csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()),
                strings_can_be_null=False,
                include_columns=included,
            ),
        }

    def show(self, table: Any) -> Any:
        import pandas as pd

        columns = [column.to_pandas() for column in table.columns]
        return pd.DataFrame(dict(zip(self.names, [c.mask(c == "") for c in columns], strict=True)))

    def file_error(self, error: Exception) -> UserError:
        """Which line is wrong, as far as it can be told."""
        if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error):
            return UserError(f"{self.path} is not a whole gzip file ({error}); fetch it again")
        if isinstance(error, OSError):
            return UserError(f"cannot read {self.path}: {error.strerror or error}")
        self._refuse_ragged()
        refuse_encoding(self.contents, self.path)
        return UserError(f"{self.path} cannot be read: {error}")

    def _refuse_ragged(self) -> None:
        """UserError with the number of the first line that does not fit the header."""
        with self._open_lines() as file:
            reader, before, cells = self._cells(file, True), self._plain[0].said, len(self.names)
            try:
                for row in reader:
                    if row and len(row) != cells:
                        raise UserError(
                            f"{self.path}, line {reader.line_num + before}: "
                            f"{count_phrase(len(row), 'cell')}, but the header has {cells}"
                        )
            except csv.Error as error:
                raise UserError(f"{self.path}, line {reader.line_num + before}: {error}") from error


def is_utf16(data: bytes) -> bool:
    """True where the mark of UTF-16 begins a file."""
    return data[:2] in (b"\xff\xfe", b"\xfe\xff") and data[:4] != UTF32


def refuse_encoding(data: bytes, path: Path) -> None:
    """UserError with the first line that is not UTF-8, and what would convert the file."""
    some = data[:PROBE_BYTES]
    if data[:4] == UTF32 or 4 * some.count(0) > len(some):
        guess = "UTF-32" if data[:4] == UTF32 else "UTF-16LE" if 0 in some[1::2] else "UTF-16BE"
        raise UserError(f"{path} is not UTF-8; if it is {guess}, {ICONV_ADVICE.format(guess)}")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        guess = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "ISO-8859-1"
        where = f"line {line}, byte {error.start}"
        raise UserError(
            f"{path} is not UTF-8: {where}; if it is {guess}, {ICONV_ADVICE.format(guess)}"
        ) from error
