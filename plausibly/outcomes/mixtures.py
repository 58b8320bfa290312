"""Mixtures of outcomes, in their common form where they have one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from plausibly.events.allowed import Allowed
from plausibly.outcomes.categorical import Categorical, gumbel_max
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Index, Numeric, Single

Form = TypeVar("Form", bound=Single)


class MixtureOutcome(Numeric):
    """A mixture of outcomes of one variable that have no common form; `log_weights` are normalised, (batch, parts)."""

    def __init__(self, parts: Sequence[Single], log_weights: Tensor) -> None:
        self.parts, self.log_weights = parts, log_weights

    def log_prob(self, x: Tensor) -> Tensor:
        return (
            self.log_weights + torch.stack([part.log_prob(x) for part in self.parts], -1)
        ).logsumexp(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        drawn = torch.stack([part.sample(generator) for part in self.parts], -1)
        return drawn.gather(-1, gumbel_max(self.log_weights, generator)[..., None]).squeeze(-1)

    def mode(self) -> Tensor:
        """The most probable of the parts' modes."""
        modes = torch.stack([part.mode() for part in self.parts], -1)
        best = torch.stack([self.log_prob(x) for x in modes.unbind(-1)], -1).argmax(
            -1, keepdim=True
        )
        return modes.gather(-1, best).squeeze(-1)

    def one(self, i: int) -> Single:
        return mix_outcomes([part.one(i) for part in self.parts], self.log_weights[:, i])

    def rows(self, index: Index) -> MixtureOutcome:
        return MixtureOutcome([part.rows(index) for part in self.parts], self.log_weights[index])

    def beside(self, others: Sequence[Any]) -> MixtureOutcome:
        parts = [part.beside([one.parts[k] for one in others]) for k, part in enumerate(self.parts)]
        return MixtureOutcome(parts, torch.cat([one.log_weights for one in (self, *others)]))

    def number(self) -> Tensor:
        return self._numbers().sum(-1)

    def _numbers(self) -> Tensor:
        """The probability that it is a part's number, (batch, parts), float64."""
        rows = len(self.log_weights)
        shares = [part.number().double().expand(rows) for part in self.reals()]
        return self.log_weights.double().exp() * torch.stack(shares, -1)

    def reals(self) -> list[Numeric]:
        return [part for part in self.parts if isinstance(part, Numeric)]

    def mean(self) -> Tensor:
        return self._number_mean([part.mean() for part in self.reals()])

    def below(self, x: Tensor) -> Tensor:
        return self._number_mean([part.below(x) for part in self.reals()])

    def _number_mean(self, each: Sequence[Tensor]) -> Tensor:
        """The mean of what each part says of its number, by how probable it is that the number is that part's."""
        numbers = self._numbers()
        return (numbers * torch.stack(list(each), -1)).sum(-1) / numbers.sum(-1)

    def cuts(self) -> Tensor:
        places = [part.cuts() for part in self.reals()]
        return torch.cat([place.expand(len(self.log_weights), -1) for place in places], -1)

    def truncate(self, allowed: Allowed) -> tuple[Single, Tensor]:
        parts, masses = zip(*(part.truncate(allowed) for part in self.parts), strict=True)
        weights = self.log_weights + torch.stack(masses, -1)
        total = weights.logsumexp(-1)
        return mix_outcomes(parts, weights - total.unsqueeze(-1)), total


def mix_outcomes(parts: Sequence[Single], log_weights: Tensor) -> Single:
    """The mixture of outcomes of one variable, in their common form where they have one.

    `log_weights` are normalised, (..., parts), batched like each part.
    """
    if tables := _all_of(Categorical, parts):
        logs = torch.stack([part.log_probs for part in tables], -1)
        mixed = (logs + log_weights.unsqueeze(-2)).logsumexp(-1)
        return Categorical(mixed, tables[0].unseen)
    if histograms := _all_of(Histogram, parts):
        inner = [part.inner for part in histograms if isinstance(part.inner, Single)]
        first = histograms[0]
        return Histogram(mix_outcomes(inner, log_weights), first.binning, first.variables)
    densities = _all_of(MixtureDensity, parts)
    if len({part.density for part in densities}) == 1:
        return mix_densities(densities, log_weights)
    return MixtureOutcome(parts, log_weights)


def _all_of(kind: type[Form], parts: Sequence[Single]) -> list[Form]:
    """The parts where all of them are of a kind, and else none."""
    found = [part for part in parts if isinstance(part, kind)]
    return found if len(found) == len(parts) else []


def mix_densities(parts: Sequence[MixtureDensity], log_weights: Tensor) -> MixtureDensity:
    """Components side by side: each part's weight is multiplied by its share of being a number at all."""
    special, shares = None, log_weights
    if parts[0].log_special is not None:
        numbers = torch.stack(
            [part.log_special for part in parts if part.log_special is not None], -1
        )
        special = (numbers + log_weights.unsqueeze(-2)).logsumexp(-1)
        shares = log_weights + numbers[..., 0, :]
    weights = torch.cat(
        [part.log_weights + shares[..., k, None] for k, part in enumerate(parts)], -1
    )
    means = torch.cat([part.means for part in parts], -1)
    scales = torch.cat([part.scales for part in parts], -1)
    return MixtureDensity(
        weights.log_softmax(-1), means, scales, special, parts[0].density, parts[0].unseen
    )
