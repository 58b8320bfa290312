"""Promises of what encodes events as latents."""

from __future__ import annotations

import torch

from plausibly.capabilities import Encoder
from plausibly.contract.draws import events_for
from plausibly.contract.result import Result, near
from plausibly.contract.sampling import wrong_cells
from plausibly.families.variational import context_values
from plausibly.system.randomness import Stream, generator_for


@torch.no_grad()
def reconstructions_are_events(model: Encoder) -> Result:
    """decode(encode(x)), of events and of latents that no event has."""
    x = events_for(model)
    z, given = model.encode(x), context_values(model, x)
    far = 3 * torch.randn(
        z.shape, generator=generator_for(z.device, Stream.CHECKED_LATENTS), device=z.device
    ).to(z.dtype)
    wrong = 0.0 if z.shape == (len(x), model.latents) and z.isfinite().all() else float("inf")
    wrong += sum(wrong_cells(model, model.decode(each, given)) for each in (z, far))
    return near(
        "reconstructions_are_events",
        wrong,
        0,
        "decoded cells that are no codes, or latents of another form",
    )


@torch.no_grad()
def encoding_repeats(model: Encoder) -> Result:
    """The same event has the same latents, alone or in a batch."""
    x = events_for(model)[:17]
    z = model.encode(x)
    again = (model.encode(x) - z).abs().max()
    alone = (torch.cat([model.encode(event[None]) for event in x]) - z).abs().max()
    says = "difference of latents between two encodings, or alone and in a batch"
    return near("encoding_repeats", float("inf") if again else alone, 1e-3, says)
