"""The columns of a table, one class a type: distinct texts <-> values of a kind.

A column foresees what its training rows showed. Any other text is the kind's open code: the text is kept, and

    log p(text) = -(bytes + 1) log 257

which sums to one over all texts, so that no recordable cell has probability 0.
"""

from __future__ import annotations

import json
import lzma
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import log
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from plausibly.data.columns import dates, numbers
from plausibly.data.columns.identifiers import IdGenerator, Piece
from plausibly.data.columns.storage import OTHER_TEXT, Storage, in_ticks, storage_kind, texts_of
from plausibly.errors import UserError
from plausibly.events.kinds import (
    MISSING,
    OTHER,
    REAL_MISSING,
    REAL_OTHER,
    Category,
    Kind,
    Real,
    kind_from_json,
    kind_to_json,
)

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

TEXTS_NEW, TEXTS_GIVEN, TEXTS_ABSENT = range(
    3
)  # how the texts of a column that is set aside are coded
MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?", re.ASCII)
ZONED_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
WAY_PROBABILITIES = np.array([0.9, 0.05, 0.05])
SPELLING_PROBABILITIES = np.array(
    [0.999, 0.001]
)  # that all cells of some rows are spelled as the column spells them, and that some are not
EMPTY_TEXT = b"\xff"
HOLE_WORDS = {
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "?",
    "-",
    ".",
    "#n/a",
    "<na>",
    "nat",
    "missing",
    r"\n",
}


@dataclass
class ColumnValues:
    """One column of some rows: values of its kind, and the texts of those that it does not foresee or spells otherwise.

    Any other text is None. How a value is spelled, such as 1.50 for 1.5 or NA for a hole, has no probability of its own.
    """

    values: np.ndarray
    texts: np.ndarray | None = None

    def __getitem__(self, index: Any) -> ColumnValues:
        texts = None if self.texts is None else self.texts[index]
        return ColumnValues(
            self.values[index], texts if texts is not None and has_text(texts).any() else None
        )


def join_cells(parts: Sequence[ColumnValues]) -> ColumnValues:
    """A column's cells, piece after piece."""
    values = np.concatenate([part.values for part in parts])
    if all(part.texts is None for part in parts):
        return ColumnValues(values)
    blank = [
        np.full(len(part.values), None, dtype=object) if part.texts is None else part.texts
        for part in parts
    ]
    return ColumnValues(values, np.concatenate(blank))


def has_text(texts: np.ndarray) -> np.ndarray:
    """Where there is a text."""
    return np.array([text is not None for text in texts], dtype=bool)


