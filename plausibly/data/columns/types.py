"""The types of a modelled column: how each reads texts as values of its kind, and prints them again."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from plausibly.data.columns import numbers
from plausibly.data.columns.cell_types import in_ticks
from plausibly.data.columns.cells import ColumnValues, has_text
from plausibly.data.columns.date_forms import DateForm, form_of, plain_form, without_days
from plausibly.data.columns.date_patterns import date_ticks_in, reformat_any
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import TIME_KINDS
from plausibly.events.kinds import MAX_SCALES, OTHER, REAL_OTHER, Category, Grid, Real

DAY_SECONDS = 86_400
FAR_SCALES = 1000.0  # scales
FALSE_WORDS = ("0", "0.0", "false", "no", "f", "n", "off")
TRUE_WORDS = ("1", "1.0", "true", "yes", "t", "y", "on")


@dataclass(frozen=True)
class BooleanColumn(ModelledColumn):
    """Two spellings, of false and of true. Closed where its type can record nothing else."""

    spellings: tuple[str, ...] = ("0", "1")
    word = "boolean"

    def parse(self, texts: list[str]) -> np.ndarray:
        plain = {_plain_truth(text): value for value, text in enumerate(self.spellings)}
        values = plain | {text: value for value, text in enumerate(self.spellings)}
        found = [values.get(text, plain.get(_plain_truth(text), OTHER)) for text in texts]
        return np.array(found, dtype=np.int64)

    def adopt_texts(self, texts: list[str], kind: str) -> list[str]:
        """Truths of another type by their meaning, such as False for 0."""
        if [truth_of(text) for text in self.spellings] != [False, True]:
            return super().adopt_texts(texts, kind)
        pairs = [(text, truth_of(text)) for text in texts]
        return [text if truth is None else self.spellings[truth] for text, truth in pairs]

    def value_texts(self) -> tuple[str, ...]:
        return self.spellings

    def problem(self, text: str | None) -> str:
        if text is None:
            return super().problem(text)
        word = "integer" if numbers.parse_number(text) else "category"
        low, high = self.spellings
        return f"{text!r} is not {low} or {high}; `--kind {self.name}={word}` would take it"

    def details(self) -> dict[str, Any]:
        return {"levels": list(self.spellings)}


def truth_of(text: str) -> bool | None:
    """The truth that a word or a digit says where it stands for one."""
    found = [text.lower() in words for words in (FALSE_WORDS, TRUE_WORDS)]
    return found[1] if any(found) else None


def _plain_truth(text: str) -> str:
    """A whole number's text without the `.0` that a detour through floats adds, and truths in lower case."""
    return text.removesuffix(".0").lower()


@dataclass(frozen=True)
class CategoryColumn(ModelledColumn):
    """Unordered levels: the frequent ones first, each with a code of its own, then the rare ones."""

    kind: Category = Category()  # noqa: RUF009 (frozen)
    levels: tuple[str, ...] = ()
    word = "category"

    def __post_init__(self) -> None:
        super().__post_init__()
        texts = {level for level in self.levels if isinstance(level, str)}
        if not self.kind.levels + len(self.kind.rare) == len(self.levels) == len(texts):
            raise ValueError(f"column {self.name!r}: {len(self.levels)} levels do not fit its kind")

    def parse(self, texts: list[str]) -> np.ndarray:
        places = {text: place for place, text in enumerate(self.levels)}
        found = [places.get(text, places.get(text.removesuffix(".0"), OTHER)) for text in texts]
        return np.array(found, dtype=np.int64)

    def value_texts(self) -> tuple[str, ...]:
        return self.levels

    def details(self) -> dict[str, Any]:
        shown = {"levels": list(self.levels[: self.kind.levels])}
        return shown | ({"rare_levels": len(self.kind.rare)} if self.kind.rare else {})


