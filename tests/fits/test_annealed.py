"""Annealed importance sampling against closed forms and quadrature."""

import json
from math import log, pi

import numpy as np
import pandas as pd
import pytest
import torch

from plausibly.capabilities import Decoder
from plausibly.contract.checks import shake_weights
from plausibly.data.events import Events
from plausibly.data.formats.array_container import ArrayContainer
from plausibly.data.formats.format import Format
from plausibly.data.loading import load
from plausibly.errors import Unsupported, UserError
from plausibly.evaluation.likelihood import annealed as evaluation
from plausibly.evaluation.likelihood.annealed import (
    TARGET_ACCEPTANCE,
    ChainRunner,
    anneal,
    annealing_schedule,
    best_sigma,
    hmc_point_at,
    hmc_transition,
    pick_evenly,
)
from plausibly.evaluation.likelihood.likelihood import LikelihoodLowerBound, LikelihoodUpperBound
from plausibly.events.kinds import Category, Grid, Level
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS
from plausibly.system.randomness import generator_for
from plausibly.tasks.annealed import LatentJoint, annealed, mean_image, noisy_joint, own_joint

CPU = torch.device("cpu")
LOADINGS = torch.tensor([[1.5, 0.0], [1.0, 0.7], [0.0, -1.2], [0.5, 0.5]])
SIGMA = 0.8
COVARIANCE = LOADINGS @ LOADINGS.T + SIGMA**2 * torch.eye(4)


def log_normal(x, scale):
    return (-0.5 * (x / scale) ** 2 - log(scale) - 0.5 * log(2 * pi)).sum(1)


def linear():
    """z ~ N(0, 1) in two dimensions, x ~ N(W z, 0.8^2) in four."""
    return LatentJoint(
        lambda z: log_normal(z, 1.0),
        lambda x, z: log_normal(x - z @ LOADINGS.T, SIGMA),
        lambda n, generator: torch.randn(n, 2, generator=generator),
        lambda x, z, generator: (
            z @ LOADINGS.T + SIGMA * torch.randn(len(z), 4, generator=generator)
        ),
        4,
    )


def exact(x, covariance=COVARIANCE):
    normal = torch.distributions.MultivariateNormal(
        torch.zeros(len(covariance)).double(), covariance.double()
    )
    return normal.log_prob(x.double())


def posterior(x):
    """Mean and covariance of p(z | x)."""
    covariance = torch.linalg.inv(torch.eye(2) + LOADINGS.T @ LOADINGS / SIGMA**2)
    return x @ LOADINGS @ covariance / SIGMA**2, covariance


def simulated(rows, seed):
    generator = generator_for(CPU, seed)
    joint = linear()
    z = joint.draw(rows, generator)
    return joint.observe(torch.zeros(rows, 4), z, generator), z


def off(values):
    """The mean in standard errors."""
    return float(values.mean() / values.std() * len(values) ** 0.5)


def test_the_bounds_enclose_a_closed_form_and_are_tight():
    x, z = simulated(100, 1)
    annealing = ChainRunner(linear(), 8, 40, generator_for(CPU, 2))
    lower, upper = annealing.both(x, z)
    assert off(lower - exact(x)) < 6 and off(exact(x) - upper) < 6
    assert off(upper - lower) > -6
    assert max(abs(float((bound - exact(x)).mean())) for bound in (lower, upper)) < 0.1
    assert abs(annealing.acceptance - TARGET_ACCEPTANCE) < 0.08
    assert abs(float((annealing.lower(x) - exact(x)).mean())) < 0.1


@pytest.mark.parametrize("distributions", [1, 4, 40])
def test_weights_are_unbiased_however_few_distributions_there_are(distributions):
    """E w = p(x), and E 1/w = 1 / p(x) from exact draws of the posterior, of one row."""
    generator = generator_for(CPU, 3)
    x = torch.tensor([[0.8, 0.5, -0.2, 0.3]]).expand(3000, 4)
    mean, covariance = posterior(x)
    z = mean + torch.randn(len(x), 2, generator=generator) @ torch.linalg.cholesky(covariance).T
    lower, upper = ChainRunner(linear(), 1, distributions, generator).both(x, z)
    assert abs(off((lower - exact(x)).exp() - 1)) < 6
    if distributions > 4:  # with so few the means of 1/w hang on a handful of rows
        assert abs(off((exact(x) - upper).exp() - 1)) < 6


