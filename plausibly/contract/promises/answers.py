"""Promises of answers to any question about one variable."""

from __future__ import annotations

from plausibly.capabilities import AnyOrderModel
from plausibly.contract.draws import random_events, some_observed
from plausibly.contract.enumeration import change, node_log_probs, spread_ranks
from plausibly.contract.examination import Examination, node_tolerance
from plausibly.contract.promise import promise
from plausibly.contract.result import larger
from plausibly.events.evidence import Evidence


@promise(AnyOrderModel, "largest deviation of an answer's total from 1", within=node_tolerance)
def answers_sum_to_one(exam: Examination[AnyOrderModel]) -> float:
    """p(x_i | observed) of every variable that is not observed."""
    evidence, worst = some_observed(exam.model, 64), 0.0
    outcome, free = exam.model.predict_given(evidence), ~evidence.observed.flatten(1).cpu()
    for i, kind in enumerate(exam.schema.kinds):
        if free[:, i].any():
            off = node_log_probs(outcome.one(i), kind, evidence.x).exp().sum(0) - 1
            worst = larger(worst, float(off[free[:, i]].abs().max()))
    return worst


@promise(AnyOrderModel, "change of an answer when only unobserved cells change", within=1e-4)
def answers_see_observed_only(exam: Examination[AnyOrderModel]) -> float:
    """Rows that agree in what is observed are answered alike."""
    evidence = some_observed(exam.model, 32)
    x = evidence.x
    others = random_events(exam.schema, len(x), 5).to(x.device).view(x.shape)
    outcome = exam.model.predict_given(evidence)
    other = exam.model.predict_given(evidence.with_events(evidence.fill(others)))
    worst = 0.0
    for i, kind in enumerate(exam.schema.kinds):
        free = (~evidence.observed.flatten(1)[:, i]).nonzero()[:, 0]
        if len(free):
            one, two = outcome.one(i).rows(free), other.one(i).rows(free)
            worst = larger(worst, change(one, two, kind, x[free]))
    return worst


@promise(
    AnyOrderModel, "difference of a conditional between predict_given and predict", within=1e-3
)
def answers_follow_the_order(exam: Examination[AnyOrderModel]) -> float:
    """p(x_i | all before it in the order) is the conditional that log p(x) is made of."""
    x, order, kinds = exam.events()[:16], list(exam.model.order), exam.schema.kinds
    predicted, worst = exam.model.predict(x), 0.0
    for rank in spread_ranks(len(order), 32):
        i, evidence = order[rank], Evidence.some(x, order[:rank])
        answer = exam.model.predict_given(evidence).one(i)
        worst = larger(worst, change(answer, predicted.one(i), kinds[i], x.flatten(1)))
    return worst
