"""Shortcuts of inputs, masked layers and densities against what they stand for."""

from __future__ import annotations

from math import log, pi

import pytest
import torch
from torch import Tensor

from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS
from plausibly.models.made import MaskDegrees
from plausibly.models.vae import VAE
from plausibly.networks.heads import free_log_softmax, symmetric_log_softmax
from plausibly.networks.masked import MaskedLinear
from plausibly.networks.real_features import RealFeatures, plain_features
from plausibly.outcomes.densities import MixtureDensity


def test_a_masked_layer_follows_its_degrees_from_step_to_step() -> None:
    layer, x = MaskedLinear(3, 4), torch.arange(6.0).view(2, 3)
    layer.initialise(torch.Generator().manual_seed(0))
    before, after = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2, 3])

    def equals_scoring() -> bool:
        learned = layer.train()(x, before, after)
        return torch.equal(learned, layer.eval()(x, before, after))

    assert equals_scoring()
    assert equals_scoring()
    before[0] = 3  # in place
    assert equals_scoring()
    after = after.flip(0)
    assert equals_scoring()
    layer, x = layer.double(), x.double()
    assert equals_scoring()


MIXED = Schema((3,), (Real(open=True, unforeseen=0.1), Category(3, missing=True), Real()))
LEARNED = {"features", "first", "parents", "margins", "used"}  # that are no weights


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"forest"}))  # which is all buffers
@pytest.mark.parametrize(
    "schema", [binary(16), MIXED, Schema((3,), (Real(),) * 3)], ids=["bits", "mixed", "reals"]
)
def test_a_constant_is_not_saved_with_the_weights(name: str, schema: Schema) -> None:
    """What follows from a model's arguments is no part of its file, which later versions read."""
    if MODELS[name].accepts(schema) is None:
        model = MODELS[name].tiny(schema)
        saved = model.state_dict().keys() - dict(model.named_parameters()).keys()
        assert {each.rpartition(".")[2] for each in saved} <= LEARNED


@pytest.mark.parametrize("prior", ["standard", "vamp", "flow"])
def test_a_prior_saves_its_weights_alone(prior: str) -> None:
    model = VAE(binary(6), prior=prior)
    assert model.state_dict().keys() == dict(model.named_parameters()).keys()


def test_one_component_is_scored_and_learned_as_a_mixture_of_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x, means, logs = (torch.randn(20, 3, 1, generator=generator) for _ in range(3))
    weights = symmetric_log_softmax(torch.zeros(20, 3, 0))
    assert torch.equal(weights, free_log_softmax(torch.zeros(20, 3, 0)))
    sides = [(means.clone().requires_grad_(), logs.clone().requires_grad_()) for _ in range(2)]
    (mean, scale), (other, width) = sides
    found = MixtureDensity(weights, mean, scale.exp()).log_prob(x[..., 0])
    spread = width.exp()
    z = (x - other) / spread
    each = weights + (-0.5 * z.square() - 0.5 * log(2 * pi)) - spread.log()
    wanted = each.logsumexp(-1)
    assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)
    found.sum().backward()
    wanted.sum().backward()
    for mine, theirs in zip(*sides, strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("masks", "hidden", "variables"), [(1, 7, 3), (4, 12, 6), (3, 4, 9)])
def test_masks_are_shuffles_of_ranks_that_are_spread_evenly(
    masks: int, hidden: int, variables: int
) -> None:
    table = MaskDegrees(masks, hidden, variables).table
    assert table.shape == (masks, hidden) and len({*map(tuple, table.tolist())}) == masks
    assert (table.sort(1).values == table[0].sort().values).all()
    often = torch.bincount(table[0] - 1, minlength=variables - 1)
    assert len(often) == variables - 1 and often.max() - often.min() <= 1


def share_below(edges: tuple[float, ...], x: float) -> float:
    """The share of edges below a number, in [-1, 1]."""
    last = len(edges) - 1
    k = sum(edge <= x for edge in edges) - 1
    part = (x - edges[k]) / (edges[k + 1] - edges[k]) if 0 <= k < last else 0.0
    return 2 * (max(k, 0) + part) / max(last, 1) - 1


def features(kinds: list[Real], x: Tensor) -> Tensor:
    numbers: Tensor = RealFeatures(kinds).double()(x)
    return numbers


def test_ranks_are_shares_of_edges_inside_between_and_beyond() -> None:
    each = [(-1.0, 0.5, 2.0), (0.25,), (-2.0, -1.0, 0.0, 1.0, 2.0)]
    x = torch.tensor([-9.0, -2.0, -1.0, -0.3, 0.25, 0.5, 1.7, 2.0, 4.0], dtype=torch.float64)
    found = features([Real(edges=edges, missing=True) for edges in each], x[:, None].expand(-1, 3))
    wanted = [[share_below(edges, value.clamp(-5, 5).item()) for edges in each] for value in x]
    assert torch.allclose(found[..., 1], torch.tensor(wanted, dtype=torch.float64), atol=1e-12)
    assert torch.equal(found[..., 0], x.clamp(-5, 5)[:, None].expand(-1, 3))
    holes = features([Real(edges=each[0], missing=True)], torch.full((1, 1), HOLE))
    assert holes.tolist() == [[[0.0, 0.0, 1.0]]]


def test_numbers_without_special_codes_are_seen_as_those_beside_some() -> None:
    x = 3 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    edges = (-1.0, 0.5, 2.0)
    plain = RealFeatures([Real(edges=edges)] * 2)(x)
    flagged = RealFeatures([Real(edges=edges, open=True, missing=True)] * 2)(x)
    assert torch.equal(plain, flagged[..., :2])
    assert not flagged[..., 2:].any()
    holes = RealFeatures([Real(edges=edges, open=True)] * 2)(torch.full((3, 2), UNFORESEEN))
    assert holes[0].tolist() == [[0.0, 0.0, 1.0]] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("special", [False, True])
def test_the_loop_of_features_does_what_the_plain_calls_say(
    dtype: torch.dtype, special: bool
) -> None:
    generator = torch.Generator().manual_seed(5)
    each = [sorted({*torch.randn(n, generator=generator).tolist()}) for n in (1, 2, 9, 127)]
    kinds = [Real(edges=tuple(own), open=special, missing=special) for own in each]
    part = RealFeatures(kinds).to(dtype)
    x = 4 * torch.randn(400, 4, generator=generator, dtype=dtype)
    x[0], x[1] = part.edges[0], torch.tensor([own[-1] for own in each])
    if special:
        x[2], x[3] = UNFORESEEN, HOLE
    wanted = plain_features(x, part.flags, part.edges, part.gaps, part.steps)
    rounding = 8 * torch.finfo(dtype).eps
    assert torch.allclose(part(x), wanted, rtol=0, atol=rounding)
    for i in range(4):
        assert torch.equal(part(x[:, i, None], torch.tensor([i]))[:, 0], part(x)[:, i])


@pytest.mark.parametrize("components", [1, 3])
def test_the_gradient_of_a_mixture_by_differences(components: int) -> None:
    generator = torch.Generator().manual_seed(6)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    def density(x: Tensor, weights: Tensor, means: Tensor, logs: Tensor) -> Tensor:
        return MixtureDensity(weights.log_softmax(-1), means, logs.exp()).log_prob(x)

    forms = [draw(4, 2, components), draw(2, components), draw(4, 2, components)]  # means broadcast
    assert torch.autograd.gradcheck(density, (draw(4, 2), *forms))