def test_too_few_distributions_show_as_a_gap():
    x, z = simulated(100, 4)
    few, many = (ChainRunner(linear(), 1, t, generator_for(CPU, 5)).both(x, z) for t in (3, 60))
    assert off(few[1] - few[0]) > 6
    assert float((few[1] - few[0]).mean()) > 10 * abs(float((many[1] - many[0]).mean()))
    assert off(exact(x) - few[0]) > 6 and off(few[1] - exact(x)) > 3


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_transitions_keep_their_distribution(power):
    """Long chains from zero, of steps so large that a third is rejected, against mean and covariance."""
    n, generator = 4000, generator_for(CPU, 6)
    row = torch.tensor([[0.8, 0.5, -0.2, 0.3]])
    covariance = torch.linalg.inv(torch.eye(2) + power * LOADINGS.T @ LOADINGS / SIGMA**2)
    mean = (power * row @ LOADINGS @ covariance / SIGMA**2)[0]
    joint, x, chances = linear(), row.expand(n, 4), []
    here = hmc_point_at(joint, x, torch.zeros(n, 2))
    widest = 1.75 * float(torch.linalg.eigvalsh(covariance)[0]) ** 0.5
    for _ in range(40):
        here, chance = hmc_transition(joint, x, here, power, torch.full((n,), widest), generator)
        chances.append(float(chance.mean()))
    assert 0.3 < sum(chances) / len(chances) < 0.9
    z = (here.z - mean) @ torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    for k in range(2):
        assert abs(off(z[:, k])) < 6 and abs(off(z[:, k].square() - 1)) < 6
    assert abs(off(z[:, 0] * z[:, 1])) < 6


def test_slopes_are_those_of_a_closed_form():
    x, z = simulated(50, 7)
    here = hmc_point_at(linear(), x, z)
    mean, covariance = posterior(x)
    assert torch.allclose(here.slope(1.0), -(z - mean) @ torch.linalg.inv(covariance), atol=1e-4)
    assert torch.allclose(here.slope(0.0), -z)
    assert torch.allclose(
        here.log(1.0) - exact(x).float(), log_posterior(z, mean, covariance), atol=1e-4
    )


def log_posterior(z, mean, covariance):
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(z)


def test_the_schedule_rises_from_0_to_1_and_is_finest_at_its_ends():
    powers = torch.tensor(annealing_schedule(100))
    steps = powers.diff()
    assert powers[0] == 0 and powers[-1] == 1 and len(powers) == 101
    assert bool((steps > 0).all()) and float(steps[0]) < 0.1 * float(steps[50])


@pytest.mark.parametrize("least", [False, True])
def test_a_collapsed_trajectory_is_rejected(least, monkeypatch):
    """Energies that are no number are not accepted, nor by the least number that may be drawn, 0."""
    broken = LatentJoint(
        lambda z: log_normal(z, 1.0),
        lambda x, z: (z.sum(1) - 0.1).log(),
        linear().draw,
        linear().observe,
        4,
    )
    x = torch.zeros(200, 4)
    here = hmc_point_at(broken, x, torch.ones(200, 2))
    if least:
        monkeypatch.setattr(torch, "rand", lambda *size, generator, **more: torch.zeros(*size))
    there, _ = hmc_transition(broken, x, here, 1.0, torch.full((200,), 0.8), generator_for(CPU, 8))
    assert bool(there.log_likelihood.isfinite().all())


SIDE = torch.linspace(-9, 9, 181, dtype=torch.float64)
GRID = torch.cartesian_prod(SIDE, SIDE).float()


@torch.no_grad()
def integrated(model, likelihood):
    """log of the integral of p(z) exp(likelihood(z)), (rows,), where likelihood gives (rows, z) of all z."""
    prior = model.latent_prior().log_prob(GRID).sum(1).double() + 2 * log(float(SIDE[1] - SIDE[0]))
    assert abs(float(prior.logsumexp(0))) < 1e-3
    return (likelihood + prior).logsumexp(1)


def vae(schema, **arguments):
    """A random one, smooth enough for the grid."""
    model = shake_weights(
        MODELS["vae"](schema, latents=2, network={"name": "mlp", "hidden": 16}, **arguments), seed=1
    )
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.5)
    return model.eval()


