"""Contexts and classification against enumeration: one joint, read in either direction."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from oracles import accepting
from scipy.special import logsumexp
from sklearn.metrics import accuracy_score, log_loss

import plausibly
from plausibly.contract.checks import shake_weights
from plausibly.errors import UserError
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema
from plausibly.families.proposals import EffectiveSampleSize
from plausibly.fitting.conditioning import context_of
from plausibly.models import MODELS
from plausibly.tasks.classify import classify

SMALL = Schema((4,), (Category(levels=3), Level(levels=3), Category(levels=2), Category(levels=2)))
NETWORKS = ["fvsbn", "made", "nade", "transformer"]


def joint(model):
    """log p of all events as a table, one axis a variable."""
    with torch.no_grad():
        return model.log_prob(SMALL.all_events()).double().numpy().reshape(SMALL.codes)


@pytest.mark.parametrize("context", [(0,), (2, 1), (1, 2, 3)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_context_is_a_marginal_and_the_rest_is_given_it(name, context):
    model = shake_weights(MODELS[name](SMALL, context=context)).eval()
    logs, rest = joint(model), tuple(i for i in range(4) if i not in context)
    marginal = logsumexp(logs, axis=rest)
    single = [logsumexp(logs, axis=tuple(j for j in range(4) if j != c)) for c in sorted(context)]
    product_of = sum(np.ix_(*single))
    assert np.allclose(
        marginal, product_of, atol=1e-5
    )  # p(context) is that of independent variables
    x = SMALL.all_events()
    given = model.log_given(x, torch.Generator()).detach().double().numpy().reshape(SMALL.codes)
    assert np.allclose(given, logs - np.expand_dims(marginal, rest), atol=1e-5)


@pytest.mark.parametrize(
    "name", [n for n in accepting(SMALL) if classify.word(MODELS[n]) == "exact"]
)
@pytest.mark.parametrize("target", range(4))
def test_classes_are_bayes_rule_over_the_joint(name, target):
    model = shake_weights(MODELS[name].tiny(SMALL)).eval()
    logs, x = joint(model), SMALL.all_events()
    want = logs - logsumexp(logs, axis=target, keepdims=True)
    found = classify(
        model, Evidence(x, torch.ones(x.shape, dtype=torch.bool)), target
    ).log_probs.numpy()
    place = [x[:, i].long().numpy() for i in range(4)]
    for label in range(SMALL.codes[target]):
        place[target] = np.full(len(x), label)
        assert np.allclose(found[:, label], want[tuple(place)], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seen", list(product([False, True], repeat=2)))
def test_discriminative_and_generative_models_use_one_rule(name, seen):
    """With the label last the conditional is read off; with the label first the codes are weighed. Same formula."""
    x, observed = SMALL.all_events(), torch.ones(36, 4, dtype=torch.bool)
    for context in ((1, 2, 3), (0,)):
        model = shake_weights(MODELS[name](SMALL, context=context)).eval()
        logs = joint(model)
        want = (logs - logsumexp(logs, axis=0, keepdims=True)).reshape(3, -1).T
        assert np.allclose(
            classify(model, Evidence(x[:12], observed[:12]), 0).log_probs.numpy(), want, atol=1e-5
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_boards_number_sums_a_lone_label_out(name):
    from plausibly.data.events import Events

    x = SMALL.all_events()
    events = Events(x.to(torch.uint8), torch.zeros(len(x), dtype=torch.float64))
    one = shake_weights(MODELS[name](SMALL, context=(0,))).eval()
    want = logsumexp(joint(one), axis=0).ravel()
    found = likelihood(one, events)
    assert np.allclose(found.nats.numpy(), np.tile(want, 3), atol=1e-5) and found.variables == 3
    two = shake_weights(MODELS[name](SMALL, context=(0, 3))).eval()
    logs = joint(two)
    want = logs - logsumexp(logs, axis=(1, 2), keepdims=True)
    assert np.allclose(likelihood(two, events).nats.numpy(), want.ravel(), atol=1e-5)


def test_measures_are_scikit_learns():
    generator = np.random.default_rng(0)
    p, truth = generator.dirichlet([1, 1, 1], 200), generator.integers(0, 3, 200)
    found = Classification(("a", "b", "c"), p, np.where(np.arange(200) < 150, truth, -1)).to_json()
    assert found["rows"] == 150
    assert found["accuracy"] == pytest.approx(accuracy_score(truth[:150], p[:150].argmax(1)))
    assert found["log_loss"] == pytest.approx(log_loss(truth[:150], p[:150]))


def test_groups_and_draws_are_told_where_there_are_any():
    p, truth = np.full((60, 2), 0.5), np.arange(60) % 2
    plain = Classification(("a", "b"), p, truth).to_json()
    assert plain["groups"] is None and "draws" not in plain
    by_draws = EffectiveSampleSize(torch.tensor([30.0, 5.0]), 100)
    groups = np.arange(60) // 2
    drawn = Classification(("a", "b"), p, truth, by_draws, "estimate", groups)
    found = drawn.to_json()
    assert (found["groups"], found["effective"], found["draws"]) == (30, 5.0, 100)
    assert "; an estimate: at least 5.0 effective of 100 weighted draws" in drawn.line()
    none = Classification(("a", "b"), p, np.full(60, -1), by_draws, "estimate").to_json()
    assert (none["rows"], none["accuracy"], none["effective"]) == (0, None, 5.0)


def test_calibration_finds_what_is_planted():
    """Labels drawn from the probabilities are calibrated; the same probabilities sharpened are not."""
    generator = np.random.default_rng(1)
    p = generator.dirichlet([1, 1], 20_000)
    truth = (generator.random(20_000) < p[:, 1]).astype(int)
    honest, sharp = p, p**3 / (p**3).sum(1, keepdims=True)
    errors = [
        Classification(("0", "1"), each, truth).calibration_error() for each in (honest, sharp)
    ]
    assert errors[0] < 6 * 0.5 / np.sqrt(2_000) and errors[1] > 0.1


@pytest.fixture(scope="module")
def frame():
    """A label, a bit that mostly follows it, a number that does too, and noise."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 1500)
    bit = np.where(generator.random(1500) < 0.85, y == 1, y != 1).astype(int)
    size = np.round(y * 2 + generator.normal(size=1500), 1)
    return pd.DataFrame(
        {
            "label": np.array(["a", "b", "c"])[y],
            "bit": bit,
            "size": size,
            "noise": generator.integers(0, 4, 1500),
        }
    )


