"""Samples of tables: against scipy, sklearn and direct sums, on draws from one law, and under planted faults."""

import json
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from scipy.stats.contingency import association
from sklearn.metrics import r2_score, roc_auc_score

import plausibly
from plausibly.contract.checks import shake_weights
from plausibly.data.events import Events
from plausibly.data.formats.format import leave_out
from plausibly.data.loading import load
from plausibly.errors import UserError
from plausibly.evaluation import intervals
from plausibly.evaluation.intervals import UnitInfluences, influence_by_unit
from plausibly.evaluation.likelihood.by_column import by_column
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.evaluation.samples import coverage, relations, samples, tables
from plausibly.evaluation.samples.comparison import draw_repeats
from plausibly.evaluation.samples.samples import (
    DRAW_REPEATS,
    MAX_DRAWS,
    ReferenceRows,
    Samples,
    measure_table,
    portions,
    rows_to_learn,
)
from plausibly.evaluation.samples.two_samples import roc_auc
from plausibly.evaluation.samples.usefulness import (
    PredictionContest,
    one_against_rest,
    r_squared,
    target_of,
    usefulness,
)
from plausibly.events.kinds import Category, Grid
from plausibly.models import MODELS
from plausibly.runs.building import build
from plausibly.runs.run import Run

ROWS = 1200


def normals(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 2))


def people(n, seed=0, independent=False):
    """Rows whose columns depend on each other, each column with the same law in both cases, with holes."""
    chance = np.random.default_rng(seed)
    town, age = chance.integers(0, 4, n), chance.integers(18, 80, n)
    pay = (age + 20 * town + chance.normal(0, 5, n)).round(1)
    frame = pd.DataFrame(
        {
            "town": np.array(list("abcd"))[town],
            "age": age,
            "pay": pay,
            "height": chance.normal(size=n),
        }
    )
    frame["rich"] = np.where(pay > 80, "yes", "no")
    frame.loc[chance.random(n) < 0.1, "pay"] = np.nan
    frame.loc[chance.random(n) < 0.1, "town"] = None
    return (
        frame.apply(lambda column: chance.permutation(column.to_numpy())) if independent else frame
    )


@pytest.fixture(scope="module")
def data():
    return load(people(ROWS, 9), kinds={"height": "real"})


def measured(data, made, **more):
    """What is told of samples of a table, drawn as `made`, an event set for each draw."""
    rows = ReferenceRows(data.test, data.train, (data.valid, data.test), data.test)
    found = Samples(len(data.test), 0, {})
    return measure_table(found, data.format, made, rows, target_of(data.format), **more)


@pytest.fixture(scope="module")
def fresh(data):
    return measured(data, [data.format.events(people(len(data.train), s)) for s in (1, 2, 3)])


# --- distances of columns and of pairs


def test_ks_is_that_of_scipy_and_a_hole_lies_beyond_all_numbers():
    chance = np.random.default_rng(0)
    for levels in (3, 10**6):
        a, b = chance.integers(0, levels, 60).astype(float), chance.integers(0, levels, 45) * 1.2
        a[:7] = tables.HOLE
        assert tables.kolmogorov_smirnov(a, b).value == pytest.approx(
            ks_2samp(a, b).statistic, abs=1e-12
        )
    assert tables.kolmogorov_smirnov(np.r_[a[:7], np.arange(7)], np.arange(7)).value == 0.5


def test_tv_is_the_direct_sum():
    a, b = np.array(list("aabbbcx")), np.array(list("abcc"))
    want = sum(abs((a == v).mean() - (b == v).mean()) for v in "abcx") / 2
    codes = np.unique(np.r_[a, b], return_inverse=True)[1].astype(float)
    assert tables.total_variation(codes[:7], codes[7:]).value == pytest.approx(want, abs=1e-12)


