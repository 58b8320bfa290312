"""NADE's recurrence: one running activation, to which each variable adds its own contribution.

    a_1 = start,   params_i = V_i (keep * f(a_i)) + c_i,   a_{i+1} = a_i + W_i n_i

n_i are the numbers that stand for x_i. Going forward only the running activation is kept; going backward it is
wound back, a_i = a_{i+1} - W_i n_i, so that memory is O(batch x units) besides inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid}


def through(name: str, grad: Tensor, activated: Tensor) -> Tensor:
    """The gradient before the activation from that behind it, given the activation's value."""
    if name == "relu":
        return torch.ops.aten.threshold_backward(grad, activated, 0)
    return torch.ops.aten.sigmoid_backward(grad, activated)


class Recurrence(torch.autograd.Function):
    """(batch, inputs) numbers to (batch, outputs) parameters; `added` and `read` slice them, variable by variable.

    weight (inputs, units), start (batch, units), readout (outputs, units), offset (outputs,), keep (batch, units) or None:
    the share of each unit that is passed on. `added` has one entry less than `read`: nothing sees the last variable.
    Outputs that are not read are the offset.
    """

    @staticmethod
    def forward(
        ctx: Any,
        numbers: Tensor,
        weight: Tensor,
        start: Tensor,
        readout: Tensor,
        offset: Tensor,
        keep: Tensor | None,
        added: Sequence[slice],
        read: Sequence[slice],
        name: str,
    ) -> Tensor:
        activation = start.clone()
        columns = numbers.T.contiguous()  # a variable's numbers stand together
        parameters = numbers.new_zeros(len(readout), len(numbers))
        for i, own in enumerate(read):
            hidden = ACTIVATIONS[name](activation)
            if keep is not None:
                hidden.mul_(keep)
            torch.mm(readout[own], hidden.T, out=parameters[own])
            if i < len(added):
                activation.addmm_(columns[added[i]].T, weight[added[i]])
        ctx.save_for_backward(columns, weight, readout, keep, activation)
        ctx.layout = added, read, name
        return parameters.T + offset

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        columns, weight, readout, keep, activation = ctx.saved_tensors
        added, read, name = ctx.layout
        activation, asked = activation.clone(), grad.T.contiguous()
        later = torch.zeros_like(activation)  # gradient of the running activation, from all later variables
        grad_columns, grad_weight, grad_readout = (torch.zeros_like(t) for t in (columns, weight, readout))
        for i in reversed(range(len(read))):
            if i < len(added):
                own = columns[added[i]]
                activation.addmm_(own.T, weight[added[i]], alpha=-1)
                torch.mm(own, later, out=grad_weight[added[i]])
                if ctx.needs_input_grad[0]:
                    torch.mm(weight[added[i]], later.T, out=grad_columns[added[i]])
            activated = ACTIVATIONS[name](activation)
            out = asked[read[i]].T @ readout[read[i]]
            if keep is not None:
                out.mul_(keep)
                torch.mm(asked[read[i]], activated * keep, out=grad_readout[read[i]])
            else:
                torch.mm(asked[read[i]], activated, out=grad_readout[read[i]])
            later += through(name, out, activated)
        return grad_columns.T, grad_weight, later, grad_readout, grad.sum(0), None, None, None, None
