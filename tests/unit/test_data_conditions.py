"""Conditions on cells of every type, however one writes them: the event is that of a row with the cell."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from plausibly.data import load
from plausibly.data.dataset import Dataset
from plausibly.data.questions import question
from plausibly.errors import UserError

ROWS = 60
COUNTS = np.arange(ROWS) % 50
DAYS = pd.Series(pd.date_range("2021-01-01", periods=ROWS, freq="D"))
LASTS = pd.Series(pd.to_timedelta(np.arange(ROWS) * 5, unit="min"))
PLACE = 37  # 2021-02-07; 3 hours and 5 minutes


def table(column: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": column, "v": np.arange(ROWS) % 3})


def written(tmp_path: Path, texts: Any) -> Dataset:
    table(texts).to_csv(tmp_path / "a.csv", index=False)
    return load(str(tmp_path / "a.csv"))


def same(data: Dataset, rows: Any, given: Any, name: Any = "x") -> None:
    """That the condition is the cell of row PLACE, observed alone."""
    asked = question(data.format, {name: given})
    place = data.format.names.index(str(name))
    assert asked.observed is not None and asked.observed[0].nonzero().flatten().tolist() == [place]
    assert asked.codes[0, place] == data.format.events(rows).codes[PLACE, place]


DAY = ["2021-02-07", "2021-02-07 00:00", "2021-02-07T00:00:00", "20210207", pd.Timestamp("2021-02-07"), dt.date(2021, 2, 7),
       dt.datetime(2021, 2, 7), np.datetime64("2021-02-07"), np.datetime64("2021-02-07T00", "ns"), np.array("2021-02-07"),
       np.array(np.datetime64("2021-02-07"))]  # fmt: skip
TYPED = {
    "s": DAYS.astype("datetime64[s]"),
    "us": DAYS.astype("datetime64[us]"),
    "ns": DAYS.astype("datetime64[ns]"),
    "zone": DAYS.dt.tz_localize("Europe/Berlin"),
    "arrow": DAYS.astype(pd.ArrowDtype(pa.timestamp("us"))),
    "arrow zone": DAYS.dt.tz_localize("UTC").astype(pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "date32": DAYS.astype(pd.ArrowDtype(pa.date32())),
    "dates": pd.Series([day.date() for day in DAYS], dtype=object),
    "few": pd.Series(pd.Categorical(DAYS[np.arange(ROWS) % 40])),
}


@pytest.mark.parametrize("given", DAY, ids=repr)
@pytest.mark.parametrize("name", TYPED)
def test_days_of_every_type_in_every_spelling(name: str, given: Any) -> None:
    rows = table(TYPED[name])
    same(load(rows), rows, given)


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%y", "%d %b %Y", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M"]
)
@pytest.mark.parametrize("given", [DAY[0], *DAY[4:7]], ids=repr)
def test_days_in_text_files(tmp_path: Path, form: str, given: Any) -> None:
    data = written(tmp_path, DAYS.dt.strftime(form))
    same(data, table(DAYS.dt.strftime(form)), given)


def test_months_and_times_of_day(tmp_path: Path) -> None:
    months = pd.Series([f"{2015 + i // 12}-{i % 12 + 1:02}" for i in range(ROWS)])
    for given in (
        "2018-02",
        "2018-02-01",
        dt.date(2018, 2, 1),
        pd.Period("2018-02", "M"),
        pd.Timestamp("2018-02-01"),
    ):
        same(written(tmp_path, months), table(months), given)
    with pytest.raises(UserError, match="never seen"):
        question(written(tmp_path, months).format, {"x": dt.date(2018, 2, 2)})
    clock = pd.Series([f"{i * 5 // 60:02}:{i * 5 % 60:02}" for i in range(ROWS)])
    for given in ("03:05", dt.time(3, 5), dt.timedelta(hours=3, minutes=5), pd.Timedelta("3h5min")):
        same(written(tmp_path, clock), table(clock), given)


@pytest.mark.parametrize(
    "dtype",
    ["timedelta64[s]", "timedelta64[us]", "timedelta64[ns]", pd.ArrowDtype(pa.duration("ms"))],
)
@pytest.mark.parametrize(
    "given",
    ["03:05:00", "03:05", "0 days 03:05:00", "185min", "3h 5min", pd.Timedelta("185min"), dt.timedelta(minutes=185),
     np.timedelta64(185, "m"), dt.time(3, 5)],
    ids=repr,
)  # fmt: skip
def test_durations(dtype: Any, given: Any) -> None:
    rows = table(LASTS.astype(dtype))
    same(load(rows), rows, given)


def test_zones() -> None:
    rows = table(DAYS.dt.tz_localize("Europe/Berlin"))
    data = load(rows)
    for given in (
        "2021-02-06T23:00:00Z",
        "2021-02-07 00:00+01:00",
        pd.Timestamp("2021-02-06 23:00", tz="UTC"),
    ):
        same(data, rows, given)
    with pytest.raises(UserError, match=r"x=2021-02-07.*have no time zone"):
        question(load(table(DAYS)).format, {"x": "2021-02-07T00:00Z"})


def test_utc_at_the_end_of_texts(tmp_path: Path) -> None:
    texts = DAYS.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    data = written(tmp_path, texts)
    same(data, table(texts), pd.Timestamp("2021-02-07 01:00", tz="Europe/Berlin"))


@pytest.mark.parametrize(
    ("column", "given"),
    [
        (COUNTS, [37, "37", 37.0, np.int64(37), np.uint8(37), np.float32(37), Decimal(37), np.array(37), torch.tensor(37)]),
        (pd.array([*range(37), 37, None, *range(39, ROWS)], dtype="Int64"), [37, "37", 37.0, np.int8(37), Decimal("37.0")]),
        (np.arange(ROWS) / 10, [3.7, "3.7", np.float64(3.7), Decimal("3.7"), np.float32(3.7), "3.70"]),
        ((np.arange(ROWS) / 10).astype(np.float32), [3.7, "3.7", np.float32(3.7), Decimal("3.7")]),
        (np.arange(ROWS) % 2 == 1, [True, "True", "true", 1, np.True_, np.int64(1), "yes"]),
        (np.arange(ROWS) % 2, [True, 1, "1", np.bool_(True), 1.0, "true"]),
        (pd.Series(["no", "yes"] * 30), ["yes", True, "YES", np.True_, 1]),
        (pd.Series([str(i % 38) for i in range(ROWS)], dtype="category"), [37, "37", np.int16(37)]),
        (pd.Series([Decimal(i) / 100 for i in range(ROWS)], dtype=object), [Decimal("0.37"), "0.37", 0.37]),
    ],
    ids=["int", "Int64", "float64", "float32", "bool", "bits", "yes", "category", "decimal"],
)  # fmt: skip
def test_numbers_and_truths(column: Any, given: list[Any]) -> None:
    rows = table(column)
    data = load(rows)
    for value in given:
        same(data, rows, value)


def test_labels_and_entries_of_arrays() -> None:
    rows = np.random.default_rng(0).integers(0, 4, (ROWS, 3))
    data = load(rows)
    for value in (
        int(rows[PLACE, 1]),
        str(rows[PLACE, 1]),
        rows[PLACE, 1],
        Decimal(int(rows[PLACE, 1])),
    ):
        same(data, rows, value, "1")
    same(data, rows, rows[PLACE, 1], 1)  # the column's number stands for its name


@pytest.mark.parametrize(
    "nothing", [None, "", np.nan, pd.NA, pd.NaT, np.datetime64("NaT"), float("nan")], ids=repr
)
def test_no_value(nothing: Any) -> None:
    with pytest.raises(UserError, match="no value is given for 'x'"):
        question(load(table(DAYS)).format, {"x": nothing})


@pytest.mark.parametrize(
    "several",
    [[1, 2], (1, 2), np.arange(2), {"a": 1}, slice(1, 2), range(3), pd.Series([1])],
    ids=repr,
)
def test_a_condition_is_one_value(several: Any) -> None:
    with pytest.raises(UserError, match="x: a condition is one value, not a "):
        question(load(table(COUNTS)).format, {"x": several})


def test_dates_that_no_cell_holds() -> None:
    data = load(table(DAYS.astype("datetime64[s]")))
    for given, words in (("07/02/2021", "never seen in column 'x'; it holds 2021-01-01"), ("soon", "never seen"),
                         ("2021-02-07 00:00:00.5", "no finer than"), (7, "never seen")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            question(data.format, {"x": given})
    with pytest.raises(
        UserError, match=r"2021-03-28 02:30.*no cell of 'x' holds it"
    ):  # the hour that Berlin skips
        question(
            load(table(DAYS.dt.tz_localize("Europe/Berlin"))).format, {"x": "2021-03-28 02:30"}
        )
