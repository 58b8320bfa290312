"""Questions with unobserved cells to models with latents: against the model's own sums, by quadrature over two latents."""

from functools import cache
from math import log, pi

import numpy as np
import pandas as pd
import pytest
import torch

import plausibly
from plausibly.capabilities import Variational
from plausibly.contract.checks import shake_weights
from plausibly.errors import Unsupported
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.proposals import LatentQuery, WeightedLatents, effective_size
from plausibly.models.vae import VAE
from plausibly.system.randomness import generator_for
from plausibly.tasks.classify import DRAWS_PER_ROW, classify
from plausibly.tasks.complete import complete
from plausibly.tasks.full_conditionals import full_conditionals
from plausibly.tasks.impute import impute
from plausibly.tasks.query import query
from plausibly.tasks.score import conditionals, marginal

CPU = torch.device("cpu")
BITS = binary(8)
TABLE = Schema(
    (4,),
    (
        Category(3),
        Category(2, missing=True),
        Level(3),
        Category(1, rare=(2, 1), open=True, missing=True),
    ),
)


def made_up(schema, seed=0, **arguments):
    """A small model that couples its variables strongly, with an encoder that knows nothing of its decoder."""
    network = {"name": "mlp", "hidden": 16}
    model = shake_weights(VAE(schema, latents=2, network=network, **arguments), seed).eval()
    with torch.no_grad():
        model.decoder.leave.weight.mul_(2)
    return model


@torch.no_grad()
def log_joint(model):
    """log p of every event in lexical order, (events,): the sum over a grid of latents within 8 sigma, 0.1 apart."""
    side, events = torch.linspace(-8, 8, 161), model.schema.all_events()
    z = torch.cartesian_prod(side, side)
    log_prior = (-0.5 * z.double().square().sum(1) - log(2 * pi)) + 2 * log(0.1)
    near = log_prior > -36
    z, log_prior = z[near], log_prior[near]
    found = []
    for x in events:
        given = x[list(model.context)].expand(len(z), -1) if model.context else None
        each = model.observation(z, given).log_prob(x.expand(len(z), -1)).double().sum(1)
        found.append((each + log_prior).logsumexp(0))
    return torch.stack(found)


MODEL = made_up(BITS, 3)
TRUTH = log_joint(MODEL)
ROW = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]])
SEEN = [(0, 1, 2), (3, 6), (1, 2, 3, 4, 5, 6, 7), (), (7,)]


def marks(seen, size=8):
    return torch.tensor([[i in seen for i in range(size)]])


def fitting(schema, row, observed):
    """Which events agree with what is observed of a row."""
    return ((schema.all_events() == row) | ~observed).all(1)


def test_the_truth_is_a_distribution_and_couples_its_variables():
    assert float(TRUTH.logsumexp(0)) == pytest.approx(0, abs=1e-4)
    covariance = np.cov(BITS.all_events().T.numpy(), aweights=TRUTH.exp().numpy())
    spread = covariance.diagonal() ** 0.5
    assert np.abs(covariance / np.outer(spread, spread) - np.eye(8)).max() > 0.3


@pytest.mark.parametrize("seen", SEEN)
def test_mean_weights_are_unbiased_and_their_log_is_a_bound(seen):
    observed, rows = marks(seen), 400
    want = TRUTH[fitting(BITS, ROW, observed)].logsumexp(0)
    draws = LatentQuery(MODEL, Evidence(ROW, observed).expand(rows)).draws(
        64, generator_for(CPU, 1)
    )
    shares = (draws.log_weights - want).exp().mean(1)
    error = float(shares.std()) / rows**0.5 + 1e-4
    assert abs(float(shares.mean()) - 1) < 6 * error
    for many, room in ((32, 2.0), (4096, 0.05)):  # rougher with fewer draws, and never above
        several = LatentQuery(MODEL, Evidence(ROW, observed).expand(24))
        found = several.draws(many, generator_for(CPU, 2)).log_evidence
        error = 6 * float(found.std()) / 24**0.5 + 1e-4
        assert -room - error < float(found.mean() - want) < error
        assert found.dtype == torch.float64 and found.shape == (24,)


