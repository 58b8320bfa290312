"""One door: what a source is, is asked once, and of each the same."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import plausibly
from plausibly.data import load
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError

FRAME = pd.DataFrame({"a": range(60), "b": np.arange(60) % 7})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.to_parquet(tmp_path / "t.parquet")
    FRAME.to_feather(tmp_path / "t.arrow")
    np.save(tmp_path / "a.npy", FRAME.to_numpy())
    bits = np.arange(180).reshape(60, 3) // 2 % 2
    labels = np.arange(60) % 3
    np.savez(tmp_path / "a.npz", train=bits, test=bits[:24], y_train=labels, y_test=labels[:24])
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "pictures" / "1.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("t.csv", "TextFile"), ("t.parquet", "ParquetFile"), ("t.arrow", "ArrowFile"), ("a.npy", "ArrayFile"),
     ("a.npz", "NpzFile"), ("a.npz:test", "NpzFile"), ("pictures", "ImageFolder")],
)  # fmt: skip
def test_what_a_path_is(folder: Path, name: str, kind: str) -> None:
    source = open_source(folder / name)
    assert type(source).__name__ == kind
    assert source.has_columns == name.startswith("t.") and source.text == f"{folder}/{name}"
    assert len(source.fingerprint()) == 64 and source.name == name.partition(".")[0]


@pytest.mark.parametrize("held", [FRAME, FRAME["a"], {"a": [1, 2]}, [{"a": 1}], FRAME.to_numpy()])
def test_what_is_in_memory(held: object) -> None:
    source = open_source(held)
    assert source.has_columns == (not isinstance(held, np.ndarray))
    assert source.title == "" and source.text.endswith("in memory>")


def test_a_table_is_packed_and_large_all_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 3)), columns=list("abc"))
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    plain, packed = (load(tmp_path / name) for name in ("t.parquet", "t.parquet.gz"))
    assert packed.format.to_json() == plain.format.to_json() and packed.notes == plain.notes
    pieces = open_source(tmp_path / "t.parquet.gz").pieces(plain.format, 7_000)
    assert pd.concat(list(pieces), ignore_index=True).equals(frame)


def test_a_part_has_its_own_labels(folder: Path) -> None:
    data = load(f"{folder}/a.npz:test", labelled=True)
    rows = open_source(f"{folder}/a.npz:test").rows(data.format)
    assert data.format.names[0] == "label" and rows[:, 0].tolist() == [*range(3)] * 8


def test_what_is_no_table_says_so(folder: Path) -> None:
    format = load(FRAME).format
    for name in ("pictures", "a.npy"):
        with pytest.raises(UserError, match=f"{name} is no table"):
            open_source(folder / name).rows(format)
    with pytest.raises(UserError, match="digits:test is no table"):
        open_source("digits:test").rows(format)
    with pytest.raises(UserError, match=r"t\.csv has no parts, so 'x' names none"):
        open_source(f"{folder}/t.csv:x")


def test_only_the_door_asks_for_built_ins() -> None:
    root = Path(plausibly.__file__).parent
    asking = {
        str(path.relative_to(root / "data"))
        for path in root.rglob("*.py")
        if "BUILT_IN" in path.read_text()
    }
    assert asking == {"sources/opening.py", "sources/built_in.py", "toys/bits.py"}
