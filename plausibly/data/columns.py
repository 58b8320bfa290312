"""The columns of a table, one class a type: distinct texts <-> values of a kind.

A column foresees what its training rows showed. Any other text is the kind's open code: the text is kept, and

    log p(text) = -(bytes + 1) log 257

which sums to one over all texts, so that no recordable cell has probability 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import log
from typing import Any, ClassVar

import numpy as np

from plausibly.data import dates, numbers
from plausibly.data.cells import OTHER_TEXT, Storage, texts_of
from plausibly.errors import UserError
from plausibly.kinds import MISSING, OTHER, REAL_OTHER, Bins, Category, Grid, Kind, kind_from_json, kind_to_json


@dataclass
class Cells:
    """One column of some rows: values of its kind, and the texts of those that it does not foresee (else None)."""

    values: np.ndarray
    texts: np.ndarray | None = None

    def __getitem__(self, index: Any) -> Cells:
        return Cells(self.values[index], None if self.texts is None else self.texts[index])

    def log_within(self, kind: Kind, observed: np.ndarray | None = None) -> np.ndarray:
        """log p(cell | code) in nats; 0 where it is not observed."""
        nats = kind.log_within(self.values)
        if self.texts is not None:
            rows = np.flatnonzero(np.not_equal(self.texts, None))
            nats[rows] = [log_text(text) for text in self.texts[rows]]
        return nats if observed is None else np.where(observed, nats, 0.0)


def log_text(text: str) -> float:
    """log p of a text: each of its bytes, and its end, is one of 257 equally likely symbols."""
    return -(len(text.encode("utf-8", "surrogatepass")) + 1) * log(257)


@dataclass(frozen=True)
class Column(ABC):
    """A column by name; `hole` is how a hole is written in a text file."""

    name: str
    storage: Storage
    holes: int = 0
    why: str = ""
    hole: str = ""

    word: ClassVar[str]
    classes: ClassVar[dict[str, type[Column]]] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.hole, str):
            raise ValueError(f"a column's name is a text, not {self.name!r}")

    def __init_subclass__(cls) -> None:
        Column.classes[cls.word] = cls

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """What the column report says besides name, kind and holes."""

    def canonical(self, texts: list[str]) -> list[str]:
        """The texts as this column prints them in a text file."""
        return texts

    def cells_of(self, series: Any) -> tuple[np.ndarray, list[str]]:
        """For each row the index of its text, -1 for a hole, and the distinct texts."""
        index, texts = texts_of(series, self.name)
        self._refuse_infinite(index, texts)
        marks = {self.hole, ""} if not self.storage.exact else set()
        marked = [place for place, text in enumerate(texts) if text in marks]
        return (np.where(np.isin(index, marked), -1, index) if marked else index), texts

    def _refuse_infinite(self, index: np.ndarray, texts: list[str]) -> None:
        if self.storage.kind != "float" and not isinstance(self, GridColumn | BinsColumn):
            return
        endless = [place for place, text in enumerate(texts) if numbers.INFINITE.fullmatch(text)]
        rows = np.flatnonzero(np.isin(index, endless))
        if len(rows):
            where = f"row {int(rows[0]) + 1}, column {self.name!r}"
            raise UserError(f"{where}: the number is infinite; leave the cell empty, or drop the row")

    def to_json(self) -> dict[str, Any]:
        document = {key: value for key, value in asdict(self).items() if key != "kind"}
        kind = getattr(self, "kind", None)
        return {"column": self.word, **document, **({"kind": kind_to_json(kind)} if kind else {})}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Column:
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in document.items() if key != "column"}
        stored = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.pop("storage").items()}
        if "kind" in fields:
            fields["kind"] = kind_from_json(fields["kind"])
        return Column.classes[document["column"]](storage=Storage(**stored), **fields)


@dataclass(frozen=True)
class AsideColumn(Column):
    """A column that is no variable: kept on a round trip, regenerated for drawn rows.

    `role` is constant (`text` is its one value, None a hole), id or text; `numbered` ids are 1 to n.
    """

    role: str = "constant"
    text: str | None = None
    numbered: bool = False
    word = "aside"

    def drawn(self, rows: int) -> np.ndarray:
        """Texts for rows that were not recorded."""
        cells = np.full(rows, "" if self.role != "constant" else self.text, dtype=object)
        if self.numbered:
            cells[:] = [str(row) for row in range(1, rows + 1)]
        return cells

    def texts(self, series: Any) -> np.ndarray:
        index, texts = self.cells_of(series)
        return np.array([*texts, None], dtype=object)[index]

    def details(self) -> dict[str, Any]:
        return {"kind": self.role, "codes": None} | ({"value": self.text} if self.role == "constant" else {})


@dataclass(frozen=True)
class ModelledColumn(Column):
    """A column that is a variable of the event."""

    kind: Kind = Category()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.kind, self.takes):
            raise ValueError(f"column {self.name!r}: a {self.word} column cannot be of kind {type(self.kind).__name__}")

    takes: ClassVar[type[Kind]] = Category

    @property
    def other(self) -> float | int:
        """The value of what is not foreseen."""
        return REAL_OTHER if isinstance(self.kind, Bins) else OTHER

    @abstractmethod
    def parse(self, texts: list[str]) -> np.ndarray:
        """Values of distinct texts; OTHER where one is not foreseen."""

    @abstractmethod
    def spell(self, values: np.ndarray) -> list[str]:
        """Texts of foreseen values."""

    def cells(self, series: Any) -> Cells:
        """The cells of a column. UserError names the row of one that cannot be recorded."""
        index, texts = self.cells_of(series)
        values, other = self._values(texts), self.other
        hole = np.nan if isinstance(self.kind, Bins) else MISSING
        extended = np.append(values, hole if self.kind.missing else other)
        cells = Cells(extended[index])
        unforeseen = cells.values == other
        if unforeseen.any():
            self._refuse(texts, index, unforeseen)
            kept = np.array([*texts, self.hole_text], dtype=object)[index]
            cells.texts = np.where(unforeseen, kept, None)
        return cells

    def _values(self, texts: list[str]) -> np.ndarray:
        values = self.parse(texts)
        if not self.storage.exact or not texts:
            return values
        foreseen = np.flatnonzero(values != self.other)
        again = np.array(self.spell(values[foreseen]), dtype=object)
        values[foreseen[again != np.array(texts, dtype=object)[foreseen]]] = self.other
        return values

    @property
    def hole_text(self) -> str:
        """The text that stands for a hole where training had none: one that no cell of this column can hold."""
        return "\0" if self.storage.exact else ""

    def _refuse(self, texts: list[str], index: np.ndarray, unforeseen: np.ndarray) -> None:
        """UserError for the first of these cells where the kind leaves no room for them."""
        if not self.kind.open:
            row = int(np.flatnonzero(unforeseen)[0])
            problem = self.problem(texts[index[row]] if index[row] >= 0 else None)
            raise UserError(f"row {row + 1}, column {self.name!r}: {problem}")

    def problem(self, text: str | None) -> str:
        """Why a cell (None: a hole) cannot be recorded."""
        return "a hole, where there was none in training" if text is None else f"{text!r} was not foreseen"

    def texts(self, cells: Cells) -> np.ndarray:
        """The texts of cells, None for holes."""
        distinct, inverse = np.unique(cells.values, return_inverse=True)
        hole = np.isnan(distinct) if isinstance(self.kind, Bins) else distinct == MISSING
        foreseen = ~hole & (distinct != self.other)
        texts = np.full(len(distinct), None, dtype=object)
        texts[foreseen] = self.spell(distinct[foreseen])
        found = texts[inverse]
        if cells.texts is not None:
            found = np.where(np.not_equal(cells.texts, None), cells.texts, found)
            found[found == self.hole_text] = None
        return found

    def draw(self, codes: np.ndarray, generator: np.random.Generator) -> Cells:
        """Cells drawn inside the codes."""
        values = self.kind.draw(codes, generator)
        other = values == self.other
        return Cells(values, np.where(other, OTHER_TEXT, None) if other.any() else None)


@dataclass(frozen=True)
class BooleanColumn(ModelledColumn):
    """Exactly two spellings, of false and of true; nothing else can be recorded."""

    spellings: tuple[str, ...] = ("0", "1")
    word = "boolean"

    def parse(self, texts: list[str]) -> np.ndarray:
        values = {text: value for value, text in enumerate(self.spellings)}
        plain = {_plain(text): value for text, value in values.items()}
        return np.array([values.get(t, plain.get(_plain(t), OTHER)) for t in texts], dtype=np.int64)

    def spell(self, values: np.ndarray) -> list[str]:
        return [self.spellings[value] for value in values]

    def problem(self, text: str | None) -> str:
        if text is None:
            return super().problem(text)
        word = "integer" if numbers.written(text) else "category"
        low, high = self.spellings
        return f"{text!r} is not {low} or {high}; `--kind {self.name}={word}` would take it"

    def details(self) -> dict[str, Any]:
        return {"levels": list(self.spellings)}


def _plain(text: str) -> str:
    """A whole number's text without the `.0` that a detour through floats adds, and truths in lower case."""
    return text.removesuffix(".0").lower()


