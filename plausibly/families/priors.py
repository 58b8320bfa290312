"""Distributions over latents: what is drawn of them carries gradients back (Kingma & Welling 2014, arXiv:1312.6114).

A latent is `latents` numbers. log p is told in groups, (n, groups), that add up: unit by unit where units are
independent or follow a chain rule, else as one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import log, pi
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from plausibly.choices import Part
from plausibly.coding.streams import GRAIN
from plausibly.networks.masked import MaskedNetwork
from plausibly.networks.noise import by_row
from plausibly.outcomes.outcomes import Finite


def log_normal(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, scale^2), number by number."""
    return -0.5 * ((z - mean) * (-log_scale).exp()).square() - log_scale - 0.5 * log(2 * pi)


class Latents(ABC):
    """A distribution over the latents of each of n rows, where every event has `draws` rows one after the other."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw for each row, (n, latents), through which gradients flow."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) in groups, (n, groups)."""

    @abstractmethod
    def mean(self) -> Tensor:
        """(n, latents)."""

    @abstractmethod
    def levels(self, z: list[Tensor]) -> Iterator[Normal]:
        """The normal of each level of latents, given what `z` holds of the levels before by then."""

    @abstractmethod
    def fixed(self) -> Latents:
        """The same distribution, whose parameters no gradient of log_prob reaches."""


class Normal(Latents):
    """Independent normals; `mean` and `log_scale` are (n, latents)."""

    def __init__(self, centre: Tensor, log_scale: Tensor, draws: int = 1) -> None:
        self.centre, self.log_scale, self.draws = centre, log_scale, draws

    def sample(self, generator: torch.Generator) -> Tensor:
        n, latents = self.centre.shape
        noise = by_row(torch.randn, (n // self.draws, self.draws, latents), generator, self.centre.device)
        return self.centre + self.log_scale.exp() * noise.flatten(0, 1).to(self.centre.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_normal(z, self.centre, self.log_scale)

    def mean(self) -> Tensor:
        return self.centre

    def levels(self, z: list[Tensor]) -> Iterator[Normal]:
        yield self

    def fixed(self) -> Normal:
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

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, latents)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """In groups, (n, groups)."""

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal | Finite]:
        """The law of each level for n rows, given what `found` holds of those before by then, (n, its numbers) each.

        The last numbers of all are z; a finite level is one number.
        """

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Normal | Finite]:
        """The laws, given z, of the numbers that are drawn before it, from the last to the first."""


Encode = Callable[[Tensor], Normal]


class PriorPart(nn.Module, Part, ABC):
    """A prior among a model's arguments, over `latents` numbers, beside an encoder that takes `width` numbers."""

    @abstractmethod
    def over(self, encode: Encode) -> Prior:
        """The prior, where `encode` gives the encoder's normal for numbers (n, width)."""

    def settle(self, numbers: Tensor) -> None:
        """Starts from the numbers of training events, (rows, width)."""


class Standard(PriorPart):
    """N(0, 1)."""

    name = "standard"
    zero: Tensor

    def __init__(self, latents: int, width: int = 0) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(latents, device="cpu"), persistent=False)

    def over(self, encode: Encode) -> Prior:
        return self

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = by_row(torch.randn, (n, len(self.zero)), generator, self.zero.device)
        return noise.to(self.zero.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_normal(z, self.zero, self.zero)

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal]:
        yield Normal(self.zero.expand(n, -1), self.zero.expand(n, -1))

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Normal]:
        yield from ()


class Vamp(PriorPart):
    """The mean of the encoder's posteriors at learned pseudo-inputs u_k (Tomczak & Welling 2018, arXiv:1705.07120).

    p(z) = 1/K sum_k q(z | u_k)
    """

    name = "vamp"

    def __init__(self, latents: int, width: int, *, components: int = 100) -> None:
        super().__init__()
        if not 1 <= components <= 10_000:
            raise ValueError(f"prior.components = {components}; it can be 1 to 10,000")
        self.components = components
        self.inputs = nn.Parameter(torch.zeros(components, width))

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.inputs.copy_(torch.rand(self.inputs.shape, generator=generator))

    @torch.no_grad()
    def settle(self, numbers: Tensor) -> None:
        rows = torch.linspace(0, len(numbers) - 1, self.components).long()
        # half an event each and half the mean of all, so that no event is learned by heart from the start
        self.inputs.copy_(0.5 * numbers[rows] + 0.5 * numbers.float().mean(0))

    def over(self, encode: Encode) -> Prior:
        return Blended(encode(self.inputs))


