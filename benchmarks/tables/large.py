"""Memory and time of `fit --model forest` on a million rows of 20 columns, which `benchmarks.large` makes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.large import make
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table

ROWS = 1_000_000
MODEL = "forest"


def measure_large(table: Table, work: Work) -> Iterator[Line]:
    file = table.splits[0].train
    if not file.exists():
        make(file, ROWS)
    _, cost = work.fit(table, file, MODEL, ("--model", MODEL))
    yield {"model": MODEL, "rows": ROWS, "GiB": cost.memory, "seconds": cost.seconds}
