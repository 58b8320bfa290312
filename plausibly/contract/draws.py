"""Events that models are checked on: their own draws, random ones, and some that are observed in part."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, Model, Trainable, device_of
from plausibly.events.bins import Binning
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for


def draw_events(model: Model, n: int, seed: int = 0) -> Tensor:
    """`n` events, or an eighth of them where each has many variables."""
    n = n if model.schema.size <= 256 else n // 8
    with torch.no_grad():
        return model.sample(n, generator_for(device_of(model), seed, Stream.CHECKED_SAMPLES))


def events_for(model: Trainable, seed: int = 0) -> Tensor:
    """64 random events, where the model is."""
    return random_events(model.schema, 64, seed).view(-1, *model.schema.shape).to(device_of(model))


def random_events(schema: Schema, n: int, seed: int) -> Tensor:
    """Flat events with every code equally likely, (n, variables); real ones inside their bin."""
    uniform = torch.rand(
        n, schema.size, generator=generator_for(torch.device("cpu"), seed, Stream.CHECKED_CODES)
    )
    codes = (uniform * torch.tensor(schema.codes)).floor().long()
    return Binning(schema).draw_inside(
        codes, generator_for(torch.device("cpu"), seed, Stream.CHECKED_NUMBERS)
    )


def some_observed(model: AnyOrderModel, n: int) -> tuple[Tensor, Tensor]:
    """Random events and a random subset of observed variables for each."""
    x = random_events(model.schema, n, 4)
    rate = torch.linspace(0, 1, n)[:, None]
    observed = (
        torch.rand(x.shape, generator=generator_for(torch.device("cpu"), Stream.CHECKED_HOLES))
        < rate
    )
    shape, device = (n, *model.schema.shape), device_of(model)
    return x.view(shape).to(device), observed.view(shape).to(device)
