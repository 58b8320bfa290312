"""What is drawn lies within what was seen, by the law of what is allowed: nothing is clipped."""

import numpy as np
import pytest
import torch
from scipy import stats

from plausibly.contract.checks import shake_weights
from plausibly.contract.examination import Examination
from plausibly.contract.promises.sampling import allowed_samples_follow
from plausibly.events.allowed import Allowed
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, Category, Grid, Kind, Real
from plausibly.events.schema import Schema
from plausibly.families.within import MAX_DRAWS, NothingAllowed, redraw_rows
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.gan import GAN
from plausibly.models.gaussian import Gaussian
from plausibly.models.made import MADE
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.mixtures import MixtureOutcome
from plausibly.tasks.impute import impute
from plausibly.tasks.sample import sample

SIX_SIGMA = 2e-9
GRID = Grid((0, 5), (-2, 3, 8), (3.0, 2.0), seen=(-4, 12), open=True, missing=True)
REAL = Real(1.0, 2.0, (-1.0, 0.0, 1.5), (0.8, 0.5), seen=(-2.0, 5.0), missing=True, open=True)
TABLE = Schema((4,), (Category(3, open=True, unforeseen=0.1), GRID, REAL, Category(2)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_grid_draws_within_what_was_seen_by_its_own_law():
    values, n = np.arange(-4, 13), 20_000
    drawn = GRID.draw(np.zeros(n), np.random.default_rng(0))
    low = GRID.code(values) == 0
    p = np.exp(GRID.log_within(values[low]))
    counts = [(drawn == value).sum() for value in values[low]]
    assert sum(counts) == n
    assert stats.chisquare(counts, n * p / p.sum()).pvalue > SIX_SIGMA
    top = GRID.regular - 1
    drawn = GRID.draw(np.full(n, top), np.random.default_rng(1))
    assert drawn.min() == 8 and drawn.max() == 12
    wide = GRID.with_seen(None).draw(np.full(n, top), np.random.default_rng(1))
    assert wide.max() > 12 and (drawn[wide <= 12] == wide[wide <= 12]).all()


@pytest.mark.parametrize("kind", [GRID, GRID.with_seen((-2, 7)), GRID.with_seen((-3, 8))])
def test_the_shares_of_codes_are_sums_over_what_was_seen(kind):
    values = np.arange(-200, 200)
    codes, p = kind.code(values), np.exp(kind.log_within(values))
    inside = (values >= kind.seen[0]) & (values <= kind.seen[1])
    shares = np.bincount(codes, p * inside, kind.codes)[: kind.regular]
    found = np.exp(kind.log_seen(holes=True))
    assert found[: kind.regular] == pytest.approx(shares, abs=1e-9)
    assert found[kind.other_code] == 0 and found[kind.missing_code] == 1
    assert np.exp(kind.log_seen(holes=False))[kind.missing_code] == 0


def test_bins_draw_within_their_ends():
    schema, n = Schema((1,), (REAL,)), 20_000
    low, high = REAL.event_ends
    ends = torch.tensor([[low, high]])
    for code, first, last in ((0, low, -1.0), (3, 1.5, high)):
        drawn = Binning(schema).draw_inside(torch.full((n, 1), code), generator(), ends=ends)
        assert drawn.min() >= ends[0, 0] and drawn.max() <= ends[0, 1]
        own = REAL.tails[0] if code == 0 else REAL.tails[1]
        away = -1.0 - drawn[:, 0].double() if code == 0 else drawn[:, 0].double() - 1.5
        law = stats.truncexpon((last - first) / own, scale=own)
        assert stats.kstest(away.numpy(), law.cdf).pvalue > SIX_SIGMA
    shares = np.exp(REAL.log_seen(holes=False))
    assert shares[0] == pytest.approx(-np.expm1((low + 1) / 0.8), abs=1e-9)
    assert shares[1:3].tolist() == [1, 1] and shares[-2:].tolist() == [0, 0]
    values = REAL.draw(np.array([low, 0.0, high]), np.random.default_rng(0))
    assert values.tolist() == [-2.0, 1.0, 5.0]


@pytest.mark.parametrize("density", ["normal", "logistic"])
def test_densities_draw_within_their_ends(density):
    n, ends = 20_000, torch.tensor([[-0.5, 1.0]])
    form = [torch.tensor(row).expand(n, 2) for row in ([0.3, 0.7], [-1.0, 1.5], [0.6, 0.9])]
    special = torch.tensor([0.8, 0.2]).log().expand(n, 2)
    whole = MixtureDensity(form[0].log(), *form[1:], special, density)
    found, mass = whole.truncate(Allowed(torch.zeros(4), ends))
    inside = whole.below(torch.ones(n)) - whole.below(torch.full((n,), -0.5))
    assert mass.exp() == pytest.approx(0.8 * inside + 0.2, abs=1e-6)
    drawn = found.sample(generator())
    holes = drawn == HOLE
    share = 0.2 / float(mass[0].exp())
    assert abs(float(holes.float().mean()) - share) < 6 * (share * (1 - share) / n) ** 0.5
    numbers = drawn[~holes].double()
    assert numbers.min() >= -0.5 and numbers.max() <= 1.0
    below = whole.rows(torch.arange(len(numbers))).below
    low = float(whole.below(torch.full((n,), -0.5))[0])
    uniform = (below(numbers) - low) / inside[0]
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > SIX_SIGMA
    free = whole.sample(generator())
    kept = (free >= -0.5) & (free <= 1.0) & ~holes
    assert torch.equal(drawn[kept], free[kept])
    line = torch.linspace(-0.5, 1.0, n)
    assert float(found.log_prob(line).double().exp().mean() * 1.5) == pytest.approx(
        1 - share, abs=1e-3
    )
    assert bool((found.log_prob(torch.full((n,), 1.01)) == -torch.inf).all())
    mixed = MixtureOutcome([whole, whole], torch.zeros(n, 2) - np.log(2))
    again, both = mixed.truncate(Allowed(torch.zeros(4), ends))
    assert torch.allclose(both, mass) and float(again.sample(generator()).min()) >= -0.5


def kept_within(schema, x):
    """True where all of flat events is within what was seen."""
    shares = schema.allowed(holes=True).log_shares
    starts = torch.tensor([0, *schema.codes]).cumsum(0)[:-1]
    sound = shares[schema.event_codes(x) + starts] > -torch.inf
    low, high = torch.tensor([kind.event_ends for kind in schema.kinds]).T
    return bool((sound & ((x >= HOLE) | ((x >= low) & (x <= high)))).all())


@pytest.mark.parametrize("make", [ChowLiu, MADE.tiny, GAN.tiny])
def test_every_way_of_drawing_keeps_within(make):
    model = shake_weights(make(TABLE)).eval()
    allowed = TABLE.allowed(holes=True)
    x = sample(model, 600, 3, 0, allowed)
    assert kept_within(TABLE, x) and not kept_within(TABLE, sample(model, 600, 3))


@pytest.mark.parametrize("make", [ChowLiu, MADE.tiny])
def test_what_is_filled_in_keeps_within(make):
    model = shake_weights(make(TABLE)).eval()
    evidence = Evidence.some(torch.zeros(60, 4), [0]).with_allowed(TABLE.allowed(holes=False))
    assert kept_within(TABLE, impute(model, evidence, generator()).codes)


def test_a_normal_is_drawn_anew_until_it_is_within():
    """It answers no more than what a whole number of cells is, so that whole rows are drawn; cells that are given stay."""
    kinds = Real(edges=(0.0,), seen=(-0.5, 0.5)), Real(edges=(0.0,))
    model = shake_weights(Gaussian(Schema((2,), kinds))).eval()
    evidence = Evidence.some(torch.full((50, 2), 3.0), [1])
    evidence = evidence.with_allowed(model.schema.allowed(holes=False))
    found = impute(model, evidence, generator()).codes
    assert (found[:, 0].abs() < 0.51).all() and (found[:, 1] == 3).all()


def test_what_is_never_within_ends_after_a_hundred_draws():
    drawn = []

    def draw(rows):
        drawn.append(len(rows))
        return torch.zeros(len(rows), 2), torch.tensor([[False, True]]).expand(len(rows), 2)

    with pytest.raises(NothingAllowed) as found:
        redraw_rows(*draw(torch.arange(3)), draw)
    assert found.value.variable == 1 and len(drawn) == MAX_DRAWS + 1


@pytest.mark.parametrize("make", [ChowLiu, MADE.tiny])
def test_both_laws_are_the_ones_that_are_named(make):
    kinds = Category(3), Grid((0, 7), (-5, 3, 9)), Category(4)
    model = shake_weights(make(Schema((3,), kinds))).eval()
    assert allowed_samples_follow(Examination(model)).holds


def test_what_was_seen_is_kept_in_documents():
    assert all(Kind.from_json(kind.to_json()) == kind for kind in (GRID, REAL))
    for seen in ((3.0, 2.0), (0.0, np.inf), (1.0,)):
        with pytest.raises(ValueError, match="lies between two numbers"):
            Real(seen=seen)
