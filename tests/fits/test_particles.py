"""Particles that look ahead, and numbers by the joint itself: against enumeration, closed forms and quadrature."""

import json
from math import log

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from plausibly.contract.checks import shake_weights
from plausibly.evaluation.answers.curves import outcome_cdf
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.particles import (
    MAX_LOOKS,
    LookaheadTree,
    Particles,
    resample_systematically,
)
from plausibly.families.proposals import MIN_DRAWS, EffectiveSampleSize, effective_size
from plausibly.fitting.api import fit
from plausibly.models import MODELS
from plausibly.models.fvsbn import FVSBN
from plausibly.outcomes.interpolation import (
    InterpolatedDensity,
    interpolate_density,
    separate_places,
)
from plausibly.system.randomness import generator_for
from plausibly.tasks.impute import MORE, impute
from plausibly.tasks.query import query

CPU = torch.device("cpu")
SMALL = Schema((5,), (Category(2), Category(3), Category(2), Category(2), Category(3)))


def pairs(k, wrong=0.02):
    """Bits x_i, and then x_(k + i), which is x_i but for a few in a hundred."""
    model = FVSBN(binary(2 * k)).eval().requires_grad_(False)
    for p in model.parameters():
        p.zero_()
    for i in range(k):
        model.linear.weight[k + i, i] = 2 * log((1 - wrong) / wrong)
        model.offset()[k + i] = -log((1 - wrong) / wrong)
    return model


def strong(model, times):
    """A random one, whose variables tell so many times as much of each other as a shaken one's."""
    model = shake_weights(model).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(times)
    return model


@pytest.mark.parametrize("k", [16, 24])
def test_what_later_cells_tell_is_looked_ahead_at(k):
    """Second members given, the first are theirs in 98 of 100, on average and each."""
    model = pairs(k)
    x = model.sample(100, generator_for(CPU, 0))
    seen = torch.arange(2 * k).expand(100, -1) >= k
    found = impute(model, Evidence(x, seen, model.schema.allowed(False)), generator_for(CPU, 1))
    right = (found.codes[:, :k] == x[:, k:]).float().mean()
    assert abs(float(right) - 0.98) < 6 * (0.98 * 0.02 / (100 * k)) ** 0.5
    assert (
        found.effective.draws == 64
        and 50 < found.effective.least <= 64
        and len(found.effective.rows) == 100
    )
    told = query(model, Evidence(x[:1], seen[:1]), 3, generator_for(CPU, 2), 100)
    assert told.word == "estimate" and told.effective.draws == 200
    assert float(told.outcome.log_probs[0, int(x[0, k + 3])].exp()) == pytest.approx(0.98, abs=0.01)


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("name", ["fvsbn", "nade"])
def test_weights_are_unbiased_however_even(name, blind):
    """E of the estimate of p(known) is p(known), by enumeration: with few particles, drawn anew, and with a wrong tree."""
    model, rows = strong(MODELS[name].tiny(SMALL), 1.5), 4000
    tree, events = LookaheadTree(model, generator_for(CPU, 0)), SMALL.all_events()
    if blind:
        tree.tables = [table.roll(1, 1) for table in tree.tables]
    x, seen = (
        torch.tensor([[0.0, 2.0, 1.0, 1.0, 2.0]]),
        torch.tensor([[False, False, True, False, True]]),
    )
    allowed = torch.ones(sum(SMALL.codes), dtype=torch.bool)
    allowed[3] = False  # a code of the second, which is not known
    fits = ((events == x) | ~seen).all(1) & (events[:, 1] != 1)
    with torch.no_grad():
        p = model.log_prob(events).double().exp() * fits
    evidence = Evidence(x, seen, Allowed.of_codes(allowed)).expand(rows)
    particles = Particles(model, tree, evidence, 6, generator_for(CPU, 1))
    cloud = particles.draw_to(4)
    ratio = cloud.log_evidence.exp() / p.sum()
    assert (
        abs(float(ratio.mean()) - 1) < 6 * float(ratio.std()) / rows**0.5
        and float(ratio.std()) > 1e-4
    )
    weights = (cloud.log_weights.softmax(1) * ratio[:, None]).mean(0).sum()
    first = (cloud.log_weights.softmax(1) * (cloud.x[..., 0] == 1)).sum(1) * ratio
    assert float(weights) == pytest.approx(float(ratio.mean()))
    assert (
        abs(float(first.mean()) - float(p[events[:, 0] == 1].sum() / p.sum()))
        < 6 * float(first.std()) / rows**0.5
    )
    assert (cloud.effective <= 6).all() and (cloud.effective >= 1).all()


