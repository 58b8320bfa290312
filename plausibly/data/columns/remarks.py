"""Why texts that look like numbers or times are none."""

from __future__ import annotations

import re

import numpy as np

from plausibly.data.columns import date_patterns, numbers
from plausibly.data.columns.column_sample import (
    DIGITS,
    FEW_LEVELS,
    ColumnSample,
    with_decimal_points,
    without_hole_marks,
)
from plausibly.data.columns.numbers import MIN_SHARE

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


def explain_codes(sight: ColumnSample) -> str:
    """Why numbers are written as no amounts are, or nothing."""
    sight, _ = without_hole_marks(sight)
    if sight.storage.kind != "text" or not sight.rows:
        return ""

    if _share_of(sight, PHONE) >= MIN_SHARE:
        return "whole numbers that all begin with +, as telephone numbers do: labels; --kind says otherwise"
    if _share_of(sight, HASH) > 1 - MIN_SHARE:
        shown = next(text for text in sight.texts if HASH.fullmatch(text))
        return f"written as no amounts are, such as {shown}: labels; --kind says otherwise"
    places = {len(text.partition(".")[2]) for text in sight.texts}
    few = len(sight.texts) <= FEW_LEVELS or VERSION_NAME.search(sight.name)
    if _share_of(sight, PADDED_NUMBER) > 1 - MIN_SHARE and len(places) > 1 and few:
        shown = next(text for text in sight.texts if PADDED_NUMBER.fullmatch(text))
        return f"written as versions are, such as {shown} beside others of fewer digits: labels; --kind says otherwise"
    return ""


def _share_of(sight: ColumnSample, form: re.Pattern[str]) -> float:
    """The share of rows whose text is of a form."""
    fits = [form.fullmatch(text) is not None for text in sight.texts]
    return float(sight.counts[fits].sum() / sight.rows)


def explain_texts(sight: ColumnSample) -> str:
    """Why texts that look like numbers or times are none, or nothing."""
    return (
        explain_codes(sight)
        or explain_signs(sight)
        or _explain_large(sight)
        or _explain_forms(sight)
    )


def _explain_forms(sight: ColumnSample) -> str:
    """Nearly all cells are dates or times, but not of one form."""
    if not date_patterns.looks_dated(sight.texts):
        return ""
    return "dates or times of several forms; write all as 2020-12-05 to model them as dates"


def explain_signs(sight: ColumnSample) -> str:
    """Nearly all cells are numbers, many with thousands separators, decimal commas or currency signs."""
    sight, _ = without_hole_marks(sight)
    plain = np.array([numbers.parse_number(text) is not None for text in sight.texts])
    alike = np.array([bool(DRESSED_NUMBER.fullmatch(text)) for text in sight.texts])
    if "point" in with_decimal_points(sight, {})[1]:
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


def _explain_large(sight: ColumnSample) -> str:
    """Nearly all cells are whole numbers, many of them beyond 2^53."""
    read = [numbers.parse_number(text) for text in sight.texts]
    whole = np.array([DIGITS.fullmatch(text) is not None for text in sight.texts])
    fitting = np.array([numbers.number_in_steps(found, 0) is not None for found in read])
    if not sight.rows or sight.counts[whole].sum() < MIN_SHARE * sight.rows:
        return ""
    large = sight.counts[whole & ~fitting].sum() > (1 - MIN_SHARE) * sight.rows
    zeros = any(map(numbers.LEADING_ZERO.fullmatch, sight.texts))
    return "whole numbers too large to be exact" if large and not zeros else ""
