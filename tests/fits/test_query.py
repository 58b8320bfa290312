"""Any question to an exact model: against enumeration, quadrature, and an independent library."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pyagrum
import pytest
import torch
from oracles import accepting, quantile, within_codes
from planting import finds
from scipy import integrate

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    DecomposableModel,
    TractableModel,
)
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.data.loading import load
from plausibly.errors import Unsupported, UserError
from plausibly.evaluation.answers.answers import QUANTILE_LEVELS
from plausibly.evaluation.answers.curves import CodeCDF
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Grid, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families import tabular
from plausibly.families.particles import LookaheadTree
from plausibly.families.semirings import SUM, Semiring, log_matmul, max_matmul
from plausibly.fitting.api import fit
from plausibly.models import MODELS, gaussian
from plausibly.models.joint import Joint
from plausibly.models.markov import Markov
from plausibly.system.randomness import LikeliestGenerator, generator_for
from plausibly.tasks.complete import complete, complete_by_ascent
from plausibly.tasks.information import entropy, entropy_of, information
from plausibly.tasks.query import GapQuery, query

CPU = torch.device("cpu")
CODES = Schema(
    (5,),
    (
        Category(2),
        Level(3),
        Category(2, missing=True),
        Category(1, rare=(3, 1), open=True),
        Level(2, width=3),
    ),
)
REALS = Schema(
    (3,),
    (
        Real(3.0, 0.5, (-1.0, 0.5, 2.0), (0.3, 2.0)),
        Category(2, missing=True),
        Real(edges=(0.0, 1.0), missing=True),
    ),
)
TRACTABLE = [name for name, model in MODELS.items() if issubclass(model, TractableModel)]
DECOMPOSABLE = [name for name in TRACTABLE if issubclass(MODELS[name], DecomposableModel)]
FIXED = [name for name in accepting(CODES) if not issubclass(MODELS[name], AnyOrderModel)]
CASES = [(n, s) for n in TRACTABLE for s in (CODES, REALS) if MODELS[n].accepts(s) is None]
EXACT = [(n, s) for n, s in CASES if n in DECOMPOSABLE]


def made_up(name, schema=CODES):
    """In double precision, so that what differs is not rounding; events stay single."""
    model = shake_weights(MODELS[name].tiny(schema)).eval().double()
    if issubclass(MODELS[name], tabular.TabularModel):
        model.binning.float()
    return model


class Enumeration:
    """All combinations of codes of a model with their probabilities; real variables stand in the middle of their bin."""

    def __init__(self, model):
        self.schema, binning = model.schema, Binning(model.schema)
        self.codes = torch.cartesian_prod(*(torch.arange(k) for k in self.schema.codes)).view(
            -1, self.schema.size
        )
        self.events = binning.middle(self.codes)
        starts = torch.tensor([0, *self.schema.codes]).cumsum(0)[:-1]
        self.peaks = binning.peaks()[self.codes + starts]
        self.inside = torch.from_numpy(
            np.concatenate([k.code_entropies() for k in self.schema.kinds])
        )[self.codes + starts]
        self.weights = self.schema.likeliest_inside(holes=False)[self.codes + starts]
        with torch.no_grad():
            self.density = model.log_prob(self.events).double()
        self.logs = self.density - self.peaks.sum(1)

    def given(self, row, seen):
        """Which combinations agree with a row, and their log p given that one does."""
        fits = ((self.codes == self.codes[row]) | ~torch.tensor(seen)).all(1)
        return fits, self.logs[fits] - self.logs[fits].logsumexp(0)

    def table(self, row, seen, *variables):
        """p(variables | seen), an array over their codes."""
        fits, logs = self.given(row, seen)
        found = torch.zeros([self.schema.codes[i] for i in variables], dtype=torch.float64)
        return found.index_put_(
            tuple(self.codes[fits][:, i] for i in variables), logs.exp(), accumulate=True
        )


def questions(schema, n=12, seed=0):
    """Random rows and subsets of observed variables, nothing and all but one among them."""
    chance = np.random.default_rng(seed)
    for number in range(n):
        seen = chance.random(schema.size) < (0.0, 0.99, 0.5, 0.3)[number % 4]
        seen[chance.integers(schema.size)] = False
        yield int(chance.integers(np.prod(schema.codes))), seen


def finite(outcome):
    """Log probabilities of the codes of one row's variable."""
    return getattr(outcome, "inner", outcome).log_probs[0]


