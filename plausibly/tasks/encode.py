"""The latents that stand for each event."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Encoder, device_of
from plausibly.events.batches import batches
from plausibly.tasks import Task

encode: Task[Any] = Task("encode", "it has no encoder")


@encode.rule(Encoder, "yes")
@torch.no_grad()
def encode_events(model: Encoder, codes: Tensor) -> Tensor:
    """(rows, latents) on the CPU; the mean where the encoder gives a distribution."""
    device = device_of(model)
    return torch.cat([model.encode(x.to(device)).cpu() for x in batches(codes)])
