"""The variational core against closed forms and quadrature: bounds, gradients, objectives, priors, the parts of the ELBO."""

from math import log, pi

import numpy as np
import pytest
import torch
from planting import finds
from torch import distributions as known

from plausibly.contract.checks import shake_weights
from plausibly.contract.examination import Examination
from plausibly.contract.promises.bounds import bounds_sum_to_at_most_one, samples_reach_the_bound
from plausibly.data import load
from plausibly.data.events import Events
from plausibly.evaluation.likelihood import elbo
from plausibly.evaluation.likelihood.elbo import elbo_parts, latent_informations
from plausibly.evaluation.likelihood.likelihood import LikelihoodLowerBound, likelihood
from plausibly.events.kinds import Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.bounds import ELBO, FreeBits, ImportanceWeighted, RateDistortion, WarmUp
from plausibly.families.priors import FlowPrior, StandardPrior, VampPrior
from plausibly.families.variational import (
    importance_weighted,
    importance_weights,
    log_context,
    log_likelihood,
    log_weights,
)
from plausibly.models import MODELS
from plausibly.models.vae import VAE
from plausibly.outcomes.latents import normal_of
from plausibly.training.loop import Training, prepare
from plausibly.training.plan import Plan

PRIORS = ["standard", {"name": "vamp", "components": 3}, {"name": "flow", "layers": 2, "hidden": 6}]


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def squashed(log_scale):
    """The encoder's number that gives this log scale."""
    return 4.5 * (torch.atanh((log_scale + 2.5) / 4.5) - 0.6)


class Linear:
    """x = W z + b + s e over three real variables: everything about it is known in closed form.

    The columns of W are orthogonal, so that the posterior N(m(x), v) is diagonal. `off` moves the encoder away from it:
    by so much in each mean, and by a factor of each scale.
    """

    def __init__(self, shift=0.0, factor=1.0, second=1.0):
        schema = Schema((3,), (Real(),) * 3)
        network = {"name": "mlp", "layers": 0, "dropout": 0.0}
        model = (
            VAE(schema, latents=2, network=network, components=1, objective="elbo").double().eval()
        )
        w = torch.tensor([[1.0, 0.5], [0.5, -1.0], [0.6, 0.0]], dtype=torch.float64) * torch.tensor(
            [1.0, second]
        )
        b, s = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64), 0.7
        v = 1 / (1 + w.square().sum(0) / s**2)
        into, out = model.encoder.leave, model.decoder.leave
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()
            for i in range(3):
                out.weight[2 * i], out.bias[2 * i] = w[i], b[i]
                out.bias[2 * i + 1] = log(s - float(model.head.floors[i]))
                into.weight[:2, 2 * i] = v * w[i] / s**2  # beside each number stands its rank
            into.bias[:2] = shift - v * (w.T @ b) / s**2
            into.bias[2:] = squashed(v.sqrt().log() + log(factor))
        self.model, self.w, self.b, self.s, self.v = model, w, b, s, v
        self.marginal = known.MultivariateNormal(
            b, w @ w.T + s**2 * torch.eye(3, dtype=torch.float64)
        )

    def posterior(self, x):
        return known.Normal(
            self.v * ((x - self.b) @ self.w) / self.s**2, self.v.sqrt().expand(len(x), -1)
        )

    def drawn(self, rows, seed=0):
        z, e = (
            torch.randn(rows, n, generator=noise(seed + k), dtype=torch.float64)
            for k, n in enumerate((2, 3))
        )
        return z @ self.w.T + self.b + self.s * e


def expected(model, x, nodes):
    """E log w under q(z | x), and its parts, (rows,) each: by the trapezium rule in units of q's scale."""
    axis = torch.linspace(-9, 9, nodes, dtype=torch.float64)
    points = torch.cartesian_prod(*[axis] * model.latents)
    mass = (-0.5 * points.square().sum(1)).softmax(0)
    found = []
    for row in x:
        q = model.posterior(row[None], len(points))
        weights = importance_weights(
            model, row[None], q.centre + q.log_scale.exp() * points, q, len(points)
        )
        found.append(
            [
                (part[0] * mass).sum()
                for part in (weights.log_weights, weights.reconstruction, weights.rate)
            ]
        )
    return torch.tensor(found, dtype=torch.float64).unbind(1)


