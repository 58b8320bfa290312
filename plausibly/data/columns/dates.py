"""Dates and times as they are written: texts <-> whole ticks since 1970, or since midnight, by a form."""

from __future__ import annotations

from typing import Any

import numpy as np

from plausibly.data.columns.date_forms import (
    DAYS_TEXT,
    DIRECTIVE_NAMES,
    MAX_TICKS,
    PIVOT_YEAR,
    DateForm,
    form_of,
    fraction_form,
)
from plausibly.events.kinds import OTHER

UNITS = (
    (86_400 * 10**9, "day"),
    (3_600 * 10**9, "hour"),
    (60 * 10**9, "minute"),
    (10**9, "second"),
    *((10**digits, f"{10.0 ** (digits - 9):g} s") for digits in range(8, -1, -1)),
)


def ticks(texts: list[str], pattern: str) -> np.ndarray:
    """Each text as whole ticks of the form, int64; OTHER where it is not exactly of this form."""
    form = form_of(pattern)
    values = np.full(len(texts), OTHER)
    found = [form.reads.fullmatch(text) for text in texts]
    places = np.flatnonzero([match is not None for match in found])
    if len(places):
        groups = [match.groups() for match in found if match]
        if form.days:
            hours = [hours_of_days(*group) for group in groups]
            values[places] = ticks(hours, f"%H:%M:%S{form.fraction}")
        else:
            values[places] = _count_ticks(form, groups)
    # what no calendar or clock has, such as 30 February, is not printed so
    known = np.flatnonzero(values != OTHER)
    again = format_ticks(values[known], pattern)
    values[known[[texts[place] != text for place, text in zip(known, again, strict=True)]]] = OTHER
    return values


