"""Whatever is scored is right over the whole range of its parameters: against float64, or closed forms in logs."""

from copy import deepcopy
from itertools import product
from math import log, log1p

import pytest
import torch

from plausibly.contract.checks import shake_weights
from plausibly.contract.examination import Examination
from plausibly.contract.promises.precision import single_precision_will_do
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.bounds import OBJECTIVES
from plausibly.families.mixtures import mixture
from plausibly.families.priors import BlendedNormals, FlowPrior, StandardPrior
from plausibly.families.semirings import log_matmul
from plausibly.families.stratified import stratify
from plausibly.kernels.nade import forward_loop, loop_table, recurrence
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.hierarchical_vae import HierarchicalVAE, multiply_normals
from plausibly.models.independent import Independent
from plausibly.models.joint import Joint
from plausibly.models.markov import Markov
from plausibly.models.vae import VAE
from plausibly.networks.heads import Head
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.latents import Normal
from plausibly.outcomes.mixtures import MixtureOutcome

WIDTHS = [-12.0, -7.0, -6.0, -5.0, -2.0, 0.0, 2.0]  # log scales; an encoder's are within -7 and 2
PRIORS = [
    "standard",
    {"name": "vamp", "components": 16},
    {"name": "flow", "layers": 2, "hidden": 8},
]
NAMES = ["standard", "vamp", "flow"]


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def normals(*shape, seed=0):
    return torch.randn(shape, generator=noise(seed))


def apart(found, wanted):
    """The largest difference in nats, as a share of those beyond one."""
    found, wanted = found.detach().double(), wanted.detach()
    assert found.isfinite().all() and wanted.isfinite().all()
    return float(((found - wanted).abs() / wanted.abs().clamp(min=1)).max())


# latents


def directly(normal, z):
    """log N(z; m_k, s_k^2) of each row of a normal, float64, from the differences themselves: (n, K)."""
    distance = (z.double()[:, None] - normal.centre.double()) * (-normal.log_scale.double()).exp()
    return torch.distributions.Normal(0.0, 1.0).log_prob(distance).sum(
        2
    ) - normal.log_scale.double().sum(1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])
def test_a_mixture_of_narrow_normals_cancels_nothing(width, spread):
    """A fifth of all numbers are as near to a component as it is wide, others lie anywhere."""
    parts = Normal(spread * normals(60, 16), width + 0.3 * normals(60, 16, seed=1))
    near = parts.centre[::5].repeat(20, 1) + parts.log_scale[::5].exp().repeat(20, 1) * normals(
        240, 16, seed=2
    )
    z, found = torch.cat([near, 3 * normals(200, 16, seed=3)]), BlendedNormals(parts)
    each = directly(parts, z)
    assert apart(found.log_prob(z)[:, 0], each.logsumexp(1) - log(60)) < 1e-3
    (law,) = found.behind(z, [])
    assert (law.log_probs[:, 0].exp().double() - each.softmax(1)).abs().max() < 1e-4
    slope, wanted = (z.clone().double().requires_grad_() for _ in range(2))
    found.log_prob(slope).sum().backward()
    directly(parts, wanted).logsumexp(1).sum().backward()
    assert torch.allclose(slope.grad, wanted.grad, rtol=1e-6)


@pytest.mark.parametrize("widths", list(product([-7.0, 0.0, 2.0], repeat=2)))
def test_two_normals_become_their_product(widths):
    """N(z; a, s) N(z; b, t) is the combined normal but for a factor without z."""
    one, other = (
        Normal(3 * normals(5, 4, seed=k), torch.full((5, 4), width))
        for k, width in enumerate(widths)
    )
    both = multiply_normals(one, other)
    assert both.log_scale.dtype == torch.float32
    wide = [Normal(part.centre.double(), part.log_scale.double()) for part in (one, other)]
    exact = multiply_normals(*wide)
    assert torch.allclose(both.centre.double(), exact.centre, atol=1e-6)
    assert torch.allclose(both.log_scale.double(), exact.log_scale, atol=1e-6)
    z = (
        exact.centre
        + exact.log_scale.exp() * torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None, None]
    )
    left = sum(part.log_prob(z) for part in wide) - exact.log_prob(z)
    assert (left - left[0]).abs().max() < 1e-8 * left.abs().max()


@pytest.mark.parametrize(
    "size", [0.0, 1.0, 5.0]
)  # of a flow's weights: its log scales then lie at -2 and 2
def test_flows_and_the_standard_normal_at_their_ends(size):
    flow, z = FlowPrior(8, layers=4, hidden=16), 3 * normals(200, 8)
    with torch.no_grad():
        for k, p in enumerate(flow.parameters()):
            p.copy_(size * normals(*p.shape, seed=k) / max(p.shape[-1], 1) ** 0.5)
        assert apart(flow.log_prob(z), deepcopy(flow).double().log_prob(z.double())) < 1e-4
        assert (
            apart(
                StandardPrior(8).log_prob(1e3 * z),
                StandardPrior(8).double().log_prob(1e3 * z.double()),
            )
            < 1e-6
        )


