"""NADE, the neural autoregressive distribution estimator (Larochelle & Murray 2011).

    h_i = f(b + sum_{j before i} W_j(x_j)),   p(x_i | earlier) = outcome(V_i h_i + c_i)

The hidden activation of one variable is that of the one before it plus a single contribution: sharing W in sequence
makes a pass over all D variables cost O(D H) for H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.network import NetworkModel
from plausibly.kernels.nade import ACTIVATIONS, loop_table, nade_draw, recurrence
from plausibly.networks.heads import initial_uniform
from plausibly.networks.noise import Dropout
from plausibly.outcomes.outcome import Outcome
from plausibly.system.arguments import check_range


class NADE(NetworkModel):
    """A network that adds each variable to one hidden layer, in order (Larochelle & Murray 2011).

    Args:
        hidden: units of the hidden layer, 1 to 100,000 (default 256).
        activation: function of a hidden unit, relu or sigmoid (default relu).
        dropout: share of hidden units left out at random in a training step, 0 to 0.99 (default
            0.2).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).
        shuffle: seed of another order of the variables, 1 to 2,147,483,648, or 0 for their own
            order (default 0).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = NADE(binary(4), hidden=8, activation="sigmoid")
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    formula = "(n - 1) H + H + n (H + 1), H = 256"
    table: Tensor

    def __init__(
        self,
        schema: Schema,
        hidden: int = 256,
        activation: str = "relu",
        dropout: float = 0.2,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
        shuffle: int = 0,
        target: int | None = None,
    ) -> None:
        super().__init__(schema, context, components, shape, shuffle, target)
        check_range("nade: hidden", hidden, 1, 100_000)
        check_range("nade: dropout", dropout, 0, 0.99)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"nade: no activation {activation!r}; there are {' and '.join(ACTIVATIONS)}"
            )
        self.hidden, self.activation, self.dropout = hidden, activation, dropout
        self.weight = nn.Parameter(torch.zeros(self.inputs.width, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.readout = nn.Parameter(torch.zeros(self.head.width, hidden))
        self.shift = nn.Parameter(torch.zeros(self.head.width))
        self.thinned = Dropout(dropout)
        added = [self.inputs.slice(i) for i in self.order[:-1]]
        read = [self.head.slice(i) for i in self.order]
        self.register_buffer("table", loop_table(added, read), persistent=False)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, hidden=8)

    @property
    def free_parameters(self) -> int:
        unread = sum(self.head.slice(i).stop - self.head.slice(i).start for i in self.context)
        return super().free_parameters - unread * self.hidden

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        with torch.no_grad():
            self.weight.copy_(
                initial_uniform(tuple(self.weight.shape), self.schema.size, generator)
            )
            self.readout.copy_(
                0.1 * initial_uniform(tuple(self.readout.shape), self.hidden, generator)
            )
            self.bias.zero_()
            self.shift.zero_()

    def offset(self) -> Tensor:
        return self.shift

    def outcomes(self, x: Tensor) -> Outcome:
        dropping = self.training and self.dropout > 0
        keep = self.thinned(x.new_ones(len(x), self.hidden)) if dropping else None
        numbers = self.inputs(x).to(self.bias.dtype)
        start = self.bias.expand(len(x), -1)
        for c in self.context:
            own = self.inputs.slice(c)
            start = start + numbers[:, own] @ self.weight[own]
        table = self.table[len(self.context) :]
        parameters, _ = recurrence(
            numbers, self.weight, start, self.readout, self.shift, keep, table, self.activation
        )
        outcome: Outcome = self.head(parameters)
        return outcome

    def steps(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        activation = self.bias.expand(n, -1)
        activate = ACTIVATIONS[self.activation]
        for i in self.order:
            own = self.head.slice(i)
            parameters = self.shift[own].expand(n, -1)
            if i in self.rest:
                parameters = parameters + activate(activation) @ self.readout[own].T
            x[:, i] = yield i, self.head.one(parameters, i)
            if i == self.order[-1]:
                break
            numbers = self.inputs.one(x[:, i], i)
            activation = activation + numbers @ self.weight[self.inputs.slice(i)]
        return x.reshape(n, *self.schema.shape)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        if self.head.continuous or self.schema.has_unforeseen:
            return super().sample(n, generator)
        uniforms = torch.rand(
            n, self.schema.size, generator=generator, device=self.bias.device, dtype=self.bias.dtype
        )
        readout: Tensor = self.readout
        if self.context:  # which nothing is read for
            readout = readout.masked_fill(self.ranks[self.head.owner, None] == 0, 0.0)
        table, name = self.table, self.activation
        drawn = nade_draw(
            self._code_numbers(), self.weight, self.bias, readout, self.shift, table, uniforms, name
        )
        if self.order != tuple(range(self.schema.size)):
            drawn = drawn[:, torch.tensor(self.order, device=drawn.device).argsort()]
        return drawn.float().reshape(n, *self.schema.shape)

    def _code_numbers(self) -> Tensor:
        """The numbers of each code, (codes, width); of a variable with fewer codes those of its last again."""
        most = torch.tensor([kind.codes - 1 for kind in self.schema.kinds], device=self.bias.device)
        codes = torch.arange(int(most.max()) + 1, device=self.bias.device)[:, None].minimum(most)
        return self.inputs(codes.float()).to(self.bias.dtype)
