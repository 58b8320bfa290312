"""Trees that are grown by least squares, compiled by numba at first use.

What rows show is places, (features, rows) int16; what is told is numbers, (rows, targets). A node adds up the numbers of its
rows by place, so that growing takes no sorting: rows times features times depth.
"""

from __future__ import annotations

import numpy as np

from plausibly.system.loops import compile_loops

loops = compile_loops()
MIN_GAIN = 1e-6  # of a split, in squared numbers
MAX_SORTED_ROWS = 32  # of a node; those of more are added up by place


@loops
def grow_tree(features, targets, rows, least, most, random, seed):  # type: ignore[no-untyped-def]
    """The nodes of a tree of some `rows`, as in `plausibly.kernels.leaves`, whose leaves hold no entries yet.

    A leaf holds at least `least` of the rows, and there are at most `most` leaves, those near the root split first. Of each
    feature all splits are tried, or, where `random`, one that is drawn.
    """
    lowest = features.min()
    sums = np.zeros((features.max() - lowest + 1, targets.shape[1] + 1))
    nodes = np.zeros((2 * min(most, len(rows) // least + 1) - 1, 5), np.int32)
    ends = np.zeros((len(nodes), 2), np.int64)
    order, other, size, ends[0, 1] = rows.copy(), np.empty_like(rows), 1, len(rows)
    k, state = 0, np.uint64(seed)
    while k < size:
        own = order[ends[k, 0] : ends[k, 1]]
        nodes[k, 0], nodes[k, 4] = -1, len(own)
        feature, place, state = _best_split(
            features,
            targets,
            own if size < len(nodes) - 1 else own[:0],
            least,
            random,
            state,
            sums,
            lowest,
        )
        if feature >= 0:
            left = _part(own, features[feature], place, other)
            nodes[k, 0], nodes[k, 1], nodes[k, 2], nodes[k, 3] = feature, place, size, size + 1
            middle = ends[k, 0] + left
            ends[size], ends[size + 1] = (ends[k, 0], middle), (middle, ends[k, 1])
            size += 2
        k += 1
    return nodes[:size]


@loops
def _best_split(features, targets, rows, least, random, state, sums, lowest):  # type: ignore[no-untyped-def]
    """The feature and the last place to the left by which squared numbers are least, -1 for none; and the next state."""
    best, best_feature, best_place = MIN_GAIN, -1, 0
    if len(rows) < 2 * least:
        return best_feature, best_place, state
    whole = np.zeros(targets.shape[1])
    _add_rows(targets, rows, whole)
    sorted_rows = np.empty(MAX_SORTED_ROWS, np.int64)
    for f in range(len(features)):
        own = features[f]
        low = high = own[rows[0]]
        for r in rows:
            low, high = min(low, own[r]), max(high, own[r])
        if low == high:
            continue
        if random:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            place = low + np.int64((state >> np.uint64(33)) % np.uint64(high - low))
            gain = _gain_at(own, targets, rows, place, least, whole)
        elif len(rows) <= MAX_SORTED_ROWS:
            _sort(own, rows, sorted_rows)
            gain, place = _best_of_sorted(own, targets, sorted_rows[: len(rows)], least, whole)
        else:
            span = sums[low - lowest : high - lowest + 1]
            gain, place = _best_of_sums(own, targets, rows, least, whole, span, low)
        if gain > best:
            best, best_feature, best_place = gain, f, place
    return best_feature, best_place, state


@loops
def _add_rows(targets, rows, found):  # type: ignore[no-untyped-def]
    for r in rows:
        for t in range(len(found)):
            found[t] += targets[r, t]


@loops
def _gain(left, count, whole, rows):  # type: ignore[no-untyped-def]
    """The squared numbers saved where so many rows, which add up to `left`, are parted from the others."""
    gain = 0.0
    for t in range(len(whole)):
        rest = whole[t] - left[t]
        gain += left[t] * left[t] / count + rest * rest / (rows - count) - whole[t] ** 2 / rows
    return gain


@loops
def _gain_at(own, targets, rows, place, least, whole):  # type: ignore[no-untyped-def]
    left, count = np.zeros(len(whole)), 0
    for r in rows:
        if own[r] <= place:
            count += 1
            for t in range(len(whole)):
                left[t] += targets[r, t]
    if count < least or len(rows) - count < least:
        return 0.0
    return _gain(left, count, whole, len(rows))


@loops
def _sort(own, rows, found):  # type: ignore[no-untyped-def]
    """Puts a few rows in the order of their places."""
    for k in range(len(rows)):
        r = rows[k]
        while k and own[found[k - 1]] > own[r]:
            found[k] = found[k - 1]
            k -= 1
        found[k] = r


@loops
def _best_of_sorted(own, targets, rows, least, whole):  # type: ignore[no-untyped-def]
    left, best, best_place = np.zeros(len(whole)), 0.0, 0
    for k in range(len(rows) - least):
        r = rows[k]
        for t in range(len(whole)):
            left[t] += targets[r, t]
        if k + 1 >= least and own[r] < own[rows[k + 1]]:
            gain = _gain(left, k + 1, whole, len(rows))
            if gain > best:
                best, best_place = gain, own[r]
    return best, best_place


@loops
def _best_of_sums(own, targets, rows, least, whole, sums, low):  # type: ignore[no-untyped-def]
    sums[:] = 0.0
    last = len(whole)
    for r in rows:
        place = own[r] - low
        sums[place, last] += 1
        for t in range(last):
            sums[place, t] += targets[r, t]
    left, count, best, best_place = np.zeros(last), 0, 0.0, 0
    for place in range(len(sums) - 1):
        if not sums[place, last]:
            continue
        count += int(sums[place, last])
        for t in range(last):
            left[t] += sums[place, t]
        if count >= least and len(rows) - count >= least:
            gain = _gain(left, count, whole, len(rows))
            if gain > best:
                best, best_place = gain, low + place
    return best, best_place


@loops
def _part(rows, own, place, other):  # type: ignore[no-untyped-def]
    """Puts rows up to a place before the others; how many these are."""
    left = right = 0
    for r in rows:
        if own[r] <= place:
            rows[left] = r
            left += 1
        else:
            other[right] = r
            right += 1
    rows[left:] = other[:right]
    return left


@loops
def find_leaves(features, nodes):  # type: ignore[no-untyped-def]
    """The leaf of each row, (rows,)."""
    found = np.zeros(features.shape[1], np.int64)
    for r in range(features.shape[1]):
        k = 0
        while nodes[k, 0] >= 0:
            k = nodes[k, 2] if features[nodes[k, 0], r] <= nodes[k, 1] else nodes[k, 3]
        found[r] = k
    return found
