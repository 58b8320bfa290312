"""Promises of the chain rule: conditionals in one order."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, drive_unrolled
from plausibly.contract.draws import random_events
from plausibly.contract.enumeration import change, node_log_probs, spread_ranks
from plausibly.contract.examination import Examination, node_tolerance
from plausibly.contract.promise import promise
from plausibly.contract.result import larger
from plausibly.outcomes.outcome import Single


@promise(AutoregressiveModel, "the order names every variable once")
def order_is_a_permutation(exam: Examination[AutoregressiveModel]) -> float:
    return float(sorted(exam.model.order) != list(range(exam.schema.size)))


@promise(
    AutoregressiveModel, "largest deviation of a conditional's total from 1", within=node_tolerance
)
def conditionals_sum_to_one(exam: Examination[AutoregressiveModel]) -> float:
    x, worst = exam.draws(64), 0.0
    outcome = exam.model.predict(x)
    for i, kind in enumerate(exam.schema.kinds):
        totals = node_log_probs(outcome.one(i), kind, x).exp().sum(0)
        worst = larger(worst, float((totals - 1).abs().max()))
    return worst


@promise(
    AutoregressiveModel, "change of a conditional when only later variables change", within=1e-4
)
def no_variable_sees_a_later_one(exam: Examination[AutoregressiveModel]) -> float:
    """Two sets of rows that agree up to a place in the order must agree on every conditional up to the next."""
    model, order, kinds = exam.model, list(exam.model.order), exam.schema.kinds
    x, y = (random_events(exam.schema, 16, seed).to(exam.device) for seed in (1, 2))
    predicted, worst = model.predict(x.view(-1, *exam.schema.shape)), 0.0
    for rank in spread_ranks(len(order), 128 if len(order) <= 128 else 64):
        mixed, i = y.clone(), order[rank]
        mixed[:, order[:rank]] = x[:, order[:rank]]
        other = model.predict(mixed.view(-1, *exam.schema.shape))
        worst = larger(worst, change(predicted.one(i), other.one(i), kinds[i], x))
    return worst


@promise(AutoregressiveModel, "difference of a conditional between unroll and predict", within=1e-3)
def unroll_agrees_with_predict(exam: Examination[AutoregressiveModel]) -> float:
    x = random_events(exam.schema, 8, 3).to(exam.device)
    predicted = exam.model.predict(x.view(-1, *exam.schema.shape))
    changes = dict[int, float]()

    def choose(i: int, outcome: Single) -> Tensor:
        changes[i] = change(outcome, predicted.one(i), exam.schema.kinds[i], x)
        return x[:, i]

    returned = drive_unrolled(exam.model.unroll(len(x)), choose)
    whole = tuple(changes) == tuple(exam.model.order) and torch.equal(returned.flatten(1), x)
    return reduce(larger, changes.values()) if whole else float("inf")
