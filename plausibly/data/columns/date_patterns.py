"""Which form the dates and times of a column are written in, from its texts: those forms are tried that fit some of them.

Those in several forms, as minutes beside seconds, days beside times or offsets, are ticks of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from plausibly.data.columns.date_forms import (
    DAYS_TEXT,
    DIRECTIVE,
    DIRECTIVE_NAMES,
    form_of,
    fraction_form,
)
from plausibly.data.columns.dates import convert_ticks, reformat_dates, ticks
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.events.kinds import OTHER

TIME = re.compile(
    r"(?P<gap>[T ]|, )?(?<![\d:])-?(?P<hour>\d\d?|[1-9]\d{2,6}):\d\d(?P<second>:\d\d(?P<fraction>\.\d{1,9})?)?"
    r"(?P<half> ?(?:[AP]M|[ap]m))?(?P<zone>Z| ?UTC| ?GMT| ?[+-]\d\d:?\d\d)?",
    re.ASCII,
)
ZONE = re.compile(r"(?<=:\d\d)(\.\d+)?(Z| ?UTC| ?GMT| ?[+-]\d\d:?\d\d)$", re.ASCII)
DATE_LIKE = re.compile(r"[-\d:./, +A-Za-z]{4,40}", re.ASCII)
COMPACT_FORMS = ("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ")
MIN_COMPACT_DATES = 12  # so many different numbers of eight digits are not all dates by chance
ISO = "%Y-%m-%d"
CLOCK = re.compile(r"(T|, | )?%-?[HI]")  # where the time of a form begins
MAX_MOVED_TICKS = 2**62  # from 1970, of a time in another form
MAX_COMMON_TEXTS = 60  # texts that common forms are looked for in
MAX_FORMS = 8  # forms of a column
MAX_TEXTS = 200  # texts that forms are tried on
CANDIDATE_TEXTS = 5  # texts whose forms are tried
NUMERIC_FORMS = ("%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d")
MONTH_FORMS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y")
QUARTER_FORMS: tuple[str, ...] = ("Q%q %Y", "%Y Q%q", "%YQ%q", "%Y-Q%q", "Q%q-%Y", "Q%q/%Y")
QUARTER_FORMS += ("%Y/Q%q", "%qQ%Y", "%qQ%y", "Q%q %y")
MONTH_NAME_FORMS: tuple[str, ...] = ("%d/%b/%Y", "%d/%b/%y", "%Y/%b/%d", "%b/%Y", "%d%b%Y", "%b%Y")
MONTH_NAME_FORMS += ("%b %d, %Y", "%b %d %Y")


@cache
def date_patterns() -> tuple[str, ...]:
    """Every form of a date alone, those with zeros before the number first."""
    numbers = [form.replace("/", mark) for mark in "-/. " for form in NUMERIC_FORMS]
    named = [
        form.replace("/", mark).replace("%b", month)
        for month in ("%b", "%B", "%^b", "%^B")
        for mark in "- /"
        for form in MONTH_NAME_FORMS
    ]
    plain = [form.replace("%d", "%-d").replace("%m", "%-m") for form in numbers + named]
    every = [*numbers, *MONTH_FORMS, *QUARTER_FORMS, *named, *plain, *COMPACT_FORMS]
    return tuple(dict.fromkeys(every))


@cache
def _patterns_by_shape() -> dict[str, list[str]]:
    """The same forms by the shape of what they write."""
    found: dict[str, list[str]] = {}
    for form in date_patterns():
        written = DIRECTIVE.sub(lambda each: "a" if each[0] in DIRECTIVE_NAMES else "0", form)
        found.setdefault(_shape(written), []).append(form)
    return found


def _shape(text: str) -> str:
    """A text with `0` in place of each number and `a` of each word."""
    return re.sub("[A-Za-z]+", "a", re.sub("[0-9]+", "0", text))


def candidate_forms(text: str) -> list[str]:
    """The forms that a text alone can be read as."""
    if not DATE_LIKE.fullmatch(text) or not any(map(str.isdigit, text)):
        return []
    if lasts := DAYS_TEXT.fullmatch(text):
        return ["%D days %H:%M:%S" + fraction_form(len(lasts[3] or ".") - 1)]
    found = next((match for match in TIME.finditer(text) if match.end() == len(text)), None)
    if not found:
        return [form for form in _patterns_by_shape().get(_shape(text), ()) if _fits(form, text)]
    date = text[: found.start()]
    if (found["gap"] is None) != (not date):
        return []
    days = [form for form in candidate_forms(date) if form_of(form).seconds == 86_400]
    both = [day + time for day in (days if date else [""]) for time in _times(found)]
    return [form for form in both if _fits(form, text)]


def _fits(form: str, text: str) -> bool:
    return form_of(form).reads.fullmatch(text) is not None


def _times(found: re.Match[str]) -> list[str]:
    half = re.sub("[ap]m", "%P", re.sub("[AP]M", "%p", found["half"] or ""))
    second = ":%S" if found["second"] else ""
    second += fraction_form(len(found["fraction"] or ".") - 1)
    hours = ("%I", "%-I") if half else ("%H", "%-H")
    rest = f":%M{second}{half}{found['zone'] or ''}"
    return [(found["gap"] or "") + hour + rest for hour in hours]


def find_date_forms(texts: list[str], counts: np.ndarray) -> list[str]:
    """The forms that nearly all texts, `counts` times each, are written in; several where day and month may be either."""
    some = [texts[place] for place in even_places(len(texts), CANDIDATE_TEXTS)]
    tried = list(dict.fromkeys(form for text in some for form in candidate_forms(text)))
    few = [texts[place] for place in even_places(len(texts), MAX_TEXTS)]
    tried = [form for form in tried if (ticks(few, form) != OTHER).mean() > 0.9]
    weights = {form: int(counts[_read(texts, form)].sum()) for form in tried}
    most = max(weights.values(), default=0)
    if most < MIN_SHARE * counts.sum():
        return []
    orders = {form.replace("%-", "%"): form for form in reversed(tried) if weights[form] == most}
    found = list(orders.values())[::-1]
    # hardly anyone writes 31 December 20-12-31
    return [form for form in found if not form.startswith("%y")] or found


def even_places(size: int, most: int) -> list[int]:
    """Places of at most so many, evenly from first to last."""
    return sorted({*np.linspace(0, size - 1, min(size, most)).astype(int).tolist()}) if size else []


def _read(texts: list[str], form: str) -> np.ndarray:
    """Which texts are of this form. Of digits alone only those that can be dates by no chance."""
    values = ticks(texts, form)
    if form not in COMPACT_FORMS:
        return values != OTHER
    ends = ticks(["18000101", "22000101"], "%Y%m%d") * (1 if form == "%Y%m%d" else 86_400)
    return (values >= ends[0]) & (values < ends[1]) & (len(texts) >= MIN_COMPACT_DATES)


def looks_dated(texts: list[str]) -> bool:
    """True where nearly all texts are dates or times, each of some form."""
    some = [texts[place] for place in even_places(len(texts), MAX_TEXTS)]
    dated = sum(bool(set(candidate_forms(text)) - {*COMPACT_FORMS}) for text in some)
    return dated > 0.9 * len(some)


def zone_of(form: str) -> str | None:
    """The offset from UTC that a form ends with, such as +02:00; None where there is none."""
    found = ZONE.search(re.sub(r"%[-^]?[A-Za-z]|%\d[a-z]", "00", form))
    return found and ("+00:00" if found[2].strip() in ("Z", "UTC", "GMT") else found[2].strip())


def reformat_any(texts: list[str], form: str, stamped: Callable[[Any], list[str]]) -> list[str]:
    """Texts of any one form in the given one; `stamped` writes those with an offset from UTC."""
    import pandas as pd

    if any(map(ZONE.search, texts)):
        cells = np.array(texts, dtype=object)
        times = pd.to_datetime(pd.Series(cells), utc=True, errors="coerce", format="ISO8601")
        known = times.notna().to_numpy()
        cells[known] = stamped(pd.DatetimeIndex(times[known]))
        texts = cells.tolist()
    found = find_date_forms(texts, np.ones(len(texts)))
    return reformat_dates(texts, found[0], form) if len(found) == 1 else texts


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
    some = [texts[place] for place in even_places(len(texts), MAX_COMMON_TEXTS)]
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
