"""Numbers for samples: against direct sums, closed forms and sklearn, on known configurations, and under planted faults."""

import hashlib
import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import kstest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score

import plausibly
from plausibly.capabilities import Model
from plausibly.data import load
from plausibly.data.events import Events
from plausibly.errors import Unsupported, UserError
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples import coverage, distances, readers, two_samples
from plausibly.evaluation.samples.features import (
    ColumnFeatures,
    RandomConvolutions,
    column_moments,
    find_extractor,
    image_pixels,
    indicators,
)
from plausibly.evaluation.samples.judges import (
    ConvolutionJudge,
    JudgeEnsemble,
    TreeJudge,
    boosting_options,
    make_judge,
)
from plausibly.evaluation.samples.readers import ClassifierFeatures
from plausibly.evaluation.samples.samples import (
    ReferenceRows,
    board_rows,
    judge_auc,
    measure_samples,
    pick_rows,
)
from plausibly.evaluation.samples.two_samples import (
    mmd_number,
    permutation_test,
    roc_auc,
    two_sample_auc,
)
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema
from plausibly.fitting.conditioning import data_origin
from plausibly.fitting.untrained import initial_record
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.record import write_record
from plausibly.runs.run import Run

KEYS = [
    "two_sample_auc",
    "precision",
    "recall",
    "density",
    "coverage",
    "nearer_to_training",
    "copies",
]
KEYS += ["mmd", "kernel_distance"]