def grid(latents, reach=9.0, each=241):
    """Points and the log of the room that each takes up."""
    axis = torch.linspace(-reach, reach, each, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * latents).view(-1, latents), latents * log(
        float(axis[1] - axis[0])
    )


@torch.no_grad()
def log_joint(model, x, z, room):
    """log p(x, z) of each event at each point, with its room, (rows, points)."""
    rows = [log_likelihood(model, row.expand(len(z), *row.shape), z) for row in x]
    return torch.stack(rows) + model.latent_prior().log_prob(z).sum(1) + room


@torch.no_grad()
def small(seed, latents=2, schema=None, mild=False, **arguments):
    """A random network; its prior stays within `grid`, and if `mild` the encoder does too."""
    arguments = {"network": {"name": "mlp", "hidden": 6, "layers": 1}, "components": 2, **arguments}
    model = (
        shake_weights(VAE(schema or binary(5), latents=latents, **arguments), seed).double().eval()
    )
    for p in [*model.prior.parameters(), *(model.encoder.leave.parameters() if mild else [])]:
        p.mul_(0.3)
    return model


# bounds


@torch.no_grad()
def test_one_draw_of_the_exact_posterior_is_log_p():
    truth = Linear()
    x = truth.drawn(50)
    logs = log_weights(truth.model, x, 3, noise())
    assert torch.allclose(
        logs, truth.marginal.log_prob(x)[:, None].expand(-1, 3), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (0.4, 1.0), (0.0, 0.5), (-0.3, 1.7)])
@torch.no_grad()
def test_the_gap_of_a_linear_model_is_the_known_divergence(shift, factor):
    truth = Linear(shift, factor)
    x = truth.drawn(20)
    q, posterior = truth.model.posterior(x), truth.posterior(x)
    given = known.Normal(q.mean(), q.log_scale.exp())
    elbo, _, rate = expected(truth.model, x, 41)
    gap = known.kl_divergence(given, posterior).sum(1)
    assert torch.allclose(elbo + gap, truth.marginal.log_prob(x), atol=1e-6, rtol=0)
    assert torch.allclose(
        rate,
        known.kl_divergence(given, known.Normal(torch.zeros(2), torch.ones(2))).sum(1),
        atol=1e-6,
    )
    assert (gap.min() > 0.05) == ((shift, factor) != (0.0, 1.0))


@pytest.mark.parametrize("prior", PRIORS, ids=["standard", "vamp", "flow"])
@torch.no_grad()
def test_elbo_and_divergence_add_up_to_log_p(prior):
    """Of a network on bits, by quadrature over two latents."""
    model, (z, room) = small(3, prior=prior, mild=True), grid(2)
    x = torch.randint(0, 2, (4, 5), generator=noise()).double()
    joint = log_joint(model, x, z, room)
    log_p = joint.logsumexp(1)
    q = torch.stack([model.posterior(row[None].expand(len(z), -1)).log_prob(z).sum(1) for row in x])
    divergence = (q.exp() * (q - (joint - room - log_p[:, None]))).sum(1) * np.exp(room)
    elbo, reconstruction, rate = expected(model, x, 301)
    assert torch.allclose(elbo + divergence, log_p, atol=1e-4, rtol=0)
    assert torch.allclose(elbo, reconstruction - rate, atol=1e-9) and divergence.min() > 0.01


