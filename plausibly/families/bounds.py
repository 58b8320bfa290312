"""The losses of latent-variable models: bounds on log p(x) from draws of q(z | x), and what stands in their place."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from plausibly.capabilities import Variational
from plausibly.families.variational import ImportanceTerms, importance_weights, sample_weights
from plausibly.objectives import Loss, Objective, Turn, hide_cells
from plausibly.system.arguments import check_range


class Bound(Objective):
    """An objective that weighs draws of q(z | x)."""

    @abstractmethod
    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        """The loss that a step minimises after the share `done` of all steps."""

    def turns(self, model: Variational) -> list[Turn]:
        return [Turn(self.name, model, partial(self.hiding, model))]

    def hiding(
        self, model: Variational, x: Tensor, generator: torch.Generator, done: float
    ) -> Loss:
        """The same of what is left of events when some cells are hidden."""
        x, lost = hide_cells(model, x, generator)
        loss = self.loss(model, x, generator, done)
        return replace(loss, total=loss.total + lost)

    def validation_loss(self, model: Variational, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.loss(model, x, generator, 1.0).total


def rate_and_distortion(weights: ImportanceTerms) -> dict[str, Tensor]:
    return {"distortion": -weights.reconstruction.mean(1), "rate": weights.rate.mean(1)}


def beta_elbo(model: Variational, x: Tensor, generator: torch.Generator, beta: float) -> Loss:
    """distortion + beta rate, by one draw."""
    weights = sample_weights(model, x, 1, generator)
    return Loss((beta * weights.rate - weights.reconstruction)[:, 0], rate_and_distortion(weights))


class ELBO(Bound):
    """Minimises distortion + rate = -ELBO (Kingma & Welling 2014, arXiv:1312.6114)."""

    name = "elbo"

    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        return beta_elbo(model, x, generator, 1.0)


@dataclass(frozen=True, kw_only=True)
class RateDistortion(Bound):
    """Minimises distortion + beta rate (Higgins et al. 2017; Alemi et al. 2018, arXiv:1711.00464).

    This is a bound only where beta = 1.

    Args:
        beta: nats of distortion that a nat of rate counts, 0 to 1,000,000 (default 4).
    """

    name: ClassVar[str] = "rate-distortion"
    beta: float = 4.0

    def __post_init__(self) -> None:
        check_range("objective.beta", self.beta, 0, 1e6)

    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        return beta_elbo(model, x, generator, self.beta)


@dataclass(frozen=True, kw_only=True)
class WarmUp(Bound):
    """Minimises distortion + beta rate with a rising beta (Bowman et al. 2016, arXiv:1511.06349).

    Args:
        share: share of all steps in which beta rises from 0 to 1, 0.000001 to 1 (default 0.2).
    """

    name: ClassVar[str] = "warm-up"
    share: float = 0.2

    def __post_init__(self) -> None:
        check_range("objective.share", self.share, 1e-6, 1)

    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        return beta_elbo(model, x, generator, min(1.0, done / self.share))


@dataclass(frozen=True, kw_only=True)
class FreeBits(Bound):
    """Minimises distortion + sum over groups of max(nats, rate) (Kingma et al. 2016,
    arXiv:1606.04934).

    The rate of a group is its mean over a batch (of several processes each takes the mean over its
    own rows), so nothing is gained by pressing it below `nats`. Validation watches the ELBO.

    Args:
        nats: nats of rate that cost nothing more, for each group, 0 to 1,000,000 (default 0.1).
    """

    name: ClassVar[str] = "free-bits"
    nats: float = 0.1

    def __post_init__(self) -> None:
        check_range("objective.nats", self.nats, 0, 1e6)

    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        weights = sample_weights(model, x, 1, generator)
        rates = weights.rates[:, 0]
        counted = torch.where(rates.detach().mean(0) > self.nats, rates, self.nats).sum(1)
        return Loss(counted - weights.reconstruction[:, 0], rate_and_distortion(weights))

    def validation_loss(self, model: Variational, x: Tensor, generator: torch.Generator) -> Tensor:
        return ELBO().validation_loss(model, x, generator)


@dataclass(frozen=True, kw_only=True)
class ImportanceWeighted(Bound):
    """Minimises -log 1/K sum_k w_k (Burda et al. 2016, arXiv:1509.00519).

    The gradient for q is doubly reparameterised (Tucker et al. 2019, arXiv:1810.04152). With v_k =
    w_k / sum w: sum_k v_k^2 dlog w_k/dz dz/dphi for the parameters phi of q, which has the
    expectation of the plain gradient and a smaller variance; sum_k v_k dlog w_k for all others.

    Args:
        draws: draws K of the latents for each event, 1 to 10,000 (default 10).
    """

    name: ClassVar[str] = "importance-weighted"
    draws: int = 10

    def __post_init__(self) -> None:
        check_range("objective.draws", self.draws, 1, 10_000)

    def loss(self, model: Variational, x: Tensor, generator: torch.Generator, done: float) -> Loss:
        q = model.posterior(x, self.draws)
        z = q.sample(generator)
        weights = importance_weights(model, x, z, q.without_gradient(), self.draws)
        logs = weights.log_weights
        share = logs.detach().softmax(1)
        if z.requires_grad:
            z.register_hook(lambda gradient: gradient * share.flatten()[:, None])
        surrogate = (share * logs).sum(1)
        value = logs.detach().logsumexp(1) - log(self.draws)
        return Loss(surrogate.detach() - surrogate - value, rate_and_distortion(weights))


OBJECTIVES: tuple[type[Bound], ...] = (ELBO, RateDistortion, WarmUp, FreeBits, ImportanceWeighted)
