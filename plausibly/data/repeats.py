"""Held-out rows that also occur in training."""

from __future__ import annotations

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.events import Events
from plausibly.errors import count_phrase


def describe_repeats(events: dict[str, Events]) -> list[str]:
    """Notes on held-out rows that also occur in training; none where too many rows train for their values to be kept."""
    if "shown" in events:
        return []
    known = {row.tobytes() for row in comparable_rows(events["train"])}
    notes = []
    for name in ("valid", "test"):
        if count := sum(row.tobytes() in known for row in comparable_rows(events[name])):
            rows = count_phrase(len(events[name]), f"{name} row")
            notes.append(f"{count} of {rows} also occur{'s' if count == 1 else ''} in train")
    return notes


def comparable_rows(events: Events) -> np.ndarray:
    """Rows as bytes, (n, width): equal where the modelled values are."""
    values = events.values or [None]
    kept = [own.values if isinstance(own, ColumnValues) else own for own in values]
    numbers = [own for own in kept if isinstance(own, np.ndarray)]
    if any(own is None for own in values):  # the codes say all
        numbers.append(events.codes.numpy())
    flat = [np.ascontiguousarray(own.reshape(len(events), -1)) for own in numbers]
    return np.concatenate([own.view(np.uint8) for own in flat], axis=1)
