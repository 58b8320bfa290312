"""The contract over images, and faults of causal convolutions that it finds."""

import math

import pytest
import torch
from planting import finds

from plausibly.capabilities import AutoregressiveModel, drive_unrolled
from plausibly.contract.checks import promises_for, shake_weights
from plausibly.contract.examination import Examination
from plausibly.data.loading import load
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema
from plausibly.models.pixelcnn import PixelCNN
from plausibly.networks.causal_convolution import CausalBlock, RowCache, WholeRows
from plausibly.networks.tokens import MixtureLaw
from plausibly.outcomes.discretised import DiscretisedLogistics


def image(channels, height, width, kind):
    return Schema((channels, height, width), (kind,) * (channels * height * width))


BIT = Category(levels=2)
LABELLED = Schema((65,), (Category(levels=3), *(BIT,) * 64))
SCHEMAS = {
    "bits": image(1, 3, 3, BIT),
    "patches": image(1, 2, 4, BIT),
    "colours": image(3, 2, 2, BIT),
    "levels": image(2, 2, 2, Level(levels=3)),
    "holes": image(1, 2, 3, Category(levels=2, missing=True)),
    "label": LABELLED,
    "shades": image(3, 1, 2, Level(levels=7)),
    "holes in shades": image(2, 1, 2, Level(levels=17, missing=True)),
}


def build(schema, **arguments):
    return shake_weights(PixelCNN(schema, channels=6, layers=2, kernel=3, **arguments)).eval()


@pytest.mark.parametrize(("name", "symmetry"), list(zip(SCHEMAS, (0, 1, 4, 7) * 2, strict=True)))
def test_contract(name, symmetry):
    model = build(SCHEMAS[name], symmetry=symmetry)
    exam = Examination(model)
    assert not [result for check in promises_for(model) if (result := check(exam)).broken]


@torch.no_grad()
def test_one_by_one_the_law_is_the_same_and_so_are_codes_for_equal_uniforms():
    model = build(LABELLED, symmetry=5, context=(0,)).double()
    draw = [
        drive_unrolled(unrolled, lambda i, outcome, noise=noise: outcome.sample(noise))
        for unrolled in (model.unroll(8), AutoregressiveModel.unroll(model.double(), 8))
        if (noise := torch.Generator().manual_seed(0))
    ]
    assert torch.equal(*draw) and len(draw[0].unique(dim=0)) > 1
    found, predicted = {}, model.predict(draw[0])

    def choose(i, outcome):
        found[i] = float((outcome.log_probs - predicted.one(i).log_probs).abs().max())
        return draw[0][:, i]

    drive_unrolled(model.unroll(8), choose)
    assert max(found.values()) < 1e-12 and tuple(found) == model.order


def test_every_token_sees_all_before_it():
    """There is no blind spot: the change of any pixel changes all conditionals behind it, and no other."""
    model = shake_weights(PixelCNN(image(1, 5, 5, BIT), channels=6, layers=4, kernel=3, patch=1))
    assert torch.equal(influences(model.double()), torch.ones(25, 25).tril(-1).bool())


