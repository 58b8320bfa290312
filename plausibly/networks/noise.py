"""Layers that draw in training, from a generator that is lent to them and never from the global one.

What a row of a batch is given must not depend on how many processes share the batch, nor, where rows are scored, on the
rows beside it: whoever draws for rows, a layer, an objective or a bound, draws by `by_row`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn


class Shared(torch.Generator):
    """A batch's generator in the hands of a process that has some of the batch's rows."""

    before = after = 0  # the batch's rows in front of its own, and behind


class RowByRow(torch.Generator):
    """A batch's generator that has another for each of the batch's rows, `made` when they are first asked for."""

    made: Callable[[], list[torch.Generator]]

    @cached_property
    def each(self) -> list[torch.Generator]:
        return self.made()

    def get_state(self) -> Tensor:
        return torch.stack([one.get_state() for one in self.each])

    def set_state(self, state: Tensor) -> Self:
        for one, own in zip(self.each, state, strict=True):
            one.set_state(own.clone())  # a view of several states is refused
        return self


def by_row(
    draw: Callable[..., Tensor], shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """`draw(shape, generator=, device=)`, such as torch.rand, of which the first dimension is the batch's rows.

    With a `Shared` generator it is drawn for all rows of the batch, and those that are one's own are returned; with a
    `RowByRow` one each of its rows draws the same number of rows.
    """
    if isinstance(generator, RowByRow) and generator.each:
        own = (shape[0] // len(generator.each), *shape[1:])
        return torch.cat([draw(own, generator=one, device=one.device) for one in generator.each]).to(device)
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
