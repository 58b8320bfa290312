"""Columns that are functions or sums of others are found; those that only look so are not."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import REAL_SETS

from plausibly.data import load
from plausibly.data.relations.lookups import MAX_LOG_CHANCE, find_functions

TABLES = REAL_SETS / "tables"
ROWS = 800


def people(seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "city": chance.choice(["Rome", "Oslo", "Graz", "Lyon"], ROWS),
            "age": chance.integers(18, 90, ROWS),
        }
    )
    frame["country"] = frame["city"].map({"Rome": "IT", "Oslo": "NO", "Graz": "AT", "Lyon": "FR"})
    frame["north"] = frame["city"].map({"Rome": "no", "Oslo": "yes", "Graz": "no", "Lyon": "no"})
    frame["net"], frame["tax"] = (
        chance.integers(100, 99_999, ROWS) / 100,
        chance.integers(0, 999, ROWS) / 100,
    )
    frame["gross"] = [
        f"{round(100 * a) + round(100 * b):03d}"
        for a, b in zip(frame["net"], frame["tax"], strict=True)
    ]
    frame["gross"] = frame["gross"].str[:-2] + "." + frame["gross"].str[-2:]
    frame["admitted"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        chance.integers(0, 900, ROWS), unit="D"
    )
    frame["days"] = np.where(chance.random(ROWS) < 0.1, np.nan, chance.integers(0, 40, ROWS))
    frame["left"] = frame["admitted"] + pd.to_timedelta(frame["days"], unit="D")
    return frame


def said(frame: pd.DataFrame, **options: object) -> set[tuple[str, tuple[str, ...], bool]]:
    found = load(frame, **options).relations
    return {(one.column, one.of, one.back) for one in found if one.how != "order"}


EXPECTED = {
    ("country", ("city",), True),
    ("north", ("city",), False),
    ("gross", ("net", "tax"), False),
    ("left", ("admitted", "days"), False),
}


def test_functions_and_sums_are_found_with_holes_dates_and_cents(tmp_path: Path) -> None:
    assert said(people(), kinds={"gross": "number"}) == EXPECTED
    people().to_csv(tmp_path / "t.csv", index=False)
    data = load(str(tmp_path / "t.csv"))
    assert {(one.column, one.of, one.back) for one in data.relations if one.follows} == EXPECTED
    assert {str(found) for found in data.relations if found.follows} == {
        "country from city, in every row",
        "north from city, in every row",
        "gross = net + tax, in every row",
        "left = admitted + days, in every row",
    }


@pytest.mark.parametrize("column", ["country", "north"])
def test_one_row_that_is_otherwise_is_enough(column: str) -> None:
    frame = people()
    row = frame.index[frame["city"] == "Rome"][0]
    frame.loc[row, column] = {"country": "NO", "north": "yes"}[column]
    whole = [
        name for name, *_ in said(frame, kinds={"gross": "number"}, valid=people(1), test=people(2))
    ]
    assert column not in whole and len(whole) == 3


@pytest.mark.parametrize("seed", range(6))
def test_columns_that_have_nothing_to_do_with_each_other(seed: int) -> None:
    """Numbers that hardly repeat determine every column, and mostly zeros add up; neither says anything."""
    chance = np.random.default_rng(seed)
    columns: dict = {f"rare {n}": (chance.random(300) < 0.02).astype(int) for n in range(4)}
    columns |= {
        f"zero {n}": (chance.random(300) < 0.02) * chance.integers(1, 4, 300) for n in range(6)
    }
    columns |= {f"wide {n}": chance.permutation(10**6)[:300] for n in range(3)}
    frame = pd.DataFrame(columns | {"c": chance.choice(list("ab"), 300)})
    assert said(frame, kinds={"*": "integer", "c": "category"}) == set()


def brute(index: np.ndarray) -> set[tuple[int, int]]:
    """Pairs (a, b) with b a function of a beyond chance, one group at a time."""
    found, frame = set(), pd.DataFrame(index)
    for a, b in permutations(range(index.shape[1]), 2):
        share = frame[b].value_counts(normalize=True)
        chance = (len(frame) - frame[a].nunique()) * np.log((share**2).sum())
        if (
            frame.groupby(a)[b].nunique().max() == 1
            and frame[b].nunique() > 1
            and chance < MAX_LOG_CHANCE
        ):
            found.add((a, b))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(30, 200))
def test_functions_are_those_that_groups_show(seed: int, size: int, rows: int) -> None:
    chance = np.random.default_rng(seed)
    base = chance.integers(0, size, (rows, 2))
    index = np.stack(
        [
            base[:, 0],
            base[:, 1],
            base[:, 0] * 7 % size,
            base[:, 0] // 2,
            base[:, 0] * size + base[:, 1],
        ],
        1,
    )
    pairs, names = brute(index), tuple("abcde")
    found = find_functions(names, index.T)
    assert all((names.index(one.of[0]), names.index(one.column)) in pairs for one in found)
    assert all(
        one.back == ((names.index(one.column), names.index(one.of[0])) in pairs or one.back)
        for one in found
    )
    determined = {b for a, b in pairs if a < b or (b, a) not in pairs}
    assert {names.index(one.column) for one in found} == determined


def test_sums_are_exact_to_the_last_cent() -> None:
    chance = np.random.default_rng(0)
    a, b = (chance.integers(10**10, 10**11, ROWS) for _ in range(2))
    frame = pd.DataFrame(
        {"a": a / 100, "b": b / 100, "c": (a + b) / 100, "d": chance.integers(0, 9, ROWS)}
    )
    assert {str(found) for found in load(frame).relations if found.how == "sum"} == {
        "c = a + b, in every row"
    }


def test_a_sum_in_few_rows_is_chance() -> None:
    a, b = np.array([1, 1, 1, 1, 1, 0, 2, 3]), np.array([0, 1, 1, 2, 1, 1, 3, 3])
    few = pd.DataFrame({"a": a, "b": b, "c": a + b})
    assert not load(few, kinds={"*": "integer"}).relations
    many = pd.concat([few] * 100)
    found = load(many.reset_index(drop=True), kinds={"*": "integer"}).relations
    assert [one.text for one in found if one.how == "sum"] == ["c = a + b"]


def test_the_command_lists_them(cli, tmp_path: Path) -> None:
    people().to_csv("t.csv", index=False)
    found = json.loads(cli("data", "t.csv", "--json")[1])["relations"]
    keys = ("column", "of", "how", "back", "follows", "breaks")
    found = [{key: each[key] for key in keys} for each in found]
    both = {"back": False, "follows": False, "breaks": []}
    assert {"column": "north", "of": ["city"], "how": "function", **both} in found
    assert {"column": "gross", "of": ["net", "tax"], "how": "sum", **both} in found


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adult_train", {("education_num", ("education",), True)}),
        (
            "titanic",
            {
                ("class", ("pclass",), True),
                ("alive", ("survived",), True),
                ("embark_town", ("embarked",), True),
            },
        ),
        (
            "r_flights",
            {("hour", ("sched_dep_time",), False), ("minute", ("sched_dep_time",), False)},
        ),
    ],
)
def test_real_tables(name: str, expected: set) -> None:
    found = load(str(TABLES / f"{name}.csv.gz")).relations
    assert expected <= {(one.column, one.of, one.back) for one in found} and len(found) <= 12
