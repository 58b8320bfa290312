"""A file that is read a piece at a time gives the events that it gives as a whole."""

import numpy as np
import pandas as pd
import pytest
import torch

import plausibly
from benchmarks.large import STEPS, chunk, make, measured
from plausibly.data.loading import load
from plausibly.data.sources import table_files
from plausibly.errors import UserError
from plausibly.report.samples import MAX_SAMPLES, real_events
from plausibly.report.scales import make_plotted_rows

ROWS = 3000


@pytest.fixture
def piecemeal(monkeypatch):
    """Every file is large."""
    monkeypatch.setattr(table_files, "LARGE_CELLS", 0)
    monkeypatch.setattr(table_files, "ROWS_PER_PIECE", 700)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, frame = tmp_path_factory.mktemp("large"), chunk(0, ROWS)
    frame.to_parquet(path / "orders.parquet", row_group_size=1000)
    frame.to_csv(path / "orders.csv", index=False)
    frame.to_feather(path / "orders.arrow")
    return path


def both(monkeypatch, source, **options):
    """The data of a file as a whole, and a piece at a time."""
    whole = load(source, **options)
    for name, value in (("LARGE_CELLS", 0), ("ROWS_PER_PIECE", 700)):
        monkeypatch.setattr(table_files, name, value)
    return whole, load(source, **options)


@pytest.mark.parametrize("name", ["orders.parquet", "orders.csv", "orders.arrow"])
@pytest.mark.parametrize("split", [None, "time=ordered", "group=country"])
def test_the_same_events(monkeypatch, folder, name, split):
    whole, streamed = both(monkeypatch, folder / name, split=split, seed=3)
    assert streamed.format.to_json() == whole.format.to_json()
    assert (streamed.fingerprint, streamed.regular, streamed.rows) == (
        whole.fingerprint,
        whole.regular,
        whole.rows,
    )
    assert streamed.relations == whole.relations and set(whole.notes) - set(streamed.notes) <= set(
        repeats(whole)
    )
    for part in ("train", "valid", "test", "calibration"):
        one, other = getattr(whole, part), getattr(streamed, part)
        assert torch.equal(one.codes, other.codes) and torch.equal(one.log_within, other.log_within)
        if part != "train":
            pd.testing.assert_frame_equal(whole.format.rows(one), streamed.format.rows(other))
    assert streamed.train.values is None
    pd.testing.assert_frame_equal(
        whole.format.rows(whole.train), streamed.format.rows(streamed.shown)
    )


def repeats(dataset):
    return [note for note in dataset.notes if "also occur" in note]


def test_parts_of_their_own(monkeypatch, folder):
    own = {"valid": folder / "orders.csv", "test": folder / "orders.csv"}
    for given in (own, {"test": own["test"]}, {"valid": own["valid"]}):
        whole, streamed = both(monkeypatch, folder / "orders.csv", **given)
        monkeypatch.undo()
        assert streamed.rows == whole.rows
        assert all(
            torch.equal(getattr(whole, p).codes, getattr(streamed, p).codes) for p in whole.rows
        )


def test_some_rows_teach_the_format_and_all_are_coded(monkeypatch, piecemeal, folder):
    monkeypatch.setattr(table_files, "FORMAT_ROWS", 500)
    monkeypatch.setattr(table_files, "MAX_HELD_OUT_ROWS", 100)
    on_progress: list[tuple[int, int]] = []
    dataset = load(folder / "orders.parquet", on_progress=lambda *told: on_progress.append(told))
    width = len(pd.read_parquet(folder / "orders.parquet").columns)
    assert on_progress == [(first * width, ROWS * width) for first in range(0, ROWS, 700)]
    assert dataset.rows == {"train": 2250, "valid": 100, "test": 100, "calibration": 100}
    assert len(dataset.shown) == 500 and any(
        "learned from 500 training rows" in note for note in dataset.notes
    )
    order = next(column for column in dataset.format.table.aside if column.name == "order_id")
    assert order.role == "id" and order.first == "1"
    frame = pd.read_parquet(folder / "orders.parquet")
    again = dataset.format.events(frame)
    held = {part: getattr(dataset, part).codes for part in ("valid", "test", "calibration")}
    rows = {tuple(row) for row in again.codes.tolist()}
    assert all(
        tuple(row) in rows
        for codes in [dataset.train.codes, *held.values()]
        for row in codes.tolist()
    )
    pd.testing.assert_frame_equal(dataset.format.rows(again), frame)


def test_a_hole_outside_the_rows_that_teach_is_no_error(monkeypatch, piecemeal, tmp_path):
    monkeypatch.setattr(table_files, "FORMAT_ROWS", 50)
    draw = np.random.default_rng(0)
    flags = pd.array(draw.random(2000) < 0.3, dtype="boolean")
    flags[1234] = pd.NA
    pd.DataFrame({"flag": flags, "number": draw.integers(0, 9, 2000)}).to_parquet(
        tmp_path / "t.parquet"
    )
    dataset = load(tmp_path / "t.parquet")
    assert dataset.format.table.modelled[0].kind.open and sum(dataset.rows.values()) == 2000


def test_a_wrong_line_is_named_by_its_place_in_the_file(piecemeal, folder, tmp_path):
    lines = (folder / "orders.csv").read_text().splitlines()
    lines[2000] += ",one too many"
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 2001: 21 cells, but the header has 20"):
        load(tmp_path / "t.csv")


def test_a_run_of_a_large_file_is_tested_reported_and_judged(piecemeal, folder, tmp_path):
    run = plausibly.fit(folder / "orders.parquet", "chow_liu", out=tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()
    assert run.evaluate().value == pytest.approx(run.record["test"]["value"])
    assert run.samples().rows > 0


def test_a_hundredth_of_ten_million_rows_takes_little_memory(tmp_path):
    """What is held beside codes is a piece of rows; `benchmarks.large` has the whole."""
    path, words = (
        tmp_path / "orders.parquet",
        {"model": "independent", "settings": {}, "run": str(tmp_path / "run")},
    )
    make(path, 100_000)
    _, base = measured(STEPS["import"])
    piecemeal = "from plausibly.data.sources import table_files as files; files.LARGE_CELLS, files.FORMAT_ROWS = 0, 20_000; "
    words |= {"path": str(path), "out": str(tmp_path), "rows": 100_000}
    peaks = [
        measured(piecemeal + STEPS[name].format(**words))[1] - base
        for name in ("fit", "sample", "score")
    ]
    assert (
        len(pd.read_parquet(tmp_path / "samples.parquet"))
        == len(pd.read_parquet(tmp_path / "scores.parquet"))
        == 100_000
    )
    assert max(peaks) < 400  # MiB; the frame alone has 60


def test_few_test_rows_of_their_own_are_drawn_with_training_rows_that_have_values(
    piecemeal, folder, tmp_path
):
    pd.read_parquet(folder / "orders.parquet")[:9].to_parquet(tmp_path / "test.parquet")
    dataset = load(folder / "orders.parquet", test=tmp_path / "test.parquet")
    events, word = real_events(dataset)
    assert word == "training rows" and len(make_plotted_rows(dataset.format, events)) == min(
        len(dataset.train), 10 * MAX_SAMPLES
    )
