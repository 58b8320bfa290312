"""Columns of numbers: the resolution that they were recorded at, amounts of money, times since 1970."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from plausibly.data import load, load_rows
from plausibly.data.columns.cells import log_text
from plausibly.data.columns.numbers import learn_grid, number_lattice
from plausibly.data.formats.builders import format_from_json

ROWS = 1_000
chance = np.random.default_rng(0)
few = settings(max_examples=40, deadline=None)


def learned_from(cells: list, **options: object):
    """The format of a column, through its JSON, beside one that is always there; and the column in the report."""
    frame = pd.DataFrame({"x": cells, "y": ["a", "b"] * (len(cells) // 2)})
    format = format_from_json(load(frame, **options).format.to_json())
    return frame, format, format.describe()[0]


@pytest.mark.parametrize(
    ("cells", "kind", "resolution"),
    [
        (chance.integers(10**8, 10**9, ROWS), "integer", "1"),
        (chance.integers(10**8, 10**9, ROWS) * 1000, "integer", "1000"),
        (chance.integers(1, 4000, ROWS) * 25, "integer", "25"),
        (chance.integers(1, 4000, ROWS) * 25 + 7, "integer", "25"),
        ([f"{n / 100:.2f}" for n in chance.integers(10**10, 10**11, ROWS)], "number", "0.01"),
        ([f"{n}.99" for n in chance.integers(1, 4000, ROWS)], "number", "1"),
        ([f"{n / 20:.2f}" for n in chance.integers(1, 4000, ROWS)], "number", "0.05"),
        (-chance.integers(1, 4000, ROWS) * 5 - 3, "integer", "5"),
        (1_600_000_000 // 3600 * 3600 + chance.integers(0, 10**4, ROWS) * 3600, "integer", "3600"),
        (chance.integers(1, 30, ROWS) * 5, "integer", "1"),  # few values: each has a code of its own
        (pd.Timestamp("2020-01-06") + pd.to_timedelta(7 * chance.integers(0, 999, ROWS), unit="D"), "date", "7 days"),
        (pd.Timestamp("2020-01-06") + pd.to_timedelta(15 * chance.integers(0, 999, ROWS), unit="m"), "date", "15 minutes"),
        ([f"{1600 + 3 * n // 12}-{1 + 3 * n % 12:02d}" for n in chance.integers(0, 999, ROWS)], "date", "3 months"),
    ],
)  # fmt: skip
def test_the_resolution_is_that_of_the_values(cells, kind: str, resolution: str) -> None:
    frame, format, column = learned_from(list(cells))
    assert (column["kind"], column["resolution"]) == (kind, resolution)
    assert_frame_equal(format.rows(format.events(frame)), frame)
    codes = torch.from_numpy(
        np.random.default_rng(1).integers(0, format.schema.kinds[0].regular, (500, 2)) % [10**6, 2]
    )
    drawn = format.draw(codes, np.random.default_rng(2))
    again = format.events(format.rows(drawn))
    assert torch.equal(again.codes.long(), codes) and torch.allclose(
        again.log_within, drawn.log_within
    )


def test_a_coarser_resolution_is_worth_its_logarithm() -> None:
    """In the same intervals each value has 25 times the probability; what lies off the lattice is its text."""
    chance = np.random.default_rng(0)
    numbers = chance.integers(0, 8_000, 4_000)
    coarse, fine = (learned_from(list(numbers * step))[1] for step in (25, 1))
    frame = pd.DataFrame({"x": numbers, "y": "a"})
    nats = coarse.events(frame.assign(x=numbers * 25)).log_within - fine.events(frame).log_within
    assert torch.allclose(nats, torch.zeros_like(nats))
    off = coarse.events(pd.DataFrame({"x": [51], "y": ["a"]}))
    assert off.log_within.item() == pytest.approx(log_text("51"))
    assert coarse.rows(off)["x"].tolist() == [51]
    within = [coarse.table.modelled[0].kind.log_within(np.arange(-3_000, 12_000))]
    codes = coarse.table.modelled[0].kind.code(np.arange(-3_000, 12_000))
    sums = np.bincount(codes, weights=np.exp(within[0]))
    assert sums[1:-1] == pytest.approx(np.ones(len(sums) - 2)) and sums.max() <= 1 + 1e-9


@few
@given(st.integers(1, 10**6), st.integers(-(10**9), 10**9), st.integers(0, 99))
def test_the_lattice_is_the_greatest_common_divisor(step: int, start: int, seed: int) -> None:
    values = np.unique(np.random.default_rng(seed).integers(0, 10**6, 400)) * step + start
    found, first = number_lattice(values, np.ones(len(values)))
    assert found % step == 0 and not ((values - first) % found).any() and 0 <= first < found
    assert number_lattice(values[:60], np.full(60, 100)) == (1, 0)  # too few show it


@pytest.mark.parametrize(
    ("name", "unit", "said"),
    [("created_at", 1, ", seconds since 1970"), ("ts", 1000, ", milliseconds")],
)
def test_times_since_1970_are_named(name: str, unit: int, said: str) -> None:
    chance = np.random.default_rng(0)
    times = 1_600_000_000 * unit + chance.permutation(10**6)[:ROWS] * unit
    frame = pd.DataFrame({name: times, "amount": times, "y": ["a", "b"] * (ROWS // 2)})
    column, amount, _ = load(frame).format.describe()
    assert column["kind"] == amount["kind"] == "integer"
    assert (
        said in column["guess"]
        and column["guess"].endswith("2020-09-13 to 2020-09-25")
        and "1970" not in amount["guess"]
    )
    ordered = load(frame.assign(**{name: np.arange(ROWS) * unit + times.min()})).format.describe()
    assert ordered[0]["kind"] == "integer"  # a clock that ticks once a row is no row number


@pytest.mark.parametrize("cents", [1, 5, 10**9, 123_456_789_01])
def test_money_is_exact_to_the_cent(tmp_path: Path, cents: int) -> None:
    cells = [f"{(cents * n + n) / 100:.2f}" for n in range(1, 401)]
    pd.DataFrame({"m": cells, "y": ["a", "b"] * 200}).to_csv(tmp_path / "t.csv", index=False)
    format = load(str(tmp_path / "t.csv"), kinds={"m": "number"}).format
    rows = format.rows(format.events(load_rows(str(tmp_path / "t.csv"), format)))
    assert rows["m"].dtype == np.float64 and rows["m"].tolist() == [float(cell) for cell in cells]
    format.output(tmp_path / "u.csv").write_all(rows, tmp_path / "u.csv")
    assert (tmp_path / "u.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


def test_bounds_of_small_types_hold_on_a_lattice() -> None:
    chance = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": (chance.integers(0, 100, 20_000) * 300 - 15_000).astype("int16"),
            "y": ["a", "b"] * 10_000,
        }
    )
    format = load(frame).format
    kind = format.schema.kinds[0]
    ends = torch.tensor([[0, 0], [kind.regular - 1, 1]] * 300)
    drawn = format.rows(format.draw(ends, np.random.default_rng(0)))
    assert (
        drawn["x"].dtype == np.int16
        and drawn["x"].between(-32_768, 32_767).all()
        and not (drawn["x"] % 300).any()
    )


def some_prices(rows: int, chance: np.random.Generator) -> np.ndarray:
    """Prices of which three in four are one of 300 that are listed, the others free; in cents."""
    listed = np.random.default_rng(11).integers(500, 9_000, 300)
    free = chance.integers(100, 10_000, rows)
    return np.where(chance.random(rows) < 0.75, chance.choice(listed, rows), free)


def learn_prices(rows: np.ndarray):
    return learn_grid(*np.unique(rows, return_counts=True), False)


def test_numbers_seen_again_and_again_are_known_inside_their_interval():
    """Fresh rows are within .15 nats of the law that they were drawn from."""
    chance = np.random.default_rng(12)
    train, fresh = some_prices(4_000, chance), some_prices(4_000, chance)
    grid = learn_prices(train)
    shares = np.bincount(grid.code(train), minlength=grid.codes) / len(train)
    told = np.log(shares[grid.code(fresh)] + 1e-9) + grid.log_within(fresh)
    listed = np.bincount(np.random.default_rng(11).integers(500, 9_000, 300), minlength=10_000)
    truth = np.log(0.75 * listed[fresh] / 300 + 0.25 / 9_900)
    assert abs((truth - told).mean()) < 0.15 + 6 * (truth - told).std() / 4_000**0.5


def test_no_number_that_one_row_has_is_known():
    train = some_prices(4_000, np.random.default_rng(13))
    values, counts = np.unique(train, return_counts=True)
    grid = learn_prices(train)
    assert 50 < len(grid.repeats) == len({*grid.repeats} & {*values[counts > 1].tolist()})


def test_where_all_numbers_of_an_interval_are_known_they_have_their_share_of_rows():
    """Whole numbers to 600, far apart in count: the code's law is that of its rows, and sums to one."""
    train = np.repeat(np.arange(600), np.arange(600) % 7 + 2)
    grid = learn_prices(train)
    codes = grid.code(np.arange(600))
    sums = np.bincount(codes, np.exp(grid.log_within(np.arange(600))), grid.codes)
    inner = (np.arange(600) >= grid.edges[0]) & (np.arange(600) < grid.edges[-1])
    assert len(grid.repeats) > 300
    np.testing.assert_allclose(sums[np.unique(codes[inner])], 1.0, atol=1e-9)
