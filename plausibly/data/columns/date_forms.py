"""Forms of dates and times: patterns as strftime has them, taken apart.

The directives are %Y %y %m %b %B %d, %H %I %M %S %p, and %1f to %9f for so many digits of a fraction of a second;
%q is a quarter of a year; %-m %-d %-H %-I stand without a zero before, %^b %^B in capitals, %P for am and pm in small
letters; `%D days %H:%M:%S` is a duration as pandas writes it. All else stands for itself, such as T, Z and +02:00.
Hours and minutes without a date are a clock, which may go past 24:00 and below 0.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

MONTH_NAMES = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December")  # fmt: skip
DIRECTIVE_NAMES = {
    "%b": tuple(name[:3] for name in MONTH_NAMES),
    "%B": MONTH_NAMES,
    "%^b": tuple(name[:3].upper() for name in MONTH_NAMES),
    "%^B": tuple(name.upper() for name in MONTH_NAMES),
    "%p": ("AM", "PM"),
    "%P": ("am", "pm"),
}
DIRECTIVE = re.compile(r"%[-^]?[YymqbBdHIMSpPD]|%[1-9]f")
TIMES = ("HM", "HMS", "HMSf")
ALLOWED_LETTERS = {
    "".join(sorted(said)) for said in ("Ym", "Yq", "Ymd", *TIMES, *(f"Ymd{time}" for time in TIMES))
}  # by a form
PIVOT_YEAR = 69  # a year of two digits from here on is of the twentieth century, as POSIX has it
MAX_TICKS = 9 * 10**18
DAYS_TEXT = re.compile(r"(-?\d{1,6}) days? \+?(\d\d:\d\d:\d\d)(\.\d{1,9})?", re.ASCII)
DAYS_FORM = re.compile(r"%D days %H:%M:%S(\.%[1-9]f)?", re.ASCII)


class DateForm:
    """A pattern, taken apart. ValueError where it is none."""

    def __init__(self, pattern: str) -> None:
        self.directives = DIRECTIVE.findall(pattern)
        self.literals = DIRECTIVE.split(pattern)
        self.letters = {directive[-1] for directive in self.directives}
        self.clock = not self.letters & {"Y", "y"}
        self.endless = self.clock and "H" in self.letters
        self.days = DAYS_FORM.fullmatch(pattern) is not None
        if "%" in "".join(self.literals) or not (
            self.days or _letters(self.directives) in ALLOWED_LETTERS
        ):
            raise ValueError(
                f"{pattern!r} is no form of dates and times, such as %d/%m/%Y or %Y-%m-%dT%H:%M:%SZ"
            )

    @cached_property
    def reads(self) -> re.Pattern[str]:
        """A sign, which only a clock has, and a group for each directive."""
        if self.days:
            return DAYS_TEXT
        pairs = zip(self.directives, self.literals[1:], strict=True)
        groups = [f"({_reads(d, self.endless)}){re.escape(t)}" for d, t in pairs]
        sign = "(-?)" if self.endless else "()"
        return re.compile(sign + re.escape(self.literals[0]) + "".join(groups), re.ASCII)

    @cached_property
    def prints(self) -> str:
        parts = [_prints(d) + t for d, t in zip(self.directives, self.literals[1:], strict=True)]
        return self.literals[0] + "".join(parts)

    @cached_property
    def fraction(self) -> str:
        """The part of the form that is a fraction of a second."""
        return next((f".{each}" for each in self.directives if each[-1] == "f"), "")

    @cached_property
    def scale(self) -> int:
        """Ticks of a second, at least 1."""
        return 10 ** int(self.fraction[2:3] or 0)

    @cached_property
    def seconds(self) -> int:
        """Seconds of a tick, at least 1; 0 where it is a month."""
        sizes = {"S": 1, "M": 60, "d": 86_400}
        return next((size for letter, size in sizes.items() if letter in self.letters), 0)

    def ticks_of(self, seconds: tuple[int, int]) -> tuple[int, int]:
        """The first and the last tick between two seconds."""
        tick = self.seconds or 31 * 86_400
        return -(-seconds[0] // tick) * self.scale, seconds[1] // tick * self.scale

    @cached_property
    def months(self) -> int:
        """Months of a tick where it is some."""
        return 3 if "q" in self.letters else 1

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first and the last tick that can be written."""
        if self.endless:
            return -MAX_TICKS, MAX_TICKS
        first, behind = self._span
        tick = self.seconds or self.months
        last = (behind * self.scale - 1) // tick
        return max(first * self.scale // tick, -MAX_TICKS), min(last, MAX_TICKS)

    @property
    def _span(self) -> tuple[int, int]:
        """The first second or month that can be written, and the one behind the last."""
        if self.clock:
            return 0, 86_400
        days = ("0001-01-01", "10000-01-01")
        if "y" in self.letters:
            days = (f"19{PIVOT_YEAR}-01-01", f"20{PIVOT_YEAR}-01-01")
        unit: Any = "s" if self.seconds else "M"
        first, behind = (int(np.datetime64(day, unit).astype(np.int64)) for day in days)
        return first, behind


def _letters(directives: list[str]) -> str:
    """The directives' letters, each way to say the same as one, in order."""
    letters = "".join(d[-1] for d in directives).translate(str.maketrans("ybBP", "Ymmp"))
    if "I" in letters and "p" in letters:
        letters = letters.replace("I", "H").replace("p", "")
    return "".join(sorted(letters))


def _reads(directive: str, endless: bool) -> str:
    if directive in DIRECTIVE_NAMES:
        return "|".join(DIRECTIVE_NAMES[directive])
    widths = {"Y": r"\d{4}", "q": "[1-4]", "f": rf"\d{{{directive[1]}}}"}
    short = r"0|[1-9]\d?" if "-" in directive else r"\d\d"
    more = r"|[1-9]\d{2,6}" if endless and directive[-1] == "H" else ""
    return widths.get(directive[-1], short + more)


def _prints(directive: str) -> str:
    if directive in DIRECTIVE_NAMES:
        return "%s"
    if "-" in directive:
        return "%d"
    return f"%0{ {'Y': '4', 'q': '1', 'f': directive[1]}.get(directive[-1], '2') }d"


def fraction_form(digits: int) -> str:
    """The form of a fraction of a second with so many digits; of none, nothing."""
    return f".%{digits}f" if digits else ""


def unit_fraction(unit: str) -> str:
    """The form of a fraction of a second that says all times of a unit: s, ms, us or ns."""
    return fraction_form(3 * ("s", "ms", "us", "ns").index(unit))


@lru_cache(maxsize=1024)
def form_of(pattern: str) -> DateForm:
    """The form of a pattern. ValueError where it is none."""
    return DateForm(pattern)


def plain_form(texts: list[str]) -> str:
    """The form of dates or times in ISO's order, such as 2020-12-05T10:00:00.000 or 10:00:00, by how long the first is."""
    text = next((text for text in texts if text[-1:].isdigit()), "")
    day, _, time = text.rpartition("T") if ":" in text else (text, "", "")
    date = "%Y-%m-%d" if day else ""
    clock = "%H:%M:%S" if time else ""
    clock += fraction_form(len(time.partition(".")[2]))
    return "T".join(filter(None, (date, clock)))


def shortest_form(values: np.ndarray, pattern: str) -> str:
    """The shortest form in ISO's order that says all ticks of a longer one."""
    form = form_of(pattern)
    if not form.clock and not (values % (86_400 // form.seconds * form.scale)).any():
        return "%Y-%m-%d"
    known = [d for d in (0, 3, 6) if form.scale >= 10**d]
    plain = [d for d in known if not (values % (form.scale // 10**d)).any()]
    return pattern.partition(".")[0] + fraction_form([*plain, 9][0])
