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
    """The columns, of a table with too many, whose shares of codes differ most, and what these follow from, as places."""
    every = range(dataset.schema.size)
    if dataset.format.table is None or len(every) <= MAX_COLUMNS:
        return [*every]
    ours, theirs = (dataset.schema.event_codes(codes).numpy().T for codes in (real, made))
    gaps = [code_distance(*pair) for pair in zip(ours, theirs, strict=True)]
    worst = sorted(every, key=lambda place: -gaps[place])[:MAX_COLUMNS]
    return with_parents(dataset.format, worst)


def code_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum of the differences of the shares of each code, of codes (n,) and (m,)."""
    size = max(a.max(), b.max()) + 1
    return float(
        abs(np.bincount(a, minlength=size) / len(a) - np.bincount(b, minlength=size) / len(b)).sum()
        / 2
    )


def with_parents(format: Format, places: list[int]) -> list[int]:
    """The places, and those of all that they follow from."""
    found, waiting = set[int](), list(places)
    while waiting:
        place = waiting.pop()
        waiting += format.parents(place) if place not in found else []
        found.add(place)
    return sorted(found)


def keep_columns(dataset: Dataset, places: list[int]) -> Dataset:
    """A table's data with its variables at some places, and no other column; what these follow from is among them."""
    table = dataset.format.table
    assert table is not None
    columns = [table.modelled[place] for place in places]
    names = {column.name for column in columns}
    followers = [each for each in table.followers if each.relation.column in names]
    format = Format(FrameContainer(columns, followers=followers))
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
