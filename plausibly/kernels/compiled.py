"""NADE's loops for a CPU, compiled by numba at first use and kept on disk, one thread for each part of the batch.

Some rows at a time go through all variables, so that their activations stay in the fastest cache; four of them share what
is loaded of a readout. Rows are filled up with zeros to whole groups, units to whole vectors of the processor. A number
that is 0 adds nothing and is passed over. With f = relu what is kept of a unit can be taken before it:
keep * relu(a) = relu(keep * a). Sums run in an order that the compiler chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ROWS, GROUP, VECTOR = 8, 4, 16  # whose activations are at hand together; that share a load; units of a vector, at most

loops: Callable[[Any], Any] = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@loops
def _forward(numbers, weight, start, readout, offset, keep, table, parameters, last):  # type: ignore[no-untyped-def]
    batch, units = start.shape
    zero = start.dtype.type(0)
    for first in range(0, batch, ROWS):
        end = min(first + ROWS, batch)
        for b in range(first, end):
            for h in range(units):
                last[b, h] = keep[b, h] * start[b, h]
        for i in range(len(table)):
            for o in range(table[i, 2], table[i, 3]):
                out = readout[o]
                for b in range(first, end, GROUP):
                    one, two, three, four = last[b], last[b + 1], last[b + 2], last[b + 3]
                    s, t, u, v = zero, zero, zero, zero
                    for h in range(units):
                        share = out[h]
                        s += share * max(one[h], zero)
                        t += share * max(two[h], zero)
                        u += share * max(three[h], zero)
                        v += share * max(four[h], zero)
                    parameters[b, o], parameters[b + 1, o] = offset[o] + s, offset[o] + t
                    parameters[b + 2, o], parameters[b + 3, o] = offset[o] + u, offset[o] + v
            for k in range(table[i, 0], table[i, 1]):
                for b in range(first, end):
                    number = numbers[b, k]
                    if number != zero:
                        added, own, kept = weight[k], last[b], keep[b]
                        for h in range(units):
                            own[h] += kept[h] * (number * added[h])


@loops
def _backward(  # type: ignore[no-untyped-def]
    grad, numbers, weight, last, readout, keep, table, wanted, grad_numbers, grad_weight, grad_start, grad_readout
):
    batch, units = last.shape
    zero = last.dtype.type(0)
    for first in range(0, batch, ROWS):
        end = min(first + ROWS, batch)
        for i in range(len(table) - 1, -1, -1):
            for k in range(table[i, 0], table[i, 1]):
                for b in range(first, end):
                    number = numbers[b, k]
                    if wanted:
                        added, later, kept, total = weight[k], grad_start[b], keep[b], zero
                        for h in range(units):
                            total += added[h] * (kept[h] * later[h])
                        grad_numbers[b, k] = total
                    if number != zero:
                        added, learned, own, later, kept = weight[k], grad_weight[k], last[b], grad_start[b], keep[b]
                        for h in range(units):
                            own[h] -= kept[h] * (number * added[h])
                        for h in range(units):
                            learned[h] += kept[h] * (number * later[h])
            for o in range(table[i, 2], table[i, 3]):
                out, learned = readout[o], grad_readout[o]
                for b in range(first, end, 2):
                    one, two, after_one, after_two = last[b], last[b + 1], grad_start[b], grad_start[b + 1]
                    s, t = grad[b, o], grad[b + 1, o]
                    for h in range(units):
                        share, a, c = out[h], one[h], two[h]
                        u, v = s * share, t * share
                        learned[h] += s * max(a, zero) + t * max(c, zero)
                        after_one[h] += u if a > zero else zero
                        after_two[h] += v if c > zero else zero
        for b in range(first, end):
            for h in range(units):
                grad_start[b, h] *= keep[b, h]


@loops
def _draw(numbers, weight, start, readout, offset, table, uniforms, codes, last):  # type: ignore[no-untyped-def]
    batch, units = last.shape
    zero = last.dtype.type(0)
    logits = np.empty((GROUP, np.max(table[:, 3] - table[:, 2]) + 1), last.dtype)
    for first in range(0, batch, GROUP):
        one, two, three, four = last[first], last[first + 1], last[first + 2], last[first + 3]
        for b in range(first, first + GROUP):
            last[b] = start
        for i in range(len(table)):
            for o in range(table[i, 2], table[i, 3]):
                out, s, t, u, v = readout[o], zero, zero, zero, zero
                for h in range(units):
                    share = out[h]
                    s += share * max(one[h], zero)
                    t += share * max(two[h], zero)
                    u += share * max(three[h], zero)
                    v += share * max(four[h], zero)
                place = o - table[i, 2] + 1
                logits[0, place], logits[1, place] = offset[o] + s, offset[o] + t
                logits[2, place], logits[3, place] = offset[o] + u, offset[o] + v
            for b in range(first, first + GROUP):
                code = _chosen(logits[b - first], table[i, 3] - table[i, 2], uniforms[b, i])
                codes[b, i] = code
                for k in range(table[i, 0], table[i, 1]):
                    number = numbers[code, k]
                    if number != zero:
                        added, own = weight[k], last[b]
                        for h in range(units):
                            own[h] += number * added[h]


@loops
def _chosen(logits, free, uniform):  # type: ignore[no-untyped-def]
    """The code at which the sum of probabilities passes `uniform`, of as many `free` numbers as `heads.balanced` takes."""
    most = logits[0] = logits.dtype.type(0)
    if free > 1:
        root = np.sqrt(logits.dtype.type(free + 1))
        share = np.sum(logits[1 : free + 1]) / root
        for k in range(1, free + 1):
            logits[k] -= share / (root - 1)
        logits[0] = share
    for k in range(free + 1):
        most = max(most, logits[k])
    total = logits.dtype.type(0)
    for k in range(free + 1):
        logits[k] = np.exp(logits[k] - most)
        total += logits[k]
    left = uniform * total
    for k in range(free):
        left -= logits[k]
        if left < 0:
            return k
    return free


def forward(
    numbers: Tensor, weight: Tensor, start: Tensor, readout: Tensor, offset: Tensor, keep: Tensor | None, table: Tensor
) -> tuple[Tensor, Tensor]:
    """What `forward_loop` gives for relu; the last activation is that of the kept shares."""
    rows, units = start.shape
    kept = torch.ones_like(start) if keep is None else keep
    begun = _filled(start)
    parameters, last = offset.repeat(len(begun), 1), torch.empty_like(begun)
    n, s, k = map(_array, (_filled(numbers, units=1), begun, _filled(kept)))
    w, r, c, t, p, a = map(_array, (_filled(weight, 1), _filled(readout, 1), offset, table, parameters, last))
    _shared(len(n), lambda part, _: _forward(n[part], w, s[part], r, c, k[part], t, p[part], a[part]))
    return _cut(parameters, rows), _cut(last, rows, units)


def backward(
    grad: Tensor,
    numbers: Tensor,
    weight: Tensor,
    last: Tensor,
    readout: Tensor,
    keep: Tensor | None,
    table: Tensor,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `backward_loop` gives for relu, of the last activation that `forward` gave."""
    rows, units = last.shape
    kept = weight.new_ones(rows, units) if keep is None else keep
    into, out = _filled(weight, 1), _filled(readout, 1)
    begun = _filled(last) if rows % GROUP or units % VECTOR else last.clone()
    found = last.new_zeros(len(begun), numbers.shape[1]), torch.zeros_like(begun)
    threads = _threads(len(begun))
    sums = into.new_zeros(threads, *into.shape), out.new_zeros(threads, *out.shape)
    g, n, k = map(_array, (_filled(grad, units=1), _filled(numbers, units=1), _filled(kept)))
    w, a, r, t, gn, gs, gw, gr = map(_array, (into, begun, out, table, *found, *sums))

    def work(part: slice, own: int) -> None:
        _backward(g[part], n[part], w, a[part], r, k[part], t, wanted, gn[part], gw[own], gs[part], gr[own])

    _shared(len(n), work)
    weight_grad, readout_grad = (total[0] if threads == 1 else total.sum(0) for total in sums)
    return (
        _cut(found[0], rows),
        _cut(weight_grad, columns=units),
        _cut(found[1], rows, units),
        _cut(readout_grad, columns=units),
    )


