"""Promises of the chain rule: conditionals in one order."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, device_of, drive_unrolled
from plausibly.contract.draws import draw_events, random_events
from plausibly.contract.enumeration import change, node_log_probs
from plausibly.contract.result import Result, near
from plausibly.outcomes.outcome import Single


def order_is_a_permutation(model: AutoregressiveModel) -> Result:
    faults = int(sorted(model.order) != list(range(model.schema.size)))
    return near("order_is_a_permutation", faults, 0, "the order names every variable once")


@torch.no_grad()
def conditionals_sum_to_one(model: AutoregressiveModel) -> Result:
    x, worst = draw_events(model, 64), 0.0
    outcome = model.predict(x)
    for i, kind in enumerate(model.schema.kinds):
        totals = node_log_probs(outcome.one(i), kind, x).exp().sum(0)
        worst = max(worst, float((totals - 1).abs().max()))
    tolerance = 2e-4 if model.schema.continuous else 1e-5  # float32 nodes of a narrow density
    return near(
        "conditionals_sum_to_one",
        worst,
        tolerance,
        "largest deviation of a conditional's total from 1",
    )


@torch.no_grad()
def no_variable_sees_a_later_one(model: AutoregressiveModel) -> Result:
    """Two sets of rows that agree up to a place in the order must agree on every conditional up to the next."""
    schema, shape, device, order = (
        model.schema,
        model.schema.shape,
        device_of(model),
        list(model.order),
    )
    x, y = (random_events(model.schema, 16, seed).to(device) for seed in (1, 2))
    ranks = (
        range(len(order))
        if len(order) <= 128
        else torch.linspace(0, len(order) - 1, 64).long().tolist()
    )
    predicted, worst = model.predict(x.view(-1, *shape)), 0.0
    for rank in ranks:
        mixed = y.clone()
        mixed[:, order[:rank]] = x[:, order[:rank]]
        other = model.predict(mixed.view(-1, *shape))
        i = order[rank]
        worst = max(worst, change(predicted.one(i), other.one(i), schema.kinds[i], x))
    return near(
        "no_variable_sees_a_later_one",
        worst,
        1e-4,
        "change of a conditional when only later variables change",
    )


@torch.no_grad()
def unroll_agrees_with_predict(model: AutoregressiveModel) -> Result:
    x = random_events(model.schema, 8, 3).to(device_of(model))
    predicted, worst, visited = model.predict(x.view(-1, *model.schema.shape)), 0.0, []

    def choose(i: int, outcome: Single) -> Tensor:
        nonlocal worst
        visited.append(i)
        worst = max(worst, change(outcome, predicted.one(i), model.schema.kinds[i], x))
        return x[:, i]

    returned = drive_unrolled(model.unroll(len(x)), choose)
    if tuple(visited) != tuple(model.order) or not torch.equal(returned.flatten(1), x):
        worst = float("inf")
    return near(
        "unroll_agrees_with_predict",
        worst,
        1e-3,
        "difference of a conditional between unroll and predict",
    )
