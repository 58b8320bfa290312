"""A folder of images -> one array of equal images, and a grid of images -> one png.

Images are read as viewers show them: turned as their EXIF says, and on white paper where they are transparent. Of deeper
gray the upper 8 of the bits in use are kept.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, isqrt, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plausibly.data.files.conversions import describe_tables
from plausibly.errors import UserError, count_phrase
from plausibly.events.schema import MAX_VARIABLES

SUFFIXES = tuple(
    f".{word}"
    for word in ["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm"]
)
# no other is started, whatever a file is called
PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_DEFAULT_SIDE, MAX_SIDE, MAX_BYTES = 32, 4096, 2**31
MAX_PIXELS = 1 << 26  # of one image, whose pixels take up to 13 bytes each while it is read
DEEP_GRAY_BITS = 16  # bits of deep gray, where no image told how many are in use
ORIENTATION_TAG = 0x0112  # of EXIF; 1 is upright


class ImageStack(NamedTuple):
    """Equal images, (n, h, w) or (n, h, w, 3) uint8, notes on what was done to them, and the bits of deep gray."""

    rows: np.ndarray
    notes: list[str]
    depth: int


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images in a folder and those below it, and all other files, in order; what is hidden is no image.

    UserError where there are no images.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [
        path
        for path in files
        if path.suffix.lower() in SUFFIXES and not _is_hidden(path.relative_to(folder))
    ]
    if not images:
        tables = describe_tables(folder)
        advice = f"; {tables}" if tables else ""
        raise UserError(f"{folder} holds no images ({', '.join(SUFFIXES)}){advice}")
    known = set(images)
    return images, [path for path in files if path not in known]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def check_image_size(size: Any) -> tuple[int, int] | None:
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
    what = count_phrase(images, "colour image" if channels == 3 else "gray image")
    side = isqrt(limit // channels)
    does = f"--size {side} would do" if side else "take fewer images"
    most = f"{MAX_BYTES >> 30} GiB in all and {MAX_VARIABLES:,} entries each"
    raise UserError(f"--size {shown}: {what} may have at most {most}; {does}")


def read_folder(
    folder: Path,
    size: tuple[int, int] | None = None,
    colour: bool | None = None,
    depth: int | None = None,
) -> ImageStack:
    """All images of a folder.

    `size` is (height, width); without it the most common size, at most 32 on the longest side. `depth` is how many bits
    deep gray uses; without it as many as the largest value needs.
    """
    files, others = find_images(folder)
    looks = [read_header(path) for path in files]
    sizes = Counter(look.size for look in looks)
    target = size or _shrink(sizes.most_common(1)[0][0])
    coloured = any(not look.gray for look in looks) if colour is None else colour
    reader = ImageReader(target, coloured, depth or _gray_bits(max(look.top for look in looks)))
    _refuse_large(len(files), 3 if coloured else 1, target)
    rows = np.empty((len(files), *target, *((3,) if coloured else ())), dtype=np.uint8)
    for place, path in enumerate(files):
        rows[place] = reader.read(path)
    notes = _notes(sizes, target, coloured)
    notes += reader.notes(len(files), sum(look.gray for look in looks))
    notes += _places(folder, files) + _omission_notes(folder, others)
    return ImageStack(rows, notes, reader.depth)


def _gray_bits(top: int) -> int:
    """The bits of deep gray whose largest value this is, 0 where there is none."""
    return max(8, top.bit_length()) if top else DEEP_GRAY_BITS


class ImageHeader(NamedTuple):
    """Height and width of an image as it is shown, whether it is gray, and the largest value of deep gray."""

    size: tuple[int, int]
    gray: bool
    top: int


@contextmanager
def open_image(path: Path) -> Iterator[Any]:
    """An image. UserError where it is none, or broken."""
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            open(path, "rb") as file,
            Image.open(file, formats=PILLOW_FORMATS) as image,
        ):  # by path, turned TIFFs are mapped askew
            _refuse_pixels(image, path)
            yield image
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers each raise their own
        raise UserError(
            f"{path} is no whole image ({_reason(error)}); remove it or replace it"
        ) from error


def _refuse_pixels(image: Any, path: Path) -> None:
    """UserError where an image is too large to be decoded."""
    if (pixels := image.width * image.height) > MAX_PIXELS:
        raise UserError(
            f"{path} has {pixels:,} pixels; images of at most {MAX_PIXELS:,} are read: make it smaller"
        )


def _reason(error: Exception) -> str:
    """The reason of an error in a line, without the names of objects in memory."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "of no form that is read"
    return "".join(str(error).splitlines()[:1])[:200] or type(error).__name__


def read_header(path: Path) -> ImageHeader:
    with open_image(path) as image:
        if image.mode == "F":
            raise UserError(
                f"{path} holds floating-point pixels, of no known range; save it with 8 or 16 bits a pixel"
            )
        gray, top = _is_gray(image), int(np.asarray(image).max()) if _is_deep(image) else 0
        upright = _upright(image)
        return ImageHeader((upright.height, upright.width), gray, top)


def _is_gray(image: Any) -> bool:
    if image.mode in ("P", "PA"):
        colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in ("1", "L", "LA") or _is_deep(image)


def _is_deep(image: Any) -> bool:
    """True where an image is gray of more than 8 bits."""
    return str(image.mode).startswith("I")


