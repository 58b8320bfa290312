"""Boosted trees of bits, compiled by numba at first use: they are grown one variable at a time, and added up.

A tree of depth d is an array: node k at level l has the feature of place 2^l - 1 + k, and children 2k, where that bit is 0,
and 2k + 1. A feature of -1 sends all rows to the first child. Of two children only the smaller one's sums are counted; the
other's are what is left of the parent's. `bits` are (variables, rows): one variable of all rows stands together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

loops: Callable[[Any], Any] = numba.njit(nogil=True, cache=True, error_model="numpy")


@loops
def lines_up(bits):  # type: ignore[no-untyped-def]
    """Where the ones of each row are: the places of all, one row after the other, and each row's first among them."""
    variables, rows = bits.shape
    first = np.zeros(rows + 1, np.int64)
    for j in range(variables):
        for r in range(rows):
            first[r + 1] += bits[j, r]
    first = np.cumsum(first)
    places, next_one = np.empty(first[-1], np.int32), first[:-1].copy()
    for j in range(variables):
        for r in range(rows):
            if bits[j, r]:
                places[next_one[r]] = j
                next_one[r] += 1
    return first, places


@loops
def leaf_of(bits, r, tree, depth):  # type: ignore[no-untyped-def]
    """The leaf that row `r` comes to."""
    k = 0
    for level in range(depth):
        j = tree[(1 << level) - 1 + k]
        k = 2 * k + (bits[j, r] if j >= 0 else 0)
    return k


@loops
def added(bits, features, leaves, depth, start, end, logits):  # type: ignore[no-untyped-def]
    """Adds the trees from `start` to `end` to each row's logit."""
    for t in range(start, end):
        for r in range(len(logits)):
            logits[r] += leaves[t, leaf_of(bits, r, features[t], depth)]


@loops
def _loss(logits, target):  # type: ignore[no-untyped-def]
    total = 0.0
    for r in range(len(target)):
        total += np.log1p(np.exp(-abs(logits[r]))) + max(-logits[r] if target[r] else logits[r], 0.0)
    return total


@loops
def _count(wanted, node, slope, curve, first, places, seen, own, whole):  # type: ignore[no-untyped-def]
    """Sums of slopes and curvatures over the rows in nodes that are `wanted`: of those with each bit, and of all."""
    for r in range(len(node)):
        k = node[r]
        if k >= 0 and wanted[k]:
            g, h = slope[r], curve[r]
            whole[k, 0] += g
            whole[k, 1] += h
            for e in range(first[r], first[r + 1]):
                j = places[e]
                if j >= seen:
                    break
                own[k, j, 0] += g
                own[k, j, 1] += h


@loops
def _split(own, whole, seen, strength, least):  # type: ignore[no-untyped-def]
    """The bit by which the node's rows are told apart best; -1 if none helps."""
    g, h = whole
    found, best = -1, 1e-6
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
def _descend(bits, tree, width, place, node, many):  # type: ignore[no-untyped-def]
    """Takes every row to a child of its node, and counts those that the tree is grown from in each."""
    many[:] = 0
    for r in range(len(place)):
        j = tree[width - 1 + place[r]]
        place[r] = 2 * place[r] + (bits[j, r] if j >= 0 else 0)
        if node[r] >= 0:
            node[r] = place[r]
            many[place[r]] += 1


@loops
def _fill(leaves, whole, node, slope, curve, rate, strength):  # type: ignore[no-untyped-def]
    """What each leaf adds, from the sums of its rows."""
    whole[:] = 0.0
    for r in range(len(node)):
        if node[r] >= 0:
            whole[node[r], 0] += slope[r]
            whole[node[r], 1] += curve[r]
    for k in range(len(leaves)):
        leaves[k] = rate * whole[k, 0] / (whole[k, 1] + strength)


@loops
def grown(  # type: ignore[no-untyped-def]
    bits,
    first,
    places,
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

    `bits` and `held_out` have the bits in their order. Trees are written to `features` and `leaves`.
    """
    rows, seen, target, asked = bits.shape[1], variable, bits[variable], held_out[variable]
    begin = np.log((np.sum(target) + 0.5) / (rows - np.sum(target) + 0.5))
    logits, others = np.full(rows, begin), np.full(len(asked), begin)
    slope, curve, node = np.empty(rows), np.empty(rows), np.empty(rows, np.int32)
    place = np.empty(rows, np.int32)
    sums = np.zeros((2, 1 << depth, seen, 2))
    totals = np.zeros((2, 1 << depth, 2))
    wanted, many = np.zeros(1 << depth, np.bool_), np.zeros(1 << depth, np.int64)
    best, lowest, waited = 0, _loss(others, asked), 0
    for t in range(rounds):
        for r in range(rows):
            p = 1 / (1 + np.exp(-logits[r]))
            slope[r], curve[r] = target[r] - p, p * (1 - p)
            node[r] = 0 if noise.random() < share else -1
            place[r] = 0
        tree = features[t]
        wanted[:] = True
        for level in range(depth):
            width, own, whole = 1 << level, sums[level % 2], totals[level % 2]
            for k in range(width):
                if wanted[k]:
                    own[k], whole[k] = 0.0, 0.0
            _count(wanted, node, slope, curve, first, places, seen, own, whole)
            for k in range(width):
                if not wanted[k]:  # the smaller child beside it was counted
                    _rest(sums[1 - level % 2, k // 2], own[k ^ 1], own[k], seen)
                    whole[k] = totals[1 - level % 2, k // 2] - whole[k ^ 1]
            for k in range(width):
                tree[width - 1 + k] = _split(own[k], whole[k], seen, strength, least)
            _descend(bits, tree, width, place, node, many)
            for k in range(0, 2 * width, 2):
                wanted[k] = many[k] < many[k + 1]
                wanted[k + 1] = not wanted[k]
        if tree[0] < 0:
            break
        _fill(leaves[t], totals[depth % 2], node, slope, curve, rate, strength)
        for r in range(rows):
            logits[r] += leaves[t, place[r]]
        for r in range(len(asked)):
            others[r] += leaves[t, leaf_of(held_out, r, tree, depth)]
        loss = _loss(others, asked)
        waited += 1
        if loss < lowest:
            best, lowest, waited = t + 1, loss, 0
        if waited == patience:
            break
    return best, begin
