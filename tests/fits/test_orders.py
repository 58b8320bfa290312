"""Models of all orders: the loss against all orders, answers against exact models, disagreement against zero."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from planting import finds
from torch.nn.functional import layer_norm, logsigmoid

from plausibly.capabilities import AnyOrderModel, TractableModel
from plausibly.contract.checks import shake_weights
from plausibly.data.events import Events
from plausibly.data.loading import load
from plausibly.evaluation.likelihood.orders import disagreement, log_prob_in
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.families.orderless import MIN_ROWS, OrderlessModel, orderless
from plausibly.fitting.api import fit
from plausibly.models import MODELS
from plausibly.system.randomness import generator_for
from plausibly.tasks.classify import classify
from plausibly.tasks.full_conditionals import full_conditionals
from plausibly.tasks.impute import impute
from plausibly.tasks.query import query
from plausibly.training.loop import Training
from plausibly.training.plan import Plan

SMALL = Schema(
    (4,),
    (Category(levels=2), Level(levels=3), Category(levels=2, missing=True), Category(levels=2)),
)
CPU = torch.device("cpu")
ORDERLESS = [name for name, kind in MODELS.items() if issubclass(kind, OrderlessModel)]
EXACT = ["joint", "chow_liu", "mixture"]


def made_up(name, schema=SMALL):
    return shake_weights(MODELS[name].tiny(schema)).eval()


@pytest.mark.parametrize("name", ORDERLESS)
@pytest.mark.parametrize("named", [0.0, 0.5, 1.0])
def test_the_loss_is_the_mean_over_all_orders_and_over_the_named_one(monkeypatch, name, named):
    """Half of one and half of the other, where nobody says otherwise."""
    if named != 0.5:
        monkeypatch.setattr("plausibly.families.orderless.ORDER_SHARE", named)
    model, event = made_up(name), torch.tensor([[1.0, 2.0, 0.0, 1.0]])
    every = np.mean([-float(log_prob_in(model, event, order)) for order in permutations(range(4))])
    with torch.no_grad():
        want = named * -float(model.log_prob(event)) + (1 - named) * every
        drawn = orderless(model, event.expand(40_000, 4), generator_for(CPU, 0)).double()
    assert abs(float(drawn.mean()) - want) < 6 * float(drawn.std()) / 200


@torch.no_grad()
def test_a_masked_token_without_attention_is_read_out_as_its_formula_says():
    """A bit's log-odds are a shift and the product of its readout and its normed vector, signs and all."""
    model = made_up("masked_transformer", binary(3))
    for parameter in [model.named, *model.network.blocks.parameters()]:
        parameter.zero_()
    norm, vectors = model.network.norm, model.unknown + model.network.places
    normed = layer_norm(vectors, (model.width,), norm.weight, norm.bias)
    want = logsigmoid(model.shift + (normed * model.readout.weight).sum(1))
    nothing = Evidence(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
    found = model.predict_given(nothing).log_prob(torch.ones(1, 3))
    assert torch.allclose(found[0], want, atol=1e-5)


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_holes_are_observed_or_as_in_questions_not(monkeypatch, hidden):
    monkeypatch.setattr("plausibly.families.orderless.ORDER_SHARE", 0.0)
    monkeypatch.setattr("plausibly.families.orderless.HOLE_FREE_SHARE", hidden)
    model, seen, sound = made_up("deepnade"), [], OrderlessModel.predict_given
    monkeypatch.setattr(
        OrderlessModel, "predict_given", lambda s, e: (seen.append(e.observed), sound(s, e))[1]
    )
    with torch.no_grad():
        orderless(model, torch.tensor([[1.0, 2.0, 2.0, 1.0]]).expand(500, 4), generator_for(CPU, 0))
    share = seen[0].float().mean(0)
    assert share[2] == 0 if hidden else 0.2 < share[2] < 0.6
    assert (share[[0, 1, 3]] > 0.2).all()


@pytest.mark.parametrize("name", ORDERLESS)
def test_log_prob_is_that_of_the_order(name):
    model, events = made_up(name), SMALL.all_events()
    with torch.no_grad():
        assert torch.allclose(
            model.log_prob(events).double(), log_prob_in(model, events, model.order), atol=1e-5
        )
    other = log_prob_in(model, events, (3, 1, 0, 2))
    assert float(other.exp().sum()) == pytest.approx(1, abs=1e-5)  # another joint distribution
    assert (other - log_prob_in(model, events, model.order)).abs().max() > 0.01


@pytest.mark.parametrize(
    "name", [n for n, kind in MODELS.items() if issubclass(kind, TractableModel)]
)
def test_one_joint_distribution_does_not_disagree(name):
    if MODELS[name].accepts(SMALL):
        pytest.skip("takes real numbers only")
    model, events = made_up(name), SMALL.all_events()
    found = disagreement(model, Events(events, torch.zeros(len(events), dtype=torch.float64)))
    assert found.value < 1e-5 and found.largest - found.least < 1e-5


@pytest.mark.parametrize("name", ORDERLESS)
def test_disagreement_is_a_standard_deviation_over_orders(monkeypatch, name):
    monkeypatch.setattr("plausibly.evaluation.likelihood.orders.ORDERS", 24)
    monkeypatch.setattr(
        "plausibly.evaluation.likelihood.orders.torch.randperm",
        lambda n, generator: torch.tensor(next(others), device="cpu"),
    )
    model, x = made_up(name), SMALL.all_events()
    others = iter(list(permutations(range(4)))[1:])
    found = disagreement(model, Events(x, torch.zeros(len(x), dtype=torch.float64)))
    each = torch.stack([log_prob_in(model, x, order) for order in permutations(range(4))])
    assert found.value == pytest.approx(float(each.std(0).mean())) and found.value > 0.01
    assert (found.orders, found.rows) == (24, len(x))


@pytest.mark.parametrize("name", ORDERLESS)
@pytest.mark.parametrize("seen", list(product([False, True], repeat=4)))
def test_cells_are_filled_one_after_the_other(name, seen):
    """Draws against the product of the model's answers by enumeration; holes are barred one cell at a time."""
    model, n = made_up(name), 3000
    x, events = torch.tensor([[1.0, 2.0, 1.0, 0.0]]), SMALL.all_events()
    observed = torch.tensor([seen])
    drawn = impute(
        model, Evidence(x, observed, model.schema.allowed(False)).expand(n), generator_for(CPU, 1)
    ).codes
    p, known = torch.zeros(len(events)), observed.expand(len(events), 4).clone()
    fits = ((events == x) | ~observed).all(1) & (observed[:, 2] | (events[:, 2] < 2))
    with torch.no_grad():
        for i in (~observed[0]).nonzero()[:, 0].tolist():
            outcome, _ = (
                model.predict_given(Evidence(events, known))
                .one(i)
                .truncate(Allowed.of_codes(torch.arange(SMALL.codes[i]) < (2, 3, 2, 2)[i]))
            )
            p, known[:, i] = p + outcome.log_prob(events[:, i]), True
    p = (p.exp() * fits).double().numpy()
    places = np.ravel_multi_index(drawn.long().T.numpy(), SMALL.codes)
    share = np.bincount(places, minlength=len(p)) / n
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert (np.abs(share - p) < 6 * np.sqrt(p * (1 - p) / n + 1e-9) + 1 / n).all()


@pytest.fixture(scope="module", params=["deepnade"])
def learned(request, tmp_path_factory):
    return fit(
        "toy-bits",
        request.param,
        out=tmp_path_factory.mktemp("run") / "it",
        steps=1500,
        seed=1,
        set={"hidden": 128},
    )


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return fit("toy-bits", "joint", out=tmp_path_factory.mktemp("run") / "it", seed=1)


def test_answers_come_near_those_of_an_exact_model(learned, exact):
    """Any question about a table that can be listed: both learned from the same rows, one by counting."""
    data, noise = load("toy-bits"), generator_for(CPU, 3)
    x = data.test.codes[:400].float()
    observed = torch.rand(x.shape, generator=noise) < torch.rand(len(x), 1, generator=noise)
    for i in range(x.shape[1]):
        seen = observed.clone()
        seen[:, i] = False
        p, q = (
            query(run.model, Evidence(x, seen), i, noise).outcome.log_prob(torch.ones(len(x))).exp()
            for run in (exact, learned)
        )
        assert (p - q).abs().mean() < 0.03
    known = torch.ones_like(x, dtype=torch.bool)
    labels = [
        classify(run.model, Evidence(x, known), 2).log_probs.exp() for run in (learned, exact)
    ]
    assert (labels[0] - labels[1]).abs().mean() < 0.03
    both = [full_conditionals(run.model, x) for run in (learned, exact)]
    assert (both[0] - both[1]).mean().abs() < 0.02


def test_words_say_that_answers_need_not_agree(learned):
    found = learned.query("0", {"3": 1})
    assert found.word == "approximate" and found.entropy_bits is not None
    assert {
        task.word(type(learned.model)) for task in (query, impute, classify, full_conditionals)
    } == {"approximate"}
    assert learned.disagreement().value < 0.5
    assert any(
        "approximately" in note for note in learned.score("toy-bits:test", each=True).attrs["notes"]
    )
    assert issubclass(type(learned.model), AnyOrderModel)


@pytest.mark.parametrize("name", ORDERLESS)
@finds("answers_see_observed_only", "no_variable_sees_a_later_one")
def test_a_network_that_sees_what_is_not_observed(monkeypatch, name):
    kind = MODELS[name]
    sound = kind.outcomes

    def leaking(self, numbers, flags):
        return sound(self, self.inputs(self.everything), flags)

    sound_answer = OrderlessModel.head_parameters
    monkeypatch.setattr(kind, "outcomes", leaking)
    monkeypatch.setattr(
        OrderlessModel,
        "head_parameters",
        lambda self, known: (setattr(self, "everything", known.x), sound_answer(self, known))[1],
    )
    return shake_weights(kind.tiny(binary(6)))


@pytest.mark.parametrize("name", ORDERLESS)
@finds("answers_follow_the_order")
def test_answers_that_are_no_conditionals_of_the_order(monkeypatch, name):
    sound = OrderlessModel.head_parameters
    monkeypatch.setattr(
        OrderlessModel, "predict_given", lambda self, evidence: self.head(2 * sound(self, evidence))
    )
    return shake_weights(MODELS[name].tiny(SMALL))


@pytest.mark.parametrize("name", ["deepnade", "masked_transformer"])
def test_refined_models_give_each_code_its_share_of_training_rows(name):
    """As the mean of p(x_i | earlier) over these; of reals the log p of all is no lower."""
    generator, model = torch.Generator().manual_seed(3), made_up(name)
    x = model.schema.all_events()
    x = x[torch.randint(len(x), (1500,), generator=generator).square() % len(x)]
    before, observed = (
        model.log_prob(x).mean(),
        torch.tensor([False, True, False, False]).expand(1500, -1),
    )
    other = model.predict_given(Evidence(x, observed)).log_prob(x)
    model.recalibrate(x)
    assert torch.equal(
        model.predict_given(Evidence(x, observed)).log_prob(x), other
    )  # of another order
    outcome = model.predict(x)
    for i, kind in enumerate(model.schema.kinds):
        shares = torch.bincount(x.flatten(1)[:, i].long(), minlength=kind.codes) / len(x)
        assert torch.allclose(outcome.one(i).log_probs.exp().mean(0), shares, atol=1e-3)
    assert model.log_prob(x).mean() > before
    few = {key: value.clone() for key, value in model.state_dict().items()}
    model.recalibrate(x[: MIN_ROWS - 1])  # too few
    assert all(torch.equal(value, few[key]) for key, value in model.state_dict().items())


def test_a_refinement_that_validation_is_no_better_for_is_dropped(monkeypatch):
    x = (torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8)
    training = Training(made_up("deepnade", binary(4)), x, x[:100], Plan(steps=5, every=5))
    list(training.run())
    monkeypatch.setattr(
        OrderlessModel, "recalibrate", lambda self, x: bool(self.offset().data.fill_(3.0).any())
    )
    training.finish()
    assert all(
        torch.equal(value, training.best[key]) for key, value in training.model.state_dict().items()
    )
