"""Promises of an exact log p(x)."""

from __future__ import annotations

from math import log, prod

import torch

from plausibly.capabilities import DensityModel
from plausibly.contract.draws import draw_events
from plausibly.contract.enumeration import enumerate_events, mass_foreseen, place, scope
from plausibly.contract.result import Result, near
from plausibly.families.mixtures import FreeWeights, free_log_weights

SIX_SIGMA = 2e-9


@torch.no_grad()
def log_probs_are_at_most_zero(model: DensityModel) -> Result:
    worst = 0.0 if model.schema.continuous else model.log_prob(draw_events(model, 256)).max()
    return near("log_probs_are_at_most_zero", worst, 1e-5, "largest log p of codes")


@torch.no_grad()
def scoring_repeats(model: DensityModel) -> Result:
    x = draw_events(model, 64)
    return near(
        "scoring_repeats",
        (model.log_prob(x) - model.log_prob(x)).abs().max(),
        0,
        "nats between two scorings",
    )


def sums_to_one(model: DensityModel) -> Result:
    """If a mixture has too many events to list and no common order, each of its members must sum to one."""
    nodes, logs = enumerate_events(model)
    total, variables = float(logs.exp().sum()), nodes.variables
    if not variables and isinstance(model, FreeWeights):
        each = [sums_to_one(member) for member in model.each()]
        total = float(
            free_log_weights(model.logits).detach().exp()
            @ torch.tensor([one.value for one in each]).double()
        )
        holds = all(one.holds for one in each) and abs(total - 1) <= 1e-5
        return Result(
            "sums_to_one",
            holds,
            total,
            1e-5,
            f"weighed total of its {len(each)} members, over first variables",
        )
    holds = bool(variables) and abs(total - 1) <= 1e-5 * max(len(variables), 10) / 10
    return Result(
        "sums_to_one",
        holds,
        total,
        1e-5 * max(len(variables), 10) / 10,
        f"total probability {scope(model, variables)}",
    )


def samples_follow_density(model: DensityModel) -> Result:
    """Chi-square of samples against probabilities, cells pooled until 10 samples are expected in each; both given that no
    cell was never seen, for nobody knows what such a cell would be."""
    from scipy.stats import chi2  # slow to import

    nodes, logs = enumerate_events(model)
    variables, codes = nodes.variables, [model.schema.codes[i] for i in nodes.variables]
    drawn = torch.cat(
        [draw_events(model, 500, s) for s in range(16 if model.schema.size <= 64 else 4)]
    ).cpu()
    drawn = drawn[~model.schema.is_unseen(drawn)[:, list(variables)].any(1)]
    possible = (
        ~model.schema.first(variables).is_unseen(nodes.points).any(1)
        if variables
        else torch.ones(1).bool()
    )
    logs = logs.masked_fill(~possible, -torch.inf) - log(mass_foreseen(model.schema, variables))
    n, cells = len(drawn), prod(codes)
    expected = n * torch.zeros(cells, dtype=torch.float64).index_add_(
        0, place(nodes.cells, codes), logs.exp()
    )
    places = place(model.schema.event_codes(drawn)[:, list(variables)], codes)
    seen = torch.bincount(places, minlength=cells).double()
    order = expected.argsort(descending=True)
    pool = (expected[order].cumsum(0) / 10).floor().long().clamp(max=2000)
    pooled = [
        torch.zeros(int(pool.max()) + 1, dtype=torch.float64).index_add_(0, pool, c[order])
        for c in (seen, expected)
    ]
    full = pooled[1] > 0
    statistic = float(((pooled[0] - pooled[1])[full] ** 2 / pooled[1][full]).sum())
    p = float(chi2.sf(statistic, max(int(full.sum()) - 1, 1)))
    return Result(
        "samples_follow_density",
        p > SIX_SIGMA,
        p,
        SIX_SIGMA,
        f"p-value of {n:,} samples {scope(model, variables)}",
    )
