"""Tables in text files: cells separated by a mark, below a header line. They stay texts; an empty one is a hole."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

from plausibly.data.files.dialects import (
    SNIFF_BYTES,
    Dialect,
    learn_dialect,
    sniff_dialect,
    without_gaps,
)
from plausibly.data.files.tables import UTF16_NOTE, open_contents, read_contents
from plausibly.data.formats.frame_container import refuse_repeated
from plausibly.data.sources.frames import FrameRows
from plausibly.data.sources.table_files import TableFile
from plausibly.errors import UserError, count_phrase
from plausibly.system.files import suffix_of

BLOCK_BYTES = 8 << 20  # bytes of a text file that are parsed at once, and that a row may have
LARGE_BYTES = 256 << 20  # unpacked bytes of a file that is read a piece at a time
MARK_BYTES = 16  # bytes at most before the header, of a byte order mark and a line `sep=;`
PROBE_BYTES = 1000  # bytes, for those that no text has
UTF32 = b"\xff\xfe\x00\x00"
TOO_LONG = f"it is longer than {BLOCK_BYTES >> 20} MiB, as no row may be; a line ends each row"
# what the reader of cells says, by how it begins
CELL_ERRORS = {"unexp": "a quote is not closed", "field": f"a quote is not closed, or {TOO_LONG}"}
ICONV_ADVICE = "`iconv -f {} -t UTF-8` converts it"


class TextMarks(NamedTuple):
    """The numbers of bytes, ends of lines and quotes from the header of a text file on."""

    size: int
    lines: int
    quotes: int


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

    @cached_property
    def wide(self) -> bool:
        """True where it is in UTF-16."""
        with open_contents(self.path) as file:
            return is_utf16(file.read(4))

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The file's bytes, from memory where they are there or in UTF-16."""
        if "contents" in self.__dict__ or self.wide:
            yield io.BytesIO(self.contents)
            return
        with open_contents(self.path) as file:
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
        refuse_wide(begin.partition(b"\n")[0], self.path)
        dialect, start = sniff_dialect(begin, suffix_of(self.path) == "tsv")
        if not begin[start:].strip():
            raise UserError(f"{self.path} is empty; it needs a header line and rows below it")
        return dialect, start

    @contextmanager
    def _reading_cells(self, strict: bool = False) -> Iterator[Any]:
        """A reader of the cells of lines; bytes that are no UTF-8 are read on."""
        before = csv.field_size_limit(BLOCK_BYTES)
        try:
            with self._open_lines() as file:
                text = io.TextIOWrapper(file, "utf-8", newline="", errors="surrogateescape")
                yield csv.reader(text, delimiter=self._plain[0].delimiter, strict=strict)
        finally:
            csv.field_size_limit(before)

    @cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        header = self._read_header()
        refuse_repeated(header, self.path)
        return header

    def _read_header(self) -> list[str]:
        if not self.marks.size:
            return []
        try:
            with self._reading_cells() as reader:
                header: list[str] = next(reader, [])
            "".join(header).encode()
        except (csv.Error, UnicodeEncodeError) as error:
            self._refuse_encoding()
            raise self._line_error(1, CELL_ERRORS.get(str(error)[:5], error)) from error
        if "\0" in "".join(header):  # behind which Arrow leaves out a row
            raise self._line_error(1, "a column's name holds a byte that is 0")
        return header

    @cached_property
    def written(self) -> Dialect:  # type: ignore[override]
        """The dialect with the quotes of the first lines."""
        with self.explain_errors(), self._open_lines() as file:
            return learn_dialect(file.read(SNIFF_BYTES + 1), self._plain[0])

    @cached_property
    def marks(self) -> TextMarks:
        """The numbers of its bytes, ends of lines and quotes. UserError for a line that is longer than a row may be."""
        lines = quotes = size = 0
        with self.explain_errors(), self._open_lines() as file:
            while block := file.read(BLOCK_BYTES):
                ends = block.count(b"\n")
                if not ends and len(block) == BLOCK_BYTES and b"\r" not in block:
                    raise self._line_error(lines + 1, TOO_LONG)
                lines, quotes = lines + ends, quotes + block.count(b'"')
                size += len(block)
        return TextMarks(size, lines, quotes)

    def is_large(self) -> bool:
        return super().is_large() or self.marks.size > LARGE_BYTES

    @property
    def about(self) -> int:  # type: ignore[override]
        """More than there are where cells hold ends of lines."""
        return max(self.marks.lines - 1, 0)

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
        contents, suffix = self.contents, suffix_of(self.path)
        return FrameRows(self.frame(), self.table_notes(), self.written, suffix, contents)

    def frame(self) -> Any:
        import pyarrow.csv

        if self.marks.quotes % 2:
            self._refuse_ragged()
        with self.explain_errors(), self._open_lines() as file:
            table = pyarrow.csv.read_csv(file, **self._options())
        if not table.num_rows:
            raise UserError(f"{self.path} has a header line but no rows")
        return self.show(table)

    def batches(self, rows: int, columns: list[str] | None = None) -> Iterator[Any]:
        """Batches of a block each, whatever the number of `rows`."""
        import pyarrow.csv

        if self.marks.quotes % 2:
            raise self.file_error(ValueError("a quote is not closed"))
        options = self._options(columns)
        with self._open_lines() as file, pyarrow.csv.open_csv(file, **options) as reader:
            yield from (batch for batch in reader if batch.num_rows)

    def _options(self, included: list[str] | None = None) -> dict[str, Any]:
        """The options by which Arrow reads cells as texts, of columns that are named by their places."""
        import pyarrow as pa
        from pyarrow import csv

        places = [str(place) for place in range(len(self.names))]
        return {
            "read_options": csv.ReadOptions(
                column_names=places, skip_rows_after_names=1, block_size=BLOCK_BYTES
            ),
            "parse_options": csv.ParseOptions(
                delimiter=self._plain[0].delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(places) > 1,
            ),
            "convert_options": csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                include_columns=included,
            ),
        }

    def show(self, table: Any) -> Any:
        return table.rename_columns(self.names).to_pandas()

    def file_error(self, error: Exception) -> UserError:
        """Which line is wrong, as far as it can be told."""
        self._refuse_ragged()
        self._refuse_encoding()
        return UserError(f"{self.path} cannot be read: {' '.join(str(error).split())}")

    def _refuse_ragged(self) -> None:
        """UserError with the number of the first line that does not fit the header."""
        line, cells = 1, len(self.names)
        with self._reading_cells(strict=True) as reader:
            try:
                for row in reader:
                    if row and len(row) != cells:
                        found = f"{count_phrase(len(row), 'cell')}, but the header has {cells}"
                        raise self._line_error(reader.line_num, found)
                    if sum(map(len, row)) > BLOCK_BYTES:
                        raise self._line_error(line, TOO_LONG)
                    line = reader.line_num + 1
            except csv.Error as error:
                raise self._line_error(line, CELL_ERRORS.get(str(error)[:5], error)) from error

    def _line_error(self, line: int, found: object) -> UserError:
        """The error that names a line, which is counted from the header on, and what was found there."""
        return UserError(f"{self.path}, line {line + self._plain[0].said}: {found}")

    def _refuse_encoding(self) -> None:
        with self._open() as file:
            refuse_encoding(iter(partial(file.read, BLOCK_BYTES), b""), self.path)


