"""The normal distribution against scipy, the textbook's conditionals and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, multivariate_normal

from plausibly.contract.checks import run_checks, shake_weights
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import UNFORESEEN, Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.normals import JointNormal, floor_covariance
from plausibly.models import MODELS
from plausibly.models.gaussian import Gaussian
from plausibly.system.randomness import generator_for
from plausibly.training.loop import fit_by_counting

REALS = Schema((4,), (Real(),) * 4)
OPEN = Schema((3,), (Real(open=True), Real(), Real(open=True)))


def events(n=500, seed=0, variables=4):
    random = np.random.default_rng(seed)
    return torch.from_numpy(
        random.normal(size=(n, variables)) @ random.normal(size=(variables, variables))
    ).float()


@pytest.fixture
def model():
    return shake_weights(Gaussian(REALS)).eval()


def parameters(model):
    return model.mean.detach().double().numpy(), model.covariance().detach().numpy()


def test_log_prob_and_marginals_are_scipys(model):
    mean, covariance = parameters(model)
    x = events()
    assert np.allclose(
        model.log_prob(x).detach(), multivariate_normal(mean, covariance).logpdf(x), atol=1e-4
    )
    seen = torch.tensor([True, False, True, False]).expand(len(x), -1)
    want = multivariate_normal(mean[[0, 2]], covariance[np.ix_([0, 2], [0, 2])]).logpdf(
        x[:, [0, 2]]
    )
    assert np.allclose(model.log_marginal(Evidence(x, seen)), want, atol=1e-9)


def test_conditionals_are_the_textbooks(model):
    """m_1|2 = m_1 + S_12 S_22^-1 (x_2 - m_2), S_1|2 = S_11 - S_12 S_22^-1 S_21, for unobserved and for earlier variables."""
    mean, covariance = parameters(model)
    x = events(20)
    known, free = [1, 3], [0, 2]
    seen = torch.tensor([False, True, False, True]).expand(len(x), -1)
    gain = covariance[np.ix_(free, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    want = mean[free] + (x.numpy()[:, known] - mean[known]) @ gain.T
    left = (covariance[np.ix_(free, free)] - gain @ covariance[np.ix_(known, free)]).diagonal()
    outcome = model.predict_given(Evidence(x, seen))
    assert np.allclose(outcome.means[:, free, 0], want, atol=1e-4)
    assert np.allclose(outcome.scales[:, free, 0].square(), left, atol=1e-4)
    earlier = covariance[2, :2] @ np.linalg.inv(covariance[:2, :2])
    predicted = model.predict(x).one(2)
    assert np.allclose(
        predicted.means.detach()[:, 0], mean[2] + (x.numpy()[:, :2] - mean[:2]) @ earlier, atol=1e-4
    )


def test_a_product_of_conditionals_is_the_joint():
    """With cells that are no numbers among them."""
    model = shake_weights(Gaussian(OPEN)).eval()
    x = events(60, variables=3)
    x[::3, 0] = UNFORESEEN
    x[::4, 2] = UNFORESEEN
    assert torch.allclose(model.predict(x).log_prob(x).sum(1), model.log_prob(x), atol=1e-4)


def test_given_draws_have_the_conditional_mean_and_covariance(model):
    mean, covariance = parameters(model)
    x = events(1).expand(20_000, -1)
    seen = torch.tensor([False, True, False, True]).expand(len(x), -1)
    drawn = (
        model.sample_given(Evidence(x, seen), generator_for(torch.device("cpu"), 1))
        .double()
        .numpy()
    )
    known, free = [1, 3], [0, 2]
    gain = covariance[np.ix_(free, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    left = covariance[np.ix_(free, free)] - gain @ covariance[np.ix_(known, free)]
    centred = drawn[:, free] - mean[free] - (x[0].numpy()[known] - mean[known]) @ gain.T
    squares = (centred @ np.linalg.inv(left) * centred).sum(1)
    from scipy.stats import kstest

    assert kstest(squares, chi2(2).cdf).pvalue > 2e-9
    assert (drawn[:, known] == x.numpy()[:, known]).all()


def test_behind_a_cell_that_is_no_number_draws_follow_their_marginal():
    model, n = shake_weights(Gaussian(OPEN)).eval(), 4000
    seen = torch.tensor([True, False, False]).expand(n, 3)
    given = Evidence(torch.full((n, 3), UNFORESEEN), seen)
    drawn = model.sample_given(given, generator_for(torch.device("cpu"), 0))
    assert (drawn[:, 0] == UNFORESEEN).all()
    mean, covariance = parameters(model)
    apart = drawn[:, 1].double().mean() - mean[1]
    assert abs(float(apart)) < 6 * (covariance[1, 1] / n) ** 0.5


def test_what_may_not_be_drawn_is_not_drawn():
    model = shake_weights(Gaussian(OPEN)).eval()
    x = torch.zeros(2000, 3)
    seen = torch.zeros_like(x, dtype=torch.bool)
    allowed = OPEN.allowed(holes=False)
    noise = generator_for(torch.device("cpu"), 1)
    assert (model.sample_given(Evidence(x, seen), noise) >= UNFORESEEN).any()
    assert not (model.sample_given(Evidence(x, seen, allowed), noise) >= UNFORESEEN).any()
    numbers = 1 - model.unforeseen.detach().double().sigmoid()
    assert float(model.log_marginal(Evidence(x, seen, allowed))[0]) == pytest.approx(
        float(numbers.log().sum()), abs=1e-9
    )


@torch.no_grad()
def test_what_was_never_seen_is_not_drawn_from_any_outcome():
    """Beside numbers that are none as often as in training."""
    schema = Schema((3,), (Real(open=True, unforeseen=0.3), Real(), Real(open=True)))
    model, x = shake_weights(Gaussian(schema)).eval(), torch.zeros(400, 3)
    seen = Evidence(x, torch.tensor([[False, True, False]]).expand(400, 3))
    for outcome in (model.predict(x), model.predict_given(seen)):
        drawn = outcome.one(0).sample(generator_for(torch.device("cpu"), 0))
        assert (drawn < UNFORESEEN).all() and len(drawn.unique()) > 300
        assert (outcome.one(0).mode() < UNFORESEEN).all()
        assert (outcome.one(2).sample(generator_for(torch.device("cpu"), 1)) >= UNFORESEEN).any()


def test_counting_gives_mean_and_covariance():
    from sklearn.mixture import GaussianMixture

    x = events(900)
    other = GaussianMixture(1, reg_covar=0).fit(x.double().numpy())
    model = Gaussian(REALS)
    model.take(sum(model.statistics(part) for part in batches(x)))
    assert np.allclose(
        model.log_prob(x).detach(), other.score_samples(x.double().numpy()), atol=1e-4
    )


def test_a_cell_is_no_number_as_often_as_it_was_none():
    """Counted over all rows, of which most have such a cell somewhere; half a row is added to one."""
    x = torch.zeros(100, 3)
    x[:, 1] = torch.arange(100.0) / 30
    x[:70, 0], x[60:80, 2] = UNFORESEEN, UNFORESEEN
    model = Gaussian(OPEN)
    model.learn(model.statistics(x), [])
    assert model.unforeseen.sigmoid().tolist() == pytest.approx([70.5 / 101, 20.5 / 101], rel=1e-6)
    seen = torch.tensor([[True, False, False], [False, False, True]])
    logs = model.log_marginal(Evidence(torch.full((2, 3), UNFORESEEN), seen)).exp()
    assert logs.tolist() == pytest.approx([70.5 / 101, 20.5 / 101], rel=1e-6)


def test_a_row_of_the_prior_is_a_row_of_the_same_variables_on_their_own():
    """Rows, cells that are no number, whole rows, and the moments of the whole ones with one standard normal row added."""
    x = torch.cat([events(90, variables=3) + 5, torch.full((60, 3), UNFORESEEN)])
    x[90:, 1], x[130:, 0] = 0.0, 0.0
    model, whole = Gaussian(OPEN), x[:90].double().numpy()
    ones, odd, many, mean, second = model.prior(model.statistics(x)).split([1, 3, 1, 3, 9])
    assert (ones.item(), many.item()) == (1, 1)
    assert odd.tolist() == pytest.approx([40.5 / 151, 0, 60.5 / 151])
    assert mean.tolist() == pytest.approx(whole.mean(0).tolist())
    variances = (90 * whole.var(0) + 1) / 91
    assert np.allclose(second.view(3, 3), np.diag(variances) + np.outer(mean, mean))


@pytest.mark.parametrize("name", ["independent", "chow_liu"])
def test_a_row_of_the_prior_of_codes_has_the_smoothed_shares(name):
    """(n_x + 1 / K) / (n + 1) of each of K codes, and of two variables the product."""
    schema = Schema((3,), (Category(4), Category(2), Category(4)))
    model, codes = MODELS[name](schema), schema.codes
    x = torch.stack(
        [torch.randint(k, (50,), generator=generator_for(torch.device("cpu"), k)) for k in codes], 1
    )
    shares = [
        (torch.bincount(x[:, i], minlength=k).double() + 1 / k) / 51 for i, k in enumerate(codes)
    ]
    row = model.prior(model.statistics(x.float()))
    if name == "independent":
        for start, own in zip(model.starts, shares, strict=True):
            assert torch.allclose(row[start : start + len(own)], own.double())
        return
    want = torch.outer(torch.cat(shares), torch.cat(shares))
    for own in torch.arange(10).split(codes):
        want[own[:, None], own] = torch.cat(shares)[own].diag()
    assert torch.allclose(row, want)


def test_shrinking_is_the_formula_and_helps_few_rows():
    x = events(12, variables=4)
    model = Gaussian(REALS)
    sums, rows = model.statistics(x), x.double()
    model.fill(sums, 3.0)
    moment = torch.cov(rows.T, correction=0)
    want = (12 * moment + 3 * ((12 * moment.diagonal() + 1) / 13).diag()) / 15
    assert torch.allclose(model.covariance(), want, atol=1e-5)
    valid, independent = (
        events(400, variables=4),
        torch.randn(800, 4, generator=torch.Generator().manual_seed(0)),
    )
    list(fit_by_counting(model, x, valid))
    chosen = float(model.log_prob(valid).mean())
    model.take(sums)
    assert chosen > float(model.log_prob(valid).mean())
    list(
        fit_by_counting(model, independent[:10], independent[10:])
    )  # only the diagonal is real: the strength goes far up
    correlations = model.covariance().detach() / model.covariance().detach().diagonal().mean()
    assert correlations.fill_diagonal_(0).abs().max() < 0.1


def test_no_direction_is_narrower_than_the_floors():
    """The same number twice, and a constant: likely without bound but for the floor."""
    x = events(300)
    x[:, 1], x[:, 3] = x[:, 0], 0.5
    schema = Schema((4,), (Real(step=0.1, scale=1.0),) * 4)
    model = Gaussian(schema)
    model.take(model.statistics(x))
    smallest = torch.linalg.eigvalsh(model.covariance().detach()).min()
    assert float(smallest) == pytest.approx(0.029**2, rel=1e-3)
    assert model.log_prob(x).isfinite().all()


def test_a_raised_covariance_is_the_likeliest_that_is_allowed():
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 3)) * [1, 0.1, 0.01]
    moment, floors = (
        torch.from_numpy(root @ root.T),
        torch.tensor([0.2, 0.1, 0.3], dtype=torch.float64),
    )

    def nats(covariance):
        return -covariance.logdet() - torch.linalg.solve(covariance, moment).trace()

    best = floor_covariance(moment, floors)
    for seed in range(50):
        step = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 3))) * 0.02
        other = floor_covariance(best + step + step.T, floors)
        assert nats(other) <= nats(best) + 1e-9


def test_refusals_say_what_to_do():
    remedy = "--kind COLUMN=real or --drop COLUMN"
    assert Gaussian.accepts(binary(4)) == f"gaussian: 4 of 4 variables no real numbers; {remedy}"
    holes, mixed = Schema((2,), (Real(), Real(missing=True))), (Real(), Category(levels=2))
    assert "1 of 2 variables with holes" in Gaussian.accepts(holes)
    assert "1 of 2 variables no real" in Gaussian.accepts(Schema((2,), mixed))
    assert Gaussian.count(OPEN) == Gaussian(OPEN).free_parameters == 11
    most, more = (Schema((n,), (Real(),) * n) for n in (4000, 4001))
    assert Gaussian.accepts(most) is None
    assert Gaussian.accepts(more) == "gaussian: 4,001 variables, more than 4,000"


@pytest.mark.parametrize(
    ("owner", "name", "check"),
    [(Gaussian, "_cells", "conditionals_agree"), (JointNormal, "factor_of", "marginals_agree")],
)
def test_planted_faults_are_caught(monkeypatch, owner, name, check):
    """Open cells left out of log p; a Cholesky factor cut out instead of that of the covariance cut out."""
    faults = {
        "_cells": lambda self, x, observed: torch.zeros(len(x), dtype=torch.float64),
        "factor_of": lambda self, known: self.factor[known][:, known],
    }
    monkeypatch.setattr(owner, name, faults[name])
    broken = {result.name for result in run_checks(shake_weights(Gaussian(OPEN))) if result.broken}
    assert check in broken