def test_both_directions_from_a_table(frame, tmp_path):
    """Label first and label last: accuracy near the best possible, and probabilities that can be trusted."""
    accuracies = {}
    for word, way in {
        "generative": {"context": ["label"]},
        "discriminative": {"event": ["label"], "context": ["rest"]},
    }.items():
        run = plausibly.fit(
            frame, "made", out=tmp_path / word, steps=600, set={"hidden": 64}, **way
        )
        found = run.classify(frame.iloc[:800])
        accuracies[word] = found.to_json()["accuracy"]
        assert np.allclose(found.probabilities.sum(1), 1)
        without = run.classify(frame.iloc[:800].drop(columns="label"))
        assert np.allclose(without.probabilities, found.probabilities) and without.rows == 0
        assert run.evaluate(frame.iloc[:100]).rows == 100
        again = plausibly.open(tmp_path / word)
        assert np.allclose(
            again.classify(frame.iloc[:50]).probabilities, found.probabilities[:50], atol=1e-6
        )
    assert min(accuracies.values()) > 0.75, accuracies


def test_digits_have_labels_beside_them(tmp_path):
    run = plausibly.fit(
        "digits-binary",
        "nade",
        out=tmp_path / "run",
        steps=400,
        set={"hidden": 64},
        context=["label"],
    )
    assert run.names[0] == "label" and run.model.context == (0,)
    found = run.classify("digits-binary:test")
    assert found.to_json()["accuracy"] > 0.6
    drawn = run.sample(20, given={"label": "3"})
    assert (drawn[:, 0] == 3).all()


@pytest.mark.parametrize(
    ("context", "event", "want"),
    [
        (["a"], [], (0,)),
        (["b", "a"], [], (1, 0)),
        ([], ["c"], (0, 1)),
        (["rest"], ["c"], (0, 1)),
        ([], [], ()),
    ],
)
def test_names_become_a_context(context, event, want):
    assert context_of(("a", "b", "c"), context, event) == want


@pytest.mark.parametrize(
    ("context", "event", "message"),
    [
        (["aa"], [], "no column 'aa'.*did you mean 'a'"),
        (["a"], ["a"], "named as event and as context"),
        (["a"], ["b"], "what is no event is context"),
        (["a", "b", "c"], [], "at least one must be left"),
    ],
)
def test_impossible_contexts_are_refused(context, event, message):
    with pytest.raises(UserError, match=message):
        context_of(("a", "b", "c"), context, event)


@pytest.mark.parametrize("name", ["independent", "chow_liu", "markov", "joint", "mixture"])
def test_counting_models_have_a_part_for_each_label(name, frame, tmp_path):
    """Any tractable model takes a label: fitted, kept, opened again, and as good as the labels allow."""
    run = plausibly.fit(frame, name, out=tmp_path / name, context=["label"])
    assert run.model.context == (0,) and run.record["arguments"]["context"] == [0]
    found = run.classify(frame)
    assert found.to_json()["accuracy"] > 0.75
    again = plausibly.open(tmp_path / name)
    assert np.allclose(again.classify(frame).probabilities, found.probabilities, atol=1e-6)
    assert (again.sample(30, given={"label": "b"})["label"] == "b").all()
    assert (
        len(again.score(frame.iloc[:5])) == 5
        and again.evaluate().rows == run.record["rows"]["test"]
    )


def test_one_label_is_all_that_counting_models_take(frame, tmp_path):
    with pytest.raises(UserError, match="counting models take one label"):
        plausibly.fit(frame, "chow_liu", out=tmp_path / "run", event=["label"])
