"""Kinds: codes and what is left inside them make one exact distribution over all recordable values."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plausibly.kinds import MISSING, OTHER, REAL_OTHER, Bins, Category, Grid, Kind, Level, kind_from_json, kind_to_json

few = settings(max_examples=60, deadline=None)
whole = st.integers(-60, 60)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    edges = sorted(draw(st.sets(whole, min_size=1, max_size=6)))
    inside = list(range(edges[0], edges[-1]))
    atoms = draw(st.sets(st.sampled_from(inside), max_size=10)) if inside else set()
    tails = draw(st.tuples(*[st.floats(0.1, 8)] * 2))
    return Grid(tuple(sorted(atoms)), tuple(edges), tails, open=draw(st.booleans()), missing=draw(st.booleans()))


@st.composite
def bins(draw: st.DrawFn) -> Bins:
    edges = sorted(draw(st.sets(st.floats(-50, 50).map(lambda x: round(x, 3)), min_size=1, max_size=6)))
    tails = draw(st.tuples(*[st.floats(0.1, 8)] * 2))
    return Bins(tuple(edges), tails, open=draw(st.booleans()), missing=draw(st.booleans()))


categories = st.builds(
    lambda levels, rare, open, missing: Category(levels, tuple(rare), open=open, missing=missing),
    st.integers(1, 6),
    st.lists(st.integers(1, 9), max_size=5),
    st.booleans(),
    st.booleans(),
)
levels = st.builds(Level, st.integers(1, 8), st.sampled_from([1, 2, 4]))


def within(kind: Kind, values: np.ndarray) -> np.ndarray:
    """The sum of p(value | code) over `values`, for each regular code."""
    return np.bincount(kind.code(values), weights=np.exp(kind.log_within(values)), minlength=kind.regular)


@few
@given(grids())
def test_a_grid_sums_to_one_inside_each_code(grid: Grid) -> None:
    assert within(grid, np.arange(-2_000, 2_000)) == pytest.approx(np.ones(grid.regular), abs=1e-9)


@few
@given(st.one_of(categories, levels))
def test_finite_kinds_sum_to_one_inside_each_code(kind: Category | Level) -> None:
    count = kind.levels * kind.width if isinstance(kind, Level) else kind.levels + len(kind.rare)
    assert within(kind, np.arange(count)) == pytest.approx(np.ones(kind.regular))


@few
@given(bins())
def test_the_density_of_bins_integrates_to_one_inside_each_code(kind: Bins) -> None:
    edges = [kind.edges[0] - 40 * kind.tails[0], *kind.edges, kind.edges[-1] + 40 * kind.tails[1]]
    for code, (low, high) in enumerate(pairwise(edges)):
        middles = low + (high - low) * (np.arange(20_000) + 0.5) / 20_000
        assert (kind.code(middles) == code).all()
        assert np.exp(kind.log_within(middles)).mean() * (high - low) == pytest.approx(1, abs=1e-5)


@few
@given(st.one_of(categories, levels, grids(), bins()), st.integers(0, 99))
def test_drawn_values_have_the_codes_they_were_drawn_for(kind: Kind, seed: int) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, kind.codes, size=500)
    assert (kind.code(kind.draw(codes, generator)) == codes).all()


@few
@given(st.one_of(categories, levels, grids(), bins()))
def test_kinds_survive_json(kind: Kind) -> None:
    assert kind_from_json(json.loads(json.dumps(kind_to_json(kind)))) == kind


@pytest.mark.parametrize(
    "kind",
    [
        Grid((0, 3, 9), (0, 4, 10), (2.5, 6.0)),
        Grid((), (0,), (1.0, 3.0)),
        Category(2, (5, 3, 2)),
        Level(3, 4),
    ],
)
def test_draws_follow_log_within(kind: Kind) -> None:
    """Chi-square over the values of each code, at six sigma."""
    generator = np.random.default_rng(1)
    for code in range(kind.regular):
        drawn = kind.draw(np.full(20_000, code), generator)
        values, counts = np.unique(drawn, return_counts=True)
        expected = len(drawn) * np.exp(kind.log_within(values))
        enough = expected >= 10
        excess = ((counts - expected) ** 2 / expected)[enough].sum() - enough.sum()
        assert abs(excess) < 6 * np.sqrt(2 * enough.sum()) + 6
        assert expected[enough].sum() > 0.98 * len(drawn)


def test_draws_from_bins_have_the_mean_of_their_density() -> None:
    kind, generator, count = Bins((-1.0, 2.0, 2.5), (3.0, 0.5)), np.random.default_rng(1), 40_000
    means = [kind.draw(np.full(count, code), generator).mean() for code in range(kind.regular)]
    spreads = np.array([3.0, 3 / np.sqrt(12), 0.5 / np.sqrt(12), 0.5])
    assert (np.abs(np.array(means) - [-4.0, 0.5, 2.25, 3.0]) < 6 * spreads / np.sqrt(count)).all()


def test_bins_stay_inside_where_rounding_could_leave_them() -> None:
    kind = Bins((1e16, 1e16 + 2, 1e16 + 4), (1e-3, 1e-3))
    codes = np.tile(np.arange(kind.regular), 500)
    assert (kind.code(kind.draw(codes, np.random.default_rng(0))) == codes).all()


def test_holes_and_the_unforeseen_have_codes_of_their_own() -> None:
    kind = Category(3, open=True, missing=True)
    assert kind.code(np.array([0, 2, OTHER, MISSING])).tolist() == [0, 2, 3, 4]
    real = Bins((0.0,), open=True, missing=True)
    assert real.code(np.array([-1.0, 1.0, REAL_OTHER, np.nan])).tolist() == [0, 1, 2, 3]
    assert Category(3, open=True).code(np.array([MISSING])).tolist() == [3]


@pytest.mark.parametrize("value", [OTHER, MISSING, 2, -1])
def test_a_closed_kind_refuses_what_it_does_not_foresee(value: int) -> None:
    with pytest.raises(ValueError):
        Category(2).code(np.array([0, value]))


def test_the_first_argument_of_a_category_is_its_levels() -> None:
    assert Category(2) == Category(levels=2) and Category(2).codes == 2


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "grid", "edges": []},
        {"kind": "grid", "edges": [3, 2]},
        {"kind": "grid", "atoms": [5], "edges": [0, 5]},
        {"kind": "grid", "edges": [0], "tails": [0, 1]},
        {"kind": "bins", "edges": [0.0, float("nan")]},
        {"kind": "category", "levels": 5_000},
        {"kind": "category", "levels": 0},
        {"kind": "real"},
        {},
    ],
)
def test_malformed_kinds_are_refused(document: dict) -> None:
    with pytest.raises(ValueError):
        kind_from_json(document)