def test_rows_with_uneven_weights_are_drawn_anew_by_these():
    log_weights = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0]]).double().log()
    drawn = torch.stack(
        [resample_systematically(log_weights, 8, generator_for(CPU, seed)) for seed in range(20)]
    )
    counts = torch.stack([(drawn == k).sum(2) for k in range(4)], 2)
    assert (counts == torch.tensor([[4, 2, 1, 1], [0, 8, 0, 0]])).all()
    assert EffectiveSampleSize(torch.tensor([MIN_DRAWS - 1, 50.0]), 64).few == 1


def test_weights_are_looked_at_after_each_of_few_known_cells_and_after_some_of_many(monkeypatch):
    """Where rows know different cells, after those that any of them knows."""
    model, looks = MODELS["fvsbn"].tiny(binary(60)).eval(), list[int]()
    monkeypatch.setattr(Particles, "_resample", lambda self: looks.append(1))
    for known in ([0, 5, 6, 20], [*range(40)], [*range(17)]):
        seen = torch.zeros(2, 60, dtype=torch.bool)
        seen[0, known[::2]] = seen[1, known[1::2]] = seen[:, 59] = True
        looks.clear()
        tree = LookaheadTree(model, generator_for(CPU, 0))
        asked = Evidence(torch.zeros(2, 60), seen)
        Particles(model, tree, asked, 4, generator_for(CPU, 1)).draw_to(59)
        assert len(looks) == len(known) if len(known) <= MAX_LOOKS else 8 < len(looks) <= MAX_LOOKS


def test_effective_draws_of_weights_that_no_look_evened_are_kongs():
    """What is known stands last, after all looks."""
    model, seen = strong(MODELS["fvsbn"].tiny(SMALL), 3.0), (torch.arange(5) == 4).expand(300, 5)
    tree = LookaheadTree(model, generator_for(CPU, 0))
    tree.tables = [table.roll(1, 1) for table in tree.tables]  # so that weights differ
    asked = Evidence(torch.ones(300, 5), seen)
    cloud = Particles(model, tree, asked, 6, generator_for(CPU, 1)).draw_to(4)
    assert torch.allclose(cloud.effective, effective_size(cloud.log_weights))
    assert 1 < float(cloud.effective.min()) < 4


def test_what_rows_know_stays_theirs_where_particles_are_drawn_anew():
    model, events = strong(MODELS["fvsbn"].tiny(SMALL), 3.0), SMALL.all_events()
    asked = Evidence(events, (torch.arange(5) % 2 == 1).expand(len(events), 5))
    particles = Particles(
        model, LookaheadTree(model, generator_for(CPU, 0)), asked, 6, generator_for(CPU, 1)
    )
    particles.weights += torch.arange(len(particles.weights)) % 6 * 9.0  # of uneven ones
    found = particles.draw_to(4).x
    assert (found == events[:, None])[..., 1::2].all()


def test_rows_that_few_particles_tell_of_are_filled_by_more():
    """Of two particles never enough do."""
    model = pairs(2)
    x, seen = torch.zeros(5, 4), torch.tensor([[False, False, True, True]]).expand(5, 4)
    found = impute(model, Evidence(x, seen), generator_for(CPU, 0), 2)
    assert found.effective.draws == 2 * MORE and (found.effective.rows > 2).all()


def test_of_no_rows_all_draws_tell():
    nobody = EffectiveSampleSize(torch.zeros(0), 64)
    assert nobody.to_json() == {"effective": 64.0, "draws": 64, "rows_with_too_few": 0}
    assert nobody.line() == "64.0 effective of 64 weighted draws"


