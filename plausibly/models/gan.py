"""The generative adversarial network: x = G(z), z ~ N(0, 1), learned against a critic (Goodfellow et al. 2014).

arXiv:1406.2661. It learns to draw and nothing else: no p(x) is known, so there is nothing to score by. What game the two
play is the `objective`. Variables of all kinds are painted straight through (networks/straight_through.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from plausibly.events.schema import Schema
from plausibly.families.adversarial import GAMES, AdversarialModel, SpectralNorm
from plausibly.families.network import other_variables, too_large
from plausibly.families.priors import StandardPrior
from plausibly.networks.heads import Head
from plausibly.networks.pairs import MLP, NETWORKS, default_network
from plausibly.networks.straight_through import StraightThrough
from plausibly.system.arguments import check_range
from plausibly.system.parts import build_part
from plausibly.system.randomness import by_row

WEIGHT_SCALE = 0.4  # of the size that first weights have elsewhere
NETWORK_DEFAULTS = {
    MLP.name: {"hidden": 128, "layers": 2, "dropout": 0.0}
}  # of networks, where none is asked for


def _default_spec(schema: Schema) -> dict[str, Any]:
    name = default_network(schema)
    return {"name": name, **NETWORK_DEFAULTS.get(name, {})}


class GAN(AdversarialModel):
    """A generator that learns against a critic (Goodfellow et al. 2014, arXiv:1406.2661).

    Args:
        latents: numbers that an event is generated from, 1 to 100,000 (default 16).
        objective: the game of the two, relativistic, non-saturating, minimax, hinge, wasserstein or
            r1 (default relativistic).
        network: generator and critic, mlp or convolutional (default convolutional for images of one
            kind of at least 16 pixels a side, else mlp of 128 units in 2 blocks without dropout).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.schema import binary
    >>> model = GAN(binary(4), latents=2, network={"name": "mlp", "hidden": 8})
    >>> x = model.sample(100, torch.Generator().manual_seed(0))
    >>> x.shape, bool(((x == 0) | (x == 1)).all())
    (torch.Size([100, 4]), True)
    """

    formula = "about H (2 n + 8 H + L), H = 128, L = 16"
    choices: ClassVar = {"objective": GAMES, "network": NETWORKS}
    generator: ShiftedNetwork
    margins: Tensor

    def __init__(
        self,
        schema: Schema,
        latents: int = 16,
        objective: Any = "relativistic",
        network: Any = None,
        context: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_range("latents", latents, 1, 100_000)
        self.schema, self.latents, self.context = schema, latents, tuple(context)
        self.prior = StandardPrior(latents)
        self.objective = build_part("objective", GAMES, objective)
        rest = other_variables(schema, self.context)
        self.given, self.head = StraightThrough(schema, self.context), StraightThrough(schema, rest)
        self.inputs = StraightThrough(schema, (*self.context, *rest))
        self.network = build_part("network", NETWORKS, network or _default_spec(schema))
        decoder = self.network.decoder(self, self.head.parameters_width)
        self.generator = ShiftedNetwork(decoder, self.head.gains())
        self.critic = self.network.encoder(self, 1)
        if self.objective.spectral:
            normalise_critic(self.critic)
        self.margin = Head(schema.first(self.context)) if self.context else None
        self.register_buffer("margins", torch.zeros(self.margin.width if self.margin else 0))

    def latent_prior(self) -> StandardPrior:
        return self.prior

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, latents=2, network={"name": "mlp", "hidden": 16, "dropout": 0.0})

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        return too_large(cls, schema)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """First weights smaller than others begin with: Adam's steps, which are of one size, then turn them sooner."""
        super().initialise(generator)
        for weight in (*self.generator.network.parameters(), *self.critic.parameters()):
            weight.mul_(WEIGHT_SCALE)

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        self.generator.shift.copy_(self.head.from_marginals(x))
        if self.margin:
            self.margins.copy_(self.margin.marginals(x[:, list(self.context)]))

    def generate(
        self, z: Tensor, x: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Events, (n, *shape), from latents, with the context that stands in x, and all their numbers, (n, width)."""
        given = self.given(x)
        events, numbers = self.head.sample(self.generator(torch.cat([z, given], 1)), generator)
        whole = (
            x.flatten(1)
            .to(events.dtype)
            .index_copy(1, torch.tensor(self.head.variables, device=x.device), events)
        )
        return whole.view(-1, *self.schema.shape), torch.cat([given, numbers], 1)

    def generate_like(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As many events as there are in x, with their context, and their numbers."""
        z = by_row(torch.randn, (len(x), self.latents), generator, x.device).to(self.margins.dtype)
        return self.generate(z, x, generator)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        x = z.new_zeros(len(z), self.schema.size)
        if given is not None:
            x[:, list(self.context)] = given
        return self.generate(z, x, None)[0]

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        x = self.margins.new_zeros(n, self.schema.size)
        if self.margin:
            x[:, list(self.context)] = (
                self.margin(self.margins.expand(n, -1)).sample(generator).to(x.dtype)
            )
        return self.generate_like(x, generator)[0].float()


class ShiftedNetwork(nn.Module):
    """A network's outputs times `gains`, (outputs,), plus what is learned."""

    gains: Tensor

    def __init__(self, network: nn.Module, gains: Tensor) -> None:
        super().__init__()
        self.network, self.shift = network, nn.Parameter(torch.zeros(len(gains)))
        self.register_buffer("gains", gains, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        shifted: Tensor = self.gains * self.network(z) + self.shift
        return shifted


def normalise_critic(critic: nn.Module) -> None:
    """Holds every layer of the critic to a largest singular value of 1."""
    for layer in list(critic.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            register_parametrization(layer, "weight", SpectralNorm(len(layer.weight)))
