"""The choice among fits that have learned, and the budget that they share."""

from types import SimpleNamespace

import pytest
import torch

from plausibly.evaluation.likelihood.likelihood import ExactLikelihood
from plausibly.events.schema import binary
from plausibly.fitting import budgets, choose
from plausibly.fitting.budgets import BudgetClock
from plausibly.fitting.choice import Candidate, choose_fits, cost_of_generality
from plausibly.fitting.settings import Settings
from plausibly.models import MODELS


def learned(name, nats, apart=0.0):
    """A stand-in for a candidate: log p of validation rows, and how far from 0.5 the judge's AUC is."""
    held_out = ExactLikelihood(torch.tensor(nats), 3)
    record = SimpleNamespace(model=name, validation=held_out.value)
    fit = SimpleNamespace(record=record, model=MODELS[name].tiny(binary(3)))
    return Candidate(fit, held_out, lambda: apart)


def unasked():
    pytest.fail("the judge is asked among equals alone")


def test_the_best_and_the_best_that_answers_any_question():
    given = [("independent", [-3.0, -3.1]), ("nade", [-1.0, -1.1]), ("chow_liu", [-2.5, -2.6])]
    candidates = [Candidate(one.fit, one.held_out, unasked) for one in (learned(*g) for g in given)]
    choice = choose_fits(candidates)
    assert choice.best is candidates[1].fit and choice.any_order is candidates[2].fit
    said = "chow_liu, which answers any question: -2.550 (1.500 nats per row worse)"
    assert cost_of_generality(choice) == said


def test_generality_costs_nothing_where_the_best_is_general_or_none_is():
    both = choose_fits([learned("chow_liu", [-1.0]), learned("nade", [-2.0])])
    assert both.any_order is both.best and cost_of_generality(both) == ""
    neither = choose_fits([learned("nade", [-1.0])])
    assert neither.any_order is None and cost_of_generality(neither) == ""


@pytest.mark.parametrize(
    ("other", "picked"),
    [
        ([-1.2, -0.9, -1.0], "made"),  # differences of .2, -.1, 0: within their error of .09
        ([-1.2, -1.1, -1.2], "nade"),  # of .2, .1, .2: as large on average, and not by chance
    ],
)
def test_a_judge_decides_among_equals_by_the_error_of_the_paired_difference(other, picked):
    candidates = [learned("nade", [-1.0] * 3, 0.3), learned("made", other, 0.1)]
    assert choose_fits(candidates).best.record.model == picked


def test_among_equals_the_best_stays_where_no_judge_can_say():
    candidates = [
        learned("nade", [-1.0, -3.0], torch.inf),
        learned("made", [-3.0, -1.1], torch.inf),
    ]
    assert choose_fits(candidates).best.record.model == "nade"


def test_the_general_model_is_the_chosen_one_where_the_judge_chose_a_general_one():
    candidates = [learned("independent", [-1.0, -3.0], 0.3), learned("chow_liu", [-3.0, -1.1], 0.1)]
    choice = choose_fits(candidates)
    assert choice.best is choice.any_order is candidates[1].fit


def test_each_fit_gets_what_it_needs_or_an_even_share_of_what_those_before_it_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budgets.time, "monotonic", lambda: now[0])
    clock, kept = BudgetClock(100.0, 90.0), 100.0 * (1 - budgets.TEST_SHARE)
    assert clock.left == pytest.approx(kept - 10)
    assert clock.share(1.0, 2) == pytest.approx((kept - 10) / 3) and clock.share(50.0, 2) == 50
    now[0] += 10
    assert clock.share(1.0, 0) == pytest.approx(kept - 20)


def test_a_fit_that_needs_most_of_what_is_left_is_left_out_while_others_wait(monkeypatch):
    monkeypatch.setattr(budgets.time, "monotonic", lambda: 0.0)
    clock, kept = BudgetClock(100.0, 0.0), 100.0 * (1 - budgets.TEST_SHARE)
    most = budgets.MAX_SHARE * kept
    assert clock.allows(most, 1) and not clock.allows(most + 1, 1)
    assert clock.allows(most + 1, 0) and not clock.allows(kept + 1, 0)
    assert not BudgetClock(100.0, -500.0).allows(0.0, 0)


def test_without_a_budget_a_fit_that_nobody_named_takes_some_minutes_at_most():
    clock, most = BudgetClock(None, 0.0), budgets.MAX_UNASKED_SECONDS
    assert clock.allows(most, 3) and not clock.allows(most + 1, 0) and clock.share(1.0, 3) is None


@pytest.mark.parametrize("settings", [{}, {"budget": 9.0}, {"train": {"steps": 9}}])
def test_a_table_tries_all_whose_log_p_is_exact_and_slow_ones_within_limits(settings):
    dataset = SimpleNamespace(format=SimpleNamespace(table=True))
    chosen = Settings(**{"arguments": {}, "train": {}} | settings)
    tried = choose.models_to_try(dataset, chosen)
    assert {"forest", "made", "nade", "chow_liu", "deepnade"} <= set(tried)
    assert not {"vae", "gan", "vq_vae"} & set(tried)
    assert ("transformer" in tried) == bool(settings)
