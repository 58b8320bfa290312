"""The autoencoder: it copies events through few numbers, has no distribution, and says so wherever one is asked of it."""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from planting import finds

import plausibly
from plausibly.capabilities import Encoder, Model
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.data import load
from plausibly.errors import Unsupported, UserError
from plausibly.evaluation.answers.reconstruction import (
    LEVELS_UNIT,
    WRONG_SHARE,
    ReconstructionError,
    mean_error,
    reconstruction_errors,
)
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models.autoencoder import Autoencoder
from plausibly.models.vae import VAE
from plausibly.report import samples
from plausibly.runs.record import write_record
from plausibly.runs.run import Run

SMALL = {"network": "mlp", "network.hidden": 32}


def in_memory(kind, rows, steps=300, **arguments):
    return fit_in_memory(kind, load(rows), make_settings(SMALL | arguments, 0, None, steps, "cpu"))


@pytest.fixture(scope="module")
def people():
    chance, n = np.random.default_rng(0), 400
    sex, age = chance.choice(["f", "m"], n), chance.integers(20, 60, n)
    return pd.DataFrame(
        {
            "sex": sex,
            "age": age,
            "height": np.where(sex == "m", 180.0, 165.0) + chance.normal(0, 5, n),
            "pay": np.where(chance.random(n) < 0.1, np.nan, age * 100.0),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(chance.integers(0, 2000, n), "D"),
            "town": chance.choice(["here", "there", "elsewhere"], n),
        }
    )


@pytest.fixture(scope="module")
def board(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("boards") / "board"
    return plausibly.compare(
        people, ["autoencoder", "vae", "independent"], out=out, steps=150, kinds={"height": "real"}
    )


def test_it_is_an_encoder_and_no_model():
    assert issubclass(Autoencoder, Encoder) and not issubclass(Autoencoder, Model)


def test_digits_come_back_far_better_than_the_most_frequent_pixels():
    digits = load("digits-binary")
    run = fit_in_memory(Autoencoder, digits, make_settings({}, 0, None, 400, "cpu"))
    error = run.reconstruction(digits.test)[WRONG_SHARE]
    train, test = (part.codes.flatten(1).float() for part in (digits.train, digits.test))
    guess = (test != train.mean(0).round()).float().mean()
    assert error.rows == len(digits.test)
    assert error.value + 6 * error.standard_error < 0.5 * float(guess)


def test_it_survives_compare_and_open(board, people):
    rows = {row.model: row for row in board.rows}
    row = rows["autoencoder"]
    assert (
        row.test is None
        and row.reason == "no distribution"
        and row.sampled is None
        and row.scored is None
    )
    assert set(row.reconstruction) == {
        WRONG_SHARE,
        "units of age",
        "units of height",
        "units of pay",
        "days of since",
    }
    assert WRONG_SHARE in rows["vae"].reconstruction and not rows["independent"].reconstruction
    assert board.best is not row and board.to_best(row) is None
    entry = next(each for each in board.to_json() if each["model"] == "autoencoder")
    assert (
        entry["test"] is None
        and entry["reason"] == "no distribution"
        and entry["reconstruction"][WRONG_SHARE]["rows"] == 40
    )
    record = json.loads((row.run.path / "run.json").read_text())
    assert (
        record["test"] is None
        and msgspec.convert(record["reconstruction"], dict[str, ReconstructionError])
        == row.reconstruction
    )
    opened = Run.open(row.run.path)
    assert np.array_equal(opened.encode(people), row.run.encode(people))
    back = opened.reconstruct(people)
    assert list(back.columns) == list(people.columns) and (back.dtypes == people.dtypes).all()
    assert opened.evaluate() is None and opened.test() is None
    assert "no distribution" in board._repr_html_() and "of cells wrong" in board._repr_html_()


def test_the_report_labels_what_is_no_sample(board):
    page = (board.path / "report.html").read_text()
    assert f"autoencoder {samples.NO_SAMPLES}" in page
    assert f"vae {samples.NO_SAMPLES}" not in page
    assert "Losses of their own kind" in page


def test_a_page_of_images_and_of_it_alone(tmp_path):
    rows = (np.random.default_rng(0).random((300, 4, 4)) < 0.3).astype(np.uint8)
    run = plausibly.fit(rows, "autoencoder", out=tmp_path / "images", steps=10, set=SMALL)
    assert samples.NO_SAMPLES in (run.path / "report.html").read_text()
    table = pd.DataFrame(rows.reshape(300, -1)[:, :3], columns=["a", "b", "c"])
    alone = plausibly.fit(table, "autoencoder", out=tmp_path / "table", steps=10, set=SMALL)
    page = (alone.path / "report.html").read_text()
    assert "No model on this board has a distribution" in page and "has a likelihood" in page


def test_the_default_fit_does_not_try_it_and_compare_does(people, tmp_path, monkeypatch):
    from plausibly.fitting import choose

    monkeypatch.setattr(choose, "default_models", lambda: ["autoencoder", "independent", "markov"])
    run = plausibly.fit("toy-bits", out=tmp_path / "mixed", steps=5)
    assert "autoencoder" not in {one["model"] for one in run.record["members"]}
    run = plausibly.fit("toy-bits", out=tmp_path / "best", steps=5, context=["0"])
    assert set(run.record["tried"]) == {"independent", "markov"}
    board = plausibly.compare(people[["sex", "age"]], out=tmp_path / "board", steps=5)
    assert {row.model for row in board.rows} - {"ensemble"} == {
        "autoencoder",
        "independent",
        "markov",
    }


def test_each_task_is_refused_with_its_reason(board, people):
    run = next(row.run for row in board.rows if row.model == "autoencoder")
    asked = {
        "sample: it has no distribution": lambda: run.sample(3),
        "score: it has no likelihood": lambda: run.score(people),
        "query: it has no conditional distributions": lambda: run.query("age"),
        "impute: it has no conditional distributions": lambda: run.impute(people),
        "conditionals: it does not factorise": lambda: run.conditionals(people),
    }
    for reason, ask in asked.items():
        with pytest.raises(Unsupported, match=f"autoencoder does not answer {reason}"):
            ask()
    with pytest.raises(UserError, match="autoencoder has no likelihood"):
        plausibly.DensityEstimator("autoencoder").fit(np.eye(4).repeat(5, 0))


def test_a_record_with_a_strange_error_is_refused(board, tmp_path):
    run = next(row.run for row in board.rows if row.model == "autoencoder")
    for broken in (
        {WRONG_SHARE: 3},
        {WRONG_SHARE: {"value": "x", "standard_error": 0.1, "rows": 3}},
        [],
    ):
        record = json.loads((run.path / "run.json").read_text()) | {"reconstruction": broken}
        write_record(record, tmp_path)
        with pytest.raises(UserError, match="'reconstruction'"):
            Run.open(tmp_path)


def test_errors_are_what_they_say():
    """Against a decoder that always gives the same event."""
    schema = Schema(
        (4,), (Category(levels=3), Category(levels=2), Level(levels=9), Level(levels=2))
    )
    data = np.array([[0, 1, 8, 0], [2, 0, 3, 1], [1, 0, 1, 1]], dtype=np.uint8)

    class Constant(Autoencoder):
        def decode(self, z, given=None):
            return torch.tensor([[0.0, 0.0, 2.0, 0.0]]).repeat(len(z), 1)

    from plausibly.data.formats.array_container import ArrayContainer
    from plausibly.data.formats.format import Format

    format = Format(ArrayContainer(schema, "flat", "|u1"))
    found = reconstruction_errors(Constant.tiny(schema), format, format.events(data))
    assert found[WRONG_SHARE].value == pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3)
    assert found[LEVELS_UNIT].value == pytest.approx((6 + 1 + 1) / 3)
    assert found[LEVELS_UNIT].standard_error == pytest.approx(np.std([6, 1, 1], ddof=1) / 3**0.5)
    assert mean_error(np.array([np.nan, 2.0])) == type(found[LEVELS_UNIT])(2.0, None, 1)