def test_rows_that_know_different_cells_are_answered_each():
    """One knows a later cell, the other none: against enumeration, within the errors of the draws."""
    model, events = strong(MODELS["fvsbn"].tiny(SMALL), 2.0), SMALL.all_events()
    x = torch.tensor([[0.0, 1.0, 1.0, 0.0, 2.0]]).expand(2, 5)
    seen = torch.tensor([[False, True, False, False, True], [False, False, False, False, False]])
    found = query(model, Evidence(x, seen), 0, generator_for(CPU, 0), 4000)
    with torch.no_grad():
        logs = model.log_prob(events).double()
    wants = []
    for row in range(2):
        p = logs[((events == x[row]) | ~seen[row]).all(1)].softmax(0)
        wants.append(float(p[events[((events == x[row]) | ~seen[row]).all(1), 0] == 1].sum()))
        error = 6 * 0.5 / float(found.effective.rows[row]) ** 0.5
        assert abs(float(found.outcome.log_probs[row, 1].exp()) - wants[-1]) < error
    assert (
        abs(wants[0] - wants[1]) > 6 * 0.5 / float(found.effective.least) ** 0.5
    )  # so that it matters


def test_numbers_are_filled_by_what_later_ones_tell():
    schema = Schema((2,), (Real(edges=(-1.0, 0.0, 1.0)), Real(edges=(-1.0, 0.0, 1.0))))
    model = shake_weights(MODELS["nade"].tiny(schema)).eval()
    x, seen, n = torch.tensor([[0.0, 0.7]]), torch.tensor([[False, True]]), 400
    drawn = (
        impute(
            model, Evidence(x, seen, model.schema.allowed(False)).expand(n), generator_for(CPU, 0)
        )
        .codes[:, 0]
        .double()
    )
    exact = query(model, Evidence(x, seen), 0, generator_for(CPU, 0))
    assert exact.word == "exact"
    for q in (0.1, 0.5, 0.9):
        place = outcome_cdf(Real(), exact.outcome).quantiles(np.array([q]))[0, 0]
        assert (
            abs(float((drawn <= place).double().mean()) - q) < 6 * (q * (1 - q) / n) ** 0.5 + 0.01
        )


# numbers by places


def near(truth, places, **options):
    """What is found of a law of SciPy's (or several, one for each row)."""

    def look(values):
        return torch.stack(
            [torch.from_numpy(law(row.numpy())) for law, row in zip(truth, values, strict=True)]
        )[..., None]

    return interpolate_density(look, places.double().expand(len(truth), -1), 1e-5, **options)


def test_narrow_laws_are_found_far_from_where_one_begins():
    """Normals of width .001 and .3, two apart, and a lasting tail: density, F, mean and quantiles."""
    laws = [stats.norm(0.71234, 1e-3), stats.norm(-2, 0.3), stats.gumbel_r(1.0, 0.5)]
    found = near([law.logpdf for law in laws], torch.linspace(-30, 40, 60))
    means = found.mean()
    for row, law in enumerate(laws):
        one = found.rows(torch.tensor([row]))
        assert float(means[row]) == pytest.approx(law.mean(), abs=1e-3 * law.std())
        for q in (0.01, 0.3, 0.5, 0.99):
            x = torch.tensor([law.ppf(q)])
            assert float(one.below(x)) == pytest.approx(q, abs=1e-3)
            assert float(one.log_prob(x)) == pytest.approx(law.logpdf(law.ppf(q)), abs=2e-3)
            assert outcome_cdf(Real(), one).quantiles(np.array([q]))[0, 0] == pytest.approx(
                law.ppf(q), abs=5e-3 * law.std()
            )
    drawn = found.rows(torch.ones(2000, dtype=torch.long)).sample(generator_for(CPU, 0)).numpy()
    assert stats.kstest(drawn, laws[1].cdf).pvalue > 1e-6
    assert np.isfinite(float(found.log_prob(torch.tensor([500.0, -500.0, 500.0])).min()))


SLOPES = torch.tensor([0, 1e-12, 1e-9, 1e-5, 9e-4, 1.1e-3, 0.03, 0.5, 0.99, 1.5, 9, 80, 600])


def test_a_line_has_the_mean_of_an_exponential_law_cut_off():
    """Of density proportional to exp(s x) on [0, 1], for slopes that the formula says, its series and neither sign spoil."""
    slopes = torch.cat([SLOPES, -SLOPES]).double().numpy()
    logs = torch.from_numpy(np.stack([0 * slopes, slopes], 1))
    found = InterpolatedDensity(torch.tensor([[0.0, 1.0]]).double().expand(len(slopes), 2), logs)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x = (nodes + 1) / 2
    density = weights * np.exp(slopes[:, None] * (x - (slopes[:, None] > 0)))
    want = (x * density).sum(1) / density.sum(1)
    assert np.allclose(found.mean().numpy(), want, rtol=0, atol=1e-10)