@torch.no_grad()
def at_width(model, width):
    """The model, whose encoder gives every latent this log scale, as near as it can, and means some units away from 0.

    A VampPrior's components are the posteriors of all events of four bits.
    """
    if hasattr(model.prior, "inputs"):
        model.prior.inputs.copy_(binary(4).all_events().flatten(1))
    bias, units = model.encoder.leave.bias, torch.tensor(getattr(model, "levels", [model.latents]))
    weight, start = model.encoder.leave.weight, 0
    for own in units.tolist():
        bias[start : start + own] += 3 * normals(own)
        bias[start + own : start + 2 * own] = 4.5 * (
            torch.atanh(torch.tensor((width + 2.5) / 4.501)) - 0.6
        )
        weight[start + own : start + 2 * own] = 0
        start += 2 * own
    return model


def encoding(name, prior, objective="elbo"):
    """A small random model of four bits with many draws for each event."""
    network = {"name": "mlp", "hidden": 8, "layers": 1}
    if name == "vae":
        return shake_weights(
            VAE(binary(4), latents=6, prior=prior, network=network, objective=objective)
        ).eval()
    return shake_weights(
        HierarchicalVAE(binary(4), (4, 2), 8, prior=prior, network=network, objective=objective)
    ).eval()


@pytest.mark.parametrize("width", [-7.0, -5.0, 2.0])
@pytest.mark.parametrize("prior", [*PRIORS, "flow"], ids=[*NAMES, "flow by default"])
@pytest.mark.parametrize("name", ["vae", "hierarchical_vae"])
def test_bounds_are_bounds_however_narrow_the_posterior(name, prior, width):
    """The mean over draws of the sum over all events of exp(bound) is at most 1; and float32 is as good as float64."""
    model, draws = at_width(encoding(name, prior), width), 1000
    model.draws = 4
    assert single_precision_will_do(Examination(model)).holds
    with torch.no_grad():
        x = binary(4).all_events().repeat(draws, 1)
        totals = model.log_bound(x, noise(1)).double().exp().view(draws, 16).sum(1)
    assert totals.mean() <= 1 + 6 * totals.std() / draws**0.5 + 1e-6


