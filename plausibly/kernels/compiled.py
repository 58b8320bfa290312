"""NADE's loops for a CPU, compiled by numba at first use and kept on disk, one thread for each part of the batch.

Some rows at a time go through all variables, so that their activations stay in the fastest cache; four of them share what
is loaded of a readout, and rows are filled up with zeros to whole groups. A number that is 0 adds nothing and is passed
over. With f = relu what is kept of a unit can be taken before it: keep * relu(a) = relu(keep * a). Sums run in an order
that the compiler chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

ROWS, GROUP, VECTOR = 8, 4, 16  # whose activations are at hand together; that share a load; units in a vector, at most

loops: Callable[[Any], Any] = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, forceinline=True
)


@loops
def _sums(out, one, two, three, four, units):  # type: ignore[no-untyped-def]
    """What one readout makes of each of four rows' activations."""
    zero = out.dtype.type(0)
    s, t, u, v = zero, zero, zero, zero
    for h in range(units):
        share = out[h]
        s += share * max(one[h], zero)
        t += share * max(two[h], zero)
        u += share * max(three[h], zero)
        v += share * max(four[h], zero)
    return s, t, u, v


@loops
def _forward(numbers, weight, start, readout, offset, keep, table, parameters, last):  # type: ignore[no-untyped-def]
    batch, units = len(start), weight.shape[1]
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
                    s, t, u, v = _sums(out, last[b], last[b + 1], last[b + 2], last[b + 3], units)
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
    batch, units = len(last), weight.shape[1]
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
def _draw(numbers, weight, start, readout, offset, table, uniforms, limits, codes, last):  # type: ignore[no-untyped-def]
    batch, units = len(last), weight.shape[1]
    zero = last.dtype.type(0)
    logits = np.empty((ROWS, np.max(table[:, 3] - table[:, 2]) + 1), last.dtype)
    for first in range(0, batch, ROWS):
        end = min(first + ROWS, batch)
        for b in range(first, end):
            for h in range(units):
                last[b, h] = start[h]
        for i in range(len(table)):
            free = table[i, 3] - table[i, 2]
            for place in range(1, free + 1):
                o = table[i, 2] + place - 1
                out = readout[o]
                for b in range(first, end, GROUP):
                    s, t, u, v = _sums(out, last[b], last[b + 1], last[b + 2], last[b + 3], units)
                    row = b - first
                    logits[row, place], logits[row + 1, place] = offset[o] + s, offset[o] + t
                    logits[row + 2, place], logits[row + 3, place] = offset[o] + u, offset[o] + v
            for b in range(first, end):
                if free == 1:
                    code = int(logits[b - first, 1] >= limits[b, i])
                else:
                    code = _chosen(logits[b - first], free, uniforms[b, i])
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
    begun, kept = _aligned(start), _aligned(start.new_ones(()).expand_as(start) if keep is None else keep)
    parameters, last = _blank(begun, len(begun), len(offset)), torch.empty_like(begun)
    parameters.numpy()[:] = _array(offset)
    n, w, s, r, c, k, t = map(_array, (_filled(numbers), weight, begun, readout, offset, kept, table))
    p, a = map(_array, (parameters, last))
    _shared(len(n), lambda part, _: _forward(n[part], w, s[part], r, c, k[part], t, p[part], a[part]))
    return parameters[: len(start)], _cut(last, start)


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
    begun, kept = _aligned(last), _aligned(last.new_ones(()).expand_as(last) if keep is None else keep)
    numbers_grad, start_grad = _blank(begun, len(begun), numbers.shape[1]), _blank(begun, *begun.shape)
    sums = [(_blank(begun, *weight.shape), _blank(begun, *readout.shape)) for _ in range(_threads(len(begun)))]
    g, n, w, a, r, k, t = map(_array, (_filled(grad), _filled(numbers), weight, begun, readout, kept, table))
    gn, gs, totals = _array(numbers_grad), _array(start_grad), [tuple(map(_array, own)) for own in sums]

    def work(part: slice, own: int) -> None:
        gw, gr = totals[own]
        _backward(g[part], n[part], w, a[part], r, k[part], t, wanted, gn[part], gw, gs[part], gr)

    _shared(len(n), work)
    for more in totals[1:]:
        for total, part in zip(totals[0], more, strict=True):
            total += part
    return numbers_grad[: len(last)], sums[0][0], _cut(start_grad, last), sums[0][1]


def draw(
    numbers: Tensor, weight: Tensor, start: Tensor, readout: Tensor, offset: Tensor, table: Tensor, uniforms: Tensor
) -> Tensor:
    """What `draw_loop` gives for relu."""
    given = _filled(uniforms)
    codes, last = _blank(start, *given.shape), _aligned(start.expand(len(given), -1))
    n, w, s, r, c, t, u = map(_array, (numbers, weight, start, readout, offset, table, given))
    found, a = map(_array, (codes, last))
    with np.errstate(divide="ignore"):
        limits = np.log((1 - u) / u)  # a bit is 1 from this logit on
    _shared(len(given), lambda part, _: _draw(n, w, s, r, c, t, u[part], limits[part], found[part], a[part]))
    return codes[: len(uniforms)]


# Copies are numpy's: torch would wake its own threads for them, which then spin for a while in the way of ours.


def _blank(like: Tensor, rows: int, columns: int) -> Tensor:
    """Zeros."""
    found = like.new_empty(rows, columns)
    found.numpy()[:] = 0
    return found


def _filled(table: Tensor) -> Tensor:
    """With rows of zeros up to whole groups."""
    if not len(table) % GROUP:
        return table
    found = _blank(table, len(table) + -len(table) % GROUP, table.shape[1])
    found.numpy()[: len(table)] = _array(table)
    return found


def _aligned(table: Tensor) -> Tensor:
    """A copy with rows of zeros up to whole groups, and columns up to whole vectors of the processor."""
    rows, units = table.shape
    found = _blank(table, rows + -rows % GROUP, units + -units % VECTOR)
    found.numpy()[:rows, :units] = table.detach().numpy()
    return found


def _cut(table: Tensor, like: Tensor) -> Tensor:
    rows, units = like.shape
    if table.shape == like.shape:
        return table
    found = _blank(table, rows, units)
    found.numpy()[:] = table.numpy()[:rows, :units]
    return found


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
