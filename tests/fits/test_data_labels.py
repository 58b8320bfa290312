"""Labels of columns that are no texts: samples, filled rows and a run opened again have the same ones."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.data import load
from plausibly.data.formats.builders import format_from_json
from plausibly.data.questions import question
from plausibly.errors import UserError

MONTH = pd.Period("2020-01", "M")
NAMED = {
    "times": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-02-01 05:00:00.000000001")],
    "zones": [pd.Timestamp("2020-01-01", tz="Europe/Berlin"), pd.Timestamp("2020-02-01", tz="UTC")],
    "periods": [MONTH, MONTH + 1],
    "numbers": [np.int64(3), "a"],
    "floats": [1.5, np.float32(0.5)],
    "truths": [True, np.False_],
    "dates": [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)],
    "durations": [pd.Timedelta("1h"), dt.timedelta(days=2)],
    "tuples": [("a", np.int64(1)), ("a", ("b", MONTH))],
    "texts": ["x=y", np.str_("")],
}


def framed(labels: Any) -> pd.DataFrame:
    counts = np.arange(60) % 5
    frame = pd.DataFrame({0: counts, 1: counts[::-1]})
    frame.columns = (
        labels
        if isinstance(labels, pd.Index)
        else pd.Index(labels, dtype=object, tupleize_cols=False)
    )
    return frame


@pytest.mark.parametrize("name", NAMED)
def test_labels_come_back(name: str) -> None:
    frame = framed(NAMED[name])
    format = format_from_json(load(frame).format.to_json())
    again = format.rows(format.events(frame))
    assert list(again.columns) == NAMED[name] and (again.to_numpy() == frame.to_numpy()).all()
    assert [type(label) for label in again.columns] == [
        type(label) for label in format.rows(format.events(again)).columns
    ]
    for place, label in enumerate(NAMED[name]):  # a label stands for its name
        assert question(format, {label: 3}).observed[0].nonzero().flatten().tolist() == [place]


@pytest.mark.parametrize(
    "index",
    [pd.date_range("2020-01-01", periods=2), pd.period_range("2020", periods=2, freq="Y"), pd.RangeIndex(2),
     pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]), pd.timedelta_range("1h", periods=2), pd.Index([1.5, 2.5])],
    ids=lambda index: type(index).__name__,
)  # fmt: skip
def test_an_index_of_columns_keeps_its_type(index: pd.Index) -> None:
    frame = framed(index)
    format = format_from_json(load(frame).format.to_json())
    again = format.rows(format.events(frame)).columns
    assert again.equals(index) and type(again) is type(index)


@pytest.mark.parametrize(
    "label", [None, np.nan, pd.NaT, frozenset([1]), b"a", pd.Interval(0, 1), 1j], ids=repr
)
def test_labels_that_cannot_be_kept_are_named(label: Any) -> None:
    with pytest.raises(
        UserError, match=r"column.*name the columns by texts: frame.columns = \[...\]"
    ) as told:
        load(framed([label, "x"]))
    assert "\n" not in str(told.value)


def test_names_that_are_equal_as_texts() -> None:
    with pytest.raises(UserError, match="more than one column named '1'"):
        load(framed([1, "1"]))


def test_options_take_labels_too(tmp_path: Path) -> None:
    frame, month = framed([3, MONTH]), MONTH
    frame["other"] = "x"
    run = plausibly.fit(
        frame,
        "independent",
        out=tmp_path / "run",
        kinds={3: "category"},
        drop=["other"],
        context=[month],
    )
    assert [column["kind"] for column in run.format.describe()] == ["category", "integer"]
    assert run.record["data"]["options"] == {
        "seed": 0,
        "kinds": {"3": "category"},
        "drop": ["other"],
    }
    assert len(plausibly.Run.open(tmp_path / "run").sample(3, given={month: 2})) == 3
    assert load(frame, drop=[3, "other"]).format.names == ("2020-01",)


def test_a_part_in_another_file_is_found_again(tmp_path: Path) -> None:
    framed(["a", "b"]).to_csv(tmp_path / "a.csv", index=False)
    for rows in (tmp_path / "a.csv", str(tmp_path / "a.csv")):
        run = plausibly.fit(tmp_path / "a.csv", "independent", out=tmp_path / "run", test=rows)
        assert run.dataset().rows["test"] == 60
        shutil.rmtree(tmp_path / "run")
