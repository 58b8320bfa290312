"""The excess of a row, by which rows are ranked where log p is told column by column: what cells cost beyond what is usual.

    excess(x) = sum_i log(1 + exp(-log p(x_i | earlier) - m_i))

m_i is what 99 % of validation rows pay at most for column i. A cell that costs d nats more adds d or a little above, a
usual one next to nothing, so that the noise of columns whose cells always cost much hides no cell that cannot be. Each
summand is the log-likelihood ratio of a cell that may also have come from elsewhere, where it had the probability exp(-m_i).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

USUAL_SHARE = 0.99  # of validation rows, which pay no more for a column than is usual


@dataclass(frozen=True)
class Usual:
    """The costs of columns in nats on validation rows: their mean, and what 99 % pay at most, both (columns,) float64."""

    mean: Tensor
    most: Tensor

    @classmethod
    def of_rows(cls, each: Tensor) -> Self:
        """The usual costs, from log p(x_i | earlier) of rows, (rows, columns)."""
        return cls(-each.mean(0), (-each).quantile(USUAL_SHARE, 0, interpolation="higher"))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self | None:
        """Those that `tensors` names; None where it has none."""
        return cls(tensors["usual"], tensors["most"]) if "usual" in tensors else None

    def tensors(self) -> dict[str, Tensor]:
        return {"usual": self.mean, "most": self.most}

    def excess(self, each: Tensor) -> Tensor:
        """The excess of rows in nats, (rows,), of log p(x_i | earlier), (rows, columns)."""
        return torch.logaddexp(-each - self.most, torch.zeros_like(each)).sum(1)

    def above(self, each: Tensor) -> Tensor:
        """log p(x_i | earlier) beside the column's mean, (rows, columns): below 0 where a cell costs more than that."""
        return each + self.mean
