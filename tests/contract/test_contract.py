"""Every model keeps every promise, on every kind of data that it accepts."""

from inspect import signature

import pytest
import torch

from plausibly.capabilities import BoundedModel
from plausibly.contract import enumeration
from plausibly.contract.checks import promises_for, shake_weights
from plausibly.contract.draws import draw_events
from plausibly.contract.examination import Examination
from plausibly.events.kinds import Category, Grid, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS

SCHEMAS = {
    "one": Schema((1,), (Category(levels=3),)),
    "bits": binary(6),
    "categories": Schema(
        (3,), (Category(levels=2), Category(levels=3, rare=(1, 2), open=True), Category(levels=4))
    ),
    "grids": Schema(
        (2,),
        (
            Grid(atoms=(0, 5, 6), edges=(-3, 5, 10), tails=(4.0, 7.0), missing=True),
            Grid(edges=(0, 9)),
        ),
    ),
    "reals": Schema((2,), (Real(3.0, 0.5, (-1.0, 0.5, 2.0), (0.3, 2.0)), Real(-1.0, 4.0))),
    "open reals": Schema(
        (3,), (Real(open=True), Real(step=0.5), Real(edges=(-1.0, 1.0), open=True))
    ),
    "holes in reals": Schema(
        (3,), (Real(edges=(-1.0, 1.0), missing=True), Category(levels=2), Real(open=True))
    ),
    "table": Schema(
        (4,),
        (
            Category(levels=3, open=True, missing=True),
            Category(levels=2),
            Grid(atoms=(0,), edges=(0, 1), open=True),
            Real(missing=True, open=True),
        ),
    ),
    "cells never seen": Schema(
        (4,),
        (
            Category(levels=2, open=True, unforeseen=0.1),
            Category(levels=3, open=True, missing=True, unforeseen=0.3),
            Category(levels=2),
            Grid(edges=(0, 4), open=True, unforeseen=0.02),
        ),
    ),
    "reals never seen": Schema(
        (3,),
        (
            Real(open=True, unforeseen=0.2),
            Real(edges=(-1.0, 1.0), open=True, unforeseen=0.1),
            Real(open=True),
        ),
    ),
    "a table of cells never seen": Schema(
        (3,),
        (
            Real(edges=(-1.0, 1.0), missing=True, open=True, unforeseen=0.1),
            Category(levels=3, open=True, unforeseen=0.2),
            Real(open=True, unforeseen=0.05),
        ),
    ),
    "many levels": Schema((2,), (Category(levels=80), Level(levels=70, width=2))),
    "image": Schema((1, 2, 3), (Level(levels=3),) * 6),
    "large": binary(21),  # one more than a joint table takes
    "large table": Schema(
        (12,), (Category(levels=3, missing=True), Level(levels=9), Grid(edges=(0, 4, 8))) * 4
    ),
}

CASES = [
    pytest.param(model, schema, id=f"{name}-{data}")
    for name, model in MODELS.items()
    for data, schema in SCHEMAS.items()
    if model.accepts(schema) is None
]


@pytest.mark.parametrize(("model", "schema"), CASES)
def test_contract(model, schema, monkeypatch):
    monkeypatch.setattr(
        enumeration, "MAX_LISTED_EVENTS", 1 << 12
    )  # of 21 bits the first 12 are added up, not 16 as by `check`
    instance = shake_weights(model.tiny(schema)).eval()
    exam = Examination(instance)
    broken = [result for check in promises_for(instance) if (result := check(exam)).broken]
    assert not broken, broken


@pytest.mark.parametrize("context", [(2,), (0, 3), (0, 1, 2)])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, model in MODELS.items()
        if "context" in signature(model).parameters and model.accepts(SCHEMAS["table"]) is None
    ],
)
def test_contract_with_a_context(name, context):
    """A context begins one joint distribution, if any: every promise holds, and its variables are on their own."""
    model, schema = MODELS[name], SCHEMAS["table"]
    instance = shake_weights(
        model(schema, **(model.tiny(schema).arguments | {"context": context}))
    ).eval()
    exam = Examination(instance)
    assert not [result for check in promises_for(instance) if (result := check(exam)).broken]
    if not isinstance(instance, BoundedModel):
        return
    x = draw_events(instance, 50)
    y = x.clone()
    rest = [i for i in range(4) if i not in context]
    y[:, rest] = x[:, rest].roll(1, 0)
    one, other = log_context(instance, x), log_context(instance, y)
    assert one.unique().numel() > 1 and torch.allclose(one, other, atol=1e-3)


@torch.no_grad()
def log_context(model, x):
    """log p(x) - log p(rest | context), with the same noise."""
    whole, given = (
        log(x, torch.Generator().manual_seed(0)) for log in (model.log_bound, model.log_given)
    )
    return whole - given