def _is_turned(image: Any) -> bool:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1)) != 1
    except Exception:  # damaged EXIF says nothing
        return False


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if _is_turned(image) else image


def _shrink(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, MAX_DEFAULT_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


class ImageReader:
    """Reads images as gray or colour of one size, and counts what was done to them."""

    def __init__(self, size: tuple[int, int], coloured: bool, depth: int) -> None:
        self.size, self.coloured, self.depth = size, coloured, depth
        self.done: Counter[str] = Counter()

    def read(self, path: Path) -> np.ndarray:
        """(height, width) or (height, width, 3) uint8. UserError for deeper gray than foreseen."""
        with open_image(path) as image:
            self._count(image)
            upright = _upright(image)
            plain = self._shallow(upright, path) if _is_deep(image) else self._on_paper(upright)
            return _resize(plain.convert("RGB" if self.coloured else "L"), self.size)

    def _count(self, image: Any) -> None:
        deep = ";16" in str(image.tile) and not _is_deep(image)
        if image.format == "PNG":  # whose EXIF is looked for behind the pixels
            image.load()  # or their damage would be found then, and passed over
        found = {
            "turned": _is_turned(image),
            "frames": getattr(image, "is_animated", False),
            "halved": deep,
        }
        self.done.update(word for word in found if found[word])
        self.done.update([image.mode] if image.mode == "CMYK" or _is_deep(image) else [])

    def _shallow(self, image: Any, path: Path) -> Any:
        """Deep gray, of which the upper 8 bits in use are kept."""
        from PIL import Image

        values = np.asarray(image)
        if values.min() < 0 or values.max() >> self.depth:
            held, uses = (
                f"{values.min()} to {values.max()}",
                f"the others use {self.depth} bits a pixel",
            )
            raise UserError(
                f"{path} holds values from {held}, but {uses}: 0 to {(1 << self.depth) - 1}"
            )
        clear = values == image.info.get("transparency", -1)
        self.done.update(["transparent"] if clear.any() else [])
        shallow = (values >> self.depth - 8).astype(np.uint8)
        return Image.fromarray(np.where(clear, np.uint8(255), shallow))

    def _on_paper(self, image: Any) -> Any:
        """The image on white, where it is transparent."""
        from PIL import Image

        if not image.has_transparency_data:
            return image
        whole = image.convert("RGBA")
        if whole.getchannel("A").getextrema()[0] == 255:
            return image
        self.done["transparent"] += 1
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)

    def notes(self, images: int, gray: int) -> list[str]:
        """Notes on what was done to so many images, of which some were gray."""
        whole = count_phrase(images, "image")
        return [
            f"{count} of {whole} {'is' if count == 1 else 'are'} {what}"
            for count, what in self._counts(images, gray)
            if count
        ]

    def _counts(self, images: int, gray: int) -> list[tuple[int, str]]:
        deep = sum(count for mode, count in self.done.items() if mode.startswith("I"))
        upper = f"the upper 8 of the {self.depth} bits in use are kept"
        kept = upper if self.depth > 8 else "they use no more than 8"
        return [
            (gray if self.coloured and gray < images else 0, "gray, and read as colour"),
            (0 if self.coloured else images - gray, "of colours, and read as gray"),
            (self.done["turned"], "turned upright, as EXIF says"),
            (self.done["transparent"], "transparent somewhere, and read on white"),
            (self.done["frames"], "of several frames or pages, and the first is read"),
            (deep, f"gray of more than 8 bits: {kept}"),
            (self.done["halved"], "of 16 bits a colour: the upper 8 are kept"),
            (self.done["CMYK"], "CMYK, and read as RGB"),
        ]


def _resize(image: Any, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    wanted = (size[1], size[0])
    return np.asarray(
        image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS)
    )


def _places(folder: Path, images: list[Path]) -> list[str]:
    """That folders below the folder are no labels."""
    places = {path.parent for path in images}
    if len(places) < 2:
        return []
    return [f"images of {len(places)} folders are taken together; a folder's name is no label"]


def _omission_notes(folder: Path, others: list[Path]) -> list[str]:
    if not others:
        return []
    first = [str(path.relative_to(folder)) for path in others[:3]]
    shown = ", ".join(first if len(others) <= 3 else [*first, "..."])
    verb = "is" if len(others) == 1 else "are"
    return [f"{count_phrase(len(others), 'other file')} {verb} left out: {shown}"]


def _notes(sizes: Counter[tuple[int, int]], target: tuple[int, int], coloured: bool) -> list[str]:
    notes = [f"images are read as {target[0]} x {target[1]} {'colour' if coloured else 'gray'}"]
    if len(sizes) > 1:
        common, count = sizes.most_common(1)[0]
        often = f"{common[0]} x {common[1]} ({count} of {sizes.total()})"
        notes.append(f"{len(sizes)} sizes were found, most often {often}")
    changed = sum(count for size, count in sizes.items() if size != target)
    if changed:
        images = count_phrase(sizes.total(), "image")
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
    sheet = np.full(
        (lines * (height + 1) + 1, columns * (width + 1) + 1, channels), 128, dtype=np.uint8
    )
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + 1) + 1, (place % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = np.moveaxis(image, 0, 2)
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(path, format="PNG")
