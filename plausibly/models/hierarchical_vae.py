"""A hierarchical variational autoencoder, ladder-style: levels of latents, each with a prior given all levels above it.

    p(x) = integral of p(z_1) prod_l p(z_l | z_<l) prod_i p(x_i | z) dz        level 1 is the top
    q(z_l | z_<l, x) is the normal proportional to p(z_l | z_<l) N(z_l; m_l(x, z_<l), s_l(x, z_<l)^2)

So inference goes down the same way as drawing does, and learns only what x adds to each level's prior (Sonderby et al.
2016, arXiv:1602.02282); precisions add up. The decoder sees all levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn

from plausibly.families.network import within
from plausibly.families.variational import OBJECTIVES, LatentModel
from plausibly.latents import PRIORS, Latents, Normal, Prior, normal_of, without_gradients
from plausibly.nets.perceptron import Perceptron
from plausibly.parts import chosen
from plausibly.schema import Schema


class HierarchicalVAE(LatentModel):
    """`levels` are the latents of each, from the top; `prior` is the top's. All else is as in a VAE."""

    formula = "about H (2 n + 4 H + L + W) and those of the levels, H = 256, W = 128, L = 24"
    by_default = False

    def __init__(
        self,
        schema: Schema,
        levels: Sequence[int] = (8, 16),
        width: int = 128,
        objective: Any = "warm-up",
        prior: Any = "standard",
        network: Any = None,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
    ) -> None:
        if len(levels) < 2 or min(levels) < 1:
            raise ValueError(f"levels = {list(levels)}; two or more, each of at least one latent, such as [8, 16]")
        within("hierarchical_vae: width", width, 1, 100_000)
        super().__init__(schema, sum(levels), context, components, shape)
        self.levels, self.width = list(levels), width
        self.objective = chosen("objective", OBJECTIVES, objective)
        self.connect(network, width)
        self.prior = chosen("prior", PRIORS, prior, levels[0], self.inputs.width)
        above = [sum(levels[:place]) for place in range(len(levels))]
        pairs = list(zip(above, levels, strict=True))
        self.seen = nn.ModuleList(Perceptron(width + n, 2 * units, width, 1, 0.0) for n, units in pairs)
        self.expected = nn.ModuleList(Perceptron(n, 2 * units, width, 1, 0.0) for n, units in pairs[1:])

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, levels=(1, 2), width=8, network={"name": "mlp", "hidden": 16})

    def latent_prior(self) -> Prior:
        return Descent(self, self.prior.over(lambda numbers: self.of_level(0, self.encoder(numbers))))

    def posterior(self, x: Tensor, draws: int = 1) -> Latents:
        return Ladder(self, self.encoder(self.inputs(x)).repeat_interleave(draws, 0), draws)

    def of_prior(self, level: int, above: Tensor, draws: int = 1) -> Normal:
        """p(z_l | z_<l), of a level below the top."""
        return normal_of(self.expected[level - 1](above), draws)

    def of_level(self, level: int, features: Tensor, above: Tensor | None = None, draws: int = 1) -> Normal:
        """q(z_l | z_<l, x), from features of x, (n, width), and the levels above, (n, their latents)."""
        numbers = features if above is None else torch.cat([features, above], 1)
        likelihood = normal_of(self.seen[level](numbers), 1)
        if above is None:
            return Normal(likelihood.centre, likelihood.log_scale, draws)
        prior = self.of_prior(level, above)
        of_likelihood, of_prior = (-2 * likelihood.log_scale).exp(), (-2 * prior.log_scale).exp()
        precision = of_likelihood + of_prior
        centre = (likelihood.centre * of_likelihood + prior.centre * of_prior) / precision
        return Normal(centre, -0.5 * precision.log(), draws)


class Descent:
    """The prior of all levels, drawn from the top down."""

    def __init__(self, model: HierarchicalVAE, top: Prior) -> None:
        self.model, self.top = model, top

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = self.top.sample(n, generator)
        for level in range(1, len(self.model.levels)):
            z = torch.cat([z, self.model.of_prior(level, z).sample(generator)], 1)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        own = z.split(self.model.levels, 1)
        logs = [self.top.log_prob(own[0])]
        for level in range(1, len(own)):
            logs.append(self.model.of_prior(level, torch.cat(own[:level], 1)).log_prob(own[level]))
        return torch.cat(logs, 1)


class Ladder(Latents):
    """The posterior of all levels; `features` of x are (n, width)."""

    def __init__(self, model: HierarchicalVAE, features: Tensor, draws: int, frozen: bool = False) -> None:
        self.model, self.features, self.draws, self.frozen = model, features, draws, frozen

    def _levels(self, z: list[Tensor]) -> Iterator[Normal]:
        """Each level's normal, given what `z` holds of the levels above by then."""
        for level in range(len(self.model.levels)):
            above = torch.cat(z[:level], 1) if level else None
            yield self.model.of_level(level, self.features, above, self.draws)

    def sample(self, generator: torch.Generator) -> Tensor:
        z: list[Tensor] = []
        for normal in self._levels(z):
            z.append(normal.sample(generator))
        return torch.cat(z, 1)

    def log_prob(self, z: Tensor) -> Tensor:
        own = list(z.split(self.model.levels, 1))
        with without_gradients(self.model) if self.frozen else nullcontext():
            return torch.cat([normal.log_prob(part) for normal, part in zip(self._levels(own), own, strict=True)], 1)

    def mean(self) -> Tensor:
        """Each level's mean, given the means above it."""
        z: list[Tensor] = []
        for normal in self._levels(z):
            z.append(normal.mean())
        return torch.cat(z, 1)

    def fixed(self) -> Ladder:
        return Ladder(self.model, self.features.detach(), self.draws, frozen=True)
