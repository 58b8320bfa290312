"""Columns that are variables of the event: distinct texts <-> values of a kind."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from plausibly.data.columns.cells import (
    EMPTY_TEXT,
    ColumnValues,
    code_texts,
    encode_text,
    has_text,
    is_hole,
    log_text,
    texts_at,
)
from plausibly.data.columns.column import Column
from plausibly.data.columns.storage import OTHER_TEXT
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Kind

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

# that all cells of some rows are spelled as the column spells them, and that some are not
SPELLING_PROBABILITIES = np.array([0.999, 0.001])


@dataclass(frozen=True)
class ModelledColumn(Column):
    """A column that is a variable of the event.

    Beside the hole, further `marks` such as NA stand for one, `marked` times each in training.
    """

    kind: Kind = Category()  # noqa: RUF009 (frozen)
    marks: tuple[str, ...] = ()
    marked: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.kind, self.takes):
            raise ValueError(
                f"column {self.name!r}: a {self.word} column cannot be of kind {type(self.kind).__name__}"
            )
        counted = all(isinstance(count, int) and count > 0 for count in self.marked)
        if len(self.marks) != len(self.marked) or not counted:
            raise ValueError(f"column {self.name!r}: each mark of a hole needs a count")

    takes: ClassVar[type[Kind]] = Category

    def log_within(self, cells: ColumnValues, observed: np.ndarray | None = None) -> np.ndarray:
        """log p(cell | code) in nats; 0 where it is not observed."""
        nats = self.kind.log_within(cells.values)
        if cells.texts is not None:
            rows = np.flatnonzero(has_text(cells.texts) & (cells.values == self.other))
            nats[rows] += [log_text(self._said(text)) for text in cells.texts[rows]]
        return nats if observed is None else np.where(observed, nats, 0.0)

    def through(self, coder: Coder, events: np.ndarray, cells: ColumnValues | None) -> ColumnValues:
        """Passes through a coder what the events leave open of some cells, and how they are spelled; the cells."""
        values = self.kind.through(coder, events, None if cells is None else cells.values)
        other = values == self.other
        texts = np.full(len(values), None, dtype=object)
        given = None if cells is None else cells.all_texts
        for row in np.flatnonzero(other):
            texts[row] = self.other_through(coder, None if given is None else given[row])
        self._code_spellings(coder, texts, None if given is None else texts_at(given, ~other))
        return ColumnValues(values, texts)

    def _code_spellings(self, coder: Coder, texts: np.ndarray, own: np.ndarray | None) -> None:
        """Passes through a coder the texts of foreseen cells that are spelled otherwise, and puts them among `texts`."""
        if coder.form < 2:
            return
        otherwise = None if own is None else np.array([int(has_text(own).any())])
        if coder.iid(SPELLING_PROBABILITIES, 1, otherwise)[0]:
            found = code_texts(coder, own)
            texts[has_text(found)] = found[has_text(found)]

    def other_through(self, coder: Coder, text: str | None) -> str:
        """Passes through a coder a text that is not foreseen."""
        found: bytes = coder.text(None if text is None else encode_text(self._said(text)))
        if not found:
            return self.hole_text
        return "" if found == EMPTY_TEXT else found.decode("utf-8", "surrogatepass")

    def _said(self, text: str) -> str | None:
        """A kept text, None where it stands for a hole."""
        return None if text == self.hole_text else text

    def is_known(self, index: np.ndarray, texts: list[str]) -> np.ndarray:
        """Which cells are known, as `cells_of` gives them: no holes, and no words that stand for one."""
        words = [text in self.marks or (self.measures and is_hole(text)) for text in texts]
        return (index >= 0) & ~np.array([*words, True])[index]

    def to_json(self) -> dict[str, Any]:
        document = super().to_json()
        del document["kind"]  # which comes last, and says its name
        return document | {"kind": self.kind.to_json()}

    @property
    def measures(self) -> bool:
        """True of amounts, dates and times, which can be spelled in more than one way."""
        return self.kind.ordered

    def canonical(self, texts: list[str]) -> list[str]:
        values, _ = self._read(texts)
        foreseen = np.flatnonzero(self.foresees(values))
        found = np.array(texts, dtype=object)
        found[foreseen] = self.spell(values[foreseen])
        return list(found)

    def foresees(self, values: np.ndarray) -> np.ndarray:
        """Which values are foreseen, and no holes."""
        return (values != self.other) & ~self.kind.is_hole(values)

    @property
    def other(self) -> float:
        """The value of what is not foreseen."""
        return self.kind.other_value

    @abstractmethod
    def parse(self, texts: list[str]) -> np.ndarray:
        """Values of distinct texts; OTHER where one is not foreseen."""

    def spell(self, values: np.ndarray) -> list[str]:
        """Texts of foreseen values: where these are listed, the places in the list."""
        texts = self.value_texts()
        return [texts[value] for value in values]

    def cells(self, series: Any) -> ColumnValues:
        """The cells of a column. UserError names the row of one that cannot be recorded."""
        return self._cells(*self.cells_of(series), asked=False)

    def parse_question(self, series: Any) -> tuple[ColumnValues, np.ndarray]:
        """The cells of a question, in which any may be a hole, and which of them are known."""
        index, texts = self.cells_of(series)
        return self._cells(index, texts, asked=True), self.is_known(index, texts)

    def _cells(self, index: np.ndarray, texts: list[str], asked: bool) -> ColumnValues:
        values, otherwise = self._read(texts)
        other = self.other
        hole = self.kind.hole_value if self.kind.missing else other
        cells = ColumnValues(np.concatenate([values, [hole]])[index])
        unforeseen = cells.values == other
        if asked:
            unforeseen &= index >= 0
        if unforeseen.any() and not self.kind.open:
            row = int(np.flatnonzero(unforeseen)[0])
            problem = self.problem(texts[index[row]] if index[row] >= 0 else None)
            raise UserError(f"row {row + 1}, column {self.name!r}: {problem}")
        kept = unforeseen | (np.append(otherwise, False)[index] if otherwise.any() else False)
        if kept.any():
            cells.texts = texts_at(np.array([*texts, self.hole_text], dtype=object)[index], kept)
        return cells

    def values_of(self, texts: list[str]) -> np.ndarray:
        """Values of distinct texts as cells hold them, where a type is exact letter by letter; OTHER for all else."""
        return self._read(texts)[0]

    def _read(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Values of distinct texts; and which of them are foreseen, but spelled otherwise than this column does."""
        values = self.parse(texts)
        otherwise = np.array([text in self.marks for text in texts], dtype=bool)
        values[otherwise] = self.kind.hole_value
        foreseen = np.flatnonzero(self.foresees(values))
        spelled = zip(foreseen.tolist(), self.spell(values[foreseen]), strict=True)
        differs = [place for place, text in spelled if text != texts[place]]
        if self.storage.exact and not self.measures:
            values[differs] = self.other
        else:
            otherwise[differs] = True
        return values, otherwise

    @property
    def hole_text(self) -> str:
        """The text that stands for a hole where training had none: one that no cell of this column can hold.

        Where the empty text is a cell like any other, that is half of a character.
        """
        return "\ud800" if self.storage.exact else ""

    def problem(self, text: str | None) -> str:
        """Why a cell (None: a hole) cannot be recorded."""
        if text is None:
            return "a hole, where there was none in training"
        return f"{text!r} was not foreseen"

    def texts(self, cells: ColumnValues) -> np.ndarray:
        """The texts of cells as they are spelled, None for holes that no further mark stands for."""
        index, texts = self.spell_cells(cells)
        return texts[index]

    def spell_cells(self, cells: ColumnValues) -> tuple[np.ndarray, np.ndarray]:
        """The same as the places of cells among fewer texts, of which some may be equal."""
        import pandas as pd

        index, distinct = pd.factorize(cells.values, use_na_sentinel=False)
        foreseen = self.foresees(distinct)
        texts = np.full(len(distinct), None, dtype=object)
        texts[foreseen] = self.spell(distinct[foreseen])
        if cells.texts is None:
            return index, texts
        kept = np.flatnonzero(has_text(cells.texts))
        index[kept] = np.arange(len(kept)) + len(texts)
        own = cells.texts[kept]
        own[own == self.hole_text] = None
        return index, np.concatenate([texts, own])

    def plain(self, cells: ColumnValues) -> np.ndarray:
        """The texts of cells as a column in memory takes them: None for all holes."""
        if cells.texts is None or self.storage.exact:
            return self.texts(cells)
        truths = self.storage.dtype in ("bool", "boolean")
        kept = cells.values == self.other if truths else ~self.kind.is_hole(cells.values)
        return self.texts(ColumnValues(cells.values, texts_at(cells.texts, kept)))

    def numbers(self, cells: ColumnValues) -> np.ndarray:
        """The values as numbers in the column's own units, float64; NaN for a hole and for what is not foreseen."""
        values = cells.values.astype(np.float64)
        return self.in_units(np.where(self.foresees(cells.values), values, np.nan))

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Values of the kind, or numbers between, in the column's own units."""
        return values

    def display(self, value: float) -> float | str:
        """A number among the column's values, or between two, as one reads it: the nearest value's text."""
        return self.spell(np.round(np.array([value])).astype(np.int64))[0]

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the events' codes."""
        return self.dress(self.within_type(self.kind.draw(events, generator)), generator)

    def within_type(self, values: np.ndarray) -> np.ndarray:
        """Drawn values; for one that the column's type cannot hold the nearest that it can."""
        return values

    def dress(self, values: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells of drawn values; holes are spelled as often in each way as in training."""
        texts = np.array([None, OTHER_TEXT], dtype=object)[(values == self.other).astype(np.int64)]
        if self.marks and (holes := np.flatnonzero(self.kind.is_hole(values))).size:
            ways = np.array([max(self.holes - sum(self.marked), 1), *self.marked], dtype=np.float64)
            picks = generator.choice(len(ways), size=len(holes), p=ways / ways.sum())
            texts[holes] = np.array([None, *self.marks], dtype=object)[picks]
        return ColumnValues(values, texts)
