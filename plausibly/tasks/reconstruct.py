"""Each event from its latents alone: decode(encode(x)), the most probable value of each variable.

Of a model with a context the decoder is given each event's own, which stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Decoder, Encoder, device_of
from plausibly.events.batches import batches
from plausibly.families.variational import context_values
from plausibly.tasks import Task

reconstruct: Task[Any] = Task("reconstruct", "it has no encoder")


@reconstruct.rule(Encoder, "yes")
@torch.no_grad()
def reconstruct_events(model: Encoder, codes: Tensor) -> Tensor:
    """Events (rows, *shape) in float32, on the CPU."""
    device, parts = device_of(model), []
    for x in batches(codes):
        x = x.to(device)
        parts.append(decode_events(model, model.encode(x), context_values(model, x)).cpu())
    return torch.cat(parts)


def decode_events(model: Decoder, z: Tensor, given: Tensor | None) -> Tensor:
    """Events of latents, (rows, *shape), with the context, (rows, its variables), in its place."""
    x = model.decode(z, given)
    if given is not None:
        x.flatten(1)[:, list(model.context)] = given
    return x
