"""The measures of `benchmarks.tables`, against what they are by definition."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.scripted import draw_table
from benchmarks.tables.columns import column_distance, column_ratios, total_variation
from benchmarks.tables.copies import copied_shares, nearer_share, nearer_shares, nearest, place_rows
from benchmarks.tables.fits import Trial
from benchmarks.tables.judge import delong, encode, judge
from benchmarks.tables.lines import Lines, markdown
from benchmarks.tables.planted import PLANTED, Law, draw_planted, share_found
from benchmarks.tables.prediction import losses
from benchmarks.tables.rules import lost_auc
from benchmarks.tables.sources import FOLDS, prepare_table, read_rows
from benchmarks.tables.trees import draw_by_trees, pick_donors
from benchmarks.tables.tvae import fill_holes, is_number, restore


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


def trial_of(train, held_out, made):
    return Trial(None, "none", None, train, held_out, made)


def test_rows_that_are_handed_out_are_nearer_to_training_and_copies_and_fresh_ones_are_not():
    chance = np.random.default_rng(73)
    train, held_out, fresh = (
        draw_pairs(2000, chance).assign(z=chance.random(2000)) for _ in range(3)
    )
    (copied, usual), (same, other) = (
        nearer_shares(trial_of(train, held_out, made), 0) for made in (train, fresh)
    )
    assert copied.value > usual.value + 6 * np.hypot(copied.error, usual.error)
    assert abs(same.value - other.value) < 6 * np.hypot(same.error, other.error)
    (repeated, never), (none, _) = (
        copied_shares(trial_of(train, held_out, made)) for made in (train, fresh)
    )
    assert (repeated.value, never.value, none.value) == (1, 0, 0)


def test_the_distance_is_ranks_and_levels_and_a_hole_is_far_from_every_number():
    rows = pd.DataFrame({"x": [1, 10, 1000, None], "town": ["a", "a", "b", None]})
    places = place_rows([rows, rows])[1]
    apart = np.array(
        [[nearest(places[[i]], places[[j]])[1][0] for j in range(4)] for i in range(4)]
    )
    # ranks are thirds; two columns
    np.testing.assert_allclose(apart[0, :3], [0, 1 / 6, (2 / 3 + 1) / 2])
    assert (np.diag(apart) == 0).all() and (apart[3, :3] >= 1).all()


def test_an_independent_draw_is_as_far_as_an_independent_draw_and_another_law_farther():
    chance = np.random.default_rng(74)
    train, held_out, same = (draw_pairs(2000, chance) for _ in range(3))
    trials = [trial_of(train, held_out, made) for made in (same, same.assign(x=same["x"] + 0.5))]
    alike, other = (column_ratios([trial], 0) for trial in trials)
    assert alike.between(1 / 3, 3).all()
    assert other["x"] > 4 and other["town"] == alike["town"]


def test_distances_of_columns_by_hand():
    a, b = np.array([0, 0, 1, np.nan]), np.array([0, 1, 1, 1])
    assert total_variation(a, b) == pytest.approx(0.5)
    assert column_distance(a, b) == pytest.approx(2 / 3 - 1 / 4)
    assert column_distance(np.array([1, 2, np.nan, np.nan]), np.array([1.0, 2])) == 0.5


@pytest.mark.parametrize("trees", [1, 5])
def test_sequential_trees_draw_what_depends_and_only_cells_of_training(trees):
    chance = np.random.default_rng(75)
    train = draw_pairs(800, chance)
    train["sign"] = np.where(train["x"] > 0, "up", "down")
    made = draw_by_trees(train, 500, trees, 0)
    assert list(made) == list(train) and len(made) == 500
    for name in train:
        assert set(made[name].dropna()) <= set(train[name].dropna())
    # a leaf of five rows may hold a few of either sign about 0
    assert ((made["x"] > 0) == (made["sign"] == "up")).mean() > 0.97
    holes = made["town"].isna().mean()
    assert abs(holes - 0.1) < 6 * (0.1 * 0.9 * (1 / 500 + 1 / 800)) ** 0.5


def test_a_donor_is_in_the_leaf_that_was_asked_for():
    chance = np.random.default_rng(76)
    leaves, asked = chance.integers(4, size=(200, 3)), chance.integers(4, size=(50, 3))
    donors = pick_donors(leaves, asked, chance)
    assert (leaves[donors] == asked).any(1).all()


def test_what_tvae_learns_from_is_put_back():
    train = pd.DataFrame(
        {"x": np.arange(50) / 4, "even": np.arange(50) % 2 == 0, "few": [1, None] * 25}
    )
    train.loc[3, "x"] = None
    numbers = [name for name in train if is_number(train[name])]
    filled = fill_holes(train, numbers)
    assert numbers == ["x"] and not filled.isna().any().any()
    pd.testing.assert_frame_equal(restore(filled, train, numbers), train, check_dtype=False)


def test_losses_are_those_of_the_true_labels():
    chances = pd.DataFrame({"a": [0.25, 0.5], "b": [0.75, 0.5]})
    np.testing.assert_allclose(losses(chances, pd.Series(["b", "c"])), -np.log([0.75, 1e-6]))


def test_shuffling_the_column_that_tells_loses_the_auc():
    chance = np.random.default_rng(77)
    real, made = (draw_pairs(1000, chance, shift) for shift in (0, 2))
    lost = lost_auc(trial_of(real, real, made), {"x": np.array([0]), "town": np.array([1])}, 0)
    whole, fallen = lost["x"]
    assert whole > 0.8 and fallen > 0.3 and abs(lost["town"][1]) < 0.05


def test_rows_as_near_to_either_sort_count_half():
    places = place_rows([pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})] * 2)[0]
    share = nearer_share(places, places, places)
    assert (share.value, share.error) == (0.5, 0)


@pytest.mark.parametrize("seed", [3, 4])
def test_planted_rows_are_made_of_fresh_ones_and_cannot_be(seed):
    """Ten rows differ from fresh ones, each by what its kind says, and no column is left with another type."""
    rows, kinds = draw_planted(seed)
    fresh = draw_table(seed, len(rows), 2)
    changed = ~((rows == fresh) | (rows.isna() & fresh.isna())).all(axis=1).to_numpy()
    assert (kinds != "").sum() == PLANTED and not changed[kinds == ""].any()
    assert changed[kinds != ""].sum() >= PLANTED - 1  # a coin may say one row's cells alone
    law = Law(draw_table(seed, 2000, 3))
    for place in np.flatnonzero(kinds == "negated"):
        (name,) = [name for name in law.numbers if rows[name][place] == -fresh[name][place] != 0]
        assert law.sorted[name][0] >= 0 and law.is_beyond(name, rows[name][place])
    a, b = law.never_together(np.random.default_rng(seed)).items()
    assert not ((law.known[a[0]] == a[1]) & (law.known[b[0]] == b[1])).any()


def test_the_share_found_counts_planted_rows_among_the_oddest():
    kinds = np.array(["", "unit", "", "swapped"] + [""] * 96, dtype=object)
    oddness = np.arange(100.0)[::-1]
    assert share_found(oddness, kinds) == 0.5
    assert share_found(oddness, kinds, "unit") == 1.0
    assert share_found(oddness, kinds, "swapped") == 0.0