@pytest.mark.parametrize("seen", SEEN)
def test_queries_agree_with_sums(seen):
    observed = marks(seen)
    fits = fitting(BITS, ROW, observed)
    p = TRUTH[fits].softmax(0)
    for target in sorted(set(range(8)) - set(seen))[::3]:
        want = float(p[BITS.all_events()[fits][:, target] == 1].sum())
        found = query(MODEL, Evidence(ROW, observed), target, generator_for(CPU, 0), 20_000)
        size = found.effective
        assert found.word == "estimate" and 1 <= size.least <= size.draws and size.draws >= 20_000
        assert abs(float(found.outcome.log_probs[0, 1].exp()) - want) < 6 * 0.5 / size.least**0.5
        assert float(found.outcome.log_probs.exp().sum()) == pytest.approx(1)


def histogram(events, schema):
    places = [int(np.ravel_multi_index(row.long().tolist(), schema.codes)) for row in events]
    return np.bincount(places, minlength=int(np.prod(schema.codes))) / len(events)


def worst(share, p, n, bias):
    """The largest deviation of shares among n draws, in what is allowed of it."""
    return float((np.abs(share - p) / (6 * np.sqrt(p * (1 - p) / n) + 1 / n + bias)).max())


def target_of(model, truth, row, observed, holes=False):
    """p of every event given what is observed, and that no cell is filled with what is not allowed."""
    schema = model.schema
    starts = torch.tensor([0, *schema.codes]).cumsum(0)[:-1]
    fine = ~schema.allowed(holes).log_shares.isinf()[schema.all_events().long() + starts] | observed
    return (truth.exp() * (fitting(schema, row, observed) & fine.all(1))).numpy()


@pytest.mark.parametrize("seen", SEEN)
def test_filled_cells_follow_the_models_conditional(seen):
    observed, n = marks(seen), 2000
    p = target_of(MODEL, TRUTH, ROW, observed)
    filled = impute(
        MODEL,
        Evidence(ROW, observed, MODEL.schema.allowed(False)).expand(n),
        generator_for(CPU, 2),
        particles=512,
    )
    assert (filled.codes[:, list(seen)] == ROW[:, list(seen)]).all()
    assert worst(histogram(filled.codes, BITS), p / p.sum(), n, 0.01) < 1
    assert (filled.effective is None) is (not seen)  # draws that nothing weighs are exact
    if seen:
        assert (
            len(filled.effective.rows) == n
            and 1 <= filled.effective.least <= filled.effective.draws
        )


def test_encoding_and_decoding_alone_is_wrong_here():
    """What only proposes must not answer: its marginals are far from the model's, the weighted draws' are not."""
    observed, n = marks((0, 1, 2)), 2000
    p = target_of(MODEL, TRUTH, ROW, observed)
    loop = LatentQuery(MODEL, Evidence(ROW, observed).expand(n)).complete(
        generator_for(CPU, 3), rounds=20
    )
    assert worst(histogram(loop, BITS), p / p.sum(), n, 0.01) > 3


def test_weights_from_the_prior_alone_are_the_same_sum():
    observed = marks((1, 2, 3, 4, 5, 6, 7))
    want = TRUTH[fitting(BITS, ROW, observed)].logsumexp(0)
    alone = LatentQuery(MODEL, Evidence(ROW, observed).expand(20_000)).draws(
        1, generator_for(CPU, 4)
    )
    shares = (alone.log_weights[:, 0] - want).exp()
    assert abs(float(shares.mean()) - 1) < 6 * float(shares.std()) / 20_000**0.5


