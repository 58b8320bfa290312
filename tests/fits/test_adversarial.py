"""Games of a generator and a critic: losses, penalties, what validation watches, and events drawn straight through."""

import json
from math import gamma, pi

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from test_contract import SCHEMAS

from plausibly import compare, fit
from plausibly.data import load
from plausibly.data.toys.planes import NormalsOnCircle
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.families.adversarial import (
    GAMES,
    NonSaturating,
    SpectralNorm,
    coverage,
    energy_distance,
    pairwise_auc,
    slope_penalty,
)
from plausibly.models.gan import GAN
from plausibly.networks.straight_through import StraightThrough
from plausibly.runs.board import format_health
from plausibly.runs.record import read_record, write_record
from plausibly.system.randomness import generator_for
from plausibly.training.loop import Training, prepare
from plausibly.training.plan import Plan

CPU = torch.device("cpu")


def normals(n, seed, mean=0.0, scale=1.0, width=1):
    return mean + scale * torch.randn(
        n, width, generator=generator_for(CPU, seed), dtype=torch.float64
    )


def test_what_each_side_minimises():
    """By their formulas: log D and log(1 - D) with D = sigmoid(logit), and the others in plain numbers."""
    r, f = torch.tensor([0.3, -2.0, 1.5]).double(), torch.tensor([-0.7, 0.4, 2.0]).double()
    real, made = r.sigmoid(), f.sigmoid()
    wanted = {
        "minimax": (-real.log() - (1 - made).log(), (1 - made).log()),
        "non-saturating": (-real.log() - (1 - made).log(), -made.log()),
        "hinge": ((1 - r).clamp(min=0) + (1 + f).clamp(min=0), -f),
        "wasserstein": (f - r, -f),
        "r1": (-real.log() - (1 - made).log(), -made.log()),
        "relativistic": (-(r - f).sigmoid().log(), -(f - r).sigmoid().log()),
    }
    assert wanted.keys() == {game.name for game in GAMES}
    for game in GAMES:
        against, towards = wanted[game.name]
        assert torch.allclose(game().critic_loss(r, f), against) and torch.allclose(
            game().generator_loss(r, f), towards
        ), game


def test_slopes_are_those_of_the_critic():
    linear, x = torch.nn.Linear(4, 1).double(), normals(6, 1, width=4).requires_grad_()
    assert torch.allclose(slope_penalty(linear(x), x), linear.weight.square().sum().expand(6))
    curved = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    ).double()
    step = 1e-6 * torch.eye(4).double()
    apart = torch.stack([(curved(x + s) - curved(x - s))[:, 0] / 2e-6 for s in step], 1)
    assert torch.allclose(slope_penalty(curved(x), x), apart.square().sum(1), rtol=1e-6)


def test_penalties_reach_the_critic():
    """By their formulas, with gradients for the critic; the other games have none."""
    x = load("toy-bits").train.codes[:20].float()
    model = GAN.tiny(binary(10))
    model.initialise(generator_for(CPU, 2))
    made = torch.rand(20, 10, generator=generator_for(CPU, 3))
    numbers = torch.cat([model.inputs(x), made]).requires_grad_()
    logits = model.critic(numbers)[:, 0]
    of_real, of_made = slope_penalty(logits, numbers).chunk(2)
    wanted = {"r1": 0.05 * of_real, "relativistic": 0.05 * (of_real + of_made)}
    for game in GAMES:
        penalty = game().penalty(model, numbers, logits, generator_for(CPU, 4))
        assert penalty.shape == (20,)
        assert penalty.requires_grad == (game.name in ("wasserstein", "r1", "relativistic")), game
        if game.name in wanted:
            assert torch.allclose(penalty, wanted[game.name]) and bool((penalty > 0).all())
        if penalty.requires_grad:
            slopes = torch.autograd.grad(
                penalty.sum(), list(model.critic.parameters()), retain_graph=True, allow_unused=True
            )
            assert any(slope is not None and bool((slope != 0).any()) for slope in slopes), game


