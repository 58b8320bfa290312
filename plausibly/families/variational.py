"""The base of latent-variable models: p(x) = integral of p(z) p(x | z) dz, and bounds on it from
q(z | x).

With w = p(x, z) / q(z | x), z drawn from q, and K draws for each event:

    ELBO              E log w = E log p(x | z) - KL(q(z | x) || p(z))          reconstruction - rate
    importance weighted        E log 1/K sum_k w_k  <=  log p(x)               tighter with more draws

(Kingma & Welling 2014, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082; Burda et al. 2016, arXiv:1509.00519.)
A context c is outside: p(x, c) = p(c) p(x | c), where z is independent of c, and p(c) stays the product of its marginals.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import BoundedModel, Encoder, Trainable, Variational
from plausibly.events.schema import Schema
from plausibly.families.network import other_variables, too_large
from plausibly.families.priors import PriorPart
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.networks.pairs import MLP, NETWORKS, Convolutional, default_network, rest_of
from plausibly.outcomes.latents import Latents
from plausibly.outcomes.outcome import Outcome
from plausibly.system.arguments import check_range
from plausibly.system.parts import build_part

NUMBERS_PER_BATCH = 1 << 22  # that are decoded at a time
EVENTS_PER_BATCH = 64  # whose bounds are taken at a time
NUMBERS_PER_REAL = 24  # numbers of a real variable's mixture, about


Posterior = Callable[
    [Tensor, int], Latents
]  # q(z | x) of every event so many times, as `Variational.posterior`


@dataclass(frozen=True)
class ImportanceTerms:
    """Logs for draws z of q(z | x): log p(x | z), log p(z), log q(z | x), each (batch, draws)."""

    reconstruction: Tensor
    log_prior: Tensor
    log_posterior: Tensor
    rates: Tensor  # log q - log p by group of latents, (batch, draws, groups)

    @property
    def rate(self) -> Tensor:
        """Estimates KL(q(z | x) || p(z)), (batch, draws)."""
        return self.log_posterior - self.log_prior

    @property
    def log_weights(self) -> Tensor:
        return self.reconstruction - self.rate


def output_width(schema: Schema) -> int:
    """About how many numbers one latent is decoded to."""
    return sum(NUMBERS_PER_REAL if kind.continuous else kind.codes for kind in schema.kinds)


def context_values(model: Trainable, x: Tensor) -> Tensor | None:
    """The values of the context in events, (batch, its variables)."""
    return x.flatten(1)[:, list(model.context)] if model.context else None


def log_likelihood(model: Variational | EncoderDecoder, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z, context), (n,), for events and latents row by row."""
    each = model.observation(z, context_values(model, x)).log_prob(x.flatten(1))
    return each[:, rest_of(model)].sum(1) if model.context else each.sum(1)


def log_context(model: Variational | EncoderDecoder, x: Tensor) -> Tensor:
    """log p(context), (n,): of its marginals, which every latent gives."""
    if not model.context:
        return x.new_zeros(len(x))
    outcome = model.observation(x.new_zeros(len(x), model.latents), context_values(model, x))
    return outcome.log_prob(x.flatten(1))[:, list(model.context)].sum(1)


def importance_weights(
    model: Variational, x: Tensor, z: Tensor, q: Latents, draws: int
) -> ImportanceTerms:
    """The parts of log w for draws z of q, (batch * draws, latents)."""
    reconstruction = log_likelihood(model, x.repeat_interleave(draws, 0), z)
    of_prior, of_posterior = model.latent_prior().log_prob(z), q.log_prob(z)
    log_prior, log_posterior = of_prior.sum(1), of_posterior.sum(1)
    grouped = of_prior.shape == of_posterior.shape
    rates = of_posterior - of_prior if grouped else (log_posterior - log_prior)[:, None]
    whole = (
        part.unflatten(0, (-1, draws)) for part in (reconstruction, log_prior, log_posterior, rates)
    )
    return ImportanceTerms(*whole)


def sample_weights(
    model: Variational,
    x: Tensor,
    draws: int,
    generator: torch.Generator,
    posterior: Posterior | None = None,
) -> ImportanceTerms:
    """`draws` draws of q(z | x) for each event, weighed; q is the model's own unless another is given."""
    q = (posterior or model.posterior)(x, draws)
    return importance_weights(model, x, q.sample(generator), q, draws)


