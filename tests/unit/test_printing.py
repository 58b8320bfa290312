"""Numbers and results as people read them."""

import math

import numpy as np
import pytest

import plausibly
from plausibly.cli.ask import QueryPrintout
from plausibly.evaluation.answers.answers import Answer
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.intervals import round_to_error
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.samples import Samples
from plausibly.printing import format_measure, format_numbers
from plausibly.runs.board import Board, BoardRow


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([17660.2, 123.4, 0.0], ["17,660", "123", "0"]),
        ([2013.0, 1999.0], ["2013", "1999"]),
        ([0.5, 0.25, 1e-7, 0.0], ["0.5000", "0.2500", "<0.0001", "0.0000"]),
        ([-32.381, 3.0, math.nan], ["-32.38", "3.00", "nan"]),
        ([1e20, 3.0], ["1.000e+20", "3.000e+00"]),
        ([], []),
    ],
)
def test_the_numbers_of_a_column_have_as_many_places(values, told):
    assert format_numbers(values) == told


def test_money_is_money():
    assert [format_measure(each) for each in (17660.4, 0.052371, 1e17)] == [
        "17,660",
        "0.05237",
        "1e+17",
    ]


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (12, 0.071, "12.000 ± 0.071"),
        (58741, 2801.3, "58,700 ± 2,800"),
        (0.4306, 0.13, "0.43 ± 0.13"),
        (1, 0, "1 ± 0"),
        (17660.4, None, "17,660"),
        (17660.4, float("nan"), "17,660"),
        (17660.4, float("inf"), "17,660"),
    ],
)
def test_a_number_has_the_places_of_its_error(value, error, told):
    assert round_to_error(value, error) == told


def test_an_answer_has_money_in_one_column_and_probabilities_apart():
    quantiles = {0.05: 9_000.5, 0.95: 17_660.25}
    found = Answer("price", {}, "exact", False, hole=0.05237, mean=12_590.0, quantiles=quantiles)
    table = next(QueryPrintout(found, "price", about=None, shared_bits=None, shared_by="").blocks())
    assert table.rows == [
        ["mean", "12,590"],
        ["5 %", "9,000"],
        ["95 %", "17,660"],
        ["p(hole)", "0.05237"],
    ]


def test_levels_that_are_called_like_a_probability_stay_in_order():
    found = Answer("x", {}, "exact", False, hole=0.0, levels=[("p(a)", 0.75), ("b", 0.25)])
    table = next(QueryPrintout(found, "x", about=None, shared_bits=None, shared_by="").blocks())
    assert table.rows == [["p(a)", "0.7500"], ["b", "0.2500"]]


def test_names_of_the_package_are_the_public_ones():
    assert set(dir(plausibly)) == {*plausibly.__all__, "__version__"}
    assert all(hasattr(plausibly, name) for name in dir(plausibly))


def test_results_are_one_line_in_a_shell_and_a_table_in_a_notebook():
    board = Board([BoardRow("<b>", "explicit", 3, refusal="too <large>")], "houses")
    labelled = Classification(("a", "<b>"), np.array([[0.25, 0.75]] * 60), np.ones(60, int))
    number = Number(0.5, 0.02, 100, "trees", "0.5 is perfect", 0.5)
    samples = Samples(100, 0, {"name": "columns"}, {"two_sample_auc": number})
    for found, words in (
        (board, "<Board of houses: 0 models, 1 refused>"),
        (labelled, "accuracy 1.0000 ± 0.0000"),
        (samples, "<100 samples beside as many held-out rows: two-sample AUC 0.500 ± 0.020>"),
    ):
        assert words in repr(found) and "\n" not in repr(found) and len(repr(found)) < 300
        page = found._repr_html_()
        assert "<table" in page and "<b>" not in page and "<large>" not in page
