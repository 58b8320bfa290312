"""Which form the dates and times of a column are written in, from its texts: those forms are tried that fit some of them.

Those in several forms, as minutes beside seconds, days beside times or offsets, are ticks of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import numpy as np

from plausibly.data.columns.date_forms import (
    DAYS,
    DAYS_TEXT,
    DIRECTIVE,
    DIRECTIVE_NAMES,
    ISO_DATE,
    ZONE,
    DateForm,
    form_of,
    fraction_form,
)
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.events.kinds import OTHER

TIME = re.compile(
    r"(?P<gap>[T ]|, )?(?<![\d:])-?(?P<hour>\d\d?|[1-9]\d{2,6}):\d\d(?P<second>:\d\d(?P<fraction>\.\d{1,9})?)?"
    r"(?P<half> ?(?:[AP]M|[ap]m))?(?P<zone>Z| ?UTC| ?GMT| ?[+-]\d\d:?\d\d)?",
    re.ASCII,
)
LETTERS, NUMERALS = re.compile("[A-Za-z]+"), re.compile("[0-9]+")
DATE_LIKE = re.compile(r"[-\d:./, +A-Za-z]{4,40}", re.ASCII)
COMPACT_FORMS = ("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ")
MIN_COMPACT_DATES = 12  # so many different numbers of eight digits are not all dates by chance
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
    return LETTERS.sub("a", NUMERALS.sub("0", text))


def candidate_forms(text: str) -> list[DateForm]:
    """The forms that a text alone can be read as."""
    if not DATE_LIKE.fullmatch(text) or not any(map(str.isdigit, text)):
        return []
    if lasts := DAYS_TEXT.fullmatch(text):
        return [form_of(DAYS + fraction_form(len(lasts[5] or "")))]
    times = TIME.finditer(text) if ":" in text else ()
    found = next((match for match in times if match.end() == len(text)), None)
    patterns = _with_time(text, found) if found else _patterns_by_shape().get(_shape(text), [])
    return [form for form in map(form_of, patterns) if form.texts.fullmatch(text)]


def _with_time(text: str, found: re.Match[str]) -> list[str]:
    """Patterns of a text that ends with a time, or is one."""
    date = text[: found.start()]
    if (found["gap"] is None) != (not date):
        return []
    days = [form.pattern for form in candidate_forms(date) if form.seconds == 86_400]
    half = re.sub("[ap]m", "%P", re.sub("[AP]M", "%p", found["half"] or ""))
    second = ":%S" if found["second"] else ""
    second += fraction_form(len(found["fraction"] or ".") - 1)
    hours = ("%I", "%-I") if half else ("%H", "%-H")
    rest = f":%M{second}{half}{found['zone'] or ''}"
    gap = found["gap"] or ""
    return [day + gap + hour + rest for day in (days if date else [""]) for hour in hours]


def find_date_forms(texts: list[str], counts: np.ndarray) -> list[str]:
    """The forms that nearly all texts, `counts` times each, are written in; several where day and month may be either."""
    few = _pick_evenly(texts, MAX_TEXTS)
    tried = _candidates_of(_pick_evenly(texts, CANDIDATE_TEXTS))
    tried = [form for form in tried if (form.read(few) != OTHER).mean() > 0.9]
    weights = {form.pattern: int(counts[_is_written(texts, form)].sum()) for form in tried}
    most = max(weights.values(), default=0)
    if most < MIN_SHARE * counts.sum():
        return []
    likely = [pattern for pattern, weight in weights.items() if weight == most]
    orders = {pattern.replace("%-", "%"): pattern for pattern in reversed(likely)}
    found = list(orders.values())[::-1]
    # hardly anyone writes 31 December 20-12-31
    return [form for form in found if not form.startswith("%y")] or found


def _pick_evenly(texts: list[str], most: int) -> list[str]:
    """At most so many texts, evenly from first to last."""
    if len(texts) <= most:
        return texts
    places = np.linspace(0, len(texts) - 1, min(len(texts), most)).astype(int)
    return [texts[place] for place in np.unique(places)]


def _candidates_of(texts: list[str]) -> list[DateForm]:
    """The forms that any of these texts can be read as, each once."""
    return list(dict.fromkeys(form for text in texts for form in candidate_forms(text)))


def _is_written(texts: list[str], form: DateForm) -> np.ndarray:
    """Which texts are of this form. Of digits alone only those that can be dates by no chance."""
    values = form.read(texts)
    if form.pattern not in COMPACT_FORMS:
        return values != OTHER
    ends = form_of("%Y%m%d").read(["18000101", "22000101"]) * (86_400 // form.seconds)
    return (values >= ends[0]) & (values < ends[1]) & (len(texts) >= MIN_COMPACT_DATES)


def looks_dated(texts: list[str]) -> bool:
    """True where nearly all texts are dates or times, each of some form."""
    some = _pick_evenly(texts, MAX_TEXTS)
    odd = (t for t in some if all(f.pattern in COMPACT_FORMS for f in candidate_forms(t)))
    allowed = len(some) - int(0.9 * len(some)) - 1
    return allowed >= 0 and next(islice(odd, allowed, None), None) is None


def reformat_any(
    texts: list[str], form: DateForm, stamped: Callable[[Any], list[str]]
) -> list[str]:
    """Texts of any one form in the given one; `stamped` writes those with an offset from UTC."""
    import pandas as pd

    if any(map(ZONE.search, texts)):
        cells = np.array(texts, dtype=object)
        times = pd.to_datetime(pd.Series(cells), utc=True, errors="coerce", format="ISO8601")
        known = times.notna().to_numpy()
        cells[known] = stamped(pd.DatetimeIndex(times[known]))
        texts = cells.tolist()
    found = find_date_forms(texts, np.ones(len(texts)))
    return form_of(found[0]).reformat(texts, form) if len(found) == 1 else texts


def date_ticks_in(texts: list[str], form: DateForm) -> np.ndarray:
    """As `form.read`; and what a form of the same dates, or ISO's, says in whole ticks of this one is read too."""
    found = form.read(texts)
    left = np.flatnonzero(found == OTHER)
    while len(left) and form.seconds:
        beside = _beside(texts[left[0]], form)
        rest = left[1:]
        if beside is not None:
            own = beside.read([texts[place] for place in left])
            moved = beside.convert(own, form, form.offset - beside.offset)
            moved[np.abs(moved) >= MAX_MOVED_TICKS] = OTHER
            found[left] = moved
            rest = rest[moved[1:] == OTHER]
        left = rest
    return found


