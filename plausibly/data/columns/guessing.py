"""What type a column is, from its training rows: guessed once, said in the column report, overridden by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plausibly.data.columns import date_patterns, dates, identifiers, numbers
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cells import is_hole
from plausibly.data.columns.column import Column
from plausibly.data.columns.instants import common_form, ticks_in
from plausibly.data.columns.storage import Storage, in_ticks, texts_of
from plausibly.data.columns.types import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    GridColumn,
    RealColumn,
)
from plausibly.errors import UserError, count_phrase
from plausibly.events.kinds import OTHER, Category

KIND_WORDS = (
    "boolean",
    "category",
    "integer",
    "number",
    "real",
    "date",
    "id",
    "text",
    "constant",
    "drop",
)
TRUTH_PAIRS = (
    {"0", "1"},
    {"0.0", "1.0"},
    {"false", "true"},
    {"no", "yes"},
    {"f", "t"},
    {"n", "y"},
    {"off", "on"},
)
ID_NAME = re.compile(
    r"(.*[_ .-])?(?i:id|rownames?|row|rownum|index|key|uuid|guid|no|nr|num|serial)|.*[a-z](Id|ID)|Unnamed: 0|"
)
DIGITS = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
PHONE = re.compile(r"\+\d{4,}", re.ASCII)
HASH = re.compile(r"\d{2,}[eE]\d+", re.ASCII)  # 12e4: a program writes 1.2e5 or 120000
PADDED_NUMBER = re.compile(r"[+-]?\d+\.\d*[1-9]0+", re.ASCII)  # 1.10
VERSION_NAME = re.compile(r"(?i)version|release|firmware|build|(^|_)v(er)?($|_)")
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)
THOUSANDS_NUMBER = re.compile(r"\s*[+-]?\d{1,3},\d{3}\s*", re.ASCII)
TIME_NAME = re.compile(
    r"(?i)time|date|epoch|stamp|unix|_at$|_on$|\bts\b|_ts$|created|updated|modified"
)
MONTH_NAME = re.compile(r"(?i)month|period|monat|mois|mes$|yyyymm|year_?mon|(^|_)ym($|_)")
COMPACT_MONTH = re.compile(r"(1[89]|2[01])\d\d(0[1-9]|1[0-2])", re.ASCII)
MANY_MONTHS = 25  # in order and without a gap are months by no chance
EPOCH_SECONDS = (946_684_800, 2_051_222_400)  # seconds to 2000 and to 2035
KEY_REASON = "named like a key, each value once"
AMBIGUOUS_REASON = "day and month are ambiguous; write 2020-12-05"
FREE_TEXT_REASON = (
    "free text, mostly different; columns made of it can be modelled, such as its length "
    "or whether it holds a word"
)
FREQUENT_LEVELS, FREQUENT_ROWS, FEW_LEVELS = 256, 5, 32
DISTINCT_SHARE, MANY_ROWS, LONG_TEXT = 0.95, 20, 40
MIN_SHARE = numbers.MIN_SHARE
MONEY = "$€£¥"
SPACES = " \u00a0\u202f\u2009'\u2019"  # that stand between thousands
DRESSED_NUMBER = re.compile(  # possessive, lest long cells take time squared: 1,234.5  1.234,5  3,14  $ 12  12 €  7%  (1.50)
    rf"\s*+[+\-\u2212(]?[{MONEY}]?\s*+[+\-\u2212]?(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d+"
    rf"|\d{{1,3}}(?:[{SPACES}]\d{{3}})+(?:[.,]\d+)?|\d*,\d+|\d++\.?\d*+|\.\d+)"
    rf"\s*+[{MONEY}%]?\)?\s*+",
    re.ASCII,
)


@dataclass
class ColumnSample:
    """A training column as the guesses see it: distinct texts, how often each occurs, and the holes."""

    name: str
    storage: Storage
    texts: list[str]
    counts: np.ndarray
    holes: int
    hole: str = ""

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def distinct(self) -> bool:
        return len(self.texts) == self.rows and not self.holes

    def common(self, why: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "storage": self.storage,
            "holes": self.holes,
            "why": why,
            "hole": self.hole,
        }


def count_texts(series: Any, name: str, storage: Storage) -> ColumnSample:
    """Counts a column's distinct texts; in a text file an empty cell is a hole."""
    index, texts = texts_of(series, name, storage.time_texts)
    counts = np.bincount(index[index >= 0], minlength=len(texts))
    shown = [i for i in range(len(texts)) if counts[i] and (storage.exact or texts[i])]
    holes = len(index) - int(counts[shown].sum())
    return ColumnSample(name, storage, [texts[i] for i in shown], counts[shown], holes)


