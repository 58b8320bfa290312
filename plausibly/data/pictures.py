"""A picture of which some pixels are unknown, as a row with holes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from plausibly.data.files.images import ImageReader, open_image, read_header
from plausibly.data.formats.array_blocks import count_values
from plausibly.data.formats.array_container import ArrayContainer
from plausibly.data.formats.format import Format
from plausibly.errors import UserError

RANGES = re.compile(r"(\d+):(\d+),(\d+):(\d+)")
HALF = 128  # of a mask, at which white begins


def read_question(format: Format, path: Path, mask: Path | None, known: str | None) -> np.ndarray:
    """One row, (1, height, width) or with channels last, NaN where the picture is unknown.

    That is where the mask is white, or outside of the rows and columns that are known, FIRST:BEHIND,FIRST:BEHIND from 0; by
    default where the picture is transparent. UserError where picture or mask are not as the format's images.
    """
    container = format.container
    if not isinstance(container, ArrayContainer) or container.picture is None:
        raise UserError(
            "a picture is filled in by a model of images, and this one is of other rows"
        )
    if mask is not None and known is not None:
        raise UserError("--mask and --known both say what is known; give one of them")
    size, coloured, depth = container.image_form()
    check_picture(path, size, coloured)
    shades = ImageReader(size, coloured, depth).read(path).astype(np.float64)
    top = count_values(container.picture[1].kinds[0]) - 1
    unknown = mark_unknown(path, mask, known, size)
    if not unknown.any():
        raise UserError(f"all of {path} is known; --mask FILE or --known ROWS,COLUMNS says what is")
    row = np.rint(shades * top / 255)
    row[unknown] = np.nan
    return row[None]


def check_picture(path: Path, size: tuple[int, int], coloured: bool) -> None:
    """UserError unless the picture has this size, in pixels down and across, and no colours that the model knows not."""
    look = read_header(path)
    if look.size != size:
        raise UserError(
            f"{path} is of {describe_size(look.size)}; the model knows {describe_size(size)}"
        )
    if not look.gray and not coloured:
        raise UserError(f"{path} is in colour, and the model knows gray images; convert it first")


def describe_size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def mark_unknown(
    path: Path, mask: Path | None, known: str | None, size: tuple[int, int]
) -> np.ndarray:
    """Which pixels are unknown, bool (height, width)."""
    if known is not None:
        return ~parse_known(known, size)
    if mask is None:
        with open_image(path) as image:
            return np.asarray(image.convert("RGBA").getchannel("A")) == 0
    if (held := read_header(mask).size) != size:
        raise UserError(
            f"{mask} is of {describe_size(held)}, and the picture of {describe_size(size)}"
        )
    with open_image(mask) as image:
        return np.asarray(image.convert("L")) >= HALF


def parse_known(text: str, size: tuple[int, int]) -> np.ndarray:
    """Which pixels are known, bool (height, width), by rows and columns. UserError where these are none of the image."""
    found = RANGES.fullmatch(text.strip())
    top, bottom, left, right = map(int, found.groups()) if found else (0, 0, 0, 0)
    if not (top < bottom <= size[0] and left < right <= size[1]):
        raise UserError(
            f"--known {text}: rows and columns from 0, such as 0:{size[0] // 2},0:{size[1]} "
            f"of {describe_size(size)}"
        )
    known = np.zeros(size, dtype=bool)
    known[top:bottom, left:right] = True
    return known
