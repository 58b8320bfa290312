"""Draws events."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Model, device_of
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks import Task

sample: Task[Any] = Task("sample", "it has no distribution")

EVENTS_PER_BATCH = 250  # events drawn together


@sample.rule(Model, "yes")
@torch.no_grad()
def sample_events(model: Model, n: int, seed: int, first: int = 0) -> Tensor:
    """Codes of `n` events, (n, *shape) float32: batches of fixed size from number `first` on, seeded by (seed, number)."""
    device = device_of(model)
    numbers = range(first, first + (n + EVENTS_PER_BATCH - 1) // EVENTS_PER_BATCH)
    drawn = [
        model.sample(EVENTS_PER_BATCH, generator_for(device, seed, Stream.SAMPLES, number)).cpu()
        for number in numbers
    ]
    return torch.cat(drawn)[:n] if drawn else torch.zeros(0, *model.schema.shape)
