"""Models against known values, closed forms and independent implementations."""

from dataclasses import replace
from math import log

import networkx as nx
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from oracles import accepting, random_table, tensors
from tiers import REAL_SETS

from plausibly.contract.checks import shake_weights
from plausibly.data import load
from plausibly.data.formats.array_container import ArrayContainer
from plausibly.data.formats.format import Format
from plausibly.data.toys import bits
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema, binary
from plausibly.families.tables import smooth_counts
from plausibly.families.tabular import pairwise_information
from plausibly.models import MODELS
from plausibly.models.chow_liu import ChowLiu, heaviest_tree
from plausibly.models.joint import Joint
from plausibly.models.markov import Markov
from plausibly.networks.heads import free_log_softmax, symmetric_log_softmax, symmetric_logits
from plausibly.system.randomness import generator_for
from plausibly.training.loop import Training, fit_by_counting, validation_loss
from plausibly.training.plan import Plan


def learned(name, train, valid, schema, steps=2500, **arguments):
    model = MODELS[name](schema, **arguments)
    model.initialise(generator_for(torch.device("cpu"), 0))
    if model.objective.passes(model):
        list(fit_by_counting(model, train, valid))
        return model
    training = Training(model, train, valid, Plan(steps))
    list(training.run())
    training.finish()
    return model


@pytest.mark.real
@pytest.mark.parametrize(
    ("data", "model", "known", "tolerance"),
    [
        ("nltcs", "independent", -9.234, 0.02),
        ("nltcs", "markov", -7.327, 0.02),
        ("nltcs", "chow_liu", -6.759, 0.02),
        ("plants", "chow_liu", -16.52, 0.02),
        ("jester", "chow_liu", -58.23, 0.02),
        ("accidents", "chow_liu", -33.19, 0.02),
        ("dna", "chow_liu", -87.70, 0.05),
    ],
)
def test_known_values(data, model, known, tolerance):
    dataset = load(str(REAL_SETS / f"debd_{data}.npz"))
    train, valid, test = tensors(dataset)
    assert -validation_loss(learned(model, train, valid, dataset.schema), test) == pytest.approx(
        known, abs=tolerance
    )


@pytest.mark.real
@pytest.mark.parametrize(
    ("model", "at_least"), [("joint", -6.26), ("nade", -6.02), ("made", -6.02)]
)
def test_known_values_to_reach(model, at_least):
    dataset = load(str(REAL_SETS / "debd_nltcs.npz"))
    train, valid, test = tensors(dataset)
    assert -validation_loss(learned(model, train, valid, dataset.schema), test) >= at_least


@pytest.fixture(scope="module")
def mixed():
    toy = bits.toy_mixed(rows=(200_000, 5_000, 20_000))
    format = Format(ArrayContainer(toy.schema, toy.layout, toy.train.dtype.str))
    return [format.events(part) for part in (toy.train, toy.valid, toy.test)], toy.schema, toy.truth


@pytest.mark.parametrize("name", accepting(bits.toy_mixed(rows=(9, 9, 9)).schema))
def test_nobody_beats_the_truth(mixed, name):
    """On data drawn from a random joint over 10 mixed variables -entropy is a ceiling; joint and made come close."""
    (train, valid, test), schema, truth = mixed
    slow = {  # rows to learn from, and at most as many to test on
        "transformer": (200_000, {"steps": 300, "width": 32}),
        "masked_transformer": (4_000, {"steps": 100, "width": 32}),
        "deepnade": (200_000, {"steps": 600, "hidden": 128}),
        "fvsbn": (200_000, {"steps": 1500}),
        "nade": (200_000, {"steps": 1500}),
        "mixture": (20_000, {"components": 3}),
    }
    rows, less = slow.get(name, (200_000, {"steps": 3000}))
    test = test[:rows]
    found = likelihood(learned(name, train.codes[:rows], valid.codes, schema, **less), test)
    assert found.sign == "="
    assert found.value + truth.entropy <= 4 * found.standard_error
    gap = float((truth.log_prob(test.codes.float()) - found.nats).mean())
    if name in ("joint", "made"):
        assert gap <= 0.05
    if name == "independent":
        assert gap > 0.5  # the test can fail: without dependences the truth is far


def test_counts_are_formulas():
    for n in (1, 2, 5, 12):
        sizes = {
            name: MODELS[name](binary(n)).free_parameters
            for name in ("independent", "markov", "chow_liu", "joint")
        }
        assert sizes == {
            "independent": n,
            "markov": 2 * n - 1,
            "chow_liu": 2 * n - 1,
            "joint": 2**n - 1,
        }


