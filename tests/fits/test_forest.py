"""Forests: leaves hold what rows say, what is mixed is what an independent count gives, and saved trees are looked at."""

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from plausibly.events.kinds import Category, Grid, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.boosting import MAX_LEAVES, RATE, Told, add_steps, axes_along, boost
from plausibly.families.growing import FORESTS, first_places, grow_forests, order_levels
from plausibly.families.stacked import mix_laws
from plausibly.kernels.growing import grow_tree
from plausibly.kernels.leaves import UNKNOWN, add_leaves
from plausibly.models import MODELS
from plausibly.system.threads import take_threads
from plausibly.training.loop import fit_by_counting, prepare

Forest = MODELS["forest"]
NUMBER = Grid(edges=tuple(range(1, 20)), missing=True)
ROWS = 3000
TABLE = Schema((4,), (Category(5), NUMBER, Real(edges=(-1.0, 0.0, 1.0), missing=True), Category(2)))


def some_rows(seed: int) -> torch.Tensor:
    """Rows in which the last bit is 1 nearly only where a number is above a threshold and a real one below another."""
    chance = np.random.default_rng(seed)
    level, number = chance.integers(0, 5, ROWS), chance.integers(0, 21, ROWS)
    real = chance.normal(level == 2, 1.0)
    told = np.where((number >= 12) & (real < 0), 0.95, 0.05)
    rows = np.column_stack([level, number, real, chance.random(ROWS) < told])
    return torch.from_numpy(rows).float()


def fitted(rows: torch.Tensor, held_out: torch.Tensor, **arguments: int) -> torch.nn.Module:
    model = Forest(TABLE, **arguments)
    prepare(model, rows, 0)
    for _ in fit_by_counting(model, rows, held_out):
        pass
    return model.eval()


@pytest.fixture(scope="module")
def forest() -> torch.nn.Module:
    return fitted(some_rows(0), some_rows(1), trees=4)


def test_what_three_columns_say_together_is_found(forest):
    """The last bit's mean log p is within 0.05 nats of the law that rows were drawn from, whose own is -0.1985."""
    test = some_rows(2)
    truth = 0.95 * np.log(0.95) + 0.05 * np.log(0.05)
    found = forest.log_conditionals(test)[:, 3]
    assert abs(float(found.mean()) - truth) < 0.05 + 6 * float(found.std()) / ROWS**0.5


def test_many_small_effects_are_left_to_boosted_trees():
    """Of a bit whose logit is a sum over 12 others: the boosted law is most of the mixture, and near the one drawn from."""
    chance = np.random.default_rng(0)
    x = chance.integers(0, 2, (2, 1500, 13))
    p = 1 / (1 + np.exp(-1.2 * (x[..., :12] - 0.5).sum(2)))
    x[..., 12] = chance.random(p.shape) < p
    rows, held_out = torch.from_numpy(x).float()
    model = Forest(binary(13), trees=2)
    prepare(model, rows, 0)
    for _ in fit_by_counting(model, rows, held_out):
        pass
    assert float(model.conditionals[12].weights[3]) > 0.5


@pytest.mark.parametrize("kind", [Category(4), NUMBER])
def test_leaves_hold_what_rows_of_theirs_hold(kind):
    """Each row's law is the mean over trees of the share of each code among all rows of its leaf, found without leaves:
    rows are of one leaf where they go the same way at each split."""
    chance = np.random.default_rng(3)
    features = chance.integers(-1, 6, (200, 3)).astype(np.int16)
    codes = (features.sum(1) + chance.integers(0, 2, 200)) % kind.codes
    places = first_places(kind)
    nodes, entries, roots = grow_forests(features, codes.astype(np.int64), kind, places, 3, 0)
    for number in range(len(FORESTS)):
        expected = np.zeros((200, kind.codes))
        for root in roots[number]:
            paths = [path_of(row, nodes, root) for row in features]
            for r, path in enumerate(paths):
                own = codes[[other == path for other in paths]]
                expected[r] += np.bincount(own, minlength=kind.codes) / len(own) / 3
        found = np.zeros((200, kind.codes))
        add_leaves(features, nodes, entries, roots[number], found)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("rows", [20, 300])
