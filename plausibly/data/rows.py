"""Rows of a source for commands that come after training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.files import arrays as array_files
from plausibly.data.files.pieces import table_file
from plausibly.data.formats import labelled as labels_of_rows
from plausibly.data.formats import tables
from plausibly.data.formats.format import Format
from plausibly.data.frames import as_table
from plausibly.data.origins import existing_path, is_table
from plausibly.data.toys import bits
from plausibly.errors import UserError, did_you_mean


def load_rows(source: Any, format: Format) -> Any:
    """Rows of a source, as `format` takes them: for commands that come after training."""
    if not isinstance(source, str | Path):
        return as_table(source)
    name, _, part = str(source).partition(":")
    if name not in bits.BUILT_IN:
        existing_path(str(source))
    rows = read_toy_part(name, part) if name in bits.BUILT_IN else format.read(str(source))
    labels = _labels(str(source)) if isinstance(format, labels_of_rows.LabelledFormat) else None
    return rows if labels is None else labels_of_rows.prepend_labels(labels, rows)


def row_pieces(source: Any, format: Format, rows: int) -> Iterator[Any]:
    """The same rows, so many at a time; a table's file is never in memory as a whole."""
    if (
        isinstance(format, tables.TableFormat)
        and isinstance(source, str | Path)
        and is_table(str(source))
    ):
        return table_file(Path(source)).frames(rows)
    whole = load_rows(source, format)
    return (whole[start : start + rows] for start in range(0, len(whole), rows))


def estimate_rows(source: str, format: Format) -> int:
    """About how many rows a source holds; 0 where only reading all of it would tell."""
    if isinstance(format, tables.TableFormat) and is_table(source):
        return table_file(Path(source)).about
    return 0


def _labels(source: str) -> np.ndarray | None:
    """The labels beside the rows of a source, or of its part; None where there are none."""
    name, _, part = source.partition(":")
    if name in bits.BUILT_IN:
        return bits.BUILT_IN[name]().parts(labels=True).get(part)
    return array_files.read_labels(source).get(
        source.rpartition(":")[2] if array_files.is_part(source) else "all"
    )


def read_toy_part(name: str, part: str) -> np.ndarray:
    parts = bits.BUILT_IN[name]().parts()
    if part and part not in parts:
        raise UserError(
            f"there is no split {part!r}{did_you_mean(part, parts)}; {name} has {', '.join(parts)}"
        )
    if not part:
        raise UserError(
            f"{name} has several splits; name one: {name}:train, {name}:valid or {name}:test"
        )
    return parts[part]