def test_values_are_numbers_with_holes_and_what_was_not_foreseen_apart(data):
    frame = people(50, 3)
    frame.loc[0, "town"] = "elsewhere"
    found = tables.cell_values(data.format, data.format.events(frame))
    assert np.array_equal(found[:, 2] == tables.HOLE, frame["pay"].isna())
    assert (
        np.array_equal(found[:, 0] == tables.HOLE, frame["town"].isna())
        and found[0, 0] == tables.UNFORESEEN
    )
    known = frame["pay"].notna()
    assert np.allclose(found[known, 2], frame.loc[known, "pay"]) and np.allclose(
        found[:, 3], frame["height"]
    )


def test_bins_hold_frequent_values_apart_and_equal_shares_of_the_rest():
    chance = np.random.default_rng(1)
    column = np.where(chance.random(4000) < 0.6, 0.0, chance.exponential(size=4000))
    column[:400] = tables.HOLE
    bins = tables.bins_of(Grid(), column)
    assert (
        list(bins.own) == [0, tables.UNFORESEEN, tables.HOLE]
        and len(bins.cuts) == tables.NUMBER_BINS - 1
    )
    places = np.bincount(bins.places(column), minlength=bins.count)
    assert (
        places[0] == (column == 0).sum()
        and places[1] == 0
        and places[2] == (column == tables.HOLE).sum()
    )
    assert places[3:].max() - places[3:].min() < 0.1 * places[3:].mean()
    for often in (9, 10):  # of 80 rows: a bin's share, or less
        column = np.append(np.zeros(often), np.arange(1.0, 81 - often))
        assert (0 in tables.bins_of(Grid(), column).own) == (often * tables.NUMBER_BINS >= 80)
    levels = chance.integers(0, 40, 4000) // 2.0
    bins = tables.bins_of(Category(20), levels)
    assert bins.count == tables.MAX_LEVEL_BINS + 1 and not len(bins.cuts)


def test_the_table_of_pairs_is_that_of_each_pair(data):
    real, made = (
        tables.cell_values(data.format, data.format.events(people(*how)))
        for how in ((300, 1), (200, 2))
    )
    bins = tables.pair_bins(data.schema.kinds, real)
    apart = bins.distances(real, made)
    a, b = (
        np.stack([each.places(rows[:, i]) for i, each in enumerate(bins.bins)], 1)
        for rows in (real, made)
    )
    for i, j in combinations(range(5), 2):
        pairs = [
            pd.Series(list(map(tuple, rows[:, [i, j]]))).value_counts(normalize=True)
            for rows in (a, b)
        ]
        want = pairs[0].sub(pairs[1], fill_value=0).abs().sum() / 2
        assert apart[i, j] == pytest.approx(want, abs=1e-12) and apart[j, i] == pytest.approx(
            want, abs=1e-12
        )
        assert apart[i, j] >= max(apart[i, i], apart[j, j]) - 1e-12


def test_cramers_v_is_that_of_scipy_less_its_bias():
    chance = np.random.default_rng(7)
    a, b = chance.integers(0, 4, 300), chance.integers(0, 3, 300)
    for second in (b, np.minimum(a, 2), np.where(chance.random(300) < 0.5, np.minimum(a, 2), b)):
        counts = np.histogram2d(a, second, bins=(4, 3))[0]
        square = association(counts.astype(int), method="cramer") ** 2 * 2 - 3 * 2 / 299
        want = np.sqrt(max(square, 0) / (3 - 2**2 / 299 - 1))
        assert tables.cramers_v(counts) == pytest.approx(want, abs=1e-9)
    assert tables.cramers_v(np.diag([5.0, 6.0, 7.0])) == pytest.approx(1)
    assert tables.cramers_v(np.array([[3.0, 4.0]])) == 0 == tables.cramers_v(np.array([[1.0]]))
    squares = [
        tables.cramers_v(np.histogram2d(*chance.integers(0, 4, (2, 300)), bins=4)[0])
        for _ in range(200)
    ]
    assert np.mean(squares) < 0.04  # the plain one comes to 0.1


