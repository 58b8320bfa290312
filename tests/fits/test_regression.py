"""Distributions of numbers row by row: against the exact quantiles of one row, enumeration, SciPy, and planted faults."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from oracles import quantile, within_codes
from scipy import integrate, stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from plausibly.cli.app import app
from plausibly.data.events import Events
from plausibly.errors import UserError
from plausibly.evaluation.answers.curves import CodeCDF, outcome_cdf
from plausibly.evaluation.answers.prediction import ask_rows, require_known
from plausibly.evaluation.answers.regression import (
    INTERVAL_SHARE,
    LOWER_SHARES,
    Regression,
    evaluate_regression,
    pit_values,
    shortest_interval,
)
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Grid, Level, Real
from plausibly.events.schema import Schema
from plausibly.families.mixtures import mixture
from plausibly.families.proposals import EffectiveSampleSize
from plausibly.fitting.api import fit
from plausibly.models import MODELS
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.tasks.query import QueryOutcome

KINDS = [
    Level(5),
    Level(4, width=3),
    Grid(atoms=(0, 5, 6), edges=(-3, 5, 10), tails=(4.0, 7.0), missing=True),
    Grid(edges=(0, 1000, 5000), tails=(30.0, 700.0), open=True),
    Grid(edges=(0, 10, 50), tails=(3.0, 70.0), open=True, unforeseen=0.1, unseen=(0,)),
    Grid(edges=(0, 10, 50), tails=(30.0, 7.0), open=True, unforeseen=0.1, unseen=(3,)),
    Real(3.0, 0.5, (-1.0, 0.5, 2.0), (0.3, 2.0)),
]


def shares(kind, rows=40):
    return np.random.default_rng(0).dirichlet(np.full(kind.regular, 0.5), rows)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_many_rows_are_told_as_one(kind):
    """Against sums and halving, a row at a time; the levels reach into the tails."""
    p, found, levels = (
        shares(kind),
        CodeCDF(kind, shares(kind)),
        np.array([0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999]),
    )
    means, quantiles = zip(*(within_codes(kind, row, levels) for row in p), strict=True)
    assert np.allclose(found.mean(), means)
    assert np.allclose(
        found.quantiles(levels).T, quantiles, rtol=1e-6, atol=1e-6 if isinstance(kind, Real) else 0
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_below_is_the_sum_over_codes(kind):
    p, found = shares(kind), CodeCDF(kind, shares(kind))
    values = np.random.default_rng(1).integers(-3, 12, len(p)).astype(float)
    want = [
        row @ kind.probability_below(value)[: kind.regular]
        for row, value in zip(p, values, strict=True)
    ]
    assert np.allclose(found.below(values), want)


@pytest.mark.parametrize(
    "kind", [Grid(edges=(0,), tails=(500.0, 1000.0)), Real(2.0, 3.0, (0.0,), (500.0, 1000.0))]
)
@pytest.mark.parametrize("q", [0.003, 0.04, 0.96, 0.999])
def test_quantiles_in_the_tails_are_their_laws(kind, q):
    """One edge, two open codes: in closed form; to the step where the kind has one. Queries and rows tell the same."""
    low, high = 0.3, 0.7
    found = CodeCDF(kind, np.array([[low, high]])).quantiles(np.array([q]))[0, 0]
    if isinstance(kind, Real):
        want = 2 + 3 * (500 * np.log(q / low) if q < low else -1000 * np.log((1 - q) / high))
        assert found == pytest.approx(want, rel=1e-9)
        return
    values = np.arange(-20_000, 40_000)
    p = np.array([low, high])[kind.code(values)] * np.exp(kind.log_within(values))
    assert found == values[np.searchsorted(p.cumsum(), q)]
    scipys = stats.geom(1 / 1001, loc=-1)  # from 0 on
    if q > low:
        assert found == scipys.ppf((q - low) / high)


def test_how_much_of_a_bin_lies_below_a_number():
    """Against the integral of the density: both tails, which are not alike, and inner bins."""
    kind = KINDS[-1]
    logs = torch.tensor([[0.2, 0.3, 0.1, 0.4]]).log()
    one = Histogram(Categorical(logs), Binning(Schema((1,), (kind,))), (0,))

    def density(x):
        return float(one.log_prob(torch.tensor([x], dtype=torch.float64)).exp())

    cuts = [-15.0, -1.0, 0.5, 2.0, 90.0]
    for x in (-1.6, -1.1, 0.0, 1.2, 2.5, 7.0):
        ends = [*[c for c in cuts if c < x], x]
        want = sum(integrate.quad(density, a, b)[0] for a, b in zip(ends, ends[1:], strict=False))
        assert float(one.below(torch.tensor([x], dtype=torch.float64))) == pytest.approx(
            want, abs=1e-6
        )


def test_the_pit_of_whole_numbers_is_spread_over_their_step():
    """Of one number, that a row is with probability .5, values from F below it to F at it, evenly: SciPy's own test."""
    kind, n = Level(3), 4000
    found = outcome_cdf(kind, Categorical(torch.tensor([[0.3, 0.5, 0.2]]).log().expand(n, 3)))
    pit = pit_values(kind, found.below, np.ones(n), np.random.default_rng(0))
    assert stats.kstest(pit, stats.uniform(0.3, 0.5).cdf).pvalue > 1e-6
    told = pit_values(Real(), lambda values: np.full(n, 0.4), np.ones(n), np.random.default_rng(0))
    assert (told == 0.4).all()  # of a number with a density F itself


