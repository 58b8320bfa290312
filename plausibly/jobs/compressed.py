"""Files of compressed rows that are there: found sound, and read."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from plausibly.coding.streams import DamagedStream
from plausibly.data.events import Events, RowProgress
from plausibly.errors import UserError
from plausibly.jobs.blocks import decode_block
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


END = struct.Struct("<II")


MAX_HEADER_BYTES = 1 << 16


MAX_HEAD_BYTES = len(MARK) + 2 + 255  # bytes


class CompressedFile:
    """A file of compressed rows that has been found sound, so far as that is seen without decoding."""

    def __init__(self, path: Path, run: Run | None, file: IO[bytes], folder: Path) -> None:
        self.path, self.file = path, file
        self.form = self._form(self._bytes(0, MAX_HEAD_BYTES))
        end = file.seek(0, 2) - END.size
        header, checksum = self._read_header(end)
        document, starts = self._parse_header(header)
        entries = ENTRY.size * len(starts)
        behind = end - len(header) - entries  # behind the blocks
        index = self._bytes(behind, entries)
        if zlib.crc32(index + header) != checksum:
            raise self.damage_error("its header is not the one that was written")
        self._place_blocks(index, starts, document, behind)
        self.run = self._find_run(document, run, folder)
        code_events.require(self.run.model)
        self._check(document)

    def _read_header(self, end: int) -> tuple[bytes, int]:
        """The header, and the checksum of index and header, by what stands at the end."""
        length, checksum = END.unpack(self._bytes(end, END.size))
        if length > MAX_HEADER_BYTES:
            raise self.damage_error("its end is not one that was written")
        return self._bytes(end - length, length), checksum

    def _parse_header(self, header: bytes) -> tuple[dict[str, Any], range]:
        """The header as a document, and the first rows of the blocks."""
        try:
            document = json.loads(zlib.decompress(header))
            self.rows, block, self.by = document["rows"], document["block"], dict(document["by"])
            if not (
                0 < self.rows < MAX_ROWS and block > 0 and isinstance(document.get("run", ""), str)
            ):
                raise ValueError("no number of rows")
            _, _ = document.setdefault("holds", (0, 0))
            return document, range(0, self.rows, block)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise self.damage_error("its header cannot be read") from error

    def _place_blocks(
        self, index: bytes, starts: range, document: dict[str, Any], behind: int
    ) -> None:
        """Learns of each block its rows, its place, its length and its checksum."""
        place = len(file_head(self.form)) + document["holds"][0]
        self.blocks = []
        for start, (many, own) in zip(starts, ENTRY.iter_unpack(index), strict=True):
            rows = range(start, min(start + starts.step, self.rows))
            self.blocks.append((rows, place, many, own))
            place += many
        if place != behind:
            raise self.damage_error("some of its bytes are missing, or some were added")

    def _find_run(self, document: dict[str, Any], run: Run | None, folder: Path) -> Run:
        """The run in the file, or else the one that is given, or the one that wrote it."""
        held, checksum = document["holds"]
        model = self._bytes(len(file_head(self.form)), held)
        if zlib.crc32(model) != checksum:
            raise self.damage_error("the run in it is not the one that was written")
        return unpack_run(model, folder) if held else run or Run.open(document["run"])

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

    def _check(self, document: dict[str, Any]) -> None:
        """UserError where this model, here, would decode something else."""
        if document["model"] != model_hash(self.run):
            raise UserError(
                f"{self.path} was written with another model than {self.run.path}; give its run"
            )
        if document["probe"] != probe_hash(self.run, self.rows):
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
        for number, (own, *_) in enumerate(self.blocks):
            first, last = max(own.start, wanted.start), min(own.stop, wanted.stop)
            if first < last:
                found = self._decode(number)
                done += last - first
                on_progress(done, len(wanted))
                yield found[first - own.start : last - own.start]

    def _decode(self, number: int) -> Events:
        """The events of a block, by its number from 0."""
        own, place, many, checksum = self.blocks[number]
        block = self._bytes(place, many)
        if zlib.crc32(block) != checksum:
            raise self.damage_error(
                f"block {number + 1} of {len(self.blocks)} is not the one that was written"
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
