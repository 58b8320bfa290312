"""Outcomes of codes: one of several, or a bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from plausibly.events.allowed import Allowed
from plausibly.outcomes.outcome import Index, Single
from plausibly.system.randomness import random_like


class Categorical(Single):
    """Codes 0 to K - 1 with the normalised `log_probs`, (..., K). The code `unseen` was never seen: it is never drawn."""

    unseen: int | None = None

    def __init__(self, log_probs: Tensor, unseen: int | None = None) -> None:
        self.log_probs, self.unseen = log_probs, unseen

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_probs.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        return gumbel_max(drop_code(self.log_probs, self.unseen), generator).float()

    def mode(self) -> Tensor:
        return drop_code(self.log_probs, self.unseen).argmax(-1).float()

    def one(self, i: int) -> Categorical:
        return Categorical(self.log_probs[:, i], self.unseen)

    def rows(self, index: Index) -> Categorical:
        return Categorical(self.log_probs[index], self.unseen)

    def beside(self, others: Sequence[Any]) -> Categorical:
        return Categorical(torch.cat([one.log_probs for one in (self, *others)]), self.unseen)

    def truncate(self, allowed: Allowed) -> tuple[Categorical, Tensor]:
        return self.weigh(allowed.log_shares)

    def weigh(self, logs: Tensor) -> tuple[Categorical, Tensor]:
        """The distribution whose codes have log weights besides, (..., codes), and the log of what it adds up to."""
        masked = self.log_probs + logs.to(self.log_probs)
        mass = masked.logsumexp(-1)
        return Categorical(masked - mass.unsqueeze(-1), self.unseen), mass


def drop_code(logs: Tensor, place: int | None) -> Tensor:
    """Log weights, (..., K), with none at one place."""
    if place is None:
        return logs
    return logs.index_fill(-1, torch.tensor(place, device=logs.device), -torch.inf)


class Bernoulli(Categorical):
    """Codes 0 and 1 by the `logits` of 1, (...): log p is one pass over these, with nothing twice as large in between."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def log_probs(self) -> Tensor:  # type: ignore[override]
        return torch.stack([logsigmoid(-self.logits), logsigmoid(self.logits)], -1)

    def log_prob(self, x: Tensor) -> Tensor:
        return logsigmoid((2 * x - 1) * self.logits)

    def one(self, i: int) -> Bernoulli:
        return Bernoulli(self.logits[:, i])

    def rows(self, index: Index) -> Bernoulli:
        return Bernoulli(self.logits[index])


def gumbel_max(log_probs: Tensor, generator: torch.Generator) -> Tensor:
    """One index drawn for each row of log probabilities, (..., K) to (...); they need not be normalised.

    The largest of log p plus Gumbel noise has the law p.
    """
    noise = random_like(log_probs, torch.Tensor.exponential_, generator)
    return (log_probs - noise.log()).argmax(-1)