def test_each_split_is_the_best_of_all(rows):
    """Of few rows and of many, against all splits of all features by the variance that is left."""
    chance = np.random.default_rng(rows)
    features = chance.integers(-1, 9, (4, rows)).astype(np.int16)
    targets = np.column_stack([features[1] > 3, features[2] * 0.1]) + chance.normal(size=(rows, 2))
    nodes = grow_tree(features, targets, np.arange(rows), 4, rows, False, 0)
    held = {0: np.arange(rows)}
    for k, (feature, place, low, high, count) in enumerate(nodes.tolist()):
        assert count == len(held[k])
        best = best_split(features[:, held[k]], targets[held[k]], 4)
        assert (feature >= 0) == np.isfinite(best)
        if feature >= 0:
            left = features[feature, held[k]] <= place
            held[low], held[high] = held[k][left], held[k][~left]
            found = spread_of(targets[held[low]]) + spread_of(targets[held[high]])
            assert found == pytest.approx(best)
    assert len(nodes) > 3


def spread_of(targets):
    return ((targets - targets.mean(0)) ** 2).sum()


def best_split(features, targets, least):
    found = [np.inf]
    for own in features:
        for place in np.unique(own)[:-1]:
            left = own <= place
            if min(left.sum(), (~left).sum()) >= least:
                found.append(spread_of(targets[left]) + spread_of(targets[~left]))
    return min(found)


def test_splits_drawn_at_random_keep_to_leaves_and_differ():
    chance = np.random.default_rng(4)
    features, targets = (
        chance.integers(0, 50, (3, 400)).astype(np.int16),
        chance.normal(size=(400, 1)),
    )
    trees = [grow_tree(features, targets, np.arange(400), 3, 400, True, seed) for seed in (1, 1, 2)]
    assert np.array_equal(trees[0], trees[1]) and not np.array_equal(trees[0], trees[2])
    for nodes in trees:
        leaves = nodes[nodes[:, 0] < 0, 4]
        assert leaves.min() >= 3 and leaves.sum() == 400


def path_of(row, nodes, node):
    path = []
    while nodes[node, 0] >= 0:
        node = nodes[node, 2] if row[nodes[node, 0]] <= nodes[node, 1] else nodes[node, 3]
        path.append(int(node))
    return tuple(path)


def test_no_leaf_is_grown_from_fewer_rows_than_it_must(forest):
    for each in forest.each():
        for roots, (least, _) in zip(each.roots, FORESTS, strict=True):
            for root in roots.tolist():
                leaves = [node for node in below(each.nodes, root) if each.nodes[node, 0] < 0]
                held = [
                    int(each.entries[slice(*each.nodes[leaf, 2:4]), 1].sum()) for leaf in leaves
                ]
                assert sum(held) == ROWS
                assert min(held) >= least


def below(nodes, root):
    found = [root]
    for node in found:
        if nodes[node, 0] >= 0:
            found += nodes[node, 2:4].tolist()
    return found


def test_a_tree_of_few_leaves_is_the_first_of_a_whole_one():
    chance = np.random.default_rng(5)
    features = chance.integers(0, 50, (3, 400)).astype(np.int16)
    targets, rows = chance.normal(size=(400, 1)), np.arange(400)
    whole, few = (grow_tree(features, targets, rows, 3, most, False, 0) for most in (400, 7))
    assert (few[:, 0] < 0).sum() == 7 and (whole[:, 0] < 0).sum() > 7
    inner = few[few[:, 0] >= 0]
    assert np.array_equal(whole[: len(few)][few[:, 0] >= 0], inner)


def labelled(seed: int, rows: int) -> tuple[Told, np.ndarray]:
    """Rows of three codes and their law, which two features decide together."""
    chance = np.random.default_rng(seed)
    features = chance.integers(0, 20, (4, rows)).astype(np.int16)
    logits = np.stack(
        [3.0 * (features[0] > 9), 3.0 * (features[1] > 4) * (features[0] < 5), 0 * features[0]], 1
    )
    law = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Told(features, (chance.random(rows)[:, None] > law.cumsum(1)).sum(1)), law


