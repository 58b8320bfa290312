"""Files of arrays that are damaged or forged: one line, before memory is taken; values are those that numpy reads."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from plausibly.data import load
from plausibly.data.files.array_files import parse_idx, parse_npy, parse_npz
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.system import memory

FILE = Path("a.npy")
ARRAYS = {
    "big-endian": np.arange(12, dtype=">i4").reshape(4, 3),
    "by columns": np.asfortranarray(np.arange(12.0).reshape(4, 3)),
    "bits": np.arange(12).reshape(2, 2, 3) > 5,
    "half": np.arange(6, dtype=">f2"),
    "texts": np.array(["a", "bcd"]),
    "none": np.zeros((0, 3)),
}


def write_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def forge_npy(said: str, content: bytes = bytes(24), form: bytes = b"\1\0") -> bytes:
    header = said.encode() + b"\n"
    return b"\x93NUMPY" + form + struct.pack("<H", len(header)) + header + content


def forge_shape(shape: str, descr: str = "'<f8'") -> bytes:
    return forge_npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_those_that_numpy_reads(name: str) -> None:
    data = write_npy(ARRAYS[name])
    found, expected = parse_npy(data, FILE), np.load(io.BytesIO(data))
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    assert found.flags.f_contiguous == expected.flags.f_contiguous and found.flags.writeable
    file = io.BytesIO()
    np.savez_compressed(file, a=ARRAYS[name], b=ARRAYS["bits"])
    assert np.array_equal(parse_npz(file.getvalue(), Path("a.npz"))["a"], expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            write_npy(ARRAYS["bits"])[:-1],
            "11 bytes do not hold an array of shape 2 x 2 x 3 of bool",
        ),
        (write_npy(ARRAYS["bits"]) + b"\0", "13 bytes do not hold"),
        (forge_shape("(-1, -3)"), "24 bytes do not hold an array of shape -1 x -3"),
        (forge_shape("(4294967296, 4294967296)"), "do not hold"),
        (forge_shape("(99999999999999999999,)"), "do not hold"),
        (forge_shape("(1, 3)", "'|O'"), "no pickle is loaded"),
        (forge_shape("(" + "1, " * 70 + "3)"), "dim"),
        (forge_shape("(3"), "multi-line"),
        (forge_shape("(1.5, 2)"), "shape is not valid"),
        (forge_shape("(3,)", "'<i99'"), "descr"),
        (forge_shape("(0,)", "'|S0'"), "24 bytes do not hold"),
        (forge_npy("-" * 9000 + "1"), "nested"),
        (forge_npy("x" * 50_000), "Header"),
        (forge_npy("{}", form=b"\3\0"), "form 3.0 is not read"),
        (b"\x93NUMPY\2\0" + b"\xff" * 90, "header"),
        (b"PK", "magic"),
        (b"", "magic"),
    ],
)
def test_forged_and_cut_headers_are_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(
        UserError, match=rf"^a\.npy is not a whole npy.*{reason}.*write or fetch"
    ) as said:
        parse_npy(data, FILE)
    assert "\n" not in str(said.value) and len(str(said.value)) < 400


def zip_members(packing: int, *members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zip_members(0, ("x.npy", forge_shape("(4, 4)"))), "24 bytes do not hold"),
        (zip_members(8, ("x.npy", b"nothing")), "magic"),
        (zip_members(8, ("x.npy", forge_shape("(3,)", "'|O'"))), "no pickle"),
        (zip_members(14, ("x.npy", write_npy(ARRAYS["bits"]))), "x.npy is not packed by deflate"),
        (zip_members(0, ("x.npy", write_npy(ARRAYS["bits"])))[:-30], "zip"),
        (zip_members(0, *((f"{n}.npy", b"") for n in range(10_001))), "10,001 arrays"),
    ],
)
def test_damaged_archives_are_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^a\.npz.*{reason}"):
        parse_npz(data, Path("a.npz"))


def test_an_archive_is_refused_by_the_sizes_that_it_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_UNDOUBTED_BYTES", 1 << 20)
    zeros = [(f"{n}.npy", write_npy(np.zeros(1 << 22, np.uint8))) for n in range(3)]
    data = zip_members(8, *zeros)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(UserError, match=r"^a\.npz: \d+ kB unpack to 13 MB or more.*np\.savez"):
        parse_npz(data, Path("a.npz"))


@pytest.mark.parametrize(
    ("sides", "content"),
    [((3, 4), 11), ((2**32 - 1,) * 3, 9), ((0,) + (2**32 - 1,) * 70, 0), ((), 0)],
)
def test_forged_idx_files_are_one_line(sides: tuple[int, ...], content: int) -> None:
    head = struct.pack(f">2x2B{len(sides)}I", 8, len(sides), *sides)
    with pytest.raises(UserError, match=r"^a-ubyte is not a whole idx file") as said:
        parse_idx(head + bytes(content), Path("a-ubyte"))
    assert len(str(said.value)) < 300


@pytest.mark.parametrize(
    "shape", [np.array([np.nan, 2]), np.ones(70, int), np.array([1 << 40, 1 << 40])]
)
def test_a_forged_shape_of_packed_bits_is_one_line(tmp_path: Path, shape: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3, np.uint8), x_shape=shape)
    with pytest.raises(UserError, match="3 bytes do not hold bits of shape"):
        load(str(tmp_path / "a.npz"))


def test_rows_without_entries_are_none(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(forge_shape("(1073741824, 0)")[:-24])
    with pytest.raises(UserError, match="has no entries"):
        load(str(file))


def test_arrays_are_in_the_machines_order_of_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["big-endian"])
    found = open_source(str(tmp_path / "a.npy")).array()
    assert found.dtype == np.dtype("=i4") and np.array_equal(found, ARRAYS["big-endian"])
