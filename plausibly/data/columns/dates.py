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
    plain_form,
)
from plausibly.events.kinds import OTHER

UNITS = (
    (86_400 * 10**9, "day"),
    (3_600 * 10**9, "hour"),
    (60 * 10**9, "minute"),
    (10**9, "second"),
    *((10**digits, f"{10.0 ** (digits - 9):g} s") for digits in range(8, -1, -1)),
)
PART_LIMITS = {
    "Y": (1, 9999),
    "y": (0, 99),
    "m": (1, 12),
    "q": (1, 4),
    "d": (1, 31),
    "H": (0, 23),
    "I": (1, 12),
    "M": (0, 59),
    "S": (0, 59),
}


def ticks(texts: list[str], pattern: str) -> np.ndarray:
    """Each text as whole ticks of the form, int64; OTHER where it is not exactly of this form."""
    form = form_of(pattern)
    values = np.full(len(texts), OTHER)
    if form.days:
        return _check_ticks(_in_hours(texts, form), texts, pattern)
    found = [form.reads.fullmatch(text) for text in texts]
    places = np.array([place for place, match in enumerate(found) if match], dtype=np.int64)
    if len(places):
        values[places] = _count_ticks(form, [match.groups() for match in found if match])
    return _check_ticks(values, texts, pattern)


def _in_hours(texts: list[str], form: DateForm) -> np.ndarray:
    """Ticks of durations with days."""
    digits = len(str(form.scale)) - 1
    plain = "%H:%M:%S" + fraction_form(digits)
    fitted = map(without_days, texts)
    return ticks(
        [hours if hours != text else "" for hours, text in zip(fitted, texts, strict=True)], plain
    )


def _check_ticks(values: np.ndarray, texts: list[str], pattern: str) -> np.ndarray:
    """The ticks, OTHER where they are not written as their texts are."""
    known = np.flatnonzero(values != OTHER)
    again = format_ticks(values[known], pattern)
    values[known[[texts[place] != text for place, text in zip(known, again, strict=True)]]] = OTHER
    return values