@pytest.mark.parametrize(
    "size", [1.0, 10.0]
)  # of all weights: then a flow's scales lie at their ends, its shifts at 10^14
@pytest.mark.parametrize("prior", NAMES)
@pytest.mark.parametrize("kind", [VAE, HierarchicalVAE])
def test_models_of_default_size_are_scored_in_double_precision(kind, prior, size):
    """Encoder, prior and posterior round nothing that a bound would notice; the decoder rounds, and is shared."""
    model = shake_weights(kind(KINDS if size == 1 else binary(20), prior=prior)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(size)
    model.draws = 4
    found = single_precision_will_do(Examination(model))
    assert found.holds and found.says.startswith("nats"), found
    before = {name: p.clone() for name, p in model.state_dict().items()}
    twin = model.high_precision()
    assert twin.decoder is model.decoder and twin.offset is model.offset and twin.head is model.head
    assert {p.dtype for p in twin.encoder.parameters()} == {torch.float64}
    assert all(
        p.dtype == torch.float32 and torch.equal(p, before[name])
        for name, p in model.state_dict().items()
    )


@pytest.mark.parametrize("width", [-7.0, 2.0])
@pytest.mark.parametrize("prior", PRIORS, ids=NAMES)
@pytest.mark.parametrize("objective", [each.name for each in OBJECTIVES])
def test_objectives_in_single_precision(objective, prior, width):
    model, x = at_width(encoding("vae", prior, objective), width), binary(4).all_events()
    (turn,), (exact,) = (
        model.objective.turns(model),
        (twin := deepcopy(model).double()).objective.turns(twin),
    )
    for done in (0.0, 0.1, 1.0):
        assert (
            apart(turn.loss(x, noise(2), done).total, exact.loss(x.double(), noise(2), done).total)
            < 1e-3
        )


# outcomes and heads

KINDS = Schema(
    (6,),
    (
        Category(levels=2),
        Category(levels=5, open=True),
        Real(edges=(-1.0, 0.0, 1e-4), tails=(1e-5, 2.0)),
        Real(open=True, missing=True, step=0.5),
        Level(levels=256),
        Real(missing=True),
    ),
)


@pytest.mark.parametrize("shape", ["normal", "logistic"])
@pytest.mark.parametrize("size", [1.0, 30.0, 1000.0])
def test_heads_in_single_precision(shape, size):
    """Numbers of a network up to thousands, and events up to the farthest that a kind foresees."""
    head = Head(KINDS, 3, shape)
    numbers = size * normals(60, head.width)
    codes = torch.tensor(KINDS.codes)
    x = (torch.rand(60, 6, generator=noise(1)) * codes).floor()
    for i, special in ((2, 0), (3, UNFORESEEN), (5, HOLE)):
        x[:, i] = torch.cat(
            [normals(20), 1e6 * normals(20, seed=2).clamp(-1, 1), torch.full((20,), float(special))]
        )
    exact = deepcopy(head).double()(numbers.double())
    assert apart(head(numbers).log_prob(x), exact.log_prob(x.double())) < 1e-4
    centres = exact.mode().float()  # where densities are highest and narrowest
    assert apart(head(numbers).log_prob(centres), exact.log_prob(centres.double())) < 1e-4


@pytest.mark.parametrize("shape", ["normal", "logistic"])
def test_densities_at_the_ends(shape):
    """Scales from the narrowest floor to e^7, in mixtures of both, and numbers from their middle to 10^6 scales away."""
    scales = torch.tensor([[1e-3, 1e3], [1e-3, 1e-3], [1e3, 1096.0], [1.0, 1e-3]])
    means = torch.tensor([[0.0, 1.0], [-5.0, 5.0], [0.0, 1e3], [3.0, 3.0]])
    weights = torch.tensor([[-1e-9, -20.7], [-0.7, -0.7], [-20.0, 0.0], [-0.1, -2.4]]).log_softmax(
        1
    )
    one = MixtureDensity(weights, means, scales, None, shape)
    exact = MixtureDensity(*(part.double() for part in (weights, means, scales)), None, shape)
    blend = MixtureOutcome([one, one], torch.tensor([-1e-6, -13.8]).log_softmax(0).expand(4, 2))
    for away in (0.0, 1e-4, 1e-3, 0.5, 30.0, 1e3, 1e6):
        x = (means[:, 0] + away).float()
        wanted = exact.log_prob(x.double())
        assert apart(one.log_prob(x), wanted) < 1e-5 and apart(blend.log_prob(x), wanted) < 1e-5


def test_histograms_of_very_unequal_bins():
    kind = Real(edges=(-1e6, -1.0, -1.0 + 1e-6, 0.0, 1e5), tails=(1e-6, 1e6))
    binning, logs = Binning(Schema((1,), (kind,))), (50 * normals(7, 6)).log_softmax(1)
    x = torch.tensor([-1.00001e6, -5.0, -1.0, -0.5, 10.0, 9e5, 1e6])
    found = Histogram(Categorical(logs), binning, (0,)).log_prob(x)
    edges, codes = (
        torch.tensor(kind.edges, dtype=torch.float32).double(),
        kind.event_codes(x.numpy()),
    )
    wide, inner = x.double(), edges.diff()
    inside = [
        -(inner[code - 1].log()) if 0 < code < 5 else None for code in codes
    ]  # the outermost are exponential
    inside[0] = -(edges[0] - wide[0]) / 1e-6 - log(1e-6)
    for row in (5, 6):
        inside[row] = -(wide[row] - edges[-1]) / 1e6 - log(1e6)
    wanted = torch.stack(
        [
            logs[row, code].double() + part
            for row, (code, part) in enumerate(zip(codes, inside, strict=True))
        ]
    )
    assert apart(found, wanted) < 1e-6


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_the_recurrence_in_single_precision(size):
    """Activations in the thousands: the compiled loop against the plain one in float64."""
    n, units = 40, 32
    added, read = (
        [slice(i, i + 1) for i in range(n - 1)],
        [slice(2 * i, 2 * i + 2) for i in range(n)],
    )
    parts = (
        size * normals(n - 1, units),
        size * normals(units).expand(17, -1),
        normals(2 * n, units) / units,
    )
    numbers, weight, start, readout = normals(17, n - 1).sign(), *parts
    offset, table = normals(2 * n), loop_table(added, read)
    found, _ = recurrence(numbers, weight, start, readout, offset, None, table, "relu")
    wide = (part.double() for part in (numbers, weight, start, readout, offset))
    wanted, _ = forward_loop(*wide, None, table, "relu")
    assert (found.double() - wanted).abs().max() < 1e-5 * wanted.abs().max()


# evidence


def star(children, p, root_is_hub=True):
    """A hub with so many children, each of which is like it with probability p: log odds come from the logits themselves."""
    model = ChowLiu(binary(children + 1))
    model._plant([-1] + [0] * children if root_is_hub else [1, -1] + [0] * (children - 1))
    odds = torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64)
    for i, parent in enumerate(model.parent_of):
        model.tables.set_table(
            i, odds if parent >= 0 else torch.tensor([[0.5, 0.5]], dtype=torch.float64)
        )
    return model.double()


