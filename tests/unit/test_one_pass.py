"""log p(x) and what each variable adds to it come from one pass, and are to the bit what two passes give."""

import numpy as np
import pytest
import torch
from oracles import accepting

from plausibly.capabilities import AutoregressiveModel
from plausibly.contract.checks import shake_weights
from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Grid, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.tabular import TabularModel
from plausibly.models import MODELS
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.nade import NADE
from plausibly.tasks.score import conditionals, score, score_by_variable

REAL = Real(0.0, 1.0, (-1.0, -0.2, 0.4, 1.3))
SCHEMAS = {
    "bits": binary(5),
    "one bit": binary(1),
    "codes": Schema((4,), (Category(3), Level(4), Category(2, missing=True), Category(2))),
    "reals": Schema((4,), (REAL,) * 4),
    "both": Schema((3,), (Real(missing=True, edges=(0.0, 1.0)), Category(3), REAL)),
    "open": Schema((3,), (Real(open=True), Category(3, open=True), Real(open=True, missing=True))),
    "open reals": Schema((3,), (Real(open=True), Real(), Real(open=True, unforeseen=0.1))),
    "never seen": Schema(
        (3,),
        (
            Category(2, open=True, unforeseen=0.1),
            Grid((0, 2), (0, 3), (1.0, 1.0), open=True, unforeseen=0.2),
            Category(2),
        ),
    ),
}
CASES = [
    (name, words)
    for words, schema in SCHEMAS.items()
    for name in accepting(schema)
    if issubclass(MODELS[name], AutoregressiveModel)
]


def draw_events(schema, rows=40, seed=0):
    """Events with all codes and specials among them."""
    random = np.random.default_rng(seed)
    columns = []
    for kind in schema.kinds:
        if not isinstance(kind, Real):
            columns.append(random.integers(0, kind.codes, rows).astype(float))
            continue
        specials = [UNFORESEEN] * kind.open + [HOLE] * kind.missing
        column = random.normal(size=rows)
        for place, special in enumerate(specials):
            column[place::7] = special
        columns.append(column)
    return torch.from_numpy(np.stack(columns, 1)).float().reshape(rows, *schema.shape)


def equal_bits(a, b):
    return a.shape == b.shape and bool((a.view(torch.int32) == b.view(torch.int32)).all())


@torch.no_grad()
@pytest.mark.parametrize(("name", "words"), CASES)
def test_one_pass_gives_what_two_give(name, words):
    model = shake_weights(MODELS[name].tiny(SCHEMAS[words])).eval()
    every = draw_events(SCHEMAS[words])
    for x in (every, every[:1]):
        whole, each = model.log_prob_by_variable(x)
        assert equal_bits(whole.float(), model.log_prob(x).float())
        assert equal_bits(each.float(), model.predict(x).log_prob(x.flatten(1)).float())
        assert equal_bits(each.float(), model.log_conditionals(x).float())


def test_the_task_gives_what_two_tasks_give():
    model = shake_weights(ChowLiu(SCHEMAS["both"])).eval()
    x = draw_events(SCHEMAS["both"], 3000)  # in several batches
    whole, each = score_by_variable(model, x)
    assert whole.dtype == each.dtype == torch.float64
    assert torch.equal(whole, score(model, x)) and torch.equal(each, conditionals(model, x))


def count_calls(monkeypatch, owner, name):
    calls, sound = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: (calls.append(1), sound(*given))[1])
    return calls


@pytest.mark.parametrize(("kind", "owner", "name"), [
    (NADE, NADE, "outcomes"), (ChowLiu, TabularModel, "each_log_prob")
])  # fmt: skip
def test_a_model_looks_at_rows_once(monkeypatch, kind, owner, name):
    model = shake_weights(kind(binary(4))).eval()
    calls = count_calls(monkeypatch, owner, name)
    score_by_variable(model, torch.zeros(3, 4))
    assert len(calls) == 1


def test_a_log_prob_of_ones_own_is_asked():
    """It may say more than the sum of the conditionals, or say it with other digits."""

    class Own(NADE):
        def log_prob(self, x):
            return super().log_prob(x) + 1

    model = shake_weights(Own(binary(4))).eval()
    x = torch.zeros(3, 4)
    whole, each = score_by_variable(model, x)
    assert torch.equal(whole, score(model, x)) and torch.equal(each, conditionals(model, x))
    assert (whole - each.sum(1) > 0.5).all()