def test_dependences_are_those_of_each_pair(data):
    rows = tables.cell_values(data.format, data.format.events(people(400, 1)))
    found = tables.pair_bins(data.schema.kinds, rows).associations(rows)
    assert np.array_equal(found, found.T) and (np.diag(found) == 1).all()
    assert found[2, 4] > 0.6 and found[0, 1] < 0.1


def test_fresh_rows_are_as_far_as_training_rows(fresh):
    assert [each.names[0] for each in fresh.distances.columns] == [
        "town",
        "age",
        "pay",
        "height",
        "rich",
    ]
    assert [each.by for each in fresh.distances.columns] == ["TV", "KS", "KS", "KS", "TV"]
    assert len(fresh.distances.pairs) == 10 and len(fresh.distances.columns[0].draws) == MAX_DRAWS
    for name in ("column_distance", "pair_distance"):
        number = fresh[name]
        assert number.value == pytest.approx(number.reference, abs=6 * 1.5 * number.standard_error)
    assert (
        0.7 < fresh["largest_column_ratio"].value < 1.6 and fresh["largest_pair_ratio"].value < 1.3
    )


def test_a_ratio_is_by_the_distance_of_as_many_real_rows_and_the_largest_of_several_has_no_interval(
    fresh,
):
    def ratio(draws, real):
        return tables.Distance(("x",), "KS", draws, real, UnitInfluences((np.zeros(9),))).ratio

    assert ratio(np.full(3, 0.6), np.full(3, 0.2)) == pytest.approx(3)
    assert ratio(np.zeros(3), np.zeros(3)) == 1 and ratio(np.ones(1), np.zeros(1)) == np.inf
    assert ratio(np.ones(1), None) is None
    assert (
        fresh["largest_pair_ratio"].interval is None is fresh["largest_pair_ratio"].standard_error
    )


def test_rows_pull_at_distances_as_leaving_them_out_does():
    """What each held-out row is said to move a distance by is what it does, where that changes no maximum and no sign."""
    chance = np.random.default_rng(8)
    real = chance.choice(3, (400, 2), p=[0.6, 0.3, 0.1]).astype(float)
    made = chance.choice(3, (370, 2), p=[0.15, 0.15, 0.7]).astype(float)
    bins = tables.PairBins([tables.Bins(np.arange(3.0), np.empty(0))] * 2)
    (pair,) = bins.pulls(real, [made])
    first = [real[:, 0], made[:, 0]]
    for pull, apart in (
        (
            tables.total_variation(*first).pull,
            lambda rows: tables.total_variation(rows[:, 0], first[1]).value,
        ),
        (
            tables.kolmogorov_smirnov(*first).pull,
            lambda rows: tables.kolmogorov_smirnov(rows[:, 0], first[1]).value,
        ),
        (pair, lambda rows: bins.distances(rows, made)[0, 1]),
    ):
        without = np.array([apart(np.delete(real, i, 0)) for i in range(400)])
        assert influence_by_unit(pull) == pytest.approx(intervals.jackknife(without), abs=1e-5)


def test_independent_columns_leave_columns_as_near_and_put_pairs_far(data, fresh):
    shuffled = measured(
        data, [data.format.events(people(len(data.train), s, True)) for s in (1, 2, 3)]
    )
    assert shuffled["column_distance"].value < fresh["column_distance"].value + 0.01
    assert (
        shuffled["pair_distance"].interval[0] > fresh["pair_distance"].interval[1]
    )  # over held-out rows as well
    assert tables.worst_distances(shuffled.distances.pairs, 3)[0].ratio > 2
    assert "pay × rich" in {
        " × ".join(each.names) for each in tables.worst_distances(shuffled.distances.pairs, 3)
    }
    assert shuffled["training_gap"].interval[0] > 0.3
    assert (
        abs(shuffled["trained_on_samples"].value - 0.5)
        < 6 * shuffled["trained_on_samples"].standard_error + 0.02
    )


