"""A hierarchical variational autoencoder, ladder-style: levels of latents, each with a prior given all levels above it.

    p(x) = integral of p(z_1) prod_l p(z_l | z_<l) prod_i p(x_i | z) dz        level 1 is the top
    q(z_l | z_<l, x) is the normal proportional to p(z_l | z_<l) N(z_l; m_l(x), s_l(x)^2)

So inference goes down the same way as drawing does, and learns only what x adds to each level's prior (Sonderby et al.
2016, arXiv:1602.02282); precisions add up. The decoder sees all levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import accumulate
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from plausibly.events.schema import Schema
from plausibly.families.bounds import OBJECTIVES
from plausibly.families.priors import PRIORS
from plausibly.families.variational import LatentModel
from plausibly.networks.pairs import NETWORKS
from plausibly.networks.perceptron import Perceptron
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.latents import Latents, Normal, Prior, normal_of, without_gradients
from plausibly.system.arguments import check_range, is_whole_number
from plausibly.system.parts import build_part


class HierarchicalVAE(LatentModel):
    """A VAE with a ladder of latents (Sonderby et al. 2016, arXiv:1602.02282).

    Args:
        levels: latents of each level from the top, two levels or more of at least 1, 100,000 in all
            at most (default 8 and 16).
        width: units of the layer from one level to the next, 1 to 100,000 (default 128).
        objective: the loss of training, elbo, rate-distortion, warm-up, free-bits or
            importance-weighted (default warm-up).
        prior: the distribution of the top level, standard, vamp or flow (default standard).
        network: encoder and decoder, mlp or convolutional (default convolutional for images of one
            kind of at least 16 pixels a side, else mlp).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.schema import binary
    >>> model = HierarchicalVAE(binary(4), levels=(1, 2), network={"name": "mlp", "hidden": 8})
    >>> model.encode(model.schema.all_events()).shape
    torch.Size([16, 3])
    >>> model.sample(5, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 4])
    """

    formula = "about H (2 n + 4 H + 3 L) and those of the levels, H = 256, L = 24"
    choices: ClassVar = {"objective": OBJECTIVES, "prior": PRIORS, "network": NETWORKS}
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
        fits = isinstance(levels, list | tuple) and all(map(is_whole_number, levels))
        if not fits or len(levels) < 2 or min(levels) < 1:
            raise ValueError(
                f"levels = {levels}; two or more, each of at least one latent, such as [8, 16]"
            )
        check_range("hierarchical_vae: width", width, 1, 100_000)
        super().__init__(schema, sum(levels), context, components, shape)
        self.levels, self.width = list(levels), width
        self.objective = build_part("objective", OBJECTIVES, objective)
        self.connect(network, 2 * sum(levels))
        self.prior = build_part("prior", PRIORS, prior, levels[0], self.inputs.width)
        above = accumulate(levels)
        self.expected = nn.ModuleList(
            Perceptron(n, 2 * m, width, 1, 0.0) for n, m in zip(above, levels[1:], strict=False)
        )

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, levels=(1, 2), width=8, network={"name": "mlp", "hidden": 16})

    def latent_prior(self) -> Prior:
        return TopDownPrior(
            self, self.prior.over(lambda numbers: self.level_posteriors(numbers)[0])
        )

    def posterior(self, x: Tensor, draws: int = 1) -> Latents:
        return LadderPosterior(self, self.level_posteriors(self.inputs(x), draws))

    def level_posteriors(self, numbers: Tensor, draws: int = 1) -> list[Normal]:
        """The normal that x tells of each level, (n, its latents)."""
        features = self.encoder(numbers).split([2 * units for units in self.levels], 1)
        return [normal_of(own, draws) for own in features]

    def of_prior(self, level: int, above: Tensor) -> Normal:
        """p(z_l | z_<l), of a level below the top."""
        return normal_of(self.expected[level - 1](above), 1)


class TopDownPrior:
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

    def levels(self, n: int, found: list[Tensor]) -> Iterator[Normal | Categorical]:
        yield from self.top.levels(n, found)
        z = torch.cat(found, 1)[:, -self.model.levels[0] :]
        for level in range(1, len(self.model.levels)):
            yield self.model.of_prior(level, z)
            z = torch.cat([z, found[-1]], 1)

    def behind(self, z: Tensor, found: list[Tensor]) -> Iterator[Normal | Categorical]:
        yield from self.top.behind(z[:, : self.model.levels[0]], found)


class LadderPosterior(Latents):
    """The posterior of all levels, from what x tells of each."""

    def __init__(self, model: HierarchicalVAE, seen: list[Normal], frozen: bool = False) -> None:
        self.model, self.seen, self.frozen = model, seen, frozen

    def levels(self, z: list[Tensor]) -> Iterator[Normal]:
        yield self.seen[0]
        for level in range(1, len(self.seen)):
            yield multiply_normals(
                self.seen[level], self.model.of_prior(level, torch.cat(z[:level], 1))
            )

    def sample(self, generator: torch.Generator) -> Tensor:
        z: list[Tensor] = []
        for normal in self.levels(z):
            z.append(normal.sample(generator))
        return torch.cat(z, 1)

    def log_prob(self, z: Tensor) -> Tensor:
        own = list(z.split(self.model.levels, 1))
        with without_gradients(self.model) if self.frozen else nullcontext():
            return torch.cat(
                [normal.log_prob(part) for normal, part in zip(self.levels(own), own, strict=True)],
                1,
            )

    def mean(self) -> Tensor:
        """Each level's mean, given the means above it."""
        z: list[Tensor] = []
        for normal in self.levels(z):
            z.append(normal.mean())
        return torch.cat(z, 1)

    def without_gradient(self) -> LadderPosterior:
        return LadderPosterior(
            self.model, [normal.without_gradient() for normal in self.seen], frozen=True
        )


def multiply_normals(one: Normal, other: Normal) -> Normal:
    """The normal proportional to the product of two; its `draws` are the first's."""
    share = torch.sigmoid(
        2 * (other.log_scale - one.log_scale)
    )  # that the first has of both precisions
    log_scale = -0.5 * torch.logaddexp(-2 * one.log_scale, -2 * other.log_scale)
    return Normal(other.centre + share * (one.centre - other.centre), log_scale, one.draws)