def is_word(word: str) -> bool:
    """Whether a user can say that a column is this."""
    return word in KIND_WORDS or word.startswith("date:")


def guess(sight: ColumnSample, override: str | None = None) -> Column:
    """The column's type. With an override it is that type; UserError where no cell fits."""
    if override is not None:
        return _apply_override(sight, override)
    for attempt in _attempts(sight.storage):
        if column := attempt(sight):
            return column
    return category(
        sight, "by its type" if sight.storage.kind == "category" else remark(sight) or _words(sight)
    )


def _words(sight: ColumnSample) -> str:
    """That a column holds texts; and that a word which elsewhere stands for a hole is a value here, empty cells are holes."""
    found = [] if sight.storage.exact else sorted(filter(is_hole, sight.texts))
    if not found:
        return "text"
    said = "is a value" if len(found) == 1 else "are values"
    return f"text; {' and '.join(map(repr, found))} {said} like any other, and only an empty cell is a hole"


def _attempts(storage: Storage) -> tuple[Callable[[ColumnSample], Column | None], ...]:
    if storage.kind == "category":
        return (constant, boolean)
    if storage.is_timed:
        return (constant, date)
    return (
        constant,
        single_value,
        boolean,
        identifier,
        date,
        ambiguous,
        numeric_code,
        number,
        label,
    )


def _apply_override(sight: ColumnSample, word: str) -> Column:
    if word in ("id", "text"):
        return _set_aside(sight, word, "as you said")
    if word == "category":
        return category(sight, "as you said")
    word, _, form = word.partition(":")
    if word in ("integer", "number", "real") and sight.storage.kind == "duration":
        sight = replace(sight, texts=in_ticks(sight.texts, sight.storage.dtype))
    if word in ("integer", "number", "real") and (reason := _sign_reason(sight)):
        raise UserError(f"column {sight.name!r} cannot be {word}: it {reason}")
    makers = {
        "boolean": _any_boolean,
        "date": any_date,
        "constant": constant,
        "integer": _integer,
        "number": number,
        "real": _any_real,
    }
    column = date_as(sight, form) if form else makers[word](sight)
    if column is None:
        shown = ", ".join(repr(text) for text in sight.texts[:3])
        count = count_phrase(len(sight.texts), "distinct value")
        raise UserError(
            f"column {sight.name!r} cannot be {word}: it holds {count}, such as {shown}"
        )
    return column


def constant(sight: ColumnSample) -> Column | None:
    if len(sight.texts) == 1 and not sight.holes:
        return AsideColumn(**sight.common("only one value"), role="constant", text=sight.texts[0])
    if not sight.texts:
        return AsideColumn(**sight.common("only holes"), role="constant", text=None)
    return None


def single_value(sight: ColumnSample) -> Column | None:
    """One value, or a hole."""
    return category(sight, "one value and holes") if len(sight.texts) == 1 else None


def boolean(sight: ColumnSample) -> Column | None:
    shown = {text.lower() for text in sight.texts}
    return _any_boolean(sight) if len(sight.texts) == 2 and shown in TRUTH_PAIRS else None


def _any_boolean(sight: ColumnSample) -> Column | None:
    if len(sight.texts) != 2:
        return None
    spellings = tuple(sorted(sight.texts, key=str.lower))
    why = f"only {spellings[0]} and {spellings[1]}"
    kind = Category(2, open=True, missing=sight.holes > 0)
    return BooleanColumn(**sight.common(why), kind=kind, spellings=spellings)


def identifier(sight: ColumnSample) -> Column | None:
    """Keys: whole numbers, all distinct, of a column that is named so."""
    if not sight.distinct or sight.storage.kind == "float" or sight.rows < 2:
        return None
    whole = [numbers.in_steps(numbers.parse_number(text), 0) is not None for text in sight.texts]
    if (
        not all(whole)
        or any(map(numbers.LEADING_ZERO.fullmatch, sight.texts))
        or not ID_NAME.fullmatch(sight.name)
    ):
        return None
    return _set_aside(sight, "id", KEY_REASON)