def test_a_shifted_column_is_named(data, fresh):
    frames = [people(len(data.train), s) for s in (1, 2, 3)]
    made = [
        data.format.events(frame.assign(age=(frame["age"] + 12).clip(upper=79))) for frame in frames
    ]
    found = measured(data, made)
    assert found["largest_column_ratio"].by == "age" and found["largest_column_ratio"].value > 2
    assert tables.worst_distances(found.distances.columns, 1)[0].names == ("age",)


def test_draws_are_portions_of_the_sets():
    sets = [Events(torch.arange(7) + 10 * k, torch.zeros(7)) for k in range(3)]
    found = [part.codes.tolist() for part in portions(sets, 3)]
    assert found == [[0, 1, 2], [3, 4, 5], [10, 11, 12], [13, 14, 15], [20, 21, 22], [23, 24, 25]]
    assert len(list(portions([Events(torch.zeros(50), torch.zeros(50))] * 9, 2))) == MAX_DRAWS


# --- columns that follow from others


def dependent(n, seed, wrong=0.0):
    """Rows with a function and a sum; of a share of rows both are wrong. Holes in a term."""
    chance = np.random.default_rng(seed)
    town, a, b = chance.integers(0, 3, n), chance.integers(1, 90, n), chance.integers(1, 90, n)
    off = chance.random(n) < wrong
    frame = pd.DataFrame(
        {"town": np.array(list("xyz"))[town], "north": np.where((town == 1) ^ off, "yes", "no")}
    )
    frame["a"], frame["b"], frame["whole"] = (
        a,
        np.where(chance.random(n) < 0.1, np.nan, b),
        a + b + off,
    )
    return frame


def test_relations_of_training_rows_are_counted_in_samples():
    data = load(dependent(900, 1))
    assert {(found.column, found.of) for found in data.relations} == {
        ("north", ("town",)),
        ("whole", ("a", "b")),
    }
    rows = ReferenceRows(data.test, data.train, (data.test,), data.test, data.relations)
    for wrong in (0.0, 0.25):
        frames = [dependent(len(data.train), seed, wrong) for seed in (2, 3)]
        found = measure_table(
            Samples(9, 0, {}), data.format, list(map(data.format.events, frames)), rows, None
        )
        frame = pd.concat(frames)
        expected = {"north": np.mean((frame["north"] == "yes") == (frame["town"] == "y"))}
        expected["whole"] = np.mean((frame["a"] + frame["b"] == frame["whole"])[frame["b"].notna()])
        assert {each.relation.column: each.samples for each in found.relations} == pytest.approx(
            expected
        )
        assert [each.real for each in found.relations] == [1.0, 1.0]
    headings, cells, _ = found.tables()[-1]
    assert headings == ["column", "is a", "samples", "real rows"] and [
        row[3] for row in cells[:1]
    ] == ["1.0000"]
    assert found.to_json()["relations"][0]["samples"] == found.relations[0].samples


def test_rows_with_a_value_never_seen_are_not_asked():
    train, rows = np.array([[0, 0], [1, 1], [0, 2]]), np.array([[0, 0], [0, 1], [0, 3], [5, 9]])
    assert relations.function_holds(train, rows).tolist() == [True, False]


# --- copies, and how near training rows are


def test_copies_are_all_equal_and_at_no_distance(data, fresh):
    copies = measured(data, [data.train] * 3)
    assert (
        copies["copies"].value == 1
        and fresh["copies"].value == 0
        and copies["copies"].reference == 0
    )
    assert copies["closest_record"].value == 0 < copies["closest_record"].reference
    assert copies["near_records"].value == 1 and copies["near_records"].rows == len(data.test)
    assert abs(fresh["near_records"].value - 0.05) < 6 * fresh["near_records"].standard_error
    typical = fresh["closest_record"]
    assert typical.value == pytest.approx(typical.reference, abs=6 * 1.5 * typical.standard_error)


