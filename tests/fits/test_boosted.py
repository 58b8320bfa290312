"""Boosted trees: compiled loops grow the trees that a plain search finds, and learn what there is to be learned."""

import numpy as np
import pytest
import torch

from plausibly.capabilities import drive_unrolled
from plausibly.contract.checks import shake_weights
from plausibly.events.schema import binary
from plausibly.kernels.boosting import (
    MIN_GAIN,
    _take,
    add_trees,
    grow_trees,
    leaf_of,
    pack_bits,
    sort_rows,
)
from plausibly.models import MODELS
from plausibly.training.loop import fit_by_counting, prepare

Boosted = MODELS["boosted"]


def plain(bits, target, logits, depth, strength, least, told):
    """The tree of one round, level by level, every gain computed from all rows; leaves before the rate.

    Of splits whose gains are equal but for rounding it takes the one that the tree `told` takes.
    """
    p = 1 / (1 + np.exp(-logits))
    slope, curve = target - p, p * (1 - p)
    place, tree = np.zeros(len(bits), int), []

    def worth(rows):
        return slope[rows].sum() ** 2 / (curve[rows].sum() + strength)

    for level in range(depth):
        chosen = []
        for k in range(2**level):
            here, gains = place == k, {-1: MIN_GAIN}
            for j in range(bits.shape[1]):
                one, zero = here & (bits[:, j] == 1), here & (bits[:, j] == 0)
                if min(curve[one].sum(), curve[zero].sum()) >= least:
                    gains[j] = worth(one) + worth(zero) - worth(here)
            alike = [j for j, gain in gains.items() if gain > max(gains.values()) - 1e-9]
            own = told[len(tree) + k]
            chosen.append(own if own in alike else alike[0])
        tree += chosen
        place = 2 * place + np.array(
            [bits[r, chosen[k]] if chosen[k] >= 0 else 0 for r, k in enumerate(place)]
        )
    leaves = [
        slope[place == k].sum() / (curve[place == k].sum() + strength) for k in range(2**depth)
    ]
    return np.array(tree), np.array(leaves), place


def some_bits(rows, variables, seed=0):
    """Bits of which each follows from two before it, and from chance."""
    generator = np.random.default_rng(seed)
    bits = (generator.random((rows, variables)) < 0.3).astype(np.uint8)
    for i in range(2, variables):
        kept = generator.random(rows) < 0.8
        bits[kept, i] = (bits[:, i - 1] ^ bits[:, i - 2])[kept]
    return bits


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_trees_are_those_of_a_plain_search(depth):
    bits, held_out = some_bits(300, 9), some_bits(100, 9, 1)
    features, leaves = np.full((5, 2**depth - 1), -1, np.int32), np.zeros((5, 2**depth))
    rows, others = (
        sort_rows(np.ascontiguousarray(bits.T)),
        sort_rows(np.ascontiguousarray(held_out.T)),
    )
    noise = np.random.default_rng(0)
    trees, begin = grow_trees(
        rows, others, 7, depth, 5, 0.3, 1.5, 0.4, 1.0, 9, noise, features, leaves
    )
    target, logits = bits[:, 7], np.full(300, begin)
    assert trees > 0 and begin == pytest.approx(
        np.log((target.sum() + 0.5) / (300 - target.sum() + 0.5))
    )
    across = np.ascontiguousarray(bits.T)
    for t in range(5):
        tree, expected, place = plain(bits[:, :7], target, logits, depth, 1.5, 0.4, features[t])
        assert (features[t] == tree).all() and np.allclose(leaves[t], 0.3 * expected)
        assert [leaf_of(across, r, features[t], depth) for r in range(300)] == place.tolist()
        logits += leaves[t][place]
    found = np.full(300, begin)
    add_trees(pack_bits(across), features, leaves, depth, 0, 5, found)
    assert np.allclose(found, logits)


