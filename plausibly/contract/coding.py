"""Promises of a coder: events come back from bytes, which are as few as log p says."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, Model, device_of
from plausibly.coding.streams import SymbolReader, SymbolWriter
from plausibly.contract.draws import draw_events
from plausibly.contract.result import Result, near
from plausibly.errors import Unsupported
from plausibly.events.kinds import HOLE, UNFORESEEN, Real
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.compress import compress

SPARE_BITS = (
    256  # bits that bytes may take besides, for their end and for what bits-back begins with
)


@torch.no_grad()
def bytes_decode(model: DensityModel) -> Result:
    """Events through a coder come back, and take about -log2 p: of a real number, the density times the gap to the next."""
    says = f"bits that events take as bytes, beyond -log2 p and {SPARE_BITS}, as a share of -log2 p; they come back equal"
    x = codable(model, 512)
    if compress.word(type(model)) is None or device_of(model).type != "cpu":
        return near("bytes_decode", 0.0, 0.01, "not coded")
    writer = SymbolWriter()
    compress(model, writer, x, len(x))
    ideal = float(-(model.log_prob(x).double().sum() + log_gaps(model.schema, x)) / log(2))
    excess = (8 * len(writer.payload) - SPARE_BITS - ideal) / max(ideal, 1000.0)
    same = torch.equal(compress(model, SymbolReader(writer.payload), None, len(x)), x)
    return near("bytes_decode", excess if same else float("inf"), 0.01, says)


@torch.no_grad()
def bytes_come_back(model: BoundedModel) -> Result:
    """Events through a coder come back, by what is hidden."""
    if device_of(model).type != "cpu":
        return near("bytes_come_back", 0.0, 0.0, "not coded")
    x, writer = codable(model, 100), SymbolWriter()
    try:
        compress(model, writer, x, len(x))
    except Unsupported as refused:
        return near("bytes_come_back", 0.0, 0.0, f"not coded: {refused}")
    back = compress(model, SymbolReader(writer.payload), None, len(x))
    lost = float((back != x).flatten(1).any(1).float().mean())
    return near("bytes_come_back", lost, 0.0, "share of events that do not come back from bytes")


def codable(model: Model, n: int) -> Tensor:
    """Draws, on the CPU, of special events those that the kinds know: one may be drawn as the other. Some hold cells never
    seen."""
    x = draw_events(model, n).cpu()
    known = torch.tensor([HOLE if kind.missing else UNFORESEEN for kind in model.schema.kinds])
    flat, schema = torch.minimum(x.flatten(1), known), model.schema
    lost = (
        torch.rand(flat.shape, generator=generator_for(torch.device("cpu"), Stream.CHECKED_CODING))
        < 0.05
    ) & (schema.chance_unforeseen > 0)
    return torch.where(lost, schema.never_seen, flat).view(x.shape)


def log_gaps(schema: Schema, x: Tensor) -> Tensor:
    """log of the distance from each real number to the next one, as float32 numbers go, summed over all events."""
    real = [i for i, kind in enumerate(schema.kinds) if isinstance(kind, Real)]
    numbers = x.flatten(1)[:, real]
    numbers = numbers[numbers < UNFORESEEN]
    return (
        (torch.nextafter(numbers, torch.tensor(torch.inf)).double() - numbers.double()).log().sum()
    )