def test_rows_are_compared_as_they_are_written():
    """Draws of a float32 column are float64 numbers inside; the rows write fewer digits."""
    frame = people(300, 1).astype({"height": np.float32})
    data = load(frame, kinds={"height": "real"})
    close = data.train[:]
    cells = close.values[data.format.names.index("height")]
    cells.values = cells.values * (1 + 1e-12)
    ours, theirs, train = tables.factorise_cells(
        data.format, [close[:10], close[10:]], [data.test], [data.train]
    )
    assert np.array_equal(ours, train) and len(theirs) == len(data.test) and ours.shape[1] == 5
    other = data.format.rows(data.train).assign(height=np.float32(1.5))
    ours, train = tables.factorise_cells(data.format, [data.format.events(other)], [data.train])
    assert not (ours[:, 3] == train[:, 3]).any() and np.array_equal(
        np.delete(ours, 3, 1), np.delete(train, 3, 1)
    )


def test_the_closest_is_that_of_all_pairs():
    chance = np.random.default_rng(3)
    for decimals in (0, 9):
        a, b = (
            chance.normal(size=(40, 3)).round(decimals),
            chance.normal(size=(60, 3)).round(decimals),
        )
        assert np.allclose(coverage.closest_distances(a, b), cdist(a, b).min(1), atol=1e-12)


@pytest.fixture
def plainly(monkeypatch):
    """Distances by scipy, which is faster for few rows."""
    monkeypatch.setattr(
        coverage, "closest_distances", lambda rows, others: cdist(rows, others).min(1)
    )


@pytest.mark.parametrize("rows", [20, 137, 5000])
@pytest.mark.parametrize(("share", "level"), [(0.5, 0.95), (0.05, 0.975), (0.9, 0.5)])
def test_ranks_hold_a_quantile_but_for_half_of_the_rest_on_either_side(rows, share, level):
    """By the binomial law of how many draws lie below the quantile; nearer ranks would not."""
    low, high = coverage.quantile_ranks(rows, share, level)
    below, beyond = stats.binom(rows, share), (1 - level) / 2
    assert below.cdf(low - 1) <= beyond < below.cdf(low)
    assert below.sf(high - 1) <= beyond < below.sf(high - 2)


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_share_of_near_rows_is_5_percent_of_fresh_draws_with_ties_and_without(
    decimals, plainly, monkeypatch
):
    monkeypatch.setattr(coverage, "BOOTSTRAPS", 2)
    shares = []
    for seed in range(400):
        rows = np.random.default_rng(seed).normal(size=(420, 2)).round(decimals)
        shares.append(
            coverage.closest_records(rows[:140], rows[140:280], rows[280:], "x")["near_records"]
        )
    values = np.array([share.value for share in shares])
    assert abs(values.mean() - 0.05) < 6 * values.std() / 20
    assert np.mean([share.standard_error for share in shares]) == pytest.approx(
        values.std(), rel=6 / 800**0.5
    )


def test_the_error_of_the_usual_distance_is_that_of_repetition(plainly):
    train, found = normals(100, 1000), []
    for seed in range(200):
        found.append(
            coverage.closest_records(normals(200, seed), train[:50], train, "x")["closest_record"]
        )
    values = np.array([number.value for number in found])
    assert np.mean([number.standard_error for number in found]) == pytest.approx(
        values.std(), rel=6 / 400**0.5
    )


# --- training on samples


