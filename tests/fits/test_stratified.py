"""Class-conditional counting models against scikit-learn's classifiers, enumeration, and their parts."""

import numpy as np
import pytest
import torch
from oracles import random_table

from plausibly.contract.checks import run_checks, shake_weights
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.stratified import Stratified, stratify
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.gaussian import Gaussian
from plausibly.models.independent import Independent
from plausibly.models.joint import Joint
from plausibly.models.markov import Markov
from plausibly.models.mixture import Mixture
from plausibly.system.randomness import generator_for
from plausibly.training.loop import fit_by_counting

TABLE = Schema(
    (4,),
    (Category(levels=2), Category(levels=3), Category(levels=3), Category(levels=2, open=True)),
)
REALS = Schema((3,), (Real(), Category(levels=3), Real()))
IMAGE = Schema((1, 2, 3), (Category(levels=2),) * 6)
CASES = [
    (Independent, TABLE, 1),
    (Independent, IMAGE, 5),
    (Markov, TABLE, 0),
    (ChowLiu, TABLE, 2),
    (Joint, TABLE, 3),
    (Gaussian, REALS, 1),
    (Mixture, REALS, 1),
    (Mixture, TABLE, 0),
]


def drawn(schema, n, seed=0):
    p, _ = random_table(schema.codes, seed)
    places = np.random.default_rng(seed).choice(len(p), size=n, p=p.numpy())
    return torch.from_numpy(np.stack(np.unravel_index(places, schema.codes), 1)).float()


def posterior(model, x):
    """p(label | the others) by Bayes' rule over the label's codes, (rows, codes)."""
    many = x.repeat(model.schema.codes[model.label], 1)
    many[:, model.label] = (
        torch.arange(model.schema.codes[model.label]).repeat_interleave(len(x)).float()
    )
    return model.log_prob(many).view(-1, len(x)).softmax(0).T.detach()


@pytest.mark.parametrize(("part", "schema", "label"), CASES)
def test_contract(part, schema, label):
    model = stratify(part, schema, (label,))
    if part is Mixture:
        for member in model.each():
            member.allocate(2)
    assert not [result for result in run_checks(shake_weights(model).eval()) if result.broken]
    assert model.order[0] == label


@pytest.mark.parametrize("part", [Independent, Markov, ChowLiu, Joint])
def test_it_is_the_parts_learned_on_the_classes(part):
    """p(y) by counting, p(x | y) as the model itself learns it from the rows of that class; p(y | x) by Bayes' rule."""
    x, others = drawn(TABLE, 2400), [0, 1, 3]
    train, valid = x[:1600], x[1600:]
    model = stratify(part, TABLE, (2,))
    list(fit_by_counting(model, train, valid))
    for k in range(3):
        alone = part(TABLE.first(tuple(others)))
        list(fit_by_counting(alone, *(rows[rows[:, 2] == k][:, others] for rows in (train, valid))))
        share = ((train[:, 2] == k).sum() + 1 / 3) / 1601
        rows = valid[valid[:, 2] == k]
        want = share.log() + alone.log_prob(rows[:, others])
        assert torch.allclose(model.log_prob(rows).float(), want, atol=1e-4)
    seen = torch.ones(len(valid), 4, dtype=torch.bool)
    seen[:, 2] = False
    got = model.predict_given(Evidence(valid, seen)).one(2).log_probs.exp()
    assert torch.allclose(got.float(), posterior(model, valid).float(), atol=1e-5)


