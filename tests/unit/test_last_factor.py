"""A target stands last in every order that is free, and its factor is Bayes' rule over the joint."""

from inspect import signature

import pytest
import torch
from oracles import accepting
from torch.testing import assert_close

from plausibly.contract.checks import shake_weights
from plausibly.errors import UserError
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.families.mixtures import mixture
from plausibly.fitting.conditioning import place_of_target
from plausibly.models import MODELS
from plausibly.models.forest import Forest
from plausibly.runs.building import arguments_of, build
from plausibly.tasks.classify import classify

SMALL = Schema((4,), (Category(levels=3), Level(levels=3), Category(levels=2), Category(levels=2)))
FREE = [name for name, kind in MODELS.items() if "target" in signature(kind).parameters]


def made_up(name, **arguments):
    schema = SMALL if MODELS[name].accepts(SMALL) is None else binary(4)
    own = MODELS[name].tiny(schema).arguments
    model = build(MODELS[name], schema, own | arguments)
    if isinstance(model, Forest):
        model.grow(range(schema.size), *(model.draw_marginals(seed) for seed in (0, 1)))
    return shake_weights(model).eval()


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("target", [0, 2])
@torch.no_grad()
def test_its_factor_is_the_joint_over_the_sum_of_the_joint(name, target):
    model = made_up(name, target=target)
    x, codes = model.schema.all_events(), model.schema.codes
    joint = model.log_prob(x).double().view(codes)
    assert model.order[-1] == target and abs(float(joint.exp().sum()) - 1) < 1e-5
    want = (joint - joint.logsumexp(target, keepdim=True)).flatten()
    factor = model.predict(x).one(target).log_prob(x[:, target]).double()
    assert_close(factor, want, atol=2e-5, rtol=0)
    told = classify(model, Evidence.whole(x), target).log_probs
    assert_close(told.gather(1, x[:, [target]].long())[:, 0], want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in FREE if name != "boosted"])
def test_behind_a_context_and_in_other_orders(name):
    arguments = {"context": [3], "target": 1}
    shuffled = "shuffle" in signature(MODELS[name]).parameters
    orders = {made_up(name, **arguments, shuffle=k).order for k in range(6)} if shuffled else set()
    for order in [made_up(name, **arguments).order, *orders]:
        assert (order[0], order[-1]) == (3, 1) and sorted(order) == [0, 1, 2, 3]
    assert len(orders) == 2 * shuffled


@pytest.mark.parametrize("name", accepting(SMALL))
def test_every_model_keeps_it(name):
    """Those that take no order too: what `classify` tells by default is theirs to answer."""
    model = build(MODELS[name], SMALL, {"target": 1})
    again = build(MODELS[name], SMALL, arguments_of(model))
    assert model.target == again.target == 1
    assert "target" not in arguments_of(build(MODELS[name], SMALL, {})) or name in FREE
    assert mixture([model, again], [1, 1]).target == 1


def test_a_mixture_of_unlike_targets_has_none():
    parts = [build(MODELS["independent"], SMALL, {"target": place}) for place in (1, 2)]
    assert mixture(parts, [1, 1]).target is None


@pytest.mark.parametrize("target", [4, -1, "y", True])
def test_a_target_is_a_variable(target):
    with pytest.raises(UserError, match="place of a variable"):
        build(MODELS["made"], SMALL, {"target": target})


def test_a_target_is_no_context():
    with pytest.raises(UserError, match="one of the variables that are modelled"):
        build(MODELS["made"], SMALL, {"target": 1, "context": [1]})
    with pytest.raises(UserError, match="named as target and is context"):
        place_of_target(("a", "b"), "a", [0])
    with pytest.raises(UserError, match="did you mean 'income'"):
        place_of_target(("age", "income"), "incme", [])
    assert place_of_target(("age", "income"), "income", [0]) == 1
