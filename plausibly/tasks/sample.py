"""Draws events."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Model, device_of
from plausibly.tasks import Task
from plausibly.training import generator_for

sample: Task[Any] = Task("sample", "it has no distribution")

SHARD = 250


@sample.rule(Model, "yes")
@torch.no_grad()
def sample_events(model: Model, n: int, seed: int) -> Tensor:
    """Codes of `n` events, (n, *shape) float32. Shards of fixed size, each seeded by (seed, shard)."""
    device = device_of(model)
    shards = [
        model.sample(SHARD, generator_for(device, seed, 5, shard)).cpu() for shard in range((n + SHARD - 1) // SHARD)
    ]
    return torch.cat(shards)[:n] if shards else torch.zeros(0, *model.schema.shape)
