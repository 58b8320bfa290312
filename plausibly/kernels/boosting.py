"""Boosted trees of bits, compiled by numba at first use: they are grown one variable at a time, and added up.

A tree of depth d is an array: node k at level l has the feature of place 2^l - 1 + k, and children 2k, where that bit is 0,
and 2k + 1. A feature of -1 sends all rows to the first child. Of two children only the smaller one's sums are counted; the
other's are what is left of the parent's. Bits are (variables, rows): one variable of all rows stands together.

Rows stand in the order of their bits, each once. Those that agree in the bits before a variable stand together then, and
are one to its trees: what is sparse has few of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plausibly.system.loops import compile_loops

loops = compile_loops()
MIN_GAIN = 0.01  # of a split, in nats of all rows together, twice: less is none
# fewer rows are followed down a tree one by one; so many eights of rows at once
MIN_ROWS = 16
WORDS_PER_BATCH = 128
MIN_IMPROVEMENT = 1e-6  # nats per held-out row: less is not better


class SortedRows(NamedTuple):
    """Different rows in the order of their bits, `bits` (variables, rows)."""

    bits: NDArray[np.uint8]
    many: NDArray[np.int64]  # how many are like each
    agree: NDArray[
        np.int64
    ]  # in how many bits, from the first on, each is like the one before it; -1 of the first row
    first: NDArray[np.int64]  # where each row's begin in `places`, and the end
    places: NDArray[np.int32]  # the variables that are not what they are in most rows


def sort_rows(bits: NDArray[np.uint8]) -> SortedRows:
    """Rows in their order, from any, (variables, rows)."""
    bits = np.ascontiguousarray(bits[:, np.lexsort(bits[::-1])])
    apart = bits[:, 1:] != bits[:, :-1]
    agree = np.concatenate([[-1], np.where(apart.any(0), apart.argmax(0), len(bits))])[
        : bits.shape[1]
    ]
    starts = np.flatnonzero(agree < len(bits))
    many = np.diff(starts, append=bits.shape[1])
    bits = np.ascontiguousarray(bits[:, starts])
    return SortedRows(bits, many, agree[starts], *_unusual(bits, many))


@loops
def _unusual(bits, many):  # type: ignore[no-untyped-def]
    """Which bits of each row are not what they mostly are: where those of each row begin among all, and these in order.

    A split is worth the same however the two values are called.
    """
    variables, rows = bits.shape
    first, usual = np.zeros(rows + 1, np.int64), np.zeros(variables, np.uint8)
    for j in range(variables):
        ones = 0
        for r in range(rows):
            ones += bits[j, r] * many[r]
        usual[j] = 2 * ones > many.sum()
        for r in range(rows):
            first[r + 1] += bits[j, r] != usual[j]
    first = np.cumsum(first)
    places, next_one = np.empty(first[-1], np.int32), first[:-1].copy()
    for j in range(variables):
        for r in range(rows):
            if bits[j, r] != usual[j]:
                places[next_one[r]] = j
                next_one[r] += 1
    return first, places


@loops
def _alike(rows, variable):  # type: ignore[no-untyped-def]
    """The first row of each group with the same bits before `variable`, and in how many of its rows this is 0, and 1."""
    heads = np.flatnonzero(rows.agree < variable)
    counts = np.zeros((len(heads), 2))
    group = -1
    for r in range(len(rows.many)):
        group += rows.agree[r] < variable
        counts[group, rows.bits[variable, r]] += rows.many[r]
    return heads, counts


@loops
def leaf_of(bits, r, tree, depth):  # type: ignore[no-untyped-def]
    """The leaf that row `r` comes to."""
    k = 0
    for level in range(depth):
        j = tree[(1 << level) - 1 + k]
        k = 2 * k + (bits[j, r] if j >= 0 else 0)
    return k


def pack_bits(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Rows by eights, a byte each, (variables, rows / 8), from (variables, rows); there may be rows of zeros at the end."""
    return np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)


@loops
def _either(bit, zero, one, below, code):  # type: ignore[no-untyped-def]
    for w in range(len(code)):
        ones = (bit[w] << np.uint64(8)) - bit[w]  # all bits of the bytes that are 1
        code[w] = zero[w] ^ (ones & (zero[w] ^ (one[w] | below)))


