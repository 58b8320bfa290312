"""Identifiers and constants travel beside the event: restored on a round trip, made anew for drawn rows."""

import re
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from plausibly.data import load
from plausibly.data.columns.identifiers import IdGenerator, IdPiece, learn_ids
from plausibly.data.formats.builders import format_from_json

chance = np.random.default_rng(0)
SPARSE = chance.permutation(99_000)[:500]


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        ([str(n) for n in range(1, 501)], ["1", "2", "3"]),
        ([str(n) for n in range(500)], ["0", "1", "2"]),
        ([str(100_000 + n) for n in range(7, 507)], ["100007", "100008", "100009"]),
        ([f"C{n:06d}" for n in SPARSE + 4], ["C000001", "C000002", "C000003"]),
        ([f"ORD-{n + 2}/a" for n in SPARSE], ["ORD-1/a", "ORD-2/a", "ORD-3/a"]),
        ([f"N{1000 + n}Z" for n in range(500)], ["N1000Z", "N1001Z", "N1002Z"]),
        ([f"{'abc'[n % 3]}{'x' * (n % 5)}@{n}.org" for n in range(500)], ["1", "2", "3"]),
        (["a", "b", "c", "d"], ["1", "2", "3"]),
        (["007", "0008", "9"], ["1", "2", "3"]),
    ],
)
def test_identifiers_go_on_in_their_form(texts: list[str], made: list[str]) -> None:
    assert learn_ids(list(texts)).generate(3, np.random.default_rng(0)) == made


def test_identifiers_of_equal_length_are_drawn_place_by_place() -> None:
    texts = [
        str(uuid.UUID(int=int.from_bytes(chance.bytes(16), "big"), version=4)) for _ in range(300)
    ]
    made = learn_ids(texts).generate(1000, np.random.default_rng(1))
    assert len({*made}) == 1000 and not {*made} & {*texts}
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in made)
    assert (
        made
        == learn_ids(texts).generate(1000, np.random.default_rng(1))
        != learn_ids(texts).generate(1000, np.random.default_rng(2))
    )


HEX, DIGITS = "0123456789abcdef", "0123456789"
ADDRESSES = [".".join(map(str, own)) for own in chance.integers(0, 256, (300, 4))]
UNEQUAL = {
    "addresses": (
        ADDRESSES,
        r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])(\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){3}",
    ),
    "hashes": ([f"{n:x}" for n in chance.integers(16, 2**44, 300)], "[0-9a-f]{2,11}"),
    "versions": (
        [f"{a}.{b}.{c}" for a, b, c in chance.integers(0, 99, (300, 3))],
        r"\d\d?\.\d\d?\.\d\d?",
    ),
    "mail": (
        [f"u{n}@h{n % 7}.org" for n in chance.integers(1, 10**9, 300)],
        r"u\d{1,9}@h[0-6]\.org",
    ),
    "paths": ([f"/{n % 9}/{n:o}/" for n in chance.integers(1, 10**9, 300)], r"/[0-8]/\d{1,10}/"),
}


@pytest.mark.parametrize("name", UNEQUAL)
def test_identifiers_of_unequal_length_are_drawn_in_pieces(name: str) -> None:
    texts, form = UNEQUAL[name]
    data = load(pd.DataFrame({"key": texts, "x": np.arange(300) % 7, "c": ["a", "b"] * 150}))
    format = format_from_json(data.format.to_json())
    assert format.to_json() == data.format.to_json()
    made = format.rows(format.draw(torch.zeros(500, 2), np.random.default_rng(1)))["key"]
    assert made.nunique() == 500 and made.str.fullmatch(form).all(), made[~made.str.fullmatch(form)]
    assert made.str.len().max() <= max(map(len, texts))
    assert any("drawn rows have" in note and "have 1, 2" not in note for note in data.notes)


def test_few_letters_repeat_where_there_are_no_more() -> None:
    made = IdGenerator(pieces=(IdPiece(letters=("ab", "01"), lengths=(0, 1)),)).generate(
        9, np.random.default_rng(0)
    )
    assert {*made} == {"a0", "a1", "b0", "b1"} and len(made) == 9


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=20, unique=True),
    st.integers(1, 30),
    st.integers(0, 99),
)
def test_whatever_the_texts_are_identifiers_differ(
    texts: list[str], rows: int, before: int
) -> None:
    making = learn_ids(texts)
    made = making.generate(rows, np.random.default_rng(0), before)
    assert len(made) == rows and (making.pieces or len({*made}) == rows)
    if not making.pieces:
        assert making.generate(before + rows, np.random.default_rng(0))[before:] == made


def a_table(rows: int = 200) -> pd.DataFrame:
    keys = [f"K{n:05d}" for n in np.random.default_rng(3).permutation(90_000)[:rows]]
    return pd.DataFrame(
        {"key": keys, "site": "north", "x": np.arange(rows) % 7, "c": ["a", "b"] * (rows // 2)}
    )


def test_drawn_rows_have_identifiers_and_constants_given_or_not() -> None:
    frame = a_table()
    data = load(frame)
    format = format_from_json(data.format.to_json())
    assert_frame_equal(format.rows(format.events(frame)), frame)
    drawn = format.rows(format.draw(torch.zeros(3, 2), np.random.default_rng(0)))
    asked = format.parse_question({"c": "b"})[torch.zeros(3, dtype=torch.long)]
    filled = format.rows(format.fill(asked, torch.zeros(3, 2), np.random.default_rng(0)))
    for rows in (drawn, filled):
        assert list(rows.columns) == list(frame.columns)
        assert (
            rows["key"].tolist() == ["K00001", "K00002", "K00003"]
            and rows["site"].tolist() == ["north"] * 3
        )
        assert (rows.dtypes == frame.dtypes).all()
    assert filled["c"].tolist() == ["b"] * 3
    assert any(
        "'key' is set aside: id" in note and "drawn rows have K00001, K00002, ..." in note
        for note in data.notes
    )


def test_filled_rows_keep_the_identifiers_they_came_with() -> None:
    frame = a_table()
    format = load(frame).format
    asked = frame.assign(c=None).iloc[5:9].reset_index(drop=True)
    filled = format.rows(
        format.fill(format.questions(asked), torch.zeros(4, 2), np.random.default_rng(0))
    )
    assert filled["key"].tolist() == asked["key"].tolist()
    without = format.rows(
        format.fill(
            format.questions(asked[["x", "c"]]), torch.zeros(4, 2), np.random.default_rng(0)
        )
    )
    assert list(without.columns) == ["x", "c"]


@pytest.mark.parametrize(
    "dtype", ["int64", "uint64", "float64", "Int64", "str", "string", "category", "datetime64[s]"]
)
def test_drawn_identifiers_have_the_type_of_their_column(dtype: str) -> None:
    frame = a_table(100).assign(key=pd.Series(range(1000, 1100)).astype(dtype))
    format = load(frame, kinds={"key": "id"}).format
    assert_frame_equal(format.rows(format.events(frame)), frame)
    drawn = format.rows(format.draw(torch.zeros(3, 2), np.random.default_rng(0)))
    assert drawn["key"].dtype == frame["key"].dtype


def test_a_damaged_identifier_is_refused() -> None:
    with pytest.raises(ValueError, match="no number"):
        IdGenerator("abc")


def test_the_report_says_what_drawn_rows_have(cli, tmp_path: Path) -> None:
    a_table().to_csv("t.csv", index=False)
    status, out, _ = cli("data", "t.csv")
    assert status == 0 and re.search(r"key +id +.*K00001, K00002, \.\.\. in drawn rows", out), out