@pytest.mark.parametrize(("name", "schema"), CASES)
def test_queries_agree_with_enumeration(name, schema):
    model = made_up(name, schema)
    truth = Enumeration(model)
    assert float(truth.logs.logsumexp(0)) == pytest.approx(0, abs=1e-6)
    for row, seen in questions(schema):
        x, observed = truth.events[row][None], torch.tensor(seen)[None]
        for i in (~seen).nonzero()[0]:
            found = query(model, Evidence(x, observed), int(i), generator_for(CPU, 0))
            assert found.word == "exact"
            assert (finite(found.outcome).exp() - truth.table(row, seen, int(i))).abs().max() < 1e-6


def completions_agree(model, schema, rule=complete):
    truth = Enumeration(model)
    for row, seen in questions(schema):
        x, observed = truth.events[row][None], torch.tensor(seen)[None]
        fits, _ = truth.given(row, seen)
        height = truth.density + truth.weights.masked_fill(torch.tensor(seen), 0.0).sum(1)
        best = height[fits].max()
        found = rule(model, Evidence(x, observed))
        if not torch.equal(found[observed], x[observed]):
            return False
        codes = model.schema.event_codes(found)[0]
        if abs(float(height[(truth.codes == codes).all(1)] - best)) > 1e-6:
            return False
    return True


@pytest.mark.parametrize(("name", "schema"), EXACT)
def test_completions_agree_with_enumeration(name, schema):
    assert completions_agree(made_up(name, schema), schema)


@pytest.mark.parametrize("name", ["independent", "markov", "chow_liu"])
def test_ascent_finds_as_probable_a_completion(name):
    """The search for models with something hidden, on small models where the best is known."""
    assert completions_agree(made_up(name, binary(6)), binary(6), complete_by_ascent)


def test_a_completion_is_not_each_cells_own_best():
    model = Markov(binary(2))
    with torch.no_grad():
        model.tables.set_table(0, torch.tensor([[0.4, 0.6]]))
        model.tables.set_table(1, torch.tensor([[0.99, 0.01], [0.5, 0.5]]))
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    assert complete(model, Evidence(torch.ones(1, 2), nothing)).tolist() == [[0, 0]]
    assert model.predict_given(Evidence(torch.zeros(1, 2), nothing)).one(0).mode().tolist() == [1]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_chains_of_any_order(order):
    schema = Schema((4,), (Category(3), Category(2), Category(2, missing=True), Category(3)))
    model = shake_weights(Markov(schema, k=order)).eval().double()
    truth = Enumeration(model)
    assert completions_agree(model, schema)
    for row, seen in questions(schema):
        found = entropy(model, Evidence(truth.events[row][None], torch.tensor(seen)[None]))
        _, logs = truth.given(row, seen)
        assert float(found) == pytest.approx(-float(logs.exp() @ logs), abs=1e-9)


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        (SUM, True),
        (Semiring(torch.amax, log_matmul), True),
        (Semiring(torch.logsumexp, max_matmul), True),
        (Semiring(torch.amax, lambda weights, table: max_matmul(weights, table).roll(1, 1)), True),
        (tabular.MAX, False),
    ],
    ids=[
        "sums for maxima",
        "sums in products",
        "sums in totals",
        "a message to the wrong code",
        "sound",
    ],
)
def test_a_wrong_recursion_is_seen(monkeypatch, fault, broken):
    monkeypatch.setattr(tabular, "MAX", fault)
    schema = Schema((4,), (Category(3), Category(3), Category(3), Category(3)))
    sound = all(
        completions_agree(made_up(name, schema), schema)
        for name in ("markov", "chow_liu", "independent")
    ) and (completions_agree(shake_weights(Markov(schema, k=2)).eval().double(), schema))
    assert sound is not broken


@finds("completions_are_highest", "entropies_are_means", alone=True)
def test_the_contract_sees_wrong_completions_and_entropies(monkeypatch):
    model = shake_weights(Markov(Schema((5,), (Category(3),) * 5)))
    assert not any(result.broken for result in run_checks(model))
    monkeypatch.setattr(Markov, "complete", lambda self, evidence, weights: evidence.x)
    sound = Markov.entropy_given
    monkeypatch.setattr(Markov, "entropy_given", lambda self, evidence: 0.9 * sound(self, evidence))
    return model