def test_no_weight_is_above_the_prior_parts_bound():
    asked = LatentQuery(MODEL, Evidence(ROW, marks((0, 1, 2))))
    draws = asked.draws(4096, generator_for(CPU, 5))
    outcome = MODEL.observation(draws.z[0])
    seen = asked.times(draws.z.shape[1]).log_seen(outcome)
    assert float((draws.log_weights[0] - seen).max()) <= log(16) + 1e-5


def test_effective_draws_by_hand():
    weights = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert effective_size(weights.log()).tolist() == pytest.approx([4, 1.6, 1])
    draws = WeightedLatents(torch.zeros(3, 4, 1), None, weights.log())
    assert draws.log_evidence.exp().tolist() == pytest.approx([1, 1, 0.25])


@cache
def table(context):
    model = made_up(TABLE, 3, context=context)  # one that 128 draws cope with
    return model, log_joint(model)


@pytest.mark.parametrize("context", [(), (0,), (3, 2)])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("seen", [(0, 1), (2,), (0,), (1, 2, 3)])
def test_tables_with_holes_and_contexts(context, holes, seen):
    """What a filled cell may not be, which tells of latents too; a context observed, unobserved, and in part."""
    model, truth = table(context)
    row, observed, n = torch.tensor([[2.0, 1.0, 0.0, 1.0]]), marks(seen, 4), 1000
    assert float(truth.logsumexp(0)) == pytest.approx(0, abs=1e-4)
    p = target_of(model, truth, row, observed, holes)
    filled = impute(
        model,
        Evidence(row, observed, model.schema.allowed(holes)).expand(n),
        generator_for(CPU, 6),
        256,
    )
    share = histogram(filled.codes, TABLE)
    assert worst(share, p / p.sum(), n, 0.02) < 1 and share[p == 0].sum() == 0
    fits = fitting(TABLE, row, observed)
    found = (
        LatentQuery(model, Evidence(row, observed).expand(100))
        .draws(512, generator_for(CPU, 5))
        .log_evidence
    )
    assert (
        abs(float(found.mean() - truth[fits].logsumexp(0)))
        < 6 * float(found.std()) / 100**0.5 + 0.02
    )
    for target in set(range(4)) - set(seen):
        want = torch.zeros(TABLE.codes[target], dtype=torch.float64)
        want.index_add_(0, TABLE.all_events()[fits][:, target].long(), truth[fits].softmax(0))
        told = query(model, Evidence(row, observed), target, generator_for(CPU, 7), 4000)
        assert (
            told.outcome.log_probs[0].exp() - want
        ).abs().max() < 6 * 0.5 / told.effective.least**0.5
        assert 1 <= told.effective.least <= told.effective.draws


@pytest.mark.parametrize("context", [(), (0,), (1, 2, 3)])
def test_classes_are_bayes_rule(context):
    model, truth = table(context)
    x = TABLE.all_events()[::11]
    labels = truth.view(TABLE.codes).log_softmax(0).flatten(1)
    want = labels.T[torch.arange(len(truth))[::11] % labels.shape[1]]
    found = classify(model, Evidence(x, torch.ones(x.shape, dtype=torch.bool)), 0).log_probs
    assert found.shape == (len(x), 3)
    assert torch.allclose(found.logsumexp(1), torch.zeros(len(x), dtype=torch.float64), atol=1e-6)
    seen, draws = marks((1, 2, 3), 4).expand(x.shape), DRAWS_PER_ROW * (3 if 0 in context else 1)
    asked = (
        query(model, Evidence(x, seen), 0, generator_for(CPU, seed), draws).outcome
        for seed in range(40)
    )
    each = torch.stack(
        [outcome.log_probs.exp() for outcome in asked], 1
    )  # rough: this encoder knows nothing
    spread = 6 * each.std(1)
    assert ((each.mean(1) - want.exp()).abs() < spread / 40**0.5 + 0.05).all()
    assert ((found.exp() - want.exp()).abs() < spread + 0.05).all()


