"""The running sum that NADE shares between variables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Earlier(torch.autograd.Function):
    """The bias and what all earlier variables add, for each of n: (n - 1, batch, units), (units,) to (n, batch, units).

    out_0 = bias, out_{i+1} = out_i + added_i; backwards the same recurrence runs from the last variable to the first.
    One slice at a time it is some ten times faster on a CPU than `cumsum`.
    """

    @staticmethod
    def forward(ctx: Any, added: Tensor, bias: Tensor) -> Tensor:
        total = added.new_empty(len(added) + 1, *added.shape[1:])
        total[0] = bias
        for i in range(len(added)):
            torch.add(total[i], added[i], out=total[i + 1])
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        total = grad.clone()  # for each variable, what its own and all later activations ask for
        for i in range(len(grad) - 1, 0, -1):
            total[i - 1] += total[i]
        return total[1:], total[0].sum(0)