@torch.no_grad()
def influences(model):
    """Which pixels, (seeing, seen) in order, the conditional of each one depends on."""
    x = (torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    own = torch.eye(25).bool()[:, None].view(25, 1, 5, 5)
    flipped = torch.where(own, 1 - x, x)
    at_one = [
        model.eval().predict(each).log_prob(torch.ones(len(each), 25)) for each in (x, flipped)
    ]
    return (at_one[0] != at_one[1]).T


def test_a_row_that_is_not_seen_whole_leaves_a_blind_spot(monkeypatch):
    """As in the first PixelCNN: two columns to the right in the row above are out of reach."""
    sound = WholeRows.matrices
    near = torch.arange(5)[:, None] - torch.arange(5) < 2
    mask = torch.cat([near, torch.ones(5, 5).bool()])
    monkeypatch.setattr(WholeRows, "matrices", lambda self: sound(self) * mask)
    model = shake_weights(PixelCNN(image(1, 5, 5, BIT), channels=6, layers=4, kernel=3, patch=1))
    assert not influences(model.double())[11, 8]  # (2, 1) does not see (1, 3)


BITS = SCHEMAS["bits"]


@finds("no_variable_sees_a_later_one")
def test_a_token_that_sees_itself(monkeypatch):
    """A mask of the inner layers in the first one."""
    sound = WholeRows.matrices
    monkeypatch.setattr(WholeRows, "matrices", lambda self: sound(self) + see_itself(3))
    return build(BITS)


def see_itself(width):
    return torch.cat([torch.zeros(width, width), torch.eye(width)])


@finds("no_variable_sees_a_later_one", "unroll_agrees_with_predict")
def test_rows_above_that_are_the_present_one(monkeypatch):
    """What is seen to all sides comes of the present row, not of the one above."""
    sound = WholeRows.forward
    monkeypatch.setattr(WholeRows, "forward", lambda self, x: sound(self, x.roll(-1, 1)))
    return build(BITS)


@finds("no_variable_sees_a_later_one", "unroll_agrees_with_predict")
def test_channels_in_another_order():
    model = build(SCHEMAS["colours"])
    model.order = tuple(range(12))  # channels come outermost, as they lie in memory
    return model


@finds("unroll_agrees_with_predict", "samples_follow_density")
def test_stale_rows(monkeypatch):
    monkeypatch.setattr(RowCache, "begin_row", lambda self: None)
    return build(BITS)


@finds("unroll_agrees_with_predict")
def test_a_last_column_that_is_cut_off(monkeypatch):
    sound = RowCache.put

    def put(self, column, x):
        if column < 2:
            sound(self, column, x)

    monkeypatch.setattr(RowCache, "put", put)
    return build(BITS)


@finds("unroll_agrees_with_predict")
def test_a_label_that_the_first_row_alone_reads(monkeypatch):
    sound = CausalBlock.transform

    def transform(self, seen, given):
        first = torch.ones(seen.shape[:-1]).unsqueeze(-1)
        if seen.ndim == 4:
            first[:, 1:] = 0
        return sound(self, seen, given * first)

    monkeypatch.setattr(CausalBlock, "transform", transform)
    return build(LABELLED)


@finds("conditionals_sum_to_one")
def test_levels_at_the_ends_that_are_thin(monkeypatch):
    """The first and the last level have the mass between two edges, as the others have."""
    sound = DiscretisedLogistics.log_components

    def log_components(self, x):
        inner = DiscretisedLogistics(self.log_weights, self.means, self.log_scales, self.levels + 2)
        width = (self.levels - 1) / (self.levels + 1)
        inner.means, inner.log_scales = self.means * width, self.log_scales + math.log(width)
        return sound(inner, x + 1)

    monkeypatch.setattr(DiscretisedLogistics, "log_components", log_components)
    return build(SCHEMAS["shades"])


@torch.no_grad()
def test_tokens_of_logistics_are_the_mixture_of_products():
    """By hand: sum over components of weight times the three masses, of which each mean moves with the levels before."""
    law, m = MixtureLaw(levels=4, specials=0, parts=3, components=2), 2
    parameters = torch.randn(law.width, generator=torch.Generator().manual_seed(0)).double()
    weights, means, scales, slopes, _ = parameters.split(law.sizes)
    prior = (
        torch.tensor([0.0, float(weights)]).double().softmax(0)
    )  # of two weights the first has logit 0
    tokens = torch.cartesian_prod(*[torch.arange(4.0)] * 3).double()
    total = []
    for token in tokens:
        each = prior.clone()
        for k in range(m):
            for part in range(3):
                mean = means[part * m + k]
                for earlier in range(part):
                    slope = slopes[(part * (part - 1) // 2 + earlier) * m + k]
                    mean = mean + slope * (2 * token[earlier] / 3 - 1)
                ends = (torch.tensor([-1.0, 1.0]) / 3 + 2 * token[part] / 3 - 1 - mean).double()
                low, high = (ends / scales[part * m + k].exp()).sigmoid()
                low, high = 0 if token[part] == 0 else low, 1 if token[part] == 3 else high
                each[k] *= high - low
        total.append(each.sum())
    found = law.log_prob(parameters.expand(64, -1), tokens)
    assert torch.allclose(found.exp(), torch.stack(total), atol=1e-12)
    assert abs(float(found.exp().sum()) - 1) < 1e-12


@torch.no_grad()
def test_thin_levels_sum_to_one_without_a_density():
    """Far out and narrow, where differences of two cumulative probabilities are 0 in float32: each level is finite."""
    form = [torch.tensor([each]) for each in ([0.0], [3.0], [-7.0])]
    outcome = DiscretisedLogistics(*form, 256)
    assert outcome.log_probs.isfinite().all() and outcome.log_probs[0, 0] < -1000
    assert abs(float(outcome.log_probs.logsumexp(-1))) < 1e-6


@pytest.mark.parametrize("logistics", [0, 2])
@torch.no_grad()
def test_all_events_in_colour_sum_to_one(logistics):
    """Of 2 x 2 pixels, 3 channels and 3 levels, by the law of whole tokens and by each channel given those before."""
    schema = load("toy-tints").schema
    model = PixelCNN(schema, channels=4, layers=1, kernel=3, logistics=logistics)
    shake_weights(model).eval()
    events = schema.all_events()
    logs = [model.log_given(x, None).double() for x in events.split(1 << 15)]
    assert abs(float(torch.cat(logs).exp().sum()) - 1) < 1e-5
    some = events[:: 1 + len(events) // 500]
    assert torch.allclose(model.log_prob(some), model.log_given(some, None), atol=1e-4)
