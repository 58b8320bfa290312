"""Dates and times of many forms: read as strptime reads them, printed as strftime prints them, recognised by their texts."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plausibly.data import load, load_rows
from plausibly.data.columns.date_forms import form_of
from plausibly.data.columns.date_patterns import date_patterns, find_date_forms
from plausibly.data.columns.types import DateColumn
from plausibly.events.kinds import OTHER

EPOCH = datetime(1970, 1, 1)
TIMES = [
    "",
    " %H:%M",
    "T%H:%M:%SZ",
    " %H:%M:%S",
    "T%H:%M:%S+02:00",
    " %I:%M %p",
    ", %-I:%M:%S %p",
    "T%H:%M:%S.%f",
]
few = settings(max_examples=40, deadline=None)


def written(moment: datetime, pattern: str) -> str:
    """By the standard library, which has %f but not %6f."""
    return moment.strftime(pattern)


def ours(pattern: str) -> str:
    return pattern.replace("%f", "%6f")


@pytest.mark.parametrize(
    "date", [pattern for pattern in date_patterns() if "^" not in pattern and "q" not in pattern]
)
def test_forms_read_and_print_as_the_standard_library(date: str) -> None:
    chance = np.random.default_rng(len(date))
    for time in TIMES if form_of(date).seconds == 86_400 else [""]:
        moments = [
            EPOCH + timedelta(seconds=int(s), microseconds=7)
            for s in chance.integers(0, 3 * 10**9, 40)
        ]
        texts = [written(moment, date + time) for moment in moments]
        form = form_of(ours(date + time))
        again = [datetime.strptime(text, (date + time).replace("%-", "%")) for text in texts]
        found = form_of(ours(date + time)).read(texts)
        if form.seconds:
            expected = [
                (moment - EPOCH) // timedelta(microseconds=1) * form.scale // 10**6 // form.seconds
                for moment in again
            ]
        else:
            expected = [(moment.year - 1970) * 12 + moment.month - 1 for moment in again]
        assert found.tolist() == expected
        assert form_of(ours(date + time)).write(found) == texts


@pytest.mark.parametrize(
    "pattern",
    [
        "%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%-m/%-d/%Y", "%d.%m.%y", "%d-%b-%Y", "%b %-d, %Y", "%B %d, %Y", "%Y%m%d",
        "%b-%Y", "%^b-%Y", "%Y-%m", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+02:00", "%m/%d/%Y %I:%M %p", "%d %b %Y, %H:%M",
        "%-m/%-d/%Y %-H:%M", "%Y%m%dT%H%M%SZ", "%Y-%m-%d %H:%M:%S.%6f", "%I:%M %p", "%H:%M:%S", "%-H:%M",
    ],
)  # fmt: skip
def test_the_form_of_a_column_is_recognised(pattern: str) -> None:
    moments = [
        EPOCH + timedelta(seconds=s)
        for s in np.random.default_rng(1).integers(0, 2 * 10**9, 300).tolist()
    ]
    texts = sorted(
        {written(moment, pattern.replace("%^b", "%b").replace("%6f", "%f")) for moment in moments}
    )
    texts = [text.upper() for text in texts] if "^" in pattern else texts
    assert find_date_forms(texts, np.ones(len(texts))) == [pattern]


def test_a_few_texts_of_another_form_do_not_matter() -> None:
    texts = [f"{1 + n % 28:02d}.{1 + n % 12:02d}.{1990 + n % 30}" for n in range(400)]
    assert find_date_forms([*texts, "unknown", "1.2.2000"], np.ones(402)) == ["%d.%m.%Y"]
    assert find_date_forms([*texts, *["unknown"] * 30], np.ones(430)) == []


@pytest.mark.parametrize(
    "texts",
    [
        ["1.5", "2.25"],
        ["20200105143000 12:30", "Jan-2020 12:30", "12:30 12:30"],
        ["10.12", "11.10"],
        ["12345678"] * 20,
        ["20201301", "20209999"] * 8,
        ["3"],
    ],
)
def test_numbers_are_no_dates(texts: list[str]) -> None:
    assert find_date_forms(texts, np.ones(len(texts))) == []


def test_eight_digits_are_a_date_only_where_there_are_enough() -> None:
    days = [f"202001{day:02d}" for day in range(1, 31)]
    assert find_date_forms(days, np.ones(30)) == ["%Y%m%d"]
    assert find_date_forms(days[:5], np.ones(5)) == []


@few
@given(
    st.text(max_size=12),
    st.sampled_from(date_patterns()),
    st.sampled_from([t.replace("%f", "%3f") for t in TIMES]),
)
def test_no_text_reads_as_what_it_does_not_print_as(text: str, date: str, time: str) -> None:
    pattern = date + time if form_of(date).seconds == 86_400 else date
    for candidate in (
        text,
        written(datetime(2020, 2, 29, 13, 5), pattern.replace("%3f", "%f")) + text,
    ):
        (tick,) = form_of(pattern).read([candidate])
        assert tick == OTHER or form_of(pattern).write(np.array([tick])) == [candidate]


@pytest.mark.parametrize(
    "text", ["2021-02-29", "2020-13-01", "0000-01-01", "2020-1-01", "2020-01-01 ", "+2020-01-01"]
)
def test_days_that_do_not_exist(text: str) -> None:
    assert form_of("%Y-%m-%d").read([text]).tolist() == [OTHER]


def test_a_clock_may_go_past_a_day_and_below_zero() -> None:
    assert form_of("%H:%M").read(["09:30", "-12:30", "125:00", "1:00"]).tolist() == [
        570,
        -750,
        7500,
        OTHER,
    ]
    assert form_of("%H:%M").write(np.array([-750, 7500])) == ["-12:30", "125:00"]
    assert form_of("%I:%M %p").read(["12:30 AM", "12:30 PM", "13:00 PM"]).tolist() == [
        30,
        750,
        OTHER,
    ]


def test_what_a_form_cannot_write_is_moved_to_its_ends() -> None:
    ends = np.array([-(2**60), 2**60])
    assert form_of("%Y-%m-%d").write(ends) == ["0001-01-01", "9999-12-31"]
    assert form_of("%Y-%m").write(ends) == ["0001-01", "9999-12"]
    assert form_of("%d.%m.%y").write(ends) == ["01.01.69", "31.12.68"]
    assert form_of("%I:%M %p").write(ends) == ["12:00 AM", "11:59 PM"]


@pytest.mark.parametrize(
    "pattern", ["%d", "%Y-%d", "%Y %m %q", "%d/%m/%Y %d", "%H", "", "100 %", "%Y-%m-%d %I:%M"]
)
def test_what_is_no_form(pattern: str) -> None:
    with pytest.raises(ValueError, match="no form of dates"):
        form_of(pattern)


def test_the_user_may_name_the_form(tmp_path: Path) -> None:
    cells = [f"{1 + n % 12:02d}/{1 + n // 12:02d}/2020" for n in range(144)]
    pd.DataFrame({"d": cells, "y": ["a", "b"] * 72}).to_csv(tmp_path / "t.csv", index=False)
    guessed = load(str(tmp_path / "t.csv")).format.describe()[0]["guess"]
    assert guessed == "day and month are ambiguous; write 2020-12-05, or say --kind d=date:%d/%m/%Y"
    data = load(str(tmp_path / "t.csv"), kinds={"d": "date:%d/%m/%Y"})
    assert data.format.describe()[0]["form"] == "%d/%m/%Y"
    data.format.output(tmp_path / "u.csv").write_all(
        data.format.rows(data.format.events(load_rows(str(tmp_path / "t.csv"), data.format))),
        tmp_path / "u.csv",
    )
    assert (tmp_path / "u.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
    later = load(str(tmp_path / "t.csv"), kinds={"d": "date:%d/%m/%Y"}, split="time=d")
    assert set(later.format.rows(later.test)["d"].str[3:5]) == {"11", "12"}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            [f"2020-01-{1 + n % 28:02d}" if n % 2 else f"{1 + n % 9}/1/2020" for n in range(200)],
            "several forms",
        ),
        (
            [str(np.datetime64(n * 10**16 + 7, "ns")).replace("T", " ") for n in range(200)],
            "round them",
        ),
    ],
)
def test_times_that_cannot_be_modelled_are_said_to_be_such(cells: list[str], words: str) -> None:
    data = load(pd.DataFrame({"t": cells, "y": ["a", "b"] * 100}))
    assert words in data.format.describe()[0]["guess"]
    assert any("'t'" in note and words in note for note in data.notes)


def test_quarters_are_three_months_wherever_they_are_read_or_drawn() -> None:
    """A column of days takes a quarter as its first day; on the report's axis one stands in its own year."""
    days = np.datetime64("2019-01-01") + np.arange(200).astype("timedelta64[D]")
    format = load(pd.DataFrame({"d": days, "y": ["a", "b"] * 100})).format
    asked = pd.DataFrame({"d": ["Q1 2019", "Q2 2019"], "y": ["a", "b"]})
    assert format.rows(format.events(asked))["d"].astype(str).tolist() == [
        "2019-01-01",
        "2019-04-01",
    ]
    texts = [f"Q{1 + n % 4} {1990 + n // 4}" for n in range(120)]
    told = load(pd.DataFrame({"q": texts * 2, "y": ["a", "b"] * 120}))
    (column,) = [each for each in told.format.table.columns if each.name == "q"]
    assert isinstance(column, DateColumn)
    at = column.seconds(column.cells(pd.Series(["Q3 2001"])))
    assert np.datetime64(int(at[0]), "s") == np.datetime64("2001-07-01")
