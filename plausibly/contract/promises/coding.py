"""Promises of a coder: events come back from bytes, which are as few as log p says."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from plausibly.capabilities import DensityModel, Model, Quantiser, Variational
from plausibly.coding.streams import SymbolReader, SymbolWriter
from plausibly.contract.examination import Examination
from plausibly.contract.promise import promise
from plausibly.contract.result import NotMeasured
from plausibly.errors import Unsupported
from plausibly.events.kinds import HOLE, UNFORESEEN
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.compress import compress

# bits that bytes may take besides, for their end and for what bits-back begins with
SPARE_BITS = 256


@promise(
    DensityModel,
    f"bits that events take as bytes, beyond -log2 p and {SPARE_BITS}, as a share of -log2 p; they come back equal",
    within=0.01,
)
def bytes_decode(exam: Examination[DensityModel]) -> float:
    """Events through a coder come back, and take about -log2 p: of a real number, the density times the gap to the next."""
    x = codable(exam, 512)
    payload, back = encode_and_decode(exam.model, x)
    ideal = float(-(exam.model.log_prob(x).double().sum() + log_gaps(exam.schema, x)) / log(2))
    excess = (8 * len(payload) - SPARE_BITS - ideal) / max(ideal, 1000.0)
    return excess if torch.equal(back, x) else float("inf")


@promise(Variational | Quantiser, "share of events that do not come back from bytes")
def bytes_come_back(exam: Examination[Model]) -> Tensor:
    """Events through a coder come back, by what is hidden."""
    x = codable(exam, 100)
    return (encode_and_decode(exam.model, x)[1] != x).flatten(1).any(1).float().mean()


def encode_and_decode(model: Model, x: Tensor) -> tuple[bytes, Tensor]:
    """The bytes of events, and the events that these bytes are decoded as. NotMeasured where there is no coder."""
    writer = SymbolWriter()
    try:
        compress(model, writer, x, len(x))
    except Unsupported as refused:
        raise NotMeasured(f"not coded: {refused}") from None
    return writer.payload, compress(model, SymbolReader(writer.payload), None, len(x))


def codable(exam: Examination[Model], n: int) -> Tensor:
    """Draws, of special events those that the kinds know: one may be drawn as the other. Some hold cells never seen.

    NotMeasured but on the CPU.
    """
    if exam.device.type != "cpu":
        raise NotMeasured("not coded: only on the CPU do the same bits come back")
    schema, x = exam.schema, exam.draws(n)
    known = torch.tensor([HOLE if kind.missing else UNFORESEEN for kind in schema.kinds])
    flat = torch.minimum(x.flatten(1), known)
    chance = torch.rand(flat.shape, generator=generator_for(exam.device, Stream.CHECKED_CODING))
    lost = (chance < 0.05) & (schema.chance_unforeseen > 0)
    return torch.where(lost, schema.never_seen, flat).view(x.shape)


def log_gaps(schema: Schema, x: Tensor) -> Tensor:
    """log of the distance from each real number to the next one, as float32 numbers go, summed over all events."""
    numbers = x.flatten(1)[:, list(schema.continuous_variables)]
    numbers = numbers[numbers < UNFORESEEN]
    gaps = torch.nextafter(numbers, torch.tensor(torch.inf)).double() - numbers.double()
    return gaps.log().sum()
