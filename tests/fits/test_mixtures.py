"""Mixtures against plain numpy, scikit-learn, enumeration, and mixtures that are known."""

import numpy as np
import pytest
import torch
from oracles import random_table

from plausibly.capabilities import BoundedModel, TractableModel
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.evaluation.answers.curves import outcome_cdf
from plausibly.events.allowed import Allowed
from plausibly.events.batches import batches
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.families import mixtures
from plausibly.families.mixtures import (
    AutoregressiveMixture,
    DensityMixture,
    MixtureOfBounds,
    TractableMixture,
    mixture,
)
from plausibly.families.normals import NormalSums
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.gaussian import Gaussian
from plausibly.models.independent import Independent
from plausibly.models.joint import Joint
from plausibly.models.made import MADE
from plausibly.models.markov import Markov
from plausibly.models.mixture import Mixture, SplitHeaviest
from plausibly.models.nade import NADE
from plausibly.objectives import MaximumLikelihood, Objective, Pass
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.mixtures import MixtureOutcome, mix_outcomes
from plausibly.outcomes.product import join_variables
from plausibly.outcomes.quadrature import quadrature
from plausibly.outcomes.rows import concat_outcomes
from plausibly.system.randomness import by_row, generator_for
from plausibly.tasks.query import query
from plausibly.training.loop import fit_by_counting, validation_loss

BITS = binary(5)
CATEGORIES = Schema((3,), (Category(levels=2), Category(levels=3), Category(levels=4)))
REALS = Schema((3,), (Real(), Real(open=True), Real()))


def drawn(schema, n=400, seed=0):
    """Events of a random table, or normal ones around two centres."""
    random = np.random.default_rng(seed)
    if schema.continuous:
        centres = np.array([[2.0, 0.0, -1.0], [-2.0, 1.0, 1.0]])[random.integers(2, size=n)]
        return torch.from_numpy(
            centres + random.normal(size=(n, 3)) @ random.normal(size=(3, 3))
        ).float()
    p, _ = random_table(schema.codes, seed)
    places = random.choice(len(p), size=n, p=p.numpy())
    return torch.from_numpy(np.stack(np.unravel_index(places, schema.codes), 1)).float()


def begun(model, x):
    model.objective.passes(model)[0].update(model.statistics(x, torch.ones(len(x), 1)), [])
    return model


def expected_log_prob(model, member):
    """E[log p_k] under independent variables with the model's prior marginals, by enumeration or in closed form."""
    if isinstance(member, Gaussian):
        sums = NormalSums.split(model.prior, model.schema.size)
        inverse = torch.linalg.inv(member.covariance())
        away = sums.mean - member.mean.double()
        return -0.5 * (
            (inverse * sums.covariance).sum()
            + away @ inverse @ away
            + torch.logdet(2 * torch.pi * member.covariance())
        )
    events, single = model.schema.all_events(), Independent(model.schema)
    sums = model.prior.view(model.shape)
    flat = sums if sums.ndim == 1 else sums.diag()
    order = [
        c
        for k in sorted(set(model.schema.codes))
        for c, one in enumerate(model.schema.codes)
        if one == k
    ]
    blocks = flat.split(list(model.schema.codes)) if sums.ndim > 1 else None
    single.take(torch.cat([blocks[c] for c in order]) if blocks else flat)
    return (single.log_prob(events).double().exp() * member.log_prob(events).double()).sum()


@pytest.mark.parametrize(
    ("parts", "schema"),
    [
        ("independent", BITS),
        ("chow_liu", BITS),
        ("chow_liu", CATEGORIES),
        ("gaussian", Schema((3,), (Real(),) * 3)),
    ],
)
def test_expectation_maximisation_never_lowers_what_it_raises(parts, schema):
    """log p of the data + s sum_k E_prior[log p_k] + sum_k log w_k, step by step."""
    x = drawn(schema)
    model = begun(Mixture(schema, parts=parts), x)
    model.strength = 2.0
    model.refit(model.statistics(x, SplitHeaviest(model, 1)(x)))
    model.refit(model.statistics(x, SplitHeaviest(model, 2)(x)))
    penalised = []
    with torch.no_grad():
        for _ in range(25):
            inside = sum(expected_log_prob(model, member) for member in model.each())
            weights = mixtures.free_log_weights(model.logits).sum()
            penalised.append(float(model.log_prob(x).sum() + 2.0 * inside + weights))
            model.refit(model.statistics(x))
    assert len(model.members) == 3
    assert (np.diff(penalised) > -2e-4).all(), penalised
    assert penalised[-1] > penalised[0] + 1


