"""Normal distributions given some of their variables, their covariances, and the sets of variables that rows know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import torch
from torch import Tensor


class JointNormal:
    """A normal distribution over n variables: its `mean`, (n,), and the Cholesky `factor` of its covariance, (n, n)."""

    def __init__(self, mean: Tensor, factor: Tensor) -> None:
        self.mean, self.factor = mean, factor

    @cached_property
    def covariance(self) -> Tensor:
        return self.factor @ self.factor.T

    def factor_of(self, known: Tensor) -> Tensor:
        """The Cholesky factor of the covariance of some of the variables, (k, k)."""
        if len(known) == len(self.mean):
            return self.factor
        part = self.factor[known]
        return torch.linalg.cholesky(part @ part.T)


class NormalGiven:
    """A normal distribution whose variables `known`, (k,), have values, those of `rows`, (batch, n)."""

    def __init__(self, normal: JointNormal, known: Tensor, rows: Tensor) -> None:
        self.normal, self.known = normal, known
        self.factor = normal.factor_of(known)
        centred = rows[:, known] - normal.mean[known]
        self.z = torch.linalg.solve_triangular(self.factor, centred.T, upper=False).T

    @cached_property
    def weights(self) -> Tensor:
        """L^-1 S of the known variables with all, (k, n), with L the factor of their own covariance."""
        shared = self.normal.covariance[self.known]
        return torch.linalg.solve_triangular(self.factor, shared, upper=False)

    def log_density(self) -> Tensor:
        """log p of the known values, (batch,)."""
        scale = self.factor.diagonal().log().sum() + 0.5 * len(self.known) * log(2 * pi)
        return -0.5 * self.z.square().sum(1) - scale

    def predict(self, tells: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, (batch, n), and the variance, (n,), of each variable given those known ones that tell of it.

        `tells`, (n, n), is 1 where the first variable may tell of the second, else 0.
        """
        weights = self.weights * tells[self.known]
        left = self.normal.covariance.diagonal() - weights.square().sum(0)
        return self.normal.mean + self.z @ weights, left

    def covariance_of(self, free: Tensor) -> Tensor:
        """The covariance of some other variables given the known ones, whatever their values."""
        weights = self.weights[:, free]
        return self.normal.covariance[free][:, free] - weights.T @ weights

    def draw(self, free: Tensor, noise: Tensor) -> Tensor:
        """Draws of all other variables, `free`, from as much standard normal noise, (batch, n - k)."""
        left = self.normal.covariance - self.weights.T @ self.weights
        means = (self.normal.mean + self.z @ self.weights)[:, free]
        return means + noise @ matrix_root(left[free[:, None], free]).T


@dataclass(frozen=True)
class NormalSums:
    """Sums over events by which a normal distribution of n variables is learned, float64.

    Of all `rows` the cells that are no number, `odd`, (n,); of the rows that are `whole` their `mean` and `covariance`.
    """

    rows: Tensor
    odd: Tensor
    whole: Tensor
    mean: Tensor
    covariance: Tensor

    @staticmethod
    def add_up(rows: Tensor, odd: Tensor, weight: Tensor) -> Tensor:
        """Flat sums over events, (batch, n), each as often as its `weight`: rows, odd cells, whole rows, x and x x^T."""
        whole = weight * ~odd.any(1)
        rows = rows.masked_fill(odd, 0.0)
        weighted = rows * whole[:, None]
        ends = weight.sum()[None], (weight[:, None] * odd).sum(0), whole.sum()[None]
        return torch.cat([*ends, weighted.sum(0), (weighted.T @ rows).flatten()])

    @classmethod
    def split(cls, sums: Tensor, n: int) -> NormalSums:
        """The flat sums by what they are of."""
        rows, odd, whole, first, second = sums.split([1, n, 1, n, n * n])
        whole = whole[0].clamp(min=1e-300)
        mean = first / whole
        covariance = second.view(n, n) / whole - mean[:, None] * mean
        return cls(rows[0], odd, whole, mean, covariance)

    @property
    def variances(self) -> Tensor:
        """The variances once one row of the standard normal is added, (n,)."""
        return (self.whole * self.covariance.diagonal() + 1) / (self.whole + 1)

    def prior(self, half: Tensor) -> Tensor:
        """The flat sums of one row whose variables are on their own, `half` an odd cell added to each, (n,)."""
        odd = (self.odd + half) / (self.rows + 1)
        one = torch.ones_like(self.rows[None])
        second = self.variances.diag() + self.mean[:, None] * self.mean
        return torch.cat([one, odd, one, self.mean, second.flatten()])


def missingness_patterns(known: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows, variables) for each set of known variables that occurs in bool (batch, variables)."""
    if known.all():
        yield (
            torch.arange(len(known), device=known.device),
            torch.arange(known.shape[1], device=known.device),
        )
        return
    sets, owner = torch.unique(known, dim=0, return_inverse=True)
    for k, own in enumerate(sets):
        yield (owner == k).nonzero()[:, 0], own.nonzero()[:, 0]


def missing_variables(known: Tensor, n: int) -> Tensor:
    """The variables 0 to n - 1 that are not among the known ones."""
    free = torch.ones(n, dtype=torch.bool, device=known.device)
    free[known] = False
    return free.nonzero()[:, 0]


def matrix_root(covariance: Tensor) -> Tensor:
    """A matrix R with R R^T the covariance, whose eigenvalues may be 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()


def floor_covariance(covariance: Tensor, floors: Tensor) -> Tensor:
    """The likeliest covariance C with C - diag(floors^2) positive: in units of the floors no eigenvalue is below 1."""
    values, vectors = torch.linalg.eigh(covariance / floors[:, None] / floors)
    if values[0] >= 1:
        return covariance
    raised = (vectors * values.clamp(min=1)) @ vectors.T
    return raised * floors[:, None] * floors
