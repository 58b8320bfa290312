"""Every variable on its own, p(x) = prod_i p(x_i): the baseline that any other model must beat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tabular import Tables, TabularModel
from plausibly.schema import Schema


class Independent(TabularModel):
    formula = "n"

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.order = tuple(range(schema.size))
        self.tables = Tables([1] * schema.size, schema.codes)

    def row(self, x: Tensor, i: int) -> Tensor:
        return torch.zeros_like(x[:, i])

    def _weighted(self, evidence: Tensor, over: Semiring) -> list[Tensor]:
        return [table + own for table, own in zip(self.scores(over), self.per_variable(evidence), strict=True)]

    def log_mass(self, evidence: Tensor, over: Semiring = SUM) -> Tensor:
        return torch.stack([over.total(weights, 1) for weights in self._weighted(evidence, over)]).sum(0)

    def decide(self, evidence: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([choose(weights) for weights in self._weighted(evidence, over)], 1)
