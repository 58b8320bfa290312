"""Dates and times of a few fixed forms: texts <-> whole ticks since 1970 (or since midnight)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import numpy as np

UNITS = (
    (86_400 * 10**9, "day"),
    (3_600 * 10**9, "hour"),
    (60 * 10**9, "minute"),
    (10**9, "second"),
    (10**6, "millisecond"),
    (10**3, "microsecond"),
    (1, "nanosecond"),
)
TICKS = {"D": 86_400 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
FRACTIONS = {3: "ms", 6: "us", 9: "ns"}
MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d(:\d\d(?:\.(\d{3}|\d{6}|\d{9}))?)?)?(Z?)", re.ASCII)
CLOCK = re.compile(r"(-?)(\d\d+):(\d\d)(?::(\d\d))?", re.ASCII)
CALENDAR = re.compile(r"(\d\d?)([/.-])(\d\d?)\2(\d{4})", re.ASCII)
EPOCH = date(1970, 1, 1)


def form_of(text: str) -> str | None:
    """The form that a text is written in, such as `iso T s Z`; None where it is no date.

    `calendar / padded` leaves open whether the day or the month comes first.
    """
    if found := ISO.fullmatch(text):
        precision = FRACTIONS[len(found[3])] if found[3] else "s" if found[2] else "m" if found[1] else "D"
        return f"iso {'T' if found[1] == 'T' else '_' if found[1] else '-'} {precision} {found[4] or '-'}"
    if MONTH.fullmatch(text):
        return "iso - M -"
    if found := CLOCK.fullmatch(text):
        return "clock s" if found[4] else "clock m"
    if found := CALENDAR.fullmatch(text):
        return f"calendar {found[2]}"
    return None


def calendar_orders(texts: list[str]) -> list[str]:
    """Which of day first (dmy) and month first (mdy) is possible for all texts, with their padding."""
    parts = [found for found in map(CALENDAR.fullmatch, texts) if found]
    padded = all(len(found[1]) == 2 and len(found[3]) == 2 for found in parts)
    first, second = (max((int(found[i]) for found in parts), default=0) for i in (1, 3))
    orders = [order for order, month in (("dmy", second), ("mdy", first)) if month <= 12]
    return [f"{order} {'padded' if padded else 'plain'}" for order in orders]


def ticks(texts: list[str], form: str) -> list[int | None]:
    """Each text as whole ticks of the form's precision; None where it is not exactly of this form."""
    parse = {"iso": _iso, "clock": _clock, "calendar": _calendar}[form.split()[0]]
    found = [parse(text, form) for text in texts]
    known = [tick for tick in found if tick is not None]
    again = iter(spelled(known, form))
    return [None if tick is None or next(again) != text else tick for tick, text in zip(found, texts, strict=True)]


def _iso(text: str, form: str) -> int | None:
    if form_of(text) != form:
        return None
    precision: Any = form.split()[2]
    try:
        return int(np.datetime64(text.removesuffix("Z"), precision).astype(np.int64))
    except ValueError:
        return None


def _clock(text: str, form: str) -> int | None:
    found = CLOCK.fullmatch(text)
    if found is None or (form == "clock s") != (found[4] is not None):
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    total = minutes if found[4] is None else minutes * 60 + int(found[4])
    return -total if found[1] else total


def _calendar(text: str, form: str) -> int | None:
    found, (_, mark, order, _) = CALENDAR.fullmatch(text), form.split()
    if found is None or found[2] != mark:
        return None
    day, month = (found[1], found[3]) if order == "dmy" else (found[3], found[1])
    try:
        return (date(int(found[4]), int(month), int(day)) - EPOCH).days
    except ValueError:
        return None


def spelled(values: list[int], form: str) -> list[str]:
    """Texts of ticks; what lies beyond the calendar is moved to its last or first day."""
    family = form.split()[0]
    if family == "clock":
        return [_clock_text(value, form) for value in values]
    if family == "calendar":
        return [_calendar_text(value, form) for value in values]
    _, mark, _, suffix = form.split()
    precision: Any = precision_of(form)
    first, last = (int(np.datetime64(day, precision).astype(np.int64)) for day in ("0001-01-01", "9999-12-31"))
    stamps = np.clip(np.array(values, dtype=np.int64), first, last).astype(f"datetime64[{precision}]")
    texts = np.datetime_as_string(stamps, unit=precision).tolist()
    return [text.replace("T", " " if mark == "_" else "T") + suffix.strip("-") for text in texts]


def _clock_text(value: int, form: str) -> str:
    minutes, seconds = divmod(abs(value), 60) if form == "clock s" else (abs(value), 0)
    text = f"{'-' if value < 0 else ''}{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{seconds:02d}" if form == "clock s" else text


def _calendar_text(value: int, form: str) -> str:
    _, mark, order, padding = form.split()
    day = EPOCH + timedelta(days=min(max(value, (date.min - EPOCH).days), (date.max - EPOCH).days))
    width = 2 if padding == "padded" else 1
    parts = [f"{day.day:0{width}d}", f"{day.month:0{width}d}"]
    return mark.join([*(parts if order == "dmy" else reversed(parts)), f"{day.year:04d}"])


def precision_of(form: str) -> str:
    """Unit of a tick: M (months), D, m, s, ms, us or ns."""
    words = form.split()
    return {"iso": words[-2], "clock": words[1], "calendar": "D"}[words[0]]


def step_of(values: np.ndarray, form: str) -> tuple[int, str]:
    """The largest of day, hour, minute, second, ... that divides all ticks: in ticks, and its name."""
    if precision_of(form) == "M":
        return 1, "month"
    tick = TICKS[precision_of(form)]
    sizes = [(size // tick, word) for size, word in UNITS if size >= tick]
    return next((size, word) for size, word in sizes if not (values % size).any())