@pytest.mark.parametrize(("part", "label"), [(Independent, 1), (ChowLiu, 2), (Joint, 3)])
@torch.no_grad()
def test_what_is_given_a_label_sums_to_one_for_each(part, label):
    """log p(the others | label), of labels that are not equally likely."""
    model = shake_weights(stratify(part, TABLE, (label,))).eval()
    x = TABLE.all_events()
    given = model.log_given(x, generator_for(torch.device("cpu"), 0)).exp()
    codes = TABLE.codes[label]
    sums = torch.zeros(codes, dtype=given.dtype).index_add_(0, x[:, label].long(), given)
    assert sums.tolist() == pytest.approx([1.0] * codes, abs=1e-5)
    assert float(model.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_parts_may_be_mixtures():
    """Each class grows components of its own: better than one tree a class on data that trees cannot tell."""
    bits = torch.randint(2, (4000, 4), generator=torch.Generator().manual_seed(0)).float()
    x = torch.cat([bits, bits.sum(1, keepdim=True) % 2, (bits[:, :1] + bits[:, 1:2]) % 2], 1)
    tree, grown = (
        stratify(part, binary(6), (5,), settings)
        for part, settings in ((ChowLiu, {}), (Mixture, {"components": 4}))
    )
    for model in (tree, grown):
        list(fit_by_counting(model, x[:2000], x[2000:3000]))
    assert float((grown.log_prob(x[3000:]) - tree.log_prob(x[3000:])).mean()) > 0.1


def test_naive_bayes_is_scikit_learns():
    """Without shrinking, K codes have 1 / K added each: scikit-learn's alpha."""
    from sklearn.naive_bayes import CategoricalNB

    schema = Schema((4,), (Category(levels=3),) * 4)
    x = drawn(schema, 800)
    model = stratify(Independent, schema, (2,))
    list(fit_by_counting(model, x, x))
    counts = torch.bincount(x[:, 2].long(), minlength=3) + 1 / 3
    other = CategoricalNB(alpha=1 / 3, class_prior=(counts / counts.sum()).numpy()).fit(
        x[:, [0, 1, 3]], x[:, 2]
    )
    assert np.allclose(posterior(model, x), other.predict_proba(x[:, [0, 1, 3]]), atol=1e-5)


def test_normal_parts_are_quadratic_discriminant_analysis():
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    random = np.random.default_rng(0)
    y = random.integers(3, size=1500)
    rows = random.normal(size=(1500, 2)) @ np.array([[1, 0.5], [0, 1]]) + np.stack(
        [y * 1.5, -(y**2.0)], 1
    )
    rows *= 1 + y[:, None] * 0.3
    x = torch.from_numpy(np.stack([rows[:, 0], y, rows[:, 1]], 1)).float()
    model = stratify(Gaussian, REALS, (1,))
    list(fit_by_counting(model, x, x))
    for member, stratum in zip(model.each(), model.strata(x), strict=True):
        member.take(member.statistics(stratum))
    other = QuadraticDiscriminantAnalysis().fit(rows, y)
    assert np.allclose(posterior(model, x), other.predict_proba(rows), atol=5e-3)


@pytest.mark.parametrize("part", [Independent, ChowLiu, Joint, Gaussian])
def test_a_class_without_rows_is_like_all(part):
    schema, label = (REALS, 1) if part is Gaussian else (TABLE, 1)
    random = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    random[:, 1] = (random[:, 0] > 0).float()
    x = random if part is Gaussian else drawn(TABLE, 500)
    x = x[x[:, 1] != 2]
    model = stratify(part, schema, (label,))
    list(fit_by_counting(model, x, x))
    alone = part(schema.first(tuple(model.rest)))
    alone.learn(alone.statistics(x[:, model.rest]), [])
    last = list(model.each())[2]
    assert torch.allclose(
        last.log_prob(x[:, model.rest]), alone.log_prob(x[:, model.rest]), atol=1e-4
    )


def test_evidence_on_the_label_weighs_the_parts():
    """Given the others and which labels may be drawn, drawn labels follow Bayes' rule over those."""
    model = shake_weights(stratify(ChowLiu, TABLE, (2,)))
    x = drawn(TABLE, 1).expand(6000, -1)
    seen = torch.ones_like(x, dtype=torch.bool)
    seen[:, 2] = False
    allowed = torch.ones(sum(TABLE.codes), dtype=torch.bool)
    allowed[2 + 3 + 1] = False  # the label's second code
    allowed = Allowed.of_codes(allowed)
    y = model.sample_given(Evidence(x, seen, allowed), generator_for(torch.device("cpu"), 0))[:, 2]
    p = posterior(model, x[:1])[0]
    p = (p * torch.tensor([1.0, 0.0, 1.0])) / (p[0] + p[2])
    assert (y != 1).all()
    assert abs(float((y == 0).double().mean() - p[0])) < 6 * float(
        (p[0] * (1 - p[0]) / 6000) ** 0.5
    )
    mass = model.log_marginal(Evidence(x[:1], seen[:1], allowed)) - model.log_marginal(
        Evidence(x[:1], seen[:1])
    )
    full = posterior(model, x[:1])[0]
    assert float(mass) == pytest.approx(float((full[0] + full[2]).log()), abs=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="the context is a real number"):
        stratify(Gaussian, REALS, (0,))
    with pytest.raises(ValueError, match="one label"):
        stratify(Independent, TABLE, (0, 1))
    with pytest.raises(ValueError, match="no real numbers"):
        stratify(Gaussian, TABLE, (0,))
    with pytest.raises(ValueError, match="nothing beside"):
        stratify(Independent, binary(1), (0,))


def test_classes_that_share_their_rows_are_caught(monkeypatch):
    """The planted fault: every part's draws are the first part's."""
    model = shake_weights(stratify(Independent, TABLE, (1,)))
    sound = Stratified.outside
    monkeypatch.setattr(
        Stratified, "outside", lambda self, inner, pick: sound(self, inner, pick * 0)
    )
    assert "samples_follow_density" in {
        result.name for result in run_checks(model) if result.broken
    }
