"""Rows by the batch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def batches(codes: Tensor, rows: int | None = None) -> Iterator[Tensor]:
    """Events as float32, in order, `rows` at a time; by default about 2^18 variables."""
    rows = rows or max(1, min(1024, (1 << 18) // max(codes[0].numel(), 1)))
    for part in codes.split(rows):
        yield part.float()