@torch.no_grad()
def test_no_bound_of_a_thousand_models_is_above_log_p():
    z, room = grid(1, each=601)
    for seed in range(1000):
        model = small(seed, 1, binary(3), prior=PRIORS[seed % 3])
        x = torch.randint(0, 2, (1, 3), generator=noise(seed)).double()
        exact = float(log_joint(model, x, z, room).logsumexp(1))
        bounds = importance_weighted(
            model, x.expand(400, -1), (1, 2, 7)[seed // 3 % 3], noise(seed + 1)
        )
        assert float(bounds.mean()) <= exact + 6 * float(bounds.std()) / 20 + 1e-9, seed


@torch.no_grad()
def test_weights_have_the_mean_of_p():
    """E w = p(x), whatever q: six standard errors, of many draws."""
    z, room = grid(1, each=601)
    for seed in range(20):
        model = small(seed, 1, binary(3), mild=True, prior=PRIORS[seed % 2])
        x = torch.randint(0, 2, (1, 3), generator=noise(seed)).double()
        ratio = (
            log_weights(model, x, 20_000, noise(seed)) - log_joint(model, x, z, room).logsumexp(1)
        ).exp()
        assert abs(float(ratio.mean()) - 1) <= 6 * float(ratio.std()) / 20_000**0.5, seed


# objectives


def gradients(model, loss):
    """Gradient of the mean loss by parameters, flat: those of the encoder, and all others."""
    model.zero_grad()
    loss.mean().backward()
    flat = {
        name: p.grad.flatten().clone() for name, p in model.named_parameters() if p.grad is not None
    }
    return tuple(
        torch.cat([g for name, g in flat.items() if name.startswith("encoder") == own])
        for own in (True, False)
    )


def test_doubly_reparameterised_gradients_have_the_same_mean_and_vary_less():
    truth = Linear(shift=0.1, factor=1.2)
    model, x = truth.model, truth.drawn(8)
    objective = ImportanceWeighted(draws=5)
    ours, plain = [], []
    for seed in range(500):
        ours.append(gradients(model, objective.loss(model, x, noise(seed), 1.0).total))
        plain.append(gradients(model, -importance_weighted(model, x, 5, noise(10_000 + seed))))
    for part in (0, 1):
        a, b = (torch.stack([each[part] for each in found]) for found in (ours, plain))
        error = ((a.var(0) + b.var(0)) / len(a)).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() <= 6 * error + 1e-9).all(), part
        if part == 0:
            assert float(a.var(0).sum()) < 0.7 * float(b.var(0).sum())
            assert (b.mean(0).abs() > 6 * error).any()  # or the comparison says nothing


@torch.no_grad()
def test_the_importance_weighted_loss_is_minus_the_bound():
    truth = Linear(shift=0.3)
    x = truth.drawn(30)
    found = ImportanceWeighted(draws=7).loss(truth.model, x, noise(), 1.0).total
    assert torch.allclose(found, -importance_weighted(truth.model, x, 7, noise()), atol=1e-9)


@pytest.mark.parametrize(
    "objective", [RateDistortion(beta=1.0), WarmUp(), FreeBits(nats=0.0)], ids=lambda o: o.name
)
def test_objectives_that_come_down_to_the_elbo(objective):
    model = Linear(shift=0.8).model
    x = Linear().drawn(400)
    one, other = (each.loss(model, x, noise(), 1.0).total for each in (ELBO(), objective))
    assert torch.allclose(one, other, atol=1e-9)
    for a, b in zip(gradients(model, one), gradients(model, other), strict=True):
        assert torch.allclose(a, b, atol=1e-9)
    early = objective.loss(model, x, noise(), 0.05).total
    assert torch.allclose(early, one) == (objective.name != "warm-up")


@pytest.mark.parametrize(
    ("share", "done", "beta"),
    [(0.2, 0.05, 0.25), (0.2, 0.0, 0.0), (0.8, 0.2, 0.25), (0.5, 0.9, 1.0)],
)
@torch.no_grad()
def test_warming_up_takes_a_share_of_the_steps(share, done, beta):
    """After `done` of all steps the rate weighs as much as `done` is of the share."""
    model, x = Linear(shift=0.8).model, Linear().drawn(50)
    found = WarmUp(share=share).loss(model, x, noise(), done).total
    assert torch.allclose(
        found, RateDistortion(beta=beta).loss(model, x, noise(), 1.0).total, atol=1e-9
    )


