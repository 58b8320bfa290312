"""The use of a learned codebook: the codes that occur, and the perplexity of their use, exp of its entropy.

A perplexity of all codes means that each is used equally often; of 1, that one code stands for every event
(van den Oord et al. 2017, arXiv:1711.00937).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from plausibly.capabilities import Quantiser, device_of
from plausibly.events.batches import batches

if TYPE_CHECKING:
    from plausibly.data.events import Events


@dataclass(frozen=True)
class CodebookUse:
    """The number of `codes` codes that stand for anything in `rows` rows, and the perplexity of their use."""

    used: int
    codes: int
    perplexity: float
    rows: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.used:,} of {self.codes:,} codes used by {self.rows:,} rows, perplexity {self.perplexity:.1f}"


@torch.no_grad()
def codebook_use(model: Quantiser, events: Events) -> CodebookUse:
    """The use of the codes that stand for events."""
    codes = torch.cat(
        [model.quantise(x.to(device_of(model))).flatten() for x in batches(events.codes)]
    )
    counts = torch.bincount(codes, minlength=model.codes)
    entropy = torch.special.entr(counts / counts.sum()).sum()
    return CodebookUse(int((counts > 0).sum()), model.codes, float(entropy.exp()), len(events))
