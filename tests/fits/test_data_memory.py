"""Rows in memory of whatever sort: what has named columns is a table, and the same rows come back."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import plausibly
from plausibly.data import load, load_rows
from plausibly.data.formats.builders import format_from_json
from plausibly.errors import UserError
from plausibly.estimators import DensityClassifier, DensityEstimator

COUNTS, WORDS = np.arange(60) % 7, np.array(["x", "y", "z"])[np.arange(60) % 3]
FRAME = pd.DataFrame({"a": COUNTS, "b": WORDS})
RECORDS = np.zeros(60, dtype=[("a", "i8"), ("b", "U1")])
RECORDS["a"], RECORDS["b"] = COUNTS, WORDS


class Foreign:
    """A table of another library, which hands over Arrow's columns."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.columns, self.dtypes = table, table.column_names, table.schema.types

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


TABLES = {
    "dictionary": {"a": COUNTS, "b": WORDS},
    "ordered": OrderedDict(a=COUNTS.tolist(), b=list(WORDS)),
    "dictionaries": FRAME.to_dict("records"),
    "structures": RECORDS,
    "recarray": RECORDS.view(np.recarray),
    "arrow": pa.Table.from_pandas(FRAME),
    "batch": pa.RecordBatch.from_pandas(FRAME),
    "foreign": Foreign(pa.Table.from_pandas(FRAME)),
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_with_named_columns_are_a_table(name: str) -> None:
    data = load(TABLES[name], test=TABLES[name])
    assert data.rows["test"] == 60
    format = format_from_json(data.format.to_json())
    again = format.rows(format.events(load_rows(TABLES[name], format)))
    assert again["a"].tolist() == COUNTS.tolist() and again["b"].tolist() == WORDS.tolist()
    assert DensityEstimator("independent").fit(TABLES[name]).score_samples(TABLES[name]).shape == (
        60,
    )


def test_arrow_keeps_its_whole_numbers() -> None:
    numbers = [None if place % 5 == 0 else 2**60 + place % 9 for place in range(60)]
    table = pa.table({"n": numbers, "v": COUNTS})
    format = load(table).format
    again = format.rows(format.events(load_rows(table, format)))
    assert [None if pd.isna(cell) else int(cell) for cell in again["n"]] == numbers


@pytest.mark.parametrize("name", [None, "b", 3])
@pytest.mark.parametrize(
    "column",
    [COUNTS, WORDS, pd.date_range("2020-01-01", periods=60)],
    ids=["counts", "words", "days"],
)
def test_a_series_is_a_table_of_one_column(column: Any, name: Any) -> None:
    series = pd.Series(column, name=name)
    format = load(series).format
    again = format.rows(format.events(load_rows(series, format)))
    assert again.iloc[:, 0].tolist() == series.tolist() and again.iloc[:, 0].dtype == series.dtype


def test_a_run_answers_rows_in_the_form_they_came_in(tmp_path: Any) -> None:
    run = plausibly.fit(TABLES["dictionary"], "independent", out=tmp_path / "run")
    for rows in TABLES.values():
        assert torch.equal(run.log_prob(rows), run.log_prob(FRAME))
        assert len(run.impute(rows)) == 60 and len(run.score(rows)) == 60


@pytest.mark.parametrize("rows", [{"a": [1, 2], "b": [1]}, {"a": 1}, [{}] * 9], ids=str)
def test_what_makes_no_table_is_said(rows: Any) -> None:
    with pytest.raises(UserError, match=r"no table can be made of this|there are no columns"):
        load(rows)


def test_a_series_is_no_matrix_for_an_estimator() -> None:
    for estimator in (DensityEstimator("independent"), DensityClassifier("independent")):
        with pytest.raises(
            ValueError, match=r"Expected 2D array, got 1D array instead: a Series; X.to_frame"
        ):
            estimator.fit(pd.Series([1.5, 2.5, 3.5] * 30, name="x"), COUNTS[:30].tolist() * 3)
    fitted = DensityEstimator("independent").fit(FRAME)
    with pytest.raises(ValueError, match="Expected 2D array"):
        fitted.score_samples(FRAME["a"])


@pytest.mark.parametrize("make", [
    lambda rows, hidden: np.ma.MaskedArray(np.where(hidden, -9999, rows), hidden),
    lambda rows, hidden: np.where(hidden, None, rows),
    lambda rows, hidden: np.where(hidden, pd.NA, rows.astype(object)),
    lambda rows, hidden: torch.tensor(np.where(hidden, np.nan, rows), requires_grad=True),
], ids=["masked", "None", "NA", "tensor"])  # fmt: skip
def test_estimators_take_what_is_masked_for_a_hole(make: Any) -> None:
    generator = np.random.default_rng(0)
    rows, labels = generator.normal(size=(300, 2)), np.arange(300) % 2
    hidden = generator.random(rows.shape) < 0.2
    given, plain = make(rows, hidden), np.where(hidden, np.nan, rows)
    density = DensityEstimator("independent", random_state=0).fit(given)
    wanted = DensityEstimator("independent", random_state=0).fit(plain).score_samples(plain)
    assert np.array_equal(density.score_samples(given), wanted)
    classifier = DensityClassifier("independent", random_state=0).fit(given, labels)
    wanted = (
        DensityClassifier("independent", random_state=0).fit(plain, labels).predict_proba(plain)
    )
    assert np.array_equal(classifier.predict_proba(given), wanted)


def test_masked_labels_are_none() -> None:
    with pytest.raises(ValueError, match="some labels are masked"):
        DensityClassifier("independent").fit(FRAME[["a"]], np.ma.MaskedArray(COUNTS, COUNTS == 1))


@pytest.mark.parametrize("dtype", [">i4", ">i8", ">f4", ">f8", ">u2"])
def test_columns_of_the_other_order_of_bytes(dtype: str) -> None:
    frame = pd.DataFrame({"a": COUNTS.astype(dtype), "v": WORDS})
    format = format_from_json(load(frame).format.to_json())
    again = format.rows(format.events(load_rows(frame, format)))
    assert again["a"].tolist() == COUNTS.tolist() and again["a"].dtype == np.dtype(
        dtype
    ).newbyteorder("=")


def test_a_run_learns_no_masked_number_and_fills_what_is_masked(tmp_path):
    reals, hidden = (
        np.random.default_rng(0).normal(size=(600, 2)),
        np.random.default_rng(2).random((600, 2)) < 0.2,
    )
    rows = np.where(hidden, -9999, reals)
    masked = np.ma.MaskedArray(rows, hidden)
    run = plausibly.fit(masked, "chow_liu", out=tmp_path / "run")
    drawn = run.sample(2000)
    shown = drawn[~np.isnan(drawn)]
    assert abs(shown.mean()) < 0.3 and abs(shown.std() - 1) < 0.3
    assert abs(np.isnan(drawn).mean() - 0.2) < 0.06
    filled = run.impute(masked)
    assert (filled[~hidden] == rows[~hidden]).all() and np.abs(filled).max() < 9
    assert torch.equal(run.log_prob(masked), run.log_prob(np.where(hidden, np.nan, rows)))
