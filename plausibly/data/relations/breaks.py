"""Rows that break a relation."""

from __future__ import annotations

from typing import Any

import numpy as np

from plausibly.data.events import Events
from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.formats.format import Format
from plausibly.data.relations.relation import Relation

MAX_BREAKS = 3


def find_breaks(relation: Relation, format: Format, events: Events) -> list[dict[str, Any]]:
    """The first rows that break it: the cells that it speaks of, as they are written, by name."""
    pairs = column_cells(format.blocks, events.values)
    columns = {column.name: column for column, _ in pairs}
    cells = {column.name: own for column, own in pairs}
    holds, asked = relation.holds(columns, cells)
    rows = np.flatnonzero(asked & ~holds)[:MAX_BREAKS]
    texts = {name: columns[name].texts(cells[name][rows]) for name in relation.columns}
    return [{name: own[row] for name, own in texts.items()} for row in range(len(rows))]