@dataclass(frozen=True)
class NumberColumn(ModelledColumn):
    """Numbers, with a decimal point or with the comma that a text file has in its place."""

    style: str = "shortest"
    span: tuple[str, ...] = ()
    point: str = "."
    numeric = True

    def own_texts(self, texts: list[str], kind: str) -> list[str]:
        """Durations are counted in ticks of the column's type."""
        counted = kind == "duration" and self.storage.kind == "duration"
        return in_ticks(texts, self.storage.dtype) if counted else super().own_texts(texts, kind)

    def adopt_texts(self, texts: list[str], kind: str) -> list[str]:
        if kind == "bool":
            texts = [str(int(text == "True")) for text in texts]
        return self.canonical(texts)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in (".", ","):
            raise ValueError(f"column {self.name!r}: decimals stand behind a point or a comma")
        if self.style[:2] in ("e:", "E:") and not self.style[2:].isdecimal():
            raise ValueError(f"column {self.name!r}: no such style")

    def display(self, value: float) -> float:
        return float(self.in_units(np.array(value)))

    def to_points(self, texts: list[str]) -> list[str]:
        """The texts with a point before decimals."""
        return texts if self.point == "." else [text.replace(",", ".", 1) for text in texts]

    def from_points(self, texts: list[str]) -> list[str]:
        """Texts with a point as this column spells them."""
        return texts if self.point == "." else [text.replace(".", ",") for text in texts]

    def plain(self, cells: ColumnValues) -> np.ndarray:
        texts = super().plain(cells)
        if self.storage.exact:
            return texts
        known = has_text(texts)
        texts[known] = self.to_points(texts[known].tolist())
        return texts


