"""scikit-learn estimators: its own checks, probabilities against enumeration and other libraries, forms of rows."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from plausibly import DensityClassifier, DensityEstimator, fit
from plausibly.errors import Unsupported, UserError
from plausibly.estimators import holdout_mask, seed_of_random_state

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_model.py"
EVERY = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8).T.astype(np.uint8)


@parametrize_with_checks([DensityEstimator(), DensityClassifier(), DensityEstimator("independent")])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits, labels and p(y | each of the 8 rows): y has 0.3, 0.5, 0.2; x_0 = x_1 with 0.9 in class 0, 0.2 else."""
    generator = np.random.default_rng(0)
    prior, rate = (
        np.array([0.3, 0.5, 0.2]),
        np.array([[0.5, 0.9, 0.2], [0.5, 0.2, 0.6], [0.9, 0.2, 0.4]]),
    )
    labels = generator.choice(3, 20_000, p=prior)
    one, same, two = (generator.random((3, 20_000)) < rate[labels].T).astype(np.uint8)
    x0, x1, x2 = EVERY.T.astype(int)
    given = [
        np.where(x0, a, 1 - a) * np.where(x0 == x1, b, 1 - b) * np.where(x2, c, 1 - c)
        for a, b, c in rate
    ]
    joint = prior[:, None] * np.array(given)
    rows = np.column_stack([one, np.where(same, one, 1 - one), two]).astype(np.uint8)
    return rows, labels, (joint / joint.sum(0)).T


def mixed(rows: int = 300) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    kind = generator.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "kind": kind,
            "size": np.round(
                generator.normal(ord("b") - np.array(list(map(ord, kind))), 0.3), 1
            ).astype(np.float32),
            "count": pd.array(
                np.where(generator.random(rows) < 0.1, pd.NA, generator.integers(0, 5, rows)),
                "Int64",
            ),
            "class": pd.Categorical(
                generator.choice(["low", "high"], rows), ["low", "high"], ordered=True
            ),
        },
        index=np.arange(rows) + 7,
    )


@pytest.mark.parametrize("model", ["independent", "joint", "chow_liu"])
def test_probabilities_of_all_rows_sum_to_one(model, classes):
    fitted = DensityEstimator(model, random_state=0).fit(classes[0])
    nats = fitted.score_samples(EVERY)
    assert nats.shape == (8,) and nats.dtype == np.float64 and abs(np.exp(nats).sum() - 1) < 1e-6
    assert fitted.score(EVERY) == pytest.approx(nats.mean())


def test_a_float_column_has_a_density(classes):
    """The integral over a wide interval by the midpoint rule, and the entropy of a normal distribution."""
    x = np.random.default_rng(2).normal(3, 2, (4000, 1))
    fitted = DensityEstimator(random_state=0).fit(x)
    places = np.arange(-40, 46, 1e-3)[:, None] + 5e-4
    assert abs(np.exp(fitted.score_samples(places)).sum() * 1e-3 - 1) < 5e-3
    held = np.random.default_rng(3).normal(3, 2, (2000, 1))
    entropy = 0.5 * np.log(2 * np.pi * np.e * 4)
    assert abs(-fitted.score(held) - entropy) < 6 * np.sqrt(0.5 / 2000) + 0.05


def test_one_column_of_frequencies():
    """The joint of one variable is its relative frequency, smoothed by less than a row."""
    x = np.array([[0]] * 30 + [[1]] * 60 + [[2]] * 10, dtype=np.uint8)
    fitted = DensityEstimator("joint", validation_fraction=0.01, random_state=0).fit(x)
    assert np.exp(fitted.score_samples([[0], [1], [2]])) == pytest.approx(
        [0.3, 0.6, 0.1], abs=0.011
    )


