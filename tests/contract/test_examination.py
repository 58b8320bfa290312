"""What promises look at is drawn and listed once, and what could not be measured never says that it holds."""

import json
from math import nan

import pytest
import torch

from plausibly.capabilities import DensityModel, Trainable
from plausibly.cli.console import nan_to_null
from plausibly.cli.judge import PromisesPrintout
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.contract.examination import BOUND_ROUNDS, Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.promises.bounds import (
    bounds_sum_to_at_most_one,
    rows_are_scored_alone,
    samples_reach_the_bound,
)
from plausibly.contract.promises.density import samples_follow_density, sums_to_one
from plausibly.contract.result import NotMeasured, Result
from plausibly.events.kinds import Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.models.independent import Independent
from plausibly.models.vae import VAE


@pytest.fixture
def calls(monkeypatch):
    """The numbers of rows that a VAE was asked to draw, and how often it was asked for bounds."""
    asked = {"sample": [], "log_bound": []}
    sample, log_bound = VAE.sample, VAE.log_bound

    def count_draws(self, n, generator):
        asked["sample"].append(n)
        return sample(self, n, generator)

    def count_bounds(self, x, generator):
        asked["log_bound"].append(len(x))
        return log_bound(self, x, generator)

    monkeypatch.setattr(VAE, "sample", count_draws)
    monkeypatch.setattr(VAE, "log_bound", count_bounds)
    return asked


def test_nothing_is_drawn_twice(calls):
    exam = Examination(shake_weights(VAE.tiny(binary(6))).eval())
    few, many = exam.draws(64), exam.draws(1200)
    assert calls["sample"] == [500, 500, 500] and len(few) == 64 and len(many) == 1200
    assert torch.equal(few, many[:64])
    for given in (many, exam.draw_round(0), exam.events()):
        given.fill_(7)
    assert torch.equal(exam.draws(64), few) and len(calls["sample"]) == 3
    assert exam.events().max() == 1


def test_both_promises_of_bounds_look_at_the_same_rounds(calls):
    exam = Examination(shake_weights(VAE.tiny(binary(6))).eval())
    assert bounds_sum_to_at_most_one(exam).holds and samples_reach_the_bound(exam).holds
    assert calls["log_bound"] == [64] * BOUND_ROUNDS and calls["sample"] == [500] * 20


def test_events_are_listed_once(monkeypatch):
    exam = Examination(shake_weights(Independent(binary(6))).eval())
    assert sums_to_one(exam).holds
    monkeypatch.setattr(Independent, "log_prob", None)
    assert samples_follow_density(exam).holds


class Unordered(DensityModel):
    """A density of numbers that knows no order, as one by a change of variables."""

    def __init__(self, schema):
        super().__init__()
        self.schema, self.shift = schema, torch.nn.Parameter(torch.zeros(schema.size))

    def sample(self, n, generator):
        return self.shift + torch.randn(n, self.schema.size, generator=generator)

    def log_prob(self, x):
        return torch.distributions.Normal(self.shift, 1.0).log_prob(x).sum(1)


def test_a_density_without_a_sum_is_not_measured():
    exam = Examination(Unordered(Schema((2,), (Real(), Real()))).eval())
    for each in (sums_to_one, samples_follow_density):
        assert each(exam).holds is None and "too many events to list" in each(exam).says


def test_what_is_not_measured_says_why_and_not_that_it_holds():
    model = shake_weights(Independent(Schema((2,), (Category(levels=3), Real()))))
    results = list(run_checks(model))
    silent = {result.name for result in results if result.holds is None}
    assert silent == {
        "losses_in_single_precision",
        "bounds_sum_to_at_most_one",
        "samples_reach_the_bound",
        "log_probs_are_at_most_zero",
    }
    *_, table, last = PromisesPrintout(results).blocks()
    assert last == f"all hold that were measured; 4 of {len(results)} were not"
    assert {row[0] for row in table.rows if row[1] == "not measured"} == silent
    document = json.loads(json.dumps(nan_to_null(PromisesPrintout(results).to_json())))
    assert document["holds"] is True
    for check in document["checks"]:
        assert (check["holds"], check["value"]) == (None, None) or check["name"] not in silent


@pytest.mark.parametrize(
    ("verdicts", "hold", "says"),
    [
        ([True, True], True, "all hold"),
        ([True, None], True, "all hold that were measured; 1 of 2 were not"),
        ([None, False], False, "NOT all hold: do not trust this run's numbers"),
    ],
)
def test_the_last_line_of_check(verdicts, hold, says):
    found = PromisesPrintout([Result("a", each, 0.0, 0.0, "") for each in verdicts])
    assert found.hold is hold and list(found.blocks())[-1] == says


def measure(found, **limits):
    def made_up(exam):
        if isinstance(found, NotMeasured):
            raise found
        return found

    exam = Examination(Independent(binary(3)))
    return promise(Trainable, "numbers", **limits)(made_up)(exam)


@pytest.mark.parametrize(
    ("found", "limits", "holds"),
    [
        (0, {}, True),
        (1e-9, {}, False),
        (torch.tensor(0.5), {"within": 0.5}, True),
        (-3.0, {"within": 1e-5}, True),
        (3.0, {"within": lambda exam: exam.schema.size}, True),
        (4.0, {"within": lambda exam: exam.schema.size}, False),
        (0.8, {"around": 1.0, "within": 0.1}, False),
        (1.05, {"around": 1.0, "within": 0.1}, True),
        (0.2, {"above": 0.1}, True),
        (0.1, {"above": 0.1}, False),
        (NotMeasured("there is nothing"), {"within": 1.0}, None),
        *[(nan, limits, False) for limits in ({}, {"around": 1.0, "within": 9}, {"above": 0})],
    ],
)
def test_the_limits_of_a_promise(found, limits, holds):
    result = measure(found, **limits)
    assert result.holds is holds and result.name == "made_up"
    assert result.says == ("there is nothing" if holds is None else "numbers")


def test_a_finding_goes_on_with_what_is_said():
    assert measure(Finding(2.0, "of all events"), within=3.0).says == "numbers of all events"


def test_many_variables_leave_few_rows_to_score():
    exam = Examination(shake_weights(VAE.tiny(binary(300))).eval())
    assert len(exam.draws(64)) == 8 and rows_are_scored_alone(exam).holds