@dataclass(frozen=True)
class CategoryColumn(ModelledColumn):
    """Unordered levels: the frequent ones first, each with a code of its own, then the rare ones."""

    levels: tuple[str, ...] = ()
    word = "category"

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = self.kind
        if isinstance(kind, Category) and kind.levels + len(kind.rare) != len(self.levels):
            raise ValueError(f"column {self.name!r}: {len(self.levels)} levels do not fit its kind")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self.levels)}

    def parse(self, texts: list[str]) -> np.ndarray:
        places = self._places
        found = [places.get(text, places.get(text.removesuffix(".0"), OTHER)) for text in texts]
        return np.array(found, dtype=np.int64)

    def spell(self, values: np.ndarray) -> list[str]:
        return [self.levels[value] for value in values]

    def details(self) -> dict[str, Any]:
        assert isinstance(self.kind, Category)
        shown = {"levels": list(self.levels[: self.kind.levels])}
        return shown | ({"rare_levels": len(self.kind.rare)} if self.kind.rare else {})


@dataclass(frozen=True)
class GridColumn(ModelledColumn):
    """Numbers in steps of 10^-decimals, printed in one style."""

    decimals: int = 0
    style: str = "shortest"
    word = "grid"
    takes = Grid

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decimals <= 30 or not (self.style in ("shortest", "dotted") or self.style[6:].isdecimal()):
            raise ValueError(f"column {self.name!r}: no such resolution or style")

    def parse(self, texts: list[str]) -> np.ndarray:
        steps = [numbers.in_steps(numbers.written(text), self.decimals) for text in texts]
        return np.array([OTHER if step is None else step for step in steps], dtype=np.int64)

    def spell(self, values: np.ndarray) -> list[str]:
        return [numbers.spelled(value, self.decimals, self.style) for value in values.tolist()]

    def canonical(self, texts: list[str]) -> list[str]:
        return _canonical(self, texts)

    def details(self) -> dict[str, Any]:
        assert isinstance(self.kind, Grid)
        ends = [min((*self.kind.atoms[:1], self.kind.edges[0])), max((*self.kind.atoms[-1:], self.kind.edges[-1] - 1))]
        low, high = (numbers.spelled(end, self.decimals, "shortest") for end in ends)
        step = numbers.spelled(1, self.decimals, "shortest")
        word = "number" if self.decimals else "integer"
        return {"kind": word, "resolution": step, "range": [low, high], "atoms": len(self.kind.atoms)}


