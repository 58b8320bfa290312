"""Tasks and evaluation against enumeration and formulas."""

from itertools import pairwise, product
from math import log

import numpy as np
import pytest
import torch
from oracles import accepting

from plausibly.capabilities import AutoregressiveModel, BoundedModel, DensityModel, Model
from plausibly.contract.checks import shake_weights
from plausibly.data.events import Events
from plausibly.errors import Unsupported
from plausibly.evaluation.abilities import model_entries
from plausibly.evaluation.likelihood.likelihood import (
    ExactLikelihood,
    LikelihoodEstimate,
    LikelihoodLowerBound,
    LikelihoodUpperBound,
    likelihood,
    likelihood_difference,
)
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families import particles
from plausibly.families.particles import LookaheadTree
from plausibly.models import MODELS
from plausibly.models.independent import Independent
from plausibly.models.markov import Markov
from plausibly.runs.board import Board, BoardRow
from plausibly.system.randomness import generator_for
from plausibly.tasks import load_tasks
from plausibly.tasks.classify import classify
from plausibly.tasks.impute import impute
from plausibly.tasks.sample import sample
from plausibly.tasks.score import conditionals, marginal, score

SMALL = Schema(
    (4,),
    (Category(levels=2), Level(levels=3), Category(levels=2, missing=True), Category(levels=2)),
)
CPU = torch.device("cpu")


def made_up(name, schema=SMALL):
    return shake_weights(MODELS[name].tiny(schema)).eval()


@pytest.mark.parametrize(
    "name", [n for n in accepting(SMALL) if impute.word(MODELS[n]) != "approximate"]
)
@pytest.mark.parametrize("seen", list(product([False, True], repeat=4)))
def test_filled_cells_follow_the_posterior(name, seen):
    """Draws against p(unobserved | observed, no hole drawn) by enumeration; particles get room for their bias."""
    model, n = made_up(name), 3000
    x = torch.tensor([[1.0, 2.0, 1.0, 0.0]])
    observed = torch.tensor([seen])
    events = SMALL.all_events()
    fits = ((events == x) | ~observed).all(1) & (observed[:, 2] | (events[:, 2] < 2))
    with torch.no_grad():
        p = (model.log_prob(events).double().exp() * fits).numpy()
    p /= p.sum()
    drawn = impute(
        model, Evidence(x, observed, model.schema.allowed(False)).expand(n), generator_for(CPU, 1)
    ).codes
    places = [int(np.ravel_multi_index(row.long().tolist(), SMALL.codes)) for row in drawn]
    share = np.bincount(places, minlength=len(p)) / n
    error = np.sqrt(p * (1 - p) / n + 1e-9)
    bias = 0.0 if impute.word(type(model)) == "exact" else 0.01
    assert (np.abs(share - p) < 6 * error + bias + 1 / n).all()
    assert share[p == 0].sum() == 0


def test_behind_a_prefix_one_particle_is_exact():
    model, n = made_up("made"), 4000
    x, observed = (
        torch.tensor([[1.0, 2.0, 0.0, 0.0]]).expand(n, 4),
        torch.tensor([[True, True, False, False]]).expand(n, 4),
    )
    evidence = Evidence(x, observed, model.schema.allowed(True))
    drawn, again = (
        impute(model, evidence, generator_for(CPU, 2), particles=count).codes for count in (1, 64)
    )
    assert torch.equal(drawn, again)


