"""The original of rows, beside what they will be written as: how large it is, and what of it will not come back.

And how small others make it: gzip, xz and zstd of its bytes (bits as bits), PNG and WebP of its images, all at their best.
"""

from __future__ import annotations

import gzip
import io
import lzma
from math import ceil, sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np

from plausibly.data.events import Events
from plausibly.data.files.regularity import first_difference
from plausibly.data.files.tables import TEXT_SUFFIXES, read_contents
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import FrameContainer
from plausibly.data.sources.source import Source
from plausibly.errors import UserError
from plausibly.events.kinds import Category
from plausibly.system.files import suffix_of

MAX_RIVAL_BYTES = 32 << 20  # bytes that others are tried on
MAX_WEBP_SIDE = 16_383  # pixels of a WebP's side


class RoundTrip:
    """Rows in memory or in a file; `size` is in bytes, of a file as it lies there."""

    def __init__(self, source: Source, format: Format) -> None:
        self.format, self.path = format, source.file
        self.size = self.path.stat().st_size if self.path else 0
        self._notes: dict[str, None] = dict.fromkeys(source.table_notes())
        self._schema: Any = None
        self._kept: list[Any] = []
        self._kept_bytes = 0

    def close(self) -> None:
        """Lets the file go."""

    def look(self, rows: Any, events: Events) -> None:
        """The next rows, and their events. UserError where these would give other rows."""
        self._refuse_dropped(rows)
        back = self._again(events)
        self._compare(rows, back)
        self._write(back)
        frame = hasattr(rows, "dtypes")
        own = int(rows.memory_usage(index=False, deep=True).sum()) if frame else rows.nbytes
        if self.path is None:
            self.size += own
        if self.path is None or not frame:  # tables are read from their file again
            self._kept_bytes += own
            if self._kept_bytes <= MAX_RIVAL_BYTES:
                self._kept.append(rows)

    def _refuse_dropped(self, rows: Any) -> None:
        dropped = self.format.table.dropped if self.format.table else ()
        for name in map(str, getattr(rows, "columns", ())):
            if name in dropped:
                raise UserError(
                    f"the run leaves out column {name!r}, which would not come back; fit one with all columns"
                )

    def _again(self, events: Events) -> Any:
        return rows_from_events(self.format, events)

    def _write(self, back: Any) -> None:
        """Rows as a file of this sort will hold them. UserError where all of them go to none."""
        if self.path is None or self.format.table is None:
            return
        schema = self.format.output(self.path).piece(back).schema
        self._schema = self._schema or schema
        for name, kind, other in zip(schema.names, schema.types, self._schema.types, strict=True):
            if kind != other:
                raise UserError(
                    f"column {name!r} would come back as {other} in some rows and as {kind} in others"
                )

    def _compare(self, rows: Any, again: Any) -> None:
        if isinstance(rows, np.ndarray):
            self._compare_arrays(rows, again)
            return
        import pandas as pd

        if not isinstance(rows.index, pd.RangeIndex) or rows.index.name is not None:
            raise UserError(
                "rows have an index, which would not come back; make a column of it: frame.reset_index()"
            )
        if list(rows.columns) != list(again.columns):
            self._notes["columns come back in the order in which the run knows them"] = None
        for name in again.columns:
            if name in rows.columns:
                self._compare_columns(name, rows[name].reset_index(drop=True), again[name])

    def _compare_columns(self, name: str, here: Any, there: Any) -> None:
        if here.dtype != there.dtype:
            self._notes[f"column {name!r} comes back as {there.dtype}, not as {here.dtype}"] = None
        if here.equals(there):
            return
        left, right = here.astype(object), there.astype(object)
        same = (left == right) | (left.isna() & right.isna())
        differs = np.flatnonzero(~same.to_numpy(dtype=bool))
        if len(differs):
            row = int(differs[0])
            raise UserError(
                f"row {row + 1}, column {name!r}: {left[row]!r} would come back as {right[row]!r}"
            )

    def _compare_arrays(self, rows: np.ndarray, again: np.ndarray) -> None:
        if rows.dtype != again.dtype:
            self._notes[f"numbers come back as {again.dtype}, not as {rows.dtype}"] = None
        same = (rows == again) | ((rows != rows) & (again != again))
        if not same.all():
            place = tuple(np.argwhere(~same)[0])
            found = f"{rows[place]!r} would come back as {again[place]!r}"
            raise UserError(
                f"row {int(place[0]) + 1}: {found}: the run's numbers are {again.dtype}"
            )
        if rows.dtype.kind == "f" and (np.signbit(rows) & (rows == 0)).any():
            self._notes["-0.0 comes back as 0.0"] = None

    def notes(self) -> list[str]:
        """Notes on what will be different, though all values are equal."""
        return list(self._notes)

    def rivals(self) -> dict[str, int]:
        """Bytes by others; none of what is too large."""
        if self._kept_bytes > MAX_RIVAL_BYTES:
            return {}
        if self._kept:
            return rival_sizes(self.format, concat_rows(self._kept))
        if self.path and self.size <= MAX_RIVAL_BYTES:
            return sizes_by_codec(read_contents(self.path))
        return {}


