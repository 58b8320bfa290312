"""Rows that were read to learn from: which format is theirs, and which events they are."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress
from plausibly.data.files.images import DEEP_GRAY_BITS
from plausibly.data.formats.array_blocks import MAX_LABELS
from plausibly.data.formats.array_container import ArrayContainer, LabelledContainer, prepend_labels
from plausibly.data.formats.array_learning import learn_array_format
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import RelationWishes
from plausibly.errors import UserError, count_phrase

Places = Mapping[str, np.ndarray]  # the places of the rows of each part


class Rows(ABC):
    """Rows to learn from: so many, `count`, and the parts of their `own` that are held out already.

    text: what messages call the source. names: those of columns. whole: the rows that are in memory.
    """

    text: str
    count: int
    whole: Any
    own: Mapping[str, Any] = {}
    names: Sequence[str] = ()

    def series(self, name: str) -> Any:
        """One of the columns, where these have names."""
        raise KeyError(name)

    def kept(self, places: Places) -> Places:
        """The places of the rows of which events are kept, by part."""
        return places

    @abstractmethod
    def check(self, kinds: dict[str, str], drop: tuple[str, ...]) -> None:
        """UserError where there are no rows, or the options name columns that are not there."""

    @abstractmethod
    def learn_format(
        self,
        train: np.ndarray,
        kinds: dict[str, str],
        drop: tuple[str, ...],
        seed: int,
        on_progress: RowProgress,
    ) -> Format:
        """The format, from the rows at these places, which rise."""

    @abstractmethod
    def events(self, format: Format, places: Places, on_progress: RowProgress) -> dict[str, Events]:
        """Events of each part's rows; where those of training have no values, those that taught the format as `shown`."""

    def follow(self, format: Format, wishes: RelationWishes) -> Format:
        """The format whose columns follow from others, where it has columns and rows show it."""
        return format

    def reserve_unseen(self, format: Format, train: Events) -> Format:
        """The format with room for cells that training does not show, where it has columns."""
        return format

    @abstractmethod
    def describe(self, dataset: Dataset) -> None:
        """Adds all that is worth knowing to the dataset that the rows became."""


class ArrayRows(Rows):
    """An array, or several by the names of parts.

    text: what messages call the source. depth: the bits of deep gray, where rows are images. labels: of each part's rows,
    where they are to be modelled.
    """

    def __init__(
        self,
        text: str,
        parts: Mapping[str, np.ndarray],
        notes: Sequence[str] = (),
        depth: int = 0,
        labels: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.own = _rename(parts)
        self.whole = self.own.pop("train")
        self.count, self.text, self.notes, self.depth = len(self.whole), text, list(notes), depth
        self.labels = None if labels is None else _rename(labels)

    def check(self, kinds: dict[str, str], drop: tuple[str, ...]) -> None:
        if not self.whole.size:
            raise UserError(f"{self.text} has no {'entries' if self.count else 'rows'}")

    def learn_format(
        self,
        train: np.ndarray,
        kinds: dict[str, str],
        drop: tuple[str, ...],
        seed: int,
        on_progress: RowProgress,
    ) -> Format:
        format = self._learn(self.whole[train], kinds, drop)
        return format if self.labels is None else self._learn_labels(format, train)

    def _learn(self, rows: np.ndarray, kinds: dict[str, str], drop: tuple[str, ...]) -> Format:
        if rows.size == 0 or rows.min() == rows.max():
            seen = count_phrase(len(rows), "training row")
            read = f" ({'; '.join(self.notes)})" if self.notes else ""
            raise UserError(f"nothing to model: every entry of the {seen} is the same{read}")
        format = learn_array_format(rows, kinds, drop, self.depth or DEEP_GRAY_BITS)
        self.notes += [] if self.depth else format.container.notes(self.whole)
        return format

    def _learn_labels(self, format: Format, train: np.ndarray) -> Format:
        """The format with labels, which from now on stand before the rows."""
        container = format.container
        if not isinstance(container, ArrayContainer) or not container.takes_label:
            raise UserError(
                "labels can stand beside bits, small whole numbers and images; give other rows as a table"
            )
        self.whole = self._labelled("train", self.whole)
        self.own = {name: self._labelled(name, rows) for name, rows in self.own.items()}
        known = tuple(sorted({int(label) for label in self.whole[train, 0]}))
        if not 1 < len(known) <= MAX_LABELS:
            found = count_phrase(len(known), "label")
            raise UserError(f"training rows have {found}; 2 to {MAX_LABELS} can stand beside rows")
        return Format(LabelledContainer(known, container))

    def _labelled(self, part: str, rows: np.ndarray) -> np.ndarray:
        """A part's rows with their labels before them. UserError for a part without labels."""
        labels = self.labels or {}
        if part not in labels:
            raise UserError(
                f"there are no labels for the {part} rows; an npz file has them, whole numbers, as y_{part}"
            )
        return prepend_labels(labels[part], rows)

    def events(self, format: Format, places: Places, on_progress: RowProgress) -> dict[str, Events]:
        found = split_events(format.events(self.whole), places)
        for name, rows in self.own.items():
            with naming(f"{self.text}:{name}"):
                found[name] = format.events(rows)
        return found

    def describe(self, dataset: Dataset) -> None:
        dataset.notes += self.notes


def _rename(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by part, those of a source without parts as `train`."""
    return {"train" if name == "all" else name: array for name, array in parts.items()}


def split_events(whole: Events, places: Places) -> dict[str, Events]:
    """The events of each part; a part that is the whole is no copy."""
    return {
        part: whole if len(rows) == len(whole) else whole[rows] for part, rows in places.items()
    }


@contextmanager
def naming(title: str) -> Iterator[None]:
    """Puts a source's title before what is wrong with its rows, unless it is there or empty."""
    try:
        yield
    except UserError as error:
        if title in str(error):
            raise
        mark = ", " if str(error).startswith("row ") else ": "
        raise UserError(f"{title}{mark}{error}") from error


@contextmanager
def counting_rows_from(first: int) -> Iterator[None]:
    """Counts rows, where one of a piece is wrong, from the start of the file."""
    try:
        yield
    except UserError as error:
        moved = re.sub(r"^row (\d+)", lambda found: f"row {int(found[1]) + first}", str(error))
        if moved == str(error):
            raise
        raise UserError(moved) from error
