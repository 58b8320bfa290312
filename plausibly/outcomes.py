"""Outcomes: distributions over variables, batched like the parameters that they were made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log

import torch
from torch import Tensor


class Outcome(ABC):
    """A distribution over one variable, x of shape (batch,), or over several side by side, (batch, variables).

    Those side by side are independent of each other given what the outcome was predicted from.
    """

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Nats of each variable, in the shape of `x`."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of each variable, float32."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable code of each variable, float32."""

    @abstractmethod
    def one(self, i: int) -> Finite:
        """The distribution of variable `i` alone."""


class Finite(Outcome):
    """Codes 0 to K - 1 with the normalised `log_probs`, (..., K)."""

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_probs.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        # the largest of log p plus Gumbel noise has the law p
        noise = torch.empty_like(self.log_probs).exponential_(generator=generator)
        return (self.log_probs - noise.log()).argmax(-1).float()

    def mode(self) -> Tensor:
        return self.log_probs.argmax(-1).float()

    def one(self, i: int) -> Finite:
        return Finite(self.log_probs[:, i])

    def without(self, codes: Sequence[int]) -> Finite:
        """This distribution given that none of `codes` occurs."""
        masked = self.log_probs.clone()
        masked[..., list(codes)] = -torch.inf
        return Finite(masked.log_softmax(-1))


class Columns(Outcome):
    """Variables with different numbers of codes, kept in groups of equal ones.

    `groups` pairs the variables, (n,), with their outcome, (batch, n).
    """

    def __init__(self, groups: Sequence[tuple[Tensor, Finite]]) -> None:
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

    def one(self, i: int) -> Finite:
        for index, outcome in self.groups:
            place = (index == i).nonzero()
            if len(place):
                return outcome.one(int(place[0, 0]))
        raise IndexError(f"no variable {i}")


def side_by_side(log_probs: Sequence[Tensor]) -> Outcome:
    """The outcome of variables given one by one, each by its normalised (batch, codes)."""
    groups: dict[int, list[int]] = {}
    for i, table in enumerate(log_probs):
        groups.setdefault(table.shape[-1], []).append(i)
    return grouped(
        [(torch.tensor(members), torch.stack([log_probs[i] for i in members], 1)) for members in groups.values()]
    )


def grouped(groups: Sequence[tuple[Tensor, Tensor]]) -> Outcome:
    """The outcome of groups of variables, (n,), with their normalised log probabilities, (batch, n, codes)."""
    if len(groups) == 1:
        return Finite(groups[0][1])
    return Columns([(index, Finite(log_probs)) for index, log_probs in groups])


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """The mixture, variable by variable and with equal weights, of outcomes of one layout."""
    if len(outcomes) == 1:
        return outcomes[0]
    first = outcomes[0]
    if isinstance(first, Finite):
        stacked = torch.stack([o.log_probs for o in outcomes if isinstance(o, Finite)])
        return Finite(stacked.logsumexp(0) - log(len(outcomes)))
    assert isinstance(first, Columns)
    columns = [o.groups for o in outcomes if isinstance(o, Columns)]
    mixed = [(parts[0][0], average([outcome for _, outcome in parts])) for parts in zip(*columns, strict=True)]
    return Columns([(index, outcome) for index, outcome in mixed if isinstance(outcome, Finite)])