def test_class_probabilities_are_those_of_the_truth(classes):
    rows, labels, truth = classes
    fitted = DensityClassifier("joint", random_state=0).fit(rows, np.array(["u", "v", "w"])[labels])
    got = fitted.predict_proba(EVERY)
    each = np.bincount(rows @ [1, 2, 4], minlength=8)[EVERY @ [1, 2, 4]][
        :, None
    ]  # rows that tell of each event
    assert (np.abs(got - truth) < 6 * np.sqrt(truth * (1 - truth) / (0.9 * each)) + 1e-3).all()
    assert got.sum(1) == pytest.approx(np.ones(8)) and list(fitted.classes_) == ["u", "v", "w"]
    assert (fitted.predict(EVERY) == fitted.classes_[got.argmax(1)]).all()
    assert np.exp(fitted.score_samples(EVERY)).sum() == pytest.approx(1, abs=1e-6)


def test_columns_that_tell_nothing_of_each_other_leave_the_shares_of_labels(classes):
    rows, labels, _ = classes
    ours = DensityClassifier("independent", random_state=0).fit(rows, labels).predict_proba(EVERY)
    shares = np.bincount(labels) / len(labels)
    assert np.abs(ours - shares).max() < 6 * 0.5 / np.sqrt(len(labels))


@pytest.mark.parametrize(
    ("model", "given"), [("nade", {"steps": 40}), ("forest", {"set": {"trees": 3}})]
)
def test_it_is_the_law_of_the_command_line(model, given, tmp_path):
    """The same rows, split and seed; the label is last in the file, as it is among the estimator's variables."""
    mixed(400)[["size", "class", "count", "kind"]].to_csv(tmp_path / "all.csv", index=False)
    frame, seed = pd.read_csv(tmp_path / "all.csv"), seed_of_random_state(0)
    x, y = frame.drop(columns="kind"), frame["kind"]
    held = holdout_mask(np.unique(y, return_inverse=True)[1], 0.1, seed)
    for name, rows in (("train", frame[~held]), ("valid", frame[held]), ("test", frame[:20])):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    parts = {name: tmp_path / f"{name}.csv" for name in ("valid", "test")}
    whole = {"out": tmp_path / "run", "seed": seed, "target": "kind"}
    told = fit(tmp_path / "train.csv", model, **whole, **parts, **given).classify(x)
    settings, steps = given.get("set"), given.get("steps")
    ours = DensityClassifier(model, settings=settings, steps=steps, random_state=0).fit(x, y)
    order = [told.labels.index(label) for label in ours.classes_]
    assert told.probabilities[:, order] == pytest.approx(ours.predict_proba(x), abs=1e-6)


def test_samples_have_the_labels_at_their_rates(classes):
    rows, labels, truth = classes
    fitted = DensityClassifier("joint", random_state=0).fit(rows, labels)
    drawn, classes_ = fitted.sample(20_000, random_state=1)
    assert drawn.dtype == rows.dtype and drawn.shape == (20_000, 3)
    for x, expected in zip(EVERY, truth, strict=True):
        of = classes_[(drawn == x).all(1)]
        error = np.sqrt(expected * (1 - expected) * (1 / len(of) + 1 / (rows == x).all(1).sum()))
        assert (np.abs(np.bincount(of, minlength=3) / len(of) - expected) < 6 * error + 1e-3).all()


def test_iris_is_classified():
    x, y = load_iris(return_X_y=True)
    assert cross_val_score(DensityClassifier(random_state=0), x, y, cv=5).mean() > 0.93 - 6 * 0.021


def test_frames_come_back_as_frames():
    frame = mixed()
    fitted = DensityEstimator(random_state=0).fit(frame)
    drawn = fitted.sample(200, random_state=1)
    assert drawn.dtypes.equals(frame.dtypes) and list(drawn.index) == list(range(200))
    assert list(fitted.feature_names_in_) == list(frame.columns) and fitted.n_features_in_ == 4
    assert np.isfinite(fitted.score_samples(frame.head(5))).all()
    assert fitted.score_samples(frame.tail(3)) == pytest.approx(fitted.score_samples(frame)[-3:])
    with pytest.raises(ValueError, match="same order"):
        fitted.score_samples(frame[list(frame.columns[::-1])])
    filled = fitted.run_.impute(frame)
    assert not filled.isna().any(axis=None) and filled.index.equals(frame.index)


