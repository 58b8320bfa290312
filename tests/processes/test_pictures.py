"""A picture is completed beside what is known of it, which stays as it is."""

import json

import numpy as np
import pytest
from PIL import Image

SIDE = 8


@pytest.fixture
def run(cli):
    settings = ["--set", "channels=8", "--set", "layers=1", "--steps", "5"]
    status, _, err = cli("fit", "digits-binary", "--model", "pixelcnn", "--out", "run", *settings)
    assert status == 0, err
    return cli


def save(name, pixels):
    Image.fromarray(pixels).save(name)
    return np.asarray(pixels)


def test_known_pixels_stay_and_completions_stand_beside_each_other(run):
    chance = np.random.default_rng(0)
    bits = chance.integers(0, 2, (SIDE, SIDE)).astype(np.uint8)
    shades = save("digit.png", bits * 255)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[2:, 3:] = 255
    save("mask.png", mask)
    clear = np.stack([shades, 255 - mask], -1)
    Image.fromarray(clear, "LA").save("clear.png")
    whole = "0:4,0:8"
    for name, options, unknown in (
        ("digit.png", ["--known", whole], np.arange(SIDE)[:, None] + np.zeros(SIDE) >= 4),
        ("digit.png", ["--mask", "mask.png"], mask > 0),
        ("clear.png", [], mask > 0),
    ):
        status, out, err = run(
            "impute", "run", name, *options, "--draws", "3", "--out", "o.png", "--json"
        )
        assert status == 0, err
        assert json.loads(out)["filled"] == "estimate"
        grid = np.asarray(Image.open("o.png"))
        assert grid.shape == (SIDE + 2, 3 * (SIDE + 1) + 1)
        each = [grid[1:-1, 1 + k * (SIDE + 1) :][:, :SIDE] for k in range(3)]
        assert all((one[~unknown] == shades[~unknown]).all() for one in each)
        assert any((one != each[0]).any() for one in each)


def test_what_cannot_be_completed_is_one_line(run):
    save("digit.png", np.zeros((SIDE, SIDE), np.uint8))
    save("large.png", np.zeros((9, SIDE), np.uint8))
    save("colour.png", np.arange(3 * SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE, 3))
    for options, said in (
        (["digit.png"], "all of digit.png is known"),
        (["large.png", "--known", "0:4,0:8"], "9 x 8 pixels; the model knows 8 x 8"),
        (["digit.png", "--mask", "large.png"], "large.png is of 9 x 8 pixels"),
        (["colour.png", "--known", "0:4,0:8"], "is in colour, and the model knows gray"),
        (["digit.png", "--known", "4:0,0:8"], "rows and columns from 0, such as 0:4,0:8"),
        (["digit.png", "--known", "0:4,0:8", "--mask", "large.png"], "give one of them"),
        (["digits-binary:test", "--known", "0:4,0:8"], "one picture"),
    ):
        status, _, err = run("impute", "run", *options, "--out", "o.png")
        assert (status, len(err.strip().splitlines())) == (2, 1) and said in err
    status, _, err = run("fit", "toy-mixed", "--model", "pixelcnn")
    assert status == 2 and "10 variables in a row are no image" in err