@pytest.mark.parametrize(("name", "schema"), EXACT)
def test_entropies_agree_with_enumeration(name, schema):
    """Of values: what is inside codes counts too, and a real one's density is per unit of its column."""
    model = made_up(name, schema)
    truth = Enumeration(model)
    for row, seen in questions(schema):
        fits, logs = truth.given(row, seen)
        inside = truth.inside[fits][:, ~torch.tensor(seen)].sum(1)
        found = entropy(model, Evidence(truth.events[row][None], torch.tensor(seen)[None]))
        assert float(found) == pytest.approx(float(logs.exp() @ (inside - logs)), abs=1e-6)


def test_differential_entropy_by_quadrature():
    schema = Schema((2,), (Category(2), Real(3.0, 0.5, (-1.0, 0.5, 2.0), (0.3, 2.0), missing=True)))
    model = made_up("joint", schema)
    hole, nothing = (
        torch.tensor([[0.0, 2.0**101], [1.0, 2.0**101]]),
        torch.zeros(1, 2, dtype=torch.bool),
    )

    def term(value, code):
        event = torch.tensor([[code, (value - 3.0) / 0.5]], dtype=torch.float64)
        log_p = float(model.log_prob(event).detach()) - np.log(0.5)
        return -np.exp(log_p) * log_p

    cuts = [3 + 0.5 * e for e in (-15, -1, 0.5, 2, 80)]
    want = sum(
        integrate.quad(term, a, b, args=(c,))[0]
        for c in (0.0, 1.0)
        for a, b in zip(cuts, cuts[1:], strict=False)
    )
    logs = model.log_prob(hole).double().detach()
    want -= float(logs.exp() @ logs)
    assert float(entropy(model, Evidence(torch.zeros(1, 2), nothing))) == pytest.approx(
        want, abs=1e-5
    )


@pytest.mark.parametrize(("name", "schema"), CASES)
def test_information_agrees_with_enumeration(name, schema):
    """What is inside codes tells nothing, so that values and codes share as much."""
    model = made_up(name, schema)
    truth = Enumeration(model)
    for row, seen in questions(schema, 6, seed=1):
        for a, b in product((~seen).nonzero()[0].tolist(), repeat=2):
            if a != b:
                p = truth.table(row, seen, a, b)
                want = float((p * (p / p.sum(0) / p.sum(1, keepdim=True)).log()).nansum())
                found = information(
                    model, Evidence(truth.events[row][None], torch.tensor(seen)[None]), a, b
                )
                assert found == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_order_is_exact_where_it_says_so(name):
    model = made_up(name)
    truth, tree = Enumeration(model), LookaheadTree(model, generator_for(CPU, 1))
    for row, seen in questions(CODES):
        x, observed = truth.events[row][None], torch.tensor(seen)[None]
        for i in (~seen).nonzero()[0].tolist():
            found = query(model, Evidence(x, observed), i, generator_for(CPU, 0))
            assert found.word == "exact" and found.effective is None
            want = truth.table(row, seen, i)
            assert (finite(found.outcome).exp() - want).abs().max() < 1e-6
            asked = GapQuery(model, i, generator_for(CPU, 0), 500)
            estimate, told = asked.weigh_gaps(tree, Evidence(x, observed).with_known(i, 0))
            assert (finite(estimate).exp() - want).abs().max() < 6 * 0.5 / float(
                told
            ) ** 0.5 and 100 < told <= 2500


def test_more_gaps_than_can_be_weighed_are_an_estimate():
    """12 unobserved variables before what is observed: against the sum over their 3^12 values... of a chain."""
    schema = Schema((12,), (Category(3),) * 12)
    model, seen = shake_weights(Markov(schema)).eval(), torch.zeros(1, 12, dtype=torch.bool)
    seen[0, 11] = True
    rule = query.rules[AutoregressiveModel][1]
    found = rule(model, Evidence(torch.ones(1, 12), seen), 9, generator_for(CPU, 0), 4000)
    want = query(model, Evidence(torch.ones(1, 12), seen), 9, generator_for(CPU, 0)).outcome
    assert found.word == "estimate"
    assert (finite(found.outcome).exp() - finite(want).exp()).abs().max() < 0.05


