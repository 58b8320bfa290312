"""Nodes and weights that stand for all events of one variable.

A discrete variable's nodes are its codes. A real one's are those of Gauss and Legendre between the places where its density
bends, and its special codes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from plausibly.events.kinds import Kind
from plausibly.outcomes.outcome import Numeric, Single

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def quadrature(kind: Kind, outcome: Single | None, batch: int) -> tuple[Tensor, Tensor]:
    """Nodes, float32, and weights, float64, both (nodes, batch), over all events of one variable, on the CPU.

    A real variable's nodes are those of Gauss and Legendre between the places where the outcome's density bends.
    """
    if not kind.continuous:
        codes = torch.arange(kind.codes, dtype=torch.float32)[:, None].expand(-1, batch)
        return codes, torch.ones(codes.shape, dtype=torch.float64)
    assert isinstance(outcome, Numeric)
    cuts = outcome.cuts().detach().double().cpu().sort(-1).values.expand(batch, -1).T
    middle, half = (cuts[1:] + cuts[:-1]) / 2, cuts.diff(dim=0) / 2
    points = (middle[:, None] + half[:, None] * torch.from_numpy(NODES)[:, None]).flatten(0, 1)
    weights = (half[:, None] * torch.from_numpy(WEIGHTS)[:, None]).flatten(0, 1)
    special = torch.tensor(kind.specials)[:, None].expand(-1, batch)
    return torch.cat([points.float(), special]), torch.cat(
        [weights, torch.ones(special.shape, dtype=torch.float64)]
    )
