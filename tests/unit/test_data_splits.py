"""Splits: every row is in one part, the seed decides, times and groups stay whole."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plausibly.data import Dataset, load, splits
from plausibly.errors import UserError

PARTS = ("train", "valid", "test", "calibration")
few = settings(max_examples=60, deadline=None)


def complete(split: splits.Split, rows: int) -> bool:
    """Every row in one part; no part empty but that for calibration, and that only below twenty rows."""
    parts = split if len(split.calibration) else split[:3]
    return sorted(np.concatenate(split).tolist()) == list(range(rows)) and all(
        len(part) for part in parts
    )


@given(st.integers(3, 500), st.integers(0, 9))
@few
def test_at_random(rows: int, seed: int) -> None:
    split = splits.split_at_random(rows, seed)
    assert complete(split, rows) and len(split.test) == len(split.valid) == max(1, rows // 10)
    assert len(split.calibration) == rows // 20
    assert all(
        np.array_equal(a, b) for a, b in zip(split, splits.split_at_random(rows, seed), strict=True)
    )


@given(st.lists(st.integers(0, 12), min_size=3, max_size=200))
@few
def test_by_time(times: list[int]) -> None:
    ranks = np.array(times)
    if len(set(times)) < 3:
        with pytest.raises(UserError, match="3 different times"):
            splits.split_by_time(ranks)
        return
    split = splits.split_by_time(ranks)
    assert complete(split, len(times))
    assert bool(len(split.calibration)) == (len(times) >= 20 and len(set(times)) > 3)
    in_time = [
        split.train,
        split.valid,
        *([split.calibration] if len(split.calibration) else []),
        split.test,
    ]
    assert all(ranks[a].max() < ranks[b].min() for a, b in pairwise(in_time))


@given(st.lists(st.integers(0, 12), min_size=3, max_size=200), st.integers(0, 9))
@few
def test_by_group(groups: list[int], seed: int) -> None:
    if len(set(groups)) < 3:
        with pytest.raises(UserError, match="3 groups"):
            splits.split_by_group(np.array(groups), seed)
        return
    split = splits.split_by_group(np.array(groups), seed)
    assert complete(split, len(groups))
    assert bool(len(split.calibration)) == (len(groups) >= 20 and len(set(groups)) > 3)
    parts = [set(np.array(groups)[part].tolist()) for part in split]
    assert sum(map(len, parts)) == len(set(groups))


def test_sizes_of_the_parts() -> None:
    split = splits.split_by_time(np.arange(1_000))
    assert [len(part) for part in split] == [750, 100, 100, 50] and split.test.min() == 900
    assert split.calibration.tolist() == list(range(850, 900))
    grouped = splits.split_by_group(np.arange(1_000) // 5, 0)
    assert [len(part) for part in grouped] == [750, 100, 100, 50]


def values(data: Dataset, part: str, column: str) -> list:
    return data.format.rows(getattr(data, part))[column].tolist()


@pytest.mark.parametrize(
    "times",
    [
        [f"{day:02d}/{month:02d}/2020" for month in range(1, 13) for day in (1, 15)],
        [str(number) for number in range(-12, 12)],
        [f"{number}.5" for number in range(0, 240, 10)],
    ],
)
def test_times_are_ordered_as_what_they_are(tmp_path: Path, times: list[str]) -> None:
    order = np.random.default_rng(0).permutation(len(times))
    frame = pd.DataFrame({"when": np.array(times)[order], "y": np.array(list("ab") * 12)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load(str(tmp_path / "t.csv"), split="time=when", kinds={"when": "category"})
    assert set(map(str, values(data, "test", "when"))) == set(times[-2:])
    assert set(map(str, values(data, "calibration", "when"))) == {times[-3]}
    assert set(map(str, values(data, "valid", "when"))) == set(times[-5:-3])


def test_holes_in_times_are_refused() -> None:
    frame = pd.DataFrame({"t": [1.0, None, 3.0] * 9, "y": list("abc") * 9})
    with pytest.raises(UserError, match="row 2, column 't'"):
        load(frame, split="time=t")


@pytest.mark.parametrize("hole", ["", "NA"])
def test_holes_in_times_of_a_file_are_refused(tmp_path: Path, hole: str) -> None:
    for times in (
        ["5", "30", hole, "200"],
        ["2020-01-01", "2021-01-01", hole, "2022-02-02"],
        ["x", "y", hole, "z"],
    ):
        (tmp_path / "t.csv").write_text(
            "t,y\n" + "".join(f"{time},{y}\n" for y in "abcde" for time in times)
        )
        with pytest.raises(UserError, match=r"t.csv, row 3, column 't': a hole"):
            load(str(tmp_path / "t.csv"), split="time=t")


def test_times_that_cannot_be_ordered(tmp_path: Path) -> None:
    numbers = pd.DataFrame({"t": [*map(str, range(199)), "soon"], "y": list("ab") * 100})
    numbers.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match="row 200, column 't': 'soon' is no number"):
        load(str(tmp_path / "t.csv"), split="time=t")
    frame = pd.DataFrame(
        {"d": ["05/12/2020", "06/11/2020", "07/10/2019"] * 9, "y": list("abc") * 9}
    )
    with pytest.raises(UserError, match=r"column 'd': day and month are ambiguous.*--kind d=date"):
        load(frame, split="time=d")
    data = load(frame, split="time=d", kinds={"d": "date"})
    assert set(values(data, "test", "d")) == {"06/11/2020"} and set(values(data, "train", "d")) == {
        "07/10/2019"
    }


@pytest.mark.parametrize("numeric", [False, True])
def test_the_holes_of_groups_are_a_group(tmp_path: Path, numeric: bool) -> None:
    names = [None if row % 5 == 0 else row % 5 if numeric else f"g{row % 5}" for row in range(100)]
    frame = pd.DataFrame({"g": names, "y": list("ab") * 50})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for source in (frame, str(tmp_path / "t.csv")):
        data = load(source, split="group=g", kinds={"g": "category"})
        parts = [set(map(str, values(data, part, "g"))) for part in PARTS]
        assert sum(map(len, parts)) == 5 and len(set.union(*parts)) == 5


def test_groups_stay_together() -> None:
    frame = pd.DataFrame({"g": [f"person {row // 4}" for row in range(200)], "y": list("ab") * 100})
    data = load(frame, split="group=g", kinds={"g": "category"})
    parts = [set(values(data, part, "g")) for part in PARTS]
    assert [len(part) for part in parts] == [37, 5, 5, 3]


def test_the_seed_decides() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200)})
    first, again, other = (values(load(frame, seed=seed), "test", "x") for seed in (1, 1, 2))
    assert first == again != other


def test_parts_that_come_as_files(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(90) % 30, "y": list("abc") * 30})
    frame[:60].to_csv(tmp_path / "train.csv", index=False)
    frame[60:75].to_csv(tmp_path / "valid.csv", index=False)
    frame[75:].to_csv(tmp_path / "test.csv", index=False)
    train, valid, test = (str(tmp_path / f"{part}.csv") for part in ("train", "valid", "test"))
    both = load(train, valid=valid, test=test)
    assert both.rows == {"train": 60, "valid": 15, "test": 15, "calibration": 0}
    assert values(both, "test", "x") == frame["x"][75:].tolist()
    assert load(train, test=test).rows == {"train": 51, "valid": 6, "test": 15, "calibration": 3}
    assert load(train, valid=valid).rows == {"train": 51, "valid": 15, "test": 6, "calibration": 3}
    assert any("15 of 15 test rows also occur in train" in note for note in both.notes)
    assert both.fingerprint != load(train).fingerprint == load(train).fingerprint


def test_repeated_rows_are_counted() -> None:
    frame = pd.DataFrame({"x": np.arange(100) / 7 * 1000})
    assert not [note for note in load(frame).notes if "also occur" in note]
    twice = pd.concat([frame] * 9)
    assert any("90 of 90 test rows also occur in train" in note for note in load(twice).notes)


@given(
    st.integers(20, 200),
    st.integers(0, 9),
    st.sampled_from(["", "time=row", "group=row", "test", "valid"]),
)
@settings(max_examples=25, deadline=None)
def test_calibration_rows_are_in_no_other_part(rows: int, seed: int, how: str) -> None:
    frame = pd.DataFrame(
        {"row": np.arange(rows), "y": ["a", "b"] * (rows // 2) + ["a"] * (rows % 2)}
    )
    other = {how: pd.DataFrame({"row": np.arange(rows, rows + 9), "y": list("ab" * 4 + "a")})}
    options = other if how in ("test", "valid") else {"split": how or None}
    data = load(frame, seed=seed, kinds={"row": "integer"}, **options)
    parts = [set(values(data, part, "row")) for part in PARTS]
    assert len(parts[3]) == rows // 20 and all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == rows + (9 if options is other else 0)


def test_the_test_rows_are_those_that_a_tenth_always_was() -> None:
    """The calibration rows come out of training: validation and test keep the rows that the seed gave them."""
    order, split = np.random.default_rng(5).permutation(200), splits.split_at_random(200, 5)
    assert split.valid.tolist() == sorted(order[:20]) and split.test.tolist() == sorted(
        order[20:40]
    )
