"""Guesses of a column's type from its texts: categories, keys, labels and free texts; numbers; dates, times and durations.

Each gives a column, or None where the texts are none such. Others say why texts that look like numbers or times are none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from plausibly.data.columns import identifiers, numbers
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import DIGITS, FEW_LEVELS, ColumnSample
from plausibly.data.columns.date_forms import form_of, plain_form, shortest_form
from plausibly.data.columns.date_patterns import common_form, date_ticks_in, looks_dated
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.types import CategoryColumn, DateColumn, GridColumn, RealColumn
from plausibly.errors import UserError
from plausibly.events.kinds import OTHER, Category

PHONE = re.compile(r"\+\d{4,}", re.ASCII)
HASH = re.compile(r"\d{2,}[eE]\d+", re.ASCII)  # 12e4: a program writes 1.2e5 or 120000
PADDED_NUMBER = re.compile(r"[+-]?\d+\.\d*[1-9]0+", re.ASCII)  # 1.10
VERSION_NAME = re.compile(r"(?i)version|release|firmware|build|(^|_)v(er)?($|_)")
MONEY = "$€£¥"
SPACES = " \u00a0\u202f\u2009'\u2019"  # that stand between thousands
DRESSED_NUMBER = re.compile(  # possessive, lest long cells take time squared: 1,234.5  1.234,5  3,14  $ 12  12 €  7%  (1.50)
    rf"\s*+[+\-\u2212(]?[{MONEY}]?\s*+[+\-\u2212]?(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d+"
    rf"|\d{{1,3}}(?:[{SPACES}]\d{{3}})+(?:[.,]\d+)?|\d*,\d+|\d++\.?\d*+|\.\d+)"
    rf"\s*+[{MONEY}%]?\)?\s*+",
    re.ASCII,
)
ID_NAME = re.compile(
    r"(.*[_ .-])?(?i:id|rownames?|row|rownum|index|key|uuid|guid|no|nr|num|serial)|.*[a-z](Id|ID)|Unnamed: 0|"
)
KEY_REASON = "named like a key, each value once"
FREE_TEXT_REASON = (
    "free text, mostly different; columns made of it can be modelled, such as its length "
    "or whether it holds a word"
)
MAX_OWN_LEVELS = 256  # levels with a code of their own
MIN_LEVEL_ROWS = 5  # rows of such a level
NEARLY_DISTINCT_SHARE = 0.95  # distinct texts, of all rows
MIN_LABEL_ROWS = 20  # rows; in fewer, texts are different by chance
LONG_TEXT_CHARACTERS = 40
TIME_NAME = re.compile(
    r"(?i)time|date|epoch|stamp|unix|_at$|_on$|\bts\b|_ts$|created|updated|modified"
)
SMALL_FLOATS = ("float32", "<f4", "float16", "<f2")
MAX_SMALL_DECIMALS = 7  # finer than such numbers are apart: not recorded at a resolution
EPOCH_UNITS = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}
EPOCH_SECONDS = (946_684_800, 2_051_222_400)  # seconds to 2000 and to 2035
MONTH_NAME = re.compile(r"(?i)month|period|monat|mois|mes$|yyyymm|year_?mon|(^|_)ym($|_)")
COMPACT_MONTH = re.compile(r"(1[89]|2[01])\d\d(0[1-9]|1[0-2])", re.ASCII)
MANY_MONTHS = 25  # in order and without a gap are months by no chance
AMBIGUOUS_REASON = "day and month are ambiguous; write 2020-12-05"


def guess_identifier(sight: ColumnSample) -> Column | None:
    """Keys: whole numbers, all distinct, of a column that is named so."""
    if not sight.distinct or sight.storage.kind == "float" or sight.rows < 2:
        return None
    if not ID_NAME.fullmatch(sight.name) or sight.matches(numbers.LEADING_ZERO).any():
        return None
    whole = all(numbers.number_in_steps(number, 0) is not None for number in sight.numbers)
    return set_aside(sight, "id", KEY_REASON) if whole else None


def set_aside(sight: ColumnSample, role: str, why: str) -> Column:
    texts = sight.texts if role == "id" else []
    making = identifiers.learn_ids(texts) if texts else identifiers.IdGenerator()
    return AsideColumn(**sight.common(why), role=role, **vars(making))


def guess_code(sight: ColumnSample) -> Column | None:
    """Labels that look like numbers."""
    if explain_codes(sight):
        return guess_label(sight) or make_category(sight, explain_texts(sight))
    return None


def guess_label(sight: ColumnSample) -> Column | None:
    """Texts that are nearly all different say nothing about each other, nor do long ones of which most are."""
    if sight.rows < MIN_LABEL_ROWS or len(sight.texts) < sight.rows / 2 or explain_signs(sight):
        return None
    length = sum(map(len, sight.texts)) / len(sight.texts)
    words = sum(" " in text for text in sight.texts) > len(sight.texts) / 2
    nearly = len(sight.texts) >= NEARLY_DISTINCT_SHARE * sight.rows
    if not nearly and not (words and length > LONG_TEXT_CHARACTERS):
        return None
    if length > LONG_TEXT_CHARACTERS or words:
        return set_aside(sight, "text", explain_texts(sight) or FREE_TEXT_REASON)
    return set_aside(sight, "id", explain_texts(sight) or "nearly every value occurs once")


def make_category(sight: ColumnSample, why: str) -> Column:
    """Levels by how often they occur; each frequent one has its own code."""
    order = sorted(range(len(sight.texts)), key=lambda i: (-sight.counts[i], sight.texts[i]))
    counts = [int(sight.counts[i]) for i in order]
    own = len(order)
    if own > FEW_LEVELS:
        own = max(1, min(MAX_OWN_LEVELS, sum(count >= MIN_LEVEL_ROWS for count in counts)))
    kind = Category(own, tuple(counts[own:]), open=True, missing=sight.holes > 0)
    return CategoryColumn(
        **sight.common(why), kind=kind, levels=tuple(sight.texts[i] for i in order)
    )


def explain_codes(sight: ColumnSample) -> str:
    """Why numbers are written as no amounts are, or nothing."""
    sight = sight.known
    if sight.storage.kind != "text" or not sight.rows:
        return ""
    if "+" in sight.characters and _share_of(sight, PHONE) >= MIN_SHARE:
        return "whole numbers that all begin with +, as telephone numbers do: labels; --kind says otherwise"
    if sight.characters & {*"eE"} and _share_of(sight, HASH) > 1 - MIN_SHARE:
        shown = next(text for text in sight.texts if HASH.fullmatch(text))
        return f"written as no amounts are, such as {shown}: labels; --kind says otherwise"
    few = len(sight.texts) <= FEW_LEVELS or VERSION_NAME.search(sight.name)
    places = {len(text.partition(".")[2]) for text in sight.texts}
    if few and len(places) > 1 and _share_of(sight, PADDED_NUMBER) > 1 - MIN_SHARE:
        shown = next(text for text in sight.texts if PADDED_NUMBER.fullmatch(text))
        return f"written as versions are, such as {shown} beside others of fewer digits: labels; --kind says otherwise"
    return ""


def _share_of(sight: ColumnSample, form: re.Pattern[str]) -> float:
    """The share of rows whose text is of a form."""
    return float(sight.counts[sight.matches(form)].sum() / sight.rows)


def explain_texts(sight: ColumnSample) -> str:
    """Why texts that look like numbers or times are none, or nothing."""
    found = explain_codes(sight) or explain_signs(sight) or _explain_large(sight)
    if found or not looks_dated(sight.texts):
        return found
    return "dates or times of several forms; write all as 2020-12-05 to model them as dates"


def explain_signs(sight: ColumnSample) -> str:
    """Nearly all cells are numbers, many with thousands separators, decimal commas or currency signs."""
    sight = sight.known
    plain = np.array([number is not None for number in sight.numbers], dtype=bool)
    dressed = sight.matches(DRESSED_NUMBER) & ~plain
    if not sight.rows or sight.counts[plain | dressed].sum() < MIN_SHARE * sight.rows:
        return ""
    if sight.counts[dressed].sum() <= (1 - MIN_SHARE) * sight.rows or sight.pointed is not sight:
        return ""
    shown = "".join(text for text, has in zip(sight.texts, dressed, strict=True) if has)
    signs = [mark for mark in f",{MONEY}%(\u2212{SPACES[::-1]}" if mark in shown]
    if not signs:  # but too many digits
        return ""
    return f"looks like numbers with {signs[0]!r}; write them plainly to model them as numbers"


def _explain_large(sight: ColumnSample) -> str:
    """Nearly all cells are whole numbers, many of them beyond 2^53."""
    whole = sight.matches(DIGITS)
    if not sight.rows or sight.counts[whole].sum() < MIN_SHARE * sight.rows:
        return ""
    steps = [numbers.number_in_steps(number, 0) for number in sight.numbers]
    beyond = whole & np.array([step is None for step in steps])
    large = sight.counts[beyond].sum() > (1 - MIN_SHARE) * sight.rows
    zeros = sight.matches(numbers.LEADING_ZERO).any()
    return "whole numbers too large to be exact" if large and not zeros else ""


def guess_number(sight: ColumnSample) -> Column | None:
    """Nearly all cells are numbers; words such as NA may stand for holes."""
    sight = sight.known.pointed
    written = np.array([found is not None for found in sight.numbers], dtype=bool)
    weight, endless = sight.counts[written].sum(), 0
    if not written.all():
        endless = sight.counts[sight.matches(numbers.INFINITE_NUMBER)].sum()
    if weight < MIN_SHARE * (sight.rows - endless) or not weight:
        return None
    if sight.matches(numbers.LEADING_ZERO).any():
        return None
    decimals = numbers.decimal_resolution(sight.numbers, sight.counts)
    is_small = sight.storage.dtype.lower() in SMALL_FLOATS
    if decimals is None or (is_small and decimals > MAX_SMALL_DECIMALS):
        return real_column(sight)
    return grid_column(sight, decimals)


def grid_column(sight: ColumnSample, decimals: int) -> Column | None:
    """Numbers of so many decimals."""
    steps = [numbers.number_in_steps(found, decimals) for found in sight.numbers]
    fitting = np.array([step is not None for step in steps], dtype=bool)
    if not fitting.any():
        return None
    values = np.array([step for step in steps if step is not None], dtype=np.int64)
    counts = sight.counts[fitting]
    texts = [text.strip() for text, fits in zip(sight.texts, fitting, strict=True) if fits]
    ends = (int(values.min()), int(values.max()))
    why = f"numbers with up to {decimals} decimals" if decimals else "whole numbers"
    return GridColumn(
        **sight.common(why if decimals else why + _epoch(sight.name, *ends)),
        **_lattice(sight, values, counts),
        decimals=decimals,
        style=numbers.number_style(texts, counts, values.tolist(), decimals),
        span=tuple(numbers.format_number(end, decimals, "shortest") for end in ends),
    )


def _lattice(
    sight: ColumnSample, units: np.ndarray, counts: np.ndarray, unit: int = 1
) -> dict[str, Any]:
    """The fields of a column of whole numbers, each seen so many times; a step is one of them, or of a larger unit."""
    step, start = numbers.number_lattice(units, counts)
    values = (units - start) // step
    kind = numbers.learn_grid(values, counts, sight.holes > 0)
    if sight.narrow and len(counts) == len(sight.counts):
        kind = replace(kind, unseen=kind.without_rows(kind.code(values)))
    return sight.marks | {"step": step * unit, "start": start * unit, "kind": kind}


def _epoch(name: str, first: int, last: int) -> str:
    """A remark on whole numbers that by name and size are times since 1970, or nothing."""
    if not TIME_NAME.search(name):
        return ""
    for unit, word in EPOCH_UNITS.items():
        if first >= EPOCH_SECONDS[0] * unit and last < EPOCH_SECONDS[1] * unit:
            days = [str(np.datetime64(end // unit, "s"))[:10] for end in (first, last)]
            return f", {word} since 1970: {days[0]} to {days[1]}"
    return ""


def real_column(sight: ColumnSample, why: str = "real numbers") -> Column | None:
    """Numbers with a density, at whatever resolution they were recorded."""
    places = [place for place, number in enumerate(sight.numbers) if number]
    texts = [sight.texts[place] for place in places]
    style = numbers.style_of_reals(texts)
    plain = why == "real numbers" and sight.storage.kind != "float"
    if plain and all(map(DIGITS.fullmatch, texts)):
        whole = [int(text) for text in texts]
        if not (epoch := _epoch(sight.name, min(whole), max(whole))):
            return None  # whole numbers too large to be exact: labels, not amounts
        style = "whole"
        why = "whole numbers" + epoch
    values = np.repeat(np.array([float(text) for text in texts]), sight.counts[places])
    if not len(values) or np.abs(values).max() > numbers.MAX_REAL or values.max() == values.min():
        return None
    kind = numbers.learn_real(values, sight.holes > 0, step=numbers.decimal_step(values))
    span = (repr(float(values.min())), repr(float(values.max())))
    why += "" if kind.usual is None else f", mostly {kind.usual:g}"
    return RealColumn(**sight.common(why), **sight.marks, kind=kind, style=style, span=span)


def guess_date(sight: ColumnSample) -> Column | None:
    """Nearly all cells are dates or times of one form; words such as NULL may stand for holes."""
    if sight.storage.is_timed:
        return _date_by_type(sight)
    if _compact_months(sight):
        return _date_column(sight, "%Y%m", "months as %Y%m")
    forms, known = sight.date_forms, sight.known
    if len(forms) == 1:
        return _date_column(sight, forms[0], f"dates or times as {forms[0]}")
    if forms or not looks_dated(known.texts):
        return None
    form = common_form(known.texts, known.counts)
    why = f"dates or times of several forms; read and drawn as {form}"
    return _date_column(sight, form, why) if form else None


def _compact_months(sight: ColumnSample) -> bool:
    """True where all cells are months such as 202012, by name or because none lacks between the first and last."""
    texts = sight.known.texts
    if not texts or not all(map(COMPACT_MONTH.fullmatch, texts)):
        return False
    months = form_of("%Y%m").read(texts)
    span = int(months.max() - months.min()) + 1
    return bool(MONTH_NAME.search(sight.name)) or (span >= MANY_MONTHS and len(texts) == span)


def _date_by_type(sight: ColumnSample) -> Column | None:
    """A date, time or duration by its type, in the shortest form that says its cells whole."""
    storage = sight.storage
    long = plain_form(sight.texts)
    known = long.read(sight.texts)
    if not (known != OTHER).any():
        return None
    zone = "" if storage.zone is None else ", in UTC"
    zone = f", local times of {storage.zone}" if storage.local else zone
    form = shortest_form(known[known != OTHER], long)
    return guess_date_as(sight, form.pattern, f"{storage.kind}s by their type{zone}")


def guess_any_date(sight: ColumnSample) -> Column | None:
    """As `date`; where day and month cannot be told apart, the month comes first."""
    if sight.storage.is_timed or len(sight.date_forms) < 2:
        return guess_date(sight)
    form = next(form for form in sight.date_forms if form[1:].lstrip("-").startswith("m"))
    return _date_column(sight, form, f"day and month are ambiguous; read as {form}")


def guess_date_as(sight: ColumnSample, pattern: str, why: str = "as you said") -> Column | None:
    """Dates, or typed times, of a form. UserError where that is none."""
    try:
        form = form_of(pattern)
    except ValueError as error:
        raise UserError(f"column {sight.name!r}: {error}") from error
    if sight.storage.is_timed:
        sight = replace(sight, texts=plain_form(sight.texts).reformat(sight.texts, form))
    return _date_column(sight, pattern, why)


def guess_ambiguous(sight: ColumnSample) -> Column | None:
    """Dates whose day and month may be either."""
    forms = sight.date_forms
    if len(forms) < 2:
        return None
    return make_category(sight, f"{AMBIGUOUS_REASON}, or say --kind {sight.name}=date:{forms[0]}")


def _date_column(sight: ColumnSample, pattern: str, why: str) -> Column | None:
    sight, form = sight.known, form_of(pattern)
    ticks = date_ticks_in(sight.texts, form)
    known = ticks != OTHER
    values, counts = ticks[known], sight.counts[known]
    if not len(values) or counts.sum() < MIN_SHARE * sight.rows:
        return None
    unit, word = form.step(values)
    if np.abs(values // unit).max() >= numbers.MAX_STEPS:
        return set_aside(
            sight, "text", f"times to {word} have too many steps; round them to model them"
        )
    lattice = _lattice(sight, values // unit, counts, unit)
    every = lattice["step"] // unit
    return DateColumn(
        **sight.common(why),
        **lattice,
        form=pattern,
        unit=word if every == 1 else f"{every} {word}s",
        span=tuple(form.write(np.array([values.min(), values.max()]))),
    )
