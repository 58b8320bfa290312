"""Promises of marginals: p of any variables, and draws given any others."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import TractableModel, device_of
from plausibly.contract.draws import some_observed
from plausibly.contract.enumeration import enumerate_events, is_listable, node_log_probs
from plausibly.contract.result import Result, near
from plausibly.outcomes.quadrature import quadrature
from plausibly.system.randomness import Stream, generator_for


def marginals_agree(model: TractableModel) -> Result:
    """With enumeration where all events can be listed; else: all observed gives log p, and a variable more sums to less."""
    x, observed = some_observed(model, 24)
    got = model.log_marginal(x, observed).double().cpu()
    if is_listable(model.schema):
        want = marginal_by_listing(model, x.flatten(1).cpu(), observed.flatten(1).cpu())
        worst, says = (got - want).abs().max(), "nats from the sum over all events"
    else:
        whole = (model.log_marginal(x, torch.ones_like(observed)) - model.log_prob(x)).abs().max()
        worst, says = (
            torch.maximum(whole.cpu(), marginal_gap(model, x, observed, got)),
            "nats between a marginal and its parts",
        )
    return near("marginals_agree", worst, 1e-3, says)


def marginal_by_listing(model: TractableModel, x: Tensor, observed: Tensor) -> Tensor:
    nodes, logs = enumerate_events(model)
    rows = [
        logs[((nodes.points == row) | ~seen).all(1)].logsumexp(0)
        for row, seen in zip(x, observed, strict=True)
    ]
    return torch.stack(rows)


def marginal_gap(model: TractableModel, x: Tensor, observed: Tensor, got: Tensor) -> Tensor:
    """log p(observed) against the sum over one more variable's codes."""
    i = model.schema.size // 2
    more, flat = observed.flatten(1).clone(), x.flatten(1).clone()
    free = ~more[:, i].cpu()
    more[:, i] = True
    parts = []
    outcome = model.predict_given(x, observed).one(i)
    for point, weight in zip(*quadrature(model.schema.kinds[i], outcome, len(x)), strict=True):
        flat[:, i] = point
        parts.append(
            model.log_marginal(flat.view(x.shape), more.view(x.shape)).double().cpu() + weight.log()
        )
    return (
        (torch.stack(parts).logsumexp(0) - got)[free].abs().amax()
        if free.any()
        else torch.zeros(())
    )


def conditionals_agree(model: TractableModel) -> Result:
    """p(x_i | observed) against the ratio of two marginals, for some variables."""
    x, observed = some_observed(model, 12)
    outcome, base, worst = model.predict_given(x, observed), model.log_marginal(x, observed), 0.0
    for i in torch.linspace(0, model.schema.size - 1, min(6, model.schema.size)).long().tolist():
        flat, seen = x.flatten(1).clone(), observed.flatten(1).clone()
        free = ~seen[:, i]
        seen[:, i] = True
        points = quadrature(model.schema.kinds[i], outcome.one(i), len(x))[0]
        for point in points[:: max(1, len(points) // 8)]:
            flat[:, i] = point
            want = (model.log_marginal(flat.view(x.shape), seen.view(x.shape)) - base).exp()
            got = outcome.one(i).log_prob(flat[:, i]).exp()
            worst = max(worst, float((got - want)[free].abs().max()) if free.any() else 0.0)
    return near(
        "conditionals_agree",
        worst,
        1e-4,
        "probability between a conditional and the ratio of two marginals",
    )


def given_samples_follow(model: TractableModel) -> Result:
    """Draws given half of the variables: observed cells stay, and one free variable follows its conditional."""
    x, _ = some_observed(model, 1)
    observed = torch.zeros_like(x, dtype=torch.bool).flatten(1)
    observed[:, 1::2] = True
    many, seen = x.expand(4000, *x.shape[1:]), observed.view(x.shape).expand(4000, *x.shape[1:])
    drawn = model.sample_given(
        many, seen, generator_for(device_of(model), Stream.CHECKED_ANSWERS)
    ).flatten(1)
    kind, outcome = model.schema.kinds[0], model.predict_given(x, observed.view(x.shape)).one(0)
    cells = model.schema.first((0,)).event_codes(quadrature(kind, outcome, 1)[0])[:, 0]
    p = torch.zeros(kind.codes, dtype=torch.float64).index_add_(
        0, cells, node_log_probs(outcome, kind, x)[:, 0].exp()
    )
    counts = torch.bincount(model.schema.event_codes(drawn.cpu())[:, 0], minlength=len(p)).double()
    if kind.unforeseen:
        counts[kind.other_code], p[kind.other_code] = 0.0, 0.0
        p = p * counts.sum() / 4000 / (1 - kind.unforeseen)
    worst = ((counts - 4000 * p).abs() / (4000 * p * (1 - p) + 1).sqrt()).max()
    touched = (drawn[:, 1::2] != many.flatten(1)[:, 1::2]).any()
    return near(
        "given_samples_follow",
        float("inf") if touched else worst,
        6,
        "standard errors between counts and p",
    )
