"""Without a model's name: where the best model does not answer all questions, one that does is kept beside it."""

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import choose
from plausibly.fitting.fit import Fit

TRIED = ["independent", "chow_liu", "forest"]


@pytest.fixture(scope="module", autouse=True)
def tried():
    """Three models that count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "models_to_try", lambda *_: TRIED)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Answers of yes and no, the last of which follows from two others together: no tree of pairs knows."""
    chance = np.random.default_rng(0)
    rows = chance.random((900, 4)) < 0.5
    rows[:, 3] = rows[:, 0] ^ rows[:, 1] ^ (chance.random(900) < 0.05)
    path = tmp_path_factory.mktemp("table") / "table.csv"
    pd.DataFrame(np.where(rows, "yes", "no"), columns=list("abcd")).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    return plausibly.fit(table, out=tmp_path_factory.mktemp("fit") / "run")


def test_the_best_model_gives_the_numbers_and_another_answers(run, table, cli):
    assert (run.record.model, run.record.companion.model) == ("forest", "chow_liu")
    assert run.record.validation == max(run.record.tried.values())
    other = plausibly.open(run.path / "companion")
    assert other.record.validation == run.record.tried["chow_liu"] < run.record.validation
    assert other.record.is_tested and not (other.path / "report.html").exists()
    assert run.query("d", {"a": "yes", "b": "no", "c": "no"}).model == "forest"
    assert run.impute(table).equals(pd.read_csv(table))
    assert run.entropy() == other.entropy() and run.evaluate().value == run.record.test.value
    status, out, err = cli("fit", table, "--out", "again")
    assert status == 0 and "beside: chow_liu answers" in out, err
    assert {file.name for file in run.path.iterdir() if file.is_dir()} == {"companion"}


def test_a_named_model_is_alone(table, tmp_path):
    lone = plausibly.fit(table, "forest", out=tmp_path / "run")
    assert lone.companion is None and not (lone.path / "companion").exists()
    assert lone.query("a", {"d": "yes"}).model == "" and "companion" not in lone.record


def same_answers(run, other):
    assert other.record.companion == run.record.companion and other.record.test == run.record.test
    assert other.entropy() == run.entropy() and other.record.status == "done"
    assert {file.name for file in other.path.iterdir() if file.is_dir()} == {"companion"}


def test_what_is_killed_beside_it_is_made_anew(run, table, tmp_path, monkeypatch):
    def killed(fit):
        assert fit.path.name == "companion"
        raise MemoryError

    monkeypatch.setattr(Fit, "test", killed)
    with pytest.raises(MemoryError):
        plausibly.fit(table, out=tmp_path / "run")
    assert (tmp_path / "run" / "companion" / "weights.safetensors").exists()
    with pytest.raises(UserError, match="holds no model yet"):
        plausibly.open(tmp_path / "run")
    monkeypatch.undo()
    same_answers(run, plausibly.resume(tmp_path / "run"))


def test_a_choice_that_is_stopped_goes_on(run, table, tmp_path, monkeypatch):
    learn, learned = Fit.learn, []

    def asked_to_stop(fit):
        learn(fit)
        learned.append(fit.record.model)
        if len(learned) == 2:
            fit.keep("interrupted", fit.record.steps)

    monkeypatch.setattr(Fit, "learn", asked_to_stop)
    stopped = plausibly.fit(table, out=tmp_path / "run")
    assert learned == TRIED[:2] and stopped.record.status == "interrupted"
    assert stopped.companion is None  # both answer all
    monkeypatch.setattr(Fit, "learn", learn)
    same_answers(run, plausibly.resume(tmp_path / "run"))
