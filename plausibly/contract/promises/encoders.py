"""Promises of what encodes events as latents."""

from __future__ import annotations

import torch
from torch import Tensor

from plausibly.capabilities import Encoder
from plausibly.contract.draws import wrong_cells
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.families.variational import context_values
from plausibly.system.randomness import Stream, generator_for


@promise(Encoder, "decoded cells that are no codes, or latents of another form")
def reconstructions_are_events(exam: Examination[Encoder]) -> float:
    """decode(encode(x)), of events and of latents that no event has."""
    x, model = exam.events(), exam.model
    z, given = model.encode(x), context_values(model, x)
    if z.shape != (len(x), model.latents) or not z.isfinite().all():
        return float("inf")
    generator = generator_for(z.device, Stream.CHECKED_LATENTS)
    far = 3 * torch.randn(z.shape, generator=generator, device=z.device).to(z.dtype)
    return sum(wrong_cells(model.schema, model.decode(each, given)) for each in (z, far))


@promise(
    Encoder, "difference of latents between two encodings, or alone and in a batch", within=1e-3
)
def encoding_repeats(exam: Examination[Encoder]) -> Tensor | float:
    """The same event has the same latents, alone or in a batch."""
    x = exam.events()[:17]
    z = exam.model.encode(x)
    if not torch.equal(exam.model.encode(x), z):
        return float("inf")
    return (torch.cat([exam.model.encode(event[None]) for event in x]) - z).abs().max()
