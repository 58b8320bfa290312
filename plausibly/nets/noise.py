"""Layers that draw in training, from a generator that is lent to them and never from the global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Noisy(nn.Module):
    """A layer that draws from `generator` while training; it is None outside `drawing`."""

    generator: torch.Generator | None = None


@contextmanager
def drawing(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Lends the generator to every noisy layer within."""
    noisy = [part for part in module.modules() if isinstance(part, Noisy)]
    for part in noisy:
        part.generator = generator
    try:
        yield
    finally:
        for part in noisy:
            part.generator = None


class Dropout(Noisy):
    """Zeroes a share of the numbers and scales the rest up, while training (Srivastava et al. 2014)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape, device=x.device, generator=self.generator) >= self.rate
        return x * kept / (1 - self.rate)