def test_laws_of_different_places_side_by_side_are_each_their_own():
    """Some of more places, all with what is no number: as each says by itself."""
    places = torch.linspace(-8, 8, 40)
    one, two = (
        near([law.logpdf], places[:: 3 - size], specials=[UNFORESEEN, HOLE])
        for size, law in ((1, stats.norm(0, 1)), (2, stats.gumbel_r(1.0, 0.5)))
    )
    assert one.places.shape != two.places.shape
    both = one.beside([two])
    for x in (-1.3, 0.4, 2.0, 20.0, UNFORESEEN, HOLE):
        at = torch.tensor([x])
        want = torch.cat([one.log_prob(at), two.log_prob(at)])
        assert torch.allclose(both.log_prob(at.expand(2)), want, rtol=1e-12)
    assert torch.allclose(both.mean(), torch.cat([one.mean(), two.mean()]), rtol=1e-12)
    assert torch.allclose(both.number(), torch.cat([one.number(), two.number()]), rtol=1e-12)


def test_laws_of_several_events_count_by_their_weights_whatever_their_heights():
    """Two normals, one seven nats above a density and one three below: .2 and .8 of each row, .8 and .2 of another."""
    laws = stats.norm(-1, 0.5), stats.norm(2, 1.0)
    shares = torch.tensor([[0.2, 0.8], [0.8, 0.2]]).double()

    def look(values):
        logs = [law.logpdf(values.numpy()) + rise for law, rise in zip(laws, (7, -3), strict=True)]
        return torch.from_numpy(np.stack(logs, -1))

    places = torch.linspace(-10, 12, 60).double().expand(2, -1)
    found = interpolate_density(look, places, 1e-5, log_weights=shares.log())
    for x in (-1.3, 0.4, 2.0):
        want = shares @ torch.tensor([float(law.pdf(x)) for law in laws]).double()
        at = torch.full((2,), x)
        assert torch.allclose(found.log_prob(at).exp(), want, rtol=5e-3)


def test_two_narrow_modes_and_what_is_no_number():
    def law(x):
        density = np.logaddexp(
            np.log(0.3) + stats.norm(-3, 0.01).logpdf(x),
            np.log(0.2) + stats.norm(2, 0.02).logpdf(x),
        )
        return (
            np.where(x >= HOLE, np.log(0.1), np.where(x >= UNFORESEEN, np.log(0.4), density)) + 7.0
        )

    found = near([law], torch.linspace(-10, 10, 80), specials=[UNFORESEEN, HOLE])
    assert found.log_special.exp()[0].tolist() == pytest.approx([0.5, 0.4, 0.1], abs=1e-3)
    assert float(found.below(torch.tensor([0.0]))) == pytest.approx(0.6, abs=1e-3)
    assert float(found.log_prob(torch.tensor([HOLE]))) == pytest.approx(log(0.1), abs=1e-3)
    assert float(found.log_prob(torch.tensor([-3.0]))) == pytest.approx(law(-3.0) - 7, abs=2e-3)
    left, mass = found.truncate(Allowed.of_codes(torch.tensor([True, True, False])))
    assert float(mass.exp()) == pytest.approx(0.9, abs=1e-3)
    assert float(left.log_prob(torch.tensor([UNFORESEEN])).exp()) == pytest.approx(4 / 9, abs=1e-3)