def test_densities_against_scipy():
    kind = Real(2.0, 3.0)
    means, scales = torch.tensor([[0.0, 1.0], [-1.0, 2.0]]), torch.tensor([[1.0, 0.5], [0.2, 1.5]])
    found = outcome_cdf(
        kind, MixtureDensity(torch.tensor([[0.3, 0.7], [0.5, 0.5]]).log(), means, scales)
    )
    for row, weights in enumerate(((0.3, 0.7), (0.5, 0.5))):
        normals = [
            stats.norm(2 + 3 * float(m), 3 * float(s))
            for m, s in zip(means[row], scales[row], strict=True)
        ]

        def share(value, weights=weights, normals=normals):
            return sum(w * normal.cdf(value) for w, normal in zip(weights, normals, strict=True))

        assert found.below(np.array([3.0, 3.0]))[row] == pytest.approx(share(3.0), abs=1e-6)
        assert found.quantiles(np.array([0.95]))[0, row] == pytest.approx(
            quantile(share, 0.95, -50, 50, 0.0), abs=1e-4
        )


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """y = 10 a + noise in cents, and a letter; a run that knows it well."""
    chance = np.random.default_rng(3)
    a = chance.integers(0, 4, 6000)
    frame = pd.DataFrame(
        {"a": a, "y": (10 * a + chance.normal(0, 2, 6000)).round(2), "c": np.where(a > 1, "x", "z")}
    )
    return frame, fit(frame, "chow_liu", out=tmp_path_factory.mktemp("run") / "it", seed=0)


def test_a_known_distribution_is_calibrated(numbers):
    frame, run = numbers
    found = run.regress(frame[:3000], "y")
    told = found.to_json()
    assert told["word"] == "exact" and told["rows"] == 3000
    assert 0.88 < told["interval_90"] < 0.93 and told["pit_p_value"] > 0.001
    assert told["mean_absolute_error"] == pytest.approx(
        2 * (2 / np.pi) ** 0.5, rel=0.06
    )  # of a normal about its median
    cents = stats.norm(0, 2).entropy() + np.log(100)  # nats of a number written in cents
    assert told["log_loss"] == pytest.approx(cents, abs=0.15)
    asked = run.query("y", {"a": 3, "c": "x"})
    alike = run.regress(frame[(frame["a"] == 3)][:1], "y")
    assert asked.quantiles[0.5] == alike.median[0] and asked.mean == pytest.approx(alike.mean[0])
    again = run.score(frame[:50], each=True)["bits(y | rest)"].to_numpy() * np.log(2)
    assert np.allclose(found.nats[:50], again, atol=1e-4)