class LatticeColumn(ModelledColumn):
    """Whole numbers start, start + step, ... of a unit, or of ticks of time."""

    kind: Grid
    step: int
    start: int
    span: tuple[str, ...]
    takes = Grid

    @abstractmethod
    def ticks(self, texts: list[str]) -> np.ndarray:
        """The whole numbers of units that texts say, int64; OTHER where one says none."""

    @property
    @abstractmethod
    def tick_ends(self) -> tuple[int, int] | None:
        """The least and the largest that a cell of the column's type can hold; None where it sets none."""

    def parse(self, texts: list[str]) -> np.ndarray:
        ticks = self.ticks(texts)
        none = ticks == OTHER
        steps, rest = np.divmod(np.where(none, 0, ticks) - self.start, self.step)
        return np.where(none | (rest > 0) | (np.abs(steps) >= numbers.MAX_STEPS), OTHER, steps)

    @property
    def extent(self) -> dict[str, Any]:
        """The range of values and the number of atoms, for the column report."""
        return {"range": list(self.span), "atoms": len(self.kind.atoms)}

    def steps_between(self, ends: tuple[int, int]) -> tuple[int, int]:
        """The first and the last step that lie between two numbers of units."""
        return -((self.start - ends[0]) // self.step), (ends[1] - self.start) // self.step

    def within_type(self, values: np.ndarray) -> np.ndarray:
        if self.tick_ends is None:
            return values
        clipped = values.clip(*self.steps_between(self.tick_ends))
        return np.where(self.foresees(values), clipped, values)


@dataclass(frozen=True)
class GridColumn(LatticeColumn, NumberColumn):
    """Numbers start, start + step, ... in units of 10^-decimals, printed in one style."""

    kind: Grid = Grid()  # noqa: RUF009 (frozen)
    decimals: int = 0
    step: int = 1
    start: int = 0
    word = "grid"

    def __post_init__(self) -> None:
        super().__post_init__()
        styled = self.style in ("shortest", "dotted") or self.style[6:].isdecimal()
        if not styled or not 0 <= self.decimals <= 30:
            raise ValueError(f"column {self.name!r}: no such resolution or style")
        if not 0 <= self.start < self.step <= 2 * numbers.MAX_STEPS:
            raise ValueError(
                f"column {self.name!r}: a step is at least 1, and numbers start within it"
            )

    def ticks(self, texts: list[str]) -> np.ndarray:
        read = map(numbers.parse_number, self.to_points(texts))
        steps = [numbers.number_in_steps(number, self.decimals) for number in read]
        return np.array([OTHER if step is None else step for step in steps], dtype=np.int64)

    @property
    def tick_ends(self) -> tuple[int, int] | None:
        return self.storage.limits(self.decimals)

    def spell(self, values: np.ndarray) -> list[str]:
        units = [value * self.step + self.start for value in values.tolist()]
        texts = [numbers.format_number(unit, self.decimals, self.style) for unit in units]
        return self.from_points(texts)

    def in_units(self, values: np.ndarray) -> np.ndarray:
        return np.asarray((values * self.step + self.start) / 10**self.decimals)

    def details(self) -> dict[str, Any]:
        word = "number" if self.decimals else "integer"
        step = numbers.format_number(self.step, self.decimals, "shortest")
        return {"kind": word, "resolution": step, **self.extent}


@dataclass(frozen=True)
class RealColumn(NumberColumn):
    """Real numbers, with a density."""

    kind: Real = Real()  # noqa: RUF009 (frozen)
    word = "real"
    takes = Real

    def parse(self, texts: list[str]) -> np.ndarray:
        plain = self.to_points(texts)
        read = [float(text) if numbers.parse_number(text) else REAL_OTHER for text in plain]
        values = np.array(read, dtype=np.float64)
        with np.errstate(over="ignore"):
            values[np.abs(values - self.kind.location) > self.reach] = REAL_OTHER
        return values

    @property
    def reach(self) -> float:
        """The distance from the location that a density covers: far from all training rows, writing the text out is likelier.

        A closed kind has no such text.
        """
        if not self.kind.open:
            return MAX_SCALES * self.kind.scale
        ends = (abs(float(end) - self.kind.location) for end in self.span)
        return max(FAR_SCALES * self.kind.scale, *ends)

    @property
    def _is_scientific(self) -> bool:
        """True where numbers are printed with so many digits and an exponent."""
        return self.style[:2] in ("e:", "E:")

    def draw(self, codes: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the codes, with as many digits as the column prints."""
        cells = super().draw(codes, generator)
        foreseen = self.foresees(cells.values) & self._is_scientific
        printed = self.to_points(self.spell(cells.values[foreseen]))
        cells.values[foreseen] = [float(text) for text in printed]
        return cells

    def problem(self, text: str | None) -> str:
        if text is None:
            return super().problem(text)
        if numbers.parse_number(text):
            return f"{text} is not within a million scales of the training rows"
        return f"{text!r} is no number"

    def spell(self, values: np.ndarray) -> list[str]:
        if self.style == "whole":
            return [str(int(value)) for value in values.tolist()]
        if self._is_scientific:
            digits = f".{self.style[2:]}{self.style[0]}"
            return self.from_points([format(value, digits) for value in values.tolist()])
        texts = map(repr, values.tolist())
        dotted = self.style == "dotted"
        return self.from_points([t if dotted else t.removesuffix(".0") for t in texts])

    def details(self) -> dict[str, Any]:
        step = {"resolution": f"{self.kind.step:g}"} if self.kind.step else {}
        return {"kind": "real", "range": list(self.span), "density": True} | step


@dataclass(frozen=True)
class DateColumn(LatticeColumn):
    """Dates or times of one form: start, start + step, ... in ticks of the form's precision."""

    kind: Grid = Grid()  # noqa: RUF009 (frozen)
    form: str = "%Y-%m-%d"
    step: int = 1
    start: int = 0
    unit: str = "day"
    span: tuple[str, ...] = ()
    word = "date"

    def __post_init__(self) -> None:
        super().__post_init__()
        form_of(self.form)
        if not 0 <= self.start < self.step:
            raise ValueError(
                f"column {self.name!r}: a step is at least one tick, and times start within it"
            )

    @property
    def dates(self) -> DateForm:
        """The form, taken apart."""
        return form_of(self.form)

    def ticks(self, texts: list[str]) -> np.ndarray:
        return date_ticks_in(texts, self.dates)

    @property
    def tick_ends(self) -> tuple[int, int] | None:
        return self.storage.ends and self.dates.ticks_of(self.storage.ends)

    def spell(self, values: np.ndarray) -> list[str]:
        steps = values.clip(*self.steps_between(self.dates.ends))
        return self.dates.write(steps * self.step + self.start)

    def _time_texts(self, times: Any) -> list[str]:
        return self.storage.time_texts(times, self.dates.zone)

    def own_texts(self, texts: list[str], kind: str) -> list[str]:
        """Times that a type holds, or that such a column is asked for, in the column's form where it says them whole."""
        if kind in TIME_KINDS:
            return plain_form(texts).reformat(texts, self.dates)
        if not self.storage.is_timed:
            return texts
        if self.storage.kind == "duration":
            texts = [*map(without_days, texts)]
        return reformat_any(texts, self.dates, self.storage.time_texts)

    def seconds(self, cells: ColumnValues) -> np.ndarray:
        """Seconds since 1970, or midnight, float64; NaN for a hole and for what is not foreseen."""
        known, scaled = self._scaled_seconds(cells)
        return np.where(known, scaled * (1 / self.dates.scale), np.nan)

    def day_numbers(self, cells: ColumnValues) -> np.ndarray:
        """Whole days since 1970, float64; NaN as above."""
        known, scaled = self._scaled_seconds(cells)
        return np.where(known, scaled // (DAY_SECONDS * self.dates.scale), np.nan)

    def _scaled_seconds(self, cells: ColumnValues) -> tuple[np.ndarray, np.ndarray]:
        """Which cells are known; and their seconds, each `scale` times."""
        known = self.foresees(cells.values)
        ticks = np.where(known, cells.values, 0) * self.step + self.start
        return known, self.dates.scaled_seconds(ticks)

    def details(self) -> dict[str, Any]:
        return {"resolution": self.unit, **self.extent, "form": self.form}
