"""MADE, the masked autoencoder for distribution estimation (Germain et al. 2015, arXiv:1502.03509), residual.

One pass of a network whose masks let the outputs of a variable see earlier variables only. With several `masks` each
training step draws one of them, and scoring averages their conditionals, which is again one distribution in one order.
Its parameters are the weights that the masks let through: H hidden units cost n H between inputs and outputs.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel
from plausibly.heads import Head
from plausibly.inputs import Inputs
from plausibly.nets.masked import MaskedNetwork
from plausibly.nets.noise import Noisy
from plausibly.objectives import Likelihood, Objective
from plausibly.outcomes import Outcome, average
from plausibly.schema import Schema

LARGEST = 100_000_000  # parameters


class Degrees(Noisy):
    """For each of several masks, which rank every hidden unit may see up to; one of them at random while training."""

    table: Tensor

    def __init__(self, masks: int, hidden: int, variables: int) -> None:
        super().__init__()
        even = 1 + torch.arange(hidden, device="cpu") * max(variables - 1, 1) // hidden
        shuffle = torch.Generator("cpu").manual_seed(0)
        rows = [even, *(even[torch.randperm(hidden, generator=shuffle, device="cpu")] for _ in range(masks - 1))]
        self.register_buffer("table", torch.stack(rows), persistent=False)

    def forward(self) -> Tensor:
        """The masks to use, (some, hidden)."""
        if not self.training or len(self.table) == 1:
            return self.table
        device = self.generator.device if self.generator else self.table.device
        pick = torch.randint(len(self.table), (1,), generator=self.generator, device=device)
        return self.table[pick.to(self.table.device)]


class MADE(AutoregressiveModel):
    family = "explicit"
    formula = "n (n - 1) / 2 + n (H + 1) + H + about B H (H + 2), H = 256, B = 1"

    def __init__(
        self, schema: Schema, hidden: int = 256, blocks: int = 1, dropout: float = 0.3, masks: int = 1
    ) -> None:
        super().__init__()
        for name, value, most in (("hidden", hidden, 100_000), ("blocks", blocks + 1, 101), ("masks", masks, 64)):
            if not 1 <= value <= most:
                raise ValueError(f"made: {name} = {value} is out of range, at most {most:,}")
        if not 0 <= dropout < 1:
            raise ValueError(f"made: dropout = {dropout}; a share from 0 up to, not with, 1 can be dropped")
        self.schema, self.hidden, self.blocks, self.dropout, self.masks = schema, hidden, blocks, dropout, masks
        self.order = tuple(range(schema.size))
        self.inputs, self.head = Inputs(schema, self.order[:-1]), Head(schema)  # nothing sees the last variable
        self.degrees = Degrees(masks, hidden, schema.size)
        self.network = MaskedNetwork(self.inputs.width, self.head.width, hidden, blocks, dropout)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        count = cls.count(schema)
        return None if count <= LARGEST else f"made: {count:,} parameters, more than {LARGEST:,}"

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, hidden=16, masks=2)

    @property
    def free_parameters(self) -> int:
        return self.network.count(self.inputs.owner, self.degrees.table, self.head.owner)

    def objective(self) -> Objective:
        return Likelihood()

    def settle(self, x: Tensor) -> None:
        with torch.no_grad():
            bias = self.network.leave.bias
            assert bias is not None
            bias.copy_(self.head.marginals(x))

    def predict(self, x: Tensor) -> Outcome:
        numbers = self.inputs(x)
        outcomes = [
            self.head(self.network(numbers, self.inputs.owner, degrees, self.head.owner)) for degrees in self.degrees()
        ]
        return average(outcomes)
