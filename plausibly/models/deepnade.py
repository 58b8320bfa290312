"""DeepNADE: one deep network for all orders, trained without any (Uria et al. 2014, arXiv:1310.1757).

    p(x_i | observed)  =  outcome(V_i h(observed numbers, which are observed) + c_i)

The network sees the observed variables and which these are, and tells every other one. It answers any conditional in one
pass; log p(x) takes D of them, one for each variable in the schema's order.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.orderless import OrderlessModel
from plausibly.networks.perceptron import Perceptron
from plausibly.system.arguments import check_range


class DeepNADE(OrderlessModel):
    """A deep network that answers any conditional (Uria et al. 2014, arXiv:1310.1757).

    Args:
        hidden: units of each hidden layer, 1 to 100,000 (default 512).
        blocks: residual blocks, two layers each, 1 to 100 (default 2).
        dropout: share of hidden units left out at random in a training step, 0 to 0.99 (default 0).
        components: normals or logistics that mix the density of a real variable, 1 to 1,000
            (default 8).
        shape: the form of these, normal or logistic (default normal).

    >>> from plausibly.events.schema import binary
    >>> model = DeepNADE(binary(4), hidden=8)
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    plan: ClassVar = {
        "batch": 250,
        "rounds": 75,
        "rate": 4e-3,
        "weight_decay": 0.2,
    }  # decisions/0016
    formula = "H (3 n + 1) + 2 n + B (2 H^2 + 2 H), H = 512, B = 2"

    def __init__(
        self,
        schema: Schema,
        hidden: int = 512,
        blocks: int = 2,
        dropout: float = 0.0,
        components: int = 8,
        shape: str = "normal",
    ) -> None:
        super().__init__(schema, components, shape)
        check_range("deepnade: hidden", hidden, 1, 100_000)
        check_range("deepnade: blocks", blocks, 1, 100)
        check_range("deepnade: dropout", dropout, 0, 0.99)
        self.hidden, self.blocks, self.dropout = hidden, blocks, dropout
        self.network = Perceptron(
            self.inputs.width + schema.size, self.head.width, hidden, blocks, dropout
        )

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, hidden=16, blocks=1, components=2)

    def offset(self) -> Tensor:
        return self.network.leave.bias

    def outcomes(self, numbers: Tensor, flags: Tensor) -> Tensor:
        parameters: Tensor = self.network(torch.cat([numbers, flags], 1))
        return parameters
