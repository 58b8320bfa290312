"""Forms of dates and times: patterns as strftime has them; by one, texts <-> whole ticks since 1970, or since midnight.

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

from plausibly.events.kinds import OTHER

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
ODD_NUMBERS = {"Y": (r"\d{4}", "%04d"), "q": ("[1-4]", "%d"), "D": (r"-?\d{1,6}", "%d")}
TIMES = ("HM", "HMS", "HMSf")
ALLOWED_LETTERS = {
    "".join(sorted(said)) for said in ("Ym", "Yq", "Ymd", *TIMES, *(f"Ymd{time}" for time in TIMES))
}  # by a form
PIVOT_YEAR = 69  # a year of two digits from here on is of the twentieth century, as POSIX has it
MAX_TICKS = 9 * 10**18
ISO_DATE = "%Y-%m-%d"
CLOCK = "%H:%M:%S"
DAYS = f"%D days {CLOCK}"
DAYS_FORM = re.compile(rf"{DAYS}(\.%[1-9]f)?", re.ASCII)
DAYS_TEXT = re.compile(r"(-?\d{1,6}) days? \+?(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)
ZONE = re.compile(r"(?<=:\d\d)(\.\d+)?(Z| ?UTC| ?GMT| ?[+-]\d\d:?\d\d)$", re.ASCII)
CLOCK_START = re.compile(r"(T|, | )?%-?[HI]")  # where the time of a form begins
UNITS = (
    (86_400 * 10**9, "day"),
    (3_600 * 10**9, "hour"),
    (60 * 10**9, "minute"),
    (10**9, "second"),
    *((10**digits, f"{10.0 ** (digits - 9):g} s") for digits in range(8, -1, -1)),
)  # in nanoseconds


class DateForm:
    """A pattern, taken apart. ValueError where it is none."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.directives = DIRECTIVE.findall(pattern)
        self.literals = DIRECTIVE.split(pattern)
        self.letters = {directive[-1] for directive in self.directives}
        self.clock = not self.letters & {"Y", "y"}
        self.days = DAYS_FORM.fullmatch(pattern) is not None
        self.signed = self.clock and "H" in self.letters and not self.days
        if "%" in "".join(self.literals) or not (
            self.days or _letters(self.directives) in ALLOWED_LETTERS
        ):
            raise ValueError(
                f"{pattern!r} is no form of dates and times, such as %d/%m/%Y or %Y-%m-%dT%H:%M:%SZ"
            )

    @cached_property
    def texts(self) -> re.Pattern[str]:
        """Texts of this form: a sign, which only a clock has, and a group for each directive."""
        found = ("(-?)" if self.signed else "()") + re.escape(self.literals[0])
        for directive, literal in zip(self.directives, self.literals[1:], strict=True):
            group = _spell_directive(directive)[0]
            if directive[-1] == "H":
                group = rf"\+?{group}" if self.days else group
                group += r"|[1-9]\d{2,6}" if self.signed else ""
            found += f"({group}){re.escape(literal)}"
        return re.compile(found, re.ASCII)

    @cached_property
    def _printed(self) -> str:
        """The form for the operator %."""
        return DIRECTIVE.sub(lambda found: _spell_directive(found[0])[1], self.pattern)

    @cached_property
    def scale(self) -> int:
        """Ticks of a second, at least 1."""
        return 10 ** next((int(each[1]) for each in self.directives if each[-1] == "f"), 0)

    @cached_property
    def seconds(self) -> int:
        """Seconds of a tick, at least 1; 0 where it is a month."""
        sizes = {"S": 1, "M": 60, "d": 86_400}
        return next((size for letter, size in sizes.items() if letter in self.letters), 0)

    @cached_property
    def months(self) -> int:
        """Months of a tick where it is some."""
        return 3 if "q" in self.letters else 1

    @cached_property
    def zone(self) -> str | None:
        """The offset from UTC that a form ends with, such as +02:00; None where there is none."""
        found = ZONE.search(DIRECTIVE.sub("00", self.pattern))
        return found and ("+00:00" if found[2].strip() in ("Z", "UTC", "GMT") else found[2].strip())

    @property
    def offset(self) -> int:
        """Seconds from UTC."""
        digits = re.sub(r"\D", "", self.zone or "0000")
        size = int(digits[:2]) * 3_600 + int(digits[2:]) * 60
        return -size if self.zone and self.zone.startswith("-") else size

    @property
    def date(self) -> str:
        """The part of the form that is a date, with zeros before its numbers."""
        return CLOCK_START.split(self.pattern)[0].replace("%-", "%")

    def ticks_of(self, seconds: tuple[int, int]) -> tuple[int, int]:
        """The first and the last tick between two seconds."""
        tick = self.seconds or 31 * 86_400
        return -(-seconds[0] // tick) * self.scale, seconds[1] // tick * self.scale

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first and the last tick that can be written."""
        if self.signed or self.days:
            return -MAX_TICKS, MAX_TICKS
        days = ("1970-01-01", "1970-01-02") if self.clock else ("0001-01-01", "10000-01-01")
        if "y" in self.letters:
            days = (f"19{PIVOT_YEAR}-01-01", f"20{PIVOT_YEAR}-01-01")
        tick, unit = self.seconds or self.months, "s" if self.seconds else "M"
        first, behind = np.array(days, f"datetime64[{unit}]").astype(np.int64).tolist()
        last = (behind * self.scale - 1) // tick
        return max(first * self.scale // tick, -MAX_TICKS), min(last, MAX_TICKS)

    def read(self, texts: list[str]) -> np.ndarray:
        """Each text as whole ticks, int64; OTHER where it is not exactly of this form."""
        values = np.full(len(texts), OTHER)
        found = [self.texts.fullmatch(text) for text in texts]
        places = np.flatnonzero([match is not None for match in found])
        if len(places):
            values[places] = self.count([match.groups() for match in found if match])
        # what no calendar or clock has, such as 30 February, is not printed so
        known = np.flatnonzero(values != OTHER)
        again = self.write(values[known])
        odd = [texts[place] != text for place, text in zip(known, again, strict=True)]
        values[known[odd]] = OTHER
        return values

    def count(self, groups: list[tuple[str, ...]]) -> np.ndarray:
        """Ticks of the groups that `texts` finds; OTHER where they are too many."""
        signs, *columns = zip(*groups, strict=True)
        pairs = zip(self.directives, columns, strict=True)
        part: dict[str, Any] = {d[-1]: _whole_numbers(d, texts) for d, texts in pairs}
        if "y" in part:
            part["Y"] = part["y"] + np.where(part["y"] < PIVOT_YEAR, 2000, 1900)
        month = part.get("b", part.get("B", part.get("m", 1) - 1)) + 3 * (part.get("q", 1) - 1)
        months = np.asarray((part.get("Y", 1970) - 1970) * 12 + month)
        if not self.seconds:
            return months // self.months
        hour = part.get("H", part.get("I", 0) % 12 + 12 * part.get("p", part.get("P", 0)))
        days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        seconds = (days + part.get("D", 0) + part.get("d", 1) - 1) * 86_400
        seconds = seconds + hour * 3_600 + part.get("M", 0) * 60 + part.get("S", 0)
        sound = np.abs(seconds.astype(np.float64)) * self.scale < MAX_TICKS
        sign = np.array([-1 if sign else 1 for sign in signs])
        ticks = sign * (seconds * self.scale + part.get("f", 0)) // self.seconds
        return np.where(sound, ticks, OTHER)

    def write(self, values: np.ndarray) -> list[str]:
        """Texts of ticks; what the form cannot write is moved to the first or last that it can."""
        values = np.asarray(values, dtype=np.int64)
        parts = self._parts(np.abs(values) if self.signed else values.clip(*self.ends))
        columns = []
        for each in self.directives:
            numbers, names = parts[each[-1]].tolist(), DIRECTIVE_NAMES.get(each)
            columns.append([names[number] for number in numbers] if names else numbers)
        texts = [self._printed % row for row in zip(*columns, strict=True)]
        if self.days:
            return [t.replace("days ", "days +") if t.startswith("-") else t for t in texts]
        if self.signed:
            return [f"-{t}" if v < 0 else t for t, v in zip(texts, values.tolist(), strict=True)]
        return texts

    def _parts(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The whole number that each directive prints."""
        if not self.seconds:
            return _calendar((values * self.months).astype("datetime64[M]").astype("datetime64[D]"))
        seconds = values // self.scale * self.seconds
        days = seconds // 86_400
        hours = seconds // 3_600 - (0 if self.signed else days * 24)
        half = hours // 12
        clock = {"D": days, "H": hours, "I": (hours + 11) % 12 + 1, "p": half, "P": half}
        clock |= {"M": seconds // 60 % 60, "S": seconds % 60, "f": values % self.scale}
        return clock if self.clock else clock | _calendar(days.astype("datetime64[D]"))

    def step(self, ticks: np.ndarray) -> tuple[int, str]:
        """The largest of day, hour, minute, second, ... that divides all ticks: in ticks, and its name."""
        if not self.seconds:
            return 1, "quarter" if self.months == 3 else "month"
        tick = self.seconds * 10**9 // self.scale
        sizes = [(size // tick, word) for size, word in UNITS if size >= tick]
        return next((size, word) for size, word in sizes if not (ticks % size).any())

    def scaled_seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Seconds since 1970, or midnight, each `scale` times."""
        if self.seconds:
            return ticks * self.seconds
        months = (ticks * self.months).astype("datetime64[M]")
        return months.astype("datetime64[s]").astype(np.int64)

    def convert(self, ticks: np.ndarray, other: DateForm, later: int = 0) -> np.ndarray:
        """Ticks in those of another form, so many seconds later; OTHER where these are no whole number."""
        known = ticks != OTHER
        # whole numbers of any size
        whole = self.scaled_seconds(np.where(known, ticks, 0)).astype(object) + later * self.scale
        if other.seconds:
            size = self.scale * other.seconds
            found, rest = whole * other.scale // size, whole * other.scale % size
            fits = (rest == 0) & (abs(found) <= MAX_TICKS)
        else:
            size = 86_400 * self.scale
            rest, dates = whole % size, (whole // size).astype(np.int64).astype("datetime64[D]")
            months = dates.astype("datetime64[M]")
            found, over = np.divmod(months.astype(np.int64), other.months)
            fits = (rest == 0) & (over == 0) & (months.astype("datetime64[D]") == dates)
        return np.where(known & fits.astype(bool), found, OTHER).astype(np.int64)

    def reformat(self, texts: list[str], other: DateForm) -> list[str]:
        """Texts of this form in another; those that it cannot say as they are."""
        if self is other or not texts or self.clock != other.clock:
            return texts
        ticks = self.convert(self.read(texts), other)
        ticks[(ticks < other.ends[0]) | (ticks > other.ends[1])] = OTHER
        pairs = zip(texts, ticks.tolist(), other.write(ticks), strict=True)
        return [text if tick == OTHER else new for text, tick, new in pairs]


def _letters(directives: list[str]) -> str:
    """The directives' letters, each way to say the same as one, in order."""
    letters = "".join(d[-1] for d in directives).translate(str.maketrans("ybBP", "Ymmp"))
    if "I" in letters and "p" in letters:
        letters = letters.replace("I", "H").replace("p", "")
    return "".join(sorted(letters))


def _spell_directive(directive: str) -> tuple[str, str]:
    """The regular expression of what a directive reads, and the format of what it prints."""
    if names := DIRECTIVE_NAMES.get(directive):
        return "|".join(names), "%s"
    if directive[-1] in ODD_NUMBERS:
        return ODD_NUMBERS[directive[-1]]
    if "-" in directive:
        return r"0|[1-9]\d?", "%d"
    width = directive[1] if directive[-1] == "f" else "2"
    return rf"\d{{{width}}}", f"%0{width}d"


def _whole_numbers(directive: str, texts: Any) -> np.ndarray:
    names = DIRECTIVE_NAMES.get(directive)
    return np.array([names.index(text) if names else int(text) for text in texts], dtype=np.int64)


def _calendar(days: np.ndarray) -> dict[str, np.ndarray]:
    months = days.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    year = year + 1970
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    found = {"Y": year, "y": year % 100, "q": month // 3 + 1, "m": month + 1, "d": day}
    return found | {"b": month, "B": month}


@lru_cache(maxsize=1024)
def form_of(pattern: str) -> DateForm:
    """The form of a pattern. ValueError where it is none."""
    return DateForm(pattern)


def fraction_form(digits: int) -> str:
    """The pattern of a fraction of a second with so many digits; of none, nothing."""
    return f".%{digits}f" if digits else ""


def unit_form(unit: str, date: str = "") -> DateForm:
    """The form, behind a date, that says all times of a unit: s, ms, us or ns."""
    return form_of(date + CLOCK + fraction_form(3 * ("s", "ms", "us", "ns").index(unit)))


def plain_form(texts: list[str]) -> DateForm:
    """The form of dates or times in ISO's order, such as 2020-12-05T10:00:00.000 or 10:00:00, by how long the first is."""
    text = next((text for text in texts if text[-1:].isdigit()), "")
    day, _, time = text.rpartition("T") if ":" in text else (text, "", "")
    date = ISO_DATE if day or not time else ""
    clock = CLOCK + fraction_form(len(time.partition(".")[2])) if time else ""
    return form_of("T".join(filter(None, (date, clock))))


def shortest_form(ticks: np.ndarray, form: DateForm) -> DateForm:
    """The shortest form in ISO's order that says all ticks of a longer one."""
    if not form.clock and not (ticks % (86_400 // form.seconds * form.scale)).any():
        return form_of(ISO_DATE)
    known = [d for d in (0, 3, 6) if form.scale >= 10**d]
    plain = [d for d in known if not (ticks % (form.scale // 10**d)).any()]
    return form_of(form.pattern.partition(".")[0] + fraction_form([*plain, 9][0]))


def without_days(text: str) -> str:
    """A duration such as 1 days 02:30:00, as pandas writes it, in hours: 26:30:00; any other text as it is."""
    found = DAYS_TEXT.fullmatch(text)
    if not found:
        return text
    fraction = fraction_form(len(found[5] or ""))
    ticks = form_of(DAYS + fraction).count([("", *filter(None, found.groups()))])
    return form_of(CLOCK + fraction).write(ticks)[0]
