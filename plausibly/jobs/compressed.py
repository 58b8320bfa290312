"""Files of compressed rows that are there: found sound, and read."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from plausibly.coding.streams import DamagedStream
from plausibly.data.events import Events, RowProgress
from plausibly.errors import UserError
from plausibly.jobs.blocks import ROWS_PER_BLOCK, decode_block
from plausibly.jobs.packing import unpack_run
from plausibly.jobs.provenance import (
    FIRST_VERSIONS,
    MARK,
    file_head,
    model_hash,
    probe_hash,
    writer_versions,
)
from plausibly.runs.run import Run
from plausibly.system.files import refuse_streams
from plausibly.system.threads import one_thread
from plausibly.system.versions import __version__
from plausibly.tasks.compress import compress as code_events

MAX_ROWS = 1 << 48  # of a file
ENTRY = struct.Struct("<II")
ENTRY_TYPE = np.dtype([("length", "<u4"), ("checksum", "<u4")])  # the same, of numpy
END = struct.Struct("<II")
MAX_HEADER_BYTES = 1 << 16  # packed
MAX_UNPACKED_BYTES = 1 << 20  # unpacked
MAX_HEAD_BYTES = len(MARK) + 2 + 255


class Header(Struct, frozen=True):
    """The document at the end of a file.

    block: rows of each block. model, probe: hashes. by: what wrote the file. run: the path of its run. holds: length and
    checksum of the run in it.
    """

    rows: Annotated[int, Meta(gt=0, lt=MAX_ROWS)]
    block: Annotated[int, Meta(gt=0, le=ROWS_PER_BLOCK)]
    model: str
    probe: str
    by: dict[str, str]
    run: str = ""
    holds: tuple[Annotated[int, Meta(ge=0, lt=MAX_ROWS)], int] = (0, 0)


class CompressedFile:
    """A file of compressed rows that has been found sound, so far as that is seen without decoding."""

    def __init__(self, path: Path, run: Run | None, file: IO[bytes], folder: Path) -> None:
        self.path, self.file = path, file
        self.form = self._form(self._bytes(0, MAX_HEAD_BYTES))
        end = file.seek(0, 2) - END.size
        packed, checksum = self._read_header(end)
        header = self._parse_header(packed)
        self.rows, self.by = header.rows, header.by
        self.starts = range(0, self.rows, header.block)
        entries = ENTRY.size * len(self.starts)
        behind = end - len(packed) - entries  # behind the blocks
        index = self._bytes(behind, entries)
        if zlib.crc32(index + packed) != checksum:
            raise self.damage_error("its header is not the one that was written")
        self._place_blocks(index, header.holds[0], behind)
        self.run = self._find_run(header, run, folder)
        code_events.require(self.run.model)
        self._check(header)

    def _read_header(self, end: int) -> tuple[bytes, int]:
        """The header, and the checksum of index and header, by what stands at the end."""
        length, checksum = END.unpack(self._bytes(end, END.size))
        if length > MAX_HEADER_BYTES:
            raise self.damage_error("its end is not one that was written")
        return self._bytes(end - length, length), checksum

    def _parse_header(self, header: bytes) -> Header:
        try:
            document = zlib.decompressobj().decompress(header, MAX_UNPACKED_BYTES)
            return msgspec.json.decode(document, type=Header)
        except (msgspec.DecodeError, zlib.error) as error:
            raise self.damage_error("its header cannot be read") from error

    def _place_blocks(self, index: bytes, held: int, behind: int) -> None:
        """Learns of each block where it ends, its length and its checksum."""
        table = np.frombuffer(index, ENTRY_TYPE)
        self.lengths, self.checksums = table["length"].astype(np.int64), table["checksum"]
        self.ends = len(file_head(self.form)) + held + self.lengths.cumsum()
        if self.ends[-1] != behind:
            raise self.damage_error("some of its bytes are missing, or some were added")

    def _find_run(self, header: Header, run: Run | None, folder: Path) -> Run:
        """The run in the file, or else the one that is given, or the one that wrote it."""
        held, checksum = header.holds
        model = self._bytes(len(file_head(self.form)), held)
        if zlib.crc32(model) != checksum:
            raise self.damage_error("the run in it is not the one that was written")
        return self._unpack_run(model, folder) if held else run or Run.open(header.run)

    def _unpack_run(self, model: bytes, folder: Path) -> Run:
        try:
            return unpack_run(model, folder)
        except UserError as error:
            raise self.damage_error(str(error).replace(f"{folder}/", "its ")) from error

    def _form(self, start: bytes) -> int:
        """The form that the first bytes say. UserError names the version that decodes another."""
        if not start.startswith(MARK) or len(start) < len(MARK) + 2:
            raise UserError(f"{self.path} is no file of compressed rows")
        form, said = start[len(MARK)], start[len(MARK) + 2 :][: start[len(MARK) + 1]]
        if form in FIRST_VERSIONS and start.startswith(file_head(form)):
            return form
        if form in FIRST_VERSIONS or not re.fullmatch(rb"\d[\w.]{0,20}", said):
            raise self.damage_error("its first bytes are not those that were written")
        raise UserError(
            f"{self.path} is decoded by plausibly {said.decode()} and later; this is {__version__}: install that one"
        )

    def damage_error(self, why: str) -> DamagedStream:
        return DamagedStream(f"{self.path} is damaged: {why}; nothing was written")

    def _bytes(self, start: int, number: int) -> bytes:
        if start < 0:
            raise self.damage_error("it is cut short")
        self.file.seek(start)
        return self.file.read(number)

    def _check(self, header: Header) -> None:
        """UserError where this model, here, would decode something else."""
        if header.model != model_hash(self.run):
            raise UserError(
                f"{self.path} was written with another model than {self.run.path}; give its run"
            )
        if header.probe != probe_hash(self.run, self.rows):
            raise self.elsewhere_error()

    def elsewhere_error(self) -> UserError:
        """The error where probabilities are others than those that wrote the file."""
        here, by = writer_versions(), self.by | {"processor": self.by.get("processor", "unknown")}
        other = [
            f"{name} {was} (here {here.get(name)})"
            for name, was in by.items()
            if here.get(name) != was
        ]
        why = (
            ", ".join(other)
            or f"processor {by['processor']}, as here, which added in another order"
        )
        return UserError(
            f"{self.path} cannot be decoded here: the model gives other probabilities; it was written with {why}"
        )

    def events(self, wanted: range, on_progress: RowProgress) -> Iterator[Events]:
        """The events of some rows, block by block."""
        done = 0
        for number in range(wanted.start // self.starts.step, len(self.starts)):
            own = self._rows_of(number)
            first, last = max(own.start, wanted.start), min(own.stop, wanted.stop)
            if first >= last:
                return
            found = self._decode(number)
            done += last - first
            on_progress(done, len(wanted))
            yield found[first - own.start : last - own.start]

    def _rows_of(self, number: int) -> range:
        start = self.starts[number]
        return range(start, min(start + self.starts.step, self.rows))

    def _decode(self, number: int) -> Events:
        """The events of a block, by its number from 0."""
        own, length = self._rows_of(number), int(self.lengths[number])
        block = self._bytes(int(self.ends[number]) - length, length)
        if zlib.crc32(block) != self.checksums[number]:
            raise self.damage_error(
                f"block {number + 1} of {len(self.starts)} is not the one that was written"
            )
        try:
            return decode_block(self.run, block, len(own), own.start, self.form)
        except DamagedStream as error:  # the bytes are those that were written
            raise self.elsewhere_error() from error


@contextmanager
def open_compressed(path: Path, run: Run | None) -> Iterator[CompressedFile]:
    """A file of compressed rows, for its model."""
    refuse_streams(path)
    try:
        with one_thread(), open(path, "rb") as file, TemporaryDirectory() as folder:
            yield CompressedFile(path, run, file, Path(folder))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
