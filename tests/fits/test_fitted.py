"""A fitted model answers without a disk, and without frames where rows are arrays."""

import numpy as np
import pandas as pd
import pytest

from plausibly.data.loading import load
from plausibly.errors import UserError
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS
from plausibly.runs.fitted import Fitted
from plausibly.runs.run import Run

ROWS = np.random.default_rng(0).normal(size=(200, 4)).cumsum(1)


def fit(rows, name="chow_liu", **arguments):
    return fit_in_memory(MODELS[name], load(rows), make_settings(arguments, 0, None, 5, "cpu"))


@pytest.fixture(scope="module")
def fitted():
    return fit(ROWS)


@pytest.fixture
def no_disk(monkeypatch):
    """Whoever opens a file fails."""

    def refuse(*arguments, **options):
        raise AssertionError(f"a file was opened: {arguments}")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)


@pytest.fixture
def no_frames(monkeypatch):
    """Whoever builds a frame fails."""

    def refuse(self, *arguments, **options):
        raise AssertionError("a frame was built")

    monkeypatch.setattr(pd.DataFrame, "__init__", refuse)


def test_it_is_no_run_and_knows_no_folder(fitted):
    assert type(fitted) is Fitted and not isinstance(fitted, Run)
    assert not hasattr(fitted, "path") and not hasattr(fitted, "record")
    assert fitted.in_memory and fitted.test() is None and fitted.evaluate() is None
    assert repr(fitted).startswith("<Fitted chow_liu, ")


def test_arrays_are_answered_without_disk_and_frames(fitted, no_disk, no_frames):
    assert fitted.sample(3, seed=1).shape == (3, 4)
    holed = ROWS[:5].copy()
    holed[:, 1] = np.nan
    filled = fitted.impute(holed)
    assert not np.isnan(filled).any() and (filled[:, 0] == ROWS[:5, 0].astype(filled.dtype)).all()
    nats = fitted.log_prob(ROWS[:5]).numpy()
    columns, told = fitted.score_columns(ROWS[:5], calibrate=ROWS[5:], fdr=0.1, each=True)
    assert list(columns)[:6] == [
        "sign",
        "nats",
        "bits_per_variable",
        "p_value",
        "more_likely",
        "anomaly",
    ]
    assert (columns["nats"] == nats).all() and told["calibration"]["rows"] == 195
    assert fitted.events(ROWS[:5]).codes.shape == (5, 4)
    assert fitted.evaluate(ROWS[:5]).rows == 5
    assert np.isfinite(fitted.information("0", "1"))


@pytest.fixture(scope="module")
def latent():
    return fit(ROWS, "vae")


def test_latents_of_arrays_are_answered_without_disk_and_frames(latent, no_disk, no_frames):
    assert len(latent.encode(ROWS[:5])) == 5
    assert latent.reconstruct(ROWS[:5]).shape == (5, 4)
    assert latent.interpolate(ROWS[:1], ROWS[1:2], steps=3).shape == (3, 4)


def test_a_frame_of_scores_holds_the_columns(fitted):
    columns, told = fitted.score_columns(ROWS[:7], calibrate=ROWS[7:], each=True)
    frame = fitted.score(ROWS[:7], calibrate=ROWS[7:], each=True)
    pd.testing.assert_frame_equal(frame, pd.DataFrame(columns))
    assert frame.attrs == told


def test_scores_of_several_shards_are_those_of_one(fitted, monkeypatch):
    whole = fitted.score(ROWS[:40], calibrate=ROWS, fdr=0.1, each=True)
    monkeypatch.setattr("plausibly.runs.sharded.EVENTS_PER_BATCH", 10)
    monkeypatch.setattr("plausibly.runs.sharded.MAX_SHARD_ROWS", 10)
    assert len(fitted.shards(40)) == 4
    parts = fitted.score(ROWS[:40], calibrate=ROWS, fdr=0.1, each=True)
    pd.testing.assert_frame_equal(whole, parts, check_exact=False, atol=1e-5)


def test_the_data_of_the_fit_are_gone(fitted):
    with pytest.raises(UserError, match="only in memory: give rows"):
        fitted.evaluate(draws=None) or fitted._require_events(None)
    with pytest.raises(UserError, match="only in memory"):
        fitted.dataset()


def test_tables_are_answered_as_tables():
    frame = pd.DataFrame({"a": np.arange(60) % 7 * 0.5, "c": ["x", "y", "z"] * 20})
    fitted = fit(frame)
    assert list(fitted.sample(4)) == ["a", "c"]
    assert fitted.classify(frame, "c").rows == 60
    assert fitted.score(frame.set_index(frame.index + 5)).index[0] == 5
