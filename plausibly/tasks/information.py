"""The uncertainty of a model, and what one variable tells about another. All in nats, exact, never by sampling.

    H(unobserved | observed)   = -E log p(unobserved | observed)
    I(a; b | observed)         = H(b | observed) - sum over a of p(a | observed) H(b | a, observed)

Of real variables the entropy is differential: of the density per unit of the column, so that it may be below 0 and moves
with the unit. Information does not. A value never seen counts as one value, and so does a hole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import DecomposableModel, TractableModel, device_of
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import UNFORESEEN, Kind
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature
from plausibly.tasks import Task

entropy: Task[Any] = Task(
    "entropy", "the mean of log p(x) is exact only where log p(x) is a sum of tables or normals"
)
information: Task[Any] = Task(
    "information", "it needs p(b | a) for every value of a, exact only for tractable models"
)

ROWS_PER_BATCH = 512


@entropy.rule(DecomposableModel, "exact")
@torch.no_grad()
def entropy_of_unobserved(model: DecomposableModel, evidence: Evidence) -> Tensor:
    """H of the values of all unobserved cells together given the observed ones, (rows,) float64."""
    parts = []
    for part in evidence.batches(ROWS_PER_BATCH, device_of(model)):
        nats = model.entropy_given(part).double()
        outcome, free = model.predict_given(part), ~part.observed.flatten(1)
        for i, kind in enumerate(model.schema.kinds):
            if free[:, i].any():
                nats = nats + (entropy_within(outcome.one(i), kind, part.x) * free[:, i])
        parts.append(nats.cpu())
    return torch.cat(parts)


def entropy_within(outcome: Single, kind: Kind, like: Tensor) -> Tensor:
    """The mean entropy of a variable's value given its event, (batch,) float64."""
    if not kind.continuous:
        assert isinstance(outcome, Categorical)
        return outcome.log_probs.double().exp() @ torch.from_numpy(kind.code_entropies()).to(
            like.device
        )
    numbers = torch.ones(len(like), dtype=torch.float64, device=like.device)
    for special in kind.specials:
        numbers = (
            numbers - outcome.log_prob(torch.full_like(numbers, special).float()).double().exp()
        )
    return numbers * kind.log_unit


def entropy_of(outcome: Single, kind: Kind, batch: int) -> Tensor:
    """H of one variable's value, (batch,) float64."""
    known = outcome.inner if isinstance(outcome, Histogram) else outcome
    if isinstance(known, Categorical):
        logs = known.log_probs.double().cpu()
        terms = logs.exp() * (torch.from_numpy(kind.code_entropies()) - logs.clamp(min=-1e300))
        return terms.sum(-1).expand(batch)
    points, weights = quadrature(kind, outcome, batch)
    logs = torch.stack([outcome.log_prob(point).double().cpu() for point in points])
    scale = torch.where(points >= UNFORESEEN, 0.0, kind.log_unit)
    return (weights * logs.exp() * (scale - logs.clamp(min=-1e300))).sum(0)


@information.rule(TractableModel, "exact")
@torch.no_grad()
def information_between(model: TractableModel, evidence: Evidence, a: int, b: int) -> float:
    """I(a; b | observed) in nats, for one row, (1, *shape); `a` and `b` are unobserved variables.

    Real variables by quadrature.
    """
    device, kinds = device_of(model), model.schema.kinds
    row = evidence[:1].to(device)
    outcome = model.predict_given(row)
    points, weights = (side[:, 0] for side in quadrature(kinds[a], outcome.one(a), 1))
    logs = [outcome.one(a).log_prob(point[None].to(device)) for point in points]
    shares = weights * torch.stack(logs)[:, 0].double().cpu().exp()
    told = shares > 1e-15
    given = entropy_after(model, row, a, points[told].to(device), b)
    total = float(entropy_of(outcome.one(b), kinds[b], 1)) - float(shares[told] @ given)
    return max(total, 0.0)  # rounding


def entropy_after(model: TractableModel, row: Evidence, a: int, values: Tensor, b: int) -> Tensor:
    """H(b | a, observed) of one row at each value of `a`, (values,) float64."""
    known, kind = row.expand(len(values)).with_known(a, values), model.schema.kinds[b]
    parts = known.batches(ROWS_PER_BATCH, values.device)
    return torch.cat([entropy_of(model.predict_given(y).one(b), kind, len(y)) for y in parts])
