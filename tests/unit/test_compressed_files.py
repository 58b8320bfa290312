"""Forged files of compressed rows: every length is held to the bytes that are there, and nothing swells."""

import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plausibly
from plausibly.coding import streams
from plausibly.coding.streams import DamagedStream, SymbolReader, SymbolWriter
from plausibly.coding.xz import unpack_xz
from plausibly.data.columns.cells import code_texts
from plausibly.errors import UserError
from plausibly.jobs.compressed import END, ENTRY, open_compressed
from plausibly.system import memory

KEPT = Path(plausibly.__file__).parents[1] / "tests" / "kept" / "0.1.0" / "people-embedded.pls"
HEAD = 5  # bytes before the run


def forge(change: Callable[[dict[str, Any]], Any], model: bytes | None = None) -> bytes:
    """The kept file with another header, and another run in it, under checksums that are right."""
    data = KEPT.read_bytes()
    length, _ = END.unpack(data[-END.size :])
    index = len(data) - END.size - length - ENTRY.size
    header = json.loads(zlib.decompress(data[index + ENTRY.size : -END.size]))
    held = header["holds"][0]
    run = data[HEAD : HEAD + held] if model is None else model
    header["holds"] = [len(run), zlib.crc32(run)]
    change(header)
    packed = zlib.compress(json.dumps(header).encode())
    tail = data[index : index + ENTRY.size] + packed
    return (
        data[:HEAD]
        + run
        + data[HEAD + held : index]
        + tail
        + END.pack(len(packed), zlib.crc32(tail))
    )


def open_forged(data: bytes, folder: Path) -> None:
    (folder / "a.pls").write_bytes(data)
    with open_compressed(folder / "a.pls", None):
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0},
        {"rows": 1 << 48},
        {"rows": 2.5},
        {"rows": True},
        {"block": 1},
        {"block": 10**9},
        {"model": None},
        {"probe": 5},
        {"by": {"torch": 2}},
        {"holds": [-1, 0]},
        {"holds": [10**9, 0]},
        {"holds": 3},
    ],
)
def test_a_forged_header_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"a\.pls is damaged: .*; nothing was written"):
        open_forged(forge(lambda header: header.update(change)), tmp_path)


@pytest.mark.parametrize("gone", ["rows", "block", "model", "probe", "by"])
def test_a_header_names_all(tmp_path: Path, gone: str) -> None:
    with pytest.raises(UserError, match=r"a\.pls is damaged: its header cannot be read"):
        open_forged(forge(lambda header: header.pop(gone)), tmp_path)


def test_a_header_that_swells_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.pls is damaged: its header cannot be read"):
        open_forged(forge(lambda header: header.update(more=[[]] * 600_000)), tmp_path)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (b"nothing", "cannot be unpacked"),
        (lzma.compress(b"\xff" * 9), "has no record"),
        (lzma.compress(b"\2\0\0\0{}"), "its run.json is damaged"),
        (lzma.compress(bytes(9))[:-8], "cannot be unpacked"),
    ],
)
def test_a_forged_run_in_a_file_is_one_line(tmp_path: Path, model: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=rf"a\.pls is damaged: .*{reason}.*; nothing was written"):
        open_forged(forge(lambda header: None, model), tmp_path)


def test_a_run_that_swells_is_refused_by_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_UNDOUBTED_BYTES", 1 << 20)
    with pytest.raises(
        UserError, match=r"a\.pls is damaged: the run in it: \d kB unpack to 4 MB or more"
    ):
        open_forged(forge(lambda header: None, lzma.compress(bytes(30 << 20))), tmp_path)


def test_what_was_packed_comes_back_in_pieces() -> None:
    content = np.random.default_rng(0).bytes(1000) * 9000
    pieces = list(unpack_xz(lzma.compress(content), "x"))
    assert b"".join(pieces) == content and len(pieces) > 2


def code_block(listed: bytes) -> SymbolReader:
    """A reader of texts that are forged."""
    writer = SymbolWriter()
    writer.block(lzma.compress(listed, lzma.FORMAT_ALONE))
    return SymbolReader(writer.payload)


def test_texts_in_a_block_are_texts() -> None:
    assert code_texts(code_block(b'["a", null]'), None).tolist() == ["a", None]
    with pytest.raises(ValueError, match="texts are none"):
        code_texts(code_block(b'["a", 1]'), None)


def test_a_text_ends_with_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SymbolWriter()
    monkeypatch.setattr(streams, "END_OF_TEXT", 300)  # so that no end is written, nor found
    reader = SymbolReader(writer.payload)
    with pytest.raises(DamagedStream, match="longer"):
        reader.text(None)