def normals(n, d=2, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


# --- the judge's AUC


def test_auc_is_the_area_under_the_curve_ties_counted_half():
    chance = np.random.default_rng(0)
    for levels in (3, 1000):
        real, made = chance.integers(0, levels, 150), chance.integers(0, levels, 90) - levels // 5
        truth = np.repeat([1, 0], [150, 90])
        assert roc_auc(real, made)[0] == pytest.approx(
            roc_auc_score(truth, np.concatenate([real, made])), abs=1e-12
        )


def test_the_error_of_auc_is_delongs_by_hand():
    """Placements .5, 1, 1 and 1, 2/3: variances 1/12 of 3 and 1/18 of 2."""
    found = roc_auc(np.array([1.0, 3.0, 4.0]), np.array([0.0, 2.0]))
    assert found == pytest.approx((5 / 6, (1 / 36 + 1 / 36) ** 0.5))


def test_the_error_of_auc_is_that_of_a_bootstrap():
    chance = np.random.default_rng(1)
    for shift, levels in ((0.0, 1), (0.7, 1), (1.5, 1), (0.7, 0.02)):
        real, made = ((chance.normal(mean, 1, 300) / levels).round(1) for mean in (shift, 0))
        picks = [
            roc_auc(chance.choice(real, 300), chance.choice(made, 300))[0] for _ in range(2000)
        ]
        assert roc_auc(real, made)[1] == pytest.approx(
            np.std(picks), rel=0.12
        )  # the bootstrap's own error is 1.6 %


def mixed(n, seed=0, independent=False):
    """Rows whose columns depend on each other, each column with the same law in both cases, with holes."""
    chance = np.random.default_rng(seed)
    sort, size = chance.integers(0, 4, n), chance.normal(size=n).round(3)
    frame = pd.DataFrame(
        {"sort": np.array(list("abcd"))[sort], "size": size, "both": (size + sort).round(2)}
    )
    frame.loc[chance.random(n) < 0.1, "both"] = np.nan
    if independent:
        frame = frame.apply(lambda column: chance.permutation(column.to_numpy()))
    return frame


@pytest.fixture(scope="module")
def table():
    return load(mixed(600, 9))


def test_trees_see_no_difference_where_there_is_none_and_see_dependence(table):
    real, same, apart = (table.format.events(mixed(500, *how)) for how in ((1,), (2,), (3, True)))
    assert isinstance(make_judge(table.format, real, same), TreeJudge)
    null, found = judge_auc(table.format, same, real), judge_auc(table.format, apart, real)
    assert abs(null.value - 0.5) < 6 * null.standard_error and null.standard_error < 0.03
    assert found.value > 0.8 and found.interval[0] > 0.5 and (found.rows, found.folds) == (500, 5)
    assert found == judge_auc(table.format, apart, real)  # the seed decides
    assert "boosted" in found.by and "0.5 is perfect" in found.better


def test_trees_of_enough_rows_are_scikit_learns_of_few_have_smaller_leaves():
    """Its defaults stop early only beyond 10,000 rows."""
    rows, truth = normals(500, 3, 0), normals(500, 1, 1)[:, 0]
    ours = HistGradientBoostingRegressor(**boosting_options(500, [False] * 3, 0))
    theirs = HistGradientBoostingRegressor(random_state=0)
    assert np.array_equal(
        ours.fit(rows, truth).predict(rows), theirs.fit(rows, truth).predict(rows)
    )
    assert boosting_options(100, [False] * 3, 0)["min_samples_leaf"] < theirs.min_samples_leaf


def test_no_row_is_scored_by_a_judge_that_was_taught_with_it():
    class Cheat(TreeJudge):
        """Knows the rows that it was taught with, and nothing of others."""

        def __init__(self):
            self.told = []

        def scores(self, rows, real, others, seed):
            self.told.append((set(rows), set(others), real.mean()))
            return np.isin(others, rows[real]).astype(float)

    cheat, on_progress = Cheat(), []
    assert (
        two_sample_auc(cheat, 53, on_progress=lambda *done: on_progress.append(done)).value == 0.5
    )
    assert on_progress == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert all(
        not rows & others and share == pytest.approx(0.5, abs=0.02)
        for rows, others, share in cheat.told
    )
    assert sorted(row for _, others, _ in cheat.told for row in others) == list(range(106))


class Neighbours(TreeJudge):
    """Scores by nearness to the real and to the made rows that it was taught with."""

    def __init__(self, rows):
        self.kernel = np.exp(-cdist(rows, rows, "sqeuclidean") / 0.1)

    def scores(self, rows, real, others, seed):
        return self.kernel[np.ix_(others, rows)] @ (2.0 * real - 1)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_error_of_the_judges_auc_is_that_of_repetition(shift):
    """Of other rows, with other judges; DeLong's alone is too small."""
    found = []
    for seed in range(200):
        rows = normals(200, 2, seed)
        rows[:100] += shift
        found.append(two_sample_auc(Neighbours(rows), 100))
    values, errors = np.array([(n.value, n.standard_error) for n in found]).T
    assert 0.9 * values.std() < errors.mean() < 1.6 * values.std()
    if not shift:
        assert abs(values.mean() - 0.5) < 6 * values.std() / 200**0.5


def test_numbers_are_kept_with_their_interval_and_what_it_is_over():
    number = Number(0.0, 0.0, 100, "x", "y", 0.0, interval=(0.0, 0.036), over="samples")
    assert number.to_json()["interval"] == [0.0, 0.036] and number.to_json()["over"] == "samples"
    assert number.cells()[:2] == ["0 ± 0", "0 to 0.036"]
    assert Number(0.9, None, 10, "x", "y", 1.0).cells()[:2] == ["0.9", ""]
    assert msgspec.convert({**number.to_json(), "more": 1}, Number).value == 0.0


# --- MMD and distances in features


def test_mmd_is_the_direct_double_sum():
    x, y = normals(12, 3, 0), normals(9, 3, 1, 0.5)
    every = np.concatenate([x, y])
    k = two_samples.gaussian_kernel(every)
    scale = np.median([np.linalg.norm(a - b) for i, a in enumerate(every) for b in every[:i]])
    assert k[3, 15] == pytest.approx(np.exp(-np.sum((every[3] - every[15]) ** 2) / (2 * scale**2)))
    within_x = np.mean([k[i, j] for i in range(12) for j in range(12) if i != j])
    within_y = np.mean([k[i, j] for i in range(12, 21) for j in range(12, 21) if i != j])
    between = np.mean([k[i, j] for i in range(12) for j in range(12, 21)])
    want = within_x + within_y - 2 * between
    assert two_samples.mmd(k[:12, :12], k[12:, 12:], k[:12, 12:]) == pytest.approx(want, abs=1e-12)
    test = permutation_test(k, 12, 0, 50)
    assert test.value == pytest.approx(want, abs=1e-12) and len(test.shuffled) == 50
    assert test.shuffled.mean() == pytest.approx(0, abs=6 * test.shuffled.std() / 50**0.5)


def test_p_values_are_uniform_where_both_are_of_one_law_and_small_where_not():
    null = [
        mmd_number(normals(40, 2, 2 * s), normals(40, 2, 2 * s + 1), "x", s).p_value
        for s in range(100)
    ]
    assert kstest(null, "uniform").pvalue > 1e-4
    shifted = [
        mmd_number(normals(40, 2, 2 * s), normals(40, 2, 2 * s + 1, 0.8), "x", s).p_value
        for s in range(20)
    ]
    assert np.median(shifted) < 0.01
    bits = np.zeros((30, 1))
    assert mmd_number(bits, bits, "x").p_value == 1.0  # equal rows


def test_the_kernel_distance_is_the_direct_double_sum():
    x, y = normals(10, 3, 0), normals(7, 3, 1, 0.5)

    def k(a, b):
        return (sum(a * b) / 3 + 1) ** 3

    want = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    want += np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    want -= 2 * np.mean([k(a, b) for a in x for b in y])
    assert distances.kernel_distance(x, y) == pytest.approx(want, rel=1e-12)


def test_the_kernel_distance_is_unbiased_and_its_error_is_that_of_repetition():
    pairs = [(normals(60, 4, 2 * s), normals(60, 4, 2 * s + 1)) for s in range(300)]
    null = np.array([distances.kernel_distance(*pair) for pair in pairs])
    assert abs(null.mean()) < 6 * null.std() / 300**0.5
    apart = np.array([distances.kernel_distance(x, y + 1) for x, y in pairs])
    errors = [distances.kernel_number(x, y + 1, "x").standard_error for x, y in pairs]
    assert np.mean(errors) == pytest.approx(apart.std(), rel=0.25)


def exact_moments(n, mean, cov, seed=0):
    """Rows whose mean and covariance are just these."""
    x = normals(n, len(mean), seed)
    x = np.linalg.solve(np.linalg.cholesky(np.cov(x, rowvar=False)), (x - x.mean(0)).T).T
    return x @ np.linalg.cholesky(cov).T + mean


def test_the_frechet_distance_is_that_of_two_normals():
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    x, y = exact_moments(50, np.zeros(3), a), exact_moments(80, np.array([1.0, 0.0, 2.0]), b, 1)
    assert distances.frechet_distance(x, y) == pytest.approx(
        1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, abs=1e-9
    )
    turned = normals(3, 3, 5)
    c, d = turned @ a @ turned.T, np.eye(3) + turned.T @ b @ turned
    x, y = exact_moments(50, np.zeros(3), c), exact_moments(80, np.zeros(3), d, 1)
    want = np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert distances.frechet_distance(x, y) == pytest.approx(want, rel=1e-8)
    assert distances.frechet_distance(x, x) == pytest.approx(0, abs=1e-8)


def test_few_rows_have_no_frechet_distance():
    said = distances.frechet_number(normals(49, 5), normals(80, 5, 1), "columns")
    assert "needs 50 rows" in said and "5 features of columns" in said and "49" in said
    enough = distances.frechet_number(
        normals(50, 5), normals(50, 5, 1), "columns", normals(50, 5, 2)
    )
    assert 0 < enough.value < 2 and enough.reference is not None


# --- precision, recall, density, coverage


def naive(real, made, k):
    """From the definitions, row by row."""

    def reach(rows, i):
        return sorted(np.linalg.norm(rows[i] - other) for j, other in enumerate(rows) if j != i)[
            k - 1
        ]

    inside = np.array(
        [[np.linalg.norm(r - m) <= reach(real, i) for m in made] for i, r in enumerate(real)]
    )
    ours = np.array(
        [[np.linalg.norm(r - m) <= reach(made, j) for j, m in enumerate(made)] for r in real]
    )
    return inside.any(0).mean(), ours.any(1).mean(), inside.sum(0).mean() / k, inside.any(1).mean()


@pytest.mark.parametrize("whole", [False, True], ids=["reals", "ties"])
def test_coverage_is_what_the_definitions_say_with_and_without_each_row(whole, monkeypatch):
    monkeypatch.setattr(coverage, "PAIRS_PER_BATCH", 100)
    real, made = normals(30, 2, 0), normals(25, 2, 1, 0.5)
    if whole:
        real, made = real.round(), made.round()
    found, names = coverage.neighbour_numbers(real, made, 3), KEYS[1:5]
    assert [found[name].value for name in names] == pytest.approx(naive(real, made, 3))
    for row in (0, 7, 24):
        others = naive(np.delete(real, row, 0), made, 3), naive(real, np.delete(made, row, 0), 3)
        assert [found[name].without_real[row] for name in names] == pytest.approx(
            others[0], abs=1e-6
        )
        assert [found[name].without_made[row] for name in names] == pytest.approx(
            others[1], abs=1e-6
        )
    apart, balls = cdist(real, made), coverage.neighbour_balls(real, 3)
    fewer = [coverage.ball_coverage(np.delete(apart, j, 1), balls).value for j in range(25)]
    assert found["coverage"].without_made == pytest.approx(fewer) and len({*fewer}) > 1


def test_balls_are_left_out_wherever_their_rows_stand():
    """Of more rows than are counted together: by the balls of all others, drawn anew."""
    real, made = normals(600, 2, 0), normals(40, 2, 1)
    _, means, shares = coverage.count_balls(cdist(real, made), coverage.neighbour_balls(real, 3))
    for row in (0, 255, 256, 257, 511, 512, 513, 599):
        others = np.delete(real, row, 0)
        radius = coverage.neighbour_balls(others, 3).radius
        inside = (cdist(others, made) <= radius[:, None]).sum(0)
        assert (means[row], shares[row]) == pytest.approx((inside.mean(), (inside > 0).mean()))


def test_known_configurations():
    real = normals(200, 2, 0)

    def numbers(made):
        return [number.value for number in coverage.coverage_numbers(real, made, "x").values()]

    assert numbers(real) == pytest.approx(
        [1, 1, 1.2, 1]
    )  # each sample lies in its own ball besides
    assert numbers(real + 100) == [0, 0, 0, 0]
    one = np.concatenate([real[:100] * 0.01, real[100:] * 0.01 + 50])
    real = one.copy()
    precise, recalled, _, covered = numbers(one[:100] + 1e-4)
    assert (precise, recalled, covered) == pytest.approx((1, 0.5, 0.5), abs=0.05)


def test_coverage_of_fresh_draws_is_what_is_expected():
    values = [
        coverage.neighbour_numbers(normals(80, 2, 2 * s), normals(50, 2, 2 * s + 1))
        for s in range(200)
    ]
    covered, density = (
        np.array([v[name].value for v in values]) for name in ("coverage", "density")
    )
    assert coverage.mean_coverage(2, 1, 1) == 0.5  # of a row's two others either is the nearer
    assert coverage.mean_coverage(10**7, 10**7) == pytest.approx(1 - 2**-5, abs=1e-6)
    assert abs(covered.mean() - coverage.mean_coverage(80, 50)) < 6 * covered.std() / 200**0.5
    assert abs(density.mean() - 1) < 6 * density.std() / 200**0.5


# --- memorisation


def test_fresh_draws_are_as_near_to_training_as_to_control_rows_and_copies_nearer():
    values = []
    for s in range(100):
        made, train, control = (normals(100, 2, 3 * s + i) for i in range(3))
        values.append(coverage.nearer_to_training(made, train, control, "x"))
    shares = np.array([v.value for v in values])
    assert abs(shares.mean() - 0.5) < 6 * shares.std() / 10
    assert np.mean([v.standard_error for v in values]) == pytest.approx(shares.std(), rel=0.3)
    copies = coverage.nearer_to_training(train + 1e-6, train, control, "x")
    assert copies.value > 0.99 and copies.interval[0] > 0.5
    assert coverage.nearer_to_training(control, train, control, "x").value < 0.01


def test_ties_count_half_and_one_row_that_is_near_to_all_makes_the_error_large():
    row, rows = np.zeros((1, 1)), np.zeros((50, 1))
    tied = coverage.nearer_to_training(rows, row, row, "x")
    assert (tied.value, tied.standard_error) == (0.5, 0.0)
    hub = coverage.nearer_to_training(rows, row, row + 1, "x")
    assert (hub.value, hub.standard_error) == (1.0, 0.5)


def test_copies_are_counted_beside_those_among_held_out_rows():
    train, held = np.arange(20).reshape(10, 2), np.arange(10, 30).reshape(10, 2)
    made = np.concatenate([train[:3], train[:1] + 100])
    found = coverage.copy_share(made, held, train)
    assert (found.value, found.reference, found.perfect) == (0.75, 0.5, 0.5)


# --- extractors


def test_columns_are_scaled_by_the_rows_they_learned_from(table):
    columns = ColumnFeatures(table.format, table.train)
    found = columns(table.train)
    levels, *numbers = table.schema.kinds
    assert found.shape[1] == levels.codes + sum(1 + (kind.open or kind.missing) for kind in numbers)
    apart = cdist(found, found)
    assert np.isfinite(found).all() and apart.max() < 50
    size = found[:, levels.codes]
    assert size.mean() == pytest.approx(0, abs=1e-9) and size.std() == pytest.approx(1, abs=0.02)


def test_moments_are_numpys_of_what_is_known():
    numbers = np.random.default_rng(0).normal(5, 2, (50, 4))
    numbers[::3, 1], numbers[:, 2], numbers[:, 3] = np.nan, 7.0, np.nan
    means, spreads = column_moments(numbers)
    assert np.allclose(means, [*np.nanmean(numbers[:, :3], 0), 0])
    assert np.allclose(spreads, [*np.nanstd(numbers[:, :2], 0), 1, 1])


def test_a_number_beside_holes_is_its_z_score_and_a_hole_an_indicator():
    kinds = (Level(5, missing=True), Level(9), Level(9), Category(3))
    given = np.array([[0.0, 1, 4, 2], [4, 8, 4, 0], [np.nan, 3, 1, 1]])
    format = SimpleNamespace(
        schema=SimpleNamespace(kinds=kinds, size=4, event_codes=lambda codes: codes),
        numbers=lambda events: given,
    )
    events = SimpleNamespace(codes=torch.from_numpy(np.nan_to_num(given)).long())
    found = ColumnFeatures(format, events)(events)
    shared = ((given[:, 1:3].var(0)).mean()) ** 0.5  # of equal levels
    alike = (given[:, 1:3] - given[:, 1:3].mean(0)) / shared
    first = np.array([[-1, 0], [1, 0], [0, 2**0.5]])
    assert np.allclose(found, np.concatenate([first, alike, np.eye(3)[[2, 0, 1]]], 1))


def test_two_codes_are_one_distance_apart():
    for count, slack in ((2, 1e-9), (5, 1e-9), (64, 1e-9), (300, 0.8)):
        rows = indicators(np.arange(count), count)
        apart = cdist(rows, rows)[np.triu_indices(count, 1)]
        assert abs(apart - 2**0.5).max() < slack and apart.mean() == pytest.approx(2**0.5, rel=0.02)


@pytest.fixture(scope="module")
def digits():
    """Digits as a dataset's format, with rows for every purpose: training, real, fresh."""
    dataset = load("digits")
    rows = np.concatenate(
        [dataset.format.rows(part) for part in (dataset.train, dataset.valid, dataset.test)]
    )
    labels = np.concatenate(
        [
            load("digits", labelled=True).__dict__[part].codes[:, 0]
            for part in ("train", "valid", "test")
        ]
    )
    order = np.random.default_rng(5).permutation(len(rows))
    parts = [order[:599], order[599:1198], order[1198:]]
    return SimpleNamespace(
        format=dataset.format,
        rows=[rows[part] for part in parts],
        labels=[labels[part] for part in parts],
    )


def looked_at(digits, made, **more):
    train, real = (digits.format.events(rows) for rows in digits.rows[:2])
    real, whole = real[: len(made)], real
    rows = ReferenceRows(real, train, (whole,))
    extractor = RandomConvolutions(digits.format, train)
    return measure_samples(digits.format, digits.format.events(made), rows, extractor, **more)


@pytest.fixture(scope="module")
def fresh(digits):
    return looked_at(digits, digits.rows[2])


def test_fresh_rows_are_perfect_by_every_number(fresh):
    assert list(fresh.numbers) == KEYS
    assert abs(fresh["two_sample_auc"].value - 0.5) < 6 * fresh["two_sample_auc"].standard_error
    assert (
        fresh["precision"].reference < 1
        and fresh["precision"].perfect == fresh["precision"].reference
    )
    for name in ("precision", "recall", "coverage", "density"):
        assert fresh[name].value == pytest.approx(
            fresh[name].reference, abs=6 * 1.5 * fresh[name].standard_error + 0.01
        )
    assert (
        abs(fresh["nearer_to_training"].value - 0.5)
        < 6 * fresh["nearer_to_training"].standard_error
    )
    assert fresh["copies"].value < 0.01 and fresh["mmd"].p_value > 0.001
    assert abs(fresh["kernel_distance"].value) < 6 * fresh["kernel_distance"].standard_error
    assert "needs 640 rows" in fresh.missing["frechet_distance"]
    perfect = {name: number.perfect for name, number in fresh.numbers.items()}
    assert perfect["two_sample_auc"] == perfect["nearer_to_training"] == 0.5
    assert perfect["mmd"] == perfect["kernel_distance"] == 0
    for name in ("precision", "recall", "coverage", "density", "copies"):
        assert perfect[name] == fresh[name].reference


def test_a_dropped_mode_is_seen(digits, fresh):
    few = digits.rows[2][digits.labels[2] >= 5]
    found = looked_at(digits, few)
    for name in ("recall", "coverage"):
        assert found[name].value < found[name].reference - 0.15
    assert found["two_sample_auc"].interval[0] > fresh["two_sample_auc"].interval[1]
    assert (
        found["mmd"].p_value < 0.01 and found["mmd"].interval[0] > 0
    )  # over rows as well as sorts
    assert found["kernel_distance"].interval[0] > 0
    assert (
        found["precision"].value > fresh["precision"].value - 0.05
    )  # which does not ask for variety


def blurred(rows):
    padded = np.pad(rows.astype(float), ((0, 0), (1, 1), (1, 1)), mode="edge")
    shifts = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    return np.mean(shifts, 0).round().astype(rows.dtype)


def test_blur_is_seen(digits, fresh):
    found = looked_at(digits, blurred(digits.rows[2]))
    assert found["precision"].value < fresh["precision"].value - 0.2
    assert found["density"].value < fresh["density"].value - 0.2
    assert found["two_sample_auc"].value > 0.9
    assert found["kernel_distance"].interval[0] > fresh["kernel_distance"].interval[1]


def test_copies_of_training_rows_are_seen_by_two_numbers_alone(digits, fresh):
    found = looked_at(digits, digits.rows[0])
    assert found["copies"].value == 1.0 and found["copies"].reference < 0.01
    assert found["nearer_to_training"].value > 0.99
    assert abs(found["two_sample_auc"].value - 0.5) < 6 * found["two_sample_auc"].standard_error
    assert found["precision"].value > 0.9 and found["coverage"].value > 0.9


def test_the_judge_of_images_sees_a_label_beside_them():
    dataset = load("digits", labelled=True)
    real, made = dataset.train[:300], dataset.train[300:600]
    wrong = dataset.format.rows(made).copy()
    wrong[:, 0] = np.random.default_rng(0).permutation(wrong[:, 0])
    assert isinstance(make_judge(dataset.format, real, made), JudgeEnsemble)
    fault = judge_auc(dataset.format, dataset.format.events(wrong), real)
    null = judge_auc(dataset.format, made, real)
    assert fault.value > null.value + 0.1 and abs(null.value - 0.5) < 6 * null.standard_error


def strokes(n, upright, seed):
    """Random bits of which two neighbours are equal, lying or upright, in either phase: no pixel by itself tells which."""
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 2, (n, 8, 8), dtype=np.uint8)
    images[:, :, 1::2] = images[:, :, ::2]
    images = np.stack(
        [
            np.roll(image, place, 1)
            for image, place in zip(images, chance.integers(0, 2, n), strict=True)
        ]
    )
    return images.transpose(0, 2, 1) if upright else images


