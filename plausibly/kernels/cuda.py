"""NADE's loops for a CUDA device, by Triton: one program for each row, whose activation stays in registers.

Gradients of weights are summed over rows by atomic additions, so that their last bits change from run to run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

jit: Callable[[Any], Any] = triton.jit


@jit
def _forward(  # type: ignore[no-untyped-def]
    numbers,
    weight,
    start,
    readout,
    offset,
    keep,
    table,
    parameters,
    last,
    variables,
    inputs,
    outputs,
    units,
    BLOCK: tl.constexpr,
):
    row, h = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    inside = h < units
    kept = tl.load(keep + row * units + h, mask=inside, other=0.0)
    own = kept * tl.load(start + row * units + h, mask=inside, other=0.0)
    for i in range(variables):
        active = tl.maximum(own, 0.0)
        for o in range(tl.load(table + 4 * i + 2), tl.load(table + 4 * i + 3)):
            out = tl.load(readout + o * units + h, mask=inside, other=0.0)
            tl.store(parameters + row * outputs + o, tl.load(offset + o) + tl.sum(out * active))
        for k in range(tl.load(table + 4 * i), tl.load(table + 4 * i + 1)):
            number = tl.load(numbers + row * inputs + k)
            if number != 0:
                own += kept * (number * tl.load(weight + k * units + h, mask=inside, other=0.0))
    tl.store(last + row * units + h, own, mask=inside)


@jit
def _backward(  # type: ignore[no-untyped-def]
    grad,
    numbers,
    weight,
    last,
    readout,
    keep,
    table,
    grad_numbers,
    grad_weight,
    grad_start,
    grad_readout,
    variables,
    inputs,
    outputs,
    units,
    WANTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row, h = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    inside = h < units
    kept = tl.load(keep + row * units + h, mask=inside, other=0.0)
    own = tl.load(last + row * units + h, mask=inside, other=0.0)
    later = tl.zeros_like(own)
    for j in range(variables):
        i = variables - 1 - j
        for k in range(tl.load(table + 4 * i), tl.load(table + 4 * i + 1)):
            number = tl.load(numbers + row * inputs + k)
            added = kept * tl.load(weight + k * units + h, mask=inside, other=0.0)
            if WANTED:
                tl.store(grad_numbers + row * inputs + k, tl.sum(added * later))
            if number != 0:
                own -= number * added
                tl.atomic_add(grad_weight + k * units + h, kept * (number * later), mask=inside)
        for o in range(tl.load(table + 4 * i + 2), tl.load(table + 4 * i + 3)):
            asked = tl.load(grad + row * outputs + o)
            tl.atomic_add(grad_readout + o * units + h, asked * tl.maximum(own, 0.0), mask=inside)
            later += tl.where(
                own > 0, asked * tl.load(readout + o * units + h, mask=inside, other=0.0), 0.0
            )
    tl.store(grad_start + row * units + h, kept * later, mask=inside)


def cuda_forward(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    keep: Tensor | None,
    table: Tensor,
) -> tuple[Tensor, Tensor]:
    """The results of `forward_loop` for relu; the last activation is that of the kept shares."""
    (rows, units), begun = start.shape, start.contiguous()
    kept = torch.ones_like(begun) if keep is None else keep.contiguous()
    parameters, last = offset.repeat(rows, 1), torch.empty_like(begun)
    given = [t.contiguous() for t in (numbers, weight, begun, readout, offset, kept, table)]
    sizes = len(table), numbers.shape[1], len(offset), units
    _forward[(rows,)](*given, parameters, last, *sizes, BLOCK=triton.next_power_of_2(units))
    return parameters, last


def cuda_backward(
    grad: Tensor,
    numbers: Tensor,
    weight: Tensor,
    last: Tensor,
    readout: Tensor,
    keep: Tensor | None,
    table: Tensor,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The results of `backward_loop` for relu, of the last activation that `forward` gave."""
    rows, units = last.shape
    kept = torch.ones_like(last) if keep is None else keep
    found = [
        torch.zeros(t.shape, dtype=t.dtype, device=t.device)
        for t in (numbers, weight, last, readout)
    ]
    given = [t.contiguous() for t in (grad, numbers, weight, last, readout, kept, table)]
    sizes = len(table), numbers.shape[1], len(readout), units
    _backward[(rows,)](*given, *found, *sizes, WANTED=wanted, BLOCK=triton.next_power_of_2(units))
    return found[0], found[1], found[2], found[3]
