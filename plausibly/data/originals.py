"""What rows came from, beside what they will be written as: how large it is, and what of it will not come back.

And how small others make it: gzip, xz and zstd of its bytes (bits as bits), PNG and WebP of its images, all at their best.
"""

from __future__ import annotations

import gzip
import io
import lzma
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.formats import Format, suffix_of
from plausibly.data.reading import contents
from plausibly.data.regularity import first_difference
from plausibly.data.tables import TableFormat
from plausibly.errors import UserError

TEXT = ("csv", "tsv")
LARGEST = 32 << 20  # bytes that others are tried on
WIDEST = 16_383  # pixels of a WebP's side


class Original:
    """Rows in memory or in a file; `size` is in bytes, of a file as it lies there."""

    def __init__(self, source: Any, format: Format) -> None:
        path = Path(source) if isinstance(source, str | Path) else None
        self.format, self.path = format, path if path and path.is_file() else None
        self.size = self.path.stat().st_size if self.path else 0
        self._notes: dict[str, None] = {}
        self._kept: list[Any] = []

    def look(self, rows: Any, again: Any) -> None:
        """The next rows, and what they will be written as. UserError where the run knows no such column."""
        dropped = getattr(self.format, "dropped", ())
        for name in map(str, getattr(rows, "columns", ())):
            if name in dropped:
                raise UserError(
                    f"the run leaves out column {name!r}, which would not come back; fit one with all columns"
                )
        self._compare(rows, again)
        if self.path is None:
            self.size += int(
                rows.memory_usage(index=False, deep=True).sum() if hasattr(rows, "dtypes") else rows.nbytes
            )
        if isinstance(rows, np.ndarray) and self.size <= LARGEST:
            self._kept.append(rows)

    def _compare(self, rows: Any, again: Any) -> None:
        if isinstance(rows, np.ndarray):
            if rows.dtype != again.dtype:
                self._notes[f"numbers come back as {again.dtype}, not as {rows.dtype}"] = None
            return
        if list(rows.columns) != list(again.columns):
            self._notes["columns come back in the order in which the run knows them"] = None
        for name in set(again.columns) & set(rows.columns):
            if rows[name].dtype != again[name].dtype:
                self._notes[f"column {name!r} comes back as {again[name].dtype}, not as {rows[name].dtype}"] = None

    def notes(self) -> list[str]:
        """What will be different, though all values are equal."""
        return list(self._notes)

    def rivals(self) -> dict[str, int]:
        """Bytes by others; none of what is too large, or of a table in memory."""
        if self.size > LARGEST or not (self._kept or self.path):
            return {}
        import pyarrow as pa

        found: dict[str, int] = {}
        raw = contents(self.path) if self.path else b""
        if self._kept:
            rows = np.concatenate(self._kept)
            raw = (np.packbits(rows.astype(bool)) if set(self.format.schema.codes) == {2} else rows).tobytes()
            found = self._pictures(rows)
        zstd = pa.Codec("zstd", compression_level=19).compress(raw, asbytes=True)
        return {
            "gzip": len(gzip.compress(raw, 9)),
            "xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
            "zstd": len(zstd),
        } | found

    def _pictures(self, rows: np.ndarray) -> dict[str, int]:
        """Of all images in one picture, if they are any."""
        picture = self.format.picture()
        if picture is None or picture[1].shape[0] not in (1, 3):
            return {}
        from PIL import Image

        bits = set(picture[1].codes) == {2}
        numbers = self.format.numbers(self.format.events(rows))[:, picture[0]].astype(np.uint8) * (255 if bits else 1)
        channels, height, width = picture[1].shape
        across = ceil(sqrt(len(rows)))
        sheet = np.zeros((across**2, height, width, channels), np.uint8)
        sheet[: len(rows)] = np.moveaxis(numbers.reshape(len(rows), channels, height, width), 1, 3)
        placed = sheet.reshape(across, across, height, width, channels).swapaxes(1, 2)
        placed = placed.reshape(across * height, across * width, channels)
        image = Image.fromarray(placed[:, :, 0] if channels == 1 else placed)
        image = image.convert("1") if bits else image
        found: dict[str, int] = {}
        files: dict[str, dict[str, Any]] = {
            "png": {"optimize": True},
            "webp": {"lossless": True, "quality": 100, "method": 6},
        }
        for name, options in files.items():
            if name == "png" or max(image.size) <= WIDEST:
                file = io.BytesIO()
                image.save(file, format=name, **options)
                found[name] = file.tell()
        return found


class TextOriginal(Original):
    """A text file, compared byte for byte."""

    def __init__(self, source: str | Path, format: TableFormat) -> None:
        super().__init__(source, format)
        self._suffix = suffix_of(source)
        self._file = gzip.open(source) if str(source).lower().endswith(".gz") else open(source, "rb")  # noqa: SIM115
        self._table, self._lines, self._same = format, 0, True

    def _compare(self, rows: Any, again: Any) -> None:
        if not self._same:
            return
        header, lines = self._table.printed(self._suffix, again)
        expected = lines if self._lines else header + lines
        data = self._file.read(len(expected))
        if data != expected:
            self._notes[f"not byte for byte: {first_difference(data, expected, self._lines)}"] = None
            self._same = False
        self._lines += expected.count(b"\n")

    def notes(self) -> list[str]:
        if self._same and self._file.read(1):
            self._notes["not byte for byte: the file goes on after its last row"] = None
        self._file.close()
        return super().notes()


def original(source: Any, format: Format) -> Original:
    """The file or the rows that `source` is."""
    if isinstance(format, TableFormat) and isinstance(source, str | Path) and suffix_of(source) in TEXT:
        return TextOriginal(source, format)
    return Original(source, format)