def test_convolutions_by_themselves_see_neighbourhoods():
    format = load("digits-binary").format
    real, made, same = (
        format.events(strokes(200, *how)) for how in ((False, 0), (True, 1), (False, 2))
    )
    fault, null = (
        two_sample_auc(ConvolutionJudge(format, real, other), 200) for other in (made, same)
    )
    assert fault.value > 0.85 and abs(null.value - 0.5) < 6 * null.standard_error


def test_pixels_go_from_black_to_white_whatever_their_levels():
    schema = Schema((1, 1, 3), (Level(levels=2), Level(levels=16), Level(levels=256, missing=True)))
    codes = torch.tensor([[0, 0, 0], [1, 15, 255], [1, 5, 51]]).view(3, 1, 1, 3)
    found = image_pixels(Events(codes, torch.zeros(3)), [0, 1, 2], schema)
    assert torch.allclose(found.flatten(1), torch.tensor([[0.0] * 3, [1.0] * 3, [1.0, 1 / 3, 0.2]]))


def test_random_convolutions_are_the_same_for_everyone_and_for_images_alone(digits, table):
    train = digits.format.events(digits.rows[0])
    a, b = (RandomConvolutions(digits.format, train)(train) for _ in range(2))
    assert np.array_equal(a, b) and a.shape == (599, 64)
    assert abs(a.mean(0)).max() < 1e-9 and a.std() == pytest.approx(1)
    with pytest.raises(UserError, match="for images of at least 8 x 8"):
        RandomConvolutions(table.format, table.train)
    assert isinstance(find_extractor(None)(table.format, table.train), ColumnFeatures)
    with pytest.raises(UserError, match="there are columns"):
        find_extractor("inception")