@dataclass(frozen=True)
class BinsColumn(ModelledColumn):
    """Real numbers, with a density."""

    style: str = "dotted"
    word = "bins"
    takes = Bins

    def parse(self, texts: list[str]) -> np.ndarray:
        return np.array([float(t) if numbers.written(t) else REAL_OTHER for t in texts], dtype=np.float64)

    def spell(self, values: np.ndarray) -> list[str]:
        texts = [repr(value) for value in values.tolist()]
        return texts if self.style == "dotted" else [text.removesuffix(".0") for text in texts]

    def canonical(self, texts: list[str]) -> list[str]:
        return _canonical(self, texts)

    def details(self) -> dict[str, Any]:
        assert isinstance(self.kind, Bins)
        return {"kind": "number", "range": [self.kind.edges[0], self.kind.edges[-1]], "density": True}


@dataclass(frozen=True)
class DateColumn(ModelledColumn):
    """Dates or times of one form, in whole steps (`step` ticks of the form's precision)."""

    form: str = "iso - D -"
    step: int = 1
    unit: str = "day"
    word = "date"
    takes = Grid

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step < 1 or dates.spelled([0], self.form) == []:
            raise ValueError(f"column {self.name!r}: no such form of dates")

    def parse(self, texts: list[str]) -> np.ndarray:
        found = [None if t is None or t % self.step else t // self.step for t in dates.ticks(texts, self.form)]
        fitting = [OTHER if v is None or abs(v) >= numbers.LIMIT else v for v in found]
        return np.array(fitting, dtype=np.int64)

    def spell(self, values: np.ndarray) -> list[str]:
        return dates.spelled([value * self.step for value in values.tolist()], self.form)

    def details(self) -> dict[str, Any]:
        assert isinstance(self.kind, Grid)
        ends = [self.kind.edges[0] * self.step, (self.kind.edges[-1] - 1) * self.step]
        return {"resolution": self.unit, "range": dates.spelled(ends, self.form), "atoms": len(self.kind.atoms)}


def _canonical(column: GridColumn | BinsColumn, texts: list[str]) -> list[str]:
    values = column.parse(texts)
    foreseen = np.flatnonzero(values != column.other)
    found = np.array(texts, dtype=object)
    found[foreseen] = column.spell(values[foreseen])
    return list(found)


def remembered(column: Column, **changes: Any) -> Column:
    """The column with some of what it remembers changed."""
    return replace(column, **changes)
