"""The choice among fits that have learned: by log p of rows that they have not seen, and among equals by a judge.

The log p is that of values, as on the board. Equals are within a standard error of the paired difference to the best. The
judge tells samples from the same rows; the better, the nearer its AUC is to 0.5, from either side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from plausibly.capabilities import AnyOrderModel, Model
from plausibly.data.dataset import Dataset
from plausibly.data.formats.format import leave_out
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import Likelihood, likelihood, likelihood_difference
from plausibly.evaluation.samples.samples import board_rows, judge_auc, pick_rows
from plausibly.fitting.fit import Fit, sampling_speed
from plausibly.runs.fitted import Fitted


@dataclass(frozen=True)
class Candidate:
    """A fit that has learned, the log p of rows that it has not seen, and a judge of its samples, asked among equals.

    `judge` gives the distance of the judge's AUC from 0.5.
    """

    fit: Fit
    held_out: Likelihood
    judge: Callable[[], float]


@dataclass(frozen=True)
class Choice:
    """The best of several fits, and the best of those that answer any question; they may be one.

    `any_order` is None where none of them does.
    """

    best: Fit
    any_order: Fit | None


def choose_fits(candidates: Sequence[Candidate]) -> Choice:
    """The choice among candidates, of which there is one at least."""
    ranked = sorted(candidates, key=lambda each: -each.held_out.value)
    equals = [each for each in ranked if are_equal(each.held_out, ranked[0].held_out)]
    best = min(equals, key=lambda each: each.judge()) if len(equals) > 1 else ranked[0]
    able = [each.fit for each in (best, *ranked) if isinstance(each.fit.model, AnyOrderModel)]
    return Choice(best.fit, next(iter(able), None))


def are_equal(one: Likelihood, best: Likelihood) -> bool:
    """True where the best is no more than a standard error of the paired difference above the other."""
    apart = likelihood_difference(best, one)
    return one is best or apart.value <= apart.standard_error


def held_out_candidate(fit: Fit, dataset: Dataset) -> Candidate:
    """The candidate that a fit is on validation rows."""
    events = leave_out(dataset.format, dataset.valid, fit.model.context)
    held_out = likelihood(fit.model, events)
    assert held_out is not None
    fit.record = fit.record.replace(validation=held_out.value)
    return Candidate(fit, held_out, lambda: judge_distance(fit, dataset))


def judge_distance(fit: Fit, dataset: Dataset) -> float:
    """The distance from 0.5 of the AUC of a judge who tells samples from validation rows; infinite where none can."""
    rows = board_rows(dataset.format, len(dataset.valid), sampling_speed(fit.model))
    if not isinstance(fit.model, Model) or not rows:
        return inf
    seed = fit.record.seed
    try:
        made = Fitted(fit.model, dataset.format).sample_events(rows, seed)
    except UserError:  # of a model that draws hardly any row that could be
        return inf
    real = pick_rows(dataset.valid, rows, seed)
    return abs(judge_auc(dataset.format, made, real, seed).value - 0.5)


def cost_of_generality(choice: Choice) -> str:
    """The words for what a model loses that answers any question; nothing where the best one does, or none of them."""
    if choice.any_order is None or choice.best is choice.any_order:
        return ""
    general = choice.any_order.record
    worse = choice.best.record.validation - general.validation
    return f"{general.model}, which answers any question: {general.validation:.3f} ({worse:.3f} nats per row worse)"
