"""Events that models are checked on: their own draws, random ones, and some that are observed in part."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, Model, Trainable, device_of
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for

# variables beyond which an eighth of the draws are taken
MANY_VARIABLES = 256


def draw_events(model: Model, n: int, seed: int = 0) -> Tensor:
    """`n` events, or an eighth of them where each has many variables."""
    generator = generator_for(device_of(model), seed, Stream.CHECKED_SAMPLES)
    with torch.no_grad():
        return model.sample(limit_draws(model.schema, n), generator)


def limit_draws(schema: Schema, n: int) -> int:
    """The number of draws, an eighth where each has many variables."""
    return n if schema.size <= MANY_VARIABLES else n // 8


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


def some_observed(model: AnyOrderModel, n: int) -> Evidence:
    """Random events and a random subset of observed variables for each."""
    x = random_events(model.schema, n, 4)
    rate = torch.linspace(0, 1, n)[:, None]
    observed = (
        torch.rand(x.shape, generator=generator_for(torch.device("cpu"), Stream.CHECKED_HOLES))
        < rate
    )
    shape, device = (n, *model.schema.shape), device_of(model)
    return Evidence(x.view(shape), observed.view(shape)).to(device)


def wrong_cells(schema: Schema, x: Tensor) -> float:
    """The number of cells that are no codes and no numbers; infinite where the form is not that of events."""
    if x.shape[1:] != schema.shape or not len(x) or x.dtype != torch.float32:
        return float("inf")
    codes = torch.tensor(schema.codes, device=x.device).view(schema.shape)
    real = torch.tensor([kind.continuous for kind in schema.kinds], device=x.device)
    off_grid = (x != x.round()) | (x < 0) | (x >= codes)
    return float(((~real.view(schema.shape) & off_grid) | ~x.isfinite()).sum())
