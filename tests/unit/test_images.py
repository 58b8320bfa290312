"""Where pixels stand, and what is refused of images."""

import pytest
import torch

from plausibly.events.kinds import Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.images import ImageVariables, arrange_pixels, locate_image
from plausibly.models.pixelcnn import PixelCNN

BIT = Category(levels=2)


def test_channels_come_innermost_and_patches_row_by_row():
    cells = arrange_pixels(ImageVariables(1, 2, 2, 4), 0, 2)
    first = [
        1,
        9,
        2,
        10,
        5,
        13,
        6,
        14,
    ]  # behind a label: (0, 0), (0, 1), (1, 0), (1, 1) of both channels
    assert cells.shape == (1, 2, 8) and cells[0, 0].tolist() == first


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetries_are_those_of_the_square(symmetry):
    """Each is another order, and all are turned into each other by flips and exchanged axes."""
    places = arrange_pixels(ImageVariables(0, 1, 3, 3), symmetry, 1)[..., 0]
    square = torch.arange(9).view(3, 3)
    flips = [axis for axis, bit in ((1, 1), (0, 2)) if symmetry & bit]
    turned = square.flip(flips)
    assert torch.equal(places, turned.T if symmetry & 4 else turned)
    others = [arrange_pixels(ImageVariables(0, 1, 3, 3), k, 1)[..., 0] for k in range(8)]
    assert sum(torch.equal(places, other) for other in others) == 1


def test_flat_events_are_squares_alone_or_behind_a_label():
    assert locate_image(binary(784)) == (0, 1, 28, 28)
    assert locate_image(binary(785)) == (1, 1, 28, 28)
    assert locate_image(binary(193)) == (1, 3, 8, 8)
    assert locate_image(binary(49)) is None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (binary(10), "pixelcnn: 10 variables in a row are no image"),
        (Schema((1, 2, 2), (Real(),) * 4), "real numbers"),
        (Schema((1, 1, 2), (BIT, Level(levels=3))), "2 kinds"),
        (
            Schema((1, 1, 2), (Category(levels=2, open=True, unforeseen=0.1),) * 2),
            "no training row",
        ),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(schema, reason):
    assert reason in PixelCNN.accepts(schema)
    with pytest.raises(ValueError, match=reason.removeprefix("pixelcnn: ")):
        PixelCNN(schema)


def test_arguments_that_cannot_be_are_refused():
    bits = Schema((1, 2, 4), (BIT,) * 8)
    for arguments, reason in (
        ({"patch": 4}, "patch = 4; for these images it can be 1 or 2"),
        ({"kernel": 4}, "it is odd"),
        ({"symmetry": 8}, "0 to 7"),
        ({"context": (0,)}, "the only one of an image is its label"),
    ):
        with pytest.raises(ValueError, match=reason):
            PixelCNN(bits, **arguments)


def test_the_formula_counts_parameters():
    """Of a square image of n bits."""
    for side in (8, 28):
        n, channels, layers = side * side, 64, 6
        each = n / 4 + 3 * side / 2 + 32
        expected = channels * each + layers * (4 * channels**2 + 18 * channels) + 30
        assert PixelCNN.count(binary(n)) == expected