@pytest.mark.parametrize("context", [(), (0,), (1, 2, 3)])
def test_one_row_is_answered_alike_wherever_it_stands(context):
    """Alone, and at places 0, 7 and 1,000 among rows of which other cells are known, or none."""
    model, _ = table(context)
    events = TABLE.all_events()
    x = events[torch.randint(len(events), (1001,), generator=generator_for(CPU, 1))]
    observed = torch.rand(x.shape, generator=generator_for(CPU, 2)) < 0.5
    observed[:, 0], observed[::5, 1:] = False, False
    places = [0, 7, 1000]
    x[places], observed[places] = torch.tensor([2.0, 1.0, 0.0, 1.0]), marks((1, 3), 4)
    row, seen = x[:1], observed[:1]
    told = query(model, Evidence(x, observed), 0, generator_for(CPU, 3), 32)
    alone = query(model, Evidence(row, seen), 0, generator_for(CPU, 3), 32)
    assert torch.allclose(
        told.outcome.log_probs[places], alone.outcome.log_probs.expand(3, -1), atol=1e-4
    )
    assert torch.allclose(told.effective.rows[places], alone.effective.rows.expand(3), rtol=1e-3)
    assert told.outcome.log_probs[5:7].isfinite().all() and len(told.outcome.log_probs) == 1001
    other = query(model, Evidence(row, seen), 0, generator_for(CPU, 4), 32).outcome
    assert not torch.equal(other.log_probs, alone.outcome.log_probs)
    labels = classify(model, Evidence(x[:20], observed[:20]), 0).log_probs
    assert torch.allclose(
        labels[[0, 7]], classify(model, Evidence(row, seen), 0).log_probs.expand(2, -1), atol=1e-4
    )
    bounds = marginal(model, Evidence(x, observed), 32)
    assert torch.allclose(
        bounds[places], marginal(model, Evidence(row, seen), 32).expand(3), atol=1e-4
    )
    assert marginal(model, Evidence(x[:0], observed[:0]), 32).shape == (0,)


def test_the_codes_of_a_context_share_the_draws_that_are_asked_for():
    """96 among 3 codes, 32 for each."""
    asked = Evidence(torch.zeros(2, 4), (torch.arange(4) == 2).expand(2, 4))
    found = query(made_up(TABLE, 3, context=(0,)), asked, 0, generator_for(CPU, 5), 96)
    assert found.effective.draws == 96


def test_real_targets_are_mixtures_over_draws():
    """p(real | bit) by the same sum over a grid of latents, in mean and share below; a real context by its draws."""
    schema = Schema((3,), (Real(), Category(2), Category(2)))
    model = made_up(schema, 2, components=2)
    row, observed = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[False, True, True]])
    side = torch.linspace(-8, 8, 321)
    z = torch.cartesian_prod(side, side)
    with torch.no_grad():
        outcome = model.observation(z)
        logs = outcome.log_prob(row.expand(len(z), 3)).double()[:, 1:].sum(
            1
        ) - 0.5 * z.double().square().sum(1)
        each, shares = outcome.one(0), logs.softmax(0)
        mean = float(shares @ each.mean())
        below = float(shares @ each.below(torch.full((len(z),), mean)))
        spread = float(
            (shares @ (each.log_weights.double().exp() * (each.means - mean).double() ** 2).sum(1))
            ** 0.5
        )
    found = query(model, Evidence(row, observed), 0, generator_for(CPU, 8), 20_000)
    room = 6 / found.effective.least**0.5
    assert abs(float(found.outcome.mean()) - mean) < room * (spread + 1e-3)
    assert abs(float(found.outcome.below(torch.tensor([mean]))) - below) < room * 0.5
    inner = made_up(Schema((2,), (Real(), Category(2))), 2, context=(0,))
    told = query(
        inner,
        Evidence(torch.zeros(1, 2), torch.tensor([[False, True]])),
        0,
        generator_for(CPU, 9),
        5000,
    )
    assert told.outcome.log_weights.shape == told.outcome.means.shape == (1, told.effective.draws)