def is_utf16(data: bytes) -> bool:
    """True where the mark of UTF-16 begins a file."""
    return data[:2] in (b"\xff\xfe", b"\xfe\xff") and data[:4] != UTF32


def refuse_wide(data: bytes, path: Path) -> None:
    """UserError where the first bytes are of an encoding that most bytes are 0 in, and what would convert the file."""
    some = data[:PROBE_BYTES]
    if data[:4] == UTF32 or 4 * some.count(0) > len(some):
        guess = "UTF-32" if data[:4] == UTF32 else "UTF-16LE" if 0 in some[1::2] else "UTF-16BE"
        raise UserError(f"{path} is not UTF-8; if it is {guess}, {ICONV_ADVICE.format(guess)}")


def refuse_encoding(blocks: Iterable[bytes], path: Path) -> None:
    """UserError with the first line that is not UTF-8, and what would convert the file, which comes in blocks."""
    before, lines, rest = 0, 1, b""
    for block in chain(blocks, [b""]):
        data = rest + block
        try:
            used = codecs.utf_8_decode(data, "strict", not block)[1]
        except UnicodeDecodeError as error:
            line = lines + data.count(b"\n", 0, error.start)
            guess = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "ISO-8859-1"
            where = f"line {line}, byte {before + error.start}"
            raise UserError(
                f"{path} is not UTF-8: {where}; if it is {guess}, {ICONV_ADVICE.format(guess)}"
            ) from error
        before, lines, rest = before + used, lines + data.count(b"\n", 0, used), data[used:]