def test_boosted_trees_find_a_law_and_stop():
    """Within .02 nats of the law that rows were drawn from; without the stop of held-out rows they would not end so soon."""
    (rows, _), (held_out, _), (test, law) = (labelled(seed, 3000) for seed in (0, 1, 2))
    logits = np.log(np.bincount(rows.codes) / 3000)
    steps = boost(rows, held_out, logits, np.eye(3), 0)
    found = add_steps(test.features.T, steps, logits, np.eye(3))
    apart = (law * np.log(law / found)).sum(1)
    assert apart.mean() + 6 * apart.std() / 3000**0.5 < 0.02
    assert 3 < len(steps.roots) < 60
    leaves = steps.nodes[:, 0] < 0
    assert leaves.sum() == len(steps.values) <= MAX_LEAVES * len(steps.roots)


def test_boosted_trees_are_added_as_they_were_grown():
    """Each row's logits are those of the leaves that it comes to, walked node by node."""
    rows, held_out = labelled(3, 300)[0], labelled(4, 300)[0]
    logits = np.array([0.2, -0.1, 0.0])
    steps = boost(rows, held_out, logits, np.eye(3), 0)
    found = add_steps(rows.features.T, steps, logits, np.eye(3))
    for row, own in zip(rows.features.T[:50], found, strict=False):
        leaves = [
            steps.nodes[(path_of(row, steps.nodes, root) or (root,))[-1], 2] for root in steps.roots
        ]
        chances = np.exp(logits + steps.values[leaves].sum(0, dtype=float))
        np.testing.assert_allclose(own, chances / chances.sum(), atol=1e-6)


def test_the_first_step_is_newton_s_along_each_axis():
    """Of one leaf, against derivatives of log p by automatic differentiation, with a row's worth of shrinkage."""
    codes = (
        np.random.default_rng(6).integers(0, 21, 400) ** 2 // 20
    )  # 20 and 21 ordered, and a hole
    rows = Told(np.zeros((1, 400), np.int16), codes.astype(np.int64))
    logits = np.log(np.full(22, 1 / 22))
    axes = axes_along(np.exp(logits), 21)
    steps = boost(Told(rows.features, codes), rows, logits, axes, 0)
    drawn = np.random.RandomState(0).random_sample(400)
    some = torch.from_numpy(codes[drawn <= 0.65])
    table, base = torch.from_numpy(axes).double(), torch.from_numpy(logits)

    def told(step: torch.Tensor) -> torch.Tensor:
        return (base + table @ step).log_softmax(0)[some].sum()

    start = torch.zeros(9, dtype=torch.float64)
    slope, curve = torch.func.grad(told)(start), -torch.func.hessian(told)(start).diag()
    np.testing.assert_allclose(steps.values[0], RATE * slope / (curve + 1), rtol=1e-4, atol=1e-6)


def test_ordered_codes_are_told_along_waves():
    """40 codes about a place that a feature gives, and holes: within .08 nats of the law that rows were drawn from, where an
    axis for each code leaves half as much again."""

    def draw(seed: int) -> tuple[Told, np.ndarray]:
        chance = np.random.default_rng(seed)
        features = chance.integers(0, 20, (3, 2000)).astype(np.int16)
        near = -0.5 * ((np.arange(40) - 2.0 * features[0][:, None]) / 5) ** 2
        law = np.exp(np.column_stack([near, features[1] - 18.0]))
        law /= law.sum(1, keepdims=True)
        return Told(features, (chance.random(2000)[:, None] > law.cumsum(1)).sum(1)), law

    (rows, _), (held_out, _), (test, law) = map(draw, (0, 1, 2))
    chances = np.bincount(rows.codes, minlength=41) + 0.5
    logits, lost = np.log(chances / chances.sum()), []
    for axes in (axes_along(np.exp(logits), 40), np.eye(41, dtype=np.float32)):
        found = add_steps(test.features.T, boost(rows, held_out, logits, axes, 0), logits, axes)
        lost.append((law * np.log(law / found)).sum(1))
    assert lost[0].mean() + 6 * lost[0].std() / 2000**0.5 < 0.08
    assert lost[1].mean() > 1.5 * lost[0].mean()


