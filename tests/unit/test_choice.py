"""The choice among fits that have learned."""

from types import SimpleNamespace

from plausibly.events.schema import binary
from plausibly.fitting.choose import choose_fits, cost_of_generality
from plausibly.models import MODELS


def fitted(name, validation):
    """A stand-in for a fit that has learned."""
    record = SimpleNamespace(model=name, validation=validation)
    return SimpleNamespace(record=record, model=MODELS[name].tiny(binary(3)))


def test_the_best_and_the_best_that_answers_any_question():
    fits = [fitted("independent", -3.0), fitted("nade", -1.0), fitted("chow_liu", -2.5)]
    choice = choose_fits(fits)
    assert choice.best is fits[1] and choice.any_order is fits[2]
    said = "chow_liu, which answers any question: -2.500 (1.500 nats per row worse)"
    assert cost_of_generality(choice) == said


def test_generality_costs_nothing_where_the_best_is_general_or_none_is():
    both = choose_fits([fitted("chow_liu", -1.0), fitted("nade", -2.0)])
    assert both.any_order is both.best and cost_of_generality(both) == ""
    neither = choose_fits([fitted("nade", -1.0)])
    assert neither.any_order is None and cost_of_generality(neither) == ""