@pytest.mark.parametrize(
    "prior",
    ["standard", {"name": "vamp", "components": 3}, {"name": "flow", "hidden": 8, "layers": 2}],
)
def test_bits_against_quadrature(prior):
    model = vae(binary(8), prior=prior)
    x = (torch.rand(20, 8, generator=generator_for(CPU, 9)) < 0.5).float()
    with torch.no_grad():
        outcome = model.observation(GRID)
        likelihood = torch.stack(
            [outcome.log_prob(row.expand(len(GRID), 8)).double().sum(1) for row in x]
        )
    want = integrated(model, likelihood)
    lower = ChainRunner(own_joint(model), 8, 30, generator_for(CPU, 10)).lower(x)
    assert off(lower - want) < 6
    assert abs(float((lower - want).mean())) < 0.05
    assert float((lower - want).abs().max()) < 0.5


def test_a_context_is_given():
    """log p(others | context): a bit with the context put first, against quadrature."""
    model = vae(binary(6), context=[0])
    x = (torch.rand(20, 6, generator=generator_for(CPU, 11)) < 0.5).float()
    with torch.no_grad():
        likelihood = torch.stack(
            [
                model.observation(GRID, row[:1].expand(len(GRID), 1))
                .log_prob(row.expand(len(GRID), 6))[:, 1:]
                .sum(1)
                for row in x
            ]
        ).double()
    joint, generator = own_joint(model), generator_for(CPU, 12)
    lower = ChainRunner(joint, 8, 30, generator).lower(x)
    assert abs(float((lower - integrated(model, likelihood)).mean())) < 0.05
    drawn = joint.observe(x, joint.draw(len(x), generator), generator)
    assert torch.equal(drawn[:, 0], x[:, 0]) and not torch.equal(drawn, x)


def test_noise_about_the_mean_image_against_quadrature():
    schema = Schema((1, 2, 3), (Level(levels=5),) * 6)
    model, sigma = vae(schema), 0.2
    x = torch.randint(0, 5, (20, 1, 2, 3), generator=generator_for(CPU, 13)).float()
    with torch.no_grad():
        outcome = model.observation(GRID)
        image = sum(
            outcome.log_prob(torch.full((len(GRID), 6), float(k))).exp() * k / 4 for k in range(5)
        )
        likelihood = torch.stack(
            [log_normal(row - image.double(), sigma) for row in x.flatten(1).double() / 4]
        )
    assert torch.allclose(mean_image(model, GRID), image, atol=1e-5)
    lower = ChainRunner(noisy_joint(model, sigma), 8, 40, generator_for(CPU, 14)).lower(x)
    assert abs(float((lower - integrated(model, likelihood)).mean())) < 0.1


class Painter(Decoder):
    """Three latents, linearly, to nine pixels of 256 levels: decode alone, as of a model without outcomes."""

    family, formula, latents = "test", "0", 3

    def __init__(self, schema):
        super().__init__()
        self.schema = schema
        self.weights = torch.nn.Parameter(0.3 * torch.randn(9, 3, generator=generator_for(CPU, 15)))

    def decode(self, z, given=None):
        return (255 * (0.5 + z @ self.weights.T)).view(-1, 1, 3, 3)


def starts(schema):
    return torch.tensor([0, *schema.codes]).cumsum(0)[:-1]


def test_values_of_simulated_rows_are_drawn_inside_their_codes(monkeypatch):
    """Bounds count log p of the values too: on average less by the entropy inside a code, not by its peak's height."""
    chance = np.random.default_rng(3)
    format = load(
        pd.DataFrame({"a": chance.geometric(0.01, 600), "b": chance.geometric(0.002, 600)})
    ).format
    model, drawn = vae(format.schema), []
    joint = own_joint(model)

    def observe(x, z, generator):
        drawn.append(joint.observe(x, z, generator))
        return drawn[-1]

    nothing = torch.zeros(3000, dtype=torch.float64)
    monkeypatch.setattr(ChainRunner, "both", lambda self, x, z: (nothing, nothing))
    other = LatentJoint(joint.log_prior, joint.log_likelihood, joint.draw, observe, joint.width)
    annealing = ChainRunner(other, 1, 2, generator_for(CPU, 31))
    lower, upper = evaluation.simulate_bounds(annealing, torch.zeros(3000, 2), format, (), None)
    assert all(isinstance(kind, Grid) for kind in format.schema.kinds)
    inside = [torch.from_numpy(kind.code_entropies()) for kind in format.schema.kinds]
    apart = lower + sum(own[drawn[0][:, i].long()] for i, own in enumerate(inside))
    places = format.schema.event_codes(drawn[0]) + starts(format.schema)
    foreseen = ~format.schema.allowed(holes=True).log_shares.isinf()[places].any(1)
    assert (
        torch.equal(lower, upper) and float(apart[foreseen].std()) > 0.1 and foreseen.sum() > 2000
    )
    assert (
        abs(float(apart[foreseen].mean()))
        < 6 * float(apart[foreseen].std()) / float(foreseen.sum()) ** 0.5
    )


