"""A target stands last in every order that is free, and its factor is Bayes' rule over the joint."""

from inspect import signature

import pytest
import torch
from oracles import accepting
from torch.testing import assert_close

from plausibly.contract.checks import shake_weights
from plausibly.errors import UserError
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.mixtures import mixture
from plausibly.fitting.conditioning import place_of_target
from plausibly.models import MODELS
from plausibly.models.forest import Forest
from plausibly.runs.building import arguments_of, build
from plausibly.system.randomness import generator_for
from plausibly.tasks.classify import classify
from plausibly.tasks.query import query

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


@pytest.mark.parametrize("name", FREE)
@torch.no_grad()
def test_labels_given_a_part_of_a_row_are_the_joint_summed(name):
    """With the target last and elsewhere in the order."""
    for arguments in ({"target": 1}, {}):
        model = made_up(name, **arguments)
        x = model.schema.all_events()
        joint = model.log_prob(x).double().view(model.schema.codes)
        want = joint.logsumexp(0).log_softmax(0).expand(joint.shape).flatten()
        asked = Evidence.whole(x).without(0)
        found = classify(model, asked, 1)
        told = found.log_probs.gather(1, x[:, [1]].long())[:, 0]
        assert classify.word_for(model, asked, 1) == "exact" and found.effective is None
        assert_close(told, want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", [Category(levels=3), Real()])
def test_what_has_too_many_values_is_drawn_once_for_all_answers(monkeypatch, kind):
    """The target last: against the sum, by a cloud of draws for the gaps and one factor of each."""
    schema = Schema((4,), (*SMALL.kinds[:3], kind))
    model = shake_weights(build(MODELS["made"], schema, {"target": 3, "hidden": 16})).eval()
    asked = Evidence.whole(torch.tensor([[0.0, 2.0, 1.0, 0.0]])).without(0).without(3)
    exact = query(model, asked, 3, generator_for(torch.device("cpu"), 0))
    monkeypatch.setattr("plausibly.tasks.query.gap_combinations", lambda *_: 1 << 20)
    monkeypatch.setattr("plausibly.tasks.query.GapQuery.log_joint_at", None)
    found = query(model, asked, 3, generator_for(torch.device("cpu"), 0), 4000)
    assert (exact.word, found.word) == ("exact", "estimate")
    assert found.effective.draws == 4000 and float(found.effective.rows) > 500
    at = torch.arange(3.0) if not kind.continuous else torch.linspace(-2, 2, 9)
    p, q = (
        torch.stack([each.outcome.log_prob(x[None]) for x in at]).exp() for each in (exact, found)
    )
    rounded = 3 / 64 if kind.continuous else 0.0  # 64 draws for 3 values
    assert float((p - q).abs().max()) < 6 * 0.5 / float(found.effective.rows) ** 0.5 + rounded
