"""NADE, the neural autoregressive distribution estimator (Larochelle & Murray 2011).

    h_i = f(b + sum_{j before i} W_j(x_j)),   p(x_i | earlier) = outcome(V_i h_i + c_i)

The hidden activation of one variable is that of the one before it plus a single contribution: sharing W in sequence
makes a pass over all D variables cost O(D H) for H hidden units.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.heads import Head, uniform
from plausibly.inputs import Inputs
from plausibly.nets.noise import Dropout
from plausibly.nets.running import ACTIVATIONS, Recurrence
from plausibly.objectives import Likelihood, Objective
from plausibly.outcomes import Outcome
from plausibly.schema import Schema

LARGEST = 100_000_000  # parameters


class NADE(AutoregressiveModel):
    family = "explicit"
    formula = "(n - 1) H + H + n (H + 1), H = 256"

    def __init__(self, schema: Schema, hidden: int = 256, activation: str = "relu", dropout: float = 0.2) -> None:
        super().__init__()
        if not 1 <= hidden <= 100_000:
            raise ValueError(f"nade: hidden = {hidden}; 1 to 100,000 units are possible")
        if activation not in ACTIVATIONS:
            raise ValueError(f"nade: no activation {activation!r}; there are {' and '.join(ACTIVATIONS)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"nade: dropout = {dropout}; a share from 0 up to, not with, 1 can be dropped")
        self.schema, self.hidden, self.activation, self.dropout = schema, hidden, activation, dropout
        self.order = tuple(range(schema.size))
        self.inputs, self.head = Inputs(schema, self.order[:-1]), Head(schema)  # nothing sees the last variable
        self.weight = nn.Parameter(torch.zeros(self.inputs.width, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.readout = nn.Parameter(torch.zeros(self.head.width, hidden))
        self.offset = nn.Parameter(torch.zeros(self.head.width))
        self.thinned = Dropout(dropout)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        count = cls.count(schema)
        return None if count <= LARGEST else f"nade: {count:,} parameters, more than {LARGEST:,}"

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, hidden=8)

    def objective(self) -> Objective:
        return Likelihood()

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        with torch.no_grad():
            self.weight.copy_(uniform(tuple(self.weight.shape), self.schema.size, generator))
            self.readout.copy_(0.1 * uniform(tuple(self.readout.shape), self.hidden, generator))
            self.bias.zero_()
            self.offset.zero_()

    def settle(self, x: Tensor) -> None:
        with torch.no_grad():
            self.offset.copy_(self.head.marginals(x))

    def predict(self, x: Tensor) -> Outcome:
        dropping = self.training and self.dropout > 0
        keep = self.thinned(x.new_ones(len(x), self.hidden)) if dropping else None
        parameters = Recurrence.apply(
            self.inputs(x).to(self.bias.dtype),
            self.weight,
            self.bias,
            self.readout,
            self.offset,
            keep,
            [self.inputs.slice(i) for i in self.order[:-1]],
            [self.head.slice(i) for i in self.order],
            self.activation,
        )
        outcome: Outcome = self.head(parameters)
        return outcome

    def unroll(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        activation = self.bias.expand(n, -1)
        for i in self.order:
            own = self.head.slice(i)
            hidden = ACTIVATIONS[self.activation](activation)
            x[:, i] = yield i, self.head.one(F.linear(hidden, self.readout[own], self.offset[own]), i)
            if i == self.order[-1]:
                break
            activation = activation + self.inputs.one(x[:, i], i) @ self.weight[self.inputs.slice(i)]
        return x.reshape(n, *self.schema.shape)
