"""Covariances of normal distributions, and the sets of variables that rows know."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def patterns(known: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
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


def others(known: Tensor, n: int) -> Tensor:
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