def test_the_best_sigma_is_that_of_the_closed_form(monkeypatch):
    monkeypatch.setattr("plausibly.evaluation.likelihood.annealed.TUNING", (50, 4, 20, 6))
    decoder, truth = Painter(Schema((1, 3, 3), (Level(levels=256),) * 9)), 0.07
    generator = generator_for(CPU, 16)
    with torch.no_grad():
        joint = noisy_joint(decoder, truth)
        x = joint.observe(torch.zeros(50, 1, 3, 3), joint.draw(50, generator), generator)
        image = x.flatten(1) / 255 - 0.5
        signal = (decoder.weights @ decoder.weights.T).double()
        grid = torch.linspace(log(0.02), log(0.3), 400).exp().tolist()
        want = max(
            grid, key=lambda s: float(exact(image, signal + s**2 * torch.eye(9).double()).mean())
        )
        found = best_sigma(decoder, x, generator, lambda steps: None)
    assert abs(log(found / want)) < 0.03
    assert found == float(f"{found:.3g}")


def test_what_cannot_be_annealed_is_refused():
    for name in ("made", "autoencoder", "vq_vae"):
        with pytest.raises(Unsupported, match="no decoder with a prior"):
            annealed(MODELS[name].tiny(binary(4)))
    mixed = Schema((2,), (Level(levels=3), Category(levels=2)))
    for schema in (binary(4), mixed):
        with pytest.raises(UserError, match="noise is added to pixels"):
            noisy_joint(MODELS["vae"].tiny(schema), 0.1)
    with pytest.raises(UserError, match="sigma = 0"):
        noisy_joint(MODELS["vae"].tiny(Schema((1, 2, 2), (Level(levels=3),) * 4)), 0.0)


def fitted(cli, rows):
    """A VAE of rows in an array, hardly trained, in the folder `run`."""
    np.save("rows.npy", rows)
    words = [
        "--steps",
        5,
        "--set",
        "latents=2",
        "network=mlp",
        "network.hidden=8",
        "--out",
        "run",
        "--quiet",
    ]
    assert cli("fit", "rows.npy", "--model", "vae", *words)[0] == 0


SHORT = ("--annealed", "--rows", 6, "--chains", 2, "--distributions", 8)


def test_the_command_prints_bounds_with_their_model(cli, monkeypatch):
    monkeypatch.setattr("plausibly.evaluation.likelihood.annealed.TUNING", (6, 2, 6, 2))
    fitted(cli, np.random.default_rng(0).integers(0, 17, (80, 3, 3)).astype(np.uint8))
    status, out, err = cli("evaluate", "run", *SHORT)
    assert (status, err) == (0, "")
    first, second, third = out.splitlines()
    assert (
        first.startswith("the model: >= -") and "6 rows" in first and "bits per variable" in first
    )
    assert "given" not in first
    assert "2 chains a row, 8 distributions" in second and "acceptance 0." in second
    assert "<=" in third and "gap" in third
    found = json.loads(cli("evaluate", "run", *SHORT, "--json")[1])["annealed"]
    assert (
        found["sign"],
        found["rows"],
        found["sigma"],
        found["chains"],
        found["distributions"],
    ) == (">=", 6, None, 2, 8)
    bounds = found["simulated"]
    assert (bounds["lower"]["sign"], bounds["upper"]["sign"], bounds["gap"]["sign"]) == (
        ">=",
        "<=",
        "<=",
    )
    assert bounds["gap"]["value"] == pytest.approx(
        bounds["upper"]["value"] - bounds["lower"]["value"]
    )
    assert f">= {found['value']:.4f} ± {found['standard_error']:.4f}" in first

    noised = cli("evaluate", "run", *SHORT, "--sigma", 0.25)[1].splitlines()[0]
    assert (
        noised.startswith("decoder + N(0, 0.25^2): >= ")
        and "density of pixels" in noised
        and "bits" not in noised
    )
    best = json.loads(cli("evaluate", "run", *SHORT, "--sigma", "validation", "--json")[1])[
        "annealed"
    ]
    assert 0.1 < best["sigma"] < 0.5 and best["model"] == f"decoder + N(0, {best['sigma']:g}^2)"