@loops
def _leaves_of(eights, begin, end, tree, depth, codes):  # type: ignore[no-untyped-def]
    """The leaves that rows come to, a byte each, in `codes[0]`: both ways of every node, for many rows at once."""
    number = end - begin
    for level in range(depth - 1, -1, -1):
        width, below = 1 << level, np.uint64(0x0101010101010101 << (depth - 1 - level))
        for k in range(width):
            j, code = tree[width - 1 + k], codes[k, :number]
            if level == depth - 1:
                code[:] = 0
                if j >= 0:
                    code[:] = eights[j, begin:end]
            elif j < 0:
                code[:] = codes[2 * k, :number]
            else:
                _either(
                    eights[j, begin:end],
                    codes[2 * k, :number],
                    codes[2 * k + 1, :number],
                    below,
                    code,
                )


@loops
def add_trees(eights, features, leaves, depth, start, end, logits):  # type: ignore[no-untyped-def]
    """Adds the trees from `start` to `end` to each row's logit."""
    number = len(logits)
    if number < MIN_ROWS or depth > 7:
        bits = eights.view(np.uint8)
        for t in range(start, end):
            for r in range(number):
                logits[r] += leaves[t, leaf_of(bits, r, features[t], depth)]
        return
    codes = np.empty((1 << (depth - 1), WORDS_PER_BATCH), np.uint64)
    found = codes.view(np.uint8)
    for begin in range(0, eights.shape[1], WORDS_PER_BATCH):
        some = min(WORDS_PER_BATCH, eights.shape[1] - begin)
        own = logits[8 * begin : 8 * (begin + some)]
        for t in range(start, end):
            _leaves_of(eights, begin, begin + some, features[t], depth, codes)
            for r in range(len(own)):
                own[r] += leaves[t, found[0, r]]


@loops
def _loss(logits, counts):  # type: ignore[no-untyped-def]
    total = 0.0
    for g in range(len(logits)):
        logit = logits[g]
        more = counts[g, 0] * max(logit, 0.0) + counts[g, 1] * max(-logit, 0.0)
        total += (counts[g, 0] + counts[g, 1]) * np.log1p(np.exp(-abs(logit))) + more
    return total


@loops
def _some(number, share, noise):  # type: ignore[no-untyped-def]
    """The number of rows taken out of so many, each by chance."""
    if share == 1:
        return number
    if number <= 1:
        return number * (noise.random() < share)
    return noise.binomial(int(number), share)


@loops
def _take(counts, logits, share, noise, node, slope, curve):  # type: ignore[no-untyped-def]
    """The slopes and curvatures of the rows that a tree is grown from; groups without such are in no node."""
    for g in range(len(logits)):
        zeros, ones = _some(counts[g, 0], share, noise), _some(counts[g, 1], share, noise)
        p = 1 / (1 + np.exp(-logits[g]))
        slope[g] = ones - (zeros + ones) * p
        curve[g] = (zeros + ones) * p * (1 - p)
        node[g] = 0 if zeros + ones > 0 else -1


@loops
def _count(wanted, node, slope, curve, rows, heads, seen, own, whole):  # type: ignore[no-untyped-def]
    """Sums of slopes and curvatures over the groups in nodes that are `wanted`: where a bit is unusual, and of all."""
    for g in range(len(node)):
        k = node[g]
        if k >= 0 and wanted[k]:
            s, c = slope[g], curve[g]
            whole[k, 0] += s
            whole[k, 1] += c
            for e in range(rows.first[heads[g]], rows.first[heads[g] + 1]):
                j = rows.places[e]
                if j >= seen:
                    break
                own[k, j, 0] += s
                own[k, j, 1] += c


@loops
def _split(own, whole, seen, strength, least):  # type: ignore[no-untyped-def]
    """The bit by which the node's rows are told apart best; -1 if none helps."""
    g, h = whole
    found, best = -1, MIN_GAIN
    here = g * g / (h + strength)
    for j in range(seen):
        g1, h1 = own[j]
        g0, h0 = g - g1, h - h1
        if h1 >= least and h0 >= least:
            gain = g1 * g1 / (h1 + strength) + g0 * g0 / (h0 + strength) - here
            if gain > best:
                found, best = j, gain
    return found