def draw(
    numbers: Tensor, weight: Tensor, start: Tensor, readout: Tensor, offset: Tensor, table: Tensor, uniforms: Tensor
) -> Tensor:
    """What `draw_loop` gives for relu."""
    given = _filled(uniforms, units=1)
    codes, last = given.new_empty(given.shape), start.new_empty(len(given), start.shape[0] + -start.shape[0] % VECTOR)
    n, w, s, r = map(_array, (numbers, _filled(weight, 1), _filled(start[None], 1)[0], _filled(readout, 1)))
    c, t, u, found, a = map(_array, (offset, table, given, codes, last))
    _shared(len(given), lambda part, _: _draw(n, w, s, r, c, t, u[part], found[part], a[part]))
    return _cut(codes, len(uniforms))


def _cut(table: Tensor, rows: int | None = None, columns: int | None = None) -> Tensor:
    """The first rows and columns, with memory of their own."""
    return table[:rows, :columns].contiguous()


def _filled(table: Tensor, rows: int = GROUP, units: int = VECTOR) -> Tensor:
    """With rows and columns of zeros up to multiples."""
    more = -table.shape[1] % units, -len(table) % rows
    return F.pad(table, (0, more[0], 0, more[1])) if any(more) else table.contiguous()


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _threads(rows: int) -> int:
    """As many as torch uses, but none without work."""
    return max(1, min(torch.get_num_threads(), rows // ROWS))


def _shared(rows: int, work: Callable[[slice, int], None]) -> None:
    """Splits rows among threads, one of which is this one; none outlives the call."""
    threads = _threads(rows)
    bounds = [rows * k // (threads * GROUP) * GROUP for k in range(threads)] + [rows]
    parts = [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    others = [Thread(target=work, args=(part, k)) for k, part in enumerate(parts) if k]
    for other in others:
        other.start()
    work(parts[0], 0)
    for other in others:
        other.join()