def _set_aside(sight: ColumnSample, role: str, why: str) -> Column:
    making = (
        identifiers.learn_ids(sight.texts)
        if role == "id" and sight.texts
        else identifiers.IdGenerator()
    )
    return AsideColumn(
        **sight.common(why), role=role, first=making.first, pieces=making.pieces, end=making.end
    )


def date(sight: ColumnSample) -> Column | None:
    """Nearly all cells are dates or times of one form; words such as NULL may stand for holes."""
    if sight.storage.is_timed:
        return _date_by_type(sight)
    if _compact_months(sight):
        return _date_column(sight, "%Y%m", "months as %Y%m")
    forms = _forms(sight)
    if not forms and (form := _common_form(sight)):
        return _date_column(
            sight, form, f"dates or times of several forms; read and drawn as {form}"
        )
    return (
        _date_column(sight, forms[0], f"dates or times as {forms[0]}") if len(forms) == 1 else None
    )


def _compact_months(sight: ColumnSample) -> bool:
    """Whether all cells are months such as 202012, by the column's name or because none between the first and last lacks."""
    known, _ = _without_marks(sight)
    if not known.texts or not all(map(COMPACT_MONTH.fullmatch, known.texts)):
        return False
    months = dates.ticks(known.texts, "%Y%m")
    span = int(months.max() - months.min()) + 1
    return bool(MONTH_NAME.search(sight.name)) or (span >= MANY_MONTHS and len(known.texts) == span)


def _common_form(sight: ColumnSample) -> str | None:
    known, _ = _without_marks(sight)
    return (
        common_form(known.texts, known.counts) if date_patterns.looks_dated(known.texts) else None
    )


def _date_by_type(sight: ColumnSample) -> Column | None:
    """What a type says is a date, a time or a duration, in the shortest form that says its cells whole."""
    storage, long = sight.storage, _long_form(sight)
    known = dates.ticks(sight.texts, long)
    if not (known != OTHER).any():
        return None
    zone = (
        f", local times of {storage.zone}"
        if storage.local
        else ", in UTC"
        if storage.zone is not None
        else ""
    )
    return _date_in_form(
        sight,
        dates.shortest_form(known[known != OTHER], long),
        f"{storage.kind}s by their type{zone}",
    )


def _date_in_form(sight: ColumnSample, form: str, why: str) -> Column | None:
    """Typed times as dates of a form."""
    return _date_column(
        replace(sight, texts=dates.reformat(sight.texts, _long_form(sight), form)), form, why
    )


def _long_form(sight: ColumnSample) -> str:
    return dates.plain_form(next((text for text in sight.texts if text[-1:].isdigit()), ""))


def _forms(sight: ColumnSample) -> list[str]:
    known, _ = _without_marks(sight)
    return date_patterns.forms(known.texts, known.counts)


def any_date(sight: ColumnSample) -> Column | None:
    """As `date`; where day and month cannot be told apart, the month comes first."""
    if sight.storage.is_timed:
        return date(sight)
    forms = _forms(sight)
    if len(forms) < 2:
        return date(sight)
    form = next(form for form in forms if form[1:].lstrip("-").startswith("m"))
    return _date_column(sight, form, f"day and month are ambiguous; read as {form}")


def date_as(sight: ColumnSample, form: str) -> Column | None:
    """Dates of the form that the user names."""
    try:
        dates.form_of(form)
    except ValueError as error:
        raise UserError(f"column {sight.name!r}: {error}") from error
    return (_date_in_form if sight.storage.is_timed else _date_column)(sight, form, "as you said")


def ambiguous(sight: ColumnSample) -> Column | None:
    """Dates whose day and month may be either."""
    forms = _forms(sight)
    return (
        category(sight, f"{AMBIGUOUS_REASON}, or say --kind {sight.name}=date:{forms[0]}")
        if len(forms) > 1
        else None
    )