def test_a_critic_learns_the_ratio_of_densities():
    """Against a fixed generator the best D is p_data / (p_data + p_model): Goodfellow et al. 2014, proposition 1."""
    critic = torch.nn.Sequential(
        torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
    ).double()
    for layer, seed in ((critic[0], 5), (critic[2], 6)):
        with torch.no_grad():
            layer.weight.copy_(normals(len(layer.weight), seed, width=layer.weight.shape[1]))
    optimiser, game = torch.optim.Adam(critic.parameters(), 0.01), NonSaturating()
    for step in range(1500):
        optimiser.zero_grad()
        real, made = normals(500, 10 + 2 * step), normals(500, 11 + 2 * step, 1.0, 0.8)
        game.critic_loss(critic(real)[:, 0], critic(made)[:, 0]).mean().backward()
        optimiser.step()
    x = torch.linspace(-2, 2.5, 50).double()[:, None]
    data, model = (
        torch.distributions.Normal(m, s).log_prob(x).exp() for m, s in ((0.0, 1.0), (1.0, 0.8))
    )
    assert float((critic(x).sigmoid() - data / (data + model)).abs().max()) < 0.05


@pytest.mark.parametrize("power", [0.25, 1.0, 1.5])
def test_energy_distance_is_that_of_normals(power):
    """E|x - y|^a of x ~ N(0, 1), y ~ N(0, s^2) is (2 (1 + s^2))^(a/2) Gamma((a + 1) / 2) / sqrt(pi); without bias."""
    scale, found, factor = 2.0, [], gamma((power + 1) / 2) / pi**0.5
    for seed in range(200):
        made = normals(90, 2 * seed + 1, scale=scale)
        found.append(float(energy_distance(normals(60, 2 * seed), made, power).mean()))
    exact = factor * (
        2 * (2 + 2 * scale**2) ** (power / 2) - 4 ** (power / 2) - (4 * scale**2) ** (power / 2)
    )
    assert abs(np.mean(found) - exact) < 6 * np.std(found) / len(found) ** 0.5
    pairs = [(normals(60, 5000 + seed), normals(60, 9000 + seed)) for seed in range(200)]
    same = [float(energy_distance(*pair, power).mean()) for pair in pairs]
    assert abs(np.mean(same)) < 6 * np.std(same) / len(same) ** 0.5


def test_the_energy_distance_sees_narrow_modes():
    """One in five samples lies beside four narrow modes: held against noise, the default power tells more than 1."""
    four, told = torch.tensor([-3.0, -1.0, 1.0, 3.0]).double()[:, None], {}
    for power in (0.25, 1.0):
        good, bad = [], []
        for seed in range(20):
            one, other = (
                four[torch.randint(4, (400,), generator=generator_for(CPU, seed, k))]
                for k in (0, 1)
            )
            real, made = (
                one + normals(400, 10 * seed, scale=0.01),
                other + normals(400, 10 * seed + 1, scale=0.01),
            )
            beside = torch.where(
                torch.arange(400)[:, None] % 5 == 0, other + normals(400, seed, scale=0.2), made
            )
            good.append(float(energy_distance(real, made, power).mean()))
            bad.append(float(energy_distance(real, beside, power).mean()))
        told[power] = (np.mean(bad) - np.mean(good)) / np.std(good)
    assert told[0.25] > 3 * told[1.0] > 0, told


def test_ties_are_as_wide_as_chance():
    """The slack is twice the spread of the distance between real events and real events; of ties the last is kept."""
    dataset = load("toy-modes")
    model = GAN.tiny(dataset.schema)
    rows = dataset.train.codes.float()
    found = [
        float(energy_distance(*rows[400 * k : 400 * (k + 1)].chunk(2)).mean()) for k in range(12)
    ]
    slack = np.mean(
        [
            model.objective.slack(model, *rows[:400].chunk(2), generator_for(CPU, seed))
            for seed in range(20)
        ]
    )
    assert 0.5 < slack / (2 * np.std(found)) < 2
    training = Training(model, dataset.train.codes, dataset.valid.codes, Plan(4, every=1))
    values = iter(
        [1.0, 1.0 + 0.5 * training.slack, 1.0 + 1.5 * training.slack, 1.0 + 0.9 * training.slack]
    )
    training.averaged.objective.validation_loss = lambda model, x, generator: torch.full(
        (len(x),), next(values), dtype=torch.float64
    )
    assert [each.best for each in training.run()] == [True, True, False, True]
    assert training.best_validation == 1.0 and training.slack > 0