@pytest.mark.parametrize("n", [2, 8, 33])
def test_networks_count_what_their_formulas_say(n):
    made, nade = (
        MODELS["made"](binary(n), hidden=64, blocks=0),
        MODELS["nade"](binary(n), hidden=64),
    )
    assert made.free_parameters == n * (n - 1) // 2 + n * 65 + 64
    assert nade.free_parameters == (n - 1) * 64 + 64 + n * 65
    assert MODELS["fvsbn"](binary(n)).free_parameters == n * (n + 1) // 2
    transformer, w, layers = MODELS["transformer"](binary(n), width=20, layers=3, heads=2), 20, 3
    assert transformer.free_parameters == 3 * (n - 1) * w + n + 2 * w + layers * (
        12 * w * w + 10 * w
    )


@pytest.mark.parametrize("name", ["independent", "markov", "chow_liu", "joint"])
def test_tabular_models_hold_as_many_numbers_as_they_count(name):
    model = MODELS[name](binary(7))
    assert (
        sum(p.numel() for p in model.parameters())
        == model.free_parameters
        == MODELS[name].count(binary(7))
    )


def test_joint_names_its_size_when_it_refuses():
    assert Joint.accepts(binary(784)) == "joint: 2^784 - 1 parameters"
    assert Joint.accepts(binary(20)) is None and Joint.accepts(binary(21))  # 2^20 events at most
    assert "2,097,151" in Joint.accepts(binary(21))
    assert Joint.accepts(binary(20)) is None


def test_joint_learns_any_table():
    codes = (3, 2, 4)
    schema = Schema((3,), tuple(Category(levels=k) for k in codes))
    p, entropy = random_table(codes)
    drawn = np.random.default_rng(1).choice(len(p), size=60_000, p=p.numpy())
    x = torch.from_numpy(np.stack(np.unravel_index(drawn, codes), 1).astype(np.uint8))
    model = learned("joint", x[:50_000], x[50_000:], schema)
    assert (model.log_prob(schema.all_events()).exp() - p).abs().max() < 0.01
    assert -validation_loss(model, x[50_000:]) == pytest.approx(-entropy, abs=0.03)


def test_chow_liu_finds_the_tree_that_made_the_data():
    """A chain in shuffled order; and the same tree as an independent implementation's on the same weights."""
    generator, order = torch.Generator().manual_seed(0), [3, 0, 4, 1, 2]
    x = torch.zeros(20_000, 5, dtype=torch.uint8)
    x[:, order[0]] = torch.randint(2, (20_000,), generator=generator)
    for before, after in zip(order, order[1:], strict=False):
        flip = torch.rand(20_000, generator=generator) < 0.15
        x[:, after] = torch.where(flip, 1 - x[:, before], x[:, before])
    model = learned("chow_liu", x, x[:2000], binary(5))
    edges = {frozenset((i, p)) for i, p in enumerate(model.parents.tolist()) if p >= 0}
    assert edges == {frozenset(pair) for pair in zip(order, order[1:], strict=False)}


def test_the_heaviest_tree_is_networkx_heaviest_tree():
    for seed in range(20):
        weights = torch.rand(9, 9, generator=torch.Generator().manual_seed(seed))
        weights = weights + weights.T
        tree = nx.maximum_spanning_tree(nx.from_numpy_array(weights.numpy()))
        ours = {frozenset((i, p)) for i, p in enumerate(heaviest_tree(weights)) if p >= 0}
        assert ours == {frozenset(edge) for edge in tree.edges}


def test_mutual_information_is_scikit_learns():
    from sklearn.metrics import mutual_info_score

    codes = (2, 5, 3)
    x = torch.stack(
        [torch.randint(k, (500,), generator=torch.Generator().manual_seed(k)) for k in codes], 1
    )
    x[:, 2] = torch.where(x[:, 1] > 2, x[:, 2], x[:, 1].clamp(max=2))
    model = ChowLiu(Schema((3,), tuple(Category(levels=k) for k in codes)))
    found = pairwise_information(model.statistics(x.float()), codes)
    for i in range(3):
        for j in range(3):
            assert float(found[i, j]) == pytest.approx(
                mutual_info_score(x[:, i], x[:, j]), abs=1e-9
            )