def test_a_classifier_tells_labels_is_kept_and_has_a_checksum(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "STEPS", 300)
    train, fresh = digits.format.events(digits.rows[0]), digits.format.events(digits.rows[2])
    labels, others = (torch.from_numpy(digits.labels[i]).long() for i in (0, 2))

    def made():
        return ClassifierFeatures(digits.format, train, labels, None, "digit")

    first = made().keep(tmp_path / "kept.safetensors")
    assert first.measure_accuracy(fresh, others).accuracy > 0.85 and len(first.checksum) == 64
    features = first(fresh)
    dropped = features[others.numpy() != 3]
    gap, share = (
        first.more(features, dropped, features)["class_shares"],
        float((others == 3).double().mean()),
    )
    assert abs(gap.value - share) < 0.03 and gap.reference == 0
    told = [first._predict_classes(rows).numpy() == 3 for rows in (features, dropped)]
    error = sum(hit.var(ddof=1) / len(hit) for hit in told) ** 0.5
    assert (
        gap.standard_error == pytest.approx(error)
        and gap.value > 4 * error
        and gap.interval is None
    )  # the largest of ten
    monkeypatch.setattr(ClassifierFeatures, "learn", lambda self: pytest.fail("it is kept"))
    again = made().keep(tmp_path / "kept.safetensors")
    assert again.checksum == first.checksum and np.array_equal(again(fresh), features)
    monkeypatch.undo()
    monkeypatch.setattr(readers, "STEPS", 300)
    (tmp_path / "kept.safetensors").write_bytes(b"damaged")
    assert made().keep(tmp_path / "kept.safetensors").checksum == first.checksum