def _count_ticks(form: DateForm, groups: list[tuple[str, ...]]) -> np.ndarray:
    """Ticks of what the directives read."""
    signs, *columns = zip(*groups, strict=True)
    pairs = zip(form.directives, columns, strict=True)
    part: dict[str, Any] = {d[-1]: _whole(d, texts) for d, texts in pairs}
    if "y" in part:
        part["Y"] = part["y"] + np.where(part["y"] < PIVOT_YEAR, 2000, 1900)
    month = part.get("b", part.get("B", part.get("m", 1) - 1)) + 3 * (part.get("q", 1) - 1)
    months = np.asarray((part.get("Y", 1970) - 1970) * 12 + month)
    if not form.seconds:
        return months // form.months
    hour = part.get("H", part.get("I", 0) % 12 + 12 * part.get("p", part.get("P", 0)))
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    seconds = (days + part.get("d", 1) - 1) * 86_400
    seconds = seconds + hour * 3_600 + part.get("M", 0) * 60 + part.get("S", 0)
    sound = np.abs(seconds.astype(np.float64)) * form.scale < MAX_TICKS
    sign = np.array([-1 if sign else 1 for sign in signs])
    return np.where(sound, sign * (seconds * form.scale + part.get("f", 0)) // form.seconds, OTHER)


def _whole(directive: str, texts: Any) -> np.ndarray:
    names = DIRECTIVE_NAMES.get(directive)
    return np.array([names.index(text) if names else int(text) for text in texts], dtype=np.int64)


def format_ticks(values: np.ndarray, pattern: str) -> list[str]:
    """Texts of ticks; what the form cannot write is moved to the first or last that it can."""
    form = form_of(pattern)
    values = np.asarray(values, dtype=np.int64)
    if form.days:
        return _with_days(values, form)
    parts = _parts(form, np.abs(values) if form.endless else values.clip(*form.ends))
    columns = [parts[each[-1]].tolist() for each in form.directives]
    for place, each in enumerate(form.directives):
        if names := DIRECTIVE_NAMES.get(each):
            columns[place] = [names[number] for number in columns[place]]
    texts = [form.prints % row for row in zip(*columns, strict=True)]
    if form.endless:
        return [f"-{t}" if v < 0 else t for t, v in zip(texts, values.tolist(), strict=True)]
    return texts


def _with_days(values: np.ndarray, form: DateForm) -> list[str]:
    """Durations as pandas writes them, such as -1 days +23:59:00."""
    days, rest = np.divmod(values, 86_400 * form.scale)
    pairs = zip(days.tolist(), format_ticks(rest, f"%H:%M:%S{form.fraction}"), strict=True)
    return [f"{day} days {'+' if day < 0 else ''}{clock}" for day, clock in pairs]


def _parts(form: DateForm, values: np.ndarray) -> dict[str, np.ndarray]:
    """The whole number that each directive prints."""
    if not form.seconds:
        return _calendar((values * form.months).astype("datetime64[M]").astype("datetime64[D]"))
    seconds = values // form.scale * form.seconds
    days = seconds // 86_400
    hours = seconds // 3_600 - (0 if form.endless else days * 24)
    clock = {"H": hours, "I": (hours + 11) % 12 + 1, "M": seconds // 60 % 60, "S": seconds % 60}
    clock |= {"f": values % form.scale, "p": hours // 12, "P": hours // 12}
    return clock if form.clock else clock | _calendar(days.astype("datetime64[D]"))


def _calendar(days: np.ndarray) -> dict[str, np.ndarray]:
    months = days.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    year = year + 1970
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    found = {"Y": year, "y": year % 100, "q": month // 3 + 1, "m": month + 1, "d": day}
    return found | {"b": month, "B": month}


def tick_step(values: np.ndarray, pattern: str) -> tuple[int, str]:
    """The largest of day, hour, minute, second, ... that divides all ticks: in ticks, and its name."""
    form = form_of(pattern)
    if not form.seconds:
        return 1, "quarter" if form.months == 3 else "month"
    tick = form.seconds * 10**9 // form.scale
    sizes = [(size // tick, word) for size, word in UNITS if size >= tick]
    return next((size, word) for size, word in sizes if not (values % size).any())


def without_days(text: str) -> str:
    """A duration such as 1 days 02:30:00, as pandas writes it, in hours: 26:30:00; any other text as it is."""
    found = DAYS_TEXT.fullmatch(text)
    return hours_of_days(*found.groups()) if found else text


def hours_of_days(days: str, clock: str, fraction: str | None) -> str:
    """The same, of its parts."""
    hours, minutes, seconds = map(int, clock.split(":"))
    whole = ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    digits = (fraction or "")[1:]  # which adds to what may be below 0
    tick = whole * 10 ** len(digits) + int(digits or 0)
    return format_ticks(np.array([tick]), f"%H:%M:%S{fraction_form(len(digits))}")[0]


def reformat_dates(texts: list[str], pattern: str, other: str) -> list[str]:
    """Texts of one form in another; those that it cannot say as they are."""
    if pattern == other or not texts:
        return texts
    here, there = form_of(pattern), form_of(other)
    if here.clock != there.clock:
        return texts
    moved = convert_ticks(ticks(texts, pattern), here, there)
    moved[(moved < there.ends[0]) | (moved > there.ends[1])] = OTHER
    again = format_ticks(moved, other)
    return [
        text if tick == OTHER else new
        for text, tick, new in zip(texts, moved.tolist(), again, strict=True)
    ]


def convert_ticks(
    values: np.ndarray, form: DateForm, other: DateForm, later: int = 0
) -> np.ndarray:
    """Ticks of one form in those of another, so many seconds later; OTHER where these are no whole number."""
    known, whole = values != OTHER, np.where(values == OTHER, 0, values)
    if not form.seconds:
        months = (whole * form.months).astype("datetime64[M]")
        whole = months.astype("datetime64[D]").astype(np.int64)
    # whole numbers of any size
    whole = whole.astype(object) * (form.seconds or 86_400) + later * form.scale
    if other.seconds:
        size = form.scale * other.seconds
        found, rest = whole * other.scale // size, whole * other.scale % size
        return np.where(known & (rest == 0) & (abs(found) <= MAX_TICKS), found, OTHER).astype(
            np.int64
        )
    rest = whole % (86_400 * form.scale)
    dates = (whole // (86_400 * form.scale)).astype(np.int64).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    found, over = np.divmod(months.astype(np.int64), other.months)
    fits = (rest == 0) & (over == 0) & (months.astype("datetime64[D]") == dates)
    return np.where(known & fits.astype(bool), found, OTHER)
