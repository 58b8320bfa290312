"""Columns of texts: keys, labels, free texts and categories; and why texts that look like numbers or times are none."""

from __future__ import annotations

import re

import numpy as np

from plausibly.data.columns import date_patterns, identifiers, numbers
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import DIGITS, FEW_LEVELS, ColumnSample
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.types import CategoryColumn
from plausibly.events.kinds import Category

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
    if _share_of(sight, PHONE) >= MIN_SHARE:
        return "whole numbers that all begin with +, as telephone numbers do: labels; --kind says otherwise"
    if _share_of(sight, HASH) > 1 - MIN_SHARE:
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
    if found or not date_patterns.looks_dated(sight.texts):
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
    sign = next(mark for mark in f",{MONEY}%(\u2212{SPACES[::-1]}" if mark in shown)
    return f"looks like numbers with {sign!r}; write them plainly to model them as numbers"


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