def test_observed_cells_of_images_come_back():
    schema = Schema((1, 4, 4), (Category(2),) * 16)
    model, x = (
        made_up(schema),
        (torch.rand(30, 1, 4, 4, generator=generator_for(CPU, 1)) < 0.5).to(torch.uint8),
    )
    observed = torch.rand(30, 1, 4, 4, generator=generator_for(CPU, 2)) < 0.6
    asked = Evidence(x, observed, schema.allowed(holes=False))
    filled = impute(model, asked, generator_for(CPU, 3)).codes
    assert filled.shape == x.shape and torch.equal(filled[observed], x[observed].float())
    assert torch.equal(filled, impute(model, asked, generator_for(CPU, 3)).codes)
    assert not torch.equal(filled, impute(model, asked, generator_for(CPU, 4)).codes)
    other = torch.where(observed, x, 1 - x)
    assert torch.equal(
        marginal(model, Evidence(x, observed)), marginal(model, Evidence(other, observed))
    )  # unobserved cells say nothing


def test_words_and_refusals():
    words = {task.name: task.word(VAE) for task in (impute, query, marginal, classify)}
    assert words == {
        "impute": "estimate",
        "query": "estimate",
        "marginal": "bound",
        "classify": "estimate",
    }
    for task in (conditionals, full_conditionals, complete):
        assert not task.candidates(Variational)
        with pytest.raises(Unsupported, match=f"vae does not answer {task.name}"):
            task(MODEL, ROW)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A label, a bit that mostly follows it, and a number that does."""
    chance = np.random.default_rng(0)
    y = chance.integers(0, 3, 1200)
    bit = np.where(chance.random(1200) < 0.9, y == 1, y != 1).astype(int)
    frame = pd.DataFrame(
        {
            "label": np.array(["a", "b", "c"])[y],
            "bit": bit,
            "size": y * 10 + chance.integers(0, 3, 1200),
        }
    )
    frame.to_csv(tmp_path_factory.mktemp("data") / "rows.csv", index=False)
    folder = tmp_path_factory.mktemp("runs") / "vae"
    arguments = {"latents": 2, "network": {"name": "mlp", "hidden": 32}}
    return plausibly.fit(frame, "vae", out=folder, steps=1200, set=arguments), frame


def test_a_run_says_how_many_draws_tell(run, cli, tmp_path):
    fitted, frame = run
    asked = frame.head(40).copy()
    asked.loc[::2, "label"] = None
    filled, told = fitted.fill(asked)
    assert filled[asked.notna()].equals(asked[asked.notna()]) and filled.notna().all().all()
    assert 1 <= told.least <= told.draws and len(told.rows) == 20
    found = fitted.query("label", {"size": 11, "bit": 1})
    assert dict(found.levels)["b"] > 0.7 and "effective of" in repr(found)
    assert fitted.classify(asked, "label").to_json()["accuracy"] > 0.9
    asked.to_csv(tmp_path / "holes.csv", index=False)
    status, out, err = cli(
        "impute", fitted.path, tmp_path / "holes.csv", "--out", tmp_path / "filled.csv"
    )
    assert status == 0 and "an estimate: at least" in err and "weighted draws" in err
    status, out, err = cli("impute", fitted.path, tmp_path / "holes.csv", "--json")
    assert status == 0 and '"effective": ' in out and '"draws": 256' in out
    status, out, err = cli("query", fitted.path, "label", "--given", "bit=1")
    assert status == 0 and "estimate, " in out and "effective of 1,008 weighted draws" in out
    status, out, err = cli("query", fitted.path, "label", "--given", "bit=1", "--json")
    assert status == 0 and '"draws": 1008' in out
