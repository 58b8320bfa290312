"""Dates and times that are written in several forms as ticks of one: minutes beside seconds, days beside times, offsets."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np

from plausibly.data.columns.date_forms import form_of
from plausibly.data.columns.date_patterns import (
    COMPACT_FORMS,
    candidate_forms,
    even_places,
    zone_of,
)
from plausibly.data.columns.dates import convert_ticks, ticks
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.events.kinds import OTHER

ISO = "%Y-%m-%d"
CLOCK = re.compile(r"(T|, | )?%-?[HI]")  # where the time of a form begins
MAX_MOVED_TICKS = 2**62  # from 1970, of a time in another form
MAX_TEXTS = 60  # texts
MAX_FORMS = 8  # forms of a column


def date_ticks_in(texts: list[str], pattern: str) -> np.ndarray:
    """As `dates.ticks`; and what a form of the same dates, or ISO's, says in whole ticks of this one is read too."""
    found = ticks(texts, pattern)
    left = np.flatnonzero(found == OTHER)
    while len(left) and form_of(pattern).seconds:
        form = _beside(texts[left[0]], pattern)
        rest = left[1:]
        if form is not None:
            later = _offset(pattern) - _offset(form)
            own = ticks([texts[place] for place in left], form)
            moved = convert_ticks(own, form_of(form), form_of(pattern), later)
            moved[np.abs(moved) >= MAX_MOVED_TICKS] = OTHER
            found[left] = moved
            rest = rest[moved[1:] == OTHER]
        left = rest
    return found


@lru_cache(maxsize=4096)
def _beside(text: str, pattern: str) -> str | None:
    """A form of a text that tells a moment as the pattern does: with an offset from UTC, without a date, or neither.

    With or without zeros before numbers.
    """
    own = form_of(pattern)
    dated = (_date_of(pattern), ISO)
    for form in candidate_forms(text):
        alike = form_of(form).clock == own.clock and (zone_of(form) is None) == (
            zone_of(pattern) is None
        )
        if alike and form_of(form).seconds and (own.clock or _date_of(form) in dated):
            return form
    return None


def _date_of(form: str) -> str:
    found = CLOCK.search(form)
    return (form[: found.start()] if found else form).replace("%-", "%")


def _offset(form: str) -> int:
    """Seconds from UTC."""
    zone = zone_of(form)
    if zone is None:
        return 0
    digits = re.sub(r"\D", "", zone)
    return (int(digits[:2]) * 3_600 + int(digits[2:]) * 60) * (-1 if zone.startswith("-") else 1)


def common_form(texts: list[str], counts: np.ndarray) -> str | None:
    """The finest form that some texts are written in, where nearly all can be told in it; None where there is no such one.

    None too where day and month may be either.
    """
    some = [texts[place] for place in even_places(len(texts), MAX_TEXTS)]
    tried = {
        form
        for text in some
        for form in candidate_forms(text)
        if form_of(form).seconds and form not in COMPACT_FORMS
    }
    finest = sorted(tried, key=lambda form: _coarseness(form, texts, counts))
    for form in finest[:MAX_FORMS]:
        if _tells(texts, counts, form):
            swapped = form.translate(str.maketrans("dm", "md"))
            return None if swapped in tried and _tells(texts, counts, swapped) else form
    return None


def _coarseness(form: str, texts: list[str], counts: np.ndarray) -> tuple[Any, ...]:
    """The seconds of a tick, then the fewest cells that are not of the form."""
    own = form_of(form)
    known = ticks(texts, form) != OTHER
    return own.seconds / own.scale, -counts[known].sum(), "%-" in form, form


def _tells(texts: list[str], counts: np.ndarray, form: str) -> bool:
    return bool(counts[date_ticks_in(texts, form) != OTHER].sum() >= MIN_SHARE * counts.sum())
