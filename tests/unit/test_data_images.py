"""Folders of images as viewers show them, whatever they were saved as; what is done to them is said in a line."""

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.TiffImagePlugin import TiffImageFile

from benchmarks.attack.damage import png_chunk
from plausibly.data import load, load_rows
from plausibly.data.dataset import Dataset
from plausibly.data.files.images import read_folder
from plausibly.data.formats.builders import format_from_json
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError

MANY, MORE = 12, {"save_all": True, "append_images": [Image.new("L", (8, 8))]}
ARROW = np.zeros((8, 12), dtype=np.uint8)  # no two ways to turn it look alike
ARROW[:4, :6], ARROW[:4, 6:] = 255, 120
TURNED = {
    1: ARROW, 2: ARROW[:, ::-1], 3: ARROW[::-1, ::-1], 4: ARROW[::-1], 5: ARROW.T,
    6: ARROW[::-1].T, 7: ARROW[::-1, ::-1].T, 8: ARROW.T[::-1],
}  # fmt: skip


def saved(
    folder: Path,
    image: Callable[[int], np.ndarray | Image.Image],
    suffix: str = "png",
    **how: object,
) -> Path:
    """A folder of images."""
    folder.mkdir(exist_ok=True)
    for place in range(MANY):
        found = image(place)
        found = Image.fromarray(found) if isinstance(found, np.ndarray) else found
        found.save(folder / f"{place:02}.{suffix}", **how)
    return folder


def read(folder: Path) -> tuple[np.ndarray, Dataset]:
    """The rows of a folder in the order of its files, by the format that it taught, and the dataset."""
    data = load(str(folder))
    return load_rows(str(folder), format_from_json(data.format.to_json())), data


def gray(place: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(place).integers(low, high, (8, 8))


def said(data: Dataset, words: str) -> bool:
    return any(words in note for note in data.notes)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", TURNED)
def test_images_are_turned_as_exif_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows, data = read(saved(tmp_path, lambda place: ARROW, suffix, exif=exif))
    assert rows.shape[1:] == TURNED[orientation].shape
    assert np.abs(rows[0].astype(int) - TURNED[orientation]).max() < 50  # JPEG is not exact
    assert said(data, "12 of 12 images are turned upright") == (orientation != 1)


def shapes(mode: str, place: int) -> Image.Image:
    """A black square on nothing, at a place of its own."""
    seen = np.zeros((8, 8), dtype=np.uint8)
    seen[place % 4 : place % 4 + 4, 2:6] = 255
    if mode in ("P", "1", "L"):
        return Image.fromarray(np.where(seen == 255, 0, 1).astype(np.uint8), "L").convert(
            "P" if mode == "P" else "L"
        )
    black = [Image.new("L", (8, 8))] * (len(mode) - 1)
    return Image.merge(mode, [*black, Image.fromarray(seen)])


@pytest.mark.parametrize(
    ("mode", "suffix", "how"),
    [
        ("RGBA", "png", {}),
        ("LA", "png", {}),
        ("RGBA", "webp", {"lossless": True}),
        ("RGBA", "tif", {}),
        ("L", "png", {"transparency": 1}),
        ("P", "png", {"transparency": 1}),
        ("P", "gif", {"transparency": 1}),
    ],
)
def test_transparent_images_are_read_on_white(
    tmp_path: Path, mode: str, suffix: str, how: dict
) -> None:
    rows, data = read(saved(tmp_path, lambda place: shapes(mode, place), suffix, **how))
    wanted = np.full((8, 8), 255)
    wanted[3:7, 2:6] = 0
    assert (rows[3].reshape(8, 8, -1) == wanted[..., None]).all()
    assert said(data, "12 of 12 images are transparent somewhere, and read on white")


def test_opaque_alpha_is_nothing_to_say(tmp_path: Path) -> None:
    opaque = Image.new("L", (8, 8), 255)
    rows, data = read(
        saved(
            tmp_path,
            lambda place: Image.merge("LA", [Image.fromarray(gray(place).astype("u1")), opaque]),
        )
    )
    assert np.array_equal(rows[5], gray(5)) and not said(data, "transparent")


@pytest.mark.parametrize(
    ("suffix", "how"), [("png", {}), ("tif", {}), ("tiff", {"compression": "tiff_lzw"})]
)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_deep_gray_keeps_the_upper_bits_in_use(
    tmp_path: Path, bits: int, suffix: str, how: dict
) -> None:
    values = [gray(place, high=1 << bits).astype(np.uint16) for place in range(MANY)]
    values[0][0, 0] = (1 << bits) - 1
    rows, data = read(saved(tmp_path, lambda place: values[place], suffix, **how))
    assert np.array_equal(rows, np.array(values) >> (bits - 8))
    assert said(data, f"the upper 8 of the {bits} bits in use" if bits > 8 else "no more than 8")


def test_a_run_reads_deep_gray_as_its_training_images(tmp_path: Path) -> None:
    _, data = read(saved(tmp_path / "a", lambda place: gray(place, high=4096).astype(np.uint16)))
    dark = [gray(place, high=300).astype(np.uint16) for place in range(MANY)]
    other = saved(tmp_path / "b", lambda place: dark[place])
    assert np.array_equal(load_rows(str(other), data.format), np.array(dark) >> 4)
    dark[7][2, 2] = 4096
    with pytest.raises(
        UserError, match=r"07.png holds values from \d+ to 4096, but the others use 12 bits"
    ):
        load_rows(str(saved(other, lambda place: dark[place])), data.format)
    old = data.format.to_json()
    del old["depth"]  # as runs written before had it
    assert np.array_equal(load_rows(str(other), format_from_json(old)), np.array(dark) >> 8)


def test_sixteen_bits_a_colour_are_said(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    colours = np.random.default_rng(0).integers(0, 65536, (MANY, 4, 4, 3))
    for place, own in enumerate(colours):  # Pillow writes none
        lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in own)
        parts = chunk(b"IHDR", struct.pack(">2I5B", 4, 4, 16, 2, 0, 0, 0)) + chunk(
            b"IDAT", zlib.compress(lines)
        )
        (tmp_path / f"{place:02}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")
        )
    rows, data = read(tmp_path)
    assert np.abs(rows.astype(int) - colours / 257).max() <= 1 and said(
        data, "12 of 12 images are of 16 bits a colour"
    )