def _date_column(sight: ColumnSample, form: str, why: str) -> Column | None:
    sight, marks = _without_marks(sight)
    ticks = ticks_in(sight.texts, form)
    known = ticks != OTHER
    values = ticks[known]
    if not len(values) or sight.counts[known].sum() < MIN_SHARE * sight.rows:
        return None
    unit, word = dates.tick_step(values, form)
    if np.abs(values // unit).max() >= numbers.MAX_STEPS:
        return _set_aside(
            sight, "text", f"times to {word} have too many steps; round them to model them"
        )
    every, start = numbers.lattice(values // unit, sight.counts[known])
    word, step, start = word if every == 1 else f"{every} {word}s", every * unit, start * unit
    kind = numbers.learn_grid((values - start) // step, sight.counts[known], sight.holes > 0)
    span = tuple(dates.format_ticks(np.array([values.min(), values.max()]), form))
    return DateColumn(
        **sight.common(why),
        **marks,
        kind=kind,
        form=form,
        step=step,
        start=start,
        unit=word,
        span=span,
    )


def number(sight: ColumnSample) -> Column | None:
    """Nearly all cells are numbers; words such as NA may stand for holes."""
    sight, marks = _with_points(*_without_marks(sight))
    read = [numbers.parse_number(text) for text in sight.texts]
    weight = sight.counts[[found is not None for found in read]].sum()
    endless = sight.counts[
        [numbers.INFINITE_NUMBER.fullmatch(text) is not None for text in sight.texts]
    ].sum()
    if weight < MIN_SHARE * (sight.rows - endless) or not weight:
        return None
    if any(map(numbers.LEADING_ZERO.fullmatch, sight.texts)):
        return None
    decimals = numbers.resolution(read, sight.counts)
    if (
        decimals
        and decimals > 7
        and sight.storage.dtype.lower() in ("float32", "<f4", "float16", "<f2")
    ):
        decimals = None  # finer than such numbers are apart: not recorded at a resolution
    return (
        _real_column(sight, marks)
        if decimals is None
        else _grid_column(sight, marks, read, decimals)
    )


Marks = dict[str, Any]  # fields of a column: `marks` and `marked`, and of one of numbers `point`


def _without_marks(sight: ColumnSample) -> tuple[ColumnSample, Marks]:
    """The cells but for words such as NA, which are holes: the most frequent is the hole, unless empty cells are."""
    places = [i for i, text in enumerate(sight.texts) if is_hole(text)]
    if not places or sight.storage.exact or len(places) == len(sight.texts):
        return sight, {}
    places.sort(key=lambda i: -sight.counts[i])
    further = places if sight.holes else places[1:]
    marks = {
        "marks": tuple(sight.texts[i] for i in further),
        "marked": tuple(int(sight.counts[i]) for i in further),
    }
    rest, holes = (
        sorted({*range(len(sight.texts))} - {*places}),
        sight.holes + int(sight.counts[places].sum()),
    )
    hole = sight.hole if sight.holes else sight.texts[places[0]]
    return ColumnSample(
        sight.name, sight.storage, [sight.texts[i] for i in rest], sight.counts[rest], holes, hole
    ), marks


def _with_points(sight: ColumnSample, marks: Marks) -> tuple[ColumnSample, Marks]:
    """The cells with decimal points, where they are written with decimal commas that cannot be separators of thousands."""
    commas = np.array(
        [COMMA_NUMBER.fullmatch(text) is not None for text in sight.texts], dtype=bool
    )
    plain = np.array([DIGITS.fullmatch(text) is not None for text in sight.texts], dtype=bool)
    thousands = all(
        THOUSANDS_NUMBER.fullmatch(text)
        for text, comma in zip(sight.texts, commas, strict=True)
        if comma
    )
    if sight.counts[commas | plain].sum() < MIN_SHARE * sight.rows or thousands:
        return sight, marks
    return replace(sight, texts=[text.replace(",", ".") for text in sight.texts]), marks | {
        "point": ","
    }


def _integer(sight: ColumnSample) -> Column | None:
    sight, marks = _without_marks(sight)
    return _grid_column(sight, marks, [numbers.parse_number(text) for text in sight.texts], 0)


def _grid_column(
    sight: ColumnSample, marks: Marks, read: list[numbers.ExactNumber | None], decimals: int
) -> Column | None:
    steps = [numbers.in_steps(found, decimals) for found in read]
    fitting = np.array([step is not None for step in steps], dtype=bool)
    if not fitting.any():
        return None
    values = np.array([step for step in steps if step is not None], dtype=np.int64)
    step, start = numbers.lattice(values, sight.counts[fitting])
    kind = numbers.learn_grid((values - start) // step, sight.counts[fitting], sight.holes > 0)
    texts = [text.strip() for text, fits in zip(sight.texts, fitting, strict=True) if fits]
    style = numbers.style_of(texts, sight.counts[fitting], values.tolist(), decimals)
    why = "whole numbers" if decimals == 0 else f"numbers with up to {decimals} decimals"
    why += _epoch(sight.name, values) if decimals == 0 else ""
    span = tuple(
        numbers.format_number(int(end), decimals, "shortest")
        for end in (values.min(), values.max())
    )
    scale: dict[str, Any] = {"decimals": decimals, "step": step, "start": start}
    return GridColumn(**sight.common(why), **marks, **scale, kind=kind, style=style, span=span)


def _epoch(name: str, values: Any) -> str:
    """What whole numbers are that by name and size are times since 1970, or nothing."""
    for unit, word in (
        (1, "seconds"),
        (10**3, "milliseconds"),
        (10**6, "microseconds"),
        (10**9, "nanoseconds"),
    ):
        if (
            TIME_NAME.search(name)
            and min(values) >= EPOCH_SECONDS[0] * unit
            and max(values) < EPOCH_SECONDS[1] * unit
        ):
            first, last = (
                str(np.datetime64(int(end // unit), "s"))[:10] for end in (min(values), max(values))
            )
            return f", {word} since 1970: {first} to {last}"
    return ""


def _any_real(sight: ColumnSample) -> Column | None:
    """Numbers with a density, at whatever resolution they were recorded."""
    sight, marks = _with_points(*_without_marks(sight))
    decimals = numbers.resolution(
        [numbers.parse_number(text) for text in sight.texts], sight.counts
    )
    return _real_column(sight, marks, "as you said", 0.0 if decimals is None else 10.0**-decimals)


def _real_column(
    sight: ColumnSample, marks: Marks, why: str = "real numbers", step: float = 0.0
) -> Column | None:
    shown = [
        (text, count)
        for text, count in zip(sight.texts, sight.counts, strict=True)
        if numbers.parse_number(text)
    ]
    style = numbers.style_of_reals([text for text, _ in shown])
    if (
        why == "real numbers"
        and sight.storage.kind != "float"
        and all(DIGITS.fullmatch(text) for text, _ in shown)
    ):
        if not (epoch := _epoch(sight.name, [int(text) for text, _ in shown])):
            return None  # whole numbers too large to be exact: labels, not amounts
        style, why = "whole", "whole numbers" + epoch
    values = np.repeat(np.array([float(text) for text, _ in shown]), [count for _, count in shown])
    if np.abs(values).max() > numbers.MAX_REAL or values.max() == values.min():
        return None
    kind, span = (
        numbers.learn_real(values, sight.holes > 0, step=numbers.decimal_step(values)),
        (repr(float(values.min())), repr(float(values.max()))),
    )
    why += "" if kind.usual is None else f", mostly {kind.usual:g}"
    return RealColumn(**sight.common(why), **marks, kind=kind, style=style, span=span)


def numeric_code(sight: ColumnSample) -> Column | None:
    """Labels that look like numbers."""
    return label(sight) or category(sight, remark(sight)) if _code_reason(sight) else None


def _code_reason(sight: ColumnSample) -> str:
    """Why numbers are written as no amounts are, or nothing."""
    sight, _ = _without_marks(sight)
    if sight.storage.kind != "text" or not sight.rows:
        return ""

    def share(form: re.Pattern[str]) -> float:
        return float(
            sight.counts[[form.fullmatch(text) is not None for text in sight.texts]].sum()
            / sight.rows
        )

    if share(PHONE) >= MIN_SHARE:
        return "whole numbers that all begin with +, as telephone numbers do: labels; --kind says otherwise"
    if share(HASH) > 1 - MIN_SHARE:
        shown = next(text for text in sight.texts if HASH.fullmatch(text))
        return f"written as no amounts are, such as {shown}: labels; --kind says otherwise"
    places = {len(text.partition(".")[2]) for text in sight.texts}
    few = len(sight.texts) <= FEW_LEVELS or VERSION_NAME.search(sight.name)
    if share(PADDED_NUMBER) > 1 - MIN_SHARE and len(places) > 1 and few:
        shown = next(text for text in sight.texts if PADDED_NUMBER.fullmatch(text))
        return f"written as versions are, such as {shown} beside others of fewer digits: labels; --kind says otherwise"
    return ""


def label(sight: ColumnSample) -> Column | None:
    """Texts that are nearly all different say nothing about each other, nor do long ones of which most are."""
    if sight.rows < MANY_ROWS or len(sight.texts) < sight.rows / 2 or _sign_reason(sight):
        return None
    length = sum(map(len, sight.texts)) / len(sight.texts)
    words = sum(" " in text for text in sight.texts) > len(sight.texts) / 2
    nearly = len(sight.texts) >= DISTINCT_SHARE * sight.rows
    if not nearly and not (words and length > LONG_TEXT):
        return None
    if length > LONG_TEXT or words:
        return _set_aside(sight, "text", remark(sight) or FREE_TEXT_REASON)
    return _set_aside(sight, "id", remark(sight) or "nearly every value occurs once")


def remark(sight: ColumnSample) -> str:
    """Why texts that look like numbers or times are none, or nothing."""
    return _code_reason(sight) or _sign_reason(sight) or _too_large(sight) or _several_forms(sight)


def _several_forms(sight: ColumnSample) -> str:
    """Nearly all cells are dates or times, but not of one form."""
    if not date_patterns.looks_dated(sight.texts):
        return ""
    return "dates or times of several forms; write all as 2020-12-05 to model them as dates"


def _sign_reason(sight: ColumnSample) -> str:
    """Nearly all cells are numbers, many with thousands separators, decimal commas or currency signs."""
    sight, _ = _without_marks(sight)
    plain = np.array([numbers.parse_number(text) is not None for text in sight.texts])
    alike = np.array([bool(DRESSED_NUMBER.fullmatch(text)) for text in sight.texts])
    if "point" in _with_points(sight, {})[1]:
        return ""
    if not sight.rows or sight.counts[plain | alike].sum() < MIN_SHARE * sight.rows:
        return ""
    if sight.counts[alike & ~plain].sum() <= (1 - MIN_SHARE) * sight.rows:
        return ""
    shown = "".join(
        text for text, dressed in zip(sight.texts, alike & ~plain, strict=True) if dressed
    )
    sign = next(mark for mark in f",{MONEY}%(\u2212{SPACES[::-1]}" if mark in shown)
    return f"looks like numbers with {sign!r}; write them plainly to model them as numbers"


def _too_large(sight: ColumnSample) -> str:
    """Nearly all cells are whole numbers, many of them beyond 2^53."""
    read = [numbers.parse_number(text) for text in sight.texts]
    whole = np.array([DIGITS.fullmatch(text) is not None for text in sight.texts])
    fitting = np.array([numbers.in_steps(found, 0) is not None for found in read])
    if not sight.rows or sight.counts[whole].sum() < MIN_SHARE * sight.rows:
        return ""
    large = sight.counts[whole & ~fitting].sum() > (1 - MIN_SHARE) * sight.rows
    zeros = any(map(numbers.LEADING_ZERO.fullmatch, sight.texts))
    return "whole numbers too large to be exact" if large and not zeros else ""


def category(sight: ColumnSample, why: str) -> Column:
    """Levels by how often they occur; each frequent one has its own code."""
    order = sorted(range(len(sight.texts)), key=lambda i: (-sight.counts[i], sight.texts[i]))
    counts = [int(sight.counts[i]) for i in order]
    own = len(order)
    if own > FEW_LEVELS:
        own = max(1, min(FREQUENT_LEVELS, sum(count >= FREQUENT_ROWS for count in counts)))
    kind = Category(own, tuple(counts[own:]), open=True, missing=sight.holes > 0)
    return CategoryColumn(
        **sight.common(why), kind=kind, levels=tuple(sight.texts[i] for i in order)
    )


def reader_dtype(column: Column, sight: ColumnSample) -> str:
    """The dtype that a reader of text files would give the column."""
    texts = sight.texts
    if isinstance(column, RealColumn):
        return "float64" if column.style != "whole" else "Int64" if column.holes else "int64"
    if isinstance(column, GridColumn):
        plain = all(
            "." not in text and "e" not in text.lower()
            for text in texts
            if numbers.parse_number(text)
        )
        return (
            ("Int64" if column.holes else "int64") if plain and not column.decimals else "float64"
        )
    lowered = {text.lower() for text in texts}
    if isinstance(column, BooleanColumn) and lowered == {"true", "false"}:
        exact = set(texts) == {"True", "False"}
        return ("boolean" if column.holes else "bool") if exact else "str"
    whole = [numbers.in_steps(numbers.parse_number(text), 0) for text in texts]
    canonical = all(
        step is not None and step != OTHER and str(step) == t
        for step, t in zip(whole, texts, strict=True)
    )
    if canonical and texts and not isinstance(column, CategoryColumn):
        return "Int64" if column.holes else "int64"
    return "str"