def test_a_classifier_of_frames():
    frame = mixed()
    fitted = DensityClassifier(random_state=0).fit(frame.drop(columns="kind"), frame["kind"])
    drawn, labels = fitted.sample(500)
    assert drawn.dtypes.equals(frame.dtypes.drop("kind")) and set(labels) == {"a", "b", "c"}
    means = drawn["size"].groupby(labels).mean()
    assert means["a"] > 0.8 > means["b"] > -0.8 > means["c"]
    assert fitted.score(frame.drop(columns="kind"), frame["kind"]) > 0.85


def test_an_array_may_follow_a_frame_and_the_other_way_round():
    frame = pd.DataFrame(np.random.default_rng(4).normal(size=(50, 2)), columns=["a", "b"])
    by_frame = DensityEstimator(random_state=0).fit(frame)
    by_array = DensityEstimator(random_state=0).fit(frame.to_numpy())
    with pytest.warns(UserWarning, match="feature names"):
        assert by_frame.score_samples(frame.to_numpy()) == pytest.approx(
            by_frame.score_samples(frame)
        )
    with pytest.warns(UserWarning, match="feature names"):
        assert by_array.score_samples(frame) == pytest.approx(
            by_array.score_samples(frame.to_numpy())
        )
    assert isinstance(by_array.sample(3), np.ndarray)


def test_holes_are_values():
    x = np.random.default_rng(5).normal(size=(100, 2))
    x[::4, 0] = np.nan
    fitted = DensityEstimator(random_state=0).fit(x)
    assert abs(np.isnan(fitted.sample(4000)[:, 0]).mean() - 0.25) < 0.1
    with pytest.raises(ValueError, match="infinity"):
        fitted.score_samples([[np.inf, 0]])


def test_seeds():
    x = np.random.default_rng(6).normal(size=(60, 2))
    one, two = (DensityEstimator(random_state=3).fit(x) for _ in range(2))
    assert np.array_equal(one.score_samples(x), two.score_samples(x)) and np.array_equal(
        one.sample(5), two.sample(5)
    )
    assert not np.array_equal(one.sample(5), one.sample(5, random_state=4))
    moved = np.random.RandomState(3)
    assert not np.array_equal(one.sample(5, random_state=moved), one.sample(5, random_state=moved))


def test_it_is_one_of_scikit_learn_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(7).normal(size=(120, 2))
    x[:, 1] += x[:, 0]
    search = GridSearchCV(
        DensityEstimator(random_state=0), {"model": ["independent", "chow_liu"]}, cv=3
    ).fit(x)
    assert search.best_params_["model"] == "chow_liu"
    assert np.isfinite(make_pipeline(StandardScaler(), DensityEstimator()).fit(x).score(x))
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert np.array_equal(again.score_samples(x), search.best_estimator_.score_samples(x))
    assert clone(search.best_estimator_).set_params(steps=5).get_params()["steps"] == 5
    assert not list(tmp_path.iterdir())


def test_network_models_and_models_of_ones_own(classes):
    x = classes[0][:500]
    nade = DensityEstimator(
        "nade", settings={"hidden": 8, "train.rate": 0.01}, steps=50, random_state=0
    ).fit(x)
    assert nade.run_.model.hidden == 8 and abs(np.exp(nade.score_samples(EVERY)).sum() - 1) < 1e-5
    own = DensityEstimator(f"{EXAMPLE}:Linear", steps=50, random_state=0).fit(x)
    assert abs(np.exp(own.score_samples(EVERY)).sum() - 1) < 1e-5
    by_class = DensityClassifier(f"{EXAMPLE}:Linear", steps=50, random_state=0).fit(
        x, classes[1][:500]
    )
    assert by_class.predict_proba(EVERY).shape == (8, 3)


