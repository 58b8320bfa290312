"""Standard errors and 95 % intervals: how often they hold what they should, by simulation or enumeration.

`python -m benchmarks.intervals` has all of them, with models, and more repeats.
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

import plausibly
from plausibly.cli.app import app
from plausibly.data.events import Events
from plausibly.estimators import DensityClassifier, DensityEstimator
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.intervals import (
    MIN_UNITS,
    TOO_FEW,
    Mean,
    UnitInfluences,
    binomial_interval,
    influence_by_unit,
)
from plausibly.evaluation.likelihood import elbo
from plausibly.evaluation.likelihood.by_column import ByColumn
from plausibly.evaluation.likelihood.likelihood import (
    ExactLikelihood,
    LikelihoodEstimate,
    LikelihoodLowerBound,
    LikelihoodUpperBound,
    likelihood_difference,
)
from plausibly.evaluation.samples import coverage, tables
from plausibly.evaluation.samples.distances import kernel_number
from plausibly.evaluation.samples.two_samples import mmd_number
from plausibly.evaluation.samples.usefulness import PredictionContest, PredictionSkill, usefulness
from plausibly.events.kinds import Grid
from plausibly.events.schema import binary
from plausibly.fitting.ensemble import greedy_weights
from plausibly.models import MODELS
from plausibly.outcomes.latents import Normal
from plausibly.runs.fitted import BoundWarning

CHANCE = {
    "normal": (lambda chance, size: chance.normal(size=size), 0.0),
    "skewed": (lambda chance, size: -chance.exponential(size=size), -1.0),
    "of a normal": (lambda chance, size: -0.5 * chance.chisquare(1, size), -0.5),
    "mixed": (
        lambda chance, size: np.where(chance.random(size) < 0.3, -2.0, chance.normal(size=size)),
        -0.6,
    ),
}


def held(intervals, truth):
    ends = np.array(intervals)
    return ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()


def least(level, repeats):
    """What is held in so many repeats, six standard deviations below the level."""
    return level - 6 * (level * (1 - level) / repeats) ** 0.5


@pytest.mark.parametrize("law", CHANCE)
def test_intervals_of_means_hold_them_and_errors_are_those_of_repetition(law):
    draw, truth = CHANCE[law]
    found = [Mean(row) for row in draw(np.random.default_rng(0), (4000, MIN_UNITS))]
    assert held([mean.interval for mean in found], truth) >= max(0.93, least(0.95, 4000))
    spread = np.std([mean.value for mean in found])
    assert np.mean([mean.error**2 for mean in found]) ** 0.5 == pytest.approx(spread, rel=6 * 0.02)


def test_groups_count_as_groups():
    """Rows of a group share half of their variance and more: over groups the interval holds, over rows it cannot."""
    chance, groups = (
        np.random.default_rng(1),
        np.repeat(np.arange(MIN_UNITS), np.arange(MIN_UNITS) % 7 + 1),
    )
    rows = chance.exponential(size=(2000, MIN_UNITS))[:, groups] + chance.normal(
        size=(2000, len(groups))
    )
    found = [Mean(row, groups) for row in rows]
    assert held([mean.interval for mean in found], 1.0) >= least(0.95, 2000)
    assert held([Mean(row).interval for row in rows], 1.0) < 0.85
    spread = np.std([mean.value for mean in found])
    assert np.mean([mean.error for mean in found]) == pytest.approx(spread, rel=6 * 0.03)
    assert found[0].moves.units == MIN_UNITS and Mean(rows[0, :60], groups[:60]).interval is None


def test_intervals_of_shares_hold_them_whatever_they_are():
    """By enumeration: of independent rows at least 95 %."""
    each = [Mean(np.arange(MIN_UNITS) < right).interval_of_share for right in range(MIN_UNITS + 1)]
    for share in np.linspace(0.002, 0.998, 250):
        inside = [low <= share <= high for low, high in each]
        assert binom.pmf(np.flatnonzero(inside), MIN_UNITS, share).sum() >= 0.95 - 1e-9
    assert (
        each[0] == pytest.approx(binomial_interval(0.0, MIN_UNITS))
        and each[0][0] == 0 < each[0][1] < 0.08
    )


def test_an_interval_of_a_share_is_that_of_as_many_rows_as_its_error_tells():
    """Clopper's and Pearson's; where all rows agree it reaches as far as they do, or as the draws."""
    bits = Mean((np.arange(80) < 20).astype(float))
    counted = 79 * (1.959964 / bits.moves.point) ** 2
    assert bits.interval_of_share == pytest.approx(binomial_interval(0.25, counted))
    draws = influence_by_unit(np.array([0.0, 0.1, 0.4, 0.2]))
    for share in (0.0, 1.0):
        plain = UnitInfluences((np.zeros(80),))
        assert plain.interval_of_share(share, 80) == pytest.approx(binomial_interval(share, 80))
        moved = UnitInfluences((np.zeros(80),), draws)
        low, high = moved.interval_of_share(share, 80)
        reach = moved.point * moved.error
        assert high - low == pytest.approx(reach) and share in (low, high) and reach > 0.1


def test_few_rows_have_no_interval_and_a_single_one_no_error():
    rows = np.random.default_rng(2).normal(size=MIN_UNITS)
    assert (
        Mean(rows).interval
        and Mean(rows[1:]).interval is None
        and Mean(rows[1:]).interval_of_share is None
    )
    assert np.isnan(Mean(rows[:1]).error) and Mean(np.zeros(MIN_UNITS)).interval == (0, 0)
    assert Mean(np.append(rows, -np.inf)).interval is None


def test_draws_count_beside_rows():
    rows, draws = np.random.default_rng(3).normal(size=200), np.array([1.0, 2.0, 6.0])
    both = UnitInfluences((influence_by_unit(rows),), influence_by_unit(draws))
    assert both.error**2 == pytest.approx(rows.var(ddof=1) / 200 + draws.var(ddof=1) / 3)
    assert (
        both.freedom < 2.1
        and UnitInfluences((influence_by_unit(rows),), influence_by_unit(draws[:1])).error
        == Mean(rows).error
    )


def test_two_draws_are_enough_to_count():
    rows, draws = np.random.default_rng(3).normal(size=200), np.array([1.0, 2.0])
    both = UnitInfluences((influence_by_unit(rows),), influence_by_unit(draws))
    assert both.error**2 == pytest.approx(rows.var(ddof=1) / 200 + 0.5 / 2)


def placed(chance, n):
    real, made, train = chance.normal(size=(n, 2)), chance.normal(0.3, 0.8, (n, 2)), TRAIN
    found = coverage.coverage_numbers(real, made, "x") | coverage.closest_records(
        made, real, train, "x"
    )
    found |= {"mmd": mmd_number(real, made, "x"), "kernel": kernel_number(real, made, "x")}
    found["nearer"] = coverage.nearer_to_training(made, train[:n], real, "x")
    draws = chance.normal(0.3, 0.8, (3, n, 2))
    return found | tables.table_distances(["a", "b"], [Grid(), Grid()], real, draws, []).numbers()


TRAIN = np.random.default_rng(4).normal(size=(100, 2))


def test_intervals_of_samples_hold_what_their_numbers_are_on_average():
    repeats, chance = 200, np.random.default_rng(5)
    found = [placed(chance, MIN_UNITS) for _ in range(repeats)]
    for name in found[0]:
        values = np.array([each[name].value for each in found])
        errors = np.array([each[name].standard_error for each in found])
        assert held([each[name].interval for each in found], values.mean()) >= least(
            0.95, repeats
        ), name
        assert 0.75 < np.mean(errors**2) ** 0.5 / values.std() < 3, name
    assert all(number.interval is None for number in placed(chance, MIN_UNITS - 1).values())


def test_errors_of_columns_and_of_log_losses_are_those_of_repetition():
    """Of repeated rows of known laws; one that forgets its square root is 7 times as large."""
    chance, columns, losses = np.random.default_rng(6), [], []
    for _ in range(400):
        columns.append(ByColumn(("a",), torch.from_numpy(-chance.exponential(size=(MIN_UNITS, 1)))))
        sure = chance.uniform(0.05, 0.95, MIN_UNITS)
        truth = (chance.random(MIN_UNITS) > sure).astype(int)
        losses.append(Classification(("y", "n"), np.stack([sure, 1 - sure], 1), truth).to_json())
    for values, errors in (
        (
            [float(each.means[0]) for each in columns],
            [each.to_json()[0]["standard_error"] for each in columns],
        ),
        ([each["log_loss"] for each in losses], [each["log_loss_error"] for each in losses]),
        ([each["accuracy"] for each in losses], [each["accuracy_error"] for each in losses]),
    ):
        assert np.mean(errors) == pytest.approx(np.std(values), rel=6 / 800**0.5 + 0.02)


def test_the_error_of_usefulness_is_over_rows_and_draws(monkeypatch):
    """Each draw of samples teaches somewhat else, beside which held-out rows of a large file tell little."""
    chance = np.random.default_rng(7)
    rows, found = 400, []

    def skill(self, events, seed=0):
        luck = 0.0 if not events else chance.normal(0, 0.05)
        return PredictionSkill(float(0.7 + luck + each.mean()), each - each.mean())

    monkeypatch.setattr(PredictionContest, "skill", skill)
    monkeypatch.setattr(PredictionContest, "levels", 2)
    monkeypatch.setattr(PredictionContest, "groups", None)
    monkeypatch.setattr(PredictionContest, "__str__", lambda self: "trees")
    for _ in range(300):
        each = chance.normal(0, 0.4, rows)
        found.append(usefulness(PredictionContest(None, 0, None), [], ["draw"] * 3))
    for name in ("trained_on_samples", "training_gap"):
        values, errors = np.array([(one[name].value, one[name].standard_error) for one in found]).T
        assert np.mean(errors**2) ** 0.5 == pytest.approx(values.std(), rel=6 / 600**0.5)
        assert held([one[name].interval for one in found], values.mean()) >= least(0.95, 300)


def test_what_an_own_posterior_saves_has_its_sign(monkeypatch):
    """Of a decoder that says the same of every z only the rate counts: a posterior farther from the prior loses by it."""
    model = MODELS["vae"].tiny(binary(4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.zeros(3, 4)
    monkeypatch.setattr(
        elbo, "tune_posterior", lambda model, x, q, noise: Normal(q.centre + 2.0, q.log_scale)
    )
    q, draws = model.posterior(x), 2000
    lost = -(0.5 * ((q.centre + 2) ** 2 - q.centre**2)).sum(1)
    found = elbo.amortisation_gap(model, x, torch.Generator().manual_seed(0), draws)
    assert (lost < -1).all() and found.numpy() == pytest.approx(
        lost.detach().numpy(), abs=6 * 2 * (model.latents / draws) ** 0.5
    )


def test_the_weights_of_a_portfolio_are_those_of_the_best_mixture_on_the_way():
    """Of rows of which two of three are the first member's: a third member's weight, not the nearest of 100 steps."""
    logs = torch.tensor([[0.0, -40.0], [0.0, -40.0], [-40.0, 0.0]]).repeat(20, 1)
    assert greedy_weights(logs).numpy() == pytest.approx([2 / 3, 1 / 3], abs=1e-12)

    def score(weights):
        return float((logs.double() + weights.log()).logsumexp(1).mean())

    chance = torch.Generator().manual_seed(0)
    logs = torch.randn(50, 4, generator=chance) * 2 - 3
    best = score(greedy_weights(logs))
    assert all(score(greedy_weights(logs, added)) <= best + 1e-12 for added in range(1, 100))


# --- groups, from the split to every number


def visits(n, seed=0):
    """Visits of people: what is seen of a person hardly changes."""
    chance = np.random.default_rng(seed)
    person = np.arange(n) // 6
    size = chance.normal(size=n // 6 + 1)[person] * 3 + chance.normal(size=n)
    return pd.DataFrame(
        {
            "person": [f"p{k}" for k in person],
            "size": size.round(1),
            "tall": np.where(size > 1, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grouped")
    visits(4200).to_csv(folder / "visits.csv", index=False)
    visits(900, 1).to_csv(folder / "more.csv", index=False)
    options = {"split": "group=person", "drop": ["person"]}
    return plausibly.fit(
        str(folder / "visits.csv"), "chow_liu", out=folder / "run", **options
    ), folder


def test_a_split_by_groups_counts_them_in_every_error(grouped, capsys):
    run, folder = grouped
    dataset = run.dataset()
    groups = dataset.test.groups
    number = len(np.unique(groups))
    assert MIN_UNITS < number == run.test().group_count == run.record["test"]["groups"]
    nats = run.test().nats.numpy() - run.test().value
    sums = np.array([nats[groups == group].sum() for group in np.unique(groups)])
    error = (number / (number - 1) * (sums**2).sum()) ** 0.5 / len(nats)
    assert (
        run.test().standard_error == pytest.approx(error)
        and error > 1.5 * nats.std() / len(nats) ** 0.5
    )
    assert likelihood_difference(run.test(), ExactLikelihood(run.test().nats, 2)).groups is not None
    assert run.evaluate(folder / "more.csv").group_count == 150
    told = run.classify(folder / "more.csv", "tall"), run.regress(folder / "more.csv", "size")
    assert all("900 rows in 150 groups" in each.line() for each in told)
    assert (
        told[0].to_json()["groups"] == 150
        and "150 groups" in run.by_column(folder / "more.csv").title()
    )
    app(["evaluate", str(run.path)], result_action="return_value")
    said = capsys.readouterr().out
    assert f"{len(nats):,} rows in {number} groups" in said and "95 %: " in said


def test_samples_beside_rows_in_groups_count_groups(grouped):
    run, folder = grouped
    found = run.samples(folder / "more.csv", rows=300)
    alone = run.samples(pd.read_csv(folder / "more.csv").drop(columns="person"), rows=300)
    assert found.groups and alone.groups is None and "groups" in found.title()
    for name in ("column_distance", "pair_distance", "kernel_distance", "trained_on_samples"):
        assert found[name].value == pytest.approx(alone[name].value), name
        assert found[name].standard_error > alone[name].standard_error, name


def test_few_test_rows_are_told_why_there_is_no_interval(tmp_path, capsys):
    frame = pd.DataFrame({"a": np.arange(200) % 3, "b": np.arange(200) % 2})
    run = plausibly.fit(frame, "independent", out=tmp_path / "run")
    app(["evaluate", str(run.path)], result_action="return_value")
    assert TOO_FEW in capsys.readouterr().out
    app(["evaluate", str(run.path), "--json"], result_action="return_value")
    test = json.loads(capsys.readouterr().out)["test"]
    assert test["interval"] is None and test["standard_error"] >= 0


def test_groups_go_where_their_rows_go():
    events = Events(torch.zeros(4, 1), torch.zeros(4), groups=np.array([5, 5, 7, 7]))
    assert events[1:3].groups.tolist() == [5, 7] and events[[3, 0]].groups.tolist() == [7, 5]
    assert plausibly.data.events.join_events([events[:1], events[2:]]).groups.tolist() == [5, 7, 7]


# --- signs: = exact, >= a bound, ~ an estimate


@pytest.fixture(scope="module")
def bounded(tmp_path_factory):
    """A VAE of a table with a label, and its rows."""
    folder = tmp_path_factory.mktemp("bounded")
    visits(600).drop(columns="person").to_csv(folder / "rows.csv", index=False)
    return plausibly.fit(str(folder / "rows.csv"), "vae", out=folder / "run", steps=20), folder


def test_bounds_of_a_vae_say_so_wherever_they_leave(bounded, capsys):
    run, folder = bounded
    path, rows = str(run.path), str(folder / "rows.csv")
    assert run.sign == ">=" == run.evaluate(rows).sign and set(run.score(rows)["sign"]) == {">="}
    with pytest.warns(BoundWarning, match=">="):
        run.log_prob(rows)
    app(["score", path, rows, "--out", str(folder / "scores.csv")], result_action="return_value")
    assert "lower bounds (>=)" in capsys.readouterr().out
    assert set(pd.read_csv(folder / "scores.csv")["sign"]) == {">="}
    app(["score", path, rows, "--json"], result_action="return_value")
    document = json.loads(capsys.readouterr().out)
    assert document["sign"] == ">=" == document["scores"][0]["sign"]
    assert run.score(rows).attrs["sign"] == ">="
    app(["evaluate", path], result_action="return_value")
    said = capsys.readouterr().out
    assert said.startswith(">= ") and "95 % of the bound, not of log p: " in said
    assert (
        run.elbo().amortisation.sign == ">="
        and ">= " in next(x for x in run.elbo().parts() if "amort" in x[0])[1]
    )
    told = run.classify(rows, "tall")
    assert (told.word, told.sign, told.to_json()["sign"]) == ("estimate", "~", "~")
    assert "log loss ~ " in told.line() and "p(label) is estimate" in told.line()


def test_exact_numbers_say_so(grouped, recwarn):
    run, _ = grouped
    rows = visits(30, 2)
    assert (
        run.sign == "="
        and set(run.score(rows)["sign"]) == {"="}
        and run.classify(rows, "tall").sign == "="
    )
    run.log_prob(rows)
    assert not [one for one in recwarn if isinstance(one.message, BoundWarning)]


def test_estimators_tell_what_their_numbers_are():
    x = (np.random.default_rng(8).random((60, 3)) < 0.5).astype(np.uint8)
    y = x[:, 0] ^ (np.arange(60) % 5 == 0)
    exact, vae = (
        DensityEstimator(name, steps=3, random_state=0).fit(x) for name in ("independent", "vae")
    )
    assert (exact.sign_, vae.sign_) == ("=", ">=")
    with pytest.warns(BoundWarning, match="lower bound"):
        vae.score(x)
    classes = DensityClassifier("vae", steps=3, random_state=0).fit(x, y)
    assert (classes.sign_, classes.proba_sign_) == (">=", "~")
    with pytest.warns(BoundWarning, match="estimates"):
        classes.predict_proba(x)
    assert DensityClassifier("independent", random_state=0).fit(x, y).proba_sign_ == "="


def test_differences_have_the_sign_of_what_they_are_of():
    nats = torch.arange(3.0)
    signs = {
        kind.sign: kind(nats, 2)
        for kind in (
            ExactLikelihood,
            LikelihoodLowerBound,
            LikelihoodUpperBound,
            LikelihoodEstimate,
        )
    }
    found = {(a, b): likelihood_difference(signs[a], signs[b]).sign for a in signs for b in signs}
    known = {
        ("=", "="): "=",
        (">=", "="): ">=",
        ("=", ">="): "<=",
        ("<=", "="): "<=",
        ("=", "<="): ">=",
    }
    known |= {(">=", "<="): ">=", ("<=", ">="): "<="}
    assert found == {pair: known.get(pair, "~") for pair in found}


# --- which variables bits are of


def test_actual_bits_say_that_they_are_of_the_context_too(tmp_path, capsys):
    visits(900).drop(columns="person").to_csv(tmp_path / "rows.csv", index=False)
    board = plausibly.compare(
        str(tmp_path / "rows.csv"), ["nade"], out=tmp_path / "out", steps=5, context=["tall"]
    )
    assert "(all 2, tall included, while bits/variable is of the 1 others)" in board.caption()
    plain = plausibly.compare(str(tmp_path / "rows.csv"), ["chow_liu"], out=tmp_path / "plain")
    assert "included" not in plain.caption() and "actual bits" in plain.caption()
    run = str(tmp_path / "out" / "nade")
    app(
        ["compress", run, str(tmp_path / "rows.csv"), str(tmp_path / "file")],
        result_action="return_value",
    )
    assert "; of all 2 variables, tall included" in capsys.readouterr().out
