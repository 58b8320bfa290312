"""The measures of `benchmarks.tables`, against what they are by definition."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.tables.judge import delong, encode, judge
from benchmarks.tables.lines import Lines, markdown
from benchmarks.tables.sources import FOLDS, prepare_table, read_rows


def draw_pairs(rows, chance, shift=0.0):
    x = chance.normal(shift, size=rows).round(2)
    town = np.where(chance.random(rows) < 0.5, "a", "b")
    return pd.DataFrame({"x": x, "town": pd.Series(town).mask(chance.random(rows) < 0.1)})


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    cells = pd.DataFrame({"row": np.arange(103), "cell": np.arange(103) % 7 / 10})
    cells.to_csv(folder / "small.csv.gz", index=False)
    return prepare_table("small", folder, folder / "splits", 5)


def test_every_row_is_held_out_once_and_never_where_it_was_seen(folds):
    held_out = [read_rows(split.held_out)["row"] for split in folds.splits]
    assert len(folds.splits) == FOLDS
    assert sorted(pd.concat(held_out)) == list(range(103))
    for split, rows in zip(folds.splits, held_out, strict=True):
        assert sorted([*read_rows(split.train)["row"], *rows]) == list(range(103))


def test_cells_of_a_part_are_written_as_they_were(folds):
    assert {*read_rows(folds.splits[0].train)["cell"].astype(str)} <= {f"0.{k}" for k in range(7)}


def test_the_auc_is_scikit_learns_and_its_error_that_of_repeats():
    chance = np.random.default_rng(71)
    found = []
    for _ in range(2000):
        real, made = chance.normal(0.5, size=60).round(1), chance.normal(size=90).round(1)
        found.append(delong(real, made))
    y = np.repeat([1, 0], [60, 90])
    assert found[-1][0] == pytest.approx(roc_auc_score(y, np.concatenate([real, made])))
    aucs, variances = np.transpose(found)
    # the spread of 2,000 repeats is known to 1.6 %
    assert variances.mean() ** 0.5 == pytest.approx(aucs.std(), rel=0.1)


def test_a_judge_is_blind_to_the_same_law_and_sees_another():
    chance = np.random.default_rng(72)
    real, same, other = (draw_pairs(400, chance, shift) for shift in (0, 0, 1.5))
    blind, seen = judge(real, same), judge(real, other)
    assert abs(blind.value - 0.5) < 6 * blind.error
    assert seen.value > 0.5 + 6 * seen.error


def test_holes_are_holes_and_levels_are_ranked_by_how_many_they_are():
    frames = [pd.DataFrame({"x": [1.0, None], "town": ["b", "b"]})]
    frames.append(pd.DataFrame({"x": [2, 3], "town": ["a", None]}))
    (first, second), categories = encode(frames)
    assert categories == [1]
    np.testing.assert_array_equal(first, [[1, 0], [np.nan, 0]])
    np.testing.assert_array_equal(second, [[2, 1], [3, np.nan]])


def test_a_line_that_was_cut_off_is_not_there(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl")
    lines.add("penguins", "auc", [{"AUC": 0.51234}])
    with lines.path.open("a") as file:
        file.write('{"table": "titanic", "part": "auc", "AU')
    lines.add("penguins", "copies", [{"copies": 0.0}])
    assert lines.has("penguins", "auc") and lines.has("penguins", "copies")
    assert not lines.has("titanic", "auc")
    assert markdown(lines.read()).splitlines()[2:] == [
        "| penguins | 0.5123 |  |",
        "| penguins |  | 0 |",
    ]