def test_classes_of_a_row_or_two():
    x, y = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=np.uint8), [0, 0, 0, 1]
    assert DensityClassifier(random_state=0).fit(x, y).predict_proba(x).shape == (4, 2)
    assert (DensityClassifier().fit(x, [5] * 4).predict(x) == 5).all()


@pytest.mark.parametrize("kind", [pd.DataFrame, np.asarray])
def test_validation_rows_teach_the_format_nothing(kind):
    """Levels, edges, location and scale are those of training rows."""
    generator = np.random.default_rng(9)
    x, y = generator.normal(size=(60, 2)).round(2), generator.integers(0, 2, 60)
    held = holdout_mask(np.zeros(60, dtype=int), 0.1, seed_of_random_state(0))
    moved = np.where(held[:, None], 1000 * x + 7, x)
    one, two = (
        DensityEstimator(random_state=0).fit(kind(rows)).run_.format.to_json()
        for rows in (x, moved)
    )
    assert held.sum() == 6 and one == two
    other = (
        DensityEstimator(random_state=0)
        .fit(kind(np.where(held[:, None], x, moved + 5)))
        .run_.format.to_json()
    )
    assert one != other
    held = holdout_mask(y, 0.1, seed_of_random_state(0))
    moved = np.where(held[:, None], 1000 * x + 7, x)
    one, two = (DensityClassifier(random_state=0).fit(kind(rows), y).joint_ for rows in (x, moved))
    assert one.format.to_json() == two.format.to_json()


def test_held_out_rows_that_no_room_is_left_for_are_not_looked_at():
    """Of a closed kind, as arrays of small whole numbers are."""
    x = np.random.default_rng(10).integers(0, 3, (80, 2)).astype(np.uint8)
    held = holdout_mask(np.zeros(80, dtype=int), 0.1, seed_of_random_state(0))
    whole = DensityEstimator(random_state=0).fit(x).run_
    x[np.flatnonzero(held)[:3], 1] = 9
    left = DensityEstimator(random_state=0).fit(x).run_
    assert left.format.to_json() == whole.format.to_json()
    x[held] = 9
    assert np.isfinite(DensityEstimator(random_state=0).fit(x).score_samples(x[~held])).all()


def test_held_out_rows_are_a_share_of_each_group():
    groups = np.repeat([0, 1, 2], [50, 5, 20])
    held = holdout_mask(groups, 0.1, 0)
    assert np.bincount(groups[held], minlength=3).tolist() == [5, 0, 2]
    assert not np.array_equal(held, holdout_mask(groups, 0.1, 1))
    assert holdout_mask(np.array([0, 0, 1]), 0.1, 0).sum() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "chow_lu"}, "did you mean 'chow_liu'"),
        ({"settings": {"hiden": 3}, "model": "nade"}, "did you mean 'hidden'"),
        ({"validation_fraction": 1.0}, "between 0 and 1"),
        ({"steps": 3, "budget": 2.0}, "not both"),
        ({"kinds": {"0": "nmber"}}, "did you mean 'number'"),
    ],
)
def test_what_cannot_be_is_said(arguments, said):
    with pytest.raises(UserError, match=said):
        DensityEstimator(**arguments).fit(np.random.default_rng(8).normal(size=(20, 2)))


def test_nothing_before_fit():
    for ask in (lambda e: e.score_samples(EVERY), lambda e: e.sample()):
        for kind in (DensityEstimator, DensityClassifier):
            with pytest.raises(NotFittedError):
                ask(kind())
    with pytest.raises(UserError, match="n_samples=1"):
        DensityEstimator().fit(mixed(1))
    assert issubclass(Unsupported, TypeError)  # what a model without a likelihood raises