def test_what_a_later_cell_may_not_be_tells_of_earlier_ones():
    """Behind a prefix, with a later column that may not be filled with a hole: against enumeration."""
    schema = Schema(
        (3,), (Category(levels=2), Category(levels=2), Category(levels=1, missing=True))
    )
    model = MODELS["markov"](schema)
    with torch.no_grad():
        model.tables.set_table(1, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
        model.tables.set_table(
            2, torch.tensor([[0.05, 0.95], [0.9, 0.1]])
        )  # where the second is 0 the third is mostly a hole
    x, observed = torch.zeros(2000, 3), torch.tensor([[True, False, False]]).expand(2000, 3)
    for rule in (impute.rules[AutoregressiveModel][1], impute):
        share = float(
            rule(
                model,
                Evidence(x, observed, model.schema.allowed(False)),
                generator_for(CPU, 1),
                particles=200,
            )
            .codes[:, 1]
            .mean()
        )
        assert abs(share - 0.9 / 0.95) < 0.03


@pytest.mark.parametrize("name", ["vae", "hierarchical_vae"])
def test_a_decoder_starts_where_its_columns_are_independent(name):
    """Before any step rows cost hardly more than their columns do alone, and far less than by even chances."""
    noise = generator_for(CPU, 0)
    x = (torch.rand(200, 8, generator=noise) < 0.03).float()
    model = MODELS[name](binary(8))
    model.initialise(noise)
    model.initialise_from(x)
    p = x.double().mean(0)
    alone = -float((torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum())
    with torch.no_grad():
        found = -float(model.eval().log_bound(x, noise).double().mean())
    assert alone - 0.2 < found < alone + 1 < 4 * log(2)


def test_the_tree_that_looks_ahead_is_the_chains_and_has_no_edge_where_nothing_tells():
    """Each variable's table is the chain's own, and what is independent is known to be but for chance."""
    chain, table = Markov(binary(6)), torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    with torch.no_grad():
        for i in range(1, 6):
            chain.tables.set_table(i, table)
    tree = LookaheadTree(chain, generator_for(CPU, 0))
    assert tree.parents == [-1, 0, 1, 2, 3, 4]
    for i in range(1, 6):
        assert (tree.tables[i].exp() - table).abs().max() < 0.05
    alone = LookaheadTree(Independent(Schema((6,), (Category(5),) * 6)), generator_for(CPU, 0))
    assert alone.parents.count(-1) >= 3


@pytest.mark.parametrize(("size", "rows"), [(6, 64), (50, 20), (500, 8)])
def test_the_tree_is_learned_from_as_many_rows_as_cells_allow(monkeypatch, size, rows):
    monkeypatch.setattr(particles, "TREE_ROWS", (8, 64, 1000))
    model, drawn, sound = Independent(binary(size)), [], Independent.sample
    monkeypatch.setattr(
        Independent, "sample", lambda self, n, noise: (drawn.append(n), sound(self, n, noise))[1]
    )
    LookaheadTree(model, generator_for(CPU, 0))
    assert sum(drawn) == rows and max(drawn) <= 8
    monkeypatch.setattr(particles, "MAX_PAIRS", 4 * size**2 - 1)  # too many to be looked at
    assert LookaheadTree(model, generator_for(CPU, 0)).parents == [-1] * size


@pytest.mark.parametrize(
    "name", [name for name in accepting(SMALL) if marginal.word(MODELS[name]) == "exact"]
)
def test_marginals_of_every_subset(name):
    model, events = made_up(name), SMALL.all_events()
    with torch.no_grad():
        logs = model.log_prob(events).double()
    x = events[::5]
    for seen in product([False, True], repeat=4):
        observed = torch.tensor(seen).expand(len(x), 4)
        want = torch.stack(
            [logs[((events == row) | ~torch.tensor(seen)).all(1)].logsumexp(0) for row in x]
        )
        assert torch.allclose(marginal(model, Evidence(x, observed)), want, atol=1e-5)


@pytest.mark.parametrize("name", accepting(SMALL))
def test_scores_are_sums_of_conditionals(name):
    model, events = made_up(name), SMALL.all_events()
    assert torch.allclose(conditionals(model, events).sum(1), score(model, events), atol=1e-5)


@pytest.mark.parametrize("name", ["independent", "vae"])
def test_progress_of_scores_rises_to_all_rows(name):
    """Of exact scores and of bounds, of several batches."""
    rows, told = Events(torch.zeros(3000, 4), torch.zeros(3000).double()), []
    likelihood(made_up(name), rows, lambda done, total: told.append((done, total)))
    assert told[-1] == (3000, 3000) and len(told) > 1
    assert all(before[0] < after[0] for before, after in pairwise(told))


def test_samples_do_not_depend_on_how_many_are_drawn():
    model = made_up("nade")
    assert torch.equal(sample(model, 600, 3)[:300], sample(model, 300, 3))
    assert sample(model, 0, 3).shape == (0, 4)


def test_a_task_refuses_with_its_reason():
    with pytest.raises(
        Unsupported,
        match="made does not answer marginal: summing variables out is exact only for tractable models",
    ):
        marginal(made_up("made"), Evidence(SMALL.all_events(), torch.ones(1, 4)))


def test_the_registry_tells_tasks_and_refusals():
    for entry in model_entries(binary(8)):
        assert set(entry["tasks"]) | set(entry["refuses"]) == set(load_tasks())
        assert not set(entry["tasks"]) & set(entry["refuses"])
        assert set(entry["tasks"].values()) <= {"exact", "bound", "estimate", "approximate", "yes"}


class HalfBound(BoundedModel):
    """A bound that is off by a known gap."""

    family, formula = "test", "0"

    def __init__(self, inner):
        super().__init__()
        self.inner, self.schema, self.objective = inner, inner.schema, inner.objective

    def sample(self, n, generator):
        return self.inner.sample(n, generator)

    def log_bound(self, x, generator):
        return self.inner.log_prob(x) - 0.5


class OnlySamples(Model):
    family, formula = "test", "0"

    def __init__(self, schema):
        super().__init__()
        self.schema = schema

    def sample(self, n, generator):
        return torch.zeros(n, *self.schema.shape)


def test_the_type_decides_what_a_number_is():
    model, events = made_up("independent"), SMALL.all_events()
    rows = Events(events.to(torch.uint8), torch.linspace(-1, 0, len(events), dtype=torch.float64))
    exact, bound = likelihood(model, rows), likelihood(HalfBound(model), rows)
    assert (type(exact), type(bound), likelihood(OnlySamples(SMALL), rows)) == (
        ExactLikelihood,
        LikelihoodLowerBound,
        None,
    )
    want = model.log_prob(events).detach().double() + rows.log_within
    assert torch.allclose(exact.nats, want, atol=1e-6)
    assert exact.value == pytest.approx(float(want.mean()), abs=1e-6)
    assert exact.standard_error == pytest.approx(float(want.std()) / len(events) ** 0.5, abs=1e-6)
    assert exact.bits_per_variable == pytest.approx(-exact.value / log(2) / 4)
    assert bound.value == pytest.approx(exact.value - 0.5, abs=1e-6)


def test_differences_know_what_they_are():
    a = torch.tensor([-1.0, -2.0, -4.0], dtype=torch.float64)
    b = torch.tensor([-1.5, -2.0, -3.0], dtype=torch.float64)
    cases = {
        (ExactLikelihood, ExactLikelihood): ExactLikelihood,
        (LikelihoodLowerBound, ExactLikelihood): LikelihoodLowerBound,
        (ExactLikelihood, LikelihoodLowerBound): LikelihoodUpperBound,
        (LikelihoodLowerBound, LikelihoodLowerBound): LikelihoodEstimate,
    }
    for (left, right), kind in cases.items():
        found = likelihood_difference(left(a, 3), right(b, 3))
        assert type(found) is kind
        assert found.value == pytest.approx(float((a - b).mean()))


def test_a_board_without_likelihoods_ranks_nobody():
    board = Board(
        [
            BoardRow("gan", "implicit", 10),
            BoardRow("joint", "explicit", refusal="joint: too large"),
        ],
        data="x",
    )
    assert board.best is None
    assert board.frame()["model"].tolist() == ["gan", "joint"]
    assert board.to_json()[0]["test"] is None
    assert "<script>" not in Board([BoardRow("<script>", "x", 1)])._repr_html_()


def test_each_capability_adds_to_the_one_above():
    exact = [model for model in MODELS.values() if issubclass(model, DensityModel)]
    assert exact
    for model in exact:
        ladder = [kind for kind in model.__mro__ if kind.__module__.endswith("capabilities")]
        assert all(issubclass(a, b) for a, b in zip(ladder, ladder[1:], strict=False))


def test_labels_to_compare_with_stay_as_they_are():
    """Each label is put into a copy of the events; float32 ones, as real columns have them, were given away."""
    schema = Schema((3,), (Category(3), Real(), Category(2)))
    model, x = made_up("made", schema), torch.tensor([[0.0, 1.0, 1.0], [2.0, 0.5, 0.0]])
    assert model.order[-1] != 0
    before, found = x.clone(), classify(model, Evidence.whole(x), 0).log_probs
    assert torch.equal(x, before) and found.exp().sum(1).tolist() == pytest.approx([1, 1])