def test_pairs_told_apart_are_the_area_under_the_curve():
    real, made = normals(80, 1, 0.5)[:, 0].round(decimals=1), normals(70, 2)[:, 0].round(decimals=1)
    truth = roc_auc_score([1] * 80 + [0] * 70, torch.cat([real, made]))
    assert pairwise_auc(real, made) == pytest.approx(truth, abs=1e-6)


def test_coverage_counts_real_events_with_a_made_one_nearby():
    real, made = normals(50, 1, width=2), normals(40, 2, 0.5, width=2)
    wanted = 0
    for x in real:
        reach = sorted(float((x - other).norm()) for other in real)[5]
        wanted += any(float((x - other).norm()) <= reach for other in made)
    assert coverage(real, made) == pytest.approx(wanted / 50)
    assert coverage(real, real.clone()) == 1 and coverage(real, made + 100) == 0


def test_spectral_normalisation_holds_the_largest_singular_value_at_one():
    part, weight = SpectralNorm(6), normals(6, 1, width=9)
    part.double()
    part.initialise(generator_for(CPU, 1))
    for _ in range(200):
        held = part(weight)
    assert float(torch.linalg.svdvals(held)[0]) == pytest.approx(1, abs=1e-6)
    model = GAN(binary(10), objective="hinge")
    model.initialise(generator_for(CPU, 1))
    x = torch.rand(8, 10, generator=generator_for(CPU, 2))
    first = model.critic(x)
    again = GAN(binary(10), objective="hinge")
    again.initialise(generator_for(CPU, 1))
    assert (
        torch.equal(again.critic(x), first) and float(first.std()) > 1e-4
    )  # weights come from the generator alone


