"""The work of training: an objective lists turns (gradient steps) or passes (counting)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from plausibly.networks.heads import Head
from plausibly.system.parts import Part
from plausibly.system.randomness import by_row

# share of rows with hidden cells while a network learns, and of the cells of such rows
ROW_SHARE = 0.2
CELL_SHARE = 0.2
DATA_LOOKS = 5  # looks at the data, each for as many variables, where these are learned one by one


@dataclass(frozen=True)
class Loss:
    """The loss that one turn minimises, per event, (batch,), with the parts worth logging; nats."""

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One optimiser's share of a step: `loss(batch, generator, done)`, after this share, 0 to 1, of all steps.

    All randomness comes from the generator.
    """

    name: str
    learner: nn.Module
    loss: Callable[[Tensor, torch.Generator, float], Loss]
    repeats: int = 1
    momentum: float = 0.9  # of the optimiser


@dataclass(frozen=True)
class Pass:
    """One round through the training data: sums over batches, then an update that may look at validation batches."""

    name: str
    sums: Callable[[Tensor], Tensor]
    update: Callable[[Tensor, Iterable[Tensor]], None]


@dataclass(frozen=True)
class WholePass:
    """A look at all training events at once, and at held-out ones: both as whole numbers, (rows, *shape).

    `part` does some of the work, to see how long it takes, and says which share of the look that was.
    """

    name: str
    learn: Callable[[Tensor, Tensor], None]
    part: Callable[[Tensor, Tensor], float]


class Objective(Part):
    """The way in which a model learns. It has turns or passes, not both; a pass may be a look."""

    unit: ClassVar[str] = "nats per row"  # of what validation compares

    def turns(self, model: Any) -> list[Turn]:
        return []

    def passes(self, model: Any) -> Sequence[Pass | WholePass]:
        return []

    def validation_loss(self, model: Any, x: Tensor, generator: torch.Generator) -> Tensor:
        """The loss that validation compares, per event, (batch,); smaller is better."""
        watched: Tensor = -model.log_given(x, generator)
        return watched

    def slack(self, model: Any, x: Tensor, held_out: Tensor, generator: torch.Generator) -> float:
        """The most by which two means of what is watched can differ by chance: of such ties the
        latest weights are kept."""
        return 0.0

    def health(
        self, model: Any, x: Tensor, held_out: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """More numbers that tell how training goes, by name, from training and held-out events."""
        return {}


class MaximumLikelihood(Objective):
    """Maximises log p(x), or the model's lower bound on it; given its context, where it has one."""

    def turns(self, model: Any) -> list[Turn]:
        return [
            Turn(
                "likelihood", model, lambda x, generator, done: Loss(self.loss(model, x, generator))
            )
        ]

    def loss(self, model: Any, x: Tensor, generator: torch.Generator) -> Tensor:
        """-log p of what is left of events when some cells are hidden, (batch,)."""
        x, lost = hide_cells(model, x, generator)
        return lost - model.log_given(x, generator)


def hide_cells(model: Any, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Events of which some cells were never seen, and the log p of these cells alone, (batch,).

    So a network learns what the others say of each other without them, which is what a cell never seen leaves. Only where
    a head gives such cells their share: else they would teach it another one.
    """
    schema, flat = model.schema, x.flatten(1)
    if not schema.has_unforeseen or not any(isinstance(part, Head) for part in model.modules()):
        return x, x.new_zeros(len(x))
    shares = schema.chance_unforeseen.to(x.device, x.dtype)
    some = by_row(torch.rand, (len(x), 1), generator, x.device) < ROW_SHARE
    cells = by_row(torch.rand, tuple(flat.shape), generator, x.device) < CELL_SHARE
    lost = some & cells & (shares > 0)
    marks = schema.never_seen.to(x.device)
    apart = torch.zeros_like(shares).index_fill(
        0, torch.tensor(model.context, dtype=torch.long, device=x.device), 1.0
    )
    log_p = torch.where(lost & (apart == 0), shares.log(), 0.0).sum(1)
    return torch.where(lost, marks, flat).view(x.shape), log_p


class Counting(Objective):
    """Sums statistics in one pass, `model.statistics(x)`, and takes the parameters from them, `model.learn`."""

    def passes(self, model: Any) -> list[Pass]:
        return [Pass("counting", model.statistics, model.learn)]


class Growing(Objective):
    """Learns variables one by one from all rows at once, `model.grow(ranks, codes, held_out)`.

    So many variables on trial tell how long a look takes.
    """

    def __init__(self, trial: int) -> None:
        super().__init__()
        self.trial = trial

    def passes(self, model: Any) -> list[WholePass]:
        ends = [round(model.schema.size * k / DATA_LOOKS) for k in range(DATA_LOOKS + 1)]
        ranges = [range(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True) if a < b]
        return [self.look(model, ranks) for ranks in ranges]

    def look(self, model: Any, ranks: range) -> WholePass:
        some = ranks[len(ranks) // 2 :][: self.trial]

        def part(codes: Tensor, held_out: Tensor) -> float:
            model.grow(some, codes, held_out)
            return len(some) / len(ranks)

        name = f"variables {ranks[0] + 1} to {ranks[-1] + 1}"
        return WholePass(name, partial(model.grow, ranks), part)
