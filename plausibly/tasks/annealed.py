"""The parts of a model that annealed importance sampling takes: p(z), p(x | z), and draws of both.

evaluation/likelihood/annealed.py does the sampling.

The observation model is the model's own, or noise about the decoder's mean image, N(mean(z), sigma^2), as Wu et al. (2016),
arXiv:1611.04273, give to decoders that have none. That is another model than the one that was fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log, pi
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Decoder, Latent, Trainable, Variational, device_of
from plausibly.errors import UserError
from plausibly.events.kinds import Level
from plausibly.families.priors import StandardPrior
from plausibly.families.variational import context_values, log_likelihood, output_width
from plausibly.networks.pairs import rest_of
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.latents import Prior
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import Product
from plausibly.tasks import Task

annealed: Task[Any] = Task("annealed", "it has no decoder with a prior p(z) to anneal")


@dataclass(frozen=True)
class LatentJoint:
    """p(z) p(x | z), row by row: latents z (n, latents), events x (n, *shape), nats (n,) with gradients for z.

    Where there is a context all is given the one that stands in x. `width` numbers are about what one latent is decoded to.
    """

    log_prior: Callable[[Tensor], Tensor]
    log_likelihood: Callable[[Tensor, Tensor], Tensor]  # of x and z
    draw: Callable[[int, torch.Generator], Tensor]  # so many latents of the prior
    observe: Callable[
        [Tensor, Tensor, torch.Generator], Tensor
    ]  # x with all but its context drawn from p(x | z)
    width: int


@annealed.rule(Latent, "bound")
def joint_of(model: Latent, sigma: float | None = None) -> LatentJoint:
    """With the model's own observation model, or with noise about its mean image."""
    if sigma is not None:
        return noisy_joint(model, sigma)
    if not isinstance(model, Variational):
        raise UserError(
            "its decoder has no noise of its own; --sigma 0.1, or validation, adds some to images"
        )
    return own_joint(model)


def own_joint(model: Variational) -> LatentJoint:
    """The joint of a model that has an observation model."""
    prior = prior_of(model)

    def observe(x: Tensor, z: Tensor, generator: torch.Generator) -> Tensor:
        outcome = model.observation(z, context_values(model, x))
        return with_context(model, x, outcome.sample(generator))

    return LatentJoint(
        lambda z: prior.log_prob(z).sum(1),
        partial(log_likelihood, model),
        prior.sample,
        observe,
        output_width(model.schema),
    )


def noisy_joint(decoder: Decoder, sigma: float, prior: Prior | None = None) -> LatentJoint:
    """A decoder's mean image plus N(0, sigma^2), for pixels on [0, 1]: log p(x | z) is a density per unit of brightness.

    The prior is the model's own, or else N(0, 1) unless another is given. UserError where the data are no pixels.
    """
    if not 0 < sigma < float("inf"):
        raise UserError(f"sigma = {sigma:g}; noise has a standard deviation above 0, such as 0.1")
    white_level(decoder)  # refuses what is no pixel
    chosen = prior_of(decoder) if prior is None else prior
    return LatentJoint(
        lambda z: chosen.log_prob(z).sum(1),
        partial(noisy_likelihood, decoder, sigma),
        chosen.sample,
        partial(draw_noisy, decoder, sigma),
        output_width(decoder.schema),
    )


def prior_of(decoder: Decoder) -> Prior:
    """The model's own prior, or else N(0, 1)."""
    if not isinstance(decoder, Latent):
        return standard_prior(decoder)
    with torch.no_grad():
        return decoder.latent_prior()


def noisy_likelihood(decoder: Decoder, sigma: float, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z) of the mean image plus N(0, sigma^2), (n,)."""
    constant = len(rest_of(decoder)) * (log(sigma) + 0.5 * log(2 * pi))
    return -0.5 * (pixel_errors(decoder, x, z).double() / sigma).square().sum(1) - constant


def draw_noisy(
    decoder: Decoder, sigma: float, x: Tensor, z: Tensor, generator: torch.Generator
) -> Tensor:
    """The mean image plus N(0, sigma^2), with the context of x."""
    image = mean_image(decoder, z, context_values(decoder, x))
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    drawn = x.flatten(1).float().clone()
    drawn[:, rest_of(decoder)] = (image + sigma * noise) * white_level(decoder)
    return drawn.view(x.shape)


def pixel_errors(decoder: Decoder, x: Tensor, z: Tensor) -> Tensor:
    """Pixels less the mean image, (n, pixels), both on [0, 1]."""
    return x.flatten(1)[:, rest_of(decoder)] / white_level(decoder) - mean_image(
        decoder, z, context_values(decoder, x)
    )


def mean_image(decoder: Decoder, z: Tensor, given: Tensor | None = None) -> Tensor:
    """The mean image of latents on [0, 1], (n, pixels): the expected level, or what a decoder without outcomes decodes."""
    if isinstance(decoder, Variational):
        levels = mean_codes(decoder.observation(z, given))
    else:
        levels = decoder.decode(z, given).flatten(1)
    return levels[:, rest_of(decoder)] / white_level(decoder)


def mean_codes(outcome: Outcome) -> Tensor:
    """The mean code of variables side by side, (n, variables)."""
    if isinstance(outcome, Product):
        order = torch.cat([index for index, _ in outcome.groups]).argsort()
        return torch.cat([mean_codes(part) for _, part in outcome.groups], 1)[:, order]
    assert isinstance(outcome, Categorical)
    logs = outcome.log_probs
    return logs.exp() @ torch.arange(logs.shape[-1], dtype=logs.dtype, device=logs.device)


def white_level(model: Trainable) -> int:
    """The level that is white. UserError where what is modelled is not the brightness of pixels, alike in all of them."""
    kinds = {model.schema.kinds[i] for i in rest_of(model)}
    (kind,) = kinds if len(kinds) == 1 else (None,)
    if not isinstance(kind, Level) or kind.codes != kind.levels or kind.levels < 2:
        raise UserError(
            "noise is added to pixels, levels of brightness, alike in all of an image; these data are none"
        )
    return kind.levels - 1


def with_context(model: Trainable, x: Tensor, drawn: Tensor) -> Tensor:
    """Drawn events (n, variables) in the shape of x, (n, *shape), with its context."""
    context = list(model.context)
    drawn[:, context] = x.flatten(1)[:, context]
    return drawn.view(x.shape)


def standard_prior(decoder: Decoder) -> StandardPrior:
    """N(0, 1) where the decoder is."""
    return StandardPrior(decoder.latents).to(device_of(decoder))