@pytest.mark.parametrize("name", SCHEMAS)
def test_made_events_are_seen_as_they_were_painted(name):
    """What a critic sees of an event is the same, to the bit, whether it was drawn or read; and gradients flow."""
    schema = SCHEMAS[name]
    relaxed = StraightThrough(schema, range(schema.size))
    parameters = torch.randn(
        300, relaxed.parameters_width, generator=generator_for(CPU, 7), requires_grad=True
    )
    events, numbers = relaxed.sample(2 * parameters, generator_for(CPU, 8))
    assert torch.allclose(relaxed(events.detach().view(-1, *schema.shape)), numbers, atol=1e-6)
    (gradient,) = torch.autograd.grad((numbers * torch.randn_like(numbers)).sum(), parameters)
    assert bool((gradient.abs().sum(0) > 0).all())
    codes = schema.event_codes(events.detach())
    assert bool((codes >= 0).all()) and all(
        int(c.max()) < k for c, k in zip(codes.T, schema.codes, strict=True)
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_outputs_far_out_come_back(name):
    """Where a generator has gone to the end of what it can paint of a variable, a gradient still tells it the way."""
    for i in range(SCHEMAS[name].size):
        relaxed = StraightThrough(SCHEMAS[name], [i])
        for sign in (-1, 1):
            signs = (
                sign
                * torch.tensor([1.0, -1.0]).repeat(relaxed.parameters_width)[
                    : relaxed.parameters_width
                ]
            )
            far = (300.0 * signs).expand(300, -1).clone().requires_grad_()
            _, numbers = relaxed.sample(far, generator_for(CPU, 8))
            (gradient,) = torch.autograd.grad((numbers * torch.randn_like(numbers)).sum(), far)
            assert float(gradient.abs().sum()) > 1e-8, i


def test_codes_are_drawn_with_the_probabilities_of_their_logits():
    schema = Schema((3,), (Category(2), Category(4), Level(3, missing=True)))
    relaxed, n = StraightThrough(schema, range(3)), 20_000
    logits = torch.tensor([0.7, 0.0, 1.0, -1.0, 0.5, 0.0, 2.0, 0.0])
    assert relaxed.parameters_width == len(logits)
    events, _ = relaxed.sample(logits.expand(n, -1), generator_for(CPU, 3))
    wanted = [logits[:1].sigmoid()[0], logits[1:5].softmax(0)[2], logits[6:].softmax(0)[1]]
    for column, code, share in ((0, 1, wanted[0]), (1, 2, wanted[1]), (2, 3, wanted[2])):
        found, share = float((events[:, column] == code).float().mean()), float(share)
        assert abs(found - share) < 6 * (share * (1 - share) / n) ** 0.5
    assert relaxed.sample(logits[None], None)[0].tolist() == [[1, 1, 1]]


def test_but_for_its_network_a_generator_starts_at_the_marginals():
    dataset = load("toy-mixed")
    model = GAN.tiny(dataset.schema)
    model.initialise_from(dataset.train.codes.flatten(1))
    model.generator.gains.zero_()
    drawn = model.sample(4000, generator_for(CPU, 1))
    for i, kind in enumerate(dataset.schema.kinds):
        if not kind.ordered:
            made, real = (
                torch.bincount(x[:, i].long(), minlength=kind.codes) / len(x)
                for x in (drawn, dataset.train.codes)
            )
            assert float((made - real).abs().max()) < 0.06


@pytest.mark.parametrize("game", [game.name for game in GAMES])
def test_every_game_comes_closer_to_the_data(game):
    dataset = load("toy-bars")
    model = GAN(dataset.schema, objective=game)
    prepare(model, dataset.train.codes, 1)
    held_out = model.inputs(dataset.valid.codes.float())

    def apart():
        return float(
            energy_distance(
                held_out, model.inputs(model.sample(1000, generator_for(CPU, 2))), 1.0
            ).mean()
        )

    steps = 600 if game == "wasserstein" else 400  # that critic has to learn how steep it may be
    begun, training = (
        apart(),
        Training(model, dataset.train.codes, dataset.valid.codes, Plan(steps, average=0.98)),
    )
    last = list(training.run())[-1]
    training.finish()
    assert apart() < 0.4 * begun
    assert last.health.keys() == {"critic accuracy", "gap to training", "coverage"}
    assert last.norms.keys() == {"critic", "generator"} and all(
        norm > 0 for norm in last.norms.values()
    )


def test_health_is_kept_shown_on_the_board_and_drawn(drawn, tmp_path):
    board = compare("toy-bars", ["independent", "gan"], steps=60, out=tmp_path)
    of = {row["model"]: row["health"] for row in board.to_json()}
    assert of["independent"] is None and of["gan"].keys() == {
        "critic accuracy",
        "gap to training",
        "coverage",
    }
    logged = [
        json.loads(line) for line in (tmp_path / "gan" / "log.jsonl").read_text().splitlines()
    ]
    assert of["gan"] == [entry for entry in logged if entry["best"]][-1]["health"]
    headings, rows = board.cells()
    told = {row[0]: row[headings.index("health")] for row in rows}
    assert told == {"truth": "", "independent": "", "gan": format_health(of["gan"])}
    page = (tmp_path / "report.html").read_text()
    assert 0 <= board.to_json()[-1]["samples"]["two_sample_auc"] <= 1
    assert "Health of the game" in page and "gradient norm, critic" in page


def test_no_mode_of_a_ring_is_left_out():
    """Eight narrow normals, by a third of the steps that the default takes (`benchmarks.games` has all, and more seeds)."""
    seed, dataset, modes = 0, load("toy-modes"), NormalsOnCircle()
    model = GAN(dataset.schema)
    prepare(model, dataset.train.codes, seed)
    training = Training(model, dataset.train.codes, dataset.valid.codes, Plan(1500, seed=seed))
    for _ in training.run():
        pass
    training.finish()
    made = dataset.format.draw(model.sample(4000, generator_for(CPU, 1)), np.random.default_rng(1))
    apart = np.linalg.norm(dataset.format.rows(made)[:, None] - modes.centres, axis=2)
    near = apart.min(1) < 4 * modes.width
    shares = np.bincount(apart.argmin(1)[near], minlength=8) / len(apart)
    assert near.mean() > 0.5 and shares.min() > 0.03, (near.mean(), shares)


def test_a_fit_ends_with_samples_held_against_fresh_rows(tmp_path, capsys):
    run = fit("toy-bars", "gan", steps=40, out=tmp_path / "run")
    assert run.record["samples"]["rows"] == 2000 and run.record["samples"]["interval"][0] > 0.5
    assert "samples" not in fit("toy-bars", "independent", out=tmp_path / "other").record
    record = json.loads((run.path / "run.json").read_text())
    write_record(record | {"health": {"coverage": "good"}}, run.path)
    with pytest.raises(UserError, match="'health' has no numbers"):
        read_record(run.path)
