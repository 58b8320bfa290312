"""Layers that draw in training, from a generator that is lent to them and never from the global one.

What a row of a batch is given must not depend on how many processes share the batch: whoever draws for rows, a layer
or an objective, draws by `by_row`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Shared(torch.Generator):
    """A batch's generator in the hands of a process that has some of the batch's rows."""

    before = after = 0  # the batch's rows in front of its own, and behind


def by_row(
    draw: Callable[..., Tensor], shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """`draw(shape, generator=, device=)`, such as torch.rand, of which the first dimension is the batch's rows.

    With a `Shared` generator it is drawn for all rows of the batch, and those that are one's own are returned.
    """
    before, after = (generator.before, generator.after) if isinstance(generator, Shared) else (0, 0)
    whole = draw((before + shape[0] + after, *shape[1:]), generator=generator, device=device)
    return whole[before : before + shape[0]]


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
        kept = by_row(torch.rand, tuple(x.shape), self.generator, x.device) >= self.rate
        return x * kept / (1 - self.rate)