def test_the_command_refuses_in_a_line(cli):
    fitted(cli, np.random.default_rng(0).integers(0, 2, (80, 3, 3)).astype(np.uint8))
    for words, why in [
        (["run", *SHORT, "--sigma", "0.1"], "noise is added to pixels"),
        (["run", *SHORT, "--sigma", "much"], "sigma 'much'"),
        (["run", "--annealed", "--rows", 0], "0 rows"),
        (["run", "--annealed", "--chains", 0], "0 chains"),
        (["run", "--annealed", "--distributions", 0], "0 distributions"),
        (["run", *SHORT, "--draws", 5], "--draws is not for --annealed"),
        (["run", "--sigma", 0.1], "go with --annealed"),
        (["run", "--rows", 9], "goes with --annealed or --samples"),
    ]:
        status, out, err = cli("evaluate", *words)
        assert (status, out) == (2, "") and why in err and err.count("\n") == 1, (words, err)


def test_values_inside_their_codes_count_for_codes_and_not_for_noisy_pixels():
    format = load("digits").format
    model, codes = vae(format.schema), load("digits").test.codes[:6]
    inside = torch.linspace(-3, -1, 6, dtype=torch.float64)
    for sigma, counted in ((None, inside), (0.3, 0 * inside)):
        with_them, without = (
            anneal(model, format, Events(codes, own), generator_for(CPU, 8), 1, 3, sigma).test.nats
            for own in (inside, 0 * inside)
        )
        assert torch.allclose(with_them - without, counted, atol=1e-9)


def test_rows_are_taken_evenly_and_progress_ends_at_the_whole():
    model, told = vae(binary(6)), []
    x = (torch.rand(30, 6, generator=generator_for(CPU, 17)) < 0.5).to(torch.uint8)
    events = Events(x, torch.zeros(30, dtype=torch.float64))
    few = pick_evenly(events, 4)
    assert torch.equal(few.codes, x[[0, 9, 19, 29]])
    assert pick_evenly(events, 50) is pick_evenly(events, 30) is events
    format = Format(ArrayContainer(binary(6), "flat", "uint8"))
    anneal(
        model,
        format,
        few,
        generator_for(CPU, 18),
        2,
        5,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert (
        told[0][0] == 0
        and told[-1][0] == told[-1][1]
        and all(a < b for (a, _), (b, _) in zip(told, told[1:], strict=False))
    )


def test_noise_is_sought_by_some_rows_and_its_work_counts(monkeypatch):
    """By 5 of 20 validation rows; every transition of these is told, with those of the bounds."""
    monkeypatch.setattr("plausibly.evaluation.likelihood.annealed.TUNING", (5, 1, 4, 2))
    schema = Schema((1, 2, 3), (Level(levels=5),) * 6)
    format, told, sought = Format(ArrayContainer(schema, "chw", "uint8")), [], []
    sound = evaluation.best_sigma
    monkeypatch.setattr(
        evaluation, "best_sigma", lambda *words: sought.append(words[1]) or sound(*words)
    )
    x = torch.randint(0, 5, (22, 1, 2, 3), generator=generator_for(CPU, 32)).to(torch.uint8)
    test, validation = (
        Events(own, torch.zeros(len(own), dtype=torch.float64)) for own in x.split([2, 20])
    )
    anneal(
        vae(schema),
        format,
        test,
        generator_for(CPU, 33),
        2,
        5,
        validation=validation,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert torch.equal(sought[0], x[2:][[0, 4, 9, 14, 19]].float())
    assert told[-1][0] == told[-1][1] and told[0][0] == 0
    assert {total for _, total in told} == {evaluation.count_work(2, 2, 5, 0) + 5 * 1 * 4 * 2}


def test_columns_that_are_given_are_named_up_to_three():
    test = LikelihoodLowerBound(torch.zeros(60).double(), 4)
    for names, said in (("abc", "given a, b, c:"), ("abcd", "given a, b, c ...:"), ("", "log p:")):
        upper = LikelihoodUpperBound(torch.zeros(60).double(), 4)
        assert (
            said in evaluation.Annealed(test, test, upper, 1, 2, 0.5, None, tuple(names)).lines()[0]
        )
