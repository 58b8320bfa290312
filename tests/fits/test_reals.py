"""Real numbers: densities against quadrature and closed forms, units, resolution, and the planes whose truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch.nn.functional import softplus

import plausibly
from plausibly.capabilities import BoundedModel
from plausibly.contract.checks import shake_weights
from plausibly.data import load
from plausibly.data.columns.numbers import decimal_step, learn_real
from plausibly.data.toys.planes import Checkerboard, Ring
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.events.allowed import Allowed
from plausibly.events.bins import Binning
from plausibly.events.kinds import HOLE, MAX_SCALES, UNFORESEEN, Category, Real
from plausibly.events.real_matrix import RealMatrix
from plausibly.events.schema import Schema
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS
from plausibly.networks.heads import Head
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.mixtures import MixtureOutcome
from plausibly.outcomes.product import average_outcomes
from plausibly.outcomes.rows import replace_rows

CPU = torch.device("cpu")


def mixture(shape, special=None, rows=1):
    """The same outcome for each of some rows."""
    parts = [
        torch.tensor([[0.2, 0.5, 0.3]]).log(),
        torch.tensor([[-1.0, 0.5, 2.0]]),
        torch.tensor([[0.3, 1.0, 0.1]]),
    ]
    return MixtureDensity(
        *(part.expand(rows, -1) for part in parts),
        None if special is None else special.expand(rows, -1),
        shape,
    )


@pytest.mark.parametrize(("shape", "law"), [("normal", stats.norm), ("logistic", stats.logistic)])
def test_mixtures_are_scipys(shape, law):
    x = np.linspace(-4, 4, 101)
    want = sum(w * law.pdf(x, m, s) for w, m, s in ((0.2, -1, 0.3), (0.5, 0.5, 1), (0.3, 2, 0.1)))
    points = torch.from_numpy(x).float()[:, None]
    found = mixture(shape).log_prob(points).exp()[:, 0]
    assert np.allclose(found.numpy(), want, atol=1e-5)


@pytest.mark.parametrize(("shape", "law"), [("normal", stats.norm), ("logistic", stats.logistic)])
def test_draws_follow_the_mixture(shape, law):
    """Kolmogorov and Smirnov at six sigma."""
    drawn = mixture(shape, rows=20_000).sample(torch.Generator().manual_seed(0)).numpy()
    parts = ((0.2, -1, 0.3), (0.5, 0.5, 1), (0.3, 2, 0.1))
    assert (
        stats.kstest(drawn, lambda x: sum(w * law.cdf(x, m, s) for w, m, s in parts)).pvalue > 2e-9
    )


HOLED = Real(edges=(0.0,), open=True, missing=True)


def test_specials_share_the_probability():
    """p(hole) and p(unforeseen) are as given, and what is left is the density."""
    special = torch.tensor([[0.7, 0.1, 0.2]]).log()
    outcome = mixture("normal", special, 3)
    x = torch.tensor([0.4, UNFORESEEN, HOLE])
    want = [mixture("normal").log_prob(x[:1])[0] + np.log(0.7), np.log(0.1), np.log(0.2)]
    assert np.allclose(outcome.log_prob(x), want, atol=1e-6)
    assert outcome.number().tolist() == pytest.approx([0.7] * 3, abs=1e-6)
    assert float(mixture("normal").number()) == 1
    parts = [
        outcome,
        Histogram(
            Categorical(torch.full((3, 4), 0.25).log()), Binning(Schema((1,), (HOLED,))), (0,)
        ),
    ]
    assert parts[1].number().tolist() == pytest.approx([0.5] * 3, abs=1e-6)
    blend = MixtureOutcome(parts, torch.tensor([0.9, 0.1]).log().expand(3, 2))
    assert blend.number().tolist() == pytest.approx([0.9 * 0.7 + 0.1 * 0.5] * 3, abs=1e-6)
    only, mass = outcome.truncate(Allowed.of_codes(torch.tensor([True, True, False, False])))
    assert mass[0].exp().item() == pytest.approx(0.7, abs=1e-6)
    assert only.log_prob(x)[2] == -torch.inf
    sample = mixture("normal", special, 9000).sample(torch.Generator().manual_seed(0))
    for value, p in ((UNFORESEEN, 0.1), (HOLE, 0.2)):
        assert abs(float((sample == value).float().mean()) - p) < 6 * (p * (1 - p) / 9000) ** 0.5


@pytest.mark.parametrize("wide", [False, True])
def test_rows_in_place_of_others_are_as_they_were(wide):
    """Of fewer components among more and the other way round, specials included."""
    several = mixture("normal", torch.tensor([[0.7, 0.1, 0.2]]).log(), 4)
    single = MixtureDensity(
        *(torch.full((4, 1), value) for value in (0.0, 1.5, 0.5)),
        torch.tensor([[0.2, 0.5, 0.3]]).log().expand(4, -1),
    )
    whole, own = (single, several) if wide else (several, single)
    found = replace_rows(whole, torch.tensor([1, 3]), own.rows(torch.tensor([1, 3])))
    for x in (-1.0, 0.4, 1.5, UNFORESEEN, HOLE):
        at = torch.full((4,), x)
        want = torch.where(torch.arange(4) % 2 == 1, own.log_prob(at), whole.log_prob(at))
        assert torch.allclose(found.log_prob(at), want, atol=1e-6)


def test_the_mean_of_outcomes_is_the_mean_of_their_densities():
    one = mixture("normal", torch.tensor([[0.7, 0.3]]).log(), 4)
    other = MixtureDensity(
        *(torch.zeros(4, 1) + v for v in (0.0, 1.0, 0.5)),
        torch.tensor([[0.4, 0.6]]).log().expand(4, -1),
    )
    x = torch.tensor([-1.0, 0.3, 1.1, HOLE])
    want = (one.log_prob(x).exp() + other.log_prob(x).exp()) / 2
    assert torch.allclose(average_outcomes([one, other]).log_prob(x).exp(), want, atol=1e-6)


def test_bins_and_their_densities_are_one_density():
    """A histogram's log p is that of its bin plus the density inside; drawn values fall where they were drawn for."""
    kind = Real(edges=(-1.0, 0.5, 2.0), tails=(0.3, 2.0), missing=True, open=True)
    binning = Binning(Schema((2,), (kind, Category(levels=2))))
    codes = torch.tensor([[k, 1] for k in range(kind.codes)]).repeat(300, 1)
    x = binning.draw_inside(codes, torch.Generator().manual_seed(0))
    again, inside = binning.digitise(x)
    assert torch.equal(again, codes)
    low, high = x[codes[:, 0] == 0, 0], x[codes[:, 0] == 3, 0]
    assert torch.allclose(
        inside[codes[:, 0] == 0, 0].double(),
        torch.from_numpy(stats.expon.logpdf(-1 - low, scale=0.3)),
    )
    assert torch.allclose(
        inside[codes[:, 0] == 3, 0].double(),
        torch.from_numpy(stats.expon.logpdf(high - 2, scale=2)),
    )
    assert inside[codes[:, 0] == 1, 0].exp().unique().tolist() == pytest.approx([1 / 1.5])
    assert not inside[codes[:, 0] > 3].any() and not inside[:, 1].any()
    places = [-1.9, -1.3, -1.0, 0.5, 2.0, 8.0, 4.0]  # three means out, and one
    assert binning.cuts(0, (3, 1)).tolist() == pytest.approx(places)