@pytest.mark.parametrize("values", [12, 40, 400])
def test_an_interval_of_whole_numbers_holds_no_needless_end(values):
    """It is that between two quantiles, or without one of its ends, no wider than the central one, and holds 90 %."""
    p = np.random.default_rng(2).dirichlet(np.ones(values), 300)
    kind, rows = Level(levels=values), np.arange(300)
    found = CodeCDF(kind, p)
    low, high = (end.astype(int) for end in shortest_interval(kind, found))
    reached = np.concatenate([np.zeros((300, 1)), p.cumsum(1)], 1)
    held = reached[rows, high + 1] - reached[rows, low]
    first, last = (
        found.quantiles(LOWER_SHARES).astype(int),
        found.quantiles(LOWER_SHARES + INTERVAL_SHARE).astype(int),
    )
    taken = (last - first).argmin(0)
    assert (high - low <= (last - first)[0]).all() and (high - low < (last - first)[0]).mean() > 0.5
    first, last = first[taken, rows], last[taken, rows]
    assert (held >= 0.9 - 1e-9).all() and ((low - first) + (last - high) <= 1).all()
    for kept, end in ((low == first, first), (high == last, last)):
        assert (held - p[rows, end] < 0.9 + 1e-9)[kept].all()  # what is left is needed


def test_holes_in_training_cost_a_known_number_nothing(numbers, tmp_path):
    frame, _ = numbers
    holed = frame.assign(y=frame["y"].mask(np.random.default_rng(5).random(len(frame)) < 0.4))
    found = fit(holed, "chow_liu", out=tmp_path / "run", seed=0).regress(holed, "y")
    assert found.rows == int(holed["y"].notna().sum())
    assert found.to_json()["log_loss"] == pytest.approx(
        stats.norm(0, 2).entropy() + np.log(100), abs=0.2
    )
    assert found.uniform() > 0.001


@pytest.mark.parametrize("name", ["chow_liu", "deepnade", "vae", "nade", "made", "several"])
def test_a_hole_that_training_had_none_of_needs_a_model_that_can_do_without(name):
    """Of an order, or of latents; a hole that there may be is a part of what is known, for all of them."""
    schema = Schema((3,), (Level(3), Level(3), Level(3, missing=True)))
    orders = [MODELS["made"](schema, shuffle=shuffle) for shuffle in (0, 1)]
    model = mixture(orders, [1, 1]) if name == "several" else MODELS[name].tiny(schema)
    format = SimpleNamespace(names=("a", "b", "c"), schema=schema)
    seen = torch.tensor([[True, True, True], [True, False, False]])
    events = Events(torch.zeros(2, 3), torch.zeros(2), observed=seen)
    asked = ask_rows(format, events, {"b", "c"}, 0)
    if name == "several":
        with pytest.raises(UserError, match="row 2, column 'b': a hole, where there was none"):
            require_known(model, format, asked)
        return
    require_known(model, format, asked)
    found = asked.evidence
    assert found.observed.tolist() == [[True, True, True], [True, False, True]]
    assert found.x[:, 2].tolist() == [0, schema.kinds[2].missing_code]


