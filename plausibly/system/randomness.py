"""Streams of random numbers: one for each purpose, shard and row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

# odd: multiples differ in their low 32 bits, which are all that a CPU's generator takes
HASH_FACTORS = (0x9E3779B1, 0x85EBCA6B)


class Stream(IntEnum):
    """The purpose that a generator draws for.

    Some share a number, since another number would change results that were published.
    """

    INITIAL_WEIGHTS = 0
    SHUFFLED_ROWS = 1
    TRAINING_NOISE = 2
    VALIDATION_NOISE = 3
    BOUND_NOISE = 4
    HEALTH = 4
    SAMPLES = 5
    SLACK = 5
    CHECKED_WEIGHTS = 6
    CHECKED_SAMPLES = 7
    CHECKED_GRADIENTS = 8
    CHECKED_CODES = 9
    CHECKED_HOLES = 10
    CHECKED_ANSWERS = 11
    FILLED_HOLES = 12
    COMPLETIONS = 13
    SAMPLING_SPEED = 13
    QUERIES = 14
    CHECKED_NUMBERS = 14
    CHECKED_COMPLETIONS = 15
    CHECKED_ENTROPIES = 16
    MARGINAL_BOUNDS = 17
    CHECKED_BOUNDS = 17
    CHECKED_LATENTS = 17
    CLASSIFICATIONS = 18
    COMPRESSED_BITS = 18
    CHECKED_CODING = 18
    CHECKED_BOUND_PRECISION = 19
    CHECKED_LOSS_PRECISION = 20
    REPORT_SAMPLES = 21
    ELBO_PARTS = 22
    ORDERS = 23
    ANNEALED_CHAINS = 23
    REGRESSIONS = 24
    JUDGE_WEIGHTS = 30
    JUDGE_BATCHES = 31


def generator_for(device: torch.device, *numbers: int, shard: int = 0) -> torch.Generator:
    """A generator that depends on all the numbers and on nothing else; of a shard of rows on which it is, too."""
    seed = 0
    for number in numbers:
        folded = number + (number >> 32) * HASH_FACTORS[0]
        seed = (seed * 6364136223846793005 + folded + 1442695040888963407) % (1 << 63)
    return torch.Generator(device).manual_seed((seed + shard * HASH_FACTORS[1]) % (1 << 63))


def sharing(generator: torch.Generator, own: slice, rows: int) -> torch.Generator:
    """The generator of a batch of `rows` rows for one who has those in `own`."""
    if (own.start, own.stop) == (0, rows):
        return generator
    shared = SharedGenerator(generator.device)
    shared.set_state(generator.get_state())
    shared.before, shared.after = own.start, rows - own.stop
    return shared


class SharedGenerator(torch.Generator):
    """A batch's generator in the hands of a process that has some of the batch's rows."""

    before = after = 0  # the batch's rows in front of its own, and behind


class RowGenerators(torch.Generator):
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
    draw: Callable[..., Tensor],
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device,
) -> Tensor:
    """`draw(shape, generator=, device=)`, such as torch.rand, of which the first dimension is the batch's rows.

    With a `SharedGenerator` it is drawn for all rows of the batch, and those that are one's own are returned; with
    `RowGenerators` each of its rows draws the same number of rows.
    """
    if isinstance(generator, RowGenerators) and generator.each:
        own = (shape[0] // len(generator.each), *shape[1:])
        return torch.cat(
            [draw(own, generator=one, device=one.device) for one in generator.each]
        ).to(device)
    before, after = (
        (generator.before, generator.after) if isinstance(generator, SharedGenerator) else (0, 0)
    )
    whole = draw((before + shape[0] + after, *shape[1:]), generator=generator, device=device)
    return whole[before : before + shape[0]]


def random_like(numbers: Tensor, fill: Callable[..., Tensor], generator: torch.Generator) -> Tensor:
    """Numbers of the same form, which `fill(them, generator=)` draws row by row."""

    def draw(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
        return fill(torch.empty(shape, dtype=numbers.dtype, device=device), generator=generator)

    return by_row(draw, tuple(numbers.shape), generator, numbers.device)


class LikeliestGenerator(np.random.Generator):
    """Chance that always takes the most probable, and the middle where all are equally so.

    A kind's `draw` with it gives the most probable value of each code.
    """

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def choice(self, a: int, size: int, p: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.full(size, np.argmax(p))

    def integers(self, low: Any, high: Any, size: Any = None) -> np.ndarray:  # type: ignore[override]
        middle = low + (np.asarray(high) - low) // 2
        return np.asarray(middle if size is None else np.broadcast_to(middle, size))

    def geometric(self, p: float, size: int) -> np.ndarray:  # type: ignore[override]
        return np.ones(size, dtype=np.int64)


class NoisyLayer(nn.Module):
    """A layer that draws from `generator` while training; it is None outside `lend_noise`."""

    generator: torch.Generator | None = None


@contextmanager
def lend_noise(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Lends the generator to every noisy layer within."""
    noisy = [part for part in module.modules() if isinstance(part, NoisyLayer)]
    for part in noisy:
        part.generator = generator
    try:
        yield
    finally:
        for part in noisy:
            part.generator = None