@torch.no_grad()
def test_beta_weighs_the_rate_and_free_bits_are_free():
    model = Linear(shift=0.8).model
    x = Linear().drawn(400)
    _, reconstruction, rate = expected(model, x, 41)
    found = [RateDistortion(beta=3.0).loss(model, x, noise(seed), 1.0).total for seed in range(60)]
    means = torch.stack(found).mean(1)
    want = float((3 * rate - reconstruction).mean())
    assert abs(float(means.mean()) - want) <= 6 * float(means.std()) / 60**0.5
    free = FreeBits(nats=50.0).loss(model, x, noise(), 1.0)
    assert torch.allclose(free.total, free.parts["distortion"] + 2 * 50)


# priors


def encode(numbers):
    """A fixed encoder of two latents."""
    weights = torch.tensor([[0.9, -0.3], [0.2, 0.8], [0.1, -0.2], [-0.3, 0.1]], dtype=torch.float64)
    return normal_of(numbers @ weights.T - torch.tensor([0.0, 0.0, 2.0, 2.0]), 1)


def prior(kind, seed=0):
    if kind == "standard":
        return StandardPrior(2).double().over(encode)
    part = (
        VampPrior(2, 2, components=5) if kind == "vamp" else FlowPrior(2, layers=3, hidden=8)
    ).double()
    generator = noise(seed)
    with torch.no_grad():
        for p in part.parameters():
            p.copy_(
                (2.0 if kind == "vamp" else 0.2)
                * torch.randn(p.shape, generator=generator, dtype=p.dtype)
            )
    return part.over(encode)


@pytest.mark.parametrize("kind", ["standard", "vamp", "flow"])
@torch.no_grad()
def test_priors_integrate_to_one_and_are_sampled(kind):
    found, (z, room) = prior(kind), grid(2, 15.0, 601)
    mass = (found.log_prob(z).sum(1) + room).exp()
    assert float(mass.sum()) == pytest.approx(1, abs=1e-3)  # a flow of ReLUs bends
    drawn = found.sample(40_000, noise(1))
    assert drawn.shape == (40_000, 2) and drawn.dtype == torch.float64

    def moments(z):
        return torch.cat(
            [z, z.square(), z.prod(1, keepdim=True), z.sin(), (z[:, :1] + 2 * z[:, 1:]).cos()], 1
        )

    want, got = (mass[:, None] * moments(z)).sum(0), moments(drawn)
    assert ((got.mean(0) - want).abs() <= 6 * got.std(0) / 200 + 1e-3).all()
    assert (
        kind == "standard"
        or ((want - moments(torch.randn(40_000, 2, generator=noise())).mean(0)).abs() > 0.2).any()
    )


@torch.no_grad()
def test_vamp_is_the_mean_of_posteriors():
    found = prior("vamp", 2)
    z = 3 * torch.randn(200, 2, generator=noise(), dtype=torch.float64)
    parts = found.parts
    loop = [
        known.Independent(known.Normal(centre, scale), 1).log_prob(z)
        for centre, scale in zip(parts.centre, parts.log_scale.exp(), strict=True)
    ]
    assert torch.allclose(
        found.log_prob(z)[:, 0], torch.stack(loop).logsumexp(0) - log(5), atol=1e-9
    )


@pytest.mark.parametrize("latents", [1, 2, 4])
@torch.no_grad()
def test_drawing_from_a_flow_inverts_scoring_it(latents):
    """log p(z) = log N(e) - log |det dz/de| where e is the noise that z is made of; the derivative by differences."""
    flow = FlowPrior(latents, layers=3, hidden=8).double()
    weights = noise(4)
    for p in flow.parameters():
        p.copy_(0.3 * torch.randn(p.shape, generator=weights, dtype=p.dtype))
    e, h = torch.randn(20, latents, generator=noise(5), dtype=torch.float64), 1e-5

    def made(e):
        flow.base.sample = lambda n, generator: e.clone()
        return flow.sample(len(e), noise())

    steps = h * torch.eye(latents, dtype=torch.float64)
    slopes = torch.stack([(made(e + step) - made(e - step)) / (2 * h) for step in steps], 2)
    want = (-0.5 * e.square() - 0.5 * log(2 * pi)).sum(1) - torch.linalg.slogdet(slopes)[1]
    assert torch.allclose(flow.log_prob(made(e))[:, 0], want, atol=1e-6)
    assert not torch.allclose(
        slopes, torch.eye(latents, dtype=torch.float64).expand_as(slopes), atol=0.1
    )