def test_a_bernoulli_mixture_is_plain_numpys():
    x, s = drawn(BITS, 300), 1.5
    model = begun(Mixture(BITS, parts="independent"), x)
    model.strength = s
    split = SplitHeaviest(model, 3)
    shares = split(x)
    model.refit(model.statistics(x, shares))
    rows, r = x.numpy().astype(float), shares.numpy()
    prior = (rows.sum(0) + 0.5) / (len(rows) + 1)
    for _ in range(12):
        w = (r.sum(0) + 1) / (r.sum() + 2)
        p = (r.T @ rows + s * prior) / (r.sum(0)[:, None] + s)
        logs = np.log(w) + rows @ np.log(p).T + (1 - rows) @ np.log1p(-p).T
        r = np.exp(logs - logs.max(1, keepdims=True))
        total = np.log(r.sum(1)) + logs.max(1)
        r /= r.sum(1, keepdims=True)
        assert np.allclose(model.log_prob(x).detach(), total, atol=1e-4)
        model.refit(model.statistics(x))


def test_the_strength_of_the_prior_goes_half_a_decade_to_where_validation_is_likeliest():
    """Rows that were learned from want less of it, rows of the prior more."""
    x = drawn(BITS, 300)
    for wanted, validation in (
        (10**-0.5, x),
        (10**0.5, torch.rand(x.shape, generator=generator_for(torch.device("cpu"), 9)).round()),
    ):
        model = begun(Mixture(BITS, parts="independent"), x)
        model.refit(model.statistics(x, SplitHeaviest(model, 3)(x)))
        model.refit_best(model.statistics(x), [validation])
        assert model.strength == pytest.approx(wanted)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_normal_mixture_is_scikit_learns_from_the_same_start():
    from sklearn.mixture import GaussianMixture

    schema = Schema((3,), (Real(),) * 3)
    x = drawn(schema, 3000)
    model = begun(Mixture(schema), x)
    model.strength = 0.0
    model.refit(model.statistics(x, SplitHeaviest(model, 0)(x)))
    start = [member for member in model.each()]
    other = GaussianMixture(
        2,
        weights_init=mixtures.free_log_weights(model.logits).detach().exp().numpy(),
        means_init=np.stack([m.mean.detach().double().numpy() for m in start]),
        precisions_init=np.stack(
            [torch.linalg.inv(m.covariance().detach()).numpy() for m in start]
        ),
        reg_covar=0,
        max_iter=15,
        tol=0,
    ).fit(x.double().numpy())
    for _ in range(15):
        model.refit(model.statistics(x))
    difference = model.log_prob(x).detach().numpy() - other.score_samples(x.double().numpy())
    assert abs(difference.mean()) < 1e-4
    assert np.abs(difference).max() < 0.02


