"""Latents and their densities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log, pi
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plausibly.outcomes.categorical import Categorical
from plausibly.system.randomness import by_row


def log_normal(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, scale^2), number by number."""
    return -0.5 * ((z - mean) * (-log_scale).exp()).square() - log_scale - 0.5 * log(2 * pi)


class Latents(ABC):
    """A distribution over the latents of each of n rows, where every event has `draws` rows one after the other."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Float[Tensor, "n latents"]:
        """One draw for each row, through which gradients flow."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "n latents"]) -> Float[Tensor, "n groups"]:
        """log q(z) in groups that add up."""

    @abstractmethod
    def mean(self) -> Float[Tensor, "n latents"]:
        """The mean of each row."""

    @abstractmethod
    def levels(self, z: list[Float[Tensor, "n _"]]) -> Iterator[Normal]:
        """The normal of each level of latents, given what `z` holds of the levels before by then."""

    @abstractmethod
    def without_gradient(self) -> Latents:
        """The same distribution, whose parameters no gradient of log_prob reaches."""


class Normal(Latents):
    """Independent normals; `mean` and `log_scale` are (n, latents)."""

    def __init__(self, centre: Tensor, log_scale: Tensor, draws: int = 1) -> None:
        self.centre, self.log_scale, self.draws = centre, log_scale, draws

    def sample(self, generator: torch.Generator) -> Tensor:
        n, latents = self.centre.shape
        noise = by_row(
            torch.randn, (n // self.draws, self.draws, latents), generator, self.centre.device
        )
        return self.centre + self.log_scale.exp() * noise.flatten(0, 1).to(self.centre.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_normal(z, self.centre, self.log_scale)

    def mean(self) -> Tensor:
        return self.centre

    def levels(self, z: list[Tensor]) -> Iterator[Normal]:
        yield self

    def without_gradient(self) -> Normal:
        return Normal(self.centre.detach(), self.log_scale.detach(), self.draws)


def normal_of(numbers: Tensor, draws: int) -> Normal:
    """A network's 2 x latents numbers for each event as a normal, each event `draws` times."""
    centre, log_scale = numbers.chunk(2, 1)
    # within e^-7 and e^2, smoothly, so that no gradient ever vanishes or explodes
    log_scale = -2.5 + 4.5 * torch.tanh(log_scale / 4.5 + 0.6)
    return Normal(centre.repeat_interleave(draws, 0), log_scale.repeat_interleave(draws, 0), draws)


@runtime_checkable
class Prior(Protocol):
    """p(z), ready to use. Coding draws it level by level, some of which may stand behind z, such as what it was picked by."""

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latents"]:
        """Draws."""

    def log_prob(self, z: Float[Tensor, "n latents"]) -> Float[Tensor, "n groups"]:
        """log p(z) in groups that add up."""

    def levels(self, n: int, found: list[Float[Tensor, "n _"]]) -> Iterator[Normal | Categorical]:
        """The law of each level for n rows, given what `found` holds of those before by then.

        The last numbers of all are z; a finite level is one number.
        """

    def behind(
        self, z: Float[Tensor, "n latents"], found: list[Float[Tensor, "n _"]]
    ) -> Iterator[Normal | Categorical]:
        """The laws, given z, of the numbers that are drawn before it, from the last to the first."""


Encode = Callable[[Tensor], Normal]


@contextmanager
def without_gradients(module: nn.Module) -> Iterator[None]:
    """Lets what is computed meanwhile carry gradients to its inputs, but none to the module's
    parameters."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)
