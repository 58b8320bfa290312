"""Held-out rows that also occur in training."""

from __future__ import annotations

import numpy as np

from plausibly.data import splits
from plausibly.data.events import Events
from plausibly.data.formats import tables
from plausibly.errors import count_phrase


def describe_repeats(events: dict[str, Events]) -> list[str]:
    """Notes on held-out rows that also occur in training; none where too many rows train for their values to be kept."""
    if "shown" in events:
        return []
    train = comparable_rows(events["train"])
    notes = []
    for name in ("valid", "test"):
        if count := splits.count_repeats(train, comparable_rows(events[name])):
            rows = count_phrase(len(events[name]), f"{name} row")
            notes.append(f"{count} of {rows} also occur{'s' if count == 1 else ''} in train")
    return notes


def comparable_rows(events: Events) -> np.ndarray:
    """Rows as plain numbers, (n, width): equal where the modelled values are."""
    if isinstance(events.values, tables.TableValues):
        return np.stack(
            [cells.values.view(np.int64) for cells in events.values.cells.values()], axis=1
        )
    values = events.codes.numpy() if events.values is None else events.values
    return np.ascontiguousarray(values.reshape(len(events), -1))
