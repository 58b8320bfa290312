"""`--target`: kept in the run, last after a stop too, told by default."""

from contextlib import contextmanager
from itertools import count

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import fit as fitting

SMALL = {"hidden": 16}


@pytest.fixture(scope="module")
def people():
    """A label that follows a bit and a number, first in the file."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 600)
    columns = {
        "job": np.array(["a", "b", "c"])[y],
        "bit": np.where(generator.random(600) < 0.85, y == 1, y != 1).astype(int),
        "size": np.round(2 * y + generator.normal(size=600)).astype(int),
        "town": generator.choice(["x", "y", "z"], 600),
    }
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", ["made", "forest", "chow_liu"])
def test_a_run_tells_its_target(people, tmp_path, name):
    """By default, also without one in the rows, opened again too; from one factor where the order is free."""
    steps = {"steps": 60, "set": SMALL} if name == "made" else {}
    run = plausibly.fit(people, name, out=tmp_path / "run", target="job", **steps)
    again = plausibly.open(run.path)
    assert again.model.target == 0 and again.record["arguments"]["target"] == 0
    found = again.classify(people.drop(columns="job")).probabilities
    assert np.allclose(found, run.classify(people, "job").probabilities, atol=1e-6)
    if name in ("made", "forest"):
        events = again.events(people)
        factor = again.model.predict(events.codes.float()).one(0).log_prob(events.codes[:, 0])
        truth, known = events.codes[:, 0].long().numpy(), 1 - again.model.schema.kinds[0].unforeseen
        assert again.model.order[-1] == 0  # a label never seen is no answer
        assert np.allclose(found[range(600), truth], factor.detach().exp() / known, atol=1e-5)
    assert set(again.classify(people, "town").labels) == {"x", "y", "z"}


@contextmanager
def stopping():
    asked = count()
    yield lambda: next(asked) >= 3


@pytest.mark.parametrize("name", ["made", None])
def test_a_stopped_run_goes_on_with_its_target(people, tmp_path, monkeypatch, name):
    monkeypatch.setattr("plausibly.fitting.choose.models_to_try", lambda *_: ["made", "fvsbn"])
    given = {"steps": 60, "target": "job"} | ({"set": SMALL} if name else {})
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "interruptible", stopping)
        rows = tmp_path / "people.csv"
        people.to_csv(rows, index=False)
        stopped = plausibly.fit(rows, name, out=tmp_path / "run", **given)
    assert stopped.record["status"] == "interrupted"
    resumed = plausibly.resume(stopped.path)
    assert resumed.model.order[-1] == resumed.model.target == 0
    whole = plausibly.fit(rows, name, out=tmp_path / "whole", **given)
    assert resumed.record["test"] == whole.record["test"]


def test_a_portfolio_mixes_models_of_one_target(people, tmp_path, monkeypatch):
    jobs = (("independent", {}), ("made", {"hidden": 16}))
    monkeypatch.setattr("plausibly.fitting.portfolio.PORTFOLIO", jobs)
    run = plausibly.fit(people, "auto", out=tmp_path / "run", steps=30, target="job")
    again = plausibly.open(run.path)
    orders = {model.order for model in getattr(again.model, "members", [again.model])}
    assert again.model.target == 0
    assert {order[-1] for order in orders if order != (0, 1, 2, 3)} == {0}


def test_on_the_command_line(people, cli, tmp_path):
    people.to_csv(tmp_path / "people.csv", index=False)
    status, _, said = cli("fit", "people.csv", "--model", "forest", "--target", "job", "--out", "r")
    assert status == 0, said
    assert "with a known label" in cli("classify", "r", "people.csv")[1]
    for words, message in (
        (("--target", "jobb"), "did you mean 'job'"),
        (("--target", "job", "--context", "job"), "named as target and is context"),
    ):
        status, _, said = cli("fit", "people.csv", "--model", "made", *words)
        assert status == 2 and message in said


def test_a_target_is_of_the_columns(people):
    with pytest.raises(UserError, match="no column 'jobs'"):
        plausibly.fit(people, "made", target="jobs")


def test_holes_that_training_had_none_of(people, tmp_path):
    """Each row as it is alone, exactly; with progress; a number of many values behind them too."""
    run = plausibly.fit(people, "made", out=tmp_path / "run", target="size", steps=60, set=SMALL)
    asked, done = people.iloc[:6].drop(columns="town").astype(object), []
    asked.loc[[1, 4], "job"] = None
    told = run.regress(asked, on_progress=lambda *rows: done.append(rows))
    alone = [run.regress(asked.iloc[[row]]) for row in range(6)]
    assert told.word == "exact" and told.rows == 6 and done[0] == (0, 6) and done[-1] == (6, 6)
    for name in ("mean", "median", "interval", "nats"):
        own = np.concatenate([getattr(each, name) for each in alone])
        assert np.allclose(getattr(told, name), own, atol=1e-5)
    found = run.classify(asked, "job")
    assert found.rows == 4 and np.allclose(found.probabilities.sum(1), 1)