def reconstruction_and_rate(
    model: Variational,
    x: Tensor,
    draws: int,
    generator: torch.Generator,
    posterior: Posterior | None = None,
) -> tuple[Tensor, Tensor]:
    """log p(x | z) and log q - log p of draws, (batch, draws) float64 both.

    So many draws at a time that memory stays small, whatever the number of events: that decides what they are.
    """
    at_once = max(1, NUMBERS_PER_BATCH // (EVENTS_PER_BATCH * output_width(model.schema)))
    sizes = [min(at_once, draws - start) for start in range(0, draws, at_once)]
    parts = [sample_weights(model, x, size, generator, posterior) for size in sizes]
    reconstruction = torch.cat([part.reconstruction.double() for part in parts], 1)
    return reconstruction, torch.cat([part.rate.double() for part in parts], 1)


def log_weights(model: Variational, x: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """log w, (batch, draws) float64."""
    reconstruction, rate = reconstruction_and_rate(model, x, draws, generator)
    return reconstruction - rate


def importance_weighted(
    model: Variational, x: Tensor, draws: int, generator: torch.Generator
) -> Tensor:
    """log 1/K sum_k w_k, (batch,) float64: in expectation at most log p(x)."""
    return log_weights(model, x, draws, generator).logsumexp(1) - log(draws)


class EncoderDecoder(Encoder):
    """Events in as numbers, latents to an outcome for each variable, and the context beside both.

    A subclass makes its networks by `connect`.
    """

    choices: ClassVar = {"network": NETWORKS}
    network: MLP | Convolutional
    encoder: nn.Module
    decoder: nn.Module
    placed: Tensor

    def __init__(
        self, schema: Schema, latents: int, context: Sequence[int], components: int, shape: str
    ) -> None:
        super().__init__()
        check_range("latents", latents, 1, 100_000)
        self.schema, self.latents, self.context = schema, latents, tuple(context)
        self.components, self.shape = components, shape
        rest = other_variables(schema, self.context)
        self.inputs, self.given = Inputs(schema), Inputs(schema, self.context)
        self.head = Head(schema, components, shape)
        self.offset = nn.Parameter(torch.zeros(self.head.width))
        slices = [self.head.slice(i) for i in rest]
        places = [torch.arange(each.start, each.stop, device="cpu") for each in slices]
        self.register_buffer("placed", torch.cat(places), persistent=False)

    def connect(self, network: Any, features: int) -> None:
        """Makes `encoder`, from the inputs to so many numbers, and `decoder`, from latents and context to parameters."""
        self.network = build_part(
            "network", NETWORKS, default_network(self.schema) if network is None else network
        )
        self.encoder = self.network.encoder(self, features)
        self.decoder = self.network.decoder(self, len(self.placed))

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        return too_large(cls, schema)

    def observation(self, z: Tensor, given: Tensor | None = None) -> Outcome:
        """p(x_i | z) of every variable, as `Variational.observation`."""
        z = z.to(self.offset.dtype)
        parameters = self.decoder(torch.cat([z, self._numbers(given, z)], 1))
        if self.context:
            whole = parameters.new_zeros(len(z), self.head.width)
            parameters = whole.index_copy(1, self.placed, parameters)
        return self.head(self.offset + parameters)

    def _numbers(self, given: Tensor | None, z: Tensor) -> Tensor:
        """The numbers that a network is told of the context, (n, width)."""
        if given is None:
            return z.new_zeros(len(z), 0)
        x = given.new_zeros(len(given), self.schema.size)
        x[:, list(self.context)] = given
        return self.given(x)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return self.observation(z, given).mode().view(-1, *self.schema.shape)

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        self.offset.copy_(self.head.marginals(x))


class BoundedLatentModel(EncoderDecoder, BoundedModel):
    """A model that draws latents first, then events; log p(x) is bounded by `log_given`, and
    p(context) by itself."""

    family = "latent variable"

    @abstractmethod
    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, latents), of the prior."""

    def log_bound(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.log_given(x, generator) + log_context(self, x)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = self.draw_latents(n, generator)
        if not self.context:
            return self.observation(z).sample(generator).view(n, *self.schema.shape)
        context = self.head(self.offset.expand(n, -1)).sample(generator)[:, list(self.context)]
        x = self.observation(z, context).sample(generator)
        x[:, list(self.context)] = context
        return x.view(n, *self.schema.shape)


class LatentModel(BoundedLatentModel, Variational):
    """A variational model of such parts, with a prior among them."""

    prior: PriorPart

    def initialise_from(self, x: Tensor) -> None:
        super().initialise_from(x)
        self.prior.initialise_from(self.inputs(x))

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return importance_weighted(self.high_precision(), x, self.draws, generator)

    def high_precision(self) -> Self:
        """A copy with prior and posterior in float64, which shares what turns latents into outcomes.

        A density that rounds is none, and no bound comes of it; a decoder that rounds is another decoder, whose outcomes
        have probabilities all the same. And a decoder takes most of the time.
        """
        shared = (self.decoder, self.head, self.given)
        twin = deepcopy(self, {id(part): part for part in (*shared, self.offset)})
        for part in twin.children():
            if part not in shared:
                part.double()
        return twin

    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        return self.latent_prior().sample(n, generator)
