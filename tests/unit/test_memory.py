"""Files that swell are refused before they take the memory, by both sizes."""

import gzip
import os
import random
from pathlib import Path

import pytest

from plausibly.data.files.tables import read_contents
from plausibly.errors import UserError
from plausibly.system import memory

MEBIBYTE = 1 << 20


def test_what_swells_as_no_data_do_is_refused() -> None:
    with pytest.raises(UserError, match=r"^x.npz: 1 MB unpack to 1.1 GB or more.*; do this$"):
        memory.refuse_swelling("x.npz", MEBIBYTE, 1024 * MEBIBYTE, "do this")


@pytest.mark.parametrize(("packed", "unpacked"), [(1, 512), (2, 1024), (1024, 1024)])
def test_sparse_and_small_files_are_not_refused(packed: int, unpacked: int) -> None:
    kept = 1 if unpacked == 512 else packed * MEBIBYTE
    memory.refuse_swelling("x", kept, unpacked * MEBIBYTE, "do this")


def test_what_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1000 * MEBIBYTE)
    memory.refuse_swelling("x", 999 * MEBIBYTE, 999 * MEBIBYTE, "do this")
    with pytest.raises(UserError, match=r"1\.0 GB of memory are free; do this"):
        memory.refuse_swelling("x", 1001 * MEBIBYTE, 1001 * MEBIBYTE, "do this")


def test_the_limit_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.available_memory() > MEBIBYTE
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (1, -1))
    assert memory.available_memory() == 0


def test_a_limit_that_libraries_exceed_is_refused_and_another_spares_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (-1, -1))
    memory.spare_addresses()
    assert "ARROW_DEFAULT_MEMORY_POOL" not in os.environ and memory.describe_limit() == ""
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (600 * MEBIBYTE, -1))
    with pytest.raises(UserError, match=r"^`ulimit -v` allows 629 MB, and plausibly needs 1\.5 GB"):
        memory.spare_addresses()
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (2000 * MEBIBYTE, -1))
    memory.spare_addresses()
    assert os.environ["ARROW_DEFAULT_MEMORY_POOL"] == "system"


def test_gzipped_bytes_are_unpacked_in_pieces(tmp_path: Path) -> None:
    file, content = tmp_path / "x.gz", bytes(range(256)) * 200_000
    file.write_bytes(gzip.compress(content[:100]) + gzip.compress(content[100:], 1))
    assert read_contents(file) == content


@pytest.mark.parametrize("more", [b"", random.Random(0).randbytes(MEBIBYTE)])
def test_a_gzip_bomb_is_refused_by_both_sizes_whatever_is_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    monkeypatch.setattr(memory, "MAX_UNDOUBTED_BYTES", 20 * MEBIBYTE)
    file = tmp_path / "x.csv.gz"
    file.write_bytes(gzip.compress(bytes(MEBIBYTE)) * 99 + gzip.compress(more))
    with pytest.raises(UserError, match=r"x\.csv\.gz: \d+ kB unpack to \d+ MB or more.*gunzip it"):
        read_contents(file)