def test_markov_of_order_k_is_counting():
    """Without smoothing the tables are ratios of counts."""
    x = (torch.rand(3000, 5, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    x[:, 2:] = ((x[:, 2:] + x[:, :-2]) > 0.5).float()
    model = Markov(binary(5), k=2)
    model.fill(model.statistics(x), [1e-9] * 5)
    rows = (x[:, 1] == 1) & (x[:, 2] == 0)
    ratio = x[rows, 3].mean()
    event = torch.tensor([[0.0, 1.0, 0.0, 1.0, 1.0]])
    assert float(model.predict(event).log_prob(event)[0, 3].exp()) == pytest.approx(
        float(ratio), abs=1e-6
    )


def test_a_higher_order_nests_a_lower_one():
    x = (torch.rand(500, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    likelihoods = []
    for k in (1, 2, 3):
        model = Markov(binary(6), k=k)
        model.fill(model.statistics(x), [1e-9] * 6)
        likelihoods.append(float(model.log_prob(x).mean()))
    assert likelihoods == sorted(likelihoods)


def backed_off(rows, i, before, x, strengths):
    """p_j(x_i = x | the values `before` of the j nearest earlier variables), written out."""
    if not before:
        return (sum(row[i] == x for row in rows) + 1 / CHAIN[i]) / (len(rows) + 1)
    fitting = [row for row in rows if row[i - len(before) : i] == before]
    lower = backed_off(rows, i, before[1:], x, strengths[:-1])
    return (sum(row[i] == x for row in fitting) + strengths[-1] * lower) / (
        len(fitting) + strengths[-1]
    )


CHAIN = (2, 3, 2, 4, 3)


def test_back_off_is_the_formula():
    """Order 3 with other strengths at each order; the first variables have fewer neighbours."""
    chance, schema = (
        np.random.default_rng(0),
        Schema((5,), tuple(Category(levels=k) for k in CHAIN)),
    )
    x = torch.from_numpy(np.stack([chance.integers(k, size=40) for k in CHAIN], 1))
    model, strengths = Markov(schema, k=3), (0.7, 5.0, 2.0)
    sums = model.statistics(x.float())
    tables = model._marginals(sums)
    for order in (1, 2, 3):
        tables = model._refine_tables(sums, tables, order, [strengths[order - 1]] * 5)
    model._store(tables)
    events = schema.all_events()[::3]
    found = model.predict(events).log_prob(events).double().exp()
    rows = x.tolist()
    for event, own in zip(events.long().tolist(), found.tolist(), strict=True):
        want = [
            backed_off(rows, i, event[max(i - 3, 0) : i], event[i], strengths[: min(i, 3)])
            for i in range(5)
        ]
        assert own == pytest.approx(want, abs=1e-6)
    model.fill(sums, [5.0] * 5)
    assert float(model.predict(events).log_prob(events)[0, 4].exp()) == pytest.approx(
        backed_off(rows, 4, events[0].long().tolist()[1:4], int(events[0, 4]), (5.0,) * 3), abs=1e-6
    )


def chain_of_order_one(n, seed):
    generator = torch.Generator().manual_seed(seed)
    x, flip = (
        torch.randint(2, (n, 8), generator=generator),
        torch.rand(n, 8, generator=generator) < 0.2,
    )
    for i in range(1, 8):
        x[:, i] = x[:, i - 1] ^ flip[:, i]
    return x.to(torch.uint8)


def smoothed_at_once(model, train, valid):
    """Order k smoothed straight towards the marginals, as without back-off; strengths chosen on validation."""
    sums = model.statistics(train.float())

    def fill(strengths):
        for i, counts in model.tables.split(sums):
            model.tables.set_table(i, smooth_counts(counts, strengths[i]))

    fill(model.strengths(fill, [valid.float()]))
    return model


def test_back_off_keeps_a_high_order_harmless_on_few_rows():
    train, valid, fresh = (
        chain_of_order_one(300, 0),
        chain_of_order_one(300, 1),
        chain_of_order_one(20_000, 2),
    )
    first, third, fifth = (
        -validation_loss(learned("markov", train, valid, binary(8), k=k), fresh) for k in (1, 3, 5)
    )
    without, far_without = (
        -validation_loss(smoothed_at_once(Markov(binary(8), k=k), train, valid), fresh)
        for k in (3, 5)
    )
    ideal = log(0.5) + 7 * (0.2 * log(0.2) + 0.8 * log(0.8))
    assert first == pytest.approx(ideal, abs=0.1)
    assert abs(third - first) < 0.05 and abs(fifth - first) < 0.05
    assert without < third - 0.05 and far_without < fifth - 0.1


def test_smoothing_is_the_formula():
    counts = torch.tensor([[3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    prior = torch.tensor([3.5, 1.5], dtype=torch.float64) / 5
    assert torch.allclose(
        smooth_counts(counts, 2.0), (counts + 2 * prior) / (counts.sum(1, keepdim=True) + 2)
    )


def test_the_strength_of_smoothing_is_chosen_on_validation():
    """Few rows of independent bits: the best joint is close to the independent model."""
    x = (torch.rand(400, 8, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8)
    joint, independent = (
        learned(name, x[:200], x[200:], binary(8)) for name in ("joint", "independent")
    )
    ideal = 8 * (0.3 * log(0.3) + 0.7 * log(0.7))
    assert -validation_loss(joint, x[200:]) == pytest.approx(
        -validation_loss(independent, x[200:]), abs=0.1
    )
    assert -validation_loss(joint, x[200:]) == pytest.approx(ideal, abs=0.3)


@pytest.mark.parametrize("name", ["joint", "chow_liu", "markov"])
def test_what_always_follows_is_believed_after_few_rows(name):
    """A bit and its copy: the weakest smoothing is best, and hardly any."""
    x = torch.tensor([[0, 0], [1, 1]], dtype=torch.uint8).repeat(20, 1)
    assert log(2) < validation_loss(learned(name, x, x, binary(2)), x) < log(2) + 0.02


def test_nade_is_the_recurrence_written_out():
    model = MODELS["nade"](binary(5), hidden=7, activation="sigmoid", dropout=0.0).eval()
    model.initialise(generator_for(torch.device("cpu"), 1))
    x = (torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    total, activation = torch.zeros(6), model.bias.expand(6, -1)
    for i in range(5):
        p = torch.sigmoid(torch.sigmoid(activation) @ model.readout[i] + model.shift[i])
        total = total + torch.where(x[:, i] > 0, p, 1 - p).log()
        if i < 4:
            activation = activation + x[:, i, None] * model.weight[i]
    assert torch.allclose(model.log_prob(x), total, atol=1e-5)


def test_nade_gradients_in_double_precision():
    schema = Schema(
        (4,), (Category(levels=3), Category(levels=2), Category(levels=2), Category(levels=4))
    )
    model = MODELS["nade"](schema, hidden=5, activation="sigmoid", dropout=0.0).double().eval()
    model.initialise(generator_for(torch.device("cpu"), 1))
    x = schema.all_events()[::7]

    names = ("weight", "bias", "readout", "shift")

    def loss(*tensors):
        return torch.func.functional_call(
            model, dict(zip(names, tensors, strict=True)), (), {}, strict=False
        )

    model.forward = lambda: model.log_prob(x).sum()
    assert torch.autograd.gradcheck(loss, [getattr(model, name) for name in names])


def test_fvsbn_is_logistic_regression():
    """Each conditional, learned to the end without a penalty, is scikit-learn's on the earlier columns."""
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 5, generator=generator).round()
    flip = torch.rand(400, 2, generator=generator) < 0.3
    x[:, 2], x[:, 4] = (
        torch.where(flip[:, 0], x[:, 2], x[:, 0]),
        torch.where(flip[:, 1], x[:, 4], x[:, 1] * x[:, 3]),
    )
    model = MODELS["fvsbn"](binary(5)).double()
    descent = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14
    )

    def loss():
        descent.zero_grad()
        total = -model.log_prob(x.double()).mean()
        total.backward()
        return total

    descent.step(loss)
    for i in range(1, 5):
        regression = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, :i], x[:, i])
        want = torch.from_numpy(regression.predict_proba(x[:, :i]))
        assert torch.allclose(model.predict(x.double()).one(i).log_probs.exp(), want, atol=1e-5)
    assert model.linear.bias[0].sigmoid().item() == pytest.approx(float(x[:, 0].mean()), abs=1e-6)


THREES = Schema(
    (4,), (Category(levels=3), Category(levels=2), Category(levels=2), Category(levels=4))
)


def normed(v, layer):
    centred = v - v.mean()
    return centred / ((centred**2).mean() + layer.eps) ** 0.5 * layer.weight + layer.bias


def written_out(model, event, seen):
    """The head's parameters of one event by loops over tokens and heads: token t sees the tokens `seen[t]`."""
    order, heads = model.order, model.heads
    tokens = []
    for t, i in enumerate(order[:-1]):
        own = model.embedding.weight[model.embedding.starts[t] : model.embedding.starts[t + 1]]
        tokens.append(model.inputs.one(event[None, i], i)[0] @ own + model.network.places[t])
    for block in model.network.blocks:
        project, merge = block.attention.project.weight, block.attention.merge
        q, k, v = ([part @ normed(x, block.before) for x in tokens] for part in project.chunk(3))
        after = []
        for t, x in enumerate(tokens):
            mixed = []
            for own in torch.arange(model.width).chunk(heads):
                fit = torch.stack(
                    [q[t][own] @ k[s][own] / (model.width / heads) ** 0.5 for s in seen[t]]
                )
                mixed.append(
                    sum(share * v[s][own] for share, s in zip(fit.softmax(0), seen[t], strict=True))
                )
            x = x + merge.weight @ torch.cat(mixed) + merge.bias
            inner = block.enter.weight @ normed(x, block.between) + block.enter.bias
            gelu = inner * (1 + torch.erf(inner / 2**0.5)) / 2
            after.append(x + block.leave.weight @ gelu + block.leave.bias)
        tokens = after
    parameters = model.shift.clone()
    for place, i in enumerate(model.read):
        t = order.index(i) - 1
        own = model.readout.weight[model.readout.starts[place] : model.readout.starts[place + 1]]
        parameters[model.head.slice(i)] += own @ normed(tokens[t], model.network.norm)
    return parameters


@pytest.mark.parametrize(
    ("context", "seen"),
    [((), [[0], [0, 1], [0, 1, 2]]), ((3, 1), [[0, 1], [0, 1], [0, 1, 2]])],
    ids=["", "context"],
)
def test_the_transformer_is_the_formula_written_out(context, seen):
    model = MODELS["transformer"](THREES, width=6, heads=2, context=context)
    model = shake_weights(model).double().eval()
    x = THREES.all_events()[::5].double()
    want = model.head(torch.stack([written_out(model, event, seen) for event in x])).log_prob(x)
    assert torch.allclose(model.predict(x).log_prob(x), want, atol=1e-10)


@pytest.mark.parametrize(("context", "calls"), [((), 19), ((4, 7, 2), 17)])
def test_the_transformer_looks_once_at_each_variable_when_it_draws(monkeypatch, context, calls):
    asked, sound = [], functional.scaled_dot_product_attention

    def attention(query, key, value, **how):
        asked.append((query.shape[2], key.shape[2]))
        return sound(query, key, value, **how)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attention)
    model = MODELS["transformer"](binary(20), width=8, layers=1, heads=2, context=context)
    model.eval().sample(3, generator_for(torch.device("cpu"), 0))
    assert len(asked) == calls
    assert sum(new for new, _ in asked) == 19  # the last variable is never looked at
    assert [of for _, of in asked] == list(range(20 - calls, 20))


def test_the_transformer_names_its_size_when_it_refuses():
    assert MODELS["transformer"].accepts(binary(1024)) is None
    assert "1,025 variables" in MODELS["transformer"].accepts(binary(1025))
    with pytest.raises(ValueError, match="multiple of heads"):
        MODELS["transformer"](binary(3), width=10, heads=4)


@pytest.mark.parametrize("name", ["fvsbn", "transformer"])
def test_networks_start_near_the_marginals(name):
    x = (
        torch.rand(500, 8, generator=torch.Generator().manual_seed(0))
        < torch.linspace(0.05, 0.9, 8)
    ).to(torch.uint8)
    model, independent = MODELS[name](binary(8)), learned("independent", x, x, binary(8))
    model.initialise(generator_for(torch.device("cpu"), 0))
    model.initialise_from(x)
    assert validation_loss(model.eval(), x) == pytest.approx(
        validation_loss(independent, x), abs=0.1
    )


def test_made_averages_its_masks_conditionals():
    one, many = (
        MODELS["made"](binary(6), hidden=16, masks=1),
        MODELS["made"](binary(6), hidden=16, masks=3),
    )
    many.initialise(generator_for(torch.device("cpu"), 1))
    one.load_state_dict(many.state_dict())
    x = binary(6).all_events()
    parts = []
    for degrees in many.degrees.table:
        one.degrees.table = degrees[None]
        parts.append(one.eval().predict(x).log_probs.exp())
    assert torch.allclose(
        many.eval().predict(x).log_probs.exp(), torch.stack(parts).mean(0), atol=1e-6
    )


def test_plans_refuse_nonsense():
    with pytest.raises(ValueError, match="steps"):
        replace(Plan(1), steps=0)


@pytest.mark.parametrize("codes", [2, 3, 50])
def test_balanced_numbers_give_the_same_probabilities_as_free_logits(codes):
    free = torch.randn(
        7, codes - 1, generator=generator_for(torch.device("cpu"), 1), dtype=torch.float64
    )
    assert torch.allclose(
        symmetric_log_softmax(symmetric_logits(free)), free_log_softmax(free), atol=1e-12
    )
    if codes > 2:  # a step of one length changes the logits by one length, whatever its direction
        logs = symmetric_log_softmax(free)
        centred = logs - logs.mean(1, keepdim=True)
        assert torch.allclose(centred.norm(dim=1), free.norm(dim=1), atol=1e-12)
