"""Relations between columns, each a way in which one follows from others, or is bounded by one.

A relation is said as a line: `total = tenure * monthly` where it is exact in the rows in which it holds, `carat ~
0.006 * x * y * z` near it, `country from city` where each level has one, `start <= end` where it is an order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.modelled import ModelledColumn

Columns = Mapping[str, ModelledColumn]
Cells = Mapping[str, ColumnValues]


@dataclass(frozen=True)
class Relation(ABC):
    """The column that follows, and those `of` which it does.

    share: of the training rows that can be asked, how many it holds in.
    """

    column: str
    of: tuple[str, ...]
    share: float = 1.0

    how: ClassVar[str]  # in documents
    follows: ClassVar[bool] = True  # the column can be learned as what the relation leaves open
    back: ClassVar[bool] = False
    classes: ClassVar[dict[str, type[Relation]]] = {}

    def __init_subclass__(cls) -> None:
        Relation.classes[cls.__name__] = cls

    @property
    @abstractmethod
    def text(self) -> str:
        """The relation as one says it, and as it is read again."""

    @abstractmethod
    def holds(self, columns: Columns, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """In which rows it holds, and which rows can be asked, both bool (rows,)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it speaks of."""
        return (self.column, *self.of)

    @property
    def measure(self) -> str:
        """Says how well it holds."""
        return f"in {describe_share(self.share)}"

    def __str__(self) -> str:
        return f"{self.text}, {self.measure}"

    def to_json(self) -> dict[str, Any]:
        found = {"column": self.column, "of": list(self.of), "how": self.how, "back": self.back}
        return found | {"text": self.text, "share": self.share}


def describe_share(share: float) -> str:
    """The share of rows, in which no row that breaks a relation is rounded away."""
    if share == 1:
        return "every row"
    return f"{min(99.9, np.floor(1000 * share) / 10):.1f} % of rows"
