"""The abilities of models, as types. Read this file first.

    Trainable                      schema, arguments, objective, accepts
    └ Model                        sample
      └ BoundedModel               log_bound(x) <= log p(x)
        └ DensityModel             log_prob(x)
          └ AutoregressiveModel    order; predict(x): p(x_i | earlier); unroll
            └ AnyOrderModel        predict_given(evidence): p(x_i | observed)
              └ TractableModel     log_marginal(evidence); sample_given: all of one joint distribution
                └ DecomposableModel    complete(evidence, weights); entropy_given(evidence)

    Decoder(Trainable)             latents; decode(z)
    ├ Latent(Model)                latent_prior: p(z)
    └ Encoder                      encode(x)
      ├ Quantiser(BoundedModel)    quantise(x); prior, observation: p(codes), p(x | z of the codes)
      └ Variational(Latent, BoundedModel)    posterior, observation: q(z | x), p(x | z)

Each rung inherits what the rungs above it can do. A model is a final class: it implements the abstract methods of its
rung, and where it has something faster, `unroll` and `sample_given`. All numbers are nats.

In the shapes of tensors a name is one size throughout a call. `*shape` is that of an event, `schema.shape`; `variables` are
so many numbers; `all_codes` are the codes of all variables, one after the other; `given` are the variables of the context.
An outcome is of (batch, variables), what `unroll` yields of (n,). Evidence is of `batch` events: which cells are observed,
and which codes the others may have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor, nn

from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.outcomes.latents import Latents, Prior
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.system.parts import Part

if TYPE_CHECKING:
    from plausibly.objectives import Objective

Unrolled = Generator[tuple[int, Single], Float[Tensor, "n"], Float[Tensor, "n *shape"]]


class Trainable(nn.Module, ABC):
    """Something that learns from events of `schema`. Every constructor argument is kept under its own name."""

    family: ClassVar[str]
    formula: ClassVar[str]  # the number of free parameters for n binary variables
    choices: ClassVar[Mapping[str, Sequence[type[Part]]]] = {}  # what an argument chooses among
    plan: ClassVar[
        Mapping[str, float]
    ] = {}  # what training by steps does otherwise than by default, and `rounds`
    by_default: ClassVar[bool] = (
        True  # whether it is tried where nobody names models; a slow one is not
    )
    objective: Objective  # how this model is trained
    schema: Schema
    context: tuple[
        int, ...
    ] = ()  # the variables that the others are modelled given; p(context) is kept from training
    target: int | None = None  # the variable to tell from all others, last in an order that is free

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        """Why the model cannot be built for such data, or None."""
        return None

    @classmethod
    def count(cls, schema: Schema) -> int:
        """Number of free parameters with the default arguments, found without allocating them."""
        with torch.device("meta"):
            return cls(schema).free_parameters

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        """The smallest useful instance, for tests and examples."""
        return cls(schema)

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments but for the schema, as JSON can hold them."""
        kept = {
            name: getattr(self, name)
            for name in signature(type(self)).parameters
            if name != "schema"
        }
        return {
            name: value.spec if isinstance(value, Part) else value for name, value in kept.items()
        }

    @property
    def free_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def initialise(self, generator: torch.Generator) -> None:
        """Draws the first weights of every part that has an `initialise` of its own."""
        for part in self.modules():
            draw = getattr(part, "initialise", None)
            if part is not self and draw is not None:
                draw(generator)

    def initialise_from(self, x: Num[Tensor, "rows variables"]) -> None:
        """Where the outputs have biases: starts them at the marginals of training events.

        These are whole numbers of any type where no variable is real; elsewhere an event is float32.
        """

    def expand(self) -> None:
        """Becomes as large as learning can make it: how long that takes is tried on a copy."""

    def recalibrate(self, x: Num[Tensor, "rows *shape"]) -> bool:
        """After the last step: takes up what all training events, of any type, tell at once. Whether anything changed."""
        return False

    def restore(self, state: dict[str, Tensor]) -> None:
        """Takes the saved tensors. RuntimeError where names or shapes differ."""
        self.load_state_dict(state)