def test_rows_that_know_different_cells_are_each_answered_by_their_own():
    """The last is 1 where one of the others is, 9 times in 10: both tell of the third, one alone tells nothing."""
    model, x = Joint(binary(3)), torch.tensor([[1.0, 0.0, 1.0]] * 3)
    odd = model.schema.all_events().sum(1) % 2
    with torch.no_grad():
        model.tables.set_table(0, torch.where(odd == 0, 0.9, 0.1)[None] / 4)
    seen = torch.tensor([[True, False, True], [True, False, False], [False, False, True]])
    rule = query.rules[AutoregressiveModel][1]
    found = rule(model, Evidence(x, seen), 1, generator_for(CPU, 0), 4000)
    assert found.word == "estimate"
    assert found.outcome.log_probs[:, 0].exp().tolist() == pytest.approx([0.9, 0.5, 0.5], abs=0.05)


@pytest.mark.parametrize("name", FIXED)
def test_real_targets_of_a_fixed_order(name):
    schema = Schema((2,), (Real(), Real(missing=True)))
    if MODELS[name].accepts(schema):
        pytest.skip("takes no real numbers")
    model, noise = made_up(name, schema).float(), generator_for(CPU, 0)
    first, second = (model.order.index(i) for i in (0, 1))
    x = torch.tensor([[0.3, 0.4]])
    earlier, later = (
        torch.tensor([[first == 0, second == 0]]),
        torch.tensor([[first == 1, second == 1]]),
    )
    next_one, other = model.order[1], model.order[0]
    exact = query(model, Evidence(x, earlier), next_one, noise)
    assert exact.word == "exact"
    assert torch.equal(
        exact.outcome.log_prob(x[:, next_one]),
        model.predict(x).one(next_one).log_prob(x[:, next_one]),
    )
    found = query(model, Evidence(x, later), other, noise)
    assert found.word == "exact"
    grid = torch.linspace(-40, 40, 20_001)
    rows = x.repeat(len(grid), 1)
    rows[:, other] = grid
    with torch.no_grad():
        p = model.log_prob(rows).double().softmax(0)
    mean = float(p @ grid.double())
    spread = float(p @ (grid.double() - mean) ** 2) ** 0.5
    assert float(found.outcome.mean()) == pytest.approx(mean, abs=1e-3 * spread)
    share = float(found.outcome.below(torch.tensor([mean])))
    below = np.interp(mean, grid + 0.002, p.cumsum(0))  # a point stands for 0.002 to either side
    assert share == pytest.approx(below, abs=1e-3)


def test_what_is_refused_has_its_reason():
    x, nothing = torch.zeros(1, 5), torch.zeros(1, 5, dtype=torch.bool)
    for task, arguments in ((entropy, ()), (information, (0, 1)), (complete, ())):
        with pytest.raises(Unsupported, match=f"made does not answer {task.name}"):
            task(made_up("made"), x, nothing, *arguments)


# normals and mixtures of them


def test_a_normals_completion_and_entropy_are_the_textbooks(monkeypatch):
    """With a column that may hold what is no number: the entropy by the sum over what is one."""
    schema = Schema((4,), (Real(2.0, 3.0), Real(scale=0.5, open=True), Real(), Real(open=True)))
    model = made_up("gaussian", schema)
    covariance, mean = model.covariance().detach().numpy(), model.mean.detach().numpy()
    x, observed = torch.tensor([[0.5, 9.0, -1.0, 9.0]]), torch.tensor([[True, False, True, False]])
    gain = covariance[np.ix_([1, 3], [0, 2])] @ np.linalg.inv(covariance[np.ix_([0, 2], [0, 2])])
    want = mean[[1, 3]] + gain @ (np.array([0.5, -1.0]) - mean[[0, 2]])
    assert complete(model, Evidence(x, observed))[0, [1, 3]].numpy() == pytest.approx(
        want, abs=1e-5
    )
    left = covariance[np.ix_([1, 3], [1, 3])] - gain @ covariance[np.ix_([0, 2], [1, 3])]
    p = (1 - model.unforeseen.sigmoid()).detach().numpy()
    nats = -sum(q * np.log(q) + (1 - q) * np.log(1 - q) for q in p) + p[0] * np.log(0.5)
    for kept in product((True, False), repeat=2):
        share = np.prod(np.where(kept, p, 1 - p))
        nats += share * 0.5 * np.linalg.slogdet(2 * np.pi * np.e * left[np.ix_(kept, kept)])[1]
    assert float(entropy(model, Evidence(x, observed))) == pytest.approx(nats, abs=1e-6)
    monkeypatch.setattr(gaussian, "MAX_OPEN_VARIABLES", 2)  # as many as there are
    assert float(entropy(model, Evidence(x, observed))) == pytest.approx(nats, abs=1e-6)
    closed = made_up("gaussian", Schema((3,), (Real(),) * 3))
    left = closed.covariance().detach().numpy()[1:, 1:]
    shared = -0.5 * np.log(1 - left[0, 1] ** 2 / left[0, 0] / left[1, 1])
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    assert information(closed, Evidence(torch.zeros(1, 3), nothing), 1, 2) == pytest.approx(
        shared, abs=1e-4
    )


