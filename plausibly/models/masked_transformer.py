"""A transformer over variables of which any may be unknown (Vaswani et al. 2017; Devlin et al. 2019, arXiv:1810.04805).

    token_i = E_i numbers(x_i) + place_i, or m_i + place_i where not observed,   p(x_i | observed) = outcome(V_i h_i + c_i)

Trained for all orders at once (Uria et al. 2014, arXiv:1310.1757). All tokens see each other. It answers any conditional
in one pass of O(D^2) attention; log p(x) takes D of them, one for each variable in the schema's order.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from plausibly.events.schema import Schema
from plausibly.families.network import check_transformer
from plausibly.families.orderless import OrderlessModel
from plausibly.networks.transformer import PerToken, TransformerStack, slice_lengths, slice_places

MAX_TOKENS = 256


class MaskedTransformer(OrderlessModel):
    """A transformer that answers any conditional (Devlin et al. 2019, arXiv:1810.04805).

    Args:
        width: numbers that stand for a token, a multiple of heads, 1 to 10,000 (default 64).
        layers: layers of attention, 1 to 100 (default 3).
        heads: heads of attention, 1 to width (default 4).
        dropout: share of the numbers left out at random in a training step, 0 to 0.99 (default
            0.1).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).

    >>> from plausibly.events.schema import binary
    >>> model = MaskedTransformer(binary(4), width=8, heads=2)
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    formula = "4 n W + 2 n + 2 W + L (12 W^2 + 10 W), W = 64, L = 3"
    plan: ClassVar = {"rounds": 12}
    by_default = False
    read: Tensor

    def __init__(
        self,
        schema: Schema,
        width: int = 64,
        layers: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
        components: int = 8,
        shape: str = "normal",
    ) -> None:
        super().__init__(schema, components, shape)
        check_transformer("masked_transformer", width, layers, heads, dropout)
        self.width, self.layers, self.heads, self.dropout = width, layers, heads, dropout
        tokens = [self.inputs.slice(i) for i in self.order]
        shown = [self.head.slice(i) for i in self.order]
        self.embedding = PerToken(slice_lengths(tokens), width, 0.5)
        self.unknown = nn.Parameter(torch.zeros(schema.size, width))
        self.network = TransformerStack(
            schema.size, width, layers, heads, dropout, together=schema.size
        )
        self.readout = PerToken(slice_lengths(shown), width, 0.1 * width**-0.5)
        self.shift = nn.Parameter(torch.zeros(self.head.width))
        self.register_buffer("read", slice_places(tokens), persistent=False)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        if schema.size > MAX_TOKENS:
            return f"masked_transformer: {schema.size:,} variables look at each other, more than {MAX_TOKENS:,}"
        return super().accepts(schema)

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, width=8, layers=1, heads=2, components=2)

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        with torch.no_grad():
            self.unknown.copy_(0.5 * torch.randn(self.unknown.shape, generator=generator))
            self.shift.zero_()

    def offset(self) -> Tensor:
        return self.shift

    def outcomes(self, numbers: Tensor, flags: Tensor) -> Tensor:
        known = self.embedding.to_tokens(numbers[:, self.read])
        hidden = self.network(known + (1 - flags)[..., None] * self.unknown)
        return self.shift + self.readout.gather(hidden)