@pytest.mark.parametrize(
    ("parts", "schema"), [("independent", binary(12)), ("gaussian", Schema((2,), (Real(),) * 2))]
)
def test_known_mixtures_are_recovered(parts, schema):
    """Three components well apart: as many are found, and log p is the truth's but for what few parameters cost."""
    truth = Mixture(schema, parts=parts)
    truth.allocate(3)
    with torch.no_grad():
        for k, member in enumerate(truth.each()):
            if parts == "gaussian":
                member.mean.copy_(torch.tensor([4.0 * k, 3.0 * (k - 1) ** 2]))
                member.below.fill_(0.8 * (k - 1))
            else:
                member.tables.logits.copy_(torch.where(torch.arange(12) // 4 == k, 2.5, -2.0))
        truth.logits.copy_(torch.tensor([0.5, -0.5]))
    x = truth.sample(6000, generator_for(torch.device("cpu"), 1))
    model = Mixture(schema, parts=parts, components=6)
    list(fit_by_counting(model, x[:3000], x[3000:4000]))
    gap = (truth.log_prob(x[4000:]) - model.log_prob(x[4000:])).detach()
    assert float(gap.mean()) < 0.02
    assert float(gap.mean()) > -4 * float(gap.std()) / 2000**0.5
    assert 3 <= len(model.members) <= 6
    single = Mixture(schema, parts=parts, components=1)
    list(fit_by_counting(single, x[:3000], x[3000:4000]))
    assert validation_loss(single, x[4000:]) > validation_loss(model, x[4000:]) + 0.3


@pytest.mark.parametrize("components", [1, 2, 3, 5, 7, 16, 100])
def test_splits_are_enough_for_all_components(components):
    """Where each split is kept; one component alone is done in a pass."""
    x, model = drawn(BITS, 60), Mixture(BITS, "independent", components, iterations=2)
    most = 0
    for each in model.objective.passes(model):
        each.update(each.sums(x), [x])
        most = max(most, len(model.members))
        if each.name.startswith("restart"):
            break
    assert most == components
    assert (len(model.objective.passes(model)) == 1) == (components == 1)


def test_components_do_not_collapse():
    """A constant, a doubled number and an outlier: densities stay finite, and the state too."""
    x = drawn(Schema((3,), (Real(),) * 3), 200)
    x[:, 1], x[:, 2], x[0] = x[:, 0], 0.25, 50.0
    model = Mixture(REALS, components=5)
    x[7, 1] = UNFORESEEN
    list(fit_by_counting(model, x[:150], x[150:]))
    assert model.log_prob(x).isfinite().all()
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert min(float(m.covariance().detach().diagonal().min()) for m in model.each()) >= 0.99e-6


def test_what_kind_of_parts_is_suggested():
    assert Mixture(BITS).part is ChowLiu
    assert Mixture(Schema((2,), (Real(),) * 2)).part is Gaussian
    assert Mixture(binary(3000)).part is Independent
    with pytest.raises(ValueError, match="chow_liu"):
        Mixture(BITS, parts="trees")
    with pytest.raises(ValueError, match="5 of 5 variables no real numbers"):
        Mixture(BITS, parts="gaussian")


class Half(BoundedModel):
    """A bound that lies below the independent model by as much as the generator says."""

    family, formula, objective = "test", "n", MaximumLikelihood()

    def __init__(self, schema):
        super().__init__()
        self.schema, self.inner = schema, Independent(schema)

    def log_bound(self, x, generator):
        return self.inner.log_prob(x) - by_row(torch.rand, (len(x),), generator, x.device)

    def sample(self, n, generator):
        return self.inner.sample(n, generator)


FORMS = [
    ([Independent, ChowLiu, Joint], CATEGORIES, TractableMixture),
    ([Gaussian, Independent], REALS, TractableMixture),
    ([Gaussian, Gaussian], REALS, TractableMixture),
    ([NADE.tiny, MADE.tiny], CATEGORIES, AutoregressiveMixture),
    ([NADE.tiny, Markov], REALS, AutoregressiveMixture),
    ([Half, Independent], BITS, MixtureOfBounds),
]


@pytest.mark.parametrize(("components", "schema", "kind"), FORMS)
def test_a_mixture_is_what_its_parts_allow(components, schema, kind):
    parts = [shake_weights(make(schema), seed).eval() for seed, make in enumerate(components)]
    model = mixture(parts, [0.5, 1.0, 2.0][: len(parts)]).eval()
    assert type(model) is kind
    assert not [result for result in run_checks(model) if result.broken]
    x = parts[0].sample(50, generator_for(torch.device("cpu"), 0))
    if kind is MixtureOfBounds:
        exact = mixture([parts[0].inner, parts[1]], [0.5, 1.0]).log_prob(x)
        assert (model.log_bound(x, generator_for(torch.device("cpu"), 1)) <= exact + 1e-6).all()
        return
    weights = torch.tensor([0.5, 1.0, 2.0][: len(parts)], dtype=torch.float64)
    each = torch.stack([part.log_prob(x).double() for part in parts], 1)
    want = (each.exp() @ (weights / weights.sum())).log()
    assert torch.allclose(model.log_prob(x).double(), want, atol=1e-4)


def test_models_of_different_orders_are_a_density():
    nade, made = NADE.tiny(CATEGORIES), MADE.tiny(CATEGORIES)
    nade.order = (2, 1, 0)
    assert mixtures.mixture_class([nade, made]) is DensityMixture
    with pytest.raises(ValueError, match="one schema"):
        mixture([NADE.tiny(BITS), made], [1.0, 1.0])
    with pytest.raises(ValueError, match="positive"):
        mixture([nade, nade], [1.0, 0.0])


def test_what_may_not_be_drawn_weighs_on_the_components():
    """A component that is often unforeseen is drawn from less once that is barred."""
    parts = [Gaussian(Schema((2,), (Real(open=True), Real()))) for _ in range(2)]
    with torch.no_grad():
        for part, logit, mean in zip(parts, (2.0, -4.0), (-8.0, 8.0), strict=True):
            part.unforeseen.fill_(logit)
            part.mean.fill_(mean)
    model = mixture(parts, [0.5, 0.5])
    x, allowed = torch.zeros(4000, 2), model.schema.allowed(holes=False)
    y = model.sample_given(
        Evidence(x, torch.zeros_like(x, dtype=torch.bool), allowed),
        generator_for(torch.device("cpu"), 0),
    )
    shares = 1 - torch.tensor([2.0, -4.0]).sigmoid()
    p = float(shares[0] / shares.sum())
    assert abs(float((y[:, 0] < 0).float().mean()) - p) < 6 * (p * (1 - p) / 4000) ** 0.5
    assert not (y >= UNFORESEEN).any()


def test_weights_that_do_not_run_are_caught(monkeypatch):
    """The planted fault: conditionals mixed with the weights before any variable was seen."""
    sound = mixtures.chain_mixture

    def run(chains, x, order, running):
        return [
            mix_outcomes([steps[i] for steps in chains], running.log_softmax(1))
            for i in range(len(order))
        ]

    model = mixture([shake_weights(ChowLiu(CATEGORIES), seed) for seed in (1, 2)], [1.0, 1.0])
    assert not [result for result in run_checks(model) if result.broken]
    monkeypatch.setattr(mixtures, "chain_mixture", run)
    assert sound is not run
    broken = {result.name for result in run_checks(model) if result.broken}
    assert "unroll_agrees_with_predict" in broken


class Wanderer(Independent):
    """Its passes set its logits to numbers given beforehand."""

    @property
    def objective(self):
        return Wandering()


class Wandering(Objective):
    def passes(self, model):
        def to(value):
            return lambda sums, validation: model.tables.logits.data.fill_(value)

        places = [("a", v) for v in (2, 1, 1.5, 1.5, 1.5, 1.5, 0.0)] + [
            ("b", v) for v in (3, 0.5, 2)
        ]
        return [Pass(name, lambda x: x.sum()[None], to(value)) for name, value in places]


def test_counting_keeps_the_best_state_and_leaves_stale_attempts():
    x = (torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    model = Wanderer(binary(3))
    seen = [(p.step, p.best) for p in fit_by_counting(model, x, x)]
    assert seen == [
        (1, True),
        (2, True),
        (3, False),
        (4, False),
        (5, False),
        (6, False),
        (8, False),
        (9, True),
        (10, False),
    ]
    assert torch.allclose(model.tables.logits, torch.tensor(0.5))
    assert isinstance(model, TractableModel)
    assert len(list(batches(x))) == 1


# outcomes of no common form

NUMBER = Real(2.0, 3.0, (-1.0, 0.5, 2.0), (0.3, 2.0), open=True, missing=True)
ONE = Schema((1,), (NUMBER,))


def unlike(rows=3):
    """Normals beside bins beside logistics: some rarely a number, with other weights in each row."""
    chance = torch.Generator().manual_seed(4)
    weights = torch.randn(rows, 3, generator=chance).log_softmax(1)
    bins = Histogram(
        Categorical(torch.randn(rows, NUMBER.codes, generator=chance).log_softmax(1)),
        Binning(ONE),
        (0,),
    )
    parts = [bins]
    for shape in ("normal", "logistic"):
        logs, special = (torch.randn(rows, k, generator=chance).log_softmax(1) for k in (2, 3))
        means, scales = (
            torch.randn(rows, 2, generator=chance),
            0.3 + torch.rand(rows, 2, generator=chance),
        )
        parts.append(MixtureDensity(logs, means, scales, special, shape))
    return mix_outcomes(parts, weights)


def summed(outcome, rows=3):
    """What the density says of each row by quadrature: events, their log p and the weights of a sum over numbers."""
    points, weights = quadrature(NUMBER, outcome, rows)
    logs = torch.stack([outcome.log_prob(point) for point in points]).double()
    return points.double(), logs, weights * (points < UNFORESEEN)


def test_a_blend_is_what_quadrature_makes_of_its_density():
    outcome = unlike()
    assert isinstance(outcome, MixtureOutcome)
    points, logs, weights = summed(outcome)
    specials = [outcome.log_prob(torch.full((3,), mark)).exp() for mark in (UNFORESEEN, HOLE)]
    share = (weights * logs.exp()).sum(0)
    assert torch.allclose(share + sum(specials), torch.ones(3).double(), atol=1e-5)
    assert torch.allclose(outcome.number(), share, atol=1e-5)
    p = weights * logs.exp() / share
    assert torch.allclose(
        outcome.mean(), (p * points.where(points < UNFORESEEN, 0.0)).sum(0), atol=1e-4
    )
    assert torch.allclose(outcome.parts[0].mean(), curve_mean(outcome.parts[0]), atol=1e-6)
    for x in (-3.0, -1.0, 0.2, 0.5, 2.0, 5.0):
        at = outcome.cuts().double().sort(-1).values
        assert (at[:, 0] < x).all() and (at[:, -1] > x).all()
        below = torch.stack([mass_below(outcome, x, row) for row in range(3)])
        assert torch.allclose(outcome.below(torch.full((3,), x)), below / share, atol=1e-3)


def test_the_mode_of_a_blend_is_the_likeliest_of_its_parts_modes():
    outcome = unlike(50)
    modes = torch.stack([part.mode() for part in outcome.parts], 1)
    heights = torch.stack([outcome.log_prob(mode) for mode in modes.unbind(1)], 1)
    assert len(heights.argmax(1).unique()) > 1  # not always the same part's
    assert torch.equal(outcome.log_prob(outcome.mode()), heights.amax(1))


def curve_mean(histogram):
    """The mean of a histogram as its kind's codes tell it, in events."""
    return (
        torch.from_numpy(outcome_cdf(NUMBER, histogram).mean()) - NUMBER.location
    ) / NUMBER.scale


def mass_below(outcome, x, row):
    """The integral of one row's density up to x, by the trapezium rule on many places."""
    grid = torch.linspace(-60.0, x, 200_001, dtype=torch.float64)
    one = outcome.rows(torch.full((len(grid),), row))
    return torch.trapezoid(one.log_prob(grid.float()).double().exp(), grid)


@pytest.mark.parametrize("barred", [UNFORESEEN, HOLE])
def test_a_restricted_blend_is_bayes_rule(barred):
    """Parts that are rarely what is barred gain weight."""
    outcome, x = unlike(), torch.tensor([0.3, -2.0, 4.0])
    allowed = torch.ones(NUMBER.codes, dtype=torch.bool)
    allowed[NUMBER.codes - 2 if barred == UNFORESEEN else NUMBER.codes - 1] = False
    found, mass = outcome.truncate(Allowed.of_codes(allowed))
    want = 1 - outcome.log_prob(torch.full((3,), barred)).double().exp()
    assert torch.allclose(mass.double().exp(), want, atol=1e-6)
    assert torch.allclose(
        found.log_prob(x).double(), outcome.log_prob(x).double() - want.log(), atol=1e-5
    )
    assert (found.log_prob(torch.full((3,), barred)) == -torch.inf).all()
    assert torch.allclose(found.number(), outcome.number() / want, atol=1e-6)


def test_blends_side_by_side_and_joined_are_each_rows_own():
    outcome, x = unlike(), torch.tensor([0.3, -2.0, 4.0])
    each = [outcome.rows(torch.tensor([row])) for row in range(3)]
    assert torch.allclose(concat_outcomes(each).log_prob(x), outcome.log_prob(x))
    assert torch.allclose(join_variables([outcome]).one(0).log_prob(x), outcome.log_prob(x))
    drawn = outcome.rows(torch.zeros(40_000, dtype=torch.long)).sample(
        generator_for(torch.device("cpu"), 0)
    )
    number = float(outcome.number()[0])
    assert (
        abs(float((drawn < UNFORESEEN).double().mean()) - number)
        < 6 * (number * (1 - number) / 40_000) ** 0.5
    )
    told = outcome.below(torch.full((3,), 0.7))[0]
    assert (
        abs(float((drawn[drawn < UNFORESEEN] < 0.7).double().mean() - told))
        < 6 * 0.5 / (40_000 * number) ** 0.5
    )


@pytest.mark.parametrize("components", [[Gaussian, Independent], [Gaussian, ChowLiu]])
def test_what_a_mixture_of_unlike_parts_says_of_a_number(components):
    """Mean and quantiles given another column, exact: against the joint's density on a grid; in batches too."""
    schema = Schema((2,), (Real(5.0, 2.0, (-1.0, 0.5, 2.0), (0.5, 1.0)),) * 2)
    model = mixture(
        [shake_weights(make(schema), seed).eval() for seed, make in enumerate(components)],
        [0.7, 0.3],
    )
    x, seen = torch.tensor([[0.4, 0.0]]), torch.tensor([[True, False]])
    found = query(model, Evidence(x, seen).expand(600), 1, generator_for(torch.device("cpu"), 0))
    assert found.word == "exact"
    grid = torch.linspace(-40, 40, 160_001)
    with torch.no_grad():
        p = model.log_prob(torch.stack([torch.full_like(grid, 0.4), grid], 1)).double().softmax(0)
    told, values = outcome_cdf(schema.kinds[1], found.outcome), 5 + 2 * grid.double()
    assert np.allclose(told.mean(), float(p @ values), atol=1e-3) and len(told.mean()) == 600
    levels = np.array([0.002, 0.05, 0.5, 0.95, 0.998])
    want = values[torch.searchsorted(p.cumsum(0), torch.from_numpy(levels))]
    assert np.allclose(told.quantiles(levels)[:, -1], want, atol=5e-3)
