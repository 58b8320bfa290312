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


class ReconstructionObjective(Objective):
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
    """An encoder to few numbers and a decoder back, without a p(x) (Hinton & Salakhutdinov 2006).

    Args:
        latents: numbers that stand for an event, 1 to 100,000 (default 16).
        network: encoder and decoder, mlp or convolutional (default convolutional for images of one
            kind of at least 16 pixels a side, else mlp).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.schema import binary
    >>> model = Autoencoder(binary(4), latents=2, network={"name": "mlp", "hidden": 8})
    >>> z = model.encode(model.schema.all_events())
    >>> z.shape, model.decode(z).shape
    (torch.Size([16, 2]), torch.Size([16, 4]))
    """

    family = "autoencoder"
    formula = "about H (2 n + 4 H + 2 L), H = 256, L = 16"
    objective = ReconstructionObjective()

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