class Model(Trainable):
    """A distribution over events of which one can draw."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *shape"]:
        """`n` events, (n, *shape), decided by the generator."""


class BoundedModel(Model):
    @abstractmethod
    def log_bound(
        self, x: Float[Tensor, "batch *shape"], generator: torch.Generator
    ) -> Float[Tensor, "batch"]:
        """A lower bound on log p(x), (batch,). May be stochastic: then the expectation of its exponential is at most p(x).

        Noise is drawn by `plausibly.system.randomness.by_row`, so that a row's depends on the row and not on its place.
        """

    def log_given(
        self, x: Float[Tensor, "batch *shape"], generator: torch.Generator
    ) -> Float[Tensor, "batch"]:
        """The same of the variables that are no context, given these: what learning raises, (batch,)."""
        return self.log_bound(x, generator)


class DensityModel(BoundedModel):
    @abstractmethod
    def log_prob(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch"]:
        """log p(x), (batch,)."""

    def log_bound(
        self, x: Float[Tensor, "batch *shape"], generator: torch.Generator
    ) -> Float[Tensor, "batch"]:
        return self.log_prob(x)


class AutoregressiveModel(DensityModel):
    """Factorises log p(x) over the variables, taken in `order`, by the chain rule."""

    order: tuple[int, ...]

    @abstractmethod
    def predict(self, x: Float[Tensor, "batch *shape"]) -> Outcome:
        """The outcome of every variable x_i given those earlier in `order`."""

    def log_conditionals(
        self, x: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "batch variables"]:
        """log p(x_i | earlier) of every variable."""
        return self.predict(x).log_prob(x.flatten(1))

    def log_prob(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch"]:
        return self.log_conditionals(x).sum(1)

    def log_prob_by_variable(
        self, x: Float[Tensor, "batch *shape"]
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch variables"]]:
        """`log_prob` and `log_conditionals`, in one pass where the former adds up the latter."""
        each = self.log_conditionals(x)
        adds_up = type(self).log_prob is AutoregressiveModel.log_prob
        return each.sum(1) if adds_up else self.log_prob(x), each

    def unroll(self, n: int) -> Unrolled:
        """Yields (i, p(x_i | earlier)) in `order`, is sent x_i, (n,), and returns the events.

        Sampling, filling in, coding and decoding all drive this. Override it to predict faster.
        """
        x = torch.zeros(n, *self.schema.shape, device=device_of(self))
        flat = x.flatten(1)
        for i in self.order:
            flat[:, i] = yield i, self.predict(x).one(i)
        return x

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *shape"]:
        return drive_unrolled(self.unroll(n), lambda i, outcome: outcome.sample(generator))


class AnyOrderModel(AutoregressiveModel):
    @abstractmethod
    def predict_given(self, evidence: Evidence) -> Outcome:
        """The outcome of every unobserved variable given the observed ones alone, whatever is allowed."""


class TractableModel(AnyOrderModel):
    """Knows every marginal of one joint distribution, and hence every conditional."""

    @abstractmethod
    def log_marginal(self, evidence: Evidence) -> Float[Tensor, "batch"]:
        """log p(the observed variables, and each other holds what is allowed), these summed out, (batch,)."""

    @abstractmethod
    def sample_given(
        self, evidence: Evidence, generator: torch.Generator
    ) -> Float[Tensor, "batch *shape"]:
        """Events drawn from p(unobserved | observed), given too that each drawn cell holds what is allowed."""

    def propose_completions(
        self, evidence: Evidence, weights: Float[Tensor, "all_codes"], generator: torch.Generator
    ) -> list[Float[Tensor, "batch *shape"]]:
        """Probable completions, among which the search for the best one begins; `weights` are those of `complete`."""
        possible = evidence.with_allowed(Allowed.of_codes(weights > -torch.inf))
        return [self.sample_given(possible, generator) for _ in range(8)]


class DecomposableModel(TractableModel):
    """log p(x) is a sum of terms of few variables each, and none is hidden (Lauritzen 1996, decomposable models).

    So maxima and means of log p(x) are as exact as sums of p(x).
    """

    @abstractmethod
    def complete(
        self, evidence: Evidence, weights: Float[Tensor, "all_codes"]
    ) -> Float[Tensor, "batch *shape"]:
        """The most probable values of all unobserved variables together, given the observed ones: whole events.

        That is where log p(x) plus the weights of the chosen codes is largest; `weights` are (sum of codes,), -inf for
        what must not be chosen: they say what is allowed. A real variable's density counts.
        """

    @abstractmethod
    def entropy_given(self, evidence: Evidence) -> Float64[Tensor, "batch"]:
        """-E log p(unobserved | observed) in nats, (batch,) float64; differential where an unobserved variable is real.

        It is that of all codes, whatever is allowed.
        """


class Decoder(Trainable):
    """Turns a latent, so many numbers, into an event."""

    latents: int

    @abstractmethod
    def decode(
        self, z: Float[Tensor, "batch latents"], given: Float[Tensor, "batch given"] | None = None
    ) -> Float[Tensor, "batch *shape"]:
        """The most probable value of each variable, (batch, *shape), for latents (batch, latents).

        `given` holds the values of the context, (batch, its variables); None where there is no context.
        """


class Latent(Decoder, Model):
    """Draws a latent first, then an event about what is decoded from it."""

    @abstractmethod
    def latent_prior(self) -> Prior:
        """p(z)."""


class Encoder(Decoder):
    @abstractmethod
    def encode(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch latents"]:
        """The latents that stand for events: their mean where there are several, (batch, latents)."""


class Quantiser(Encoder, BoundedModel):
    """Encodes events as whole numbers, each of which stands for a learned vector: p(x) >= p(codes of x) p(x | z of these)."""

    codes: int
    prior: AutoregressiveModel  # of the codes

    @abstractmethod
    def quantise(self, x: Float[Tensor, "batch *shape"]) -> Int[Tensor, "batch places"]:
        """The codes of events, (batch, places), each below `codes`."""

    @abstractmethod
    def latents_of(self, codes: Num[Tensor, "batch places"]) -> Float[Tensor, "batch latents"]:
        """The vectors of codes, (batch, latents)."""

    @abstractmethod
    def observation(
        self, z: Float[Tensor, "batch latents"], given: Float[Tensor, "batch given"] | None = None
    ) -> Outcome:
        """As of `Variational`."""


class Variational(Encoder, Latent, BoundedModel):
    """p(x) = integral of p(z) p(x | z) dz, with an approximation q(z | x) to the posterior p(z | x)."""

    draws: int = 100  # of q(z | x) for each event, by which `log_bound` scores it

    @abstractmethod
    def posterior(self, x: Float[Tensor, "batch *shape"], draws: int = 1) -> Latents:
        """q(z | x) for every event `draws` times in a row: of (batch * draws) latents."""

    @abstractmethod
    def observation(
        self, z: Float[Tensor, "batch latents"], given: Float[Tensor, "batch given"] | None = None
    ) -> Outcome:
        """p(x_i | z) of every variable, those of the context included; `given` as for `decode`."""

    def high_precision(self) -> Self:
        """The model as its draws are weighed: one whose prior and posterior round less, if there is any."""
        return self

    def encode(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch latents"]:
        return self.posterior(x).mean()

    def decode(
        self, z: Float[Tensor, "batch latents"], given: Float[Tensor, "batch given"] | None = None
    ) -> Float[Tensor, "batch *shape"]:
        return self.observation(z, given).mode().view(-1, *self.schema.shape)


def drive_unrolled(
    unrolled: Unrolled, choose: Callable[[int, Single], Float[Tensor, "n"]]
) -> Float[Tensor, "n *shape"]:
    """Runs an unrolled model, choosing each variable from its conditional; returns the events."""
    try:
        i, outcome = next(unrolled)
        while True:
            i, outcome = unrolled.send(choose(i, outcome))
    except StopIteration as done:
        events: Tensor = done.value
        return events


def device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