class Blended:
    """Every row of a normal with equal weight: a mixture."""

    def __init__(self, parts: Normal) -> None:
        self.parts = parts

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        centre, log_scale = self.parts.centre, self.parts.log_scale
        pick = by_row(partial(torch.randint, len(centre)), (n,), generator, centre.device)
        return Normal(centre[pick], log_scale[pick]).sample(generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """log 1/K sum_k N(z; m_k, s_k^2), (n, 1)."""
        return self._each(z).logsumexp(1, keepdim=True) - log(len(self.parts.centre))

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal | Finite]:
        """Which row, then what it draws."""
        centre, log_scale = self.parts.centre, self.parts.log_scale
        yield Finite(centre.new_zeros(n, 1, len(centre)).log_softmax(-1))
        pick = found[-1][:, 0].long()
        yield Normal(centre[pick], log_scale[pick])

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Finite]:
        yield Finite(self._each(z).log_softmax(1)[:, None])

    def _each(self, z: Tensor) -> Tensor:
        """log N(z; m_k, s_k^2), by three matrix products, (n, K).

        These cancel where a component is narrow: in float64 by less than z itself is rounded to in float32.
        """
        centre, log_scale, wide = self.parts.centre.double(), self.parts.log_scale.double(), z.double()
        weights = (-2 * log_scale).exp()
        constant = (0.5 * centre.square() * weights + log_scale + 0.5 * log(2 * pi)).sum(1)
        return (wide @ (centre * weights).T - 0.5 * wide.square() @ weights.T - constant).to(z.dtype)


class Flow(PriorPart):
    """A masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057): e_i = (z_i - m_i) / s_i ~ N(0, 1).

    log p(z) = log N(e) - sum_i log s_i, m_i and s_i being functions of the units before i; layers turn their order round.
    Scoring takes one pass of each layer, drawing one for each unit.
    """

    name = "flow"
    degrees: Tensor

    def __init__(self, latents: int, width: int = 0, *, layers: int = 4, hidden: int = 128) -> None:
        super().__init__()
        if not (1 <= layers <= 64 and 1 <= hidden <= 10_000):
            raise ValueError(f"prior.layers = {layers}, prior.hidden = {hidden}; 1 to 64 and 1 to 10,000")
        self.layers, self.hidden, self.base = layers, hidden, Standard(latents)
        self.networks = nn.ModuleList(MaskedNetwork(latents, 2 * latents, hidden, 1, 0.0) for _ in range(layers))
        degrees = 1 + torch.arange(hidden, device="cpu") * max(latents - 1, 1) // hidden
        self.register_buffer("degrees", degrees, persistent=False)

    def over(self, encode: Encode) -> Prior:
        return self

    def _shift_and_log_scale(self, network: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
        units = torch.arange(z.shape[1], device=z.device)
        shift, log_scale = network(z, units, self.degrees, units.repeat(2)).chunk(2, 1)
        return shift, soft(log_scale)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = self.base.sample(n, generator)
        for network in reversed(self.networks):
            noise, z = z.flip(1), torch.zeros_like(z)
            for unit in range(z.shape[1]):
                shift, log_scale = self._shift_and_log_scale(network, z)
                z[:, unit] = noise[:, unit] * log_scale[:, unit].exp() + shift[:, unit]
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """(n, 1)."""
        total = z.new_zeros(len(z))
        for network in self.networks:
            shift, log_scale = self._shift_and_log_scale(network, z)
            z = ((z - shift) * (-log_scale).exp()).flip(1)
            total = total - log_scale.sum(1)
        return (self.base.log_prob(z).sum(1) + total)[:, None]

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal]:
        """Unit by unit of each layer, from the last: of the inner ones within a `blur` (Ho et al. 2019, arXiv:1905.08500)."""
        noise = None
        for network in reversed(self.networks):
            assert isinstance(network, MaskedNetwork)
            units = torch.arange(len(self.base.zero), device=self.degrees.device)
            growing = network.growing(n, units, self.degrees)
            for unit in range(len(units)):
                shift, log_scale = (growing.parameters(unit, slice(at, at + 1)) for at in (unit, unit + len(units)))
                log_scale = soft(log_scale)
                if noise is None:
                    yield Normal(shift, log_scale)
                else:
                    yield Normal(noise[:, unit, None] * log_scale.exp() + shift, blur(log_scale))
                growing.know(unit, found[-1])
            noise = torch.cat(found[-len(units) :], 1).flip(1)

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Normal]:
        """What each inner layer makes of the one before, as blurred as `levels` is the other way: no volume is lost."""
        for network in self.networks[:-1]:
            shift, log_scale = self._shift_and_log_scale(network, z)
            yield Normal((z - shift) * (-log_scale).exp(), blur(log_scale) - log_scale)
            z = found[-1].flip(1)


def soft(log_scale: Tensor) -> Tensor:
    """Within +-2."""
    return 2 * torch.tanh(log_scale / 2)


def blur(log_scale: Tensor) -> Tensor:
    """log of how wide a number is drawn so that it is no narrower than coding's grain, neither before nor after scaling."""
    return log_scale.clamp(min=0) + log(GRAIN)


PRIORS = (Standard, Vamp, Flow)


@contextmanager
def without_gradients(module: nn.Module) -> Iterator[None]:
    """What is computed meanwhile carries gradients to its inputs, but none to the module's parameters."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)
