"""The columns of a wide table that the page looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import FrameContainer

MAX_COLUMNS = 300


def choose_columns(dataset: Dataset, real: Tensor, made: Tensor) -> list[int]:
    """The places of the columns, of a table with too many, whose shares of codes differ most between two sorts of rows."""
    every = range(dataset.schema.size)
    if dataset.format.table is None or len(every) <= MAX_COLUMNS:
        return [*every]
    ours, theirs = (dataset.schema.event_codes(codes).numpy().T for codes in (real, made))
    gaps = [code_distance(*pair) for pair in zip(ours, theirs, strict=True)]
    return sorted(sorted(every, key=lambda place: -gaps[place])[:MAX_COLUMNS])


def code_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum of the differences of the shares of each code, of codes (n,) and (m,)."""
    size = max(a.max(), b.max()) + 1
    return float(
        abs(np.bincount(a, minlength=size) / len(a) - np.bincount(b, minlength=size) / len(b)).sum()
        / 2
    )


def keep_columns(dataset: Dataset, places: list[int]) -> Dataset:
    """A table's data with its variables at some places, and no other column."""
    table = dataset.format.table
    assert table is not None
    format = Format(FrameContainer([table.modelled[place] for place in places]))
    parts: dict[str, Any] = {
        name: _keep_cells(getattr(dataset, name), places) for name in (*dataset.rows, "shown")
    }
    shown = parts.pop("shown")
    kept = replace(dataset, format=format, **parts)
    kept.shown = shown
    return kept


def _keep_cells(events: Events, places: list[int]) -> Events:
    values = events.values and [events.values[place] for place in places]
    return replace(events, codes=events.codes[:, places], values=values)