def test_holes_are_named_and_numbers_measured(people):
    """A row without pay has no error in its units, and is wrong where something is decoded."""
    run = in_memory(Autoencoder, people, steps=250)
    events = run.events(people)
    found = run.reconstruction(events)
    decoded_hole = run.reconstruct(people)["pay"].isna().to_numpy()
    both = ~decoded_hole & people["pay"].notna().to_numpy()
    assert found["units of pay"].rows == both.sum() and 0 < both.sum() < 400
    apart = (run.reconstruct(people)["pay"] - people["pay"])[both].abs().mean()
    assert found["units of pay"].value == pytest.approx(apart, rel=1e-6)


FEW_CODES = Schema((3,), (Category(levels=3), Level(levels=4), Category(levels=2)))


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_a_sound_encoder_breaks_nothing(kind):
    assert not any(result.broken for result in run_checks(shake_weights(kind.tiny(FEW_CODES))))


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
@finds("encoding_repeats")
def test_latents_that_change(kind):
    class Noisy(kind):
        def encode(self, x):
            return super().encode(x) + torch.rand(len(x), 1)

    return shake_weights(Noisy.tiny(FEW_CODES))


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
@finds("reconstructions_are_events")
def test_decoded_cells_between_codes(kind):
    class Outside(kind):
        def decode(self, z, given=None):
            return super().decode(z, given) + 0.5

    return shake_weights(Outside.tiny(FEW_CODES))


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
@finds("gradients_reach_every_parameter")
def test_a_parameter_that_nothing_uses(kind):
    class Idle(kind):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            self.unused = torch.nn.Parameter(torch.zeros(2))

    return shake_weights(Idle.tiny(FEW_CODES))
