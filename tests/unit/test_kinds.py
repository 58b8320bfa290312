"""Kinds: codes and what is left inside them make one exact distribution over all recordable values."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plausibly.coding.streams import SymbolReader, SymbolWriter
from plausibly.events.kinds import (
    HOLE,
    MISSING,
    OTHER,
    REAL_OTHER,
    UNFORESEEN,
    Category,
    Grid,
    Kind,
    Level,
    Real,
)
from plausibly.events.schema import MAX_VARIABLES, Schema

few = settings(max_examples=60, deadline=None)
whole = st.integers(-60, 60)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    edges = sorted(draw(st.sets(whole, min_size=1, max_size=6)))
    inside = list(range(edges[0], edges[-1]))
    atoms = draw(st.sets(st.sampled_from(inside), max_size=10)) if inside else set()
    tails = draw(st.tuples(*[st.floats(0.1, 8)] * 2))
    repeats, shares = list[int](), list[float]()
    for low, high in pairwise(edges):
        free = sorted({*range(low, high)} - atoms)
        some = draw(st.integers(0, max(len(free) - 1, 0)))  # all but one, or fewer
        repeats += free[:some]
        shares += [draw(st.floats(0.1, 0.9)) / some for _ in range(some)]
    return Grid(
        tuple(sorted(atoms)),
        tuple(edges),
        tails,
        repeats=tuple(repeats),
        shares=tuple(shares),
        open=draw(st.booleans()),
        missing=draw(st.booleans()),
    )


reals = st.builds(
    lambda location, scale, edges, open, missing: Real(
        location, scale, tuple(sorted(edges)), open=open, missing=missing
    ),
    st.floats(-50, 50),
    st.floats(0.01, 100),
    st.sets(st.floats(-5, 5, width=32), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
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
    return np.bincount(
        kind.code(values), weights=np.exp(kind.log_within(values)), minlength=kind.regular
    )


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
@given(reals, st.integers(0, 99))
def test_real_values_are_their_events_again(kind: Real, seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.concatenate(
        [kind.location + kind.scale * generator.normal(size=20), [np.nan] * kind.missing]
    )
    back = kind.draw(kind.standardise(values), generator)
    assert np.allclose(back, values, equal_nan=True, atol=1e-9 * kind.scale)
    assert np.allclose(kind.log_within(values[:20]), -np.log(kind.scale))


def test_a_real_number_out_of_reach_is_refused_or_open() -> None:
    far = np.array([2e6])
    assert Real(open=True).standardise(far) == UNFORESEEN
    with pytest.raises(ValueError):
        Real().standardise(far)


@few
@given(st.one_of(categories, levels, grids()), st.integers(0, 99))
def test_drawn_values_have_the_codes_they_were_drawn_for(kind: Kind, seed: int) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, kind.codes, size=500)
    assert (kind.code(kind.draw(codes, generator)) == codes).all()


@few
@given(st.one_of(categories, levels, grids(), reals))
def test_kinds_survive_json(kind: Kind) -> None:
    assert Kind.from_json(json.loads(json.dumps(kind.to_json()))) == kind


@pytest.mark.parametrize(
    "kind",
    [
        Grid((0, 3, 9), (0, 4, 10), (2.5, 6.0)),
        Grid((), (0,), (1.0, 3.0)),
        Grid((2, 7), (0, 9, 11), (1.0, 3.0), repeats=(3, 8, 9), shares=(0.3, 0.5, 0.9)),
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


def test_repeats_are_coded_in_as_many_bits_as_they_say() -> None:
    """A stream holds them within a percent and a word of their log p, and gives them back."""
    kind = Grid((2,), (0, 9, 4_000), (1.0, 3.0), repeats=(3, 8, 900), shares=(0.3, 0.5, 0.4))
    values = kind.draw(
        np.random.default_rng(2).integers(0, kind.regular, 5_000), np.random.default_rng(3)
    )
    writer, codes = SymbolWriter(), kind.code(values)
    kind.through(writer, codes, values)
    bits = -kind.log_within(values).sum() / np.log(2)
    assert abs(8 * len(writer.payload) - bits) < 0.01 * bits + 64
    assert (kind.through(SymbolReader(writer.payload), codes, None) == values).all()


@few
@given(grids(), st.integers(0, 2**32 - 1))
def test_a_probability_reserved_for_the_open_code_is_all_that_differs(
    grid: Grid, seed: int
) -> None:
    known = replace(grid, open=True)
    values = np.append(known.draw(np.arange(known.regular), np.random.default_rng(seed)), 10**6)
    known.code(values)
    reserved, anew = known.reserve(0.1), replace(known, unforeseen=0.1)
    assert reserved == anew != known and reserved.to_json() == anew.to_json()
    assert (reserved.code(values) == anew.code(values)).all()
    assert (reserved.log_within(values) == anew.log_within(values)).all()


def test_holes_and_the_unforeseen_have_codes_of_their_own() -> None:
    kind = Category(3, open=True, missing=True)
    assert kind.code(np.array([0, 2, OTHER, MISSING])).tolist() == [0, 2, 3, 4]
    real = Real(edges=(0.0,), open=True, missing=True)
    assert real.code(np.array([-1.0, 1.0, REAL_OTHER, np.nan])).tolist() == [0, 1, 2, 3]
    assert Category(3, open=True).code(np.array([MISSING])).tolist() == [3]


@pytest.mark.parametrize(("is_open", "holed"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("make", [partial(Category, 3), partial(Level, 3), Real])
def test_codes_of_what_is_no_value_follow_the_others(
    make: Callable[..., Kind], is_open: bool, holed: bool
) -> None:
    """First of what is not foreseen, then of holes; a kind that has none of a sort has no code for it."""
    kind = make(open=is_open, missing=holed)
    other, hole = kind.other_code, kind.missing_code
    assert (other is not None, hole is not None) == (is_open, holed)
    assert [code for code in (other, hole) if code is not None] == [
        *range(kind.regular, kind.codes)
    ]


def test_what_is_no_number_has_no_density_inside_its_event() -> None:
    """log p(value | event) of a number is the change of units, and of a hole or the unforeseen nothing."""
    kind = Real(location=2.0, scale=0.1, open=True, missing=True)
    nats = kind.log_within(np.array([2.0, 2.3, np.nan, REAL_OTHER, -REAL_OTHER, 2.0 + 0.1 * 1e7]))
    assert nats.tolist() == [-np.log(0.1), -np.log(0.1), 0.0, 0.0, 0.0, 0.0]


def test_no_hole_is_drawn_where_there_is_none() -> None:
    """A density does not tell the two special events apart where a kind has one of them."""
    specials, chance = np.array([UNFORESEEN, HOLE]), np.random.default_rng(0)
    assert (Real(open=True).draw(specials, chance) == np.inf).all()
    assert np.isnan(Real(missing=True).draw(specials, chance)[1])
    assert np.isnan(Real(open=True, missing=True).draw(specials, chance)).tolist() == [False, True]


@pytest.mark.parametrize("value", [OTHER, MISSING, 2, -1])
def test_a_closed_kind_refuses_what_it_does_not_foresee(value: int) -> None:
    with pytest.raises(ValueError):
        Category(2).code(np.array([0, value]))


def test_the_first_argument_of_a_category_is_its_levels() -> None:
    assert Category(2) == Category(levels=2) and Category(2).codes == 2


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (-1, -1), (MAX_VARIABLES + 1,)])
def test_an_event_has_variables_and_not_too_many(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an event needs 1 to 1,000,000 variables"):
        Schema(shape, (Category(2),) * min(abs(prod(shape)), 1))


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "grid", "edges": []},
        {"kind": "grid", "edges": [3, 2]},
        {"kind": "grid", "atoms": [5], "edges": [0, 5]},
        {"kind": "grid", "edges": [0], "tails": [0, 1]},
        {"kind": "grid", "edges": [0, 9], "repeats": [3], "shares": [1.0]},
        {"kind": "grid", "edges": [0, 9], "repeats": [3], "shares": []},
        {"kind": "grid", "edges": [0, 9], "repeats": [9], "shares": [0.5]},
        {"kind": "grid", "edges": [0, 9], "repeats": [3, 4], "shares": [0.5, -0.1]},
        {"kind": "grid", "edges": [0, 9], "atoms": [3], "repeats": [3], "shares": [0.5]},
        {"kind": "grid", "edges": [0, 1], "repeats": [0], "shares": [0.5]},
        {"kind": "grid", "edges": [0], "tails": [2**70, 1]},
        {"kind": "real", "edges": [0.0, float("nan")]},
        {"kind": "real", "scale": 0.0},
        {"kind": "category", "levels": 5_000},
        {"kind": "category", "levels": 0},
        {"kind": "reel"},
        {},
    ],
)
def test_malformed_kinds_are_refused(document: dict) -> None:
    with pytest.raises(ValueError):
        Kind.from_json(document)


@pytest.mark.parametrize("edges", [(0.0, 0.0, 1.0), (1.0, 0.0)])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(ValueError, match="each above the one before"):
        Real(edges=edges)
