"""Promises of an exact log p(x)."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from plausibly.capabilities import DensityModel
from plausibly.contract.enumeration import count_places, describe_scope, mass_foreseen, place
from plausibly.contract.examination import Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.result import NotMeasured
from plausibly.families.mixtures import FreeWeights, free_log_weights

SIX_SIGMA = 2e-9
MANY_VARIABLES_DRAWN = 64


@promise(DensityModel, "largest log p of codes", within=1e-5)
def log_probs_are_at_most_zero(exam: Examination[DensityModel]) -> Tensor:
    if exam.schema.continuous:
        raise NotMeasured("a density may be above one")
    return exam.model.log_prob(exam.draws(256)).max()


@promise(DensityModel, "nats between two scorings")
def scoring_repeats(exam: Examination[DensityModel]) -> Tensor:
    x = exam.draws(64)
    return (exam.model.log_prob(x) - exam.model.log_prob(x)).abs().max()


def total_tolerance(exam: Examination[DensityModel]) -> float:
    """The share of p that rounding may take, which grows with the number of variables."""
    return 1e-5 * max(len(exam.variables), 10) / 10


@promise(DensityModel, "total probability", around=1.0, within=total_tolerance)
def sums_to_one(exam: Examination[DensityModel]) -> Finding:
    """If a mixture has too many events to list and no common order, each of its members must sum to one."""
    if not exam.variables and isinstance(exam.model, FreeWeights):
        return add_members_up(exam.model)
    nodes, logs = exam.nodes
    return Finding(float(logs.exp().sum()), describe_scope(exam.schema, nodes.variables))


def add_members_up(model: FreeWeights) -> Finding:
    """The weighed total of all members, or the total of the first that does not sum to one."""
    each = [sums_to_one(Examination(member)) for member in model.each()]
    if silent := [one for one in each if one.holds is None]:
        raise NotMeasured(silent[0].says)
    weights = free_log_weights(model.logits).exp()
    total = float(weights @ torch.tensor([one.value for one in each]).double())
    worst = next((one.value for one in each if one.broken), total)
    return Finding(worst, f"of its {len(each)} members, weighed, over first variables")


@promise(DensityModel, "p-value of", above=SIX_SIGMA)
def samples_follow_density(exam: Examination[DensityModel]) -> Finding:
    """Chi-square of samples against probabilities, cells pooled until 10 samples are expected in each; both given that no
    cell was never seen, for nobody knows what such a cell would be."""
    (nodes, logs), schema = exam.nodes, exam.schema
    variables, codes = nodes.variables, [schema.codes[i] for i in nodes.variables]
    drawn = exam.draws(8000 if schema.size <= MANY_VARIABLES_DRAWN else 2000).cpu()
    drawn = drawn[~schema.is_unseen(drawn)[:, list(variables)].any(1)]
    unseen = schema.first(variables).is_unseen(nodes.points).any(1)
    logs = logs.masked_fill(unseen, -torch.inf) - log(mass_foreseen(schema, variables))
    places = place(nodes.cells, codes)
    seen = count_places(schema.event_codes(drawn)[:, list(variables)], codes)
    expected = len(drawn) * torch.zeros_like(seen).index_add_(0, places, logs.exp())
    p = p_value(*pool_cells(seen, expected))
    return Finding(p, f"{len(drawn):,} samples {describe_scope(schema, variables)}")


def pool_cells(seen: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Counts of cells that are put together, the most frequent first, until 10 are expected in each."""
    order = expected.argsort(descending=True)
    pool = (expected[order].cumsum(0) / 10).floor().long().clamp(max=2000)
    empty = torch.zeros(int(pool.max()) + 1, dtype=torch.float64)
    a, b = (empty.index_add(0, pool, counts[order]) for counts in (seen, expected))
    return a[b > 0], b[b > 0]


def p_value(seen: Tensor, expected: Tensor) -> float:
    """The chance of counts that are further from what is expected, by chi-square."""
    from scipy.stats import chi2  # slow to import

    statistic = float(((seen - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, max(len(seen) - 1, 1)))