def test_a_checksum_is_of_all_names_shapes_and_numbers():
    """SHA-256 of each tensor's name, shape and bytes by name."""
    network = torch.nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, -2.0]]))
        network.bias.fill_(0.5)
    packed = b"bias(1,)" + struct.pack("<f", 0.5) + b"weight(1, 2)" + struct.pack("<2f", 1, -2)
    assert readers.weights_sum(network) == hashlib.sha256(packed).hexdigest()


def test_a_classifier_does_not_see_its_label(table, monkeypatch):
    monkeypatch.setattr(readers, "STEPS", 50)
    place = readers.label_place(table.format, "sort")
    labels = table.schema.event_codes(table.train.codes)[:, place]
    found = ClassifierFeatures(table.format, table.train, labels, place, "sort").learn()
    frame = table.format.rows(table.test)
    other = frame.assign(sort=frame["sort"].map(dict(zip("abcd", "bcda", strict=True))))
    assert np.array_equal(found(table.test), found(table.format.events(other)))
    with pytest.raises(UserError, match="no labels"):
        readers.label_place(table.format, "size")


class Session:
    """What onnxruntime gives: a network that takes 3 x 16 x 16, so many at once as `rows` says."""

    rows = "n"

    def __init__(self, path, options, providers):
        if b"broken" in Path(path).read_bytes():
            raise RuntimeError("bad protobuf")

    def get_inputs(self):
        return [SimpleNamespace(name="image", shape=[self.rows, 3, 16, 16])]

    def run(self, outputs, given):
        if self.rows != "n" and len(given["image"]) != self.rows:
            raise ValueError("other rows")
        assert (
            given["image"].shape[1:] == (3, 16, 16)
            and 0 <= given["image"].min() <= given["image"].max() <= 1.01
        )
        return [given["image"][:, :, ::8, ::8]]


