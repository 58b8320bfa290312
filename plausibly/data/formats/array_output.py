"""Arrays written a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plausibly.data.files.outputs import Output

if TYPE_CHECKING:
    import pyarrow as pa

    from plausibly.data.formats.format import Format


class ArrayOutput(Output):
    """Arrays, which are written when all are there; of images, `across` go to a line of a grid."""

    def __init__(self, format: Format, across: int | None = None) -> None:
        self.format, self.across = format, across

    def piece(self, rows: np.ndarray) -> pa.Table:
        import pyarrow as pa

        held = pa.array([rows.tobytes()], pa.large_binary())
        return pa.table({"type": [rows.dtype.str], "shape": [list(rows.shape)], "rows": held})

    def join(self, pieces: Iterable[pa.Table], path: Path) -> None:
        parts = [piece.to_pylist()[0] for piece in pieces]
        arrays = [np.frombuffer(part["rows"], part["type"]).reshape(part["shape"]) for part in parts]
        self.format.write(np.concatenate(arrays), path, self.across)