def test_floating_point_pixels_have_no_range(tmp_path: Path) -> None:
    saved(tmp_path, lambda place: gray(place).astype(np.float32) / 255, "tif")
    with pytest.raises(UserError, match=r"00.tif holds floating-point pixels"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("image", "suffix", "how", "wanted", "words"),
    [
        (lambda i: Image.fromarray(gray(i).astype("u1")).quantize(256), "png", {}, gray(2), ""),
        (lambda i: Image.fromarray(gray(i) > 99), "png", {}, 255 * (gray(2) > 99), ""),
        (lambda i: Image.fromarray(gray(i).astype("u1")), "pgm", {}, gray(2), ""),
        (lambda i: Image.fromarray(gray(i).astype("u1")), "gif", MORE,
         gray(2), "12 of 12 images are of several frames or pages, and the first is read"),
        (lambda i: Image.fromarray(gray(i).astype("u1")), "tif", MORE,
         gray(2), "12 of 12 images are of several frames or pages"),
        (lambda i: Image.merge("CMYK", [Image.new("L", (8, 8))] * 3 + [Image.fromarray(gray(i).astype("u1"))]), "tif", {},
         np.repeat(255 - gray(2)[..., None], 3, 2), "12 of 12 images are CMYK, and read as RGB"),
    ],
    ids=["palette", "bits", "pgm", "gif", "pages", "cmyk"],
)  # fmt: skip
def test_other_modes(
    tmp_path: Path, image: Callable, suffix: str, how: dict, wanted: np.ndarray, words: str
) -> None:
    rows, data = read(saved(tmp_path, image, suffix, **how))
    assert np.array_equal(rows[2], wanted)
    assert said(data, words)


