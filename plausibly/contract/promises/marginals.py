"""Promises of marginals: p of any variables, and draws given any others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import torch
from torch import Tensor

from plausibly.capabilities import TractableModel
from plausibly.contract.draws import some_observed
from plausibly.contract.enumeration import is_listable, node_log_probs, spread_ranks
from plausibly.contract.examination import Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.result import larger
from plausibly.events.kinds import Kind
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature
from plausibly.system.randomness import Stream, generator_for

ROWS_GIVEN = 4000


@promise(TractableModel, "nats", within=1e-3)
def marginals_agree(exam: Examination[TractableModel]) -> Finding:
    """With enumeration where all events can be listed; else: all observed gives log p, and a variable more sums to less."""
    x, observed = some_observed(exam.model, 24)
    got = exam.model.log_marginal(x, observed).double().cpu()
    if is_listable(exam.schema):
        want = add_events_up(exam, x.flatten(1).cpu(), observed.flatten(1).cpu())
        return Finding((got - want).abs().max(), "from the sum over all events")
    whole = exam.model.log_marginal(x, torch.ones_like(observed)) - exam.model.log_prob(x)
    gap = marginal_gap(exam.model, x, observed, got)
    worst = torch.maximum(whole.abs().max().cpu(), gap)
    return Finding(worst, "between a marginal and its parts")


def add_events_up(exam: Examination[TractableModel], x: Tensor, observed: Tensor) -> Tensor:
    """log p of what is observed, by the sum over all events that agree with it."""
    nodes, logs = exam.nodes
    rows = zip(x, observed, strict=True)
    sums = [logs[((nodes.points == row) | ~seen).all(1)].logsumexp(0) for row, seen in rows]
    return torch.stack(sums)


def marginal_gap(model: TractableModel, x: Tensor, observed: Tensor, got: Tensor) -> Tensor:
    """log p(observed) against the sum over one more variable's codes."""
    i = model.schema.size // 2
    more = observed.flatten(1).clone()
    free = ~more[:, i].cpu()
    more[:, i] = True
    if not free.any():
        return torch.zeros(())
    points, weights = quadrature(
        model.schema.kinds[i], model.predict_given(x, observed).one(i), len(x)
    )
    parts = [
        model.log_marginal(y, more.view(x.shape)).double().cpu() + weight.log()
        for y, weight in zip(put_points(x, i, points), weights, strict=True)
    ]
    return (torch.stack(parts).logsumexp(0) - got)[free].abs().amax()


def put_points(x: Tensor, i: int, points: Tensor) -> Iterator[Tensor]:
    """The events with each of a variable's points in turn, (points, rows)."""
    for point in points:
        flat = x.flatten(1).clone()
        flat[:, i] = point
        yield flat.view(x.shape)


@promise(
    TractableModel, "probability between a conditional and the ratio of two marginals", within=1e-4
)
def conditionals_agree(exam: Examination[TractableModel]) -> float:
    """p(x_i | observed) against the ratio of two marginals, for some variables."""
    x, observed = some_observed(exam.model, 12)
    outcome, base = exam.model.predict_given(x, observed), exam.model.log_marginal(x, observed)
    worst = 0.0
    for i in spread_ranks(exam.schema.size, 6):
        seen = observed.flatten(1).clone()
        free = ~seen[:, i]
        seen[:, i] = True
        points = quadrature(exam.schema.kinds[i], outcome.one(i), len(x))[0]
        for y in put_points(x, i, points[:: max(1, len(points) // 8)]):
            want = (exam.model.log_marginal(y, seen.view(x.shape)) - base).exp()
            got = outcome.one(i).log_prob(y.flatten(1)[:, i]).exp()
            worst = reduce(larger, (got - want)[free].abs().tolist(), worst)
    return worst


@promise(TractableModel, "standard errors between counts and p", within=6)
def given_samples_follow(exam: Examination[TractableModel]) -> Tensor | float:
    """Draws given half of the variables: observed cells stay, and one free variable follows its conditional."""
    x, _ = some_observed(exam.model, 1)
    observed = torch.zeros_like(x, dtype=torch.bool)
    observed.flatten(1)[:, 1::2] = True
    many, seen = (each.expand(ROWS_GIVEN, *x.shape[1:]) for each in (x, observed))
    generator = generator_for(exam.device, Stream.CHECKED_ANSWERS)
    drawn = exam.model.sample_given(many, seen, generator)
    if (drawn != many)[seen].any():
        return float("inf")
    p = cell_probabilities(exam, x, exam.model.predict_given(x, observed).one(0))
    codes = exam.schema.event_codes(drawn.flatten(1).cpu())[:, 0]
    return error_of_counts(codes.bincount(minlength=len(p)).double(), p, exam.schema.kinds[0])


def error_of_counts(counts: Tensor, p: Tensor, kind: Kind) -> Tensor:
    """The largest difference of counts from what is expected, in standard errors; cells never seen are left out."""
    n = counts.sum()
    if kind.unforeseen:
        counts, p = (each.index_fill(0, torch.tensor(kind.other_code), 0.0) for each in (counts, p))
        p = p * counts.sum() / n / (1 - kind.unforeseen)
    return ((counts - n * p).abs() / (n * p * (1 - p) + 1).sqrt()).max()


def cell_probabilities(exam: Examination[TractableModel], x: Tensor, outcome: Single) -> Tensor:
    """p of each code of the first variable, float64."""
    kind = exam.schema.kinds[0]
    cells = exam.schema.first((0,)).event_codes(quadrature(kind, outcome, 1)[0])[:, 0]
    p = torch.zeros(kind.codes, dtype=torch.float64)
    return p.index_add(0, cells, node_log_probs(outcome, kind, x)[:, 0].exp())
