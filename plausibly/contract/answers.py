"""Promises of answers to any question about one variable."""

from __future__ import annotations

import torch

from plausibly.capabilities import AnyOrderModel
from plausibly.contract.draws import events_for, random_events, some_observed
from plausibly.contract.enumeration import change, node_log_probs
from plausibly.contract.result import Result, near


@torch.no_grad()
def answers_sum_to_one(model: AnyOrderModel) -> Result:
    """p(x_i | observed) of every variable that is not observed."""
    x, observed = some_observed(model, 64)
    outcome, worst = model.predict_given(x, observed), 0.0
    for i, kind in enumerate(model.schema.kinds):
        totals = (
            node_log_probs(outcome.one(i), kind, x).exp().sum(0)[~observed.flatten(1)[:, i].cpu()]
        )
        worst = max(worst, float((totals - 1).abs().max())) if len(totals) else worst
    tolerance = 2e-4 if model.schema.continuous else 1e-5  # float32 nodes of a narrow density
    return near(
        "answers_sum_to_one", worst, tolerance, "largest deviation of an answer's total from 1"
    )


@torch.no_grad()
def answers_see_observed_only(model: AnyOrderModel) -> Result:
    """Rows that agree in what is observed are answered alike."""
    x, observed = some_observed(model, 32)
    y = torch.where(observed, x, random_events(model.schema, len(x), 5).to(x.device).view(x.shape))
    outcome, other, worst = model.predict_given(x, observed), model.predict_given(y, observed), 0.0
    for i, kind in enumerate(model.schema.kinds):
        free = (~observed.flatten(1)[:, i]).nonzero()[:, 0]
        if len(free):
            one, two = outcome.one(i).rows(free), other.one(i).rows(free)
            worst = max(worst, change(one, two, kind, x[free]))
    return near(
        "answers_see_observed_only",
        worst,
        1e-4,
        "change of an answer when only unobserved cells change",
    )


@torch.no_grad()
def answers_follow_the_order(model: AnyOrderModel) -> Result:
    """p(x_i | all before it in the order) is the conditional that log p(x) is made of."""
    x, order = events_for(model)[:16], list(model.order)
    predicted, worst = model.predict(x), 0.0
    for rank in torch.linspace(0, len(order) - 1, min(len(order), 32)).long().tolist():
        observed, i = torch.zeros_like(x, dtype=torch.bool), order[rank]
        observed.flatten(1)[:, order[:rank]] = True
        answer = model.predict_given(x, observed).one(i)
        worst = max(worst, change(answer, predicted.one(i), model.schema.kinds[i], x.flatten(1)))
    return near(
        "answers_follow_the_order",
        worst,
        1e-3,
        "difference of a conditional between predict_given and predict",
    )