def test_codes_of_one_group_share_it_by_their_marginal():
    """Of 200 ordered codes and a hole boosted trees tell groups; the law is one, and the hole is a group of its own."""
    chance = np.random.default_rng(7)
    schema = Schema((2,), (Category(4), Grid(edges=tuple(range(1, 200)), missing=True)))
    level = chance.integers(0, 4, 2000)
    codes = (level * 50 + chance.gamma(3.0, 8.0, 2000)).astype(int).clip(0, 199)
    codes[chance.random(2000) < 0.1] = 200
    rows = torch.from_numpy(np.column_stack([level, codes])).float()
    model = Forest(schema, trees=2)
    prepare(model, rows[:1500], 0)
    for _ in fit_by_counting(model, rows[:1500], rows[1500:]):
        pass
    own = model.each()[1]
    seen = model.see(np.column_stack([[0, 1, 2, 3], [0, 0, 0, 0]]))
    found = own._ask_steps(seen.features)
    groups = own.groups.numpy()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert (
        len(own.step_roots) and (np.diff(groups) >= 0).all() and (groups == groups[200]).sum() == 1
    )
    for group in range(groups.max() + 1):
        shares = found[:, groups == group] / found[:, groups == group].sum(1, keepdims=True)
        expected = own.marginal[groups == group] / own.marginal[groups == group].sum()
        np.testing.assert_allclose(shares, np.tile(expected, (4, 1)), atol=1e-9)


def test_what_tells_nothing_is_not_boosted():
    rows, held_out = (Told(*labelled(seed, 300)[0]) for seed in (0, 1))
    noise = np.zeros_like(rows.features)
    logits = np.log(np.bincount(held_out.codes) / 300)
    steps = boost(Told(noise, rows.codes), Told(noise, held_out.codes), logits, np.eye(3), 0)
    assert len(steps.roots) == 0
    expected = np.tile(np.exp(logits), (300, 1))
    np.testing.assert_allclose(add_steps(noise.T, steps, logits, np.eye(3)), expected, atol=1e-12)