@pytest.mark.parametrize("latents", [2, 5])
def test_every_layer_of_a_flow_uses_all_units_before(latents):
    """A unit's shift and scale are functions of all earlier units, and of no other; hidden units are spread evenly."""
    flow = FlowPrior(latents, layers=2, hidden=16).double()
    often = torch.bincount(flow.degrees - 1, minlength=latents - 1)
    assert len(often) == latents - 1 and often.max() - often.min() <= 1
    weights = noise(4)
    with torch.no_grad():
        for p in flow.parameters():
            p.copy_(torch.randn(p.shape, generator=weights, dtype=p.dtype))
    z = torch.randn(latents, generator=noise(5), dtype=torch.float64)
    for network in flow.networks:
        for part in (0, 1):
            slopes = torch.autograd.functional.jacobian(
                lambda z, network=network, part=part: flow._shift_and_log_scale(network, z[None])[
                    part
                ][0],
                z,
            )
            assert torch.equal(slopes != 0, torch.ones(latents, latents).tril(-1) != 0)


@pytest.mark.parametrize("name", ["vae", "hierarchical_vae"])
def test_a_posterior_without_gradient_leaves_the_model_alone(name):
    model = shake_weights(MODELS[name].tiny(binary(6)))
    x = (torch.rand(5, 6, generator=noise()) < 0.5).float()
    q = model.posterior(x, 2)
    z = q.sample(noise(1)).detach().requires_grad_()
    frozen = q.without_gradient().log_prob(z)
    assert torch.allclose(frozen, q.log_prob(z))
    frozen.sum().backward()
    assert z.grad.abs().min() > 0 and all(p.grad is None for p in model.parameters())
    q.log_prob(z).sum().backward()
    assert any(p.grad is not None for p in model.parameters())


# the ELBO taken apart


def events(x):
    return Events(x, torch.zeros(len(x), dtype=torch.float64))


def single(truth):
    """The model as runs have it, in float32."""
    return truth.model.float()


def test_the_exact_posterior_leaves_no_gap():
    truth = Linear()
    x = truth.drawn(400)
    exact = truth.marginal.log_prob(x)
    found = elbo_parts(single(truth), events(x.float()), noise())
    assert found.rows == 400 and found.tuned == 64 and list(found.bounds) == [1, 10, 100, 1000]
    for bound in [found.elbo, *found.bounds.values()]:
        assert bound.value == pytest.approx(float(exact.mean()), abs=1e-4)
        assert bound.standard_error == pytest.approx(float(exact.std()) / 20, rel=1e-3)
    assert abs(found.gap.value) < 1e-4 and abs(found.amortisation.value) < 0.01
    q = known.Normal(truth.posterior(x).mean, truth.posterior(x).stddev)
    rate = known.kl_divergence(q, known.Normal(torch.zeros(2), torch.ones(2))).sum(1)
    assert abs(found.rate.value - float(rate.mean())) < 0.05
    assert found.elbo.value == pytest.approx(found.reconstruction.value - found.rate.value)
    assert found.active == found.latents == 2


