"""A fit's number of threads: said, written to the run, and taken again by `--resume`, to the bit."""

import hashlib
import json
import shutil

import pandas as pd
import pytest
import torch

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import fit as fitting
from plausibly.fitting import threads
from plausibly.fitting.settings import Listener
from plausibly.runs.record import read_record, write_record
from plausibly.system.threads import ThreadLimit, limit_training, take_threads, training_limit
from plausibly.training.estimates import ThreadTrial
from plausibly.training.loop import Training

SMALL = {"hidden": 8, "train.every": 3}


class Stop(BaseException):
    pass


@pytest.fixture
def taken(monkeypatch):
    """The number of threads of each step."""
    steps, take_step = [], Training.take_step

    def stepping(training):
        steps.append(torch.get_num_threads())
        return take_step(training)

    monkeypatch.setattr(Training, "take_step", stepping)
    return steps


def fit(path, model="made", stops=False, said=None):
    """A small fit, which may be killed at its third validation."""
    heard = []

    def progress(name, progress):
        heard.append(progress)
        if stops and len(heard) == 3:
            raise Stop

    listener = Listener(log=(said if said is not None else []).append, progress=progress)
    return plausibly.fit("toy-bits", model, steps=15, set=SMALL, out=path, listener=listener)


def weights(path):
    return hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()


def threads_of(path):
    return json.loads((path / "run.json").read_text())["versions"]["threads"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run with two threads, whole, and the same killed in the middle."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch, limit_training(ThreadLimit(2, given=True)):
        patch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
        fit(folder / "whole")
        with pytest.raises(Stop):
            fit(folder / "half", stops=True)
    return folder


@pytest.fixture
def half(two, tmp_path):
    return shutil.copytree(two / "half", tmp_path / "half")


def test_a_run_goes_on_with_its_threads_to_the_bit(two, half, taken):
    assert (half / "checkpoint.safetensors").exists()
    plausibly.resume(half)
    assert set(taken) == {2}
    assert threads_of(two / "whole") == threads_of(half) == "2"
    assert weights(half) == weights(two / "whole")
    assert torch.get_num_threads() == 1


def test_a_run_without_a_checkpoint_begins_anew_to_the_bit(two, half):
    (half / "checkpoint.safetensors").unlink()
    plausibly.resume(half)
    assert weights(half) == weights(two / "whole")


def test_threads_that_are_given_count_more_than_those_of_the_run(half, taken):
    with limit_training(ThreadLimit(1, given=True)):
        plausibly.resume(half)
    assert set(taken) == {1}
    assert threads_of(half) == "1"


def test_a_run_that_names_no_threads_goes_on_with_those_there_are(half, taken):
    write_record(read_record(half).drop("versions").document, half)
    plausibly.resume(half)
    assert set(taken) == {1}
    assert plausibly.open(half).record.status == "done"


@pytest.mark.parametrize("kept", ["0", "-1", "1025", "99999999999", "two", "", None, [2], "²"])
def test_threads_that_cannot_be_are_damage(half, kept):
    record = read_record(half)
    write_record(record.replace(versions=record.versions | {"threads": kept}).document, half)
    with pytest.raises(UserError, match=r"run\.json is damaged: its 'threads'"):
        plausibly.resume(half)


@pytest.mark.parametrize("together, number", [(1e-3, 2), (3e-3, 1)])
def test_the_trial_decides_and_is_said(tmp_path, monkeypatch, taken, together, number):
    trial, said = ThreadTrial(2, 3e-3, together), []
    monkeypatch.setattr(threads, "try_threads", lambda *given: trial)
    with take_threads(2):
        fit(tmp_path / "run", said=said)
    assert said[0] == str(trial)
    assert set(taken) == {number}
    assert threads_of(tmp_path / "run") == str(number)


def test_estimators_take_the_threads_of_the_trial(monkeypatch, taken):
    monkeypatch.setattr(threads, "try_threads", lambda *given: ThreadTrial(2, 3e-3, 1e-3))
    rows = pd.DataFrame({"a": [0, 1, 0, 1] * 9, "b": [0, 1, 1, 1] * 9})
    with limit_training(ThreadLimit(2)):
        plausibly.DensityEstimator("made", steps=2, settings={"hidden": 4}).fit(rows)
    assert set(taken) == {2}


def test_nothing_is_tried_without_a_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "try_threads", None)
    fit(tmp_path / "one")
    with limit_training(ThreadLimit(3)):
        plausibly.fit("toy-bits", "independent", out=tmp_path / "counts")
    assert threads_of(tmp_path / "one") == threads_of(tmp_path / "counts") == "1"


def test_the_command_line_gives_a_number_or_leaves_it_to_the_trial(
    cli, tmp_path, monkeypatch, taken
):
    limits, choose = [], threads.choose_threads
    monkeypatch.setattr(
        fitting, "choose_threads", lambda *given: limits.append(training_limit()) or choose(*given)
    )
    words = ("fit", "toy-bits", "--model", "made", "--steps", "3", "--set", "hidden=4", "--out")
    assert cli(*words, "given", "--threads", "2")[0] == 0
    assert set(taken) == {2}
    assert cli(*words, "left")[0] == 0
    assert limits[0] == ThreadLimit(2, given=True)
    assert not limits[1].given
    assert threads_of(tmp_path / "given") == "2"
    assert torch.get_num_threads() == 1
