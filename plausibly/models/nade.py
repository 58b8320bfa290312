"""NADE, the neural autoregressive distribution estimator (Larochelle & Murray 2011).

    h_i = f(b + sum_{j before i} W_j(x_j)),   p(x_i | earlier) = outcome(V_i h_i + c_i)

The hidden activation of one variable is that of the one before it plus a single contribution: sharing W in sequence
makes a pass over all D variables cost O(D H) for H hidden units.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.heads import Head, Inputs, Readout, uniform
from plausibly.nets.noise import Dropout
from plausibly.nets.running import Earlier
from plausibly.objectives import Likelihood, Objective
from plausibly.outcomes import Outcome
from plausibly.schema import Schema

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid}
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
        self.schema, self.hidden, self.activation, self.dropout = schema, hidden, activation, dropout
        self.order = tuple(range(schema.size))
        self.inputs, self.head = Inputs(schema, self.order[:-1]), Head(schema)  # nothing sees the last variable
        self.weight = nn.Parameter(torch.zeros(self.inputs.width, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.thinned = Dropout(dropout)
        self.readout = Readout(self.head, hidden)

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
            self.bias.zero_()

    def _features(self, activation: Tensor) -> Tensor:
        hidden: Tensor = self.thinned(ACTIVATIONS[self.activation](activation))
        return hidden

    def predict(self, x: Tensor) -> Outcome:
        activations: Tensor = Earlier.apply(self.inputs.contributions(x, self.weight), self.bias)
        outcome: Outcome = self.head(self.readout(self._features(activations)))
        return outcome

    def unroll(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        activation = self.bias.expand(n, -1)
        for i in self.order:
            x[:, i] = yield i, self.head.one(self.readout.one(self._features(activation), i), i)
            if i == self.order[-1]:
                break
            activation = activation + self.inputs.one(x[:, i], i) @ self.weight[self.inputs.slice(i)]
        return x.reshape(n, *self.schema.shape)
