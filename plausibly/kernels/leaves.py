"""Walks through trees, compiled by numba at first use.

A tree is nodes, rows of (feature, place, left, right, rows): of a split the feature that is asked, the last place that goes
to the left, both children and the training rows that came by; of a leaf -1, 0, and where its entries begin and end. An
entry is (code, training rows with it).
"""

from __future__ import annotations

import numpy as np

from plausibly.system.loops import compile_loops

loops = compile_loops()
UNKNOWN = -2  # the place of a cell that says nothing


@loops
def add_leaves(features, nodes, entries, roots, found):  # type: ignore[no-untyped-def]
    """Adds to `found`, (rows, codes), the mean over trees of the share of each code in a row's leaf.

    Where a split asks for what is not known both ways are gone, each with the share of training rows that went there.
    """
    # of each level at most one node waits, and the one that is next
    waiting, weights = np.empty(len(nodes) + 1, np.int64), np.empty(len(nodes) + 1)
    for r in range(len(features)):
        for root in roots:
            waiting[0], weights[0], left = root, 1.0 / len(roots), 1
            while left:
                left -= 1
                k, weight = waiting[left], weights[left]
                feature = nodes[k, 0]
                if feature < 0:
                    _add_entries(entries[nodes[k, 2] : nodes[k, 3]], weight, found[r])
                    continue
                low, high = nodes[k, 2], nodes[k, 3]
                place = features[r, feature]
                if place == UNKNOWN:
                    share = nodes[low, 4] / (nodes[low, 4] + nodes[high, 4])
                    waiting[left], weights[left] = low, weight * share
                    waiting[left + 1], weights[left + 1] = high, weight * (1 - share)
                    left += 2
                else:
                    waiting[left] = low if place <= nodes[k, 1] else high
                    left += 1


@loops
def _add_entries(entries, weight, found):  # type: ignore[no-untyped-def]
    rows = 0
    for e in range(len(entries)):
        rows += entries[e, 1]
    for e in range(len(entries)):
        found[entries[e, 0]] += weight * entries[e, 1] / rows