def test_what_amortisation_costs_is_found():
    """A q off by a known normal: all of the gap is amortisation, and a normal for each row saves it."""
    truth = Linear(shift=0.4, factor=0.6)
    x = truth.drawn(200)
    q = truth.model.posterior(x)
    gap = (
        known.kl_divergence(known.Normal(q.mean(), q.log_scale.exp()), truth.posterior(x))
        .sum(1)
        .detach()
    )
    found = elbo_parts(single(truth), events(x.float()), noise())
    assert found.gap.value == pytest.approx(
        float(gap.mean()), abs=6 * found.gap.standard_error + 0.01
    )
    error = found.amortisation.standard_error
    assert found.amortisation.value == pytest.approx(float(gap.mean()), abs=6 * error + 0.02)
    bounds = [found.bounds[k].value for k in (1, 10, 100, 1000)]
    assert bounds == sorted(bounds) and bounds[-1] - bounds[0] > 0.5 * float(gap.mean())


def test_the_error_of_what_amortisation_costs_counts_groups(monkeypatch):
    """Four rows of each group save alike, so that there are 16 of the first 64; of a q that is no normal nobody knows."""
    truth = Linear()
    gain, groups = torch.arange(64).div(4, rounding_mode="floor").double(), np.arange(80) // 4
    rows = Events(truth.drawn(80).float(), torch.zeros(80, dtype=torch.float64), groups=groups)
    for saved in (gain, None):
        monkeypatch.setattr(elbo, "amortisation_gap", lambda *_, saved=saved: saved)
        found = elbo_parts(single(truth), rows, noise(), draws=(1, 2))
        if saved is None:
            assert found.amortisation is None and found.tuned == 0
            assert ("amortisation gap", "unknown", "q is no normal") in found.parts()
        else:
            assert (found.amortisation.value, found.tuned) == (7.5, 64)
            assert found.amortisation.standard_error == pytest.approx(
                float(np.arange(16).std(ddof=1)) / 4
            )


def test_information_and_the_aggregate_posterior():
    """Data of the model's own: q(z) is p(z), so that all of the rate is information, and half a log determinant."""
    truth = Linear()
    found = elbo_parts(
        single(truth), events(truth.drawn(1000).float()), noise(), rows=1000, draws=(1, 10)
    )
    known_nats = 0.5 * float((1 + truth.w.square().sum(0) / truth.s**2).log().sum())
    assert (
        known_nats - 0.25
        < found.information.value
        <= known_nats + 6 * found.information.standard_error
    )
    assert -6 * found.marginal.standard_error <= found.marginal.value < 0.25
    assert found.marginal.value == pytest.approx(found.rate.value - found.information.value)
    away = elbo_parts(
        single(Linear(shift=2.0)), events(truth.drawn(300).float()), noise(), draws=(1, 10)
    )
    assert away.marginal.value > 2  # 2 latents moved by 2: KL 2 each
    assert found.information.value <= log(1000)


def test_the_information_of_each_row_is_the_double_sum():
    """log q(z | x) less the log of the mean of all rows' posteriors at z, row by row."""
    model, n = shake_weights(MODELS["vae"].tiny(binary(6))).eval(), 7
    x = (torch.rand(n, 6, generator=noise()) < 0.5).float()
    found = latent_informations(model, x, noise(3), draws=4)
    with torch.no_grad():
        q, z = model.posterior(x), model.posterior(x, 4).sample(noise(3)).double()
    each = known.Independent(known.Normal(q.centre.double(), q.log_scale.double().exp()), 1)
    logs = each.log_prob(z[:, None])  # of each draw by each row's posterior
    own = logs[torch.arange(4 * n), torch.arange(n).repeat_interleave(4)]
    want = (own - logs.logsumexp(1) + log(n)).view(n, 4).mean(1)
    assert torch.allclose(found, want, atol=1e-5) and want.std() > 1e-3


def test_a_latent_without_use_is_not_active():
    truth = Linear(second=0.0)
    found = elbo_parts(single(truth), events(truth.drawn(100).float()), noise(), draws=(1, 2))
    assert (found.active, found.latents) == (1, 2)