def texts_at(texts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The texts at some places, None at all others."""
    found = texts.copy()
    found[~places] = None
    return found


def is_hole(text: str) -> bool:
    """Whether it is a word that stands for a hole among numbers and dates."""
    return text.strip().lower() in HOLE_WORDS


def code_texts(coder: Coder, texts: np.ndarray | None) -> np.ndarray:
    """Passes texts, some of which may be None, through a coder, compressed together by LZMA."""
    kept = (
        None
        if texts is None
        else lzma.compress(json.dumps(list(texts)).encode(), lzma.FORMAT_ALONE)
    )
    return np.array(json.loads(lzma.decompress(coder.block(kept))), dtype=object)


def meaning(text: str) -> Any:
    """What a text says however its type writes it: a number, a day, a time, a duration, a truth, or else itself."""
    if found := numbers.parse_number(text):
        return found
    if day := MIDNIGHT.fullmatch(text):
        return day[1]
    if ZONED_TIME.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    plain = dates.without_days(text)
    lasts = in_ticks([plain], "ns")[0]
    return (
        ("ns", lasts)
        if lasts != plain
        else text.lower()
        if text.lower() in ("true", "false")
        else text
    )


def log_text(text: str) -> float:
    """log p of a text: each of its bytes, and its end, is one of 257 equally likely symbols."""
    return log_bytes(text.encode("utf-8", "surrogatepass"))


def log_bytes(coded: bytes) -> float:
    """log p of a text by its bytes."""
    return -(len(coded) + 1) * log(257)


def bytes_of(text: str | None) -> bytes:
    """The bytes of a cell that is not foreseen: a hole, None, has none; an empty text, one that begins no character."""
    return b"" if text is None else text.encode("utf-8", "surrogatepass") or EMPTY_TEXT


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
        """What the column report says besides name, kind and holes."""

    def canonical(self, texts: list[str]) -> list[str]:
        """The texts as this column prints them in a text file."""
        return texts

    def cells_of(self, series: Any) -> tuple[np.ndarray, list[str]]:
        """For each row the index of its text, -1 for a hole, and the distinct texts, as this column writes its values."""
        index, texts = texts_of(series, self.name, self._time_texts)
        texts = self.own_texts(texts, storage_kind(series, self.name))
        self._refuse_infinite(index, texts)
        marks = {self.hole, ""} if not self.storage.exact else set()
        marked = [place for place, text in enumerate(texts) if text in marks]
        return (np.where(np.isin(index, marked), -1, index) if marked else index), texts

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
            meant.setdefault(meaning(text), set()).add(text)
        alike = {text: meant.get(meaning(text), set()) for text in {*texts} - {*known}}
        return [
            next(iter(alike[text])) if len(alike.get(text, ())) == 1 else text for text in texts
        ]

    def value_texts(self) -> tuple[str, ...]:
        """The texts of its values, where these are listed."""
        return ()

    def _refuse_infinite(self, index: np.ndarray, texts: list[str]) -> None:
        if self.storage.kind != "float" and not self.numeric:
            return
        endless = [
            place for place, text in enumerate(texts) if numbers.INFINITE_NUMBER.fullmatch(text)
        ]
        rows = np.flatnonzero(np.isin(index, endless))
        if len(rows):
            where = f"row {int(rows[0]) + 1}, column {self.name!r}"
            raise UserError(
                f"{where}: the number is infinite; leave the cell empty, or drop the row"
            )

    def to_json(self) -> dict[str, Any]:
        document = {key: value for key, value in asdict(self).items() if key != "kind"}
        kind = getattr(self, "kind", None)
        return {"column": self.word, **document, **({"kind": kind_to_json(kind)} if kind else {})}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Column:
        fields = with_tuples(
            {key: value for key, value in document.items() if key not in ("column", "storage")}
        )
        if "kind" in fields:
            fields["kind"] = kind_from_json(fields["kind"])
        return Column.classes[document["column"]](
            storage=Storage(**with_tuples(document["storage"])), **fields
        )


def with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }


@dataclass(frozen=True)
class AsideColumn(Column):
    """A column that is no variable: kept on a round trip, made anew for drawn rows.

    `role` is constant (`text` is its one value, None a hole), id (made by `first`, `pieces`, `end`) or text (left empty).
    Of a constant, `unforeseen` is the probability of anything else.
    """

    role: str = "constant"
    text: str | None = None
    first: str = ""
    pieces: tuple[Piece, ...] = ()
    end: str = ""
    letters: tuple[str, ...] = ()  # at each place of an identifier, of runs of version 0.1.0
    unforeseen: float = 0.0
    word = "aside"

    def __post_init__(self) -> None:
        super().__post_init__()
        pieces = tuple(
            piece if isinstance(piece, Piece) else Piece(**piece) for piece in self.pieces
        )
        object.__setattr__(self, "pieces", pieces)
        self.id_generator.generate(0, np.random.default_rng(0))

    def value_texts(self) -> tuple[str, ...]:
        return () if self.text is None else (self.text,)

    @property
    def id_generator(self) -> IdGenerator:
        old = (
            (Piece(letters=self.letters, lengths=(*[0] * (len(self.letters) - 1), 1)),)
            if self.letters
            else ()
        )
        return IdGenerator(self.first, self.pieces or old, self.end)

    def new_texts(self, rows: int, generator: np.random.Generator, before: int = 0) -> np.ndarray:
        """Texts for `rows` rows that were not recorded, and come after `before` others."""
        blank = (
            "" if self.storage.kind == "text" else None
        )  # a hole keeps the type of any other column
        cells = np.full(rows, blank if self.role != "constant" else self.text, dtype=object)
        if self._makes_ids:
            cells[:] = self.id_generator.generate(rows, generator, before)
        return cells

    def through(
        self, coder: Coder, rows: int, before: int, texts: np.ndarray | None, known: bool
    ) -> np.ndarray | None:
        """Passes the texts of rows, which come after `before` others, through a coder; None for a column that is absent.

        `known` says that they are given. Texts that are not as `drawn` ones are compressed together by LZMA.
        """
        drawn = self.new_texts(rows, np.random.default_rng(0), before)
        way = None
        if known:
            way = (
                TEXTS_ABSENT
                if texts is None
                else TEXTS_NEW
                if list(texts) == list(drawn)
                else TEXTS_GIVEN
            )
        found = int(coder.iid(WAY_PROBABILITIES, 1, None if way is None else np.array([way]))[0])
        if found == TEXTS_GIVEN:
            return code_texts(coder, texts)
        return None if found == TEXTS_ABSENT else drawn

    def log_within(self, texts: np.ndarray) -> np.ndarray:
        """log p of cells in nats: of the one value of a constant, or of anything else; 0 of identifiers and free texts."""
        if not self.unforeseen:
            return np.zeros(len(texts))
        own = np.array([self._is_value(text) for text in texts], dtype=bool)
        nats = np.full(len(texts), np.log1p(-self.unforeseen))
        nats[~own] = [log(self.unforeseen) + log_bytes(bytes_of(text)) for text in texts[~own]]
        return nats

    def _is_value(self, text: str | None) -> bool:
        if text is None or self.text is None:
            return text is self.text
        return (
            text == self.text
            or numbers.parse_number(text) == numbers.parse_number(self.text) is not None
        )

    def describe(self) -> str:
        """What it is, why, and what drawn rows have there."""
        drawn = (
            f"; drawn rows have {self.id_generator.example()}"
            if self._makes_ids
            else "; empty in drawn rows" * (self.role != "constant")
        )
        return f"{self.role} ({self.why}){drawn}"

    @property
    def _makes_ids(self) -> bool:
        """Whether drawn rows get identifiers; those of types that no new text fits stay empty."""
        return self.role == "id" and self.storage.kind in ("text", "integer", "float", "decimal")

    def texts(self, series: Any) -> np.ndarray:
        index, texts = self.cells_of(series)
        return np.asarray(np.array([*texts, None], dtype=object)[index])

    def details(self) -> dict[str, Any]:
        said = (
            {"value": self.text}
            if self.role == "constant"
            else {"drawn": self.id_generator.example()}
            if self._makes_ids
            else {}
        )
        return {"kind": self.role, "codes": None} | said


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
        if len(self.marks) != len(self.marked) or not all(
            isinstance(n, int) and n > 0 for n in self.marked
        ):
            raise ValueError(f"column {self.name!r}: each mark of a hole needs a count")

    takes: ClassVar[type[Kind]] = Category

    def log_within(self, cells: ColumnValues, observed: np.ndarray | None = None) -> np.ndarray:
        """log p(cell | code) in nats; 0 where it is not observed."""
        nats = self.kind.log_within(cells.values)
        if cells.texts is not None:
            rows = np.flatnonzero(has_text(cells.texts) & (cells.values == self.other))
            nats[rows] += [
                log_bytes(bytes_of(self._text_or_none(text))) for text in cells.texts[rows]
            ]
        return nats if observed is None else np.where(observed, nats, 0.0)

    def through(self, coder: Coder, events: np.ndarray, cells: ColumnValues | None) -> ColumnValues:
        """Passes through a coder what the events leave open of some cells, and how they are spelled; the cells."""
        values = self.kind.through(coder, events, None if cells is None else cells.values)
        other, texts = values == self.other, np.full(len(values), None, dtype=object)
        given = None if cells is None else texts.copy() if cells.texts is None else cells.texts
        for row in np.flatnonzero(other):
            texts[row] = self.other_through(coder, None if given is None else given[row])
        self._code_spellings(coder, texts, None if given is None else texts_at(given, ~other))
        return ColumnValues(values, texts if has_text(texts).any() else None)

    def _code_spellings(self, coder: Coder, texts: np.ndarray, own: np.ndarray | None) -> None:
        """Passes through a coder the texts of foreseen cells that are spelled otherwise, and puts them among `texts`."""
        if (
            coder.form > 1
            and coder.iid(
                SPELLING_PROBABILITIES,
                1,
                None if own is None else np.array([int(has_text(own).any())]),
            )[0]
        ):
            found = code_texts(coder, own)
            texts[has_text(found)] = found[has_text(found)]

    def other_through(self, coder: Coder, text: str | None) -> str:
        """Passes through a coder a text that is not foreseen."""
        found: bytes = coder.text(None if text is None else bytes_of(self._text_or_none(text)))
        if not found:
            return self.hole_text
        return "" if found == EMPTY_TEXT else found.decode("utf-8", "surrogatepass")

    def _text_or_none(self, text: str) -> str | None:
        """A kept text, None where it stands for a hole."""
        return None if text == self.hole_text else text

    def is_known(self, index: np.ndarray, texts: list[str]) -> np.ndarray:
        """Which cells are known, as `cells_of` gives them: no holes, and no words that stand for one."""
        words = [
            place
            for place, text in enumerate(texts)
            if text in self.marks or (self.measures and is_hole(text))
        ]
        return (index >= 0) & ~np.isin(index, words)

    @property
    def measures(self) -> bool:
        """Whether its cells are amounts, dates or times, which can be spelled in more than one way."""
        return not isinstance(self.kind, Category)

    def canonical(self, texts: list[str]) -> list[str]:
        values, _ = self._read(texts)
        foreseen = np.flatnonzero((values != self.other) & ~self._holes(values))
        found = np.array(texts, dtype=object)
        found[foreseen] = self.spell(values[foreseen])
        return list(found)

    def _holes(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.isnan(values) if isinstance(self.kind, Real) else values == MISSING)

    @property
    def other(self) -> float | int:
        """The value of what is not foreseen."""
        return REAL_OTHER if isinstance(self.kind, Real) else OTHER

    @abstractmethod
    def parse(self, texts: list[str]) -> np.ndarray:
        """Values of distinct texts; OTHER where one is not foreseen."""

    @abstractmethod
    def spell(self, values: np.ndarray) -> list[str]:
        """Texts of foreseen values."""

    def cells(self, series: Any) -> ColumnValues:
        """The cells of a column. UserError names the row of one that cannot be recorded."""
        return self._cells(*self.cells_of(series), asked=False)

    def parse_question(self, series: Any) -> tuple[ColumnValues, np.ndarray]:
        """The cells of a question, in which any may be a hole, and which of them are known."""
        index, texts = self.cells_of(series)
        return self._cells(index, texts, asked=True), self.is_known(index, texts)

    def _cells(self, index: np.ndarray, texts: list[str], asked: bool) -> ColumnValues:
        (values, otherwise), other = self._read(texts), self.other
        cells = ColumnValues(np.append(values, self._hole if self.kind.missing else other)[index])
        unforeseen = (cells.values == other) & ((index >= 0) | (not asked))
        if unforeseen.any():
            self._refuse(texts, index, unforeseen)
        kept = unforeseen | np.append(otherwise, False)[index]
        if kept.any():
            cells.texts = texts_at(np.array([*texts, self.hole_text], dtype=object)[index], kept)
        return cells

    def values_of(self, texts: list[str]) -> np.ndarray:
        """Values of distinct texts as cells hold them, where a type is exact letter by letter; OTHER for all else."""
        return self._read(texts)[0]

    @property
    def _hole(self) -> float | int:
        return REAL_MISSING if isinstance(self.kind, Real) else MISSING

    def _read(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Values of distinct texts; and which of them are foreseen, but spelled otherwise than this column does."""
        values, otherwise = (
            self.parse(texts),
            np.array([text in self.marks for text in texts], dtype=bool),
        )
        values[otherwise] = self._hole
        foreseen = np.flatnonzero((values != self.other) & ~otherwise)
        again = np.array(self.spell(values[foreseen]), dtype=object)
        differs = foreseen[again != np.array(texts, dtype=object)[foreseen]]
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

    def _refuse(self, texts: list[str], index: np.ndarray, unforeseen: np.ndarray) -> None:
        """UserError for the first of these cells where the kind leaves no room for them."""
        if not self.kind.open:
            row = int(np.flatnonzero(unforeseen)[0])
            problem = self.problem(texts[index[row]] if index[row] >= 0 else None)
            raise UserError(f"row {row + 1}, column {self.name!r}: {problem}")

    def problem(self, text: str | None) -> str:
        """Why a cell (None: a hole) cannot be recorded."""
        return (
            "a hole, where there was none in training"
            if text is None
            else f"{text!r} was not foreseen"
        )

    def texts(self, cells: ColumnValues) -> np.ndarray:
        """The texts of cells as they are spelled, None for holes that no further mark stands for."""
        distinct, inverse = np.unique(cells.values, return_inverse=True)
        foreseen = ~self._holes(distinct) & (distinct != self.other)
        texts = np.full(len(distinct), None, dtype=object)
        texts[foreseen] = self.spell(distinct[foreseen])
        found = texts[inverse]
        if cells.texts is not None:
            kept = has_text(cells.texts)
            found[kept] = [self._text_or_none(text) for text in cells.texts[kept]]
        return found

    def plain(self, cells: ColumnValues) -> np.ndarray:
        """The texts of cells as a column in memory takes them: None for all holes."""
        if cells.texts is None or self.storage.exact:
            return self.texts(cells)
        truths = self.storage.dtype in ("bool", "boolean")
        kept = cells.values == self.other if truths else ~self._holes(cells.values)
        return self.texts(ColumnValues(cells.values, texts_at(cells.texts, kept)))

    def numbers(self, cells: ColumnValues) -> np.ndarray:
        """The values as numbers in the column's own units, float64; NaN for a hole and for what is not foreseen."""
        none = self._holes(cells.values) | (cells.values == self.other)
        return self.in_units(np.where(none, np.nan, cells.values.astype(np.float64)))

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Values of the kind, or numbers between, in the column's own units."""
        return values

    def display(self, value: float) -> float | str:
        """A number among the column's values, or between two, as one reads it: the nearest value's text."""
        return self.spell(np.round(np.array([value])).astype(np.int64))[0]

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the events' codes; holes are spelled as often in each way as in training."""
        values = self.kind.draw(events, generator)
        texts = np.array([None, OTHER_TEXT], dtype=object)[(values == self.other).astype(np.int64)]
        if self.marks and (holes := np.flatnonzero(self._holes(values))).size:
            ways = np.array([max(self.holes - sum(self.marked), 1), *self.marked], dtype=np.float64)
            picks = generator.choice(len(ways), size=len(holes), p=ways / ways.sum())
            texts[holes] = np.array([None, *self.marks], dtype=object)[picks]
        return ColumnValues(values, texts if has_text(texts).any() else None)


def change_column(column: Column, **changes: Any) -> Column:
    """The column with some of what it remembers changed."""
    return replace(column, **changes)
