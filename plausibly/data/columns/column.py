"""A column of a table by name: how its cells are stored, and its distinct texts."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np

from plausibly.data.columns import numbers
from plausibly.data.columns.cell_types import in_ticks, texts_of
from plausibly.data.columns.date_forms import without_days
from plausibly.data.columns.storage import Storage, storage_kind
from plausibly.errors import UserError
from plausibly.events.kinds import Kind, lists_to_tuples

MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?", re.ASCII)
ZONED_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def read_meaning(text: str) -> Any:
    """The number, day, time, duration or truth that a text says in any spelling, or else the text."""
    if found := numbers.parse_number(text):
        return found
    if day := MIDNIGHT.fullmatch(text):
        return day[1]
    if ZONED_TIME.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    plain = without_days(text)
    lasts = in_ticks([plain], "ns")[0]
    if lasts != plain:
        return ("ns", lasts)
    return text.lower() if text.lower() in ("true", "false") else text


@dataclass(frozen=True)
class Column(ABC):
    """A column by name; `hole` is how a hole is written in a text file."""

    name: str
    storage: Storage
    holes: int = 0
    why: str = ""
    hole: str = ""

    word: ClassVar[str]
    numeric: ClassVar[bool] = False
    classes: ClassVar[dict[str, type[Column]]] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.hole, str):
            raise ValueError(f"a column's name is a text, not {self.name!r}")

    def __init_subclass__(cls) -> None:
        if "word" in cls.__dict__:
            Column.classes[cls.word] = cls

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """All that the column report says besides name, kind and holes."""

    def canonical(self, texts: list[str]) -> list[str]:
        """The texts as this column prints them in a text file."""
        return texts

    def cells_of(self, series: Any) -> tuple[np.ndarray, list[str]]:
        """For each row the index of its text, -1 for a hole, and the distinct texts, as this column writes its values."""
        index, texts = texts_of(series, self.name, self._time_texts)
        texts = self.own_texts(texts, storage_kind(series, self.name))
        self._refuse_infinite(index, texts)
        if not self.storage.exact:
            marked = [text in (self.hole, "") for text in texts]
            if any(marked):
                index = np.where(np.array([*marked, True])[index], -1, index)
        return index, texts

    def _time_texts(self, times: Any) -> list[str]:
        """Texts of times; a column of texts has their offset from UTC with them."""
        if times.tz is None or self.storage.kind == "date":
            return self.storage.time_texts(times)
        return [time.isoformat() for time in times]

    def own_texts(self, texts: list[str], kind: str) -> list[str]:
        """Texts of a column that is stored as `kind`, as this column has the same values."""
        return texts if kind == self.storage.kind else self.adopt_texts(texts, kind)

    def adopt_texts(self, texts: list[str], kind: str) -> list[str]:
        """The same, of another kind: what means the same as one of the known texts becomes that."""
        known = self.value_texts()
        meant: dict[Any, set[str]] = {}
        for text in known:
            meant.setdefault(read_meaning(text), set()).add(text)
        alike = {text: meant.get(read_meaning(text), set()) for text in {*texts} - {*known}}
        return [
            next(iter(alike[text])) if len(alike.get(text, ())) == 1 else text for text in texts
        ]

    def value_texts(self) -> tuple[str, ...]:
        """The texts of its values, where these are listed."""
        return ()

    def _refuse_infinite(self, index: np.ndarray, texts: list[str]) -> None:
        if self.storage.kind != "float" and not self.numeric:
            return
        endless = [*map(numbers.INFINITE_NUMBER.fullmatch, texts)]
        if not any(endless):
            return
        rows = np.flatnonzero(np.array([*map(bool, endless), False])[index])
        if len(rows):
            where = f"row {int(rows[0]) + 1}, column {self.name!r}"
            raise UserError(
                f"{where}: the number is infinite; leave the cell empty, or drop the row"
            )

    def to_json(self) -> dict[str, Any]:
        return {"column": self.word, **asdict(self)}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Column:
        fields = lists_to_tuples(document)
        if "kind" in fields:
            fields["kind"] = Kind.from_json(fields["kind"])
        fields["storage"] = Storage(**fields["storage"])
        return Column.classes[fields.pop("column")](**fields)
