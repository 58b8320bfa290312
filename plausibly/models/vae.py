"""The variational autoencoder: p(x) = integral of p(z) prod_i p(x_i | z) dz with q(z | x) = N(m(x), s(x)^2).

Kingma & Welling (2014), arXiv:1312.6114; Rezende et al. (2014), arXiv:1401.4082. The variables are independent given z;
what couples them is that z is not known. Decoder and encoder are networks, an `objective` says what learning raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor

from plausibly.choices import build_part
from plausibly.events.schema import Schema
from plausibly.families.priors import PRIORS
from plausibly.families.variational import OBJECTIVES, LatentModel
from plausibly.outcomes.latents import Latents, Normal, Prior, normal_of


class VAE(LatentModel):
    """`objective`, `prior` and `network` are names, or {"name": ..., argument: value}; `network` is by default an mlp,
    convolutional for images of 16 pixels or more a side."""

    formula = "about H (2 n + 4 H + 3 L), H = 256, L = 16"

    def __init__(
        self,
        schema: Schema,
        latents: int = 16,
        objective: Any = "warm-up",
        prior: Any = "standard",
        network: Any = None,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
    ) -> None:
        super().__init__(schema, latents, context, components, shape)
        self.objective = build_part("objective", OBJECTIVES, objective)
        self.connect(network, 2 * latents)
        self.prior = build_part("prior", PRIORS, prior, latents, self.inputs.width)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, latents=2, network={"name": "mlp", "hidden": 16})

    def latent_prior(self) -> Prior:
        return self.prior.over(self._encode)

    def posterior(self, x: Tensor, draws: int = 1) -> Latents:
        return normal_of(self.encoder(self.inputs(x)), draws)

    def _encode(self, numbers: Tensor) -> Normal:
        return normal_of(self.encoder(numbers), 1)