def test_parts_as_json_and_in_words():
    truth = Linear(shift=0.2)
    found = elbo_parts(
        single(truth),
        Events(truth.drawn(30).float(), torch.full((30,), 2.0)),
        noise(),
        rows=20,
        draws=(1, 4),
    )
    document = found.to_json()
    assert document["rows"] == 20 and [bound["draws"] for bound in document["bounds"]] == [1, 4]
    assert document["gap"]["sign"] == ">=" and document["marginal"]["sign"] == "<="
    names = [name for name, _, _ in found.parts()]
    assert names[:3] == ["ELBO", "reconstruction", "rate"] and "log p, 4 draws" in names
    without = elbo_parts(
        single(truth), events(truth.drawn(30).float()), noise(), rows=20, draws=(1, 4)
    )
    assert found.elbo.value == pytest.approx(
        without.elbo.value + 2, abs=1e-6
    )  # values inside their codes count


# contexts


@pytest.mark.parametrize("context", [(0,), (2, 0)])
@torch.no_grad()
def test_the_boards_bound_sums_a_lone_context_out(context):
    schema = Schema((4,), (Category(levels=3), *binary(3).kinds))
    model, (z, room) = small(1, 1, schema, mild=True, context=context), grid(1, each=601)
    x = schema.all_events().double()
    given = log_joint(model, x, z, room).logsumexp(1)
    want = given.view(3, 2, 2, 2)
    if len(context) == 1:
        want = (
            (want + log_context(model, x).view(want.shape))
            .logsumexp(0, keepdim=True)
            .expand_as(want)
        )
    model.draws = 2000
    found = likelihood(model.float(), events(x.to(torch.uint8)))
    assert isinstance(found, LikelihoodLowerBound) and found.variables == 4 - len(context)
    assert (
        torch.allclose(found.nats, want.flatten(), atol=0.1)
        and found.value <= float(want.mean()) + 0.01
    )
    model.draws = 1
    assert likelihood(model, events(x.to(torch.uint8))).value < found.value - 0.005


@torch.no_grad()
def test_summing_a_context_out_leaves_the_rows_alone():
    schema = Schema((2,), (Category(levels=2), Real()))
    model = small(0, 1, schema, context=(0,)).float()
    x = torch.tensor([[1.0, 0.5], [0.0, -0.5]])
    likelihood(model, events(x))
    assert x[:, 0].tolist() == [1.0, 0.0]


# contract


class Boastful(VAE):
    """A bound that is no bound."""

    def log_bound(self, x, generator):
        return super().log_bound(x, generator) + 0.05


class Elsewhere(VAE):
    """Draws that its bound does not speak of."""

    def sample(self, n, generator):
        return 1 - super().sample(n, generator)


def spread_out(kind):
    """A model whose bound is loose, and whose bits differ."""
    model = kind.tiny(binary(6)).eval()
    model.initialise(noise())
    with torch.no_grad():
        model.offset.copy_(torch.linspace(-1, 1.5, 6))
        model.decoder.leave.weight.mul_(5)
    return model


def test_a_bound_keeps_its_promises():
    exam = Examination(spread_out(VAE))
    assert bounds_sum_to_at_most_one(exam).holds and samples_reach_the_bound(exam).holds


@finds("bounds_sum_to_at_most_one", spares=("samples_reach_the_bound",))
def test_a_bound_that_is_none():
    return spread_out(Boastful)


@finds("samples_reach_the_bound", spares=("bounds_sum_to_at_most_one",))
def test_draws_that_the_bound_does_not_speak_of():
    return spread_out(Elsewhere)


# stability


@pytest.mark.parametrize("name", ["toy-bits", "toy-mixed", "toy-ring"])
def test_defaults_stay_finite_over_twenty_seeds(name):
    dataset = load(name)
    for seed in range(20):
        model = VAE(dataset.schema)
        prepare(model, dataset.train.codes, seed)
        training = Training(
            model, dataset.train.codes[:400], dataset.valid.codes[:50], Plan(8, every=4, seed=seed)
        )
        for progress in training.run():
            assert np.isfinite([progress.loss, progress.validation]).all()
        assert all(p.isfinite().all() for p in model.parameters())
