"""Promises of what can be drawn from."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Model, TractableModel
from plausibly.contract.draws import draw_events, wrong_cells
from plausibly.contract.enumeration import count_places, describe_scope, place
from plausibly.contract.examination import DRAWS_PER_ROUND, Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.promises.density import SIX_SIGMA, p_value, pool_cells
from plausibly.contract.result import NotMeasured
from plausibly.events.allowed import Allowed
from plausibly.events.schema import Schema
from plausibly.tasks.sample import sample

ALLOWED_DRAWS = 2000


@promise(Model, "samples that are no codes")
def samples_are_events(exam: Examination[Model]) -> float:
    return wrong_cells(exam.schema, exam.draws(64))


@promise(Model, "equal seeds differ, other seeds agree, global generator used")
def generator_decides_samples(exam: Examination[Model]) -> float:
    first, other = exam.draw_round(0), exam.draw_round(1)
    before = torch.get_rng_state()
    again = draw_events(exam.model, DRAWS_PER_ROUND, 0)
    touched = not torch.equal(before, torch.get_rng_state())
    return float(touched + (not torch.equal(first, again)) + torch.equal(first, other))


@promise(AutoregressiveModel, "p-value of", above=SIX_SIGMA)
def allowed_samples_follow(exam: Examination[AutoregressiveModel]) -> Finding:
    """Chi-square of samples of what is allowed against the law that `tasks.sample` names: p(x | allowed), or the product of
    p(x_i | earlier, allowed)."""
    nodes, schema = exam.nodes[0], exam.schema
    variables = nodes.variables
    allowed = restrict_codes(schema, variables)
    if allowed.is_everything:
        raise NotMeasured("no variable that is listed has codes of which some can be barred")
    logs, codes = log_allowed(exam, allowed), [schema.codes[i] for i in variables]
    drawn = schema.event_codes(sample(exam.model, ALLOWED_DRAWS, 0, 0, allowed))
    seen = count_places(drawn[:, list(variables)], codes)
    expected = torch.zeros_like(seen).index_add_(0, place(nodes.cells, codes), logs.softmax(0))
    p = p_value(*pool_cells(seen, ALLOWED_DRAWS * expected / expected.sum()))
    if bool((seen > 0).logical_and(expected == 0).any()):
        p = 0.0
    return Finding(p, f"{ALLOWED_DRAWS:,} samples {describe_scope(schema, variables)}")


def restrict_codes(schema: Schema, variables: tuple[int, ...]) -> Allowed:
    """All but the first code, half of the second's values and no cell never seen, of discrete ones among the variables."""
    shares = [torch.zeros(codes) for codes in schema.codes]
    for i in variables:
        kind = schema.kinds[i]
        if not kind.continuous and kind.regular > 1:
            shares[i][0] = -torch.inf if kind.regular > 2 else log(0.25)
            shares[i][1] = log(0.5)
        if kind.unforeseen and kind.other_code is not None:
            shares[i][kind.other_code] = -torch.inf
    return Allowed(torch.cat(shares))


def log_allowed(exam: Examination[AutoregressiveModel], allowed: Allowed) -> Tensor:
    """The log of the law of what is allowed at each node of the examination, up to a constant."""
    nodes, logs = exam.nodes
    model, points = exam.model, nodes.points
    starts = torch.tensor([0, *exam.schema.codes]).cumsum(0)[list(nodes.variables)]
    logs = logs + allowed.log_shares[nodes.cells + starts].double().sum(1)
    if isinstance(model, TractableModel):
        return logs
    x = torch.zeros(len(points), exam.schema.size)
    x[:, list(nodes.variables)] = points
    each = allowed.split(exam.schema.codes)
    for rows in torch.arange(len(x)).split(4096):
        outcome = model.predict(x[rows].view(-1, *exam.schema.shape).to(exam.device))
        for i in nodes.variables:
            logs[rows] -= outcome.one(i).truncate(each[i])[1].double().cpu()
    return logs