@pytest.mark.parametrize("parts", ["independent", "chow_liu"])
def test_mixtures_complete_as_well_as_enumeration(parts):
    model = MODELS["mixture"](CODES, parts=parts, components=3)
    model.allocate(3)
    model = shake_weights(model).eval()
    assert completions_agree(model, CODES)
    assert complete.word(type(model)) == "approximate"


# inside codes


KINDS = [
    Level(5, width=4),
    Grid(atoms=(0, 7), edges=(-5, 3, 9), tails=(4.0, 7.5)),
    Grid(atoms=(2, 3, 4), edges=(2, 5, 6), tails=(0.5, 1.0), open=True, missing=True),
    Grid(edges=(0,), tails=(3.0, 3.0)),
    Grid(
        atoms=(2,), edges=(-5, 3, 40), tails=(4.0, 2.0), repeats=(-5, 1, 8), shares=(0.2, 0.1, 0.2)
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_values_do_inside_codes(kind):
    """Against the sum over all values that are not too improbable to count."""
    values = np.arange(20) if isinstance(kind, Level) else np.arange(-400, 500)
    codes, logs = kind.code(values), kind.log_within(values)
    for code in range(kind.regular):
        own, p, log_p = values[codes == code], np.exp(logs[codes == code]), logs[codes == code]
        assert p.sum() == pytest.approx(1)
        assert kind.code_means()[code] == pytest.approx(p @ own)
        assert kind.code_entropies()[code] == pytest.approx(-(p @ log_p))
        assert kind.log_peaks()[code] == pytest.approx(log_p.max())
        for value in (-30, -6, -5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 40):
            assert kind.probability_below(value)[code] == pytest.approx(
                p[own <= value].sum(), abs=1e-12
            )
    likeliest = kind.draw(np.arange(kind.regular), LikeliestGenerator())
    assert kind.log_within(likeliest) == pytest.approx(kind.log_peaks()[: kind.regular])
    assert (kind.code(likeliest) == np.arange(kind.regular)).all()


def test_rare_levels_inside_their_code():
    kind = Category(2, rare=(3, 1), missing=True)
    assert kind.code_entropies() == pytest.approx(
        [0, 0, -0.75 * np.log(0.75) - 0.25 * np.log(0.25), 0]
    )
    assert kind.log_peaks() == pytest.approx([0, 0, np.log(0.75), 0])
    assert kind.draw(np.array([2]), LikeliestGenerator()).tolist() == [2]


def test_real_numbers_inside_their_bins():
    kind = Real(3.0, 0.5, (-1.0, 0.5, 2.0), (0.3, 2.0), missing=True)
    schema = Schema((1,), (kind,))
    binning = Binning(schema)
    ranges = [(-60, -1), (-1, 0.5), (0.5, 2), (2, 200)]
    for code, (low, high) in enumerate(ranges):

        def density(value):
            return (
                float(
                    binning.digitise(torch.tensor([[(value - 3.0) / 0.5]], dtype=torch.float64))[
                        1
                    ].exp()
                )
                / 0.5
            )

        a, b = 3 + 0.5 * low + 1e-9, 3 + 0.5 * high - 1e-9
        kinks = {"points": [3 + 0.5 * (low + 58 if code == 0 else 4)]} if code in (0, 3) else {}
        mean = integrate.quad(lambda v: v * density(v), a, b, limit=200, **kinks)[0]
        nats = integrate.quad(
            lambda v: -density(v) * np.log(max(density(v), 1e-300)), a, b, limit=200, **kinks
        )[0]
        assert kind.code_means()[code] == pytest.approx(mean, abs=1e-5)
        assert kind.code_entropies()[code] == pytest.approx(nats, abs=1e-5)
        middle = float(kind.code_means()[code])
        assert kind.probability_below(middle)[code] == pytest.approx(
            integrate.quad(density, a, middle, limit=200)[0], abs=1e-5
        )
        highest = max(density(a + 1e-6), density(b - 1e-6))
        assert binning.peaks()[code] == pytest.approx(np.log(highest * 0.5), abs=1e-4)
    assert binning.entropies()[:4] + np.log(0.5) == pytest.approx(kind.code_entropies()[:4])


def test_quantiles_against_all_values():
    kind, chance = KINDS[1], np.random.default_rng(0)
    p = chance.dirichlet(np.ones(kind.codes))
    values = np.arange(-400, 500)
    weights = p[kind.code(values)] * np.exp(kind.log_within(values))
    want = [float(values[np.searchsorted(weights.cumsum(), q - 1e-12)]) for q in QUANTILE_LEVELS]
    found = CodeCDF(kind, p[None])
    mean, places = within_codes(kind, p, QUANTILE_LEVELS)
    assert mean == pytest.approx(weights @ values) and found.mean()[0] == pytest.approx(mean)
    assert places == want and found.quantiles(np.array(QUANTILE_LEVELS))[:, 0].tolist() == want
    assert quantile(lambda v: v / 3, 0.5, 0.0, 3.0, 0.0) == pytest.approx(1.5)


def test_the_entropy_of_a_normal():
    from plausibly.outcomes.densities import MixtureDensity

    kind = Real(1.0, 2.0)
    one = MixtureDensity(torch.zeros(1, 1), torch.tensor([[0.2]]), torch.tensor([[0.7]]))
    want = 0.5 * np.log(2 * np.pi * np.e * (0.7 * 2) ** 2)
    assert float(entropy_of(one, kind, 1)) == pytest.approx(want, abs=1e-5)
    assert float(one.below(torch.tensor([0.2 + 0.7 * 1.6448536]))) == pytest.approx(0.95, abs=1e-6)


# an independent library


def network_of(model):
    """The same distribution as a Bayesian network of pyAgrum's, whose inference is its own."""
    network, schema = pyagrum.BayesNet(), model.schema
    for i, k in enumerate(schema.codes):
        network.add(pyagrum.LabelizedVariable(f"v{i}", "", k))
    parents = getattr(model, "parent_of", tuple(range(-1, schema.size - 1)))
    for i, table in enumerate(model.tables.each()):
        if parents[i] < 0:
            network.cpt(f"v{i}").fillWith(table[0].exp().tolist())
            continue
        network.addArc(f"v{parents[i]}", f"v{i}")
        for code, row in enumerate(table.exp().tolist()):
            network.cpt(f"v{i}")[{f"v{parents[i]}": code}] = row
    return network


@pytest.mark.parametrize("name", ["markov", "chow_liu"])
def test_an_independent_library_agrees(name):
    schema = Schema((7,), tuple(Category(k) for k in (2, 3, 4, 2, 3, 2, 3)))
    model = shake_weights(MODELS[name](schema)).eval().double()
    if name == "chow_liu":
        model._plant([-1, 0, 0, 1, 1, 2, 4])
        model = shake_weights(model).eval().double()
    model.requires_grad_(False)
    network = network_of(model)
    for seen in ([], [3], [0, 6], [1, 4, 5]):
        x, observed = torch.tensor([[1.0, 2, 3, 0, 1, 1, 2]]), torch.zeros(1, 7, dtype=torch.bool)
        observed[0, seen] = True
        inference = pyagrum.LazyPropagation(network)
        inference.setEvidence({f"v{i}": int(x[0, i]) for i in seen})
        inference.makeInference()
        for i in set(range(7)) - set(seen):
            p = query(model, Evidence(x, observed), i, generator_for(CPU, 0)).outcome
            assert finite(p).exp().numpy() == pytest.approx(
                inference.posterior(f"v{i}").toarray(), abs=1e-6
            )
            assert float(entropy_of(p, schema.kinds[i], 1)) == pytest.approx(
                inference.H(f"v{i}") * np.log(2), abs=1e-6
            )
        inference = pyagrum.LazyPropagation(network)
        inference.setEvidence({f"v{i}": int(x[0, i]) for i in seen})
        fits = [
            e for e in schema.all_events().long().tolist() if all(e[i] == x[0, i] for i in seen)
        ]
        cell = network.completeInstantiation()
        heights = [
            network.log2JointProbability(cell.fromdict({f"v{i}": k for i, k in enumerate(e)}))
            for e in fits
        ]
        best = fits[int(np.argmax(heights))]
        assert complete(model, Evidence(x, observed))[0].tolist() == best
        assert float(model.log_marginal(Evidence(x, observed))) == pytest.approx(
            np.log(inference.evidenceProbability()), abs=1e-6
        )
        pair = [i for i in (0, 2, 5) if i not in seen][:2]
        joint = pyagrum.LazyPropagation(network)
        joint.setEvidence({f"v{i}": int(x[0, i]) for i in seen})
        joint.addJointTarget({f"v{i}" for i in pair})
        p = joint.jointPosterior({f"v{i}" for i in pair}).toarray()
        want = (p * np.log(p / (p.sum(0, keepdims=True) * p.sum(1, keepdims=True)))).sum()
        assert information(model, Evidence(x, observed), *pair) == pytest.approx(want, abs=1e-5)


# as users ask


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder, chance, n = tmp_path_factory.mktemp("people"), np.random.default_rng(0), 1500
    city = chance.choice(["Rome", "Oslo", "Lima"], n, p=[0.5, 0.3, 0.2])
    income = np.round(chance.gamma(3, 1, n) + (city == "Oslo") * 3) * 10
    frame = {
        "age": chance.integers(2, 8, n) * 10,
        "income": np.where(chance.random(n) < 0.2, np.nan, income),
        "city": city,
    }
    frame["height"] = chance.normal(170, 10, n) + (city == "Oslo") * 15
    pd.DataFrame(frame).to_csv(folder / "people.csv", index=False)
    return fit(folder / "people.csv", "markov", out=folder / "run")


def test_levels_and_numbers_come_as_the_file_spells_them(people):
    found = people.query("city", {"height": 200})
    assert found.levels[0][0] == "Oslo"
    assert found.word == "exact"
    assert sum(p for _, p in found.levels) + found.hole + found.unforeseen == pytest.approx(1)
    assert list(found.frame.columns) == ["city", "probability"]
    specials = [p for p in (found.hole, found.unforeseen) if p]
    assert found.frame["probability"].tolist() == [p for _, p in found.levels] + specials
    income, plain = people.query("income", {"city": "Oslo"}), people.query("income")
    assert (
        income.quantiles[0.05] < income.quantiles[0.5] < income.mean * 1.2 < income.quantiles[0.95]
    )
    assert income.mean > plain.mean + 10
    told = dict(income.frame.itertuples(index=False))
    assert told["mean"] == income.mean and told["95 %"] == income.quantiles[0.95]
    assert told["p(hole)"] == income.hole
    assert plain.hole == pytest.approx(0.2, abs=0.06)
    height = people.query("height")
    assert height.differential and not income.differential
    assert height.mean == pytest.approx(174.5, abs=3)
    assert "income" in repr(income) and "<table" in income._repr_html_()


def test_estimates_follow_many_samples(people):
    """A second way to the same numbers: what is drawn given the same."""
    given = {"city": "Rome"}
    drawn = people.sample(8000, given=given)["age"].to_numpy(dtype=float)
    found = people.query("age", given)
    assert found.mean == pytest.approx(drawn.mean(), abs=6 * drawn.std() / 8000**0.5)
    assert (drawn <= found.quantiles[0.25]).mean() == pytest.approx(0.25, abs=0.2)  # few ages


def test_entropy_and_information_of_columns(people):
    alone = people.query("city").entropy_bits * np.log(2)
    told = people.information("city", "income")
    assert told == pytest.approx(people.information("income", "city"), abs=1e-6)
    assert 0.02 < told < alone
    chain = alone + sum(
        p * people.entropy({"city": level}) for level, p in people.query("city").levels
    )
    assert people.entropy() == pytest.approx(chain, abs=0.02)  # but for cities never seen
    every = {"age": 30, "height": 170.0, "income": 20}
    city = people.query("city", every)  # which may be one never seen: that is apart from all else
    apart = -city.unforeseen * np.log(city.unforeseen) - (1 - city.unforeseen) * np.log1p(
        -city.unforeseen
    )
    whole = apart + (1 - city.unforeseen) * people.entropy(every)
    assert city.unforeseen > 0 and whole == pytest.approx(city.entropy_bits * np.log(2), abs=1e-6)


def test_completed_rows(people):
    rows = pd.DataFrame(
        {"age": [30, None], "income": [None, 90.0], "city": [None, "Oslo"], "height": [171.5, None]}
    )
    full = people.complete(rows)
    assert full.notna().all(axis=None)
    assert (full["age"][0], full["height"][0], full["city"][1], full["income"][1]) == (
        30,
        171.5,
        "Oslo",
        90.0,
    )
    pd.testing.assert_frame_equal(full, people.complete(rows))
    # no other value of a cell is more probable
    for city in ("Rome", "Lima", "Oslo"):
        other = full.assign(city=[city, "Oslo"])
        assert people.log_prob(other)[0] <= people.log_prob(full)[0] + 1e-6


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("cty", {}, "there is no column 'cty' (did you mean 'city'?)"),
        (
            "age",
            {"city": "Rom"},
            "'Rom' was never seen in column 'city' (did you mean 'Rome'?); it holds Rome, Oslo, Lima",
        ),
        ("city", {"city": "Rome"}, "'city' is given; ask for a column that is not"),
        ("city", {"age": ""}, "no value is given for 'age'"),
    ],
)
def test_questions_that_cannot_be_asked(people, target, given, message):
    with pytest.raises(UserError) as error:
        people.query(target, given)
    assert message in str(error.value)


