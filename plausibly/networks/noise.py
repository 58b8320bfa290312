"""Layers that draw in training, from a generator that is lent to them and never from the global one.

What a row of a batch is given must not depend on how many processes share the batch, nor, where rows are scored, on the
rows beside it: whoever draws for rows, a layer, an objective or a bound, draws by `by_row`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.system.randomness import NoisyLayer, by_row


class Dropout(NoisyLayer):
    """Zeroes a share of the numbers and scales the rest up, while training (Srivastava et al. 2014)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = by_row(torch.rand, tuple(x.shape), self.generator, x.device) >= self.rate
        return x * kept / (1 - self.rate)
