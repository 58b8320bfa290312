"""The variational autoencoder: p(x) = integral of p(z) prod_i p(x_i | z) dz with q(z | x) = N(m(x), s(x)^2).

Kingma & Welling (2014), arXiv:1312.6114; Rezende et al. (2014), arXiv:1401.4082. The variables are independent given z;
what couples them is that z is not known. Decoder and encoder are networks, an `objective` says what learning raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.bounds import OBJECTIVES
from plausibly.families.priors import PRIORS
from plausibly.families.variational import LatentModel
from plausibly.networks.pairs import NETWORKS
from plausibly.outcomes.latents import Latents, Normal, Prior, normal_of
from plausibly.system.parts import build_part


class VAE(LatentModel):
    """A variational autoencoder with one level of latents (Kingma & Welling 2014, arXiv:1312.6114).

    Args:
        latents: numbers that stand for an event, 1 to 100,000 (default 16).
        objective: the loss of training, elbo, rate-distortion, warm-up, free-bits or
            importance-weighted (default warm-up).
        prior: the distribution of the latents, standard, vamp or flow (default standard).
        network: encoder and decoder, mlp or convolutional (default convolutional for images of one
            kind of at least 16 pixels a side, else mlp).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.schema import binary
    >>> model = VAE(binary(4), latents=2, prior={"name": "vamp", "components": 5})
    >>> model.encode(model.schema.all_events()).shape
    torch.Size([16, 2])
    >>> model.arguments["prior"]
    {'name': 'vamp', 'components': 5}
    """

    formula = "about H (2 n + 4 H + 3 L), H = 256, L = 16"
    choices: ClassVar = {"objective": OBJECTIVES, "prior": PRIORS, "network": NETWORKS}

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
