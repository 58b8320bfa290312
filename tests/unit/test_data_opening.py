"""One door: what a source is, is asked once, and of each the same."""

import contextlib
import gzip
import pathlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import plausibly
from plausibly.data import load
from plausibly.data.files.conversions import describe_conversion
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.fitting.folders import new_folder
from plausibly.runs.record import read_record

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


@pytest.mark.parametrize(
    ("name", "words"),
    [("t.xlsx", "read_excel("), ("t.ods", "read_excel("), ("t.json", "read_json("), ("t.jsonl", "lines=True).to_csv('t.csv'"),
     ("t.dta", "read_stata("), ("t.sav", "read_spss("), ("t.sas7bdat", "read_sas("), ("t.h5", "read_hdf("),
     ("t.pkl", "a pickle runs code"), ("t.rds", "readRDS("), ("t.mat", "scipy.io.loadmat("), ("t.sqlite", "sqlite3"),
     ("t.zip", "unpack it"), ("t.tar.gz", "unpack it"), ("t", "of no form that can be read; DATA is a .csv")],
)  # fmt: skip
def test_what_is_not_read_says_how_it_would_be(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(UserError) as caught:
        open_source(tmp_path / name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_conversion_that_is_told_is_one(tmp_path: Path) -> None:
    FRAME.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    told = re.search(r"pandas\..*?(?= makes)", describe_conversion(tmp_path / "t.jsonl") or "")
    with contextlib.chdir(tmp_path):
        exec(told[0], {"pandas": pd})
    assert load(tmp_path / "t.csv").format.names == ("a", "b")


@pytest.mark.parametrize("name", ["t.csv", "t"])
def test_a_file_of_another_form_than_it_is_called(folder: Path, name: str) -> None:
    (folder / "t.parquet").rename(folder / name)
    with pytest.raises(UserError, match=r"its first bytes are those of \.parquet"):
        open_source(folder / name)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_of_tables_says_how_they_become_one(tmp_path: Path, suffix: str) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in "uv":
        getattr(FRAME, f"to_{suffix}")(tables / f"{name}.{suffix}", index=False)
    with pytest.raises(UserError, match=f"name one of its tables, such as .*u.{suffix}") as caught:
        load(tables)
    told = re.search(r"pandas\.concat.*?(?= makes)", str(caught.value))
    with contextlib.chdir(tmp_path):
        exec(told[0], {"pandas": pd, "pathlib": pathlib})
    assert load(tmp_path / f"tables.{suffix}").format.names == ("a", "b")


def test_a_name_that_is_no_utf8_is_read_or_refused(folder: Path) -> None:
    for name in ("t.csv", "t.parquet", "t.arrow", "a.npy"):
        (folder / name).rename(folder / f"\udcff{name}")
    assert load(folder / "\udcfft.csv").format.names == ("a", "b")
    assert load(folder / "\udcffa.npy").rows["train"] > 40
    for call in (
        lambda: load(folder / "\udcfft.parquet"),
        lambda: load(folder / "\udcfft.arrow"),
        lambda: new_folder(folder / "\udcff", "run"),
        lambda: read_record(folder / "\udcff"),
    ):
        with pytest.raises(UserError, match=r"udcff.*: a name in UTF-8 is needed here"):
            call()


def test_only_the_door_asks_for_built_ins() -> None:
    root = Path(plausibly.__file__).parent
    asking = {
        str(path.relative_to(root / "data"))
        for path in root.rglob("*.py")
        if "BUILT_IN" in path.read_text()
    }
    assert asking == {"sources/opening.py", "sources/built_in.py", "toys/bits.py"}