def test_auc_of_levels_is_sklearns_and_the_error_that_of_a_bootstrap():
    chance = np.random.default_rng(4)
    truth = chance.integers(0, 3, 400).astype(float)
    scores = np.eye(3)[truth.astype(int)] + chance.normal(size=(400, 3)).round(1)
    scores = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    scores = np.round(scores * 2**20) / 2**20  # of which 1 less the score has no other ties
    found = one_against_rest(truth, scores)
    assert found.value == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr"), abs=1e-12)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    picks = (chance.integers(0, 400, 400) for _ in range(500))
    again = [one_against_rest(truth[rows], scores[rows]).value for rows in picks]
    assert found.influence.std() / 20 == pytest.approx(np.std(again), rel=0.2)
    two = truth < 1
    binary = one_against_rest(two.astype(float), np.stack([1 - scores[:, 0], scores[:, 0]], 1))
    assert binary.value == pytest.approx(roc_auc_score(two, scores[:, 0]), abs=1e-12)
    assert binary.influence.std() / 20 == pytest.approx(
        roc_auc(scores[two, 0], scores[~two, 0])[1], rel=0.01
    )


def test_the_determination_is_sklearns_and_the_error_that_of_a_bootstrap():
    chance = np.random.default_rng(5)
    truth = chance.normal(size=400)
    guess = truth + chance.normal(size=400)
    found = r_squared(truth, guess)
    assert found.value == pytest.approx(r2_score(truth, guess), abs=1e-12)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    picks = (chance.integers(0, 400, 400) for _ in range(500))
    again = [r_squared(truth[rows], guess[rows]).value for rows in picks]
    assert found.influence.std() / 20 == pytest.approx(np.std(again), rel=0.2)


def test_fresh_rows_teach_as_much_as_training_rows(data, fresh):
    gap, skill = fresh["training_gap"], fresh["trained_on_samples"]
    assert abs(gap.value) < 6 * gap.standard_error and skill.value > 0.85
    assert (
        skill.reference == pytest.approx(skill.value + gap.value, abs=1e-12)
        and skill.perfect == skill.reference
    )
    assert (
        skill.by == f"boosted trees, AUC of rich, {len(data.train):,} rows"
        and skill.rows == len(data.test)
    )
    numbers = PredictionContest(data.format, 2, data.test)
    found = usefulness(numbers, data.train, [data.format.events(people(900, 1))])
    assert (
        found["trained_on_samples"].by.startswith("boosted trees, R^2 of pay")
        and found["training_gap"].value < 0.1
    )
    known = int(data.format.rows(data.test)["pay"].notna().sum())
    assert found["trained_on_samples"].rows == known and found["trained_on_samples"].value > 0.7
    shuffled = usefulness(numbers, data.train, [data.format.events(people(900, 1, True))])
    assert shuffled["trained_on_samples"].value < 0.1 and shuffled["training_gap"].interval[0] > 0.5


def test_no_tree_sees_its_target(data):
    contest = PredictionContest(data.format, 4, data.test)
    table, truth = contest.tree_inputs(data.train)
    assert table.shape == (len(data.train), 4) and set(truth) == {0, 1}
    strangers = PredictionContest(data.format, 3, data.test).skill(data.train)
    assert strangers.value < 0.05


@pytest.mark.parametrize("target", range(5))
def test_groups_are_those_of_the_rows_whose_target_is_known(data, target):
    """Neither a hole nor a level that no training row has."""
    frame = people(200, 3)
    frame.loc[:4, "town"] = "elsewhere"
    rows = data.format.events(frame)
    rows.groups = np.arange(200)
    contest = PredictionContest(data.format, target, rows)
    cells = frame[data.format.names[target]]
    known = cells.notna() & (cells != "elsewhere")
    assert contest.groups.tolist() == np.flatnonzero(known).tolist()
    assert len(contest.groups) == len(contest.tree_inputs(rows)[1])


