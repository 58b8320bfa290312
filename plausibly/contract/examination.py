"""A model under examination: what all promises look at is drawn and listed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from math import ceil, log
from typing import Generic, TypeVar

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, Model, Trainable, device_of
from plausibly.contract.draws import draw_events, events_for, limit_draws
from plausibly.contract.enumeration import Nodes, enumerate_events, is_listable, list_variables
from plausibly.contract.result import NotMeasured
from plausibly.system.randomness import Stream, generator_for

Examined = TypeVar("Examined", bound=Trainable, covariant=True)

DRAWS_PER_ROUND = 500

# events of which bounds are added up, and how often each is drawn
MAX_BOUND_EVENTS = 1024
BOUND_ROUNDS = 16


class Examination(Generic[Examined]):
    """A model in evaluation mode, with what is drawn from it and listed of it. What is given out may be changed."""

    def __init__(self, model: Examined) -> None:
        self.model = model
        self.schema, self.device = model.schema, device_of(model)
        self._kept = dict[tuple[str, int], Tensor]()

    def draws(self, n: int) -> Tensor:
        """The first `n` draws of the model, or an eighth of them where each has many variables."""
        rounds = [self.draw_round(number) for number in range(ceil(n / DRAWS_PER_ROUND))]
        return torch.cat(rounds)[: limit_draws(self.schema, n)]

    def draw_round(self, number: int) -> Tensor:
        """The draws by one generator, 500 of them or an eighth."""
        assert isinstance(self.model, Model)
        make = partial(draw_events, self.model, DRAWS_PER_ROUND, number)
        return self._keep("draws", number, make)

    def events(self, seed: int = 0) -> Tensor:
        """64 random events, where the model is."""
        return self._keep("events", seed, partial(events_for, self.model, seed))

    def _keep(self, what: str, number: int, make: Callable[[], Tensor]) -> Tensor:
        """A copy of what is made at most once."""
        if (what, number) not in self._kept:
            self._kept[what, number] = make()
        return self._kept[what, number].clone()

    @cached_property
    def variables(self) -> tuple[int, ...]:
        """All variables where their events can be listed, else as many as can in the model's order."""
        return list_variables(self.model)

    @cached_property
    def nodes(self: Examination[DensityModel]) -> tuple[Nodes, Tensor]:
        """Points that stand for all events of the variables, and log p of each, float64. NotMeasured where there are none."""
        if not self.variables:
            raise NotMeasured(
                "too many events to list, and no order in which to take a few variables"
            )
        return enumerate_events(self.model, self.variables)

    @cached_property
    def bounds(self: Examination[BoundedModel]) -> tuple[Tensor, Tensor]:
        """exp(bound) of all events by 16 generators, (rounds, events) float64, and the events. NotMeasured where too many."""
        if isinstance(self.model, DensityModel):
            raise NotMeasured("log p(x) is exact: sums_to_one and samples_follow_density say more")
        if not is_listable(self.schema) or self.schema.log_events > log(MAX_BOUND_EVENTS):
            raise NotMeasured("too many events to list")
        events = self.schema.all_events().view(-1, *self.schema.shape)
        rounds = [list_bounds(self.model, events, seed).exp() for seed in range(BOUND_ROUNDS)]
        return torch.stack(rounds), events.flatten(1)


def list_bounds(model: BoundedModel, events: Tensor, seed: int) -> Tensor:
    """The bound on log p of each event by one generator, float64."""
    noise = generator_for(device_of(model), seed, Stream.CHECKED_BOUNDS)
    parts = events.to(device_of(model)).split(256)
    return torch.cat([model.log_bound(x, noise).double().cpu() for x in parts])


def node_tolerance(exam: Examination[Trainable]) -> float:
    """The share of p by which the nodes of a conditional may miss one: more for the float32 nodes of a narrow density."""
    return 2e-4 if exam.schema.continuous else 1e-5