def test_heads_start_at_the_marginals():
    """Before the first step the mixture is close to the data's own density: within 0.1 nats of the truth."""
    kind = Real()
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    head = Head(Schema((1,), (kind,)))
    outcome = head(head.marginals(x).expand(4000, -1))
    assert float(outcome.log_prob(x).mean()) > -0.5 * np.log(2 * np.pi * np.e) - 0.1


def test_no_density_is_narrower_than_the_resolution():
    kind = Real(scale=2.0, step=0.1)
    head = Head(Schema((1,), (kind,)))
    parameters = torch.full((1, head.width), -50.0)
    assert head(parameters).scales.min() == pytest.approx(0.29 * 0.1 / 2)


SCORED = [name for name, model in MODELS.items() if issubclass(model, BoundedModel)]
REALS = [name for name in SCORED if MODELS[name].accepts(Schema((3,), (Real(),) * 3)) is None]


@pytest.fixture(scope="module")
def skewed():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.7], [0, 0, 1]])
    return np.column_stack([x[:, 0], np.exp(x[:, 1] / 2), x[:, 2]])


@pytest.mark.parametrize("name", REALS)
def test_scale_and_shift_change_log_p_by_the_log_volume(name, skewed):
    """Other units, other densities: log p(a x + b) = log p(x) - sum log |a|, for the model fitted to either."""
    scale, shift = np.array([4.0, 0.25, 1024.0]), np.array([-3.0, 0.0, 16.0])
    found = []
    for rows in (skewed, skewed * scale + shift):
        run = fit_in_memory(MODELS[name], load(rows), make_settings(None, 0, None, 60, "cpu"))
        found.append(run.log_prob(rows).numpy())
    assert np.allclose(found[0] - found[1], np.log(scale).sum(), atol=2e-3)


