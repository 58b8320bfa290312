"""The types of a modelled column: how each reads texts as values of its kind, and prints them again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from plausibly.data.columns import date_patterns, dates, numbers
from plausibly.data.columns.cell_arrays import in_ticks
from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.date_forms import form_of, plain_form
from plausibly.data.columns.instants import date_ticks_in
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import TIME_KINDS
from plausibly.events.kinds import MAX_SCALES, MISSING, OTHER, REAL_OTHER, Category, Grid, Real

FAR_SCALES = 1000.0  # scales
FALSE_WORDS = {"0", "0.0", "false", "no", "f", "n", "off"}
TRUE_WORDS = {"1", "1.0", "true", "yes", "t", "y", "on"}


@dataclass(frozen=True)
class BooleanColumn(ModelledColumn):
    """Two spellings, of false and of true. Closed where its type can record nothing else."""

    spellings: tuple[str, ...] = ("0", "1")
    word = "boolean"

    def parse(self, texts: list[str]) -> np.ndarray:
        values = {text: value for value, text in enumerate(self.spellings)}
        plain = {_plain_truth(text): value for text, value in values.items()}
        return np.array(
            [values.get(t, plain.get(_plain_truth(t), OTHER)) for t in texts], dtype=np.int64
        )

    def spell(self, values: np.ndarray) -> list[str]:
        return [self.spellings[value] for value in values]

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
        if self.kind.levels + len(self.kind.rare) != len(self.levels):
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
        return self.canonical(
            [str(int(text == "True")) for text in texts] if kind == "bool" else texts
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in (".", ","):
            raise ValueError(f"column {self.name!r}: decimals stand behind a point or a comma")
        if self.style[:2] in ("e:", "E:") and not self.style[2:].isdecimal():
            raise ValueError(f"column {self.name!r}: no such style")

    def to_points(self, texts: list[str]) -> list[str]:
        """The texts with a point before decimals."""
        return texts if self.point == "." else [text.replace(",", ".", 1) for text in texts]

    def from_points(self, texts: list[str]) -> list[str]:
        """Texts with a point as this column spells them."""
        return texts if self.point == "." else [text.replace(".", ",") for text in texts]

    def plain(self, cells: ColumnValues) -> np.ndarray:
        texts = super().plain(cells)
        if self.point == "." or self.storage.exact:
            return texts
        return np.array(
            [text if text is None else text.replace(",", ".", 1) for text in texts], dtype=object
        )


@dataclass(frozen=True)
class GridColumn(NumberColumn):
    """Numbers start, start + step, ... in units of 10^-decimals, printed in one style."""

    kind: Grid = Grid()  # noqa: RUF009 (frozen)
    decimals: int = 0
    step: int = 1
    start: int = 0
    word = "grid"
    takes = Grid

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decimals <= 30 or not (
            self.style in ("shortest", "dotted") or self.style[6:].isdecimal()
        ):
            raise ValueError(f"column {self.name!r}: no such resolution or style")
        if not 0 <= self.start < self.step <= 2 * numbers.MAX_STEPS:
            raise ValueError(
                f"column {self.name!r}: a step is at least 1, and numbers start within it"
            )

    def parse(self, texts: list[str]) -> np.ndarray:
        units = [
            numbers.number_in_steps(numbers.parse_number(text), self.decimals)
            for text in self.to_points(texts)
        ]
        found = [
            OTHER
            if unit is None or (unit - self.start) % self.step
            else (unit - self.start) // self.step
            for unit in units
        ]
        return np.array(found, dtype=np.int64)

    def spell(self, values: np.ndarray) -> list[str]:
        units = [value * self.step + self.start for value in values.tolist()]
        texts = [numbers.format_number(unit, self.decimals, self.style) for unit in units]
        return self.from_points(texts)

    def draw(self, codes: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the codes; for a number that the column's type cannot hold the nearest that it can."""
        cells = super().draw(codes, generator)
        bounds = self.storage.limits(self.decimals)
        if bounds is not None:
            foreseen = codes < self.kind.regular
            low = -((self.start - bounds[0]) // self.step)
            high = (bounds[1] - self.start) // self.step
            cells.values[foreseen] = cells.values[foreseen].clip(low, high)
        return cells

    def in_units(self, values: np.ndarray) -> np.ndarray:
        return np.asarray((values * self.step + self.start) / 10**self.decimals)

    def display(self, value: float) -> float:
        return float(self.in_units(np.array(value)))

    def details(self) -> dict[str, Any]:
        step = numbers.format_number(self.step, self.decimals, "shortest")
        word = "number" if self.decimals else "integer"
        return {
            "kind": word,
            "resolution": step,
            "range": list(self.span),
            "atoms": len(self.kind.atoms),
        }


@dataclass(frozen=True)
class RealColumn(NumberColumn):
    """Real numbers, with a density."""

    kind: Real = Real()  # noqa: RUF009 (frozen)
    word = "real"
    takes = Real

    def parse(self, texts: list[str]) -> np.ndarray:
        read = [
            float(text) if numbers.parse_number(text) else REAL_OTHER
            for text in self.to_points(texts)
        ]
        values = np.array(read, dtype=np.float64)
        return self._near(values)

    def _near(self, values: np.ndarray) -> np.ndarray:
        """Far from all training rows, writing the text out is likelier than any density; a closed kind has no such text."""
        reach = FAR_SCALES if self.kind.open else MAX_SCALES
        with np.errstate(over="ignore"):
            values[np.abs(values - self.kind.location) > reach * self.kind.scale] = REAL_OTHER
        return values

    @property
    def _is_scientific(self) -> bool:
        """True where numbers are printed with so many digits and an exponent."""
        return self.style[:2] in ("e:", "E:")

    def draw(self, codes: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the codes, with as many digits as the column prints."""
        cells = super().draw(codes, generator)
        foreseen = np.isfinite(cells.values) & self._is_scientific
        cells.values[foreseen] = [
            float(text) for text in self.to_points(self.spell(cells.values[foreseen]))
        ]
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
            return self.from_points(
                [f"{value:.{self.style[2:]}{self.style[0]}}" for value in values.tolist()]
            )
        texts = [repr(value) for value in values.tolist()]
        return self.from_points(
            texts if self.style == "dotted" else [text.removesuffix(".0") for text in texts]
        )

    def display(self, value: float) -> float:
        return float(value)

    def details(self) -> dict[str, Any]:
        step = {"resolution": f"{self.kind.step:g}"} if self.kind.step else {}
        return {"kind": "real", "range": list(self.span), "density": True} | step


@dataclass(frozen=True)
class DateColumn(ModelledColumn):
    """Dates or times of one form: start, start + step, ... in ticks of the form's precision."""

    kind: Grid = Grid()  # noqa: RUF009 (frozen)
    form: str = "%Y-%m-%d"
    step: int = 1
    start: int = 0
    unit: str = "day"
    span: tuple[str, ...] = ()
    word = "date"
    takes = Grid

    def __post_init__(self) -> None:
        super().__post_init__()
        form_of(self.form)
        if not 0 <= self.start < self.step:
            raise ValueError(
                f"column {self.name!r}: a step is at least one tick, and times start within it"
            )

    def parse(self, texts: list[str]) -> np.ndarray:
        ticks = date_ticks_in(texts, self.form)
        steps, rest = np.divmod(ticks - np.where(ticks == OTHER, 0, self.start), self.step)
        return np.where(
            (ticks == OTHER) | (rest > 0) | (np.abs(steps) >= numbers.MAX_STEPS), OTHER, steps
        )

    def spell(self, values: np.ndarray) -> list[str]:
        first, last = form_of(self.form).ends
        steps = values.clip(-((self.start - first) // self.step), (last - self.start) // self.step)
        return dates.format_ticks(steps * self.step + self.start, self.form)

    def _time_texts(self, times: Any) -> list[str]:
        return self.storage.time_texts(times, date_patterns.zone_of(self.form))

    def own_texts(self, texts: list[str], kind: str) -> list[str]:
        """Times that a type holds, or that such a column is asked for, in the column's form where it says them whole."""
        if kind in TIME_KINDS:
            return dates.reformat_dates(
                texts,
                plain_form(next((text for text in texts if text[-1:].isdigit()), "")),
                self.form,
            )
        if not self.storage.is_timed:
            return texts
        texts = (
            [dates.without_days(text) for text in texts]
            if self.storage.kind == "duration"
            else texts
        )
        return date_patterns.reformat_any(texts, self.form, self.storage.time_texts)

    def draw(self, codes: np.ndarray, generator: np.random.Generator) -> ColumnValues:
        """Cells drawn inside the codes; for a time that the column's type cannot hold the nearest that it can."""
        cells = super().draw(codes, generator)
        ends = self.storage.ends
        if ends is not None:
            ticks = form_of(self.form).ticks_of(ends)
            foreseen = codes < self.kind.regular
            low = -((self.start - ticks[0]) // self.step)
            high = (ticks[1] - self.start) // self.step
            cells.values[foreseen] = cells.values[foreseen].clip(low, high)
        return cells

    def seconds(self, cells: ColumnValues) -> np.ndarray:
        """Seconds since 1970, or midnight, float64; NaN for a hole and for what is not foreseen."""
        form = form_of(self.form)
        known = (cells.values != MISSING) & (cells.values != OTHER)
        ticks = np.where(known, cells.values, 0) * self.step + self.start
        if not form.seconds:
            ticks = ticks.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
        return np.where(known, ticks * ((form.seconds or 1) / form.scale), np.nan)

    def details(self) -> dict[str, Any]:
        return {
            "resolution": self.unit,
            "range": list(self.span),
            "atoms": len(self.kind.atoms),
            "form": self.form,
        }
