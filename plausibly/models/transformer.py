"""A causal transformer over variables, one token each (Vaswani et al. 2017, arXiv:1706.03762).

    token_i = E_i numbers(x_i) + place_i,   p(x_i | earlier) = outcome(V_i h_j + c_i)

h_j is what the network makes of the tokens up to that of the variable before, j. Every variable has an embedding E_i and a
readout V_i of its own, for they mean different things. A pass costs O(D^2) attention; so does drawing all D variables one
by one, since keys and values are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.network import NetworkModel, check_transformer
from plausibly.networks.transformer import PerToken, TransformerStack, slice_lengths, slice_places
from plausibly.outcomes.outcome import Outcome

MAX_TOKENS = 1024


class Transformer(NetworkModel):
    """A causal transformer with a token for each variable (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        width: numbers that stand for a token, a multiple of heads, 1 to 10,000 (default 64).
        layers: layers of attention, 1 to 100 (default 2).
        heads: heads of attention, 1 to width (default 4).
        dropout: share of the numbers left out at random in a training step, 0 to 0.99 (default
            0.1).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = Transformer(binary(4), width=8, heads=2)
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    formula = "3 (n - 1) W + n + 2 W + L (12 W^2 + 10 W), W = 64, L = 2"
    by_default = False
    arranged: Tensor
    columns: Tensor

    def __init__(
        self,
        schema: Schema,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        components: int = 8,
        shape: str = "normal",
        context: Sequence[int] = (),
        target: int | None = None,
    ) -> None:
        super().__init__(schema, context, components, shape, target=target)
        check_transformer("transformer", width, layers, heads, dropout)
        self.width, self.layers, self.heads, self.dropout = width, layers, heads, dropout
        self.read = self.rest if self.context else self.rest[1:]  # nothing comes before the others
        tokens = [self.inputs.slice(i) for i in self.order[:-1]]
        shown = [self.head.slice(i) for i in self.read]
        self.embedding = PerToken(slice_lengths(tokens), width, 0.5)
        self.network = TransformerStack(
            len(tokens), width, layers, heads, dropout, together=len(self.context)
        )
        self.readout = PerToken(slice_lengths(shown), width, 0.1 * width**-0.5)
        self.shift = nn.Parameter(torch.zeros(self.head.width))
        self.register_buffer("arranged", slice_places(tokens), persistent=False)
        self.register_buffer("columns", slice_places(shown), persistent=False)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        if schema.size > MAX_TOKENS:
            return f"transformer: {schema.size:,} variables look at each other, more than {MAX_TOKENS:,}"
        return super().accepts(schema)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, width=8, heads=2, components=2)

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        with torch.no_grad():
            self.shift.zero_()

    def offset(self) -> Tensor:
        return self.shift

    def outcomes(self, x: Tensor) -> Outcome:
        numbers = self.inputs(x)[:, self.arranged].to(self.shift.dtype)
        hidden = self.network(self.embedding.to_tokens(numbers))
        added = self.readout.gather(hidden[:, hidden.shape[1] - len(self.read) :])
        outcome: Outcome = self.head(
            self.shift.expand(len(x), -1).index_add(1, self.columns, added)
        )
        return outcome

    def steps(self, n: int) -> Unrolled:
        x, caches = torch.zeros(n, self.schema.size, device=device_of(self)), self.network.caches(n)
        hidden = self.shift.new_zeros(n, self.width)
        silent = self.schema.size - len(self.read)  # these come first, and nothing is read for them
        for place, i in enumerate(self.order):
            parameters = self.shift[self.head.slice(i)].expand(n, -1)
            if place >= silent:
                parameters = parameters + hidden @ self.readout.of(place - silent).T
            x[:, i] = yield i, self.head.one(parameters, i)
            if silent - 1 <= place < self.schema.size - 1:
                hidden = self.network.extend(
                    self._tokens(x, range(caches[0].filled, place + 1)), caches
                )[:, -1]
        return x.reshape(n, *self.schema.shape)

    def _tokens(self, x: Tensor, which: Sequence[int]) -> Tensor:
        """The tokens at some places of the order, (batch, some, width), of flat events."""
        parts = [
            self.inputs.one(x[:, i], i) @ self.embedding.of(t)
            for t, i in ((t, self.order[t]) for t in which)
        ]
        return torch.stack(parts, 1)
