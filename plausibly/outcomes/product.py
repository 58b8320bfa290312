"""Outcomes of several variables side by side."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor

from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.mixtures import MixtureOutcome, mix_densities
from plausibly.outcomes.outcome import Outcome, Single


def join_variables(singles: Sequence[Single]) -> Outcome:
    """Variables given one by one, (batch,) each, side by side."""
    return Product([(torch.tensor([i]), _as_column(single)) for i, single in enumerate(singles)])


def _as_column(single: Single) -> Single:
    """The outcome of one variable, (batch,), as one of a single column, (batch, 1)."""
    if isinstance(single, Categorical):
        return Categorical(single.log_probs[:, None], single.unseen)
    if isinstance(single, Histogram):
        assert isinstance(single.inner, Single)
        return Histogram(_as_column(single.inner), single.binning, single.variables)
    if isinstance(single, MixtureDensity):
        special = None if single.log_special is None else single.log_special[:, None]
        form = single.log_weights[:, None], single.means[:, None], single.scales[:, None]
        return MixtureDensity(*form, special, single.density, single.unseen)
    assert isinstance(single, MixtureOutcome)
    return MixtureOutcome([_as_column(part) for part in single.parts], single.log_weights[:, None])


class Product(Outcome):
    """Variables of different forms, kept in groups of equal ones.

    `groups` pairs the variables, (n,), with their outcome, (batch, n).
    """

    def __init__(self, groups: Sequence[tuple[Tensor, Outcome]]) -> None:
        self.groups = groups

    def _scatter(self, parts: Sequence[Tensor]) -> Tensor:
        variables = torch.cat([index for index, _ in self.groups])
        return torch.cat(list(parts), dim=1)[:, variables.argsort()]

    def log_prob(self, x: Tensor) -> Tensor:
        return self._scatter([outcome.log_prob(x[:, index]) for index, outcome in self.groups])

    def sample(self, generator: torch.Generator) -> Tensor:
        return self._scatter([outcome.sample(generator) for _, outcome in self.groups])

    def mode(self) -> Tensor:
        return self._scatter([outcome.mode() for _, outcome in self.groups])

    def one(self, i: int) -> Single:
        for index, outcome in self.groups:
            place = (index == i).nonzero()
            if len(place):
                return outcome.one(int(place[0, 0]))
        raise IndexError(f"no variable {i}")


def product_of_variables(log_probs: Sequence[Tensor]) -> Outcome:
    """The outcome of variables given one by one, each by its normalised (batch, codes)."""
    groups: dict[int, list[int]] = {}
    for i, table in enumerate(log_probs):
        groups.setdefault(table.shape[-1], []).append(i)
    return product_of_groups(
        [
            (torch.tensor(members), torch.stack([log_probs[i] for i in members], 1))
            for members in groups.values()
        ]
    )


def product_of_groups(groups: Sequence[tuple[Tensor, Tensor]]) -> Outcome:
    """The outcome of groups of variables, (n,), with their normalised log probabilities, (batch, n, codes)."""
    if len(groups) == 1:
        return Categorical(groups[0][1])
    return Product([(index, Categorical(log_probs)) for index, log_probs in groups])


def average_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """The mixture, variable by variable and with equal weights, of outcomes of one layout."""
    first = outcomes[0]
    if len(outcomes) == 1:
        return first
    if isinstance(first, Product):
        columns = zip(*(o.groups for o in outcomes if isinstance(o, Product)), strict=True)
        return Product(
            [(each[0][0], average_outcomes([outcome for _, outcome in each])) for each in columns]
        )
    if isinstance(first, MixtureDensity):
        parts = [o for o in outcomes if isinstance(o, MixtureDensity)]
        even = torch.full((len(parts),), -log(len(parts)), device=parts[0].means.device)
        return mix_densities(parts, even.expand(*parts[0].means.shape[:-1], -1))
    logs = _mean_log([o.log_probs for o in outcomes if isinstance(o, Categorical)])
    return Categorical(logs, getattr(first, "unseen", None))


def _mean_log(logs: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(logs)).logsumexp(0) - log(len(logs))