def test_an_onnx_file_reads_images(digits, table, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'plausibly\[onnx\]'"):
        readers.OnnxFile(digits.format, path)
    module = SimpleNamespace(InferenceSession=Session, SessionOptions=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(UserError, match="there is no extractor"):
        readers.OnnxFile(digits.format, path)
    path.write_bytes(b"network")
    found = readers.OnnxFile(digits.format, path)
    events = digits.format.events(digits.rows[0][:7])
    features = found(events)
    assert (
        features.shape == (7, 12) and found.checksum[:8] in found.name and len(found.checksum) == 64
    )
    monkeypatch.setattr(Session, "rows", 3)
    assert np.array_equal(readers.OnnxFile(digits.format, path)(events), features)
    with pytest.raises(UserError, match="does not read these images: other rows"):
        found(events)
    with pytest.raises(UserError, match="reads images"):
        readers.OnnxFile(table.format, path)
    path.write_bytes(b"broken")
    with pytest.raises(UserError, match="bad protobuf"):
        readers.OnnxFile(digits.format, path)


# --- runs, commands, the board


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    models = ["independent", "joint", "autoencoder"]
    return plausibly.compare("toy-bits", models, out=folder / "c", steps=5)


def run_of(board, name):
    return next(row.run for row in board.rows if row.model == name)


def test_the_board_has_the_auc_of_models_that_sample(board, cli):
    rows = {row["model"]: row for row in board.to_json()}
    auc = {name: row["samples"] and row["samples"]["two_sample_auc"] for name, row in rows.items()}
    assert auc["independent"] > 0.7 and 0.4 < auc["joint"] < 0.6
    assert auc["autoencoder"] is None and auc["truth"] is None
    headings, cells = board.cells()
    column = headings.index("two-sample AUC")
    shown = {row[0]: row[column] for row in cells}
    assert shown["autoencoder"] == "" and shown["joint"].startswith(f"{auc['joint']:.3f} ± 0.0")
    assert "0.5 is perfect" in board.caption() and "2,000 rows of each" in board.caption()
    assert board.frame().set_index("model")["two_sample_auc"]["joint"] == auc["joint"]
    assert (
        plausibly.open(board.path / "joint").summary()["samples"]["two_sample_auc"] == auc["joint"]
    )
    assert (
        cli("report", board.path)[0] == 0
        and "two-sample AUC" in (board.path / "report.html").read_text()
    )
    assert (
        "two-sample AUC"
        not in Board([BoardRow("x", "y", run=run_of(board, "autoencoder"))]).cells()[0]
    )


def test_a_damaged_record_is_one_line(board, tmp_path):
    record = json.loads((board.path / "joint" / "run.json").read_text())
    for damaged in (
        {"value": 1.0},
        {**record["samples"], "rows": "many"},
        {**record["samples"], "by": None},
    ):
        write_record(record | {"samples": damaged}, tmp_path)
        with pytest.raises(UserError, match="'samples' is no number"):
            Run.open(tmp_path)


def test_evaluate_prints_the_numbers_with_direction_and_judge(board, cli):
    path = board.path / "independent"
    status, out, _ = cli("evaluate", path, "--samples", "--rows", 400)
    assert (
        status == 0
        and out.count("is perfect") >= 9
        and "400 samples beside 400 held-out rows" in out
    )
    for word in (
        "two-sample AUC",
        "boosted trees, 5 folds",
        "columns",
        "95 % interval",
        "Frechet",
        "p = 0.0",
    ):
        assert word in out
    found = json.loads(cli("evaluate", path, "--samples", "--rows", 400, "--json")[1])["samples"]
    assert (
        found["two_sample_auc"] > 0.7
        and found["two_sample_auc"] == found["numbers"]["two_sample_auc"]["value"]
    )
    assert {"standard_error", "interval", "rows", "by", "better", "perfect"} <= found["numbers"][
        "coverage"
    ].keys()
    assert (
        found["rows"] == 400
        and found["extractor"]["name"] == "columns"
        and set(KEYS) <= found.keys()
    )
    again = plausibly.open(path).samples(rows=400, seed=0).to_json()
    assert again == found
    assert plausibly.open(path).samples(rows=400, seed=1).to_json() != found


def test_the_command_refuses_in_a_line(board, cli):
    for words, why in [
        (["independent", "--samples", "--rows", 5], "at least 20"),
        (["independent", "--rows", 50], "goes with --annealed or --samples"),
        (["independent", "--extractor", "columns"], "go with --samples"),
        (["independent", "--samples", "--draws", 5], "leave one out"),
        (["independent", "--samples", "--extractor", "inception"], "there is no extractor"),
        (["independent", "--samples", "--extractor", "random-convolutions"], "for images"),
        (["independent", "--samples", "--extractor", "classifier"], "--label NAME"),
        (
            ["independent", "--samples", "--extractor", "classifier", "--label", "x"],
            "no column 'x'",
        ),
        (["independent", "--samples", "--label", "0"], "--extractor classifier"),
        (["autoencoder", "--samples"], "it has no distribution"),
    ]:
        status, out, err = cli("evaluate", board.path / words[0], *words[1:])
        assert (status, out) == (2, "") and why in err and err.count("\n") == 1, (words, err)


def test_a_classifier_of_labels_beside_images_is_kept_with_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "STEPS", 60)
    run = plausibly.fit("digits-binary", "independent", out=tmp_path / "run")
    found = run.samples(rows=100, extractor="classifier", label="label")
    assert (
        found.extractor["name"] == "classifier of label" and len(found.extractor["checksum"]) == 64
    )
    assert any(
        f"right about {found.extractor['accuracy']:.1%} of the test rows" in note
        for note in found.notes()
    )
    assert 0 <= found["class_shares"].value <= 1 and found["class_shares"].reference < 0.2
    (kept,) = run.path.glob("classifier-*.safetensors")
    assert (
        found.to_json()
        == Run.open(run.path).samples(rows=100, extractor="classifier", label="label").to_json()
    )
    assert kept.stat().st_size < 500_000


class Implicit(Model):
    """Has a sampler and nothing else."""

    family, formula = "test", "0"

    def __init__(self, schema):
        super().__init__()
        self.schema, self.weight = schema, torch.nn.Parameter(torch.zeros(1))

    def sample(self, n, generator):
        return torch.randint(0, 2, (n, *self.schema.shape), generator=generator).float()


def test_a_model_without_a_likelihood_has_all_numbers(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 2, (400, 6)), columns=list("abcdef"))
    dataset = load(frame)
    origin = data_origin(dataset, {"seed": 0})
    record = initial_record(dataset, origin, 0, model="implicit", arguments={})
    run = Run(tmp_path, record, Implicit(dataset.schema).eval(), dataset.format)
    found = run.samples(frame)
    assert (
        found.rows == 400
        and abs(found["two_sample_auc"].value - 0.5) < 6 * found["two_sample_auc"].standard_error
    )
    assert "not at hand" in found.missing["copies"] and found["precision"].value > 0.9
    with pytest.raises(UserError, match="only in memory"):
        run.samples()
    with pytest.raises(Unsupported):
        Run(
            tmp_path,
            record,
            plausibly.models.MODELS["autoencoder"].tiny(dataset.schema),
            dataset.format,
        ).samples(frame)


def test_the_board_takes_fewer_of_wide_and_of_slow_rows(table, digits):
    assert (
        board_rows(table.format, 5000, None) == 2000 and board_rows(table.format, 300, 1e6) == 300
    )
    assert (
        board_rows(digits.format, 5000, 10.0) == 300 and board_rows(digits.format, 5000, 0.1) == 0
    )
    wide = SimpleNamespace(schema=SimpleNamespace(size=784))
    assert board_rows(wide, 5000, None) == 250_000 // 784


def test_rows_are_taken_at_random_by_the_seed(table):
    assert torch.equal(pick_rows(table.train, 50, 1).codes, pick_rows(table.train, 50, 1).codes)
    assert not torch.equal(pick_rows(table.train, 50, 1).codes, pick_rows(table.train, 50, 2).codes)
    assert len(pick_rows(table.train, 10_000, 1)) == len(table.train)
