"""Text files as people have them: what separates cells, and how numbers, dates and holes are spelled."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from plausibly.data import Dataset, load, load_rows
from plausibly.data.columns.date_forms import form_of
from plausibly.data.columns.date_patterns import date_ticks_in
from plausibly.data.columns.numbers import parse_number
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.events.kinds import OTHER

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LINES = [[str(n % 7), "abc"[n % 3], f"{n / 4:.2f}"] for n in range(60)]


def loaded(tmp_path: Path, text: str | bytes, **options: object) -> Dataset:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(str(path), **options)


def joined(mark: str, newline: str = "\n", header: str = "n|c|x") -> str:
    return newline.join([header.replace("|", mark), *(mark.join(line) for line in LINES), ""])


DIALECTS = {
    "comma": joined(","),
    "semicolon": joined(";"),
    "bar": joined("|"),
    "excel says": "sep=;\r\n" + joined(";", "\r\n"),
    "a mark and what excel says": "\ufeffsep=;\n" + joined(";"),
    "spaces behind": joined(", "),
    "a comma in the header": joined(";", header="n (0, 6)|c|x"),
    "commas in header and cells": joined(";", header="n (a, b)|c|x").replace(".", ","),
    "bars in cells": joined(",").replace("a", "a|b"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_separates_cells_is_told_by_the_rows(tmp_path: Path, dialect: str) -> None:
    """And the file comes back byte for byte, whether it is read as a whole or a piece at a time."""
    data = loaded(tmp_path, DIALECTS[dialect])
    assert [column.name[0] for column in data.format.table.columns] == [
        "n",
        "c",
        "x",
    ] and data.regular, data.notes
    rows = load_rows(str(tmp_path / "t.csv"), data.format)
    data.format.output(tmp_path / "again.csv").write_all(
        data.format.rows(data.format.events(rows)), tmp_path / "again.csv"
    )
    assert (tmp_path / "again.csv").read_bytes().decode() == DIALECTS[dialect]
    pieces = list(open_source(tmp_path / "t.csv").frames(7))
    assert sum(map(len, pieces)) == 60 and pieces[1].equals(rows[7:14].reset_index(drop=True))


@pytest.mark.parametrize("header", ["n, c, x", "n,c,x"])
def test_quotes_may_stand_behind_a_space(tmp_path: Path, header: str) -> None:
    data = loaded(tmp_path, f"{header}\n" + "".join(f'{n}, "{c}, d", {x}\n' for n, c, x in LINES))
    column = data.format.describe()[1]
    assert data.format.names == ("n", "c", "x") and set(column["levels"]) == {
        "a, d",
        "b, d",
        "c, d",
    }
    assert data.regular is (header == "n, c, x")


def test_lines_are_counted_from_the_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 4: 3 cells, but the header has 2"):
        loaded(tmp_path, "sep=;\na;b\n1;2\n3;4;5\n")


@pytest.mark.parametrize("text", [".0", "+.0", "-.00", "0.", "-.5", ".5e3", "1e400", "-0"])
def test_numbers_without_a_digit_before_the_point(tmp_path: Path, text: str) -> None:
    digits, decimals = parse_number(text)
    assert digits / 10**decimals == float(text) if text != "1e400" else digits == 10**400
    data = loaded(
        tmp_path, "c,x\n" + "".join(f"{['a', text, 'b'][n % 3]},{n % 5}\n" for n in range(60))
    )
    assert (
        data.format.describe()[0]["kind"] == "category"
        and torch.isfinite(data.train.log_within).all()
    )


@pytest.mark.parametrize(
    "text", [".", "+", "-", "e5", ".e5", "--1", "1 000", "1\u00a0000", "١٢", "0x1F", "1_000"]
)
def test_what_is_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_a_day_that_never_comes_is_a_date(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    days = [str(np.datetime64("2021-01-01") + int(day)) for day in chance.integers(0, 700, 300)]
    data = loaded(tmp_path, "until,v\n" + "".join(f"{day},1\n9999-12-31,2\n" for day in days))
    column = data.format.describe()[0]
    assert column["kind"] == "date" and column["range"][1] == "9999-12-31"


def returned(data: Dataset, tmp_path: Path) -> list[str]:
    """The lines of the file, out of its events."""
    path = tmp_path / "again.csv"
    data.format.output(path).write_all(
        data.format.rows(data.format.events(load_rows(str(tmp_path / "t.csv"), data.format)), path),
        path,
    )
    return path.read_text().splitlines()


chance = np.random.default_rng(0)
CENTS = chance.integers(0, 90_000, 300)
COLUMNS = {
    "a decimal comma": ([f"{n / 100:.2f}".replace(".", ",") for n in CENTS], "number", "0.01"),
    "a decimal comma and holes": (
        [["NA", "1,5", "2", "", "3"][n % 5] for n in range(300)],
        "number",
        "0.1",
    ),
    "reals with a comma": (
        [repr(float(x)).replace(".", ",") for x in chance.normal(size=300)],
        "real",
        None,
    ),
    "telephones": ([f"+4910{n % 40:02d}" for n in range(300)], "category", None),
    "versions": ([["1.1", "1.10", "1.2", "1.9"][n % 4] for n in range(300)], "category", None),
    "commits": ([["12e4", "5e10", "77e1", "31e2"][n % 4] for n in range(300)], "category", None),
    "long decimals": ([f"{n % 7}.123456789012345{600 + n}" for n in range(300)], "real", None),
    "masses": ([f"{x:.6e}" for x in chance.lognormal(69, 1, 300)], "real", None),
    "thousands behind spaces": (
        [f"{n // 1000}\u00a0{n % 1000:03d}" for n in CENTS + 1000],
        "category",
        None,
    ),
    "large whole numbers as floats": (
        [repr(float(n) * 1e20) for n in chance.integers(10, 999, 300)],
        "real",
        None,
    ),
    "exponents": ([repr(float(x)) for x in 10.0 ** chance.integers(-9, 9, 300) * 3], "real", None),
    "signs": ([f"{n - 150:+d}" for n in range(300)], "integer", "1"),
    "postcodes": ([f"0{n % 9}123" for n in range(300)], "category", None),
    "addresses": ([f"10.0.{n % 3}.{n % 7}" for n in range(300)], "category", None),
    "truths of many cases": (
        [["yes", "No", "NO", ""][n % 4] for n in range(300)],
        "category",
        None,
    ),
    "spaces around": ([f" {n % 40} " for n in range(300)], "integer", "1"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_each_cell_comes_back_as_it_is_spelled(tmp_path: Path, name: str) -> None:
    cells, kind, resolution = COLUMNS[name]
    text = "x;y\n" + "".join(f"{cell};{'ab'[n % 2]}\n" for n, cell in enumerate(cells))
    data = loaded(tmp_path, text)
    column = data.format.describe()[0]
    assert (column["kind"], column.get("resolution")) == (kind, resolution) or (
        kind,
        resolution,
    ) == ("real", None), column
    assert column["kind"] == kind and data.regular and returned(data, tmp_path) == text.splitlines()


@pytest.mark.parametrize("name", ["a decimal comma", "reals with a comma"])
def test_a_decimal_comma_is_a_point_elsewhere(tmp_path: Path, name: str) -> None:
    cells = COLUMNS[name][0]
    data = loaded(
        tmp_path, "x;y\n" + "".join(f"{cell};{'ab'[n % 2]}\n" for n, cell in enumerate(cells))
    )
    events = data.format.events(load_rows(str(tmp_path / "t.csv"), data.format))
    frame = data.format.rows(events)
    assert frame["x"].tolist() == [float(cell.replace(",", ".")) for cell in cells]
    again = data.format.events(frame)
    assert torch.equal(again.codes, events.codes) and torch.equal(
        again.log_within, events.log_within
    )
    drawn = data.format.draw(events.codes[:50], np.random.default_rng(0))
    assert all(
        "," in text and "." not in text for text in data.format.rows(drawn, Path("x.csv"))["x"]
    )


@pytest.mark.parametrize(
    ("name", "unit"), [("created", 1), ("ts", 10**3), ("time_us", 10**6), ("time_ns", 10**9)]
)
def test_times_since_1970_are_times_in_every_unit(tmp_path: Path, name: str, unit: int) -> None:
    chance = np.random.default_rng(0)
    ticks = sorted((1_700_000_000 * unit + chance.integers(0, 10**6 * unit, 300)).tolist())
    data = loaded(
        tmp_path, f"{name},v\n" + "".join(f"{tick},{n % 3}\n" for n, tick in enumerate(ticks))
    )
    column = data.format.describe()[0]
    assert (
        column["kind"] in ("integer", "real") and "seconds since 1970: 2023-11-1" in column["guess"]
    )
    rows = data.format.rows(data.format.events(load_rows(str(tmp_path / "t.csv"), data.format)))
    assert rows[name].dtype == np.int64 and rows[name].tolist() == ticks
    drawn = data.format.rows(data.format.draw(data.train.codes[:99], np.random.default_rng(0)))[
        name
    ]
    assert (
        drawn.dtype == np.int64
        and drawn.between(ticks[0] - 10**7 * unit, ticks[-1] + 10**7 * unit).all()
    )


@pytest.mark.parametrize("name", ["year", "day", "dose", "x", "angle"])
def test_consecutive_numbers_are_amounts(tmp_path: Path, name: str) -> None:
    data = loaded(tmp_path, f"{name},v\n" + "".join(f"{1960 + n},{n % 3}\n" for n in range(64)))
    assert data.format.names == (name, "v")


@pytest.mark.parametrize(
    "name", ["id", "order_id", "orderId", "Unnamed: 0", "row", "invoice no", "key"]
)
def test_numbers_named_like_a_key_are_ids(tmp_path: Path, name: str) -> None:
    data = loaded(tmp_path, f"{name},v\n" + "".join(f"{1 + n},{'aab'[n % 3]}\n" for n in range(64)))
    assert data.format.names == ("v",) and "drawn rows have 1, 2, ..." in " ".join(data.notes)


MOMENTS = [np.datetime64("2021-03-28T00:00") + 7 * int(n) for n in chance.integers(0, 9_000, 300)]
FORMS = {
    "NULL among dates": ([["NULL", "2021-03-08", "None", "", "2021-05-09"][n % 5] for n in range(300)], "day"),
    "compact dates with holes": ([f"202001{1 + n % 28:02d}" if n % 3 else "" for n in range(300)], "day"),
    "days beside times": ([str(m)[:10] if n % 3 else str(m) for n, m in enumerate(MOMENTS)], "minute"),
    "minutes beside microseconds": (
        [f"{m}:0{n % 7}.{n:06d}" if n % 9 else str(m) for n, m in enumerate(MOMENTS)], "1e-06 s"),
    "seconds beside none": ([f"{m}".replace("T", " ") + ":30" * (n % 2) for n, m in enumerate(MOMENTS)], "second"),
    "summer and winter time": ([f"{m}:00+0{1 + (n > 99)}:00" for n, m in enumerate(MOMENTS)], "minute"),
    "two ways to write a day": (
        [f"{1 + n % 28:02d}.03.2021" if n % 4 else f"2021-03-{1 + n % 28:02d}" for n in range(300)], "day"),
    "quarters": ([f"Q{1 + n % 4} {2012 + n % 9}" for n in range(300)], "quarter"),
    "quarters as numbers": ([f"{2012 + n % 9}-Q{1 + n % 4}" for n in range(300)], "quarter"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_dates_of_several_forms_are_dates_and_come_back_as_they_are(
    tmp_path: Path, name: str
) -> None:
    cells, unit = FORMS[name]
    text = "when,v\n" + "".join(f"{cell},{n % 3}\n" for n, cell in enumerate(cells))
    data = loaded(tmp_path, text)
    column = data.format.describe()[0]
    assert (column["kind"], column["resolution"]) == ("date", unit), column
    events = data.format.events(load_rows(str(tmp_path / "t.csv"), data.format))
    assert (events.values[0].values != data.format.table.modelled[0].other).all()
    assert data.regular and returned(data, tmp_path) == text.splitlines()
    assert column["holes"] / len(data.train) == pytest.approx(
        np.mean([cell in ("", "NULL", "None") for cell in cells]), abs=0.1
    )


def test_moments_are_the_same_however_they_are_written() -> None:
    texts = [
        "2021-03-28T01:30:00+01:00",
        "2021-03-28T02:30:00+02:00",
        "2021-03-28T00:30:00.000+00:00",
        "2021-03-28",
    ]
    assert date_ticks_in(texts, form_of("%Y-%m-%dT%H:%M:%SZ"))[:3].tolist() == [1_616_891_400] * 3
    assert (
        date_ticks_in(texts, form_of("%Y-%m-%dT%H:%M:%SZ"))[3]
        == date_ticks_in(["2021-02-30T00:00"], form_of("%Y-%m-%d"))[0]
        == OTHER
    )
    assert date_ticks_in(
        ["2021-03-28T00:00", "2021-03-28 00:01", "28.03.2021"], form_of("%Y-%m-%d")
    ).tolist() == [18_714, OTHER, OTHER]
    far = date_ticks_in(["9999-12-31", "0001-01-01"], form_of("%Y-%m-%d %H:%M:%S"))
    assert far.tolist() == [253_402_214_400, -62_135_596_800]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([f"Q{quarter} {year}" for year in range(2012, 2018) for quarter in range(1, 5)], None),
        ([f"{year}Q{quarter}" for year in range(2012, 2018) for quarter in range(1, 5)], None),
        ([f"1.{n}" for n in range(1, 25)], None),
        ([f"week {week}" for week in range(1, 25)], None),
        ([f"{year}-W{week}" for year in (2020, 2021) for week in range(1, 13)], None),
        ([f"{month} {year}" for year in (2020, 2021) for month in MONTHS], None),
        ([f"{month}/28/{year}" for year in (2020, 2021) for month in range(1, 13)], None),
        ([f"{hour}:30" for hour in range(24)], None),
        ([*MONTHS] * 2, "'Apr' and 'Sep', whose order in time is not known"),
        (
            [f"W{week} {year}" for year in (2020, 2021) for week in range(1, 13)],
            "whose order in time is not known",
        ),
        ([f"1.{n % 5}.{n}" for n in range(24)], "whose order in time is not known"),
    ],
)
def test_a_split_by_time_orders_by_time_or_is_refused(
    tmp_path: Path, times: list[str], words: str | None
) -> None:
    order = np.random.default_rng(0).permutation(len(times) * 10) % len(times)
    text = "t,v\n" + "".join(f"{times[place]},{n % 3}\n" for n, place in enumerate(order))
    if words is None:
        data = loaded(tmp_path, text, split="time=t", kinds={"t": "category"})
        shown = {part: data.format.rows(getattr(data, part))["t"] for part in ("train", "test")}
        assert set(shown["test"]) <= set(times[-4:]) and set(shown["train"]) == set(
            times[: len(set(shown["train"]))]
        )
    else:
        with pytest.raises(UserError, match=words):
            loaded(tmp_path, text, split="time=t", kinds={"t": "category"})


@pytest.mark.parametrize(("mark", "beyond"), [("-999", -999), ("99999", 99_999)])
def test_nothing_is_drawn_between_numbers_and_a_mark_far_beyond(
    tmp_path: Path, mark: str, beyond: int
) -> None:
    chance = np.random.default_rng(0)
    cells = [mark if n % 5 == 0 else str(x) for n, x in enumerate(chance.integers(0, 5_000, 400))]
    data = loaded(tmp_path, "x,v\n" + "".join(f"{cell},{n % 3}\n" for n, cell in enumerate(cells)))
    drawn = data.format.rows(data.format.draw(data.train.codes, np.random.default_rng(0)))["x"]
    assert (drawn == beyond).mean() == pytest.approx(0.2, abs=0.05)
    assert (drawn[drawn != beyond].between(-600, 5_600)).all()


def test_drawn_numbers_have_as_many_digits_as_those_of_the_file(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    cells = [f"{x:.3E}" for x in chance.lognormal(0, 9, 300)]
    data = loaded(tmp_path, "x,v\n" + "".join(f"{cell},{n % 3}\n" for n, cell in enumerate(cells)))
    events = data.format.draw(data.train.codes, np.random.default_rng(0))
    drawn = data.format.rows(events, Path("x.csv"))["x"].tolist()
    assert all(f"{float(text):.3E}" == text for text in drawn) and len({*drawn}) > 50
    again = data.format.events(data.format.rows(events))
    assert torch.allclose(again.log_within, events.log_within) and data.regular


@pytest.mark.parametrize("other", ["", "2021-01-01"])
def test_a_key_that_others_follow_from_is_modelled(tmp_path: Path, other: str) -> None:
    """Unless they come in its order, or dates that do are there."""
    chance = np.random.default_rng(0)
    days = [str(np.datetime64("2021-01-01") + n) if other else "x" for n in range(90)]
    curves = {
        "wave": [f"{np.sin(n / 9):.4f}" for n in range(90)],
        "rise": [f"{n * n:d}" for n in range(90)],
    }
    curves["noise"] = [f"{x:.3f}" for x in chance.normal(size=90)]
    for name, cells in curves.items():
        lines = "".join(
            f"{n + 1},{day},{cell},{n % 3}\n"
            for n, (day, cell) in enumerate(zip(days, cells, strict=True))
        )
        data = loaded(tmp_path, f"id,day,{name},v\n{lines}")
        assert ("id" in data.format.names) is (name == "wave" and not other), (
            name,
            data.format.describe(),
        )


def test_a_file_in_utf16_is_read_and_said(tmp_path: Path) -> None:
    """Whole or in pieces, packed or not; what is written is in UTF-8."""
    text = "n;c\n" + "".join(f"{n % 7};{['é', 'ü', '漢'][n % 3]}\n" for n in range(60))
    for coding in ("utf-16", "utf-8-sig"):
        data = loaded(tmp_path, text.encode(coding))
        assert set(data.format.describe()[1]["levels"]) == {"é", "ü", "漢"} and data.regular is (
            coding != "utf-16"
        )
        assert any("UTF-16" in note for note in data.notes) is (coding == "utf-16")
        assert returned(data, tmp_path)[1:] == text.splitlines()[1:]
        assert sum(map(len, open_source(tmp_path / "t.csv").frames(7))) == 60
    big = "\ufeff".encode("utf-16-be") + text.encode("utf-16-be")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(big))
    assert load(str(tmp_path / "t.csv.gz")).rows["train"] == 45


SPANS = [f"{n % 4} days {n % 24:02d}:{n % 60:02d}:00" for n in range(300)]
HALVES = [span + [".5", ""][n % 2] for n, span in enumerate(SPANS)]
NEGATIVE = [str(pd.Timedelta(minutes=7 * n - 900)) for n in range(300)]


@pytest.mark.parametrize(
    ("cells", "form", "resolution"),
    [
        (SPANS, "%D days %H:%M:%S", "minute"),
        ([f"{span}.000000" for span in SPANS], "%D days %H:%M:%S.%6f", "minute"),
        (HALVES, "%D days %H:%M:%S.%1f", "0.1 s"),
        (NEGATIVE, "%D days %H:%M:%S", "minute"),
    ],
)
def test_durations_as_pandas_writes_them(
    tmp_path: Path, cells: list[str], form: str, resolution: str
) -> None:
    """They come back as they are spelled, are drawn so, and are the durations of a frame that has them as such."""
    text = "took,v\n" + "".join(f"{cell},{n % 3}\n" for n, cell in enumerate(cells))
    data = loaded(tmp_path, text)
    column = data.format.describe()[0]
    assert (column["kind"], column["form"], column["resolution"]) == ("date", form, resolution)
    assert returned(data, tmp_path) == text.splitlines()
    typed = pd.DataFrame(
        {"took": pd.to_timedelta(pd.Series(cells)), "v": [str(n % 3) for n in range(300)]}
    )
    events, whole = (
        data.format.events(typed),
        data.format.events(load_rows(str(tmp_path / "t.csv"), data.format)),
    )
    assert torch.equal(events.codes, whole.codes) and torch.equal(
        events.log_within, whole.log_within
    )
    drawn = data.format.draw(data.train.codes, np.random.default_rng(0))
    assert all(
        re.fullmatch(r"-?\d days \+?\d\d:\d\d:\d\d(\.\d+)?", text)
        for text in data.format.rows(drawn)["took"]
    )
    other = load(typed).format
    again = other.events(load_rows(str(tmp_path / "t.csv"), data.format))
    assert torch.equal(again.codes, other.events(typed).codes)
    assert (
        data.format.parse_question({"took": pd.Timedelta(cells[0])}).codes[0, 0]
        == whole.codes[0, 0]
    )


def months(name: str, cells: list[object]) -> str:
    return f"{name},v\n" + "".join(f"{cell},{n % 3}\n" for n, cell in enumerate(cells))


YEARS = [f"{2010 + n // 12}{n % 12 + 1:02d}" for n in range(40)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("month", [YEARS[n * n % 40] for n in range(300)], "date"),
        ("period", [YEARS[n * n % 40] if n % 9 else "" for n in range(300)], "date"),
        (
            "code",
            [YEARS[n % 40] for n in range(300)],
            "date",
        ),  # all months between the first and the last
        ("code", [YEARS[n * n % 40] for n in range(300)], "integer"),
        ("month", [*[YEARS[n % 40] for n in range(299)], "201013"], "integer"),
        ("month", [n % 12 + 1 for n in range(300)], "integer"),
        ("price", [200000 + n for n in range(300)], "integer"),
    ],
)
def test_compact_months_are_times_where_the_name_or_the_steps_say_so(
    tmp_path: Path, name, cells, kind
) -> None:
    data = loaded(tmp_path, months(name, cells))
    column = data.format.describe()[0]
    assert column["kind"] == kind and (kind != "date" or column["resolution"] == "month"), column
    assert data.regular and returned(data, tmp_path) == months(name, cells).splitlines()
    if kind == "date":
        kind = data.format.schema.kinds[0]
        known = [
            data.format.parse_question({name: asked}).codes[0, 0]
            for asked in ("201005", 201005, "2010-05", "2010-05-01")
        ]
        assert len({*map(int, known)}) == 1 and known[0] != kind.other_code
        typed = pd.read_csv(tmp_path / "t.csv", dtype={name: "Int64", "v": str})
        assert torch.equal(data.format.events(typed).codes, load(typed).format.events(typed).codes)


def test_a_word_for_a_hole_among_words_is_a_value_and_said(tmp_path: Path) -> None:
    data = loaded(
        tmp_path, "c,v\n" + "".join(f"{['NA', 'a', '', 'b'][n % 4]},{n % 3}\n" for n in range(300))
    )
    assert (
        "column 'c': text; 'NA' is a value like any other, and only an empty cell is a hole"
        in data.notes
    )
    assert (
        set(data.format.describe()[0]["levels"]) == {"NA", "a", "b"}
        and data.format.describe()[0]["holes"] > 40
    )


def test_versions_of_many_values_are_labels_where_the_name_says_so(tmp_path: Path) -> None:
    cells = [f"{1 + n % 7}.{n % 30}" for n in range(300)]
    found = {
        name: loaded(
            tmp_path, f"{name},v\n" + "".join(f"{c},{n % 3}\n" for n, c in enumerate(cells))
        )
        for name in ("app_version", "price")
    }
    assert [data.format.describe()[0]["kind"] for data in found.values()] == ["category", "number"]
    assert any("spelled" in note for note in found["price"].notes)
    three = loaded(tmp_path, "x,v\n" + "".join(f"1.{n % 7}.{n % 8},{n % 3}\n" for n in range(300)))
    assert three.format.describe()[0]["kind"] == "category"


def column_of(
    tmp_path: Path, cells: list[str], name: str = "x"
) -> tuple[Dataset, dict[str, object]]:
    """A file whose first column has these cells, which come back, and what is said of it."""
    text = f"{name};v\n" + "".join(f"{cell};{n % 3}\n" for n, cell in enumerate(cells))
    data = loaded(tmp_path, text)
    assert returned(data, tmp_path) == text.splitlines()
    return data, data.format.describe()[0]


@pytest.mark.parametrize(("cell", "sign"), [("({})", "("), ("\u2212{}", "\u2212"), ("({} %)", "%")])
def test_amounts_as_people_dress_them_are_said_to_look_like_numbers(
    tmp_path: Path, cell: str, sign: str
) -> None:
    cells = [cell.format(f"{n / 100:.2f}") if n % 3 else f"{n / 100:.2f}" for n in CENTS]
    data, _ = column_of(tmp_path, cells)
    assert any(f"looks like numbers with {sign!r}" in note for note in data.notes), data.notes


def test_dates_with_and_without_zeros_are_dates_of_one_form(tmp_path: Path) -> None:
    days = [np.datetime64("2020-01-01") + n * n % 700 for n in range(300)]
    parts = [str(day).split("-") for day in days]
    cells = [
        f"{d}.{m}.{y}" if n % 2 else f"{int(d)}.{int(m)}.{y}" for n, (y, m, d) in enumerate(parts)
    ]
    data, column = column_of(tmp_path, cells, "day")
    assert (column["kind"], column["resolution"]) == ("date", "day")
    assert column["form"] in ("%d.%m.%Y", "%-d.%-m.%Y")  # that more of them have
    values = data.format.table.columns[0].parse(cells)
    assert np.array_equal(np.diff(values), np.diff(np.array(days)).astype(int))


def test_times_of_several_forms_are_drawn_with_zeros_before_hours(tmp_path: Path) -> None:
    cells = [
        f"2021-03-{1 + n % 28:02d}T10:{n % 60:02d}:00{['.5', '.25', ''][n % 3]}Z"
        for n in range(300)
    ]
    assert column_of(tmp_path, cells)[1]["form"] == "%Y-%m-%dT%H:%M:%S.%2fZ"


def test_holes_of_databases_are_holes(tmp_path: Path) -> None:
    data, column = column_of(tmp_path, [r"\N" if n % 4 == 0 else str(n % 40) for n in range(300)])
    assert (column["kind"], column["holes"] > 40) == ("integer", True)
    assert r"\N" in data.format.table.columns[0].hole