def rows_from_events(format: Format, events: Events) -> Any:
    """The rows of events. UserError where there are none."""
    try:
        return format.rows(events)
    except (ValueError, OverflowError) as error:
        raise UserError(
            "these rows hold what the run's type of numbers cannot; fit a run with such rows"
        ) from error


def concat_rows(parts: list[Any]) -> Any:
    """Arrays, or frames, one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def rival_sizes(format: Format, rows: Any) -> dict[str, int]:
    """Bytes that others make of rows: of a table as CSV, of arrays as numbers, bits as bits, of images as pictures too."""
    if format.table:
        return sizes_by_codec(b"".join(format.table.text_lines("csv", rows)))
    bits = set(format.schema.kinds) == {Category()}
    return sizes_by_codec(
        (np.packbits(rows.astype(bool)) if bits else rows).tobytes()
    ) | picture_bytes(format, rows)


def sizes_by_codec(raw: bytes) -> dict[str, int]:
    """Bytes by gzip, xz and zstd at their best; none of nothing, or of what is too large."""
    if not 0 < len(raw) <= MAX_RIVAL_BYTES:
        return {}
    import pyarrow as pa

    return {
        "gzip": len(gzip.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
        "zstd": len(pa.Codec("zstd", compression_level=19).compress(raw, asbytes=True)),
    }


def picture_bytes(format: Format, rows: np.ndarray) -> dict[str, int]:
    """Bytes of all images in one picture, if they are any and there is nothing beside them."""
    picture = format.container.picture
    if picture is None or picture[1].shape[0] not in (1, 3) or picture[1].size < format.schema.size:
        return {}
    from PIL import Image

    places, schema = picture
    bits = set(schema.kinds) == {Category()}
    numbers = format.numbers(format.events(rows))[:, places].astype(np.uint8) * (255 if bits else 1)
    sheet = _make_sheet(numbers.reshape(len(rows), *schema.shape))
    image = Image.fromarray(sheet[:, :, 0] if schema.shape[0] == 1 else sheet)
    return _measure_picture(image.convert("1") if bits else image)


def _make_sheet(images: np.ndarray) -> np.ndarray:
    """All images, (n, channels, height, width), side by side in a square, (height, width, channels)."""
    channels, height, width = images.shape[1:]
    across = ceil(sqrt(len(images)))
    sheet = np.zeros((across**2, height, width, channels), np.uint8)
    sheet[: len(images)] = np.moveaxis(images, 1, 3)
    placed = sheet.reshape(across, across, height, width, channels).swapaxes(1, 2)
    return placed.reshape(across * height, across * width, channels)


def _measure_picture(image: Any) -> dict[str, int]:
    """Bytes of a picture in each format that can hold it."""
    files: dict[str, dict[str, Any]] = {"png": {"optimize": True}}
    if max(image.size) <= MAX_WEBP_SIDE:
        files["webp"] = {"lossless": True, "quality": 100, "method": 6}
    found: dict[str, int] = {}
    for name, options in files.items():
        file = io.BytesIO()
        image.save(file, format=name, **options)
        found[name] = file.tell()
    return found


class TextOriginal(RoundTrip):
    """A text file, compared byte for byte."""

    def __init__(self, source: Source, path: Path, format: Format, table: FrameContainer) -> None:
        super().__init__(source, format)
        with open(path, "rb") as start:
            packed = start.read(2) == b"\x1f\x8b"
        self._file: IO[bytes] = gzip.open(path) if packed else open(path, "rb")  # type: ignore[assignment]  # noqa: SIM115
        self._suffix, self._table = suffix_of(path), table
        self._lines, self._same = 0, not self._notes

    def close(self) -> None:
        self._file.close()

    def _again(self, events: Events) -> Any:
        return self.format.rows(events, Path(f"rows.{self._suffix}"))

    def _write(self, back: Any) -> None:
        """Lines hold any cell."""

    def _compare(self, rows: Any, again: Any) -> None:
        if not self._same:
            return
        header, lines = self._table.text_lines(self._suffix, again)
        expected = lines if self._lines else header + lines
        data = self._file.read(len(expected))
        if data != expected:
            self._notes[f"not byte for byte: {first_difference(data, expected, self._lines)}"] = (
                None
            )
            self._same = False
        self._lines += expected.count(b"\n")

    def notes(self) -> list[str]:
        if self._same and self._file.read(1):
            self._notes["not byte for byte: the file goes on after its last row"] = None
        return super().notes()


def open_original(source: Source, format: Format) -> RoundTrip:
    """The file or the rows that a source is."""
    if format.table and source.file and suffix_of(source.file) in TEXT_SUFFIXES:
        return TextOriginal(source, source.file, format, format.table)
    return RoundTrip(source, format)
