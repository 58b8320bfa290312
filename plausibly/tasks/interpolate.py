"""Events between two events: decoded from latents on the straight line between theirs.

    z_t = (1 - t) z(a) + t z(b),   t = 0, 1 / (steps - 1), ..., 1

Linear in z for every model, whatever its prior; the ends are the reconstructions of a and b. Of a model with a context
the decoder is given that of the nearer end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Encoder, device_of
from plausibly.families.variational import context_values
from plausibly.tasks import Task
from plausibly.tasks.encode import encode
from plausibly.tasks.reconstruct import decode_events

interpolate: Task[Any] = Task("interpolate", "it has no encoder")


@interpolate.rule(Encoder, "yes")
@torch.no_grad()
def interpolate_events(model: Encoder, a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Between each pair of events `a` and `b`, (pairs, *shape) both: (pairs, steps, *shape) in float32, on the CPU."""
    device, parts = device_of(model), []
    ends = [
        (x.float().to(device), z.to(device))
        for x, z in ((a, encode(model, a)), (b, encode(model, b)))
    ]
    (_, first), (_, last) = ends
    for t in torch.linspace(0, 1, steps).tolist():
        nearer = ends[t > 0.5][0]
        parts.append(
            decode_events(model, torch.lerp(first, last, t), context_values(model, nearer)).cpu()
        )
    return torch.stack(parts, 1)