@pytest.mark.parametrize("root_is_hub", [True, False])
def test_long_odds_are_told(root_is_hub):
    """p(hub = 1 | 260 children are 0) = 1 / (1 + (p / (1 - p))^260), some e^-844."""
    model, x = star(260, 0.9625, root_is_hub), torch.zeros(1, 261)
    hidden = torch.ones(1, 261, dtype=torch.bool)
    hidden[0, 0] = False
    logs = model.predict_given(Evidence(x, hidden)).one(0).log_probs[0]
    odds = float(model.tables.each()[2][0] @ torch.tensor([1.0, -1.0], dtype=torch.float64))
    assert float(logs[1]) == pytest.approx(-260 * odds, rel=1e-9) and -850 < float(logs[1]) < -840
    x[0, 0] = 1
    whole, rest = (
        model.log_marginal(Evidence(x, torch.ones_like(hidden))),
        model.log_marginal(Evidence(x, hidden)),
    )
    assert float(whole - rest) == pytest.approx(float(logs[1]), rel=1e-9)


@pytest.mark.parametrize("children", [3, 601, 1500])
def test_no_evidence_overrules_an_observed_cell(children):
    """The children are independent given the hub, however many of them are unlike it."""
    model, x = star(children, 1 - 2e-9), torch.ones(1, children + 1)
    x[0, 0], seen = 0, torch.ones(1, children + 1, dtype=torch.bool)
    seen[0, 1] = False
    logs = model.predict_given(Evidence(x, seen)).one(1).log_probs[0]
    assert float(logs[1].exp()) == pytest.approx(2e-9, rel=1e-6)
    assert float(logs[0]) == pytest.approx(log1p(-2e-9), rel=1e-4)


FOUR = Schema((4,), (Category(2), Category(3), Category(2, missing=True), Real(edges=(-1.0, 1.0))))


def tabular(name):
    if name == "markov of order 2":
        return Markov(FOUR, k=2)
    if name == "mixture":
        return mixture([Markov(FOUR), ChowLiu(FOUR)], [0.5, 0.5])
    if name == "stratified":
        return stratify(ChowLiu, FOUR, (1,))
    return {"independent": Independent, "markov": Markov, "chow_liu": ChowLiu, "joint": Joint}[
        name
    ](FOUR)


@pytest.mark.parametrize("size", [1.0, 300.0, 3000.0])
@pytest.mark.parametrize(
    "name",
    ["independent", "joint", "markov", "markov of order 2", "chow_liu", "mixture", "stratified"],
)
def test_nothing_scores_minus_infinity(name, size):
    """Tables whose log odds are thousands: every marginal and conditional against the sum over all events, in logs."""
    model = shake_weights(tabular(name)).eval().double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(size)
    codes = torch.cartesian_prod(*(torch.arange(k) for k in FOUR.codes))
    events = Binning(FOUR).middle(codes).double()
    with torch.no_grad():
        density = model.log_prob(events).double()
    logs = density - Binning(FOUR).peaks()[8 + codes[:, 3]]
    assert density.isfinite().all()
    for row in (0, 7, 20, len(events) - 1):
        for seen in product([False, True], repeat=4):
            observed, known = (
                torch.tensor([seen]),
                ((codes == codes[row]) | ~torch.tensor(seen)).all(1),
            )
            inside = Binning(FOUR).peaks()[8 + codes[row, 3]] if seen[3] else 0.0
            total = logs[known].logsumexp(0)
            assert (
                apart(
                    model.log_marginal(Evidence(events[row][None], observed)),
                    (total + inside)[None],
                )
                < 1e-6
            )
            outcome = model.predict_given(Evidence(events[row][None], observed))
            for i in range(4):
                if seen[i]:
                    continue
                one = outcome.one(i)
                found = getattr(one, "inner", one).log_probs[0]
                wanted = torch.stack(
                    [logs[known & (codes[:, i] == k)].logsumexp(0) for k in range(FOUR.codes[i])]
                )
                assert apart(found, wanted - total) < 1e-6


def test_a_product_of_tiny_numbers_is_not_nothing():
    weights = torch.tensor([[0.0, -3000.0], [-2000.0, 0.0]], dtype=torch.float64)
    table = torch.tensor([[-900.0, 0.0], [0.0, -1000.0]], dtype=torch.float64)
    wanted = (weights[:, None] + table).logsumexp(2)
    assert apart(log_matmul(weights, table), wanted) < 1e-12
