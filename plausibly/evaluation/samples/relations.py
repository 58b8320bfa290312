"""Columns that follow from others in every training row: in how many samples they still do.

A function is asked of rows whose other column has a value that training rows have: the column must be what it is there. A
sum is asked of rows where none of the three is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.relations.relation import Relation

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format


@dataclass(frozen=True)
class RelationShare:
    """The share of rows in which a relation holds, of those that can be asked: None where there are none."""

    relation: Relation
    samples: float | None
    real: float | None

    def to_json(self) -> dict[str, Any]:
        return self.relation.to_json() | {"samples": self.samples, "real_rows": self.real}

    def cells(self) -> list[str]:
        """As people read them."""
        shares = ["" if share is None else f"{share:.4f}" for share in (self.samples, self.real)]
        how = f"{self.relation.how} of {' and '.join(self.relation.of)}"
        return [self.relation.column, how, *shares]


def relation_shares(
    format: Format,
    relations: Sequence[Relation],
    sorts: Sequence[Sequence[Events]],
    written: Sequence[np.ndarray],
) -> list[RelationShare]:
    """Shares among samples and held-out rows: `sorts` as events, `written` as numbers of cells, training rows' last."""
    made, real, train = written
    found = []
    for relation in relations:
        if relation.how == "function":
            places = [format.names.index(name) for name in relation.columns]
            shares = [
                _share(function_holds(train[:, places], rows[:, places])) for rows in (made, real)
            ]
        else:
            shares = [
                _share(np.concatenate([formula_holds(format, relation, part) for part in sort]))
                for sort in sorts
            ]
        found.append(RelationShare(relation, *shares))
    return found


def formula_holds(format: Format, relation: Relation, events: Events) -> np.ndarray:
    """True where a relation holds, bool, of the rows that can be asked."""
    pairs = column_cells(format.blocks, events.values)
    columns = {column.name: column for column, _ in pairs}
    holds, asked = relation.holds(columns, {column.name: cells for column, cells in pairs})
    return holds[asked]


def function_holds(train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A column of whole numbers is what training rows with the same other one have, both (n, 2); of known ones."""
    expected = np.full(int(max(train[:, 1].max(), rows[:, 1].max())) + 1, -1)
    expected[train[:, 1]] = train[:, 0]
    asked = expected[rows[:, 1]]
    return (asked == rows[:, 0])[asked >= 0]


def _share(holds: np.ndarray) -> float | None:
    return float(holds.mean()) if len(holds) else None
