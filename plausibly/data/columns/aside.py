"""Columns that are no variables: constants, identifiers and free texts."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.columns import numbers
from plausibly.data.columns.cells import code_texts, log_text
from plausibly.data.columns.column import Column
from plausibly.data.columns.identifiers import IdGenerator, IdPiece

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

# ways to code the texts of a column that is set aside
TEXTS_NEW, TEXTS_GIVEN, TEXTS_ABSENT = range(3)
WAY_PROBABILITIES = np.array([0.9, 0.05, 0.05])  # of these ways


@dataclass(frozen=True)
class AsideColumn(Column):
    """A column that is no variable: kept on a round trip, made anew for drawn rows.

    `role` is constant (`text` is its one value, None a hole), id (made by `first`, `pieces`, `end`) or text (left empty).
    Of a constant, `unforeseen` is the probability of anything else.
    """

    role: str = "constant"
    text: str | None = None
    first: str = ""
    pieces: tuple[IdPiece, ...] = ()
    end: str = ""
    letters: tuple[str, ...] = ()  # at each place of an identifier, of runs of version 0.1.0
    unforeseen: float = 0.0
    word = "aside"

    def __post_init__(self) -> None:
        super().__post_init__()
        pieces = [p if isinstance(p, IdPiece) else IdPiece(**p) for p in self.pieces]
        object.__setattr__(self, "pieces", tuple(pieces))
        self.id_generator.generate(0, np.random.default_rng(0))

    def value_texts(self) -> tuple[str, ...]:
        return () if self.text is None else (self.text,)

    @property
    def id_generator(self) -> IdGenerator:
        lengths = (*[0] * (len(self.letters) - 1), 1)
        old = (IdPiece(letters=self.letters, lengths=lengths),) if self.letters else ()
        return IdGenerator(self.first, self.pieces or old, self.end)

    def new_texts(self, rows: int, generator: np.random.Generator, before: int = 0) -> np.ndarray:
        """Texts for `rows` rows that were not recorded, and come after `before` others."""
        # a hole keeps the type of any column but one of texts
        blank = "" if self.storage.kind == "text" else None
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
        way = TEXTS_ABSENT if texts is None else TEXTS_GIVEN
        if texts is not None and list(texts) == list(drawn):
            way = TEXTS_NEW
        found = int(coder.iid(WAY_PROBABILITIES, 1, np.array([way]) if known else None)[0])
        if found == TEXTS_GIVEN:
            return code_texts(coder, texts)
        return None if found == TEXTS_ABSENT else drawn

    def log_within(self, texts: np.ndarray) -> np.ndarray:
        """log p of cells in nats: of the one value of a constant, or of anything else; 0 of identifiers and free texts."""
        if not self.unforeseen:
            return np.zeros(len(texts))
        own = np.array([self._is_value(text) for text in texts], dtype=bool)
        nats = np.full(len(texts), np.log1p(-self.unforeseen))
        nats[~own] = [log(self.unforeseen) + log_text(text) for text in texts[~own]]
        return nats

    def _is_value(self, text: str | None) -> bool:
        if text is None or self.text is None:
            return text is self.text
        number = numbers.parse_number(self.text)
        return text == self.text or numbers.parse_number(text) == number is not None

    def describe(self) -> str:
        """A line for people: the role, the reason, and the content in drawn rows."""
        drawn = "" if self.role == "constant" else "; empty in drawn rows"
        if self._makes_ids:
            drawn = f"; drawn rows have {self.id_generator.example()}"
        return f"{self.role} ({self.why}){drawn}"

    @property
    def _makes_ids(self) -> bool:
        """True where drawn rows get identifiers; those of types that no new text fits stay empty."""
        return self.role == "id" and self.storage.kind in ("text", "integer", "float", "decimal")

    def texts(self, series: Any) -> np.ndarray:
        index, texts = self.cells_of(series)
        return np.asarray(np.array([*texts, None], dtype=object)[index])

    def details(self) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": self.role, "codes": None}
        if self._makes_ids:
            return said | {"drawn": self.id_generator.example()}
        return said | ({"value": self.text} if self.role == "constant" else {})
