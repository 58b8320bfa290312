"""Which rows teach what: training rows alone the format, no test and no calibration row anything, from every entry point."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pyarrow import feather

import plausibly
from plausibly.data import splits
from plausibly.data.sources import table_files

ROWS = 120
HELD = ("valid", "test", "calibration")


def frame(seed: int = 0) -> pd.DataFrame:
    """Columns of every type; `day` and `group` are what a split goes by."""
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "word": chance.choice(["a", "b", "c"], ROWS),
            "size": chance.normal(size=ROWS).round(2),
            "count": chance.integers(0, 90, ROWS),
            "day": np.arange(ROWS) // 2 + 10_000,
            "group": np.arange(ROWS) % 40,
            "stuck": 7,
        }
    )


def otherwise(rows: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    """New levels, larger numbers and what moves that was stuck, in these rows; the columns that splits go by stay."""
    moved = rows.copy()
    moved.loc[places, ["word", "size", "count", "stuck"]] = ["new", 1234.56, 1000, 8]
    return moved


def csv(rows: pd.DataFrame, folder: Path, name: str = "x") -> Path:
    rows.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


def parquet(rows: pd.DataFrame, folder: Path, name: str = "x") -> Path:
    rows.to_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def as_it_is(rows: pd.DataFrame, folder: Path, name: str = "x") -> pd.DataFrame:
    return rows


def split_of(way: str) -> splits.Split:
    if way == "time":
        return splits.split_by_time(frame()["day"].to_numpy())
    return (
        splits.split_by_group(splits.group_numbers(frame()["group"]), 0)
        if way == "group"
        else splits.split_at_random(ROWS, 0)
    )


@pytest.mark.parametrize("way", ["", "time=day", "group=group"])
@pytest.mark.parametrize("form", [csv, parquet, as_it_is])
def test_only_training_rows_teach_the_format_of_a_table(form, way, tmp_path):
    told: dict[str, Any] = {"split": way} if way else {}
    before = plausibly.load(form(frame(), tmp_path), **told)
    split = split_of(way.partition("=")[0])
    for part in HELD:
        after = plausibly.load(form(otherwise(frame(), getattr(split, part)), tmp_path), **told)
        assert after.format.to_json() == before.format.to_json()
        assert torch.equal(after.train.codes, before.train.codes)
        assert not torch.equal(getattr(after, part).codes, getattr(before, part).codes)
    taught = plausibly.load(form(otherwise(frame(), split.train[:3]), tmp_path), **told)
    assert taught.format.to_json() != before.format.to_json()


@pytest.mark.parametrize("form", [csv, parquet, as_it_is])
def test_only_training_rows_teach_the_format_where_files_bring_the_others(form, tmp_path):
    def formats(given: pd.DataFrame) -> list[Any]:
        rows, other = form(frame(), tmp_path), form(given, tmp_path, "y")
        both = [{"valid": other}, {"test": other}, {"valid": other, "test": other}]
        return [plausibly.load(rows, **each).format.to_json() for each in both]

    assert formats(frame(1)) == formats(otherwise(frame(1), np.arange(ROWS)))


def test_only_training_rows_teach_the_format_of_a_file_read_in_pieces(tmp_path, monkeypatch):
    for name, value in (("LARGE_CELLS", 100), ("ROWS_PER_PIECE", 50), ("FORMAT_ROWS", 60)):
        monkeypatch.setattr(table_files, name, value)
    before, split = plausibly.load(csv(frame(), tmp_path)), split_of("")
    for part in HELD:
        after = plausibly.load(csv(otherwise(frame(), getattr(split, part)), tmp_path))
        assert after.format.to_json() == before.format.to_json() and torch.equal(
            after.train.codes, before.train.codes
        )


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_types_of_a_file_without_a_word_of_pandas_do_not_depend_on_held_out_holes(suffix, tmp_path):
    """Whole numbers and truths of Arrow's may have holes in any row."""
    rows, split = frame().assign(truth=np.arange(ROWS) % 3 == 0), split_of("")

    def format_of(holes: np.ndarray) -> Any:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        hidden = pa.array(np.isin(np.arange(ROWS), holes))
        for name in ("count", "truth", "day"):
            cells = pc.if_else(hidden, None, table[name])
            table = table.set_column(table.schema.get_field_index(name), name, cells)
        table = table.replace_schema_metadata(None)
        path = tmp_path / f"x.{suffix}"
        pq.write_table(table, path) if suffix == "parquet" else feather.write_feather(table, path)
        data = plausibly.load(path)
        back = data.format.rows(
            data.format.events(plausibly.data.load_rows(str(path), data.format))
        )
        assert (
            pa.Table.from_pandas(back, preserve_index=False)
            .replace_schema_metadata(None)
            .equals(table)
        )
        return data.format.to_json()

    none = format_of(np.array([], dtype=int))
    assert (
        none
        == format_of(split.test[:3])
        == format_of(split.calibration[:2])
        != format_of(split.train[:3])
    )