@loops
def _rest(above, sibling, own, seen):  # type: ignore[no-untyped-def]
    """A child's sums: the parent's without its sibling's."""
    for j in range(seen):
        own[j, 0] = above[j, 0] - sibling[j, 0]
        own[j, 1] = above[j, 1] - sibling[j, 1]


@loops
def _descend(rows, heads, tree, width, place, node, many):  # type: ignore[no-untyped-def]
    """Takes every group to a child of its node, and counts those that the tree is grown from in each."""
    many[:] = 0
    for g in range(len(place)):
        j = tree[width - 1 + place[g]]
        place[g] = 2 * place[g] + (rows.bits[j, heads[g]] if j >= 0 else 0)
        if node[g] >= 0:
            node[g] = place[g]
            many[place[g]] += 1


@loops
def _fill(leaves, whole, node, slope, curve, rate, strength):  # type: ignore[no-untyped-def]
    """Fills in the number that each leaf adds, from the sums of its groups."""
    whole[:] = 0.0
    for g in range(len(node)):
        if node[g] >= 0:
            whole[node[g], 0] += slope[g]
            whole[node[g], 1] += curve[g]
    for k in range(len(leaves)):
        leaves[k] = rate * whole[k, 0] / (whole[k, 1] + strength)


@loops
def grow_trees(  # type: ignore[no-untyped-def]
    rows,
    held_out,
    variable,
    depth,
    rounds,
    rate,
    strength,
    least,
    share,
    patience,
    noise,
    features,
    leaves,
):
    """Boosts the logit of bit `variable` by trees of the bits before it. How many are best, and the logit before the first.

    `rows` and `held_out` are lined up. Trees are written to `features` and `leaves`.
    """
    heads, counts = _alike(rows, variable)
    asked, answers = _alike(held_out, variable)
    eights = np.zeros((variable, -(-len(asked) // 8)), np.uint64)
    for j in range(variable):
        eights[j].view(np.uint8)[: len(asked)] = held_out.bits[j][asked]
    ones, number, seen = counts[:, 1].sum(), len(heads), variable
    begin = np.log((ones + 0.5) / (counts.sum() - ones + 0.5))
    logits, others = np.full(number, begin), np.full(len(asked), begin)
    slope, curve = np.empty(number), np.empty(number)
    node, place = np.empty(number, np.int32), np.empty(number, np.int32)
    sums = np.zeros((2, 1 << depth, seen, 2))
    totals = np.zeros((2, 1 << depth, 2))
    wanted, many = np.zeros(1 << depth, np.bool_), np.zeros(1 << depth, np.int64)
    best, lowest, waited = 0, _loss(others, answers), 0
    for t in range(rounds):
        _take(counts, logits, share, noise, node, slope, curve)
        place[:] = 0
        tree = features[t]
        wanted[:] = True
        for level in range(depth):
            width, own, whole = 1 << level, sums[level % 2], totals[level % 2]
            for k in range(width):
                if wanted[k]:
                    own[k], whole[k] = 0.0, 0.0
            _count(wanted, node, slope, curve, rows, heads, seen, own, whole)
            for k in range(width):
                if not wanted[k]:  # the smaller child beside it was counted
                    _rest(sums[1 - level % 2, k // 2], own[k ^ 1], own[k], seen)
                    whole[k] = totals[1 - level % 2, k // 2] - whole[k ^ 1]
            for k in range(width):
                tree[width - 1 + k] = _split(own[k], whole[k], seen, strength, least)
            _descend(rows, heads, tree, width, place, node, many)
            for k in range(0, 2 * width, 2):
                wanted[k] = many[k] < many[k + 1]
                wanted[k + 1] = not wanted[k]
        if tree[0] < 0:
            break
        _fill(leaves[t], totals[depth % 2], node, slope, curve, rate, strength)
        for g in range(number):
            logits[g] += leaves[t, place[g]]
        add_trees(eights, features, leaves, depth, t, t + 1, others)
        loss = _loss(others, answers)
        waited += 1
        if loss < lowest - MIN_IMPROVEMENT * answers.sum():
            best, lowest, waited = t + 1, loss, 0
        if waited == patience:
            break
    return best, begin
