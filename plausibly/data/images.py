"""A folder of images -> one array of equal images, and a grid of images -> one png."""

from __future__ import annotations

from collections import Counter
from math import ceil, isqrt, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.formats import counted
from plausibly.errors import UserError
from plausibly.schema import MAX_VARIABLES

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
LONGEST_SIDE, MAX_SIDE, MAX_BYTES = 32, 4096, 2**31


def files_of(folder: Path) -> list[Path]:
    """The images in a folder and those below it, in order. UserError where there are none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return files


def checked_size(size: Any) -> tuple[int, int] | None:
    """(height, width) of a side, or of both. UserError for sides that no image can have."""
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    whole = all(isinstance(side, int | np.integer) and 1 <= side <= MAX_SIDE for side in sides)
    if len(sides) != 2 or not whole:
        shown = " ".join(map(str, sides)) if isinstance(size, tuple | list) else size
        raise UserError(f"--size {shown}: a side has 1 to {MAX_SIDE:,} pixels")
    return int(sides[0]), int(sides[1])


def _refuse_large(images: int, channels: int, size: tuple[int, int]) -> None:
    """UserError where all images, or the entries of one, are too many, with the size that would do."""
    limit = min(MAX_BYTES // images, MAX_VARIABLES)
    if channels * size[0] * size[1] <= limit:
        return
    shown = size[0] if size[0] == size[1] else f"{size[0]} x {size[1]}"
    what = f"{images:,} {'colour' if channels == 3 else 'gray'} image{'s' * (images != 1)}"
    side = isqrt(limit // channels)
    does = f"--size {side} would do" if side else "take fewer images"
    most = f"{MAX_BYTES >> 30} GiB in all and {MAX_VARIABLES:,} entries each"
    raise UserError(f"--size {shown}: {what} may have at most {most}; {does}")


def read_folder(
    folder: Path, size: tuple[int, int] | None = None, colour: bool | None = None
) -> tuple[np.ndarray, list[str]]:
    """All images as (n, h, w) or (n, h, w, 3) uint8, and notes on what was done to them.

    `size` is (height, width); without it the most common size, at most 32 on the longest side.
    """
    files = files_of(folder)
    looks = [_look(path) for path in files]
    sizes = Counter(size_found for size_found, _ in looks)
    target = size or _shrunk(sizes.most_common(1)[0][0])
    coloured = any(not gray for _, gray in looks) if colour is None else colour
    _refuse_large(len(files), 3 if coloured else 1, target)
    rows = np.empty((len(files), *target, *((3,) if coloured else ())), dtype=np.uint8)
    for place, path in enumerate(files):
        rows[place] = _pixels(path, target, coloured)
    return rows, _notes(sizes, target, coloured)


def _look(path: Path) -> tuple[tuple[int, int], bool]:
    """Height and width of an image, and whether it is gray."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return (image.height, image.width), image.mode in ("1", "L", "LA", "I", "I;16", "F")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: BaseException) -> UserError:
    return UserError(f"{path} is no whole image ({error}); remove it or replace it")


def _shrunk(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels(path: Path, size: tuple[int, int], coloured: bool) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _resized(_flattened(image, coloured), size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _broken(path, error) from error


def _flattened(image: Any, coloured: bool) -> Any:
    """Gray or RGB; 16-bit gray loses its lower byte, which a plain conversion would clip instead."""
    from PIL import Image

    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB" if coloured else "L")


def _resized(image: Any, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    wanted = (size[1], size[0])
    return np.asarray(image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS))


def _notes(sizes: Counter[tuple[int, int]], target: tuple[int, int], coloured: bool) -> list[str]:
    notes = [f"images are read as {target[0]} x {target[1]} {'colour' if coloured else 'gray'}"]
    if len(sizes) > 1:
        common, count = sizes.most_common(1)[0]
        often = f"{common[0]} x {common[1]} ({count} of {sizes.total()})"
        notes.append(f"{len(sizes)} sizes were found, most often {often}")
    changed = sum(count for size, count in sizes.items() if size != target)
    if changed:
        images = counted(sizes.total(), "image")
        notes.append(
            f"{changed} of {images} {'was' if changed == 1 else 'were'} resized; `--size` chooses another size"
        )
    return notes


def write_grid(images: np.ndarray, path: Path, across: int | None = None) -> None:
    """Images (n, channels, h, w) uint8, one or three channels, as one png with a line between them.

    There are `across` in a row of the grid; by default it is nearly square.
    """
    from PIL import Image

    if not len(images) or images.shape[1] not in (1, 3):
        raise UserError("a png needs at least one image, of one or three channels")
    count, channels, height, width = images.shape
    columns = across or ceil(sqrt(count))
    lines = ceil(count / columns)
    sheet = np.full((lines * (height + 1) + 1, columns * (width + 1) + 1, channels), 128, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + 1) + 1, (place % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = np.moveaxis(image, 0, 2)
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(path, format="PNG")
