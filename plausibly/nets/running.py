"""The running sum that NADE shares between variables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Earlier(torch.autograd.Function):
    """For each variable the bias and what all earlier ones add: (variables, batch, units), (units,) to the former's shape.

    out_0 = bias, out_{i+1} = out_i + added_i; backwards the same recurrence runs from the last variable to the first.
    One slice at a time it is some ten times faster on a CPU than `cumsum`.
    """

    @staticmethod
    def forward(ctx: Any, added: Tensor, bias: Tensor) -> Tensor:
        total = torch.empty_like(added)
        total[0] = bias
        for i in range(len(added) - 1):
            torch.add(total[i], added[i], out=total[i + 1])
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        total = torch.empty_like(grad)
        total[-1] = 0
        for i in range(len(grad) - 1, 0, -1):
            torch.add(total[i], grad[i], out=total[i - 1])
        return total, (total[0] + grad[0]).sum(0)
