"""Without a model's name: which models are fitted within a budget, and by which numbers one of them is chosen."""

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.fitting import choose
from plausibly.fitting.settings import Listener

TRIED = ["mixture", "independent", "chow_liu", "nade"]


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    monkeypatch.setattr(choose, "models_to_try", lambda *_: TRIED)
    monkeypatch.setattr("plausibly.report.write_report", lambda *page: None)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Numbers between 0 and 1,000, which stand in bins, and answers that depend on them."""
    chance = np.random.default_rng(0)
    number = (1000 * chance.random(400)).round(2)
    answers = np.where(number + 300 * chance.random(400) > 600, "yes", "no")
    path = tmp_path_factory.mktemp("table") / "table.csv"
    pd.DataFrame({"number": number, "answer": answers}).to_csv(path, index=False)
    return str(path)


def test_the_quickest_counter_comes_first_and_what_needs_too_much_is_left_out(
    table, tmp_path, monkeypatch
):
    """Of a budget of 1,000 seconds, of which 800 are for training; what the fits really take is nothing to these."""
    needs = {"mixture": 700.0, "independent": 30.0, "chow_liu": 20.0, "nade": 1e6}
    asked, said = [], []
    monkeypatch.setattr(
        choose, "needed_seconds", lambda kind, *_: asked.append(kind) or needs[names[kind]]
    )
    names = {choose.builtin_model(name): name for name in TRIED}
    listener = Listener(said.append)
    run = plausibly.fit(table, out=tmp_path / "run", budget=1000, listener=listener)
    assert list(run.record.tried) == ["chow_liu", "independent"] and len(asked) == len(TRIED)
    assert [line.split(" is left out")[0] for line in said if "left out" in line] == [
        "mixture",
        "nade",
    ]


def test_the_number_chosen_by_is_that_of_the_board(table, tmp_path, monkeypatch):
    """Values inside bins cost nats: all is in nats of values."""
    monkeypatch.setattr(choose, "models_to_try", lambda *_: TRIED[1:3])
    said = []
    run = plausibly.fit(table, out=tmp_path / "run", listener=Listener(said.append))
    valid, record = run.dataset().valid, run.record
    assert abs(valid.log_within.mean()) > 1
    assert run.evaluate(valid).value == pytest.approx(record.validation, abs=1e-6)
    assert record.tried[record.model] == record.validation
    (line,) = [line for line in said if line.startswith("best on validation")]
    assert line == f"best on validation: {record.model}, = {record.validation:.3f} nats per row"
    alone = plausibly.fit(table, record.model, out=tmp_path / "alone")
    assert alone.record.validation == pytest.approx(record.validation, abs=1e-6)