def test_questions_on_the_command_line(cli, people):
    status, out, err = cli(
        "query",
        people.path,
        "city",
        "--given",
        "age=30",
        "height=200",
        "--about",
        "income",
        "--json",
    )
    assert status == 0, err
    answer = json.loads(out)
    assert answer["word"] == "exact"
    assert answer["levels"][0]["value"] == "Oslo"
    assert answer["information_bits"] >= 0
    assert "entropy" in cli("query", people.path, "height")[1]
    assert cli("query", people.path, "cty")[0] == 2
    pd.DataFrame({"city": [""], "age": [30], "height": [""], "income": [""]}).to_csv(
        "holes.csv", index=False
    )
    status, out, _ = cli(
        "impute", people.path, "holes.csv", "--most-probable", "--out", "full.csv", "--json"
    )
    assert (status, json.loads(out)["completed"]) == (0, "exact")
    assert pd.read_csv("full.csv").notna().all(axis=None)
    assert (
        cli(
            "impute", people.path, "holes.csv", "--most-probable", "--draws", "2", "--out", "x.csv"
        )[0]
        == 2
    )


def test_arrays_are_asked_by_place(tmp_path):
    chance = np.random.default_rng(0)
    shared = chance.normal(size=(300, 1))
    run = fit(
        np.hstack([shared, shared + 0.1 * chance.normal(size=(300, 1))]),
        "chow_liu",
        out=tmp_path / "real",
    )
    assert run.query("1", {"0": "1.5"}).mean > run.query("1", {"0": -1.5}).mean + 1
    assert (run.sample(3, given={"0": 0.5})[:, 0] == 0.5).all()
    with pytest.raises(UserError, match="'x' is no number"):
        run.query("1", {"0": "x"})
    run = fit((chance.random((200, 4)) < 0.5).astype(np.uint8), "markov", out=tmp_path / "bits")
    assert (run.sample(3, given={"2": 1})[:, 2] == 1).all()
    assert {level for level, _ in run.query("1", {"2": 1}).levels} == {"0", "1"}
    table = np.column_stack([chance.integers(0, 5, 200) * 1000.0, chance.normal(size=200)])
    assert (
        fit(table, "chow_liu", out=tmp_path / "mixed").sample(3, given={"0": 2000})[:, 0] == 2000
    ).all()


def test_images_are_asked_by_pixel(tmp_path):
    run = fit("digits-binary", "independent", out=tmp_path / "run")
    assert run.query("pixel 3,4", {"pixel 3,3": 1}).word == "exact"
    assert load("digits-binary").schema.size == len(run.names)
