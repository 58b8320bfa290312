"""The members of a mixture side by side, variable by variable in one order: their conditionals, weighed anew at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    TractableModel,
    Unrolled,
    device_of,
)
from plausibly.events.evidence import Evidence
from plausibly.outcomes.mixtures import mix_outcomes
from plausibly.outcomes.outcome import Single

NUMBERS_PER_BATCH = 1 << 22  # numbers of evidence held at a time


def unroll_in_step(unrolled: Sequence[Unrolled], order: Sequence[int], running: Tensor) -> Unrolled:
    """Unrolls the mixture of models that are unrolled in one order, from their log weights `running`, (n, models)."""
    steps = [next(one)[1] for one in unrolled]
    for rank, i in enumerate(order):
        value = yield i, mix_outcomes(steps, running.log_softmax(1))
        running = running + torch.stack([step.log_prob(value) for step in steps], 1)
        if rank < len(order) - 1:
            steps = [one.send(value)[1] for one in unrolled]
    for one in unrolled:
        x = finish_unrolled(one, value)
    return x


def finish_unrolled(unrolled: Unrolled, value: Tensor) -> Tensor:
    """The events that an unrolled model returns after its last value."""
    try:
        unrolled.send(value)
    except StopIteration as done:
        return cast(Tensor, done.value)
    raise RuntimeError("an unrolled model goes on after its last variable")


def chain_mixture(
    chains: Sequence[Sequence[Single]], x: Tensor, order: Sequence[int], running: Tensor
) -> list[Single]:
    """Each variable's mixture of the parts' conditionals, weighed by `running` and p_k(earlier)."""
    flat, outcomes = x.flatten(1), dict[int, Single]()
    for i in order:
        steps = [steps[i] for steps in chains]
        outcomes[i] = mix_outcomes(steps, running.log_softmax(1))
        running = running + torch.stack([step.log_prob(flat[:, i]) for step in steps], 1)
    return [outcomes[i] for i in range(len(order))]


def chain_conditionals(
    member: AutoregressiveModel, x: Tensor, order: tuple[int, ...]
) -> list[Single]:
    """p(x_i | earlier in `order`) of each variable, which may be another order than the member's own."""
    if member.order == order or not isinstance(member, TractableModel):
        outcome = member.predict(x)
        return [outcome.one(i) for i in range(len(order))]
    ranks = torch.tensor(order, device=x.device).argsort()
    many = max(1, NUMBERS_PER_BATCH // max(len(x) * sum(member.schema.codes), 1))
    return [
        single
        for variables in torch.arange(len(order), device=x.device).split(many)
        for single in _predict_each(member, x, variables, ranks)
    ]


def _predict_each(
    member: TractableModel, x: Tensor, variables: Tensor, ranks: Tensor
) -> list[Single]:
    """p(x_i | those of lower rank) of each of the variables."""
    many = x.repeat(len(variables), *[1] * (x.ndim - 1))
    seen = (ranks < ranks[variables, None]).repeat_interleave(len(x), 0)
    outcome = member.predict_given(Evidence(many, seen.view(many.shape)))
    each = torch.arange(len(many), device=x.device).view(len(variables), len(x))
    return [outcome.one(i).rows(rows) for i, rows in zip(variables.tolist(), each, strict=True)]


def chain_where(
    member: TractableModel, x: Tensor, order: tuple[int, ...], weighs: Tensor
) -> list[Single]:
    """The same, of the rows in which a member has a weight; in others they are of some row."""
    if weighs.all():
        return chain_conditionals(member, x, order)
    rows = (
        weighs.nonzero()[:, 0]
        if weighs.any()
        else torch.zeros(1, dtype=torch.long, device=x.device)
    )
    place = (weighs.cumsum(0) - 1).clamp(min=0)
    return [single.rows(place) for single in chain_conditionals(member, x[rows], order)]


def unroll_in_order(model: AnyOrderModel, order: tuple[int, ...], n: int) -> Unrolled:
    """Unrolls a model in any order."""
    known = Evidence.nothing(torch.zeros(n, *model.schema.shape, device=device_of(model)))
    for i in order:
        known = known.with_known(i, (yield i, model.predict_given(known).one(i)))
    return known.x
