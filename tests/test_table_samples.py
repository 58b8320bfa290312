"""Samples of tables: against scipy, sklearn and direct sums, on draws from one law, and under planted faults."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.metrics import r2_score, roc_auc_score

import plausibly
from plausibly.contract import shaken
from plausibly.data import load
from plausibly.data.formats import Events
from plausibly.errors import UserError
from plausibly.evaluation import coverage, tables
from plausibly.evaluation.by_column import by_column
from plausibly.evaluation.likelihood import likelihood
from plausibly.evaluation.samples import DRAWS, Rows, Samples, portions, table_measured, taught_rows
from plausibly.evaluation.two_samples import auc
from plausibly.evaluation.usefulness import Contest, determination, one_against_rest, target_of, usefulness
from plausibly.kinds import Category, Grid
from plausibly.models import MODELS
from plausibly.runs import Run

ROWS = 1200


def people(n, seed=0, independent=False):
    """Rows whose columns depend on each other, each column with the same law in both cases, with holes."""
    chance = np.random.default_rng(seed)
    town, age = chance.integers(0, 4, n), chance.integers(18, 80, n)
    pay = (age + 20 * town + chance.normal(0, 5, n)).round(1)
    frame = pd.DataFrame(
        {"town": np.array(list("abcd"))[town], "age": age, "pay": pay, "height": chance.normal(size=n)}
    )
    frame["rich"] = np.where(pay > 80, "yes", "no")
    frame.loc[chance.random(n) < 0.1, "pay"] = np.nan
    frame.loc[chance.random(n) < 0.1, "town"] = None
    return frame.apply(lambda column: chance.permutation(column.to_numpy())) if independent else frame


@pytest.fixture(scope="module")
def data():
    return load(people(ROWS, 9), kinds={"height": "real"})


def measured(data, made, **more):
    """What is told of samples of a table, drawn as `made`, an event set for each draw."""
    rows = Rows(data.test, data.train, (data.valid, data.test), data.test)
    found = Samples(len(data.test), 0, {})
    return table_measured(found, data.format, made, rows, target_of(data.format), **more)


@pytest.fixture(scope="module")
def fresh(data):
    return measured(data, [data.format.events(people(len(data.train), s)) for s in (1, 2, 3)])


# --- distances of columns and of pairs


def test_ks_is_that_of_scipy_and_a_hole_lies_beyond_all_numbers():
    chance = np.random.default_rng(0)
    for levels in (3, 10**6):
        a, b = chance.integers(0, levels, 60).astype(float), chance.integers(0, levels, 45) * 1.2
        a[:7] = tables.HOLE
        assert tables.kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12)
    assert tables.kolmogorov_smirnov(np.r_[a[:7], np.arange(7)], np.arange(7)) == 0.5


def test_tv_is_the_direct_sum():
    a, b = np.array(list("aabbbcx")), np.array(list("abcc"))
    want = sum(abs((a == v).mean() - (b == v).mean()) for v in "abcx") / 2
    codes = np.unique(np.r_[a, b], return_inverse=True)[1].astype(float)
    assert tables.total_variation(codes[:7], codes[7:]) == pytest.approx(want, abs=1e-12)


def test_values_are_numbers_with_holes_and_what_was_not_foreseen_apart(data):
    frame = people(50, 3)
    frame.loc[0, "town"] = "elsewhere"
    found = tables.values(data.format, data.format.events(frame))
    assert np.array_equal(found[:, 2] == tables.HOLE, frame["pay"].isna())
    assert np.array_equal(found[:, 0] == tables.HOLE, frame["town"].isna()) and found[0, 0] == tables.UNFORESEEN
    known = frame["pay"].notna()
    assert np.allclose(found[known, 2], frame.loc[known, "pay"]) and np.allclose(found[:, 3], frame["height"])


def test_bins_hold_frequent_values_apart_and_equal_shares_of_the_rest():
    chance = np.random.default_rng(1)
    column = np.where(chance.random(4000) < 0.6, 0.0, chance.exponential(size=4000))
    column[:400] = tables.HOLE
    bins = tables.bins_of(Grid(), column)
    assert list(bins.own) == [0, tables.UNFORESEEN, tables.HOLE] and len(bins.cuts) == tables.BINS - 1
    places = np.bincount(bins.places(column), minlength=bins.count)
    assert places[0] == (column == 0).sum() and places[1] == 0 and places[2] == (column == tables.HOLE).sum()
    assert places[3:].max() - places[3:].min() < 0.1 * places[3:].mean()
    levels = chance.integers(0, 40, 4000) // 2.0
    bins = tables.bins_of(Category(20), levels)
    assert bins.count == tables.LEVELS + 1 and not len(bins.cuts)


def test_the_table_of_pairs_is_that_of_each_pair(data):
    real, made = (tables.values(data.format, data.format.events(people(*how))) for how in ((300, 1), (200, 2)))
    bins = tables.binning(data.schema.kinds, real)
    apart = bins.apart(real, made)
    a, b = (np.stack([each.places(rows[:, i]) for i, each in enumerate(bins.bins)], 1) for rows in (real, made))
    for i, j in combinations(range(5), 2):
        pairs = [pd.Series(list(map(tuple, rows[:, [i, j]]))).value_counts(normalize=True) for rows in (a, b)]
        want = pairs[0].sub(pairs[1], fill_value=0).abs().sum() / 2
        assert apart[i, j] == pytest.approx(want, abs=1e-12) and apart[j, i] == pytest.approx(want, abs=1e-12)
        assert apart[i, j] >= max(apart[i, i], apart[j, j]) - 1e-12


def test_fresh_rows_are_as_far_as_training_rows(fresh):
    assert [each.names[0] for each in fresh.distances.columns] == ["town", "age", "pay", "height", "rich"]
    assert [each.by for each in fresh.distances.columns] == ["TV", "KS", "KS", "KS", "TV"]
    assert len(fresh.distances.pairs) == 10 and len(fresh.distances.columns[0].draws) == DRAWS
    for name in ("column_distance", "pair_distance"):
        number = fresh[name]
        assert number.value == pytest.approx(number.reference, abs=6 * 1.5 * number.standard_error)
    assert 0.7 < fresh["largest_column_ratio"].value < 1.6 and fresh["largest_pair_ratio"].value < 1.3


def test_the_error_of_a_ratio_is_that_of_repetition():
    chance = np.random.default_rng(2)
    draws = [(chance.gamma(9, 1 / 9, 10), chance.gamma(9, 1 / 3, 10)) for _ in range(400)]
    found = [tables.Distance(("x",), "KS", *pair) for pair in draws]
    spread = np.std([each.ratio for each in found])
    assert np.mean([each.ratio_error for each in found]) == pytest.approx(spread, rel=0.2)
    assert tables.Distance(("x",), "KS", np.zeros(3), np.zeros(3)).ratio == 1
    assert tables.Distance(("x",), "KS", np.ones(1), np.zeros(1)).ratio == np.inf
    assert tables.Distance(("x",), "KS", np.ones(1)).ratio is None


def test_independent_columns_leave_columns_as_near_and_put_pairs_far(data, fresh):
    shuffled = measured(data, [data.format.events(people(len(data.train), s, True)) for s in (1, 2, 3)])
    assert shuffled["column_distance"].value < fresh["column_distance"].value + 0.01
    assert shuffled["pair_distance"].interval[0] > fresh["pair_distance"].interval[1] + 0.05
    assert tables.worst(shuffled.distances.pairs, 3)[0].ratio > 2
    assert "pay × rich" in {" × ".join(each.names) for each in tables.worst(shuffled.distances.pairs, 3)}
    assert shuffled["training_gap"].interval[0] > 0.3
    assert abs(shuffled["trained_on_samples"].value - 0.5) < 6 * shuffled["trained_on_samples"].standard_error + 0.02


def test_a_shifted_column_is_named(data, fresh):
    frames = [people(len(data.train), s) for s in (1, 2, 3)]
    made = [data.format.events(frame.assign(age=(frame["age"] + 12).clip(upper=79))) for frame in frames]
    found = measured(data, made)
    assert found["largest_column_ratio"].by == "age" and found["largest_column_ratio"].interval[0] > 2
    assert tables.worst(found.distances.columns, 1)[0].names == ("age",)


def test_draws_are_portions_of_the_sets():
    sets = [Events(torch.arange(7) + 10 * k, torch.zeros(7)) for k in range(3)]
    found = [part.codes.tolist() for part in portions(sets, 3)]
    assert found == [[0, 1, 2], [3, 4, 5], [10, 11, 12], [13, 14, 15], [20, 21, 22], [23, 24, 25]]
    assert len(list(portions([Events(torch.zeros(50), torch.zeros(50))] * 9, 2))) == DRAWS


# --- copies, and how near training rows are


def test_copies_are_all_equal_and_at_no_distance(data, fresh):
    copies = measured(data, [data.train] * 3)
    assert copies["copies"].value == 1 and fresh["copies"].value == 0 and copies["copies"].reference == 0
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
    close.values.cells["height"].values = close.values.cells["height"].values * (1 + 1e-12)
    ours, theirs, train = tables.written(data.format, [close[:10], close[10:]], [data.test], [data.train])
    assert np.array_equal(ours, train) and len(theirs) == len(data.test) and ours.shape[1] == 5
    other = data.format.rows(data.train).assign(height=np.float32(1.5))
    ours, train = tables.written(data.format, [data.format.events(other)], [data.train])
    assert not (ours[:, 3] == train[:, 3]).any() and np.array_equal(np.delete(ours, 3, 1), np.delete(train, 3, 1))


def test_the_closest_is_that_of_all_pairs():
    chance = np.random.default_rng(3)
    for decimals in (0, 9):
        a, b = chance.normal(size=(40, 3)).round(decimals), chance.normal(size=(60, 3)).round(decimals)
        assert np.allclose(coverage.closest(a, b), cdist(a, b).min(1), atol=1e-12)


def test_the_share_of_near_rows_is_5_percent_of_fresh_draws_with_ties_and_without():
    for decimals in (1, 9):
        shares = []
        for seed in range(100):
            rows = np.random.default_rng(seed).normal(size=(900, 2)).round(decimals)
            shares.append(coverage.closest_records(rows[:300], rows[300:600], rows[600:], "x")["near_records"])
        values = np.array([share.value for share in shares])
        assert abs(values.mean() - 0.05) < 6 * values.std() / 10
        assert np.mean([share.standard_error for share in shares]) == pytest.approx(values.std(), rel=0.3)


# --- training on samples


def test_auc_of_levels_is_sklearns_and_the_error_that_of_a_bootstrap():
    chance = np.random.default_rng(4)
    truth = chance.integers(0, 3, 400).astype(float)
    scores = np.eye(3)[truth.astype(int)] + chance.normal(size=(400, 3)).round(1)
    scores = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = one_against_rest(truth, scores)
    assert found.value == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr"), abs=1e-12)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    picks = (chance.integers(0, 400, 400) for _ in range(500))
    again = [one_against_rest(truth[rows], scores[rows]).value for rows in picks]
    assert found.influence.std() / 20 == pytest.approx(np.std(again), rel=0.2)
    two = truth < 1
    binary = one_against_rest(two.astype(float), np.stack([1 - scores[:, 0], scores[:, 0]], 1))
    assert binary.value == pytest.approx(roc_auc_score(two, scores[:, 0]), abs=1e-12)
    assert binary.influence.std() / 20 == pytest.approx(auc(scores[two, 0], scores[~two, 0])[1], rel=0.01)


def test_the_determination_is_sklearns_and_the_error_that_of_a_bootstrap():
    chance = np.random.default_rng(5)
    truth = chance.normal(size=400)
    guess = truth + chance.normal(size=400)
    found = determination(truth, guess)
    assert found.value == pytest.approx(r2_score(truth, guess), abs=1e-12)
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    picks = (chance.integers(0, 400, 400) for _ in range(500))
    again = [determination(truth[rows], guess[rows]).value for rows in picks]
    assert found.influence.std() / 20 == pytest.approx(np.std(again), rel=0.2)


def test_fresh_rows_teach_as_much_as_training_rows(data, fresh):
    gap, skill = fresh["training_gap"], fresh["trained_on_samples"]
    assert abs(gap.value) < 6 * gap.standard_error and skill.value > 0.85
    assert skill.reference == pytest.approx(skill.value + gap.value, abs=1e-12) and skill.perfect == skill.reference
    assert skill.by == f"boosted trees, AUC of rich, {len(data.train):,} rows" and skill.rows == len(data.test)
    numbers = Contest(data.format, 2, data.test)
    found = usefulness(numbers, data.train, [data.format.events(people(900, 1))])
    assert found["trained_on_samples"].by.startswith("boosted trees, R^2 of pay") and found["training_gap"].value < 0.1
    known = int(data.format.rows(data.test)["pay"].notna().sum())
    assert found["trained_on_samples"].rows == known and found["trained_on_samples"].value > 0.7
    shuffled = usefulness(numbers, data.train, [data.format.events(people(900, 1, True))])
    assert shuffled["trained_on_samples"].value < 0.1 and shuffled["training_gap"].interval[0] > 0.5


def test_no_tree_sees_its_target(data):
    contest = Contest(data.format, 4, data.test)
    table, truth = contest.known(data.train)
    assert table.shape == (len(data.train), 4) and set(truth) == {0, 1}
    strangers = Contest(data.format, 3, data.test).skill(data.train)
    assert strangers.value < 0.05


def test_the_target_is_the_last_category_of_few_levels_or_is_named(data):
    assert data.format.names[target_of(data.format)] == "rich" and target_of(data.format, "pay") == 2
    with pytest.raises(UserError, match="did you mean 'pay'"):
        target_of(data.format, "pays")
    chance = np.random.default_rng(6)
    wide = load(pd.DataFrame({"a": chance.normal(size=400).round(2), "code": [f"c{k % 30}" for k in range(400)]}))
    assert target_of(wide.format) == 0
    with pytest.raises(UserError, match="'code' has 30 levels; a target has 2 to 20, or is a number: a would do"):
        target_of(wide.format, "code")
    alone = load(wide.format.rows(wide.train)[["code"]])
    assert target_of(alone.format) is None


def test_few_or_equal_targets_teach_nothing(data):
    contest = Contest(data.format, 4, data.test)
    one = data.train[np.flatnonzero(data.format.rows(data.train)["rich"] == "yes")]
    assert contest.skill(one).value == 0.5
    assert "needs 20 rows" in usefulness(contest, data.train[:19], [data.train])
    assert "needs 20 rows" in usefulness(Contest(data.format, 4, one[:30]), data.train, [data.train])


def test_slow_models_draw_fewer_rows_but_not_fewer_than_are_looked_at():
    assert taught_rows(300, 100, None) == 300 and taught_rows(10**6, 2000, None) == 50_000
    assert taught_rows(10**6, 2000, 100.0) == 10_000 and taught_rows(10**6, 2000, 0.1) == 2000


# --- nats by column


@pytest.mark.parametrize("name", ["independent", "markov", "chow_liu", "mixture", "made", "nade", "transformer"])
@pytest.mark.parametrize("context", [(), (4,), (2, 0)])
def test_nats_by_column_add_up_to_log_p(data, name, context):
    kind = MODELS[name]
    known = {"context": context} if context else {}
    if kind.accepts(data.schema) or (context and name not in ("made", "nade", "transformer")):
        return
    model = shaken(kind(data.schema, **known)).eval()
    rows = data.format.apart(data.test, context)
    found, want = by_column(model, data.format, rows), likelihood(model, rows)
    assert torch.allclose(found.nats.sum(1), want.nats, rtol=1e-6, atol=1e-6)
    assert float(found.means.sum()) == pytest.approx(want.value, abs=1e-6)
    assert found.names == tuple(data.format.names[i] for i in model.order if i not in context)
    entry = found.to_json()[0]
    assert entry["bits"] == pytest.approx(-entry["nats"] / np.log(2)) and entry["standard_error"] > 0


def test_nats_of_independent_columns_are_those_of_their_marginals(data, tmp_path):
    model = MODELS["independent"](data.schema).eval()
    found = by_column(model, data.format, data.test)  # untrained: each code as likely as any other
    within = data.format.within(data.test)
    for i, name in enumerate(found.names):
        place = data.format.names.index(name)
        if name != "height":
            want = -np.log(data.schema.codes[place]) + within[:, place].numpy()
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
    assert status == 0 and "each given those before it in the model's order" in out and " pay " in out
    document = json.loads(cli("evaluate", run.path, "--json")[1])
    assert sum(column["nats"] for column in document["columns"]) == pytest.approx(document["test"]["value"], abs=1e-6)
    assert len(json.loads(cli("evaluate", run.path, run.record["data"]["source"], "--json")[1])["columns"]) == 5


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
    found = json.loads(cli("evaluate", run.path, "--samples", "--target", "pay", "--json")[1])["samples"]
    assert [column["name"] for column in found["columns"]] == list(run.names)
    assert found["columns"][0].keys() == {"name", "distance", "value", "standard_error", "real_rows", "ratio"}
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
        run.path, run.record | {"data": run.record["data"] | {"source": "<frame in memory>"}}, run.model, run.format
    )
    found = gone.samples(people(300, 4))
    assert found["column_distance"].reference is None and "largest_column_ratio" not in found.numbers
    assert all(
        "not at hand" in found.missing[name] for name in ("closest_record", "near_records", "trained_on_samples")
    )
    assert found.distances.columns[0].ratio is None and len(found.distances.columns[0].draws) == DRAWS
    assert len(found.tables()) == 3 and gone.by_column() is None and gone.by_column(people(50, 5)).nats.shape == (50, 5)
