"""Promises of marginals: p of any variables, and draws given any others."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from plausibly.capabilities import TractableModel
from plausibly.contract.draws import some_observed
from plausibly.contract.enumeration import is_listable, node_log_probs, spread_ranks
from plausibly.contract.examination import Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.result import larger
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Kind
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature
from plausibly.system.randomness import Stream, generator_for

ROWS_GIVEN = 4000


@promise(TractableModel, "nats", within=1e-3)
def marginals_agree(exam: Examination[TractableModel]) -> Finding:
    """With enumeration where all events can be listed; else: all observed gives log p, and a variable more sums to less."""
    evidence = some_observed(exam.model, 24)
    got = exam.model.log_marginal(evidence).double().cpu()
    if is_listable(exam.schema):
        want = add_events_up(exam, evidence.flatten().to(torch.device("cpu")))
        return Finding((got - want).abs().max(), "from the sum over all events")
    whole = exam.model.log_marginal(Evidence.whole(evidence.x)) - exam.model.log_prob(evidence.x)
    gap = marginal_gap(exam.model, evidence, got)
    worst = torch.maximum(whole.abs().max().cpu(), gap)
    return Finding(worst, "between a marginal and its parts")


def add_events_up(exam: Examination[TractableModel], evidence: Evidence) -> Tensor:
    """log p of what is observed, by the sum over all events that agree with it."""
    nodes, logs = exam.nodes
    rows = zip(evidence.x, evidence.observed, strict=True)
    sums = [logs[((nodes.points == row) | ~seen).all(1)].logsumexp(0) for row, seen in rows]
    return torch.stack(sums)


def marginal_gap(model: TractableModel, evidence: Evidence, got: Tensor) -> Tensor:
    """log p(observed) against the sum over one more variable's codes."""
    i = model.schema.size // 2
    free = ~evidence.observed.flatten(1)[:, i].cpu()
    if not free.any():
        return torch.zeros(())
    outcome = model.predict_given(evidence).one(i)
    points, weights = quadrature(model.schema.kinds[i], outcome, len(evidence))
    parts = [
        model.log_marginal(evidence.with_known(i, point)).double().cpu() + weight.log()
        for point, weight in zip(points, weights, strict=True)
    ]
    return (torch.stack(parts).logsumexp(0) - got)[free].abs().amax()


@promise(
    TractableModel, "probability between a conditional and the ratio of two marginals", within=1e-4
)
def conditionals_agree(exam: Examination[TractableModel]) -> float:
    """p(x_i | observed) against the ratio of two marginals, for some variables."""
    evidence = some_observed(exam.model, 12)
    outcome, base = exam.model.predict_given(evidence), exam.model.log_marginal(evidence)
    worst = 0.0
    for i in spread_ranks(exam.schema.size, 6):
        free = ~evidence.observed.flatten(1)[:, i]
        points = quadrature(exam.schema.kinds[i], outcome.one(i), len(evidence))[0]
        for point in points[:: max(1, len(points) // 8)]:
            more = evidence.with_known(i, point)
            want = (exam.model.log_marginal(more) - base).exp()
            got = outcome.one(i).log_prob(more.x.flatten(1)[:, i]).exp()
            worst = reduce(larger, (got - want)[free].abs().tolist(), worst)
    return worst


@promise(TractableModel, "standard errors between counts and p", within=6)
def given_samples_follow(exam: Examination[TractableModel]) -> Tensor | float:
    """Draws given half of the variables: observed cells stay, and one free variable follows its conditional."""
    x = some_observed(exam.model, 1).x
    evidence = Evidence.some(x, range(1, exam.schema.size, 2))
    many = evidence.expand(ROWS_GIVEN)
    generator = generator_for(exam.device, Stream.CHECKED_ANSWERS)
    drawn = exam.model.sample_given(many, generator)
    if (drawn != many.x)[many.observed].any():
        return float("inf")
    p = cell_probabilities(exam, x, exam.model.predict_given(evidence).one(0))
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