@pytest.mark.parametrize("plane", [Ring(), Checkerboard()])
def test_planes_integrate_to_one_and_know_their_entropy(plane):
    line = (np.arange(2000) + 0.5) / 2000 * 8 - 4
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    logs, cell = plane.log_density(points), (8 / 2000) ** 2
    p = np.exp(logs)
    assert p.sum() * cell == pytest.approx(1, abs=1e-5)
    assert -(p[p > 0] * logs[p > 0]).sum() * cell == pytest.approx(plane.entropy, abs=1e-5)
    drawn = plane.log_density(plane.sample(20_000, np.random.default_rng(0)))
    assert abs(drawn.mean() + plane.entropy) < 6 * drawn.std() / 20_000**0.5 + 1e-9


@pytest.mark.parametrize("name", REALS)
def test_nobody_beats_the_ring(name):
    """Minus the entropy is a ceiling; a network comes close to it."""
    data = load("toy-ring")
    steps = 800 if name in ("made", "nade") else 250
    run = fit_in_memory(MODELS[name], data, make_settings(None, 0, None, steps, "cpu"))
    found = likelihood(run.model, data.test)
    truth = (data.truth.log_prob(data.test.codes) + data.test.log_within).numpy()
    gap = truth - found.nats.numpy()
    assert gap.mean() > -4 * gap.std() / len(gap) ** 0.5
    if name in ("made", "nade"):
        assert gap.mean() < 0.05
    if name == "independent":
        assert gap.mean() > 0.5


def test_float_arrays_are_densities_and_whole_columns_are_not():
    rows = np.column_stack(
        [np.random.default_rng(0).normal(size=400), np.arange(400) % 7, np.linspace(0, 1, 400)]
    )
    kinds = load(rows).schema.kinds
    assert (
        isinstance(kinds[0], Real) and isinstance(kinds[2], Real) and not isinstance(kinds[1], Real)
    )
    assert all(isinstance(kind, Real) for kind in load(rows, kinds={"1": "real"}).schema.kinds)
    assert all(isinstance(kind, Real) for kind in load(rows, kinds={"*": "real"}).schema.kinds)


def test_columns_of_a_table_can_be_real(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": generator.normal(size=300).round(2), "b": generator.integers(0, 3, 300)}
    )
    assert not isinstance(load(frame).schema.kinds[0], Real)
    data = load(frame, kinds={"a": "real"})
    assert data.schema.kinds[0].step == pytest.approx(0.01)
    assert (data.format.rows(data.format.events(frame)) == frame).all(axis=None)
    run = plausibly.fit(frame, "nade", out=tmp_path / "run", steps=50, kinds={"a": "real"})
    assert run.sample(20).dtypes.equals(frame.dtypes)


def test_holes_in_real_columns_are_drawn_at_their_rate():
    rows = np.random.default_rng(0).normal(size=(2000, 2))
    rows[np.random.default_rng(1).random(2000) < 0.3, 0] = np.nan
    run = fit_in_memory(MODELS["nade"], load(rows), make_settings(None, 0, None, 300, "cpu"))
    drawn = run.sample(4000)
    assert abs(np.isnan(drawn[:, 0]).mean() - np.isnan(rows[:, 0]).mean()) < 0.05
    filled = run.impute(rows[:200])
    seen = ~np.isnan(rows[:200])
    assert np.array_equal(filled[seen], rows[:200][seen]) and not np.isnan(filled).any()


@pytest.mark.parametrize("name", ["nade", "made"])
def test_networks_are_what_their_formula_says(name):
    """A logistic mixture written out from the head's parameters."""
    model = shake_weights(
        MODELS[name](Schema((2,), (Real(), Real())), hidden=8, shape="logistic", components=2)
    ).eval()
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    outcome = model.predict(x).one(1)
    z = (x[:, 1, None] - outcome.means) / outcome.scales
    want = (outcome.log_weights - z - 2 * softplus(-z) - outcome.scales.log()).logsumexp(-1)
    assert torch.allclose(model.predict(x).log_prob(x)[:, 1], want, atol=1e-5)