def test_measures_are_those_of_other_libraries_over_the_known_rows():
    chance = np.random.default_rng(8)
    truth, mean, median, nats = chance.normal(2, 1, (4, 90))
    pit, truth[::5] = chance.random(90), np.nan
    low, high = median - 1, median + 1
    low[1], high[2] = truth[1], truth[2]  # the ends are in it
    found = Regression("y", "exact", mean, median, np.stack([low, high], 1), truth, nats, pit)
    known, told = ~np.isnan(truth), found.to_json()
    assert told["rows"] == known.sum() == 72
    error, square = (
        measure(truth[known], told[known])
        for measure, told in ((mean_absolute_error, median), (mean_squared_error, mean))
    )
    assert told["mean_absolute_error"] == pytest.approx(error)
    assert told["root_mean_squared_error"] == pytest.approx(square**0.5)
    assert told["log_loss"] == pytest.approx(nats[known].mean())
    assert told["log_loss_error"] == pytest.approx(stats.sem(nats[known]))
    inside = [(a <= x) & (x <= b) for a, x, b in zip(low, truth, high, strict=True) if x == x]
    assert told["interval_90"] == pytest.approx(np.mean(inside))
    assert told["pit_p_value"] == pytest.approx(stats.kstest(pit[known], "uniform").pvalue)
    bits = f"= {nats[known].mean() / np.log(2):.4f} bits"
    for said in (
        f"median {error:.4g},",
        f"mean {square**0.5:.4g},",
        bits,
        f"{np.mean(inside):.1%}",
    ):
        assert said in found.line()
    assert "an estimate" not in found.line()
    drawn = replace(found, effective=EffectiveSampleSize(torch.full((90,), 20.0), 100))
    assert "; an estimate: at least 20.0 effective of 100 weighted draws" in drawn.line()


def test_wrong_distributions_are_told(numbers):
    frame, run = numbers
    i, kind = 1, run.model.schema.kinds[1]
    events = run.format.questions(frame[:2000])
    model = run.model.predict_given(
        Evidence(events.codes.float(), torch.tensor([[True, False, True]]).expand(2000, 3))
    ).one(i)
    sound, reached = model.log_probs, model.log_probs.exp().cumsum(1)
    sure = sound.masked_fill((reached < 0.25) | (reached > 0.75), -20.0).log_softmax(
        1
    )  # the inner half alone
    shy = (0.5 * sound.exp() + 0.5 / kind.codes).log()
    for wrong in (sure, shy, sound.roll(6, 1)):
        found = evaluate_regression(
            run.format,
            events,
            i,
            QueryOutcome(Categorical(wrong), "exact"),
            np.random.default_rng(0),
        ).to_json()
        assert found["pit_p_value"] < 1e-9


def test_numbers_may_be_left_out(numbers):
    frame, run = numbers
    found = run.regress(frame[:5].drop(columns="y").assign(y=None), "y")
    assert found.rows == 0 and found.to_json()["log_loss"] is None and "no row" in found.line()
    assert (found.to_json()["rows"], found.to_json()["word"]) == (0, "exact")
    assert found.frame()["median"].notna().all()


def test_a_category_holds_no_number(numbers):
    with pytest.raises(UserError, match="'c' holds no number; `classify`"):
        numbers[1].regress(numbers[0], "c")


def test_the_command_line_tells_numbers_and_labels(numbers, tmp_path, capsys):
    frame, run = numbers
    frame[:20].to_csv(tmp_path / "some.csv", index=False)
    app(
        ["classify", str(run.path), str(tmp_path / "some.csv"), "--target", "y", "--json"],
        result_action="return_value",
    )
    found = json.loads(capsys.readouterr().out)
    assert (
        found["rows"] == 20
        and len(found["predictions"]) == 20
        and "median" in found["predictions"][0]
    )
    app(
        ["classify", str(run.path), str(tmp_path / "some.csv"), "--target", "c", "--json"],
        result_action="return_value",
    )
    assert sorted(json.loads(capsys.readouterr().out)["labels"]) == ["x", "z"]
    app(
        ["classify", str(run.path), str(tmp_path / "some.csv"), "--target", "c"],
        result_action="return_value",
    )
    assert "accuracy" in capsys.readouterr().out