def test_a_number_first_in_the_order_has_the_joints_density():
    """Noise of .02 on it in four later columns: regression is exact, its log loss the closed form's."""
    chance = np.random.default_rng(0)
    schema = Schema((4,), (Real(),) * 4)
    model = MODELS["fvsbn"](schema, components=1).eval().requires_grad_(False)
    for p in model.parameters():
        p.zero_()
    scale, slope = log(0.05 - 1e-3), model.linear.weight
    for i in range(4):
        model.offset()[model.head.slice(i)] = torch.tensor([0.0, 0.0 if i == 0 else scale])
    probe = torch.zeros(2, 4)
    probe[1, 0] = 1.0
    assert slope.shape[0] == model.head.width
    rise = model.inputs(probe)
    first = int((rise[1] - rise[0]).abs().argmax())
    for i in range(1, 4):
        slope[model.head.starts[i], first] = 1.0 / float(rise[1, first] - rise[0, first])
    given = torch.from_numpy(chance.normal(size=(5, 4))).float()
    seen = torch.tensor([[False, True, True, True]]).expand(5, 4)
    told = query(model, Evidence(given, seen), 0, generator_for(CPU, 0))
    with torch.no_grad():
        grid = torch.linspace(-4, 4, 80_001)
        for row in range(5):
            many = given[row].repeat(len(grid), 1)
            many[:, 0] = grid
            logs = model.log_prob(many).double()
            best = int(logs.argmax())
            want = logs[best] - (logs.logsumexp(0) + log(8 / 80_000))
            one = told.outcome.rows(torch.tensor([row]))
            assert float(one.log_prob(grid[best : best + 1])) == pytest.approx(
                float(want), abs=2e-3
            )
    assert told.word == "exact" and told.effective is None


@pytest.mark.parametrize(("real", "most"), [(False, 12), (True, 6)])
def test_gaps_of_4096_values_are_weighed_one_by_one_and_of_more_drawn(real, most):
    """Of a real target 64. Up to there the answer is exact."""
    for gaps, word in ((most, "exact"), (most + 1, "estimate")):
        schema = Schema((gaps + 2,), (Real() if real else Category(2), *[Category(2)] * (gaps + 1)))
        model = shake_weights(MODELS["fvsbn"].tiny(schema)).eval()
        asked = Evidence(torch.zeros(1, gaps + 2), torch.arange(gaps + 2)[None] == gaps + 1)
        assert query(model, asked, 0, generator_for(CPU, 0), 8).word == word


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3, 1e6, 1e12])
def test_places_are_apart_as_float32_tells_them_and_hardly_moved(size):
    """Equal ones, and some that are a gap apart already: each is at least a gap above the last, and no more than needed."""
    places = torch.tensor([[3.0, 1, 1, 1, 9]]).double() * size
    found = separate_places(places, 0.01)
    assert torch.equal(found, found.float().double())
    assert (found.diff(dim=1) >= 0.01 - 1e-8 - 3e-8 * size).all() and (found.diff(dim=1) > 0).all()
    moved = (found - places.sort(1).values).abs()
    assert moved.max() < 5 * (0.01 + 1e-5 * size)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Sixteen bits and their copies, by a network of one order."""
    chance, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pairs")
    first = (chance.random((400, 16)) < 0.5).astype(int)
    copies = np.where(chance.random((400, 16)) < 0.02, 1 - first, first)
    names = [f"a{i}" for i in range(16)] + [f"b{i}" for i in range(16)]
    frame = pd.DataFrame(np.concatenate([first, copies], 1), columns=names)
    return fit(frame, "fvsbn", out=folder / "run", steps=20, seed=0)


def test_commands_tell_how_many_draws_tell(run, cli, tmp_path):
    status, out, err = cli("sample", run.path, "-n", 3, "--given", "b15=1")
    assert (
        status == 0 and "draws by weight, an estimate: at least" in err and "weighted draws" in err
    )
    document = json.loads(cli("sample", run.path, "-n", 3, "--given", "b15=1", "--json")[1])
    assert document["drawn"] == "estimate" and 1 <= document["effective"] <= document["draws"]
    written = json.loads(
        cli("sample", run.path, "-n", 3, "--given", "b15=1", "--out", tmp_path / "s.csv", "--json")[
            1
        ]
    )
    assert written["draws"] == document["draws"] and written["rows_with_too_few"] == 0
    assert "effective" not in json.loads(cli("sample", run.path, "-n", 3, "--json")[1])
    told = json.loads(
        cli("query", run.path, "a0", "--given", "b15=1", "--particles", 30, "--json")[1]
    )
    assert told["draws"] == 90 and told["levels"] and told["effective"] >= MIN_DRAWS
    few = json.loads(
        cli("query", run.path, "a0", "--given", "b15=1", "--particles", 2, "--json")[1]
    )
    assert (
        few["effective"] < MIN_DRAWS
        and few["hole"] is few["entropy_bits"] is None
        and not few.get("levels")
    )
    status, out, err = cli("query", run.path, "a0", "--given", "b15=1", "--particles", 2)
    assert status == 0 and "too few to mean anything" in out and "0." not in out