def test_stray_files_are_left_out_and_said(tmp_path: Path) -> None:
    plain = load(str(saved(tmp_path, lambda place: gray(place).astype(np.uint8))))
    strays = [
        "Thumbs.db",
        ".DS_Store",
        "desktop.ini",
        "README.txt",
        "._00.png",
        ".trash/a.png",
        "__MACOSX/._01.png",
    ]
    for name in strays:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    data = load(str(tmp_path))
    assert data.fingerprint == plain.fingerprint and data.rows == plain.rows
    assert [note for note in data.notes if note not in plain.notes] == [
        "7 other files are left out: .DS_Store, ._00.png, .trash/a.png, ..."
    ]
    (tmp_path / "00.png").rename(tmp_path / "00.PNG")
    assert load(str(tmp_path)).rows == plain.rows
    (tmp_path / "more").mkdir()
    (tmp_path / "11.png").rename(tmp_path / "more" / "11.png")
    assert said(
        load(str(tmp_path)), "images of 2 folders are taken together; a folder's name is no label"
    )


@pytest.mark.parametrize("suffix", ["eps", "pcx", "ico"])
def test_readers_are_named_whatever_a_file_is_called(tmp_path: Path, suffix: str) -> None:
    """A PostScript file called .png would start an interpreter."""
    saved(tmp_path, lambda place: gray(place).astype(np.uint8))
    Image.fromarray(gray(0).astype(np.uint8)).convert("RGB").save(tmp_path / f"z.{suffix}")
    (tmp_path / f"z.{suffix}").rename(tmp_path / "z.png")
    with pytest.raises(UserError, match=r"z.png is no whole image \(of no form that is read\)"):
        load(str(tmp_path))


def test_images_of_one_shade_are_told_how_they_were_read(tmp_path: Path) -> None:
    white = Image.merge(
        "LA", [Image.new("L", (8, 8), 255), Image.fromarray(gray(0).astype(np.uint8))]
    )
    with pytest.raises(
        UserError, match=r"every entry .* is the same \(.*12 of 12 images are transparent"
    ):
        load(str(saved(tmp_path, lambda place: white)))


def test_held_out_folders(tmp_path: Path) -> None:
    train = saved(tmp_path / "a", lambda place: gray(place).astype(np.uint8))
    test = saved(tmp_path / "b", lambda place: gray(place + 50).astype(np.uint8))
    data = load(str(train), test=str(test))
    assert data.rows == {"train": 11, "valid": 1, "test": 12, "calibration": 0}
    assert np.array_equal(data.format.rows(data.test)[3], gray(53))


def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "a.png")  # so many that Pillow warns
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(UserError, match=r"a\.png has 90,000,000 pixels; .* 67,108,864 are read"),
    ):
        load(str(tmp_path))


def test_pages_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page only says where the next one is."""
    counted = property(lambda image: pytest.fail("pages were counted"))
    monkeypatch.setattr(TiffImageFile, "n_frames", counted)
    monkeypatch.setattr(GifImageFile, "n_frames", counted)
    for number in range(9):
        image = Image.fromarray(np.full((4, 4), 20 * number + 5, np.uint8))
        image.save(tmp_path / f"{number}.{'tif' if number % 2 else 'gif'}", **MORE)
    notes = load(str(tmp_path)).notes
    assert "9 of 9 images are of several frames or pages, and the first is read" in notes


def test_only_what_is_read_tells_whether_images_changed(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 7).save(tmp_path / "a.png")
    before = open_source(str(tmp_path)).fingerprint()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.png"):
        (tmp_path / name).write_bytes(b"\0" * 9)
    with open(tmp_path / "backup.tar", "wb") as other:
        other.truncate(8 << 30)  # to read it would take many seconds
    assert open_source(str(tmp_path)).fingerprint() == before
    Image.new("L", (4, 4), 8).save(tmp_path / "a.png")
    assert open_source(str(tmp_path)).fingerprint() != before


def test_a_png_of_half_its_pixels_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    squeezed = zlib.compress(np.insert(pixels, 0, 0, axis=1).tobytes())
    torn = squeezed[:500] + bytes(100) + squeezed[600:]
    for name, data in (("whole.png", squeezed), ("torn.png", torn)):
        (tmp_path / name).write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0))
            + png_chunk(b"IDAT", data)
            + png_chunk(b"IEND", b"")
        )
    with pytest.raises(UserError, match=r"torn\.png is no whole image \(broken data stream"):
        read_folder(tmp_path)
    (tmp_path / "torn.png").unlink()
    assert (read_folder(tmp_path).rows == pixels).all()