def npy(rows: np.ndarray, folder: Path) -> Path:
    np.save(folder / "x.npy", rows)
    return folder / "x.npy"


def with_labels(rows: np.ndarray, folder: Path) -> Path:
    np.savez(folder / "x.npz", x=rows, y=np.arange(len(rows)) % 3)
    return folder / "x.npz"


def pictures(rows: np.ndarray, folder: Path) -> Path:
    (folder / "x").mkdir(exist_ok=True)
    for number, row in enumerate(rows):
        Image.fromarray(row.reshape(2, 3).astype(np.uint8)).save(folder / "x" / f"{number:03}.png")
    return folder / "x"


def plain(rows: np.ndarray, folder: Path) -> np.ndarray:
    return rows


@pytest.mark.parametrize(
    ("form", "top", "options"),
    [
        (plain, 5, {}),
        (npy, 5, {}),
        (npy, 5.5, {}),
        (plain, 5.5, {}),
        (npy, 500, {}),
        (with_labels, 5, {"labelled": True}),
        (pictures, 5, {}),
    ],
)
def test_only_training_rows_teach_the_format_of_an_array(
    form: Callable[..., Any], top, options, tmp_path
):
    """Small whole numbers and pixels are closed: there held-out rows become lower."""
    rows = np.random.default_rng(0).integers(0, 6, (ROWS, 6)) * (top / 5)
    rows = rows.astype(np.uint8 if top == 5 else np.int64 if top == 500 else np.float64)
    before, split = plausibly.load(form(rows, tmp_path), **options), split_of("")
    for part in HELD:
        moved = rows.copy()
        moved[getattr(split, part)] = (
            moved[getattr(split, part)] // 2 if top == 5 else 77 * rows[0] + 1
        )
        after = plausibly.load(form(moved, tmp_path), **options)
        assert after.format.to_json() == before.format.to_json() and torch.equal(
            after.train.codes, before.train.codes
        )


def test_labels_are_those_of_training_rows(tmp_path):
    rows, split = np.random.default_rng(0).integers(0, 2, (ROWS, 6)).astype(np.uint8), split_of("")
    labels = np.arange(ROWS) % 3
    labels[split.test] = 7
    np.savez(tmp_path / "x.npz", x=rows, y=labels)
    with pytest.raises(plausibly.errors.UserError, match="7 is none of 0, 1, 2"):
        plausibly.load(tmp_path / "x.npz", labelled=True)


@pytest.mark.parametrize("model", ["chow_liu", "nade"])
def test_test_and_calibration_rows_teach_nothing(model, tmp_path):
    """Neither format nor weights; validation rows choose, and so may change the weights."""
    split = split_of("")

    def fitted(rows: pd.DataFrame, name: str) -> Any:
        return plausibly.fit(
            csv(rows, tmp_path, name),
            model,
            out=tmp_path / name,
            steps=20 if model == "nade" else None,
        )

    before = fitted(frame(), "before")
    after = fitted(otherwise(frame(), np.concatenate([split.test, split.calibration])), "after")
    assert before.format.to_json() == after.format.to_json()
    assert before.record["weights_sha256"] == after.record["weights_sha256"]
    assert before.record["validation"] == after.record["validation"]
    assert before.record["test"] != after.record["test"]
    chosen = fitted(otherwise(frame(), split.valid), "chosen")
    assert chosen.format.to_json() == before.format.to_json()
    assert chosen.record["validation"] != before.record["validation"]
