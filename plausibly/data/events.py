"""Rows as models see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.errors import UserError
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema

Document = dict[str, Any]


@dataclass(frozen=True)
class EarlyCells:
    """Cells that are known while something that they follow from is not, bool (n, variables); and the names of all that."""

    cells: np.ndarray
    names: tuple[str, ...]
    parents: dict[int, tuple[str, ...]]

    def __getitem__(self, rows: Any) -> EarlyCells:
        return replace(self, cells=self.cells[rows])

    def refuse(self) -> None:
        """UserError where there is any."""
        if self.cells.any():
            row, place = np.argwhere(self.cells)[0].tolist()
            raise UserError(
                f"row {row + 1}: column {self.names[place]!r} is known, but not all of "
                f"{', '.join(self.parents[place])} that it follows from: give these too, or ask a run "
                "fitted without this relation"
            )


RowProgress = Callable[[int, int], None]  # is told how many rows are done, and of how many


@dataclass
class Events:
    """Rows as models see them.

    codes: (n, *schema.shape), uint8 or int16, or float32 where a variable is real. log_within: (n,) float64, the sum over
    variables of log p(value | code) in nats. values: what the format needs to give the rows back. observed: bool like
    codes, only from `Format.questions`; None says that every cell is known. groups: (n,) whole numbers, which rows came
    together where data were split by groups: rows of a group are not independent. early: cells that are known
    while something that they follow from is not, so that no model can be told them; they count as unobserved.
    """

    codes: Tensor
    log_within: Tensor
    values: list[Any] | None = None
    observed: Tensor | None = None
    groups: np.ndarray | None = None
    early: EarlyCells | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def evidence(self, allowed: Allowed | None = None) -> Evidence:
        """The rows as evidence: what is known of them, and what the cells that are not may be."""
        if self.early is not None:
            self.early.refuse()
        if self.observed is None:
            return Evidence.whole(self.codes).with_allowed(allowed)
        return Evidence(self.codes, self.observed, allowed)

    def __getitem__(self, index: slice | Tensor | np.ndarray | list[int]) -> Events:
        rows: Any = index if isinstance(index, slice) else torch.as_tensor(index)
        places = rows if isinstance(rows, slice) else rows.numpy()
        observed = None if self.observed is None else self.observed[rows]
        known = self.values
        values = known and [None if own is None else own[places] for own in known]
        groups = None if self.groups is None else self.groups[places]
        early = None if self.early is None else self.early[places]
        return Events(self.codes[rows], self.log_within[rows], values, observed, groups, early)


def join_events(parts: Sequence[Events]) -> Events:
    """Events one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    joined = Events(
        torch.cat([part.codes for part in parts]), torch.cat([part.log_within for part in parts])
    )
    if first.values is not None:
        columns = zip(*(part.values or [] for part in parts), strict=True)
        joined.values = [_join_values(column) for column in columns]
    if first.observed is not None:
        joined.observed = torch.cat([part.observed for part in parts if part.observed is not None])
    if first.early is not None:
        cells = [part.early.cells for part in parts if part.early is not None]
        joined.early = replace(first.early, cells=np.concatenate(cells))
    if first.groups is not None:
        joined.groups = np.concatenate([part.groups for part in parts if part.groups is not None])
    return joined


def _join_values(parts: Sequence[Any]) -> Any:
    """The values of a block, of rows one after the other; each block says how, and arrays and nothing need not."""
    first = parts[0]
    if first is None:
        return None
    return np.concatenate(parts) if isinstance(first, np.ndarray) else type(first).join(parts)


def ignore_progress(done: int, rows: int) -> None:
    """Nobody asks how far it is."""


def event_dtype(schema: Schema) -> type[np.generic]:
    """The smallest type of events: float32 where a variable is real."""
    return np.float32 if schema.continuous else np.uint8 if max(schema.codes) <= 256 else np.int16
