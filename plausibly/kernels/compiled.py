"""NADE's loops for a CPU, compiled by numba at first use and kept on disk, each of torch's threads with a part of the batch.

Some rows at a time go through all variables, so that their activations stay near; four of them share what is loaded of a
readout, and rows are filled up with zeros to whole groups. A number that is 0 adds nothing and is passed over, so that
hidden units, which are kept beside the activations, seldom change. With f = relu what is kept of a unit can be taken before
it: keep * relu(a) = relu(keep * a). Sums run in an order that the compiler chooses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plausibly.system.loops import compile_loops
from plausibly.system.threads import run_in_threads

# whose activations are at hand together; that share a load; units in a vector, at most
ROWS_PER_BLOCK = 8
ROWS_PER_GROUP = 4
VECTOR_UNITS = 16
loops = compile_loops(fastmath={"reassoc", "contract", "nsz"}, forceinline=True)


@loops
def _sums(out, hidden, units):  # type: ignore[no-untyped-def]
    """The sums that one readout makes of four rows' hidden units."""
    zero = out.dtype.type(0)
    one, two, three, four = hidden[0], hidden[1], hidden[2], hidden[3]
    s, t, u, v = zero, zero, zero, zero
    for h in range(units):
        share = out[h]
        s += share * one[h]
        t += share * two[h]
        u += share * three[h]
        v += share * four[h]
    return s, t, u, v


@loops
def _add(number, added, kept, own, hidden, units):  # type: ignore[no-untyped-def]
    """Adds a number's part to a row's activation, and so to its hidden units."""
    zero = own.dtype.type(0)
    for h in range(units):
        own[h] += kept[h] * (number * added[h])
        hidden[h] = max(own[h], zero)


@loops
def _forward(numbers, weight, start, readout, offset, keep, table, parameters, last):  # type: ignore[no-untyped-def]
    batch, units = len(start), weight.shape[1]
    zero = start.dtype.type(0)
    hidden = np.empty((ROWS_PER_BLOCK, last.shape[1]), last.dtype)
    for first in range(0, batch, ROWS_PER_BLOCK):
        end = min(first + ROWS_PER_BLOCK, batch)
        for b in range(first, end):
            for h in range(units):
                last[b, h] = keep[b, h] * start[b, h]
                hidden[b - first, h] = max(last[b, h], zero)
        for i in range(len(table)):
            for o in range(table[i, 2], table[i, 3]):
                out = readout[o]
                for b in range(first, end, ROWS_PER_GROUP):
                    s, t, u, v = _sums(out, hidden[b - first :], units)
                    parameters[b, o], parameters[b + 1, o] = offset[o] + s, offset[o] + t
                    parameters[b + 2, o], parameters[b + 3, o] = offset[o] + u, offset[o] + v
            for k in range(table[i, 0], table[i, 1]):
                for b in range(first, end):
                    if numbers[b, k] != zero:
                        _add(numbers[b, k], weight[k], keep[b], last[b], hidden[b - first], units)


@loops
def _return(grads, out, learned, hidden, later, units):  # type: ignore[no-untyped-def]
    """Adds what four rows' gradients of one parameter give its readout and the activations."""
    zero = out.dtype.type(0)
    s, t, u, v = grads[0], grads[1], grads[2], grads[3]
    one, two, three, four = hidden[0], hidden[1], hidden[2], hidden[3]
    to_one, to_two, to_three, to_four = later[0], later[1], later[2], later[3]
    for h in range(units):
        share, a, b, c, d = out[h], one[h], two[h], three[h], four[h]
        learned[h] += (s * a + t * b) + (u * c + v * d)
        to_one[h] += s * share if a > zero else zero
        to_two[h] += t * share if b > zero else zero
        to_three[h] += u * share if c > zero else zero
        to_four[h] += v * share if d > zero else zero


@loops
def _backward(  # type: ignore[no-untyped-def]
    grad,
    numbers,
    weight,
    last,
    readout,
    keep,
    table,
    wanted,
    grad_numbers,
    grad_weight,
    grad_start,
    grad_readout,
):
    batch, units = len(last), weight.shape[1]
    zero = last.dtype.type(0)
    hidden = np.empty((ROWS_PER_BLOCK, last.shape[1]), last.dtype)
    for first in range(0, batch, ROWS_PER_BLOCK):
        end = min(first + ROWS_PER_BLOCK, batch)
        for b in range(first, end):
            for h in range(units):
                hidden[b - first, h] = max(last[b, h], zero)
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
                        learned, later, kept = grad_weight[k], grad_start[b], keep[b]
                        for h in range(units):
                            learned[h] += kept[h] * (number * later[h])
                        _add(-number, weight[k], kept, last[b], hidden[b - first], units)
            for o in range(table[i, 2], table[i, 3]):
                for b in range(first, end, ROWS_PER_GROUP):
                    own = slice(b, b + ROWS_PER_GROUP)
                    _return(
                        grad[own, o],
                        readout[o],
                        grad_readout[o],
                        hidden[b - first :],
                        grad_start[own],
                        units,
                    )
        for b in range(first, end):
            for h in range(units):
                grad_start[b, h] *= keep[b, h]


