"""Distributions over latents: what is drawn of them carries gradients back (Kingma & Welling 2014, arXiv:1312.6114).

A latent is `latents` numbers. log p is told in groups, (n, groups), that add up: unit by unit where units are
independent or follow a chain rule, else as one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from math import log, pi

import torch
from torch import Tensor, nn

from plausibly.coding.streams import GRAIN
from plausibly.networks.masked import MaskedNetwork
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.latents import Encode, Normal, Prior, log_normal
from plausibly.system.parts import Part
from plausibly.system.randomness import by_row


class PriorPart(nn.Module, Part, ABC):
    """A prior among a model's arguments, over `latents` numbers, beside an encoder that takes `width` numbers."""

    @abstractmethod
    def over(self, encode: Encode) -> Prior:
        """The prior, where `encode` gives the encoder's normal for numbers (n, width)."""

    def initialise_from(self, numbers: Tensor) -> None:
        """Starts from the numbers of training events, (rows, width)."""


class StandardPrior(PriorPart):
    """The standard normal, N(0, 1)."""

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


class VampPrior(PriorPart):
    """The mean of q(z | u_k) at pseudo-inputs u_k (Tomczak & Welling 2018, arXiv:1705.07120).

    p(z) = 1/K sum_k q(z | u_k)

    Args:
        components: pseudo-inputs K, 1 to 10,000 (default 100).
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
    def initialise_from(self, numbers: Tensor) -> None:
        rows = torch.linspace(0, len(numbers) - 1, self.components).long()
        # half an event each and half the mean of all, so that no event is learned by heart from the start
        self.inputs.copy_(0.5 * numbers[rows] + 0.5 * numbers.float().mean(0))

    def over(self, encode: Encode) -> Prior:
        return BlendedNormals(encode(self.inputs))


class BlendedNormals:
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

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal | Categorical]:
        """Which row, then what it draws."""
        centre, log_scale = self.parts.centre, self.parts.log_scale
        yield Categorical(centre.new_zeros(n, 1, len(centre)).log_softmax(-1))
        pick = found[-1][:, 0].long()
        yield Normal(centre[pick], log_scale[pick])

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Categorical]:
        yield Categorical(self._each(z).log_softmax(1)[:, None])

    def _each(self, z: Tensor) -> Tensor:
        """log N(z; m_k, s_k^2), by three matrix products, (n, K).

        These cancel where a component is narrow: in float64 by less than z itself is rounded to in float32.
        """
        centre, log_scale, wide = (
            self.parts.centre.double(),
            self.parts.log_scale.double(),
            z.double(),
        )
        weights = (-2 * log_scale).exp()
        constant = (0.5 * centre.square() * weights + log_scale + 0.5 * log(2 * pi)).sum(1)
        return (wide @ (centre * weights).T - 0.5 * wide.square() @ weights.T - constant).to(
            z.dtype
        )


class FlowPrior(PriorPart):
    """A masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057).

    e_i = (z_i - m_i) / s_i ~ N(0, 1), so that log p(z) = log N(e) - sum_i log s_i, m_i and s_i
    being functions of the units before i; layers turn their order round. Scoring takes one pass of
    each layer, drawing one for each unit.

    Args:
        layers: networks one after the other, 1 to 64 (default 4).
        hidden: units of each hidden layer, 1 to 10,000 (default 128).
    """

    name = "flow"
    degrees: Tensor

    def __init__(self, latents: int, width: int = 0, *, layers: int = 4, hidden: int = 128) -> None:
        super().__init__()
        if not (1 <= layers <= 64 and 1 <= hidden <= 10_000):
            raise ValueError(
                f"prior.layers = {layers}, prior.hidden = {hidden}; 1 to 64 and 1 to 10,000"
            )
        self.layers, self.hidden, self.base = layers, hidden, StandardPrior(latents)
        self.networks = nn.ModuleList(
            MaskedNetwork(latents, 2 * latents, hidden, 1, 0.0) for _ in range(layers)
        )
        degrees = 1 + torch.arange(hidden, device="cpu") * max(latents - 1, 1) // hidden
        self.register_buffer("degrees", degrees, persistent=False)

    def over(self, encode: Encode) -> Prior:
        return self

    def _shift_and_log_scale(self, network: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
        units = torch.arange(z.shape[1], device=z.device)
        shift, log_scale = network(z, units, self.degrees, units.repeat(2)).chunk(2, 1)
        return shift, soft_clamp(log_scale)

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
        """Unit by unit of each layer, from the last: inner ones within a `log_blur` (Ho et al. 2019, arXiv:1905.08500)."""
        noise = None
        for network in reversed(self.networks):
            assert isinstance(network, MaskedNetwork)
            units = torch.arange(len(self.base.zero), device=self.degrees.device)
            growing = network.growing(n, units, self.degrees)
            for unit in range(len(units)):
                shift, log_scale = (
                    growing.parameters(unit, slice(at, at + 1)) for at in (unit, unit + len(units))
                )
                log_scale = soft_clamp(log_scale)
                if noise is None:
                    yield Normal(shift, log_scale)
                else:
                    yield Normal(
                        noise[:, unit, None] * log_scale.exp() + shift, log_blur(log_scale)
                    )
                growing.know(unit, found[-1])
            noise = torch.cat(found[-len(units) :], 1).flip(1)

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Normal]:
        """The law that each inner layer makes of the one before, as blurred as `levels` is the
        other way: no volume is lost."""
        for network in self.networks[:-1]:
            shift, log_scale = self._shift_and_log_scale(network, z)
            yield Normal((z - shift) * (-log_scale).exp(), log_blur(log_scale) - log_scale)
            z = found[-1].flip(1)


def soft_clamp(log_scale: Tensor) -> Tensor:
    """Within +-2."""
    return 2 * torch.tanh(log_scale / 2)


def log_blur(log_scale: Tensor) -> Tensor:
    """log of how wide a number is drawn so that it is no narrower than coding's grain, neither before nor after scaling."""
    return log_scale.clamp(min=0) + log(GRAIN)


PRIORS = (StandardPrior, VampPrior, FlowPrior)