def test_rows_that_agree_are_one():
    bits = some_bits(300, 9)
    rows = sort_rows(np.ascontiguousarray(bits.T))
    expected, many = np.unique(bits, axis=0, return_counts=True)
    assert (expected == rows.bits.T).all() and (rows.many == many).all()
    for r, row in enumerate(expected):
        assert (rows.places[rows.first[r] : rows.first[r + 1]] == row.nonzero()[0]).all()
    for variable in range(9):
        starts, counts = np.unique(bits[:, :variable], axis=0, return_counts=True)
        heads = (rows.agree < variable).nonzero()[0]
        assert (starts == rows.bits[:variable, heads].T).all()
        assert (np.add.reduceat(rows.many, heads) == counts).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows(rows):
    assert len(sort_rows(np.zeros((4, rows), np.uint8)).many) == rows
    learned(np.ones((1, 4), np.uint8), np.ones((1, 4), np.uint8), depth=2)


def test_each_row_is_taken_by_chance():
    """Of a group of 3,000 zeros and 5,000 ones and of rows that stand alone: a share, with the moments of a binomial."""
    counts = np.array([[3000.0, 5000.0], *[[0.0, 1.0]] * 4000])
    logits, noise = np.zeros(len(counts)), np.random.default_rng(0)
    node, slope, curve = (
        np.empty(len(counts), np.int32),
        np.empty(len(counts)),
        np.empty(len(counts)),
    )
    large = []
    for _ in range(400):
        _take(counts, logits, 0.3, noise, node, slope, curve)
        large.append((slope[0], curve[0]))
        assert ((node >= 0) == (curve > 0)).all() and (slope[1:] == 2 * curve[1:]).all()
        assert abs((node[1:] >= 0).mean() - 0.3) < 6 * (0.3 * 0.7 / 4000) ** 0.5
    slopes, curves = np.array(large).T
    assert abs(slopes.mean() - 300) < 6 * (8000 * 0.25 * 0.21 / 400) ** 0.5
    assert slopes.var() == pytest.approx(8000 * 0.25 * 0.21, rel=6 * (2 / 400) ** 0.5)
    assert abs(curves.mean() - 600) < 6 * (8000 * 0.21 / 400) ** 0.5 / 4


def learned(bits, held_out, **arguments):
    model = Boosted(binary(bits.shape[1]), **arguments)
    train, valid = torch.from_numpy(bits), torch.from_numpy(held_out)
    prepare(model, train, 0)
    for _ in fit_by_counting(model, train, valid):
        pass
    return model


def test_it_learns_an_exclusive_or():
    """The entropy of what `some_bits` draws is known: 2 free bits, and the others wrong in 20 % of 0.3 or 0.7."""
    model = learned(some_bits(20_000, 8), some_bits(5_000, 8, 1))
    test = torch.from_numpy(some_bits(20_000, 8, 2)).float()
    nats = model.log_prob(test).double()
    joint = np.bincount(some_bits(2_000_000, 8, 3) @ (1 << np.arange(8)), minlength=256) / 2e6
    entropy = -(joint[joint > 0] * np.log(joint[joint > 0])).sum()
    assert abs(float(nats.mean()) + entropy) < 0.01 + 6 * float(nats.std()) / len(nats) ** 0.5


def test_threads_and_orders(monkeypatch):
    bits, held_out = some_bits(500, 12), some_bits(200, 12, 1)
    alone = learned(bits, held_out, share=0.7, shuffle=3).state_dict()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    model = learned(bits, held_out, share=0.7, shuffle=3)
    assert all(torch.equal(alone[name], t) for name, t in model.state_dict().items())
    assert sorted(model.order) == list(range(12)) != list(model.order)
    again = Boosted(binary(12), **model.arguments)
    again.restore(model.state_dict())
    x = torch.from_numpy(held_out).float()
    assert torch.equal(again.log_prob(x), model.log_prob(x))
    logits = []
    drive_unrolled(
        again.unroll(len(x)),
        lambda i, outcome: (logits.append(outcome.log_prob(x[:, i])), x[:, i])[1],
    )
    assert torch.allclose(torch.stack(logits, 1).sum(1), model.log_prob(x), atol=1e-5)


def test_a_saved_tree_that_sees_later_bits_is_refused():
    model = shake_weights(Boosted.tiny(binary(5)))
    state = {name: t.clone() for name, t in model.state_dict().items()}
    state["features"][0, 0] = 1  # of the second bit, which sees the first alone
    with pytest.raises(ValueError, match="later"):
        Boosted(binary(5), depth=2).restore(state)
    state = model.state_dict() | {"first": torch.tensor([0, 0, 1])}
    with pytest.raises(ValueError, match="trees"):
        Boosted(binary(5), depth=2).restore(state)