@loops
def _draw(numbers, weight, readout, offset, table, uniforms, limits, codes, last):  # type: ignore[no-untyped-def]
    batch, units = len(last), weight.shape[1]
    zero = last.dtype.type(0)
    hidden = np.empty((ROWS_PER_BLOCK, last.shape[1]), last.dtype)
    logits = np.empty((ROWS_PER_BLOCK, np.max(table[:, 3] - table[:, 2]) + 1), last.dtype)
    for first in range(0, batch, ROWS_PER_BLOCK):
        end = min(first + ROWS_PER_BLOCK, batch)
        for b in range(first, end):
            for h in range(units):
                hidden[b - first, h] = max(last[b, h], zero)
        for i in range(len(table)):
            free = table[i, 3] - table[i, 2]
            for place in range(1, free + 1):
                o = table[i, 2] + place - 1
                for r in range(0, end - first, ROWS_PER_GROUP):
                    s, t, u, v = _sums(readout[o], hidden[r:], units)
                    logits[r, place], logits[r + 1, place] = offset[o] + s, offset[o] + t
                    logits[r + 2, place], logits[r + 3, place] = offset[o] + u, offset[o] + v
            for b in range(first, end):
                if free == 1:
                    code = int(logits[b - first, 1] >= limits[b, i])
                else:
                    code = _choose(logits[b - first], free, uniforms[b, i])
                codes[b, i] = code
                for k in range(table[i, 0], table[i, 1]):
                    if numbers[code, k] != zero:
                        added, own, seen, number = (
                            weight[k],
                            last[b],
                            hidden[b - first],
                            numbers[code, k],
                        )
                        for h in range(units):
                            own[h] += number * added[h]
                            seen[h] = max(own[h], zero)


@loops
def _choose(logits, free, uniform):  # type: ignore[no-untyped-def]
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


def cpu_forward(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    keep: Tensor | None,
    table: Tensor,
) -> tuple[Tensor, Tensor]:
    """The results of `forward_loop` for relu; the last activation is that of the kept shares."""
    begun, kept = (
        _align(start),
        _align(start.new_ones(()).expand_as(start) if keep is None else keep),
    )
    parameters, last = offset.detach().repeat(len(begun), 1), torch.empty_like(begun)
    n, w, s, r, c, k, t = map(
        _array, (_pad_rows(numbers), weight, begun, readout, offset, kept, table)
    )
    p, a = map(_array, (parameters, last))
    _share(
        len(n), lambda part, _: _forward(n[part], w, s[part], r, c, k[part], t, p[part], a[part])
    )
    return parameters[: len(start)], _trim(last, start)


def cpu_backward(
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
    begun, kept = _align(last), _align(last.new_ones(()).expand_as(last) if keep is None else keep)
    numbers_grad = numbers.new_zeros(len(begun), numbers.shape[1])
    start_grad = torch.zeros_like(begun)
    sums = [
        (torch.zeros_like(weight), torch.zeros_like(readout)) for _ in range(_threads(len(begun)))
    ]
    g, n, w, a, r, k, t = map(
        _array, (_pad_rows(grad), _pad_rows(numbers), weight, begun, readout, kept, table)
    )
    gn, gs = _array(numbers_grad), _array(start_grad)
    own = [tuple(map(_array, parts)) for parts in sums]

    def work(part: slice, thread: int) -> None:
        gw, gr = own[thread]
        _backward(g[part], n[part], w, a[part], r, k[part], t, wanted, gn[part], gw, gs[part], gr)

    _share(len(n), work)
    weight_grad, readout_grad = _add_up(sums)
    return numbers_grad[: len(last)], weight_grad, _trim(start_grad, last), readout_grad


def _add_up(sums: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sums of all threads, in the place of the first one's."""
    (weight_grad, readout_grad), *others = sums
    for weight_part, readout_part in others:
        weight_grad += weight_part
        readout_grad += readout_part
    return weight_grad, readout_grad


def cpu_draw(
    numbers: Tensor,
    weight: Tensor,
    start: Tensor,
    readout: Tensor,
    offset: Tensor,
    table: Tensor,
    uniforms: Tensor,
) -> Tensor:
    """The codes that `draw_loop` gives for relu."""
    given = _pad_rows(uniforms)
    codes, last = torch.zeros_like(given), _align(start.expand(len(given), -1))
    limits = torch.log((1 - given) / given)  # a bit is 1 from this logit on
    n, w, r, c, t, u, b = map(_array, (numbers, weight, readout, offset, table, given, limits))
    found, a = map(_array, (codes, last))
    _share(len(given), lambda part, _: _draw(n, w, r, c, t, u[part], b[part], found[part], a[part]))
    return codes[: len(uniforms)]


def _pad_rows(table: Tensor) -> Tensor:
    """With rows of zeros up to whole groups."""
    if len(table) % ROWS_PER_GROUP:
        return F.pad(table, (0, 0, 0, -len(table) % ROWS_PER_GROUP))
    return table


def _align(table: Tensor) -> Tensor:
    """With rows of zeros up to whole groups, and columns up to an odd number of the processor's vectors.

    Rows whose distance is a power of two would push each other out of the cache.
    """
    rows, units = table.shape
    more = (VECTOR_UNITS - units) % (2 * VECTOR_UNITS)
    aligned = table.new_zeros(rows + -rows % ROWS_PER_GROUP, units + more)
    aligned[:rows, :units] = table.detach()
    return aligned


def _trim(table: Tensor, like: Tensor) -> Tensor:
    rows, units = like.shape
    return table[:rows, :units].clone()


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _threads(rows: int) -> int:
    """As many as torch uses, but none without work."""
    return max(1, min(torch.get_num_threads(), rows // ROWS_PER_BLOCK))


def _share(rows: int, work: Callable[[slice, int], None]) -> None:
    """Splits rows among threads; each part is told which one it is."""
    threads = _threads(rows)
    bounds = [rows * k // (threads * ROWS_PER_GROUP) * ROWS_PER_GROUP for k in range(threads)] + [
        rows
    ]
    run_in_threads(range(threads), lambda k: work(slice(bounds[k], bounds[k + 1]), k))
