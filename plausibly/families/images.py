"""The place of pixels among the variables of an event, and the order in which they come."""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from plausibly.events.schema import Schema

MIN_FLAT_SIDE = 8  # of an image whose events are flat: fewer variables are a table
CHANNELS_OF_FLAT = (1, 3)
SYMMETRIES = 8


class ImageVariables(NamedTuple):
    """Channels, height and width; pixels are the variables from `first` on: before them a label, or nothing."""

    first: int
    channels: int
    height: int
    width: int


def locate_image(schema: Schema) -> ImageVariables | None:
    """The image that events are, or that flat ones hold: a square, alone or behind a label. None where there is none."""
    if len(schema.shape) == 3:
        return ImageVariables(0, *schema.shape)
    for first in (0, 1):
        for channels in CHANNELS_OF_FLAT:
            side = isqrt((schema.size - first) // channels)
            if side >= MIN_FLAT_SIDE and first + channels * side * side == schema.size:
                return ImageVariables(first, channels, side, side)
    return None


def image_refusal(schema: Schema) -> str | None:
    """Why there are no pixels of one kind in events, each with few codes, or None."""
    image = locate_image(schema)
    if image is None:
        return f"{schema.size:,} variables in a row are no image; events of (channels, height, width) are"
    kinds = {*schema.kinds[image.first :]}
    if any(kind.continuous for kind in schema.kinds):
        return "some variables are real numbers, and pixels have codes"
    if len(kinds) > 1:
        return f"pixels are of {len(kinds)} kinds, and have to be of one"
    if any(kind.unforeseen for kind in kinds):
        return "pixels may be what no training row holds, of which a token has no probability"
    return None


def require_image(schema: Schema, context: tuple[int, ...]) -> ImageVariables:
    """The image that events hold, given its label or nothing. ValueError where they hold none, or the context is another."""
    if reason := image_refusal(schema):
        raise ValueError(reason)
    image = locate_image(schema)
    assert image is not None
    if context not in ((), tuple(range(image.first))):
        raise ValueError(f"context = {list(context)}; the only one of an image is its label")
    return image


def arrange_pixels(image: ImageVariables, symmetry: int, side: int) -> Tensor:
    """The variables of each token, (height, width, parts) in tokens of so many pixels a side; channels come innermost.

    `symmetry` says how the image is turned before: plus 1 left to right, plus 2 upside down, plus 4 rows to columns.
    """
    first, *shape = image
    places = first + torch.arange(shape[0] * shape[1] * shape[2], device="cpu").view(*shape)
    turned = places.flip([axis for axis, bit in ((2, 1), (1, 2)) if symmetry & bit])
    if symmetry & 4:
        turned = turned.transpose(1, 2)
    patches = turned.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return patches.permute(1, 3, 2, 4, 0).flatten(2)