def _count_ticks(form: DateForm, groups: list[tuple[str, ...]]) -> np.ndarray:
    """Ticks of what the directives read; OTHER where it is no date or time."""
    signs, *columns = zip(*groups, strict=True)
    part = {d[-1]: _whole(d, texts) for d, texts in zip(form.directives, columns, strict=True)}
    months = _months(part, len(groups))
    sound = _sound(part, form.endless)
    if not form.seconds:
        return np.where(sound, months // form.months, OTHER)
    first, following = (
        (months + more).astype("datetime64[M]").astype("datetime64[D]") for more in (0, 1)
    )
    day = part.get("d", np.int64(1))
    sound &= day <= (following - first).astype(np.int64)
    seconds = (first.astype(np.int64) + day - 1) * 86_400 + _since_midnight(part)
    sound &= np.abs(seconds.astype(np.float64)) * form.scale < MAX_TICKS
    sign = np.array([-1 if sign else 1 for sign in signs])
    return np.where(sound, sign * (seconds * form.scale + part.get("f", 0)) // form.seconds, OTHER)


def _whole(directive: str, texts: Any) -> np.ndarray:
    places = {name: place for place, name in enumerate(DIRECTIVE_NAMES.get(directive, ()))}
    return np.array([places[text] if places else int(text) for text in texts], dtype=np.int64)


def _months(part: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Months since January 1970."""
    years = (
        part["Y"]
        if "Y" in part
        else part["y"] + np.where(part["y"] < PIVOT_YEAR, 2000, 1900)
        if "y" in part
        else 1970
    )
    named = part.get("b", part.get("B"))
    quarter = part.get("q", np.ones(rows, dtype=np.int64)) - 1
    month = named if named is not None else part["m"] - 1 if "m" in part else 3 * quarter
    return np.asarray((years - 1970) * 12 + month)


def _since_midnight(part: dict[str, np.ndarray]) -> Any:
    """Seconds."""
    half = part.get("p", part.get("P", 0))
    hours = part["I"] % 12 + 12 * half if "I" in part else part.get("H", 0)
    return hours * 3_600 + part.get("M", 0) * 60 + part.get("S", 0)


def _sound(part: dict[str, np.ndarray], endless: bool) -> np.ndarray:
    """Where each part is what it can be; the day of the month aside."""
    limits = {
        letter: ends
        for letter, ends in PART_LIMITS.items()
        if letter in part and not (endless and letter == "H")
    }
    return np.logical_and.reduce(
        [(part[letter] >= low) & (part[letter] <= high) for letter, (low, high) in limits.items()]
    )


def format_ticks(values: np.ndarray, pattern: str) -> list[str]:
    """Texts of ticks; what the form cannot write is moved to the first or last that it can."""
    form = form_of(pattern)
    values = np.asarray(values, dtype=np.int64)
    if form.days:
        return _with_days(values, form)
    parts = _parts(form, np.abs(values) if form.endless else values.clip(*form.ends))
    columns = [_part_texts(directive, parts[directive[-1]]) for directive in form.directives]
    texts = [form.prints % row for row in zip(*columns, strict=True)]
    if form.endless:
        return [f"-{t}" if v < 0 else t for t, v in zip(texts, values.tolist(), strict=True)]
    return texts


def _with_days(values: np.ndarray, form: DateForm) -> list[str]:
    """Durations as pandas writes them, such as -1 days +23:59:00."""
    days, rest = np.divmod(values, 86_400 * form.scale)
    digits = len(str(form.scale)) - 1
    plain = "%H:%M:%S" + fraction_form(digits)
    pairs = zip(days.tolist(), format_ticks(rest, plain), strict=True)
    return [f"{day} days {'+' if day < 0 else ''}{clock}" for day, clock in pairs]


def _parts(form: DateForm, values: np.ndarray) -> dict[str, np.ndarray]:
    """The whole number that each directive prints."""
    if not form.seconds:
        return _calendar((values * form.months).astype("datetime64[M]").astype("datetime64[D]"))
    seconds = values // form.scale * form.seconds
    days = seconds // 86_400
    parts = _clock(seconds if form.endless else seconds - days * 86_400)
    parts["f"] = values % form.scale
    return parts if form.clock else parts | _calendar(days.astype("datetime64[D]"))


def _clock(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of seconds since midnight, or of a duration."""
    hours = seconds // 3_600
    half = hours // 12
    return {
        "H": hours,
        "I": (hours + 11) % 12 + 1,
        "M": seconds // 60 % 60,
        "S": seconds % 60,
        "p": half,
        "P": half,
    }


def _calendar(days: np.ndarray) -> dict[str, np.ndarray]:
    months = days.astype("datetime64[M]")
    year = months.astype(np.int64) // 12 + 1970
    month = months.astype(np.int64) % 12
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return {
        "Y": year,
        "y": year % 100,
        "q": month // 3 + 1,
        "m": month + 1,
        "b": month,
        "B": month,
        "d": day,
    }


def _part_texts(directive: str, part: np.ndarray) -> list[Any]:
    names = DIRECTIVE_NAMES.get(directive)
    return part.tolist() if names is None else [names[place] for place in part.tolist()]


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
    if found is None:
        return text
    hours, minutes, seconds = (int(part) for part in found[2].split(":"))
    whole = (
        int(found[1]) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    )  # of which a fraction adds to what may be below 0
    fraction = (found[3] or "")[1:]
    return format_ticks(
        np.array([whole * 10 ** len(fraction) + int(fraction or 0)]),
        plain_form(f"00:00:00{found[3] or ''}"),
    )[0]


def reformat_dates(texts: list[str], pattern: str, other: str) -> list[str]:
    """Texts of one form in another; those that it cannot say as they are."""
    if pattern == other or not texts:
        return texts
    moved = [
        _convert_tick(tick, form_of(pattern), form_of(other))
        for tick in ticks(texts, pattern).tolist()
    ]
    again = iter(
        format_ticks(np.array([tick for tick in moved if tick is not None], dtype=np.int64), other)
    )
    return [text if tick is None else next(again) for text, tick in zip(texts, moved, strict=True)]


def _convert_tick(tick: int, form: DateForm, other: DateForm) -> int | None:
    """The tick of another form at the same time; None where there is none."""
    if tick == OTHER or form.clock != other.clock:
        return None
    day = 86_400 * 10**9
    if not form.seconds:
        tick = int(np.datetime64(tick, "M").astype("datetime64[D]").astype(np.int64))
    time = tick * (form.seconds * 10**9 // form.scale if form.seconds else day)
    if not other.seconds:
        month = np.datetime64(time // day, "D").astype("datetime64[M]")
        return (
            int(month.astype(np.int64))
            if time == day * int(month.astype("datetime64[D]").astype(np.int64))
            else None
        )
    found, rest = divmod(time, other.seconds * 10**9 // other.scale)
    return found if not rest and other.ends[0] <= found <= other.ends[1] else None
