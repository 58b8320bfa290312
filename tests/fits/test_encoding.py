"""Encoding, reconstructing, interpolating: in Python and on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from plausibly.contract.checks import shake_weights
from plausibly.data import load
from plausibly.errors import Unsupported, UserError
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS
from plausibly.runs.run import Run
from plausibly.tasks.encode import encode
from plausibly.tasks.interpolate import interpolate
from plausibly.tasks.reconstruct import reconstruct

ENCODERS = [name for name, model in MODELS.items() if encode.word(model)]
TASKS = (encode, reconstruct, interpolate)
TABLE = Schema((4,), (Category(levels=3), Level(levels=5), Category(levels=2), Category(levels=2)))


def events(schema, n=12):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, schema.size, generator=generator) * torch.tensor(schema.codes)).floor()


def test_who_encodes_and_why_others_do_not():
    assert {"autoencoder", "vae"} <= set(ENCODERS)
    for task in TASKS:
        assert task.word(MODELS["vae"]) == "yes"
        with pytest.raises(
            Unsupported, match=f"made does not answer {task.name}: it has no encoder"
        ):
            task(MODELS["made"].tiny(binary(3)), torch.zeros(1, 3))


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_ends_are_reconstructions_and_the_way_is_straight(name):
    model = shake_weights(MODELS[name].tiny(TABLE)).eval()
    x = events(TABLE)
    between = interpolate(model, x[:6], x[6:], 5)
    assert between.shape == (6, 5, 4)
    whole = reconstruct(model, x)
    assert torch.equal(between[:, 0], whole[:6]) and torch.equal(between[:, -1], whole[6:])
    z = encode(model, x)
    assert torch.equal(between[:, 2], model.decode((z[:6] + z[6:]) / 2))


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_the_decoder_gets_each_rows_own_context(name):
    model = MODELS[name](TABLE, **(MODELS[name].tiny(TABLE).arguments | {"context": (0, 2)}))
    model = shake_weights(model).eval()
    x = events(TABLE, 40)
    back = reconstruct(model, x)
    assert torch.equal(back[:, [0, 2]], x[:, [0, 2]])
    own = model.decode(model.encode(x), x[:, [0, 2]])
    assert torch.equal(back[:, [1, 3]], own[:, [1, 3]])
    between = interpolate(model, x[:1], x[1:2], 4)[0]
    assert torch.equal(between[:2, [0, 2]], x[[0, 0]][:, [0, 2]]) and torch.equal(
        between[2:, 0], x[[1, 1], 0]
    )


@pytest.fixture(scope="module")
def reals():
    rows = np.random.default_rng(0).normal(size=(300, 1)) * np.array([1.0, 100.0]) + np.array(
        [0.0, 5.0]
    )
    return rows, fit_in_memory(
        MODELS["autoencoder"], load(rows), make_settings({}, 0, None, 400, "cpu")
    )


def test_rows_come_back_in_their_own_form_and_units(reals):
    """Two columns that are one number: the decoder learns them within a tenth of their spread."""
    rows, run = reals
    assert run.encode(rows).shape == (300, 16) and run.encode(rows).dtype == np.float32
    back = run.reconstruct(rows)
    assert back.shape == rows.shape and back.dtype == rows.dtype
    found = run.reconstruction(rows)
    for place, spread in enumerate((1.0, 100.0)):
        error = found[f"units of {place}"]
        assert error.value == pytest.approx(np.abs(back - rows)[:, place].mean(), rel=1e-5)
        assert error.value < 0.1 * spread
    between = run.interpolate(rows[:2], rows[5:7], 3)
    assert between.shape == (6, 2)
    assert np.allclose(between[[0, 2, 3, 5]], back[[0, 5, 1, 6]], atol=1e-3)


def test_pairs_and_steps_that_cannot_be(reals):
    rows, run = reals
    with pytest.raises(UserError, match="2 rows and 1 make no pairs"):
        run.interpolate(rows[:2], rows[:1])
    with pytest.raises(UserError, match="at least 2"):
        run.interpolate(rows[:1], rows[:1], 1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    from plausibly.fitting.api import fit

    path = tmp_path_factory.mktemp("runs") / "digits"
    return fit("digits-binary", "autoencoder", out=path, steps=40).path


def test_encode_on_the_command_line(cli, digits):
    status, out, err = cli("encode", digits, "digits-binary:test", "--out", "z.npy")
    assert status == 0, err
    assert out.startswith("16 latents of ")
    latents = np.load("z.npy")
    assert np.array_equal(latents, Run.open(digits).encode("digits-binary:test"))
    assert cli("encode", digits, "digits-binary:test", "--out", "z.csv")[0] == 0
    assert np.allclose(pd.read_csv("z.csv").to_numpy(), latents, atol=1e-5)
    document = json.loads(cli("encode", digits, "digits-binary:test", "--json")[1])
    assert document["latents"] == 16 and len(document["values"]) == document["rows"] == len(latents)
    printed = cli("encode", digits, "digits-binary:test")[1].splitlines()
    assert len(printed) == len(latents) + 1 and printed[0].split(",") == [str(i) for i in range(16)]


def test_reconstruct_on_the_command_line(cli, digits):
    status, out, err = cli("reconstruct", digits, "digits-binary:test", "--out", "x.npy", "--json")
    assert status == 0, err
    found = json.loads(out)["reconstruction"]["share of cells wrong"]
    back, rows = np.load("x.npy"), load("digits-binary").test.codes.numpy().reshape(-1, 8, 8)
    assert found["value"] == pytest.approx((back.reshape(rows.shape) != rows).mean())
    assert found["rows"] == len(rows)
    assert "of cells wrong, " in cli("reconstruct", digits, "digits-binary:test")[1]


def test_interpolate_on_the_command_line(cli, digits):
    words = ("interpolate", digits, "digits-binary:test", "--rows")
    status, out, err = cli(*words, "0", "5", "3", "4", "--steps", "6", "--out", "x.png", "--json")
    assert status == 0, err
    assert json.loads(out) == {"rows": 12, "pairs": 2, "steps": 6, "out": "x.png"}
    assert Image.open("x.png").size == (6 * 9 + 1, 2 * 9 + 1)
    assert cli(*words, "0", "5", "--steps", "3", "--out", "x.csv")[0] == 0
    assert len(pd.read_csv("x.csv")) == 3
    assert len(json.loads(cli(*words, "0", "5", "--json")[1])["values"]) == 8


def test_bad_words_are_one_clear_line(cli, digits):
    Path("wide.csv").write_text("a\n1\n")
    test = "digits-binary:test"
    for words, named in (
        (("interpolate", digits, test, "--rows", "0"), "pairs"),
        (("interpolate", digits, test, "--rows", "0", "999999"), "999999"),
        (("interpolate", digits, test, "--rows", "0", "1", "--steps", "1"), "at least 2"),
        (("interpolate", digits, test), "rows"),
        (("encode", digits, "nowhere.npy"), "nowhere.npy"),
        (("encode", digits, test, "--out", "z.doc"), "z.doc"),
        (("reconstruct", digits, test, "--out", "x.doc"), "x.doc"),
        (("sample", digits), "autoencoder does not answer sample: it has no distribution"),
        (("query", digits, "pixel 0,0"), "no conditional distributions"),
        (("score", digits, test), "no likelihood"),
    ):
        status, out, err = cli(*words)
        assert (status, out) == (2, ""), (words, out)
        assert err.count("\n") == 1 and named in err, (words, err)


def test_evaluating_says_what_there_is(cli, digits):
    assert cli("evaluate", digits)[1] == "autoencoder has no likelihood\n"
    document = json.loads(cli("evaluate", digits, "--json")[1])
    assert (
        document["test"] is None
        and document["reconstruction"]["share of cells wrong"]["value"] < 0.5
    )
    assert cli("check", digits)[0] == 0
    assert cli("report", digits)[0] == 0


def test_a_model_without_an_encoder_refuses(cli):
    assert cli("fit", "digits-binary", "--model", "independent", "--out", "run")[0] == 0
    for words in (("encode",), ("reconstruct",), ("interpolate", "--rows", "0", "1")):
        status, _, err = cli(words[0], "run", "digits-binary:test", *words[1:])
        assert status == 2 and f"independent does not answer {words[0]}: it has no encoder" in err