def test_the_target_is_the_last_category_of_few_levels_or_is_named(data):
    assert (
        data.format.names[target_of(data.format)] == "rich" and target_of(data.format, "pay") == 2
    )
    with pytest.raises(UserError, match="did you mean 'pay'"):
        target_of(data.format, "pays")
    chance = np.random.default_rng(6)
    wide = load(
        pd.DataFrame(
            {"a": chance.normal(size=400).round(2), "code": [f"c{k % 30}" for k in range(400)]}
        )
    )
    assert target_of(wide.format) == 0
    with pytest.raises(
        UserError, match="'code' has 30 levels; a target has 2 to 20, or is a number: a would do"
    ):
        target_of(wide.format, "code")
    alone = load(wide.format.rows(wide.train)[["code"]])
    assert target_of(alone.format) is None


def test_few_or_equal_targets_teach_nothing(data):
    contest = PredictionContest(data.format, 4, data.test)
    one = data.train[np.flatnonzero(data.format.rows(data.train)["rich"] == "yes")]
    assert contest.skill(one).value == 0.5
    assert "needs 20 rows" in usefulness(contest, data.train[:19], [data.train])
    assert "needs 20 rows" in usefulness(
        PredictionContest(data.format, 4, one[:30]), data.train, [data.train]
    )


def test_draws_of_rows_have_seeds_of_their_own_and_are_told():
    told, seeds = [], []
    found = draw_repeats(
        lambda rows, seed: (seeds.append(seed), rows)[1], 50, 7, lambda *done: told.append(done)
    )
    assert found == [50] * DRAW_REPEATS and len({7, *seeds}) == DRAW_REPEATS + 1
    assert told == [(k, DRAW_REPEATS) for k in range(DRAW_REPEATS + 1)]


def test_no_two_picks_of_rows_are_by_the_same_numbers(data, monkeypatch):
    """Rows that are set against each other are picked independently."""
    sound, seeds = samples.pick_rows, list[tuple[int, ...]]()

    def pick(rows, many, *numbers):
        seeds.append(numbers)
        return sound(rows, min(many, 60), *numbers)

    monkeypatch.setattr(samples, "pick_rows", pick)
    measured(data, [data.train[:60]] * 2, seed=9)
    assert len(set(seeds)) == len(seeds) > MAX_DRAWS and {each[0] for each in seeds} == {9}


def test_slow_models_draw_fewer_rows_but_not_fewer_than_are_looked_at():
    assert rows_to_learn(300, 100, None) == 300 and rows_to_learn(10**6, 2000, None) == 50_000
    assert rows_to_learn(10**6, 2000, 100.0) == 10_000 and rows_to_learn(10**6, 2000, 0.1) == 2000


# --- nats by column


COUNTING = ["independent", "markov", "chow_liu", "mixture"]
NETWORKS, ANY_ORDER = ["fvsbn", "made", "nade", "transformer"], ["deepnade", "masked_transformer"]
CONTEXTS = [
    *product(COUNTING, [(), (4,)]),
    *product(NETWORKS, [(), (4,), (2, 0), (3,)]),
    *product(ANY_ORDER, [()]),
]


@pytest.mark.parametrize(("name", "context"), CONTEXTS)
def test_nats_by_column_add_up_to_log_p(data, name, context):
    """Of a lone context of few values it is summed out; of others all is given it."""
    model = shake_weights(build(MODELS[name], data.schema, {"context": list(context)})).eval()
    rows = leave_out(data.format, data.test, context)
    found, want = by_column(model, data.format, rows), likelihood(model, rows)
    assert torch.allclose(found.nats.sum(1), want.nats, rtol=1e-6, atol=1e-6)
    assert float(found.means.sum()) == pytest.approx(want.value, rel=1e-8, abs=1e-6)
    assert found.names == tuple(data.format.names[i] for i in model.order if i not in context)
    entry = found.to_json()[0]
    assert (
        entry["bits"] == pytest.approx(-entry["nats"] / np.log(2)) and entry["standard_error"] > 0
    )