def spiked(share, scale, rows=2000, at=3.25):
    """A column of which all but a share is one value, and the rest is normal about it."""
    chance = np.random.default_rng(0)
    column = np.full(rows, at)
    column[: round(share * rows)] += chance.normal(size=round(share * rows)) * scale
    return chance.permutation(column)


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (spiked(0.009, 1e-4), 0),
        (spiked(0.009, 1e-4, at=0.0), 0),
        (spiked(0.009, 1.0).round(2), 0.01),
        (spiked(0.4, 1e-4), 0),
        (spiked(1, 1.0), 0),
        (spiked(1, 1.0).round(3), 0.001),
        (spiked(1, 1e-6, at=0.0).round(8), 1e-8),
        (
            np.where(np.arange(2000) < 5, spiked(1, 1.0), spiked(1, 1.0).round(1)),
            0.1,
        ),  # a quarter of a percent is off
    ],
)
def test_steps_and_scales_come_from_the_values_that_vary(column, step, tmp_path):
    """And are the same in a matrix and in a table of texts."""
    matrix = np.column_stack([column, np.random.default_rng(1).normal(size=len(column))])
    pd.DataFrame(matrix, columns=["a", "b"]).to_csv(tmp_path / "x.csv", index=False)
    kind, other = (
        load(matrix).schema.kinds[0],
        load(tmp_path / "x.csv", kinds={"*": "real"}).schema.kinds[0],
    )
    assert replace(
        kind, open=other.open, unforeseen=other.unforeseen
    ) == other and kind.step == pytest.approx(step)
    varying = column[column != np.median(column)] if len(np.unique(column)) < 900 else column
    assert kind.scale == pytest.approx(varying.std(), rel=0.3)
    assert kind.scale * kind.floor < max(0.3 * step, 0.01 * varying.std())
    table = load(tmp_path / "x.csv").schema.kinds[0]
    assert isinstance(table, Real) == (step == 0)  # else codes on a grid
    assert not isinstance(table, Real) or table == other


@pytest.mark.parametrize("name", ["gaussian", "nade"])
def test_samples_of_a_column_that_hardly_varies_hardly_vary(name):
    column = spiked(0.009, 1e-4)
    rows = np.column_stack([column, np.random.default_rng(1).normal(size=len(column))])
    drawn = fit_in_memory(
        MODELS[name], load(rows), make_settings(None, 0, None, 100, "cpu")
    ).sample(4000)[:, 0]
    assert drawn.std() < 1e-3 and abs(drawn.mean() - 3.25) < 1e-4


def test_no_training_value_is_out_of_reach():
    """Nearly all within 10^-9 of each other, and one a unit away."""
    values = np.concatenate([1e-9 * np.random.default_rng(0).normal(size=5000), [1.0]])
    kind = learn_real(values, missing=False, closed=True)
    assert (
        not RealMatrix([kind]).measure(values[:, None]).strange.any()
        and np.abs(kind.standardise(values)).max() < MAX_SCALES / 2
    )
    assert np.allclose(
        kind.draw(kind.standardise(values), np.random.default_rng(0)),
        values,
        rtol=1e-12,
        atol=1e-18,
    )


@pytest.mark.parametrize("rare", [0.002, 0.2])
def test_what_most_rows_have_is_drawn_exactly(rare: float) -> None:
    """Zeros of a table and of an array are drawn as zeros, as often as training has them."""
    chance = np.random.default_rng(0)
    x = np.where(chance.random(4000) < rare, chance.normal(size=4000), 0.0)
    for source in (
        pd.DataFrame({"x": x, "v": chance.integers(0, 3, 4000)}),
        np.stack([x, chance.normal(size=4000)], 1),
    ):
        dataset = load(source)
        assert dataset.format.schema.kinds[0].usual == 0.0
        run = fit_in_memory(
            MODELS["independent"], dataset, make_settings(None, 0, None, None, "cpu")
        )
        drawn = np.asarray(run.sample(4000))[:, 0].astype(float)
        share = (x == 0).mean()
        assert (
            abs((drawn == 0.0).mean() - share) < 6 * np.sqrt(2 * share * (1 - share) / 4000) + 2e-3
        )
    assert (
        load(pd.DataFrame({"x": chance.normal(size=400), "v": "a"})).format.schema.kinds[0].usual
        is None
    )


def test_a_usual_value_leaves_its_neighbours_alone():
    """Most of a column is 0, and others are one step away; or most is a number that is no multiple of the others' step."""
    chance = np.random.default_rng(0)
    x = chance.choice([0.0, 1.0, 2.0], (8000, 2), p=[0.6, 0.25, 0.15])
    tiny = np.full(9, 3.9e-43)
    tiny[0] = 0.0
    assert decimal_step(x[:, 0]) == 1.0 and decimal_step(tiny) == 0.0
    learn_real(np.sort(tiny), missing=False, step=decimal_step(tiny))
    kind = learn_real(x[:, 0], missing=False, step=1.0)
    drawn = kind.draw(kind.standardise(x[:, 0] + chance.normal(0, 0.1, 8000)), chance)
    assert (
        abs((drawn == 0).mean() - 0.6) < 6 * 0.0055
        and abs((drawn.round() == 1).mean() - 0.25) < 6 * 0.0049
    )
