"""The autoencoder: each event as a few numbers z(x), from which a decoder makes it again (Hinton & Salakhutdinov 2006).

doi:10.1126/science.1127647. No distribution says which z are likely, so that there is no p(x): nothing can be drawn or
scored, and what decoding any z gives is no sample. It is the contrast to what generates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.variational import EncoderDecoder, log_likelihood
from plausibly.objectives import Loss, Objective, Turn


class Reconstruction(Objective):
    """Raises sum_i log p(x_i | z(x)), nats per event: cross-entropy of codes, a density of real numbers."""

    name = "reconstruction"

    def turns(self, model: Autoencoder) -> list[Turn]:
        return [
            Turn(
                self.name,
                model,
                lambda x, generator, done: Loss(self.validation_loss(model, x, generator)),
            )
        ]

    def validation_loss(self, model: Autoencoder, x: Tensor, generator: torch.Generator) -> Tensor:
        return -log_likelihood(model, x, model.encode(x))


class Autoencoder(EncoderDecoder):
    """`network` is a name, or {"name": ..., argument: value}; by default as in a VAE."""

    family = "autoencoder"
    formula = "about H (2 n + 4 H + 2 L), H = 256, L = 16"
    objective = Reconstruction()

    def __init__(
        self,
        schema: Schema,
        latents: int = 16,
        network: Any = None,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
    ) -> None:
        super().__init__(schema, latents, context, components, shape)
        self.connect(network, latents)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, latents=2, network={"name": "mlp", "hidden": 16})

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(self.inputs(x))
