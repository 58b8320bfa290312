"""MADE, the masked autoencoder for distribution estimation (Germain et al. 2015, arXiv:1502.03509), residual.

One pass of a network whose masks let the outputs of a variable see earlier variables only. With several `masks` each
training step draws one of them, and scoring averages their conditionals, which is again one distribution in one order.
Its parameters are the weights that the masks let through: H hidden units cost n H between inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Self

import torch
from torch import Tensor

from plausibly.capabilities import Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.network import NetworkModel
from plausibly.networks.masked import IncrementalMaskedNetwork, MaskedNetwork
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import average_outcomes
from plausibly.system.arguments import check_range
from plausibly.system.randomness import NoisyLayer


class MaskDegrees(NoisyLayer):
    """For each of several masks, which rank every hidden unit may see up to; one of them at random while training."""

    table: Tensor

    def __init__(self, masks: int, hidden: int, variables: int) -> None:
        super().__init__()
        even = 1 + torch.arange(hidden, device="cpu") * max(variables - 1, 1) // hidden
        shuffle = torch.Generator("cpu").manual_seed(0)
        rows = [
            even,
            *(
                even[torch.randperm(hidden, generator=shuffle, device="cpu")]
                for _ in range(masks - 1)
            ),
        ]
        self.register_buffer("table", torch.stack(rows), persistent=False)

    def forward(self) -> Tensor:
        """The masks to use, (some, hidden)."""
        if not self.training or len(self.table) == 1:
            return self.table
        device = self.generator.device if self.generator else self.table.device
        pick = torch.randint(len(self.table), (1,), generator=self.generator, device=device)
        return self.table[pick.to(self.table.device)]


class MADE(NetworkModel):
    """A masked network: each variable sees earlier ones (Germain et al. 2015, arXiv:1502.03509).

    Args:
        hidden: units of each hidden layer, 1 to 100,000 (default 256).
        blocks: residual blocks, two layers each, 0 to 100 (default 1).
        dropout: share of hidden units left out at random in a training step, 0 to 0.99 (default
            0.3).
        masks: masks of the hidden layers, of which a step draws one and scoring averages all, 1 to
            64 (default 1).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).
        shuffle: seed of another order of the variables, 1 to 2,147,483,648, or 0 for their own
            order (default 0).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = MADE(binary(4), hidden=8)
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    # ranks of the inputs and of the outputs
    before: Tensor
    after: Tensor
    formula = "n (n - 1) / 2 + n (H + 1) + H + about B H (H + 2), H = 256, B = 1"

    def __init__(
        self,
        schema: Schema,
        hidden: int = 256,
        blocks: int = 1,
        dropout: float = 0.3,
        masks: int = 1,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
        shuffle: int = 0,
        target: int | None = None,
    ) -> None:
        super().__init__(schema, context, components, shape, shuffle, target)
        check_range("made: hidden", hidden, 1, 100_000)
        check_range("made: blocks", blocks, 0, 100)
        check_range("made: masks", masks, 1, 64)
        check_range("made: dropout", dropout, 0, 0.99)
        self.hidden, self.blocks, self.dropout, self.masks = hidden, blocks, dropout, masks
        for side, part in (("before", self.inputs), ("after", self.head)):
            self.register_buffer(side, self.ranks[part.owner], persistent=False)
        self.degrees = MaskDegrees(masks, hidden, len(self.rest) + bool(self.context))
        self.network = MaskedNetwork(self.inputs.width, self.head.width, hidden, blocks, dropout)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, hidden=16, masks=2)

    @property
    def free_parameters(self) -> int:
        embedded = sum(p.numel() for p in self.inputs.parameters())
        return embedded + self.network.count(self.before, self.degrees.table, self.after)

    def offset(self) -> Tensor:
        bias = self.network.leave.bias
        assert bias is not None
        return bias

    def outcomes(self, x: Tensor) -> Outcome:
        numbers = self.inputs(x)
        found = [
            self.network(numbers, self.before, degrees, self.after) for degrees in self.degrees()
        ]
        return average_outcomes([self.head(parameters) for parameters in found])

    @torch.no_grad()
    def steps(self, n: int) -> Unrolled:
        x, ranks = torch.zeros(n, self.schema.size, device=device_of(self)), self.ranks.tolist()
        growing = [self.network.growing(n, self.before, degrees) for degrees in self.degrees()]
        for rank, group in groupby(self.order, ranks.__getitem__):
            members = list(group)
            for i in members:
                x[:, i] = yield i, self._average_over_masks(growing, rank, i)
            if members[-1] != self.order[-1]:
                seen = sorted(members, key=lambda i: self.inputs.slice(i).start)
                numbers = torch.cat([self.inputs.one(x[:, i], i) for i in seen], 1)
                for network in growing:
                    network.know(rank, numbers)
        return x.reshape(n, *self.schema.shape)

    def _average_over_masks(
        self, growing: Sequence[IncrementalMaskedNetwork], rank: int, i: int
    ) -> Single:
        own = [network.parameters(rank, self.head.slice(i)) for network in growing]
        outcome = average_outcomes([self.head.one(parameters, i) for parameters in own])
        assert isinstance(outcome, Single)
        return outcome