def test_nats_of_independent_columns_are_those_of_their_marginals(data, tmp_path):
    model = MODELS["independent"](data.schema).eval()
    found = by_column(model, data.format, data.test)  # untrained: each code as likely as any other
    within = data.format.log_within(data.test)
    for i, name in enumerate(found.names):
        place = data.format.names.index(name)
        if name != "height":
            kind = data.schema.kinds[
                place
            ]  # a code never seen has its share, the others have the rest
            codes = kind.codes - (kind.unforeseen > 0)
            want = np.log1p(-kind.unforeseen) - np.log(codes) + within[:, place].numpy()
            assert np.allclose(found.nats[:, i], want, atol=1e-6)
    assert by_column(MODELS["vae"].tiny(data.schema), data.format, data.test) is None


# --- runs and commands


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    people(ROWS, 9).to_csv(folder / "people.csv", index=False)
    return plausibly.fit(str(folder / "people.csv"), "chow_liu", out=folder / "run")


def test_evaluate_tells_the_columns(run, cli):
    status, out, _ = cli("evaluate", run.path)
    assert (
        status == 0 and "each given those before it in the model's order" in out and "\npay " in out
    )
    document = json.loads(cli("evaluate", run.path, "--json")[1])
    assert sum(column["nats"] for column in document["columns"]) == pytest.approx(
        document["test"]["value"], abs=1e-6
    )
    assert (
        len(
            json.loads(cli("evaluate", run.path, run.record["data"]["source"], "--json")[1])[
                "columns"
            ]
        )
        == 5
    )


def test_evaluate_samples_tells_of_tables(run, cli):
    status, out, err = cli("evaluate", run.path, "--samples", "--quiet")
    assert (status, err) == (0, "")
    for word in (
        "columns, apart",
        "pairs, largest ratio",
        "AUC of rich",
        "near a training row",
        "TV in bins",
        "pay × ",
    ):
        assert word in out
    assert out.count("is perfect") >= 16
    found = json.loads(cli("evaluate", run.path, "--samples", "--target", "pay", "--json")[1])[
        "samples"
    ]
    assert [column["name"] for column in found["columns"]] == list(run.names)
    assert found["columns"][0].keys() == {
        "name",
        "distance",
        "value",
        "standard_error",
        "real_rows",
        "ratio",
    }
    assert (
        len(found["pairs"]) == 10
        and found["pairs"][0]["names"]
        and "R^2 of pay" in found["numbers"]["training_gap"]["by"]
    )
    assert found["training_gap"] == found["numbers"]["training_gap"]["value"]
    again = json.loads(json.dumps(plausibly.open(run.path).samples(target="pay").to_json()))
    assert again == found


def test_the_command_refuses_a_target_in_a_line(run, cli, tmp_path):
    bits = plausibly.fit("toy-bits", "independent", out=tmp_path / "bits").path
    for words, why in [
        ([run.path, "--samples", "--target", "pai"], "did you mean 'pay'"),
        ([run.path, "--target", "pay"], "go with --samples"),
        ([bits, "--samples", "--target", "0"], "a target is a column of a table"),
    ]:
        status, out, err = cli("evaluate", *words)
        assert (status, out) == (2, "") and why in err and err.count("\n") == 1, err
    assert "columns" not in json.loads(cli("evaluate", bits, "--json")[1])


def test_without_the_training_rows_distances_stand_alone(run):
    gone = Run(
        run.path,
        run.record.replace(data=run.record["data"] | {"source": "<frame in memory>"}),
        run.model,
        run.format,
    )
    found = gone.samples(people(300, 4))
    assert (
        found["column_distance"].reference is None and "largest_column_ratio" not in found.numbers
    )
    assert "real rows" not in found["column_distance"].better
    assert all(
        "not at hand" in found.missing[name]
        for name in ("closest_record", "near_records", "trained_on_samples")
    )
    assert (
        found.distances.columns[0].ratio is None
        and len(found.distances.columns[0].draws) == MAX_DRAWS
    )
    assert (
        len(found.tables()) == 3
        and gone.by_column() is None
        and gone.by_column(people(50, 5)).nats.shape == (50, 5)
    )
