"""VQ-VAE: latents are codes of a learned codebook, with an autoregressive prior over them (van den Oord et al. 2017).

    log p(x) >= log p(x | c(x)) + log p(c(x)),   c_k(x) the code whose vector is nearest to the encoder's k-th one

arXiv:1711.00937. The bound is the sum over all codes with one term left. Decoder, encoder and codebook learn together by
straight-through gradients, the prior, a MADE, from the codes as they are. A code that is hardly used any more is moved
next to one that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import Quantiser
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema
from plausibly.families.variational import BoundedLatentModel, log_likelihood
from plausibly.models.made import MADE
from plausibly.objectives import Loss, Objective, Turn, hide_cells
from plausibly.system import processes
from plausibly.system.arguments import check_range

# the share of an even use below which a code is moved
COMMITMENT = 0.25
CODE_SPREAD = 0.05
RARE_SHARE = 0.01


class VQVAE(BoundedLatentModel, Quantiser):
    """An autoencoder to codes of a codebook (van den Oord et al. 2017, arXiv:1711.00937).

    Args:
        places: codes that stand for an event, 1 to 10,000 (default 4).
        codes: codes to choose each from, 2 to 1,024 (default 16).
        width: numbers of a code's vector, 1 to 10,000, and 100,000 at most of all places (default
            8).
        network: encoder and decoder, mlp or convolutional (default convolutional for images of one
            kind of at least 16 pixels a side, else mlp).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.schema import binary
    >>> model = VQVAE(binary(4), places=2, codes=4, network={"name": "mlp", "hidden": 8})
    >>> codes = model.quantise(model.schema.all_events())
    >>> codes.shape, bool((codes < 4).all())
    (torch.Size([16, 2]), True)
    """

    formula = "about H (2 n + 4 H + 2 P W) + K W and those of a MADE over P codes, H = 256, P = 4, W = 8, K = 16"
    by_default = False
    used: Tensor

    def __init__(
        self,
        schema: Schema,
        places: int = 4,
        codes: int = 16,
        width: int = 8,
        network: Any = None,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
    ) -> None:
        check_range("vq_vae: places", places, 1, 10_000)
        check_range("vq_vae: codes", codes, 2, 1024)
        check_range("vq_vae: width", width, 1, 10_000)
        super().__init__(schema, places * width, context, components, shape)
        self.places, self.codes, self.width, self.objective = (
            places,
            codes,
            width,
            CodebookObjective(),
        )
        self.connect(network, self.latents)
        self.codebook = nn.Parameter(torch.zeros(codes, width))
        self.prior = MADE(Schema((places,), (Category(levels=codes),) * places))
        self.register_buffer("used", torch.full((codes,), 1 / codes))

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, places=2, codes=4, width=2, network={"name": "mlp", "hidden": 16})

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        with torch.no_grad():
            self.codebook.copy_(0.5 * torch.randn(self.codebook.shape, generator=generator))

    def vectors(self, x: Tensor) -> Tensor:
        """The encoder's own, (batch, places, width)."""
        numbers: Tensor = self.encoder(self.inputs(x))
        return numbers.unflatten(1, (self.places, self.width))

    def nearest(self, vectors: Tensor) -> Tensor:
        """The codes of vectors, (batch, places)."""
        return (self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T).argmin(-1)

    def quantise(self, x: Tensor) -> Tensor:
        return self.nearest(self.vectors(x))

    def latents_of(self, codes: Tensor) -> Tensor:
        return self.codebook[codes.long()].flatten(1)

    def encode(self, x: Tensor) -> Tensor:
        return self.latents_of(self.quantise(x))

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        vectors = self.vectors(x)
        codes = self.nearest(vectors)
        z = self.codebook[codes]
        # the value is z's; gradients go to the codebook by z and on to the encoder as if nothing had been rounded
        through = (z + vectors - vectors.detach()).flatten(1)
        prior: Tensor = self.prior.log_prob(codes.to(x.dtype))
        return log_likelihood(self, x, through) + prior

    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        return self.latents_of(self.prior.sample(n, generator))


class CodebookObjective(Objective):
    """Two turns: reconstruction with a codebook that follows the encoder and an encoder bound to it, then the prior."""

    def turns(self, model: VQVAE) -> list[Turn]:
        if processes.rank_count() > 1:
            raise ValueError(
                "vq_vae learns in one process: its codes are moved by what the whole batch uses"
            )
        return [
            Turn(
                "reconstruction",
                model,
                lambda x, generator, done: self.reconstruct(model, x, generator),
            ),
            Turn("prior", model.prior, lambda x, generator, done: self.explain(model, x)),
        ]

    def reconstruct(self, model: VQVAE, x: Tensor, generator: torch.Generator) -> Loss:
        x, lost = hide_cells(model, x, generator)
        vectors = model.vectors(x)
        codes = model.nearest(vectors)
        revive_codes(model, codes, vectors.detach(), generator)
        z = model.codebook[codes]
        through = vectors + (z - vectors).detach()
        distortion = lost - log_likelihood(model, x, through.flatten(1))
        follow = (z - vectors.detach()).square().sum((1, 2))
        commit = COMMITMENT * (z.detach() - vectors).square().sum((1, 2))
        return Loss(distortion + follow + commit, {"distortion": distortion})

    def explain(self, model: VQVAE, x: Tensor) -> Loss:
        with torch.no_grad():
            codes = model.quantise(x)
        return Loss(-model.prior.log_prob(codes.to(x.dtype)))


@torch.no_grad()
def revive_codes(model: VQVAE, codes: Tensor, vectors: Tensor, generator: torch.Generator) -> None:
    """Follows how often each code is used, and moves those that hardly are to vectors of the batch, for the next step."""
    shares = torch.bincount(codes.flatten(), minlength=model.codes) / codes.numel()
    model.used.lerp_(shares.to(model.used), 0.02)
    dead = (model.used < RARE_SHARE / model.codes).nonzero()[:, 0]
    if len(dead):
        pool = vectors.flatten(0, 1)
        pick = torch.randint(len(pool), (len(dead),), generator=generator, device=pool.device)
        noise = CODE_SPREAD * torch.randn(
            len(dead), model.width, generator=generator, device=pool.device
        )
        model.codebook[dead] = pool[pick] + noise
        model.used[dead] = 1 / model.codes
