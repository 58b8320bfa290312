"""The randomised PIT of numbers whose cells were removed, by a fit to a table of which 30 % of all cells are.

The fit sees the training rows of the first split with holes in place of 30 % of the cells; of held-out rows with as many
removed, up to 2,000 removed cells of each column of numbers are asked given what is left of their rows. `p` is the
probability of so uneven a PIT by chance (Kolmogorov-Smirnov).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import plausibly
from benchmarks.holes import removed
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table, read_cells, read_rows

SHARE = 0.3
MAX_ROWS = 2_000


def measure_pit(table: Table, work: Work) -> Iterator[Line]:
    split = table.splits[0]
    run = plausibly.open(work.fit(table, hole(split.train, work.seed))[0])
    whole = read_rows(split.held_out)
    gone = removed(whole, SHARE, work.seed)
    for place, name in enumerate(whole):
        if name in run.names and run.is_number(name):
            rows = np.flatnonzero(gone[:, place])[:MAX_ROWS]
            asked = whole.mask(gone).iloc[rows].assign(**{name: whole[name].iloc[rows]})
            found = run.regress(asked, name)
            yield {
                "model": run.record.model,
                "column": name,
                "cells": found.rows,
                "p": found.uniform(),
            }


def hole(path: Path, seed: int) -> Path:
    """The file of a table without 30 % of its cells."""
    cells = read_cells(path)
    gone = removed(read_rows(path), SHARE, seed)
    cells.mask(gone, "").to_csv(file := path.with_name(f"holed-{path.name}"), index=False)
    return file