def test_a_cell_that_says_nothing_is_averaged_over():
    """Both ways of a split by the rows that went there, through two levels."""
    nodes = np.array(
        [[0, 0, 1, 2, 10], [-1, 0, 0, 1, 6], [1, 3, 3, 4, 4], [-1, 0, 1, 2, 3], [-1, 0, 2, 3, 1]],
        np.int32,
    )
    entries = np.array([[0, 6], [1, 3], [2, 1]], np.int16)
    features = np.array(
        [[UNKNOWN, 9], [1, UNKNOWN], [UNKNOWN, UNKNOWN], [0, UNKNOWN]], dtype=np.int16
    )
    found = np.zeros((4, 3))
    add_leaves(features, nodes, entries, np.array([0], np.int32), found)
    expected = [[0.6, 0, 0.4], [0, 0.75, 0.25], [0.6, 0.3, 0.1], [1, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_levels_that_are_alike_stand_together():
    """Levels 0 and 3 hold the same, and so do 1, 2 and 4: along the first axis neither group parts the other."""
    alike, other = [90.0, 10.0, 50.0], [20.0, 80.0, 50.0]
    places = order_levels(np.array([alike, other, other, alike, other]), 1)[0]
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert {places[0], places[3]} in ({0, 1}, {3, 4})


def test_weights_are_the_likeliest():
    """Those of EM against a general optimiser, with the same rows given to each law beforehand."""
    told = np.random.default_rng(0).dirichlet([0.5, 1.0, 2.0], 400)

    def loss(free: np.ndarray) -> float:
        weights = np.exp(free) / np.exp(free).sum()
        return float(-np.log(told @ weights).sum() - 0.1 * np.log(weights).sum())

    best = minimize(loss, np.zeros(3), method="BFGS").fun
    assert loss(np.log(mix_laws(told))) == pytest.approx(best, abs=0.05)


def test_fits_do_not_depend_on_threads_and_do_on_seeds():
    rows, held_out = some_rows(0)[:300], some_rows(1)[:100]
    with take_threads(1):
        one = fitted(rows, held_out, trees=2).state_dict()
    with take_threads(2):
        two = fitted(rows, held_out, trees=2).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = Forest(TABLE, trees=2)
    prepare(other, rows, 1)
    assert other.seed != one["seed"]


def test_a_node_that_two_nodes_lead_to_is_refused(forest):
    """Both ways of many such nodes, which a cell that says nothing asks for, would be walked for ever."""
    state = copy.deepcopy(forest.state_dict())
    first = state["conditionals.2.nodes"]
    first[0, 2] = first[0, 3]
    with pytest.raises(ValueError, match="the saved trees are none"):
        Forest(TABLE, trees=4).restore(state)


def test_a_deep_tree_is_walked_both_ways():
    """3,000 splits one behind the other, each with a leaf of one row at its left: all rows are found."""
    depth = 3000
    nodes = np.zeros((2 * depth + 1, 5), np.int32)
    nodes[0::2] = [[0, 0, k + 1, k + 2, depth - k // 2 + 1] for k in range(0, 2 * depth + 1, 2)]
    nodes[1::2] = [-1, 0, 0, 1, 1]
    nodes[-1] = [-1, 0, 1, 2, 1]
    found = np.zeros((1, 2))
    entries, roots = np.array([[0, 1], [1, 1]], np.int16), np.array([0], np.int32)
    add_leaves(np.full((1, 1), UNKNOWN, np.int16), nodes, entries, roots, found)
    np.testing.assert_allclose(found, [[depth / (depth + 1), 1 / (depth + 1)]], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("nodes", (0, 2), 0),  # a child that is its own parent never ends
        ("nodes", (0, 3), 1 << 20),
        ("nodes", (0, 0), 30),
        ("entries", (0, 0), 99),
        ("entries", (0, 1), 0),
        ("roots", (0, 0), -1),
        ("parent", (), 3),
        ("step_nodes", (0, 2), 0),
        ("step_nodes", (0, 0), 30),
        ("step_roots", (0,), 1 << 20),
        ("step_values", (0, 0), float("nan")),
        ("axes", (0, 0), float("inf")),
        ("groups", (0,), 99),
    ],
)
def test_saved_trees_that_are_none_are_refused(forest, name, place, value):
    state = copy.deepcopy(forest.state_dict())
    state[f"conditionals.2.{name}"][place] = value
    with pytest.raises(ValueError, match="the saved trees are none"):
        Forest(TABLE, trees=4).restore(state)


def test_a_saved_forest_says_the_same(forest):
    other = Forest(TABLE, trees=4)
    other.restore(forest.state_dict())
    x = some_rows(2)[:50]
    assert torch.equal(other.log_prob(x), forest.log_prob(x))
    assert other.free_parameters == forest.free_parameters > ROWS


def test_a_splits_two_numbers_count_and_a_leafs_do_not(forest):
    """Of trees whose nodes lead to two or none there is a split less than leaves in each."""
    for own in forest.conditionals:
        nodes = torch.cat([own.nodes, own.step_nodes])
        trees = own.roots.numel() + own.step_roots.numel()
        splits = int((nodes[:, 0] < 0).sum()) - trees
        laws = (own.kind.codes - 1) * (1 + len(own.table)) + len(own.weights) - 1
        learned = len(own.entries) + own.step_values.numel()
        assert own.free_parameters == laws + learned + 2 * splits
        assert splits > 0 or not len(own.table)


def test_too_many_variables_are_refused():
    assert "more than 2,000" in (Forest.accepts(Schema((2001,), (Category(2),) * 2001)) or "")
