"""The fully visible sigmoid belief network: logistic autoregression (Neal 1992; Frey, Hinton & Dayan 1996).

    p(x_i | earlier) = outcome(b_i + sum_{j before i} W_ij x_j)

Each conditional is a generalised linear model of its own: for bits a logistic regression on all earlier bits. Other kinds
enter as the numbers that stand for them, and leave through their own outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from plausibly.capabilities import Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.network import NetworkModel
from plausibly.networks.masked import MaskedLinear
from plausibly.outcomes.outcome import Outcome


class FVSBN(NetworkModel):
    """A logistic regression of each variable on all earlier ones (Neal 1992; Frey et al. 1996).

    Args:
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = FVSBN(binary(4))
    >>> model.free_parameters
    10
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    formula = "n (n + 1) / 2"

    def __init__(
        self,
        schema: Schema,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
        target: int | None = None,
    ) -> None:
        super().__init__(schema, context, components, shape, target=target)
        self.linear = MaskedLinear(self.inputs.width, self.head.width, strict=True, gain=0.1)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, components=2)

    @property
    def free_parameters(self) -> int:
        before, after = self._sides()
        embedded = sum(p.numel() for p in self.inputs.parameters())
        return embedded + self.linear.count(before[None], after[None])

    def offset(self) -> Tensor:
        bias = self.linear.bias
        assert bias is not None
        return bias

    def outcomes(self, x: Tensor) -> Outcome:
        outcome: Outcome = self.head(self.linear(self.inputs(x), *self._sides()))
        return outcome

    def steps(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        weight = self.linear.weight * self.linear.mask(*self._sides())
        parameters = self.offset().expand(n, -1)
        for i in self.order:
            x[:, i] = yield i, self.head.one(parameters[:, self.head.slice(i)], i)
            if i != self.order[-1]:
                parameters = (
                    parameters + self.inputs.one(x[:, i], i) @ weight[:, self.inputs.slice(i)].T
                )
        return x.reshape(n, *self.schema.shape)

    def _sides(self) -> tuple[Tensor, Tensor]:
        """The ranks of the inputs and of the outputs."""
        return self.ranks[self.inputs.owner], self.ranks[self.head.owner]