@lru_cache(maxsize=4096)
def _beside(text: str, own: DateForm) -> DateForm | None:
    """A form of a text that tells a moment as the pattern does: with an offset from UTC, without a date, or neither.

    With or without zeros before numbers.
    """
    for form in candidate_forms(text):
        alike = form.clock == own.clock and (form.zone is None) == (own.zone is None)
        if alike and form.seconds and (own.clock or form.date in (own.date, ISO_DATE)):
            return form
    return None


def common_form(texts: list[str], counts: np.ndarray) -> str | None:
    """The finest form that some texts are written in, where nearly all can be told in it; None where there is no such one.

    None too where day and month may be either.
    """
    tried = _candidates_of(_pick_evenly(texts, MAX_COMMON_TEXTS))
    tried = [form for form in tried if form.seconds and form.pattern not in COMPACT_FORMS]
    finest = sorted(tried, key=lambda form: _coarseness(form, texts, counts))
    for form in finest[:MAX_FORMS]:
        if _tells(texts, counts, form):
            swapped = form.pattern.translate(str.maketrans("dm", "md"))
            other = [each for each in tried if each.pattern == swapped]
            return None if any(_tells(texts, counts, each) for each in other) else form.pattern
    return None


def _coarseness(form: DateForm, texts: list[str], counts: np.ndarray) -> tuple[Any, ...]:
    """The seconds of a tick, then the fewest cells that are not of the form."""
    known = form.read(texts) != OTHER
    return form.seconds / form.scale, -counts[known].sum(), "%-" in form.pattern, form.pattern


def _tells(texts: list[str], counts: np.ndarray, form: DateForm) -> bool:
    return bool(counts[date_ticks_in(texts, form) != OTHER].sum() >= MIN_SHARE * counts.sum())
