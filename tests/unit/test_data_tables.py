"""Tables: what comes out of events is what went in, and what a column is, is guessed well."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from plausibly.data.columns.cells import log_text
from plausibly.data.formats.builders import format_from_json
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import learn_table_format
from plausibly.data.loading import load, load_rows
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Grid, Real

few = settings(max_examples=80, deadline=None)

ROWS = 7
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["1", "1.0", "00501", "", "NA", "x", "<other>", "\0", "é", "2020-01-01"]),
)
finite = st.floats(allow_nan=False, allow_infinity=False)


def column_of(cells: st.SearchStrategy, dtype: str, holes: bool = True) -> st.SearchStrategy:
    cell = st.one_of(st.none(), cells) if holes else cells
    return st.lists(cell, min_size=ROWS, max_size=ROWS).map(
        lambda values: pd.Series(values, dtype=dtype)
    )


stamps = st.integers(-(10**9), 9 * 10**9).map(lambda s: pd.Timestamp(s, unit="s"))
columns = st.one_of(
    column_of(texts, "object"),
    column_of(texts, "str"),
    column_of(texts, "string"),
    column_of(texts, "category"),
    column_of(st.integers(-3, 3), "category"),
    column_of(st.integers(-(2**62), 2**62), "int64", False),
    column_of(st.integers(0, 2**64 - 1), "uint64", False),
    column_of(st.integers(-5, 5), "int8", False),
    column_of(st.integers(-5, 5), "Int64"),
    column_of(finite, "float64"),
    column_of(st.floats(-100, 100, width=32), "float32"),
    column_of(st.integers(-500, 500).map(lambda x: x / 100), "float64"),
    column_of(st.floats(-100, 100), "Float64"),
    column_of(st.booleans(), "bool", False),
    column_of(st.booleans(), "boolean"),
    column_of(st.booleans(), "object"),
    column_of(st.integers(0, 9), "object"),
    column_of(st.dates(), "object"),
    column_of(st.decimals(-9, 9, places=2), "object"),
    column_of(stamps, "datetime64[ns]"),
    column_of(stamps, "datetime64[s]"),
    column_of(stamps, "datetime64[ns, Europe/Athens]"),
    column_of(
        st.integers(-(10**6), 10**6).map(lambda s: pd.Timedelta(s, unit="s")), "timedelta64[ns]"
    ),
    column_of(st.integers(-5, 5), "int64[pyarrow]"),
    column_of(st.text(max_size=3), "string[pyarrow]"),
)
varied = pd.Series(list("aabbabc"))  # so that there is always something to model


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    found = draw(st.lists(columns, min_size=1, max_size=3))
    names = draw(
        st.lists(st.text(max_size=4), min_size=len(found), max_size=len(found), unique=True)
    )
    return pd.DataFrame(dict(zip(names, found, strict=True)) | {"varied": varied})


def fitted(frame: pd.DataFrame) -> Format:
    """The format learned from a frame, through its JSON."""
    format = format_from_json(
        json.loads(json.dumps(learn_table_format(frame, None, {}, ()).to_json()))
    )
    assert format.table
    return format


def series(*cells: object, **options: object) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, **options)})


def from_text(tmp_path: Path, text: str, **options: object):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return load(str(path), **options)


def csv_of(**columns: list) -> str:
    return pd.DataFrame(columns).to_csv(index=False)


@few
@given(frames())
def test_rows_come_back_equal(frame: pd.DataFrame) -> None:
    format = fitted(frame)
    events = format.events(frame)
    assert_frame_equal(format.rows(events), frame)
    assert torch.isfinite(events.log_within).all()


@few
@given(frames(), st.permutations(range(ROWS)))
def test_training_on_some_rows_takes_the_others(frame: pd.DataFrame, order: list[int]) -> None:
    """Closed columns may refuse; everything else comes back, whatever training saw."""
    some = frame.iloc[order[:5]].reset_index(drop=True)
    format = fitted(some)
    try:
        events = format.events(frame)
    except UserError as error:
        assert "row" in str(error) and "column" in str(error)
        return
    typed = [
        name for name in frame if frame[name].dtype != object or some[name].notna().any()
    ]  # else nothing says of what
    assert_frame_equal(format.rows(events)[typed], frame[typed], check_dtype=False)
    assert torch.isfinite(events.log_within).all()


@few
@given(frames(), st.integers(0, 9))
def test_slices_of_events_are_events_of_slices(frame: pd.DataFrame, seed: int) -> None:
    format = fitted(frame)
    index = np.random.default_rng(seed).permutation(ROWS)[:4]
    part, again = format.events(frame)[torch.from_numpy(index)], format.events(frame.iloc[index])
    assert torch.equal(part.codes, again.codes) and torch.equal(part.log_within, again.log_within)
    assert_frame_equal(format.rows(part), format.rows(again))


cells_of_text = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.integers(-99, 99).map(str),
    st.integers(-999, 999).map(lambda x: f"{x / 100:.2f}"),
    st.sampled_from(
        ["", "00501", "NA", "true", "2020-02-29", '"', "a,b", "x\ny", "1e5", ".0", "0.", "1e400"]
    ),
)


@few
@given(
    st.lists(
        st.tuples(cells_of_text, cells_of_text, st.sampled_from("abc")), min_size=5, max_size=12
    )
)
def test_text_files_survive_write_and_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list
) -> None:
    folder = tmp_path_factory.mktemp("text")
    frame = pd.DataFrame(
        [*rows, ("a", "1", "b"), ("b", "2", "c")], columns=["p", "q,", "r"]
    ).replace("", None)
    frame.to_csv(folder / "first.csv", index=False, lineterminator="\r\n")
    try:
        data = load(str(folder / "first.csv"))
    except UserError as error:
        assert any(word in str(error) for word in ("infinite", "nothing to model", "`--kind"))
        return
    format = data.format
    typed = format.rows(format.events(load_rows(str(folder / "first.csv"), format)))
    format.output(folder / "second.csv.gz").write_all(typed, folder / "second.csv.gz")
    assert_frame_equal(
        format.rows(format.events(load_rows(str(folder / "second.csv.gz"), format))), typed
    )


def test_a_regular_file_comes_back_byte_by_byte(tmp_path: Path) -> None:
    text = (
        "a;b;c;d\r\n1;2.50;x;2020-01-01\r\n2;;y;2021-12-31\r\n30;0.25;;2020-02-29\r\n1;1.00;x;2020-01-01\r\n"
        * 1
    )
    data = from_text(tmp_path, text)
    rows = load_rows(tmp_path / "t.csv", data.format)
    data.format.output(tmp_path / "again.csv").write_all(
        data.format.rows(data.format.events(rows)), tmp_path / "again.csv"
    )
    assert (tmp_path / "again.csv").read_bytes().decode() == text


@pytest.mark.parametrize(
    ("cells", "kind", "word"),
    [
        (["00501", "10001", "94105"] * 9, Category, "category"),
        (["0", "1"] * 9, Category, "boolean"),
        (["yes", "no"] * 9, Category, "boolean"),
        (["False", "True", ""] * 9, Category, "boolean"),
        (["red", "green", "blue"] * 9, Category, "category"),
        (["1", "2", "3"] * 9, Grid, "integer"),
        (["1.5", "2.25", "3"] * 9, Grid, "number"),
        (["1", "2", "NA"] * 9, Grid, "integer"),
        (["2020-01-01", "2020-06-01", "2021-01-01"] * 9, Grid, "date"),
        (["2013-05-17T18:00:00Z", "2013-05-18T05:00:00Z", ""] * 9, Grid, "date"),
        (["31/12/2020", "01/02/2020", "5/5/2020"] * 9, Grid, "date"),
        (["31/12/2020", "01/02/2020", "05/05/2020"] * 9, Grid, "date"),
        (["01/02/2020", "02/03/2020", "05/05/2020"] * 9, Category, "category"),
        (["09:30", "10:15", "23:59"] * 9, Grid, "date"),
        ([str(x) for x in np.random.default_rng(0).normal(size=400)], Real, "real"),
    ],
)
def test_what_a_column_is_guessed_to_be(
    tmp_path: Path, cells: list[str], kind: type, word: str
) -> None:
    data = from_text(tmp_path, "x\n" + "".join(f"{cell or chr(34) * 2}\n" for cell in cells))
    assert isinstance(data.schema.kinds[0], kind)
    assert data.format.describe()[0]["kind"] == word
    again = data.format.rows(data.format.events(load_rows(tmp_path / "t.csv", data.format)))
    data.format.output(tmp_path / "again.csv").write_all(again, tmp_path / "again.csv")
    kept = load_rows(str(tmp_path / "again.csv"), data.format)["x"].fillna("").tolist()
    assert kept == cells


@pytest.mark.parametrize(
    ("cells", "role"),
    [
        ([f"N{row:05d}" for row in range(100)], "id"),
        ([f"A sentence, number {row}, about nothing" for row in range(100)], "text"),
        (["same"] * 100, "constant"),
        ([""] * 100, "constant"),
    ],
)
def test_columns_that_are_no_variables_are_set_aside(
    tmp_path: Path, cells: list[str], role: str
) -> None:
    data = from_text(tmp_path, csv_of(x=cells, y=["a", "b"] * 50))
    assert data.format.names == ("y",) and data.format.describe()[0]["kind"] == role
    assert any("'x' is set aside" in note for note in data.notes)
    rows = data.format.rows(data.format.events(load_rows(tmp_path / "t.csv", data.format)))
    assert [str(cell) for cell in rows["x"].fillna("")] == cells
    drawn = data.format.rows(data.format.draw(torch.zeros(3, 1), np.random.default_rng(0)))
    expected = {"constant": [cells[0]] * 3, "id": ["N00000", "N00001", "N00002"]}.get(
        role, [""] * 3
    )
    assert [str(cell) for cell in drawn["x"].fillna("")] == expected


def test_a_column_of_thirty_thousand_levels() -> None:
    generator = np.random.default_rng(0)
    names = np.array([f"user {row}" for row in range(30_000)], dtype=object)
    cells = np.concatenate(
        [names, generator.choice(names[:100], 20_000), generator.choice(names, 20_000)]
    )
    frame = pd.DataFrame(
        {"user": generator.permutation(cells), "y": generator.integers(0, 2, len(cells))}
    )
    data = load(frame)
    kind = data.schema.kinds[0]
    assert isinstance(kind, Category) and len(kind.rare) > 20_000 and kind.codes <= 1024
    assert_frame_equal(data.format.rows(data.format.events(frame)), frame)
    drawn = data.format.draw(torch.tensor([[kind.levels, 0]] * 50), np.random.default_rng(0))
    assert set(data.format.rows(drawn)["user"]) <= set(names)


def test_bits_are_open_in_tables_of_any_type(tmp_path: Path) -> None:
    """A new file may have a hole where numpy's truths had none."""
    bits = np.random.default_rng(0).integers(0, 2, (99, 3))
    assert load(bits).schema.codes == (2, 2, 2)
    whole = pd.DataFrame(bits.astype(bool), columns=list("abc"), dtype="boolean")
    kind = Category(2, open=True, unforeseen=0.5 / (77 + 1))  # by training rows
    assert (
        load(whole).schema.kinds == (kind,) * 3
    )  # a type with holes, whether or not there are any
    assert (
        load(pd.DataFrame(bits)).schema.kinds
        == load(pd.DataFrame(bits.astype(bool))).schema.kinds
        == (kind,) * 3
    )
    assert (
        from_text(tmp_path, csv_of(a=bits[:, 0].tolist(), b=bits[:, 1].tolist())).schema.kinds
        == (kind,) * 2
    )


TRUTH = Category(
    2, open=True, unforeseen=0.5 / (23 + 1)
)  # by training rows: 23 of 30, or of those before a hole


@pytest.mark.parametrize("words", [("0", "1"), ("no", "yes"), ("False", "True")])
def test_truths_of_a_text_file_may_turn_out_otherwise(
    tmp_path: Path, words: tuple[str, str]
) -> None:
    data = from_text(tmp_path, csv_of(x=[*words] * 15, y=["a", "b", "c"] * 10))
    assert data.schema.kinds[0] == TRUTH
    rows = pd.DataFrame({"x": [words[0], "maybe", "2", None], "y": ["a"] * 4})
    events = data.format.events(rows)
    assert events.codes[:, 0].tolist() == [0, 2, 2, 2]
    assert events.log_within.tolist() == pytest.approx(
        [0, log_text("maybe"), log_text("2"), log_text(None)]
    )
    assert data.format.rows(events)["x"].fillna("-").tolist() == [words[0], "maybe", "2", "-"]
    data.format.output(tmp_path / "again.csv").write_all(
        data.format.rows(events), tmp_path / "again.csv"
    )
    assert (tmp_path / "again.csv").read_text() == f"x,y\n{words[0]},a\nmaybe,a\n2,a\n,a\n"
    holes = data.format.rows(data.format.events(rows.iloc[[0, 3]]))["x"]
    expected = {"0": "Int64", "False": "boolean"}.get(words[0], str(pd.Series(["a"]).dtype))
    assert str(holes.dtype) == expected and holes.isna().tolist() == [False, True]
    assert str(data.format.rows(data.train)["x"].dtype) == {"0": "int64", "False": "bool"}.get(
        words[0], expected
    )
    questions = data.format.questions(rows)
    assert questions.observed[:, 0].tolist() == [True, True, True, False]
    filled = data.format.rows(
        data.format.fill(questions, torch.ones(4, 2), np.random.default_rng(0))
    )
    assert filled["x"].astype(str).tolist() == [words[0], "maybe", "2", words[1]]


def test_truths_of_frames_are_open() -> None:
    cells = {"x": [False, True] * 15, "y": list("abc") * 10}
    frame = pd.DataFrame(cells)
    assert load(frame).schema.kinds[0] == TRUTH
    assert load(frame.astype({"x": object})).schema.kinds[0] == TRUTH
    assert load(frame.astype({"x": str})).schema.kinds[0] == TRUTH
    assert load(frame.astype({"x": int})).schema.kinds[0] == TRUTH
    holes = frame.assign(x=frame["x"].astype("boolean").where(frame.index % 4 > 0))
    assert load(holes).schema.kinds[0] == replace(TRUTH, missing=True)
    late = frame.assign(t=frame.index, x=frame["x"].astype("boolean").where(frame.index < 29))
    data = load(late, split="time=t")
    assert data.schema.kinds[0] == TRUTH
    assert_frame_equal(data.format.rows(data.format.events(late)), late)
    nullable = frame.astype({"x": "boolean"})
    for part in ("valid", "test"):  # a hole there teaches nothing, and is a cell never seen
        held = load(nullable, **{part: nullable.assign(x=nullable["x"].mask(frame.index == 3))})
        assert held.format.to_json() == load(nullable, **{part: nullable}).format.to_json()
        assert getattr(held, part).codes[3, 0] == held.schema.never_seen[0]
    split = nullable.assign(t=frame.index)
    later = split.assign(x=split["x"].mask(split["t"] >= 28))
    assert (
        load(split, split="time=t").format.to_json() == load(later, split="time=t").format.to_json()
    )
    numbers = load(frame.astype({"x": int})).format
    twos = frame.assign(x=[0, 1, 2] * 10)
    assert_frame_equal(numbers.rows(numbers.events(twos)), twos)


def test_what_is_within_adds_up_to_log_within() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "c": generator.choice([f"level {n}" for n in range(300)], 2_000),
            "n": generator.integers(0, 9_999, 2_000),
            "x": generator.normal(size=2_000),
            "b": generator.choice(["yes", "no"], 2_000),
        }
    )
    asked = frame.mask(generator.random(frame.shape) < 0.3)
    asked.loc[0, "c"] = asked.loc[1, "b"] = "never seen"
    images = generator.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    hidden = np.ma.MaskedArray(images, generator.random(images.shape) < 0.3)
    reals = generator.normal(size=(200, 3))
    bits = generator.integers(0, 2, (40, 5))
    for rows, question in (
        (frame, asked),
        (images, hidden),
        (reals, np.where(reals > 1, np.nan, reals)),
        (bits, bits),
    ):
        format = load(rows).format
        codes = torch.zeros(7, *format.schema.shape)
        for events in (
            format.events(rows),
            format.questions(question),
            format.draw(codes, generator),
        ):
            within = format.log_within(events)
            assert (
                within.shape == (len(events), format.schema.size) and within.dtype == torch.float64
            )
            assert torch.allclose(within.sum(1), events.log_within, rtol=1e-12)
            if events.observed is not None:
                assert (within[~events.observed.reshape(within.shape)] == 0).all()


@pytest.mark.parametrize("marks", [["NA", ""], ["?", "", "NA"], ["none", "."]])
def test_numbers_whose_holes_are_written_in_several_ways(tmp_path: Path, marks: list[str]) -> None:
    cells = ["1", "20", "300", "4000"] * 10 + marks * 5
    data = from_text(
        tmp_path, csv_of(x=cells, y=list("ab") * (len(cells) // 2) + ["a"] * (len(cells) % 2))
    )
    column = data.format.describe()[0]
    assert column["kind"] == "integer" and column["holes"] > 5
    format = format_from_json(json.loads(json.dumps(data.format.to_json())))
    rows = load_rows(str(tmp_path / "t.csv"), format)
    events = format.events(rows)
    assert (
        events.codes[-5:, 0] == format.schema.kinds[0].missing_code
    ).all() and not events.log_within.any()
    assert str(format.rows(events)["x"].dtype) == "Int64"
    format.output(tmp_path / "again.csv").write_all(
        format.rows(events, tmp_path / "again.csv"), tmp_path / "again.csv"
    )
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()
    questions = format.questions(rows)
    assert questions.observed[:, 0].tolist() == [cell not in marks for cell in cells]
    filled = format.rows(
        format.fill(questions, torch.zeros(len(cells), 2), np.random.default_rng(0))
    )
    assert str(filled["x"].dtype) == "Int64" and not filled["x"].isna().any()
    codes = torch.tensor([[format.schema.kinds[0].missing_code, 0]] * 4_000)
    holes = format.draw(codes, np.random.default_rng(0))
    drawn = (
        format.rows(holes, Path("x.csv"))["x"]
        .astype(object)
        .fillna(format.table.modelled[0].hole)
        .value_counts(normalize=True)
    )
    column = format.table.modelled[0]
    shares = dict(zip(column.marks, (count / column.holes for count in column.marked), strict=True))
    assert set(drawn.index) == set(marks) and format.rows(holes)["x"].isna().all()
    assert all(
        abs(drawn[mark] - share) < 6 * (share * (1 - share) / 4_000) ** 0.5
        for mark, share in shares.items()
    )


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        ([f"{n * 7:,}" for n in range(100, 300)], ","),
        ([f"1.{n:03d},50" for n in range(200)], ","),
        ([f"${n}.99" for n in range(200)], "$"),
        ([f"{n % 7} €" for n in range(200)], "€"),
        ([f"{n % 9}%" for n in range(200)], "%"),
    ],
)
def test_dressed_numbers_are_pointed_out(tmp_path: Path, cells: list[str], sign: str) -> None:
    data = from_text(tmp_path, csv_of(x=cells, y=["a", "b"] * 100))
    said = f"looks like numbers with '{sign}'; write them plainly to model them as numbers"
    assert data.format.describe()[0]["guess"] == said and data.format.describe()[0]["kind"] in (
        "id",
        "category",
    )
    assert any("'x'" in note and said in note for note in data.notes)


def test_whole_numbers_that_are_too_large() -> None:
    cells = [str(10**19 + n * 12_345_678_901) for n in range(200)]
    for frame in (
        pd.DataFrame({"x": cells}),
        pd.DataFrame({"x": np.array([int(c) for c in cells], dtype="uint64")}),
    ):
        column = load(frame.assign(y=["a", "b"] * 100)).format.describe()[0]
        assert column["kind"] == "id" and column["guess"] == "whole numbers too large to be exact"


def test_months() -> None:
    cells = [f"{year}-{month:02d}" for year in range(1960, 1990) for month in range(1, 13)]
    frame = pd.DataFrame({"m": [*cells, "2009-13"]})
    data = load(frame)
    column = data.format.describe()[0]
    assert (column["kind"], column["resolution"]) == ("date", "month")
    assert_frame_equal(data.format.rows(data.format.events(frame)), frame)


def test_dates_whose_day_and_month_are_ambiguous() -> None:
    frame = pd.DataFrame({"d": [f"{1 + n % 12:02d}/{1 + n // 12:02d}/2020" for n in range(144)]})
    data = load(frame)
    assert data.format.describe()[0]["kind"] == "category"
    assert data.format.describe()[0]["guess"].startswith(
        "day and month are ambiguous; write 2020-12-05"
    )
    assert any("ambiguous" in note for note in data.notes)
    column = load(frame, kinds={"d": "date"}).format.describe()[0]
    assert (
        column["kind"] == "date"
        and "read as %m/%d/%Y" in column["guess"]
        and column["range"][1] == "12/12/2020"
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "Float32"])
def test_small_floats_have_the_decimals_they_are_printed_with(dtype: str) -> None:
    rows = np.random.default_rng(0).integers(0, 900, (300, 3)) / 10
    source = pd.DataFrame(rows).astype(dtype) if dtype[0] == "F" else rows.astype(dtype)
    format = load(source).format
    assert [column["resolution"] for column in format.describe()] == ["0.1"] * 3
    again = format.rows(format.events(source))
    assert (again == source).all(axis=None) and (dtype[0] == "F" or again.dtype == dtype)


def test_what_was_not_foreseen_is_kept_and_costs_its_bytes(tmp_path: Path) -> None:
    colours = ["red", "green", "blue"] * 30
    data = from_text(tmp_path, csv_of(colour=colours, size=[1, 2, 3] * 30))
    rows = pd.DataFrame({"colour": ["red", "mauve", "é", None], "size": ["2", "big", "2.5", ""]})
    events = data.format.events(rows)
    assert events.codes[1:].tolist() == [[3, data.schema.codes[1] - 1]] * 3
    texts = [("mauve", "big"), ("é", "2.5"), (None, None)]
    nats = [
        log_text(one) + log_text(other) - log(3) for one, other in texts
    ]  # numbers below 1 and beyond 3 are as likely
    assert events.log_within.tolist() == pytest.approx([0, *nats])
    assert data.format.rows(events)["colour"].fillna("-").tolist() == ["red", "mauve", "é", "-"]
    assert data.format.rows(events)["size"].fillna("-").tolist() == ["2", "big", "2.5", "-"]


def test_the_texts_of_each_length_sum_to_a_geometric_series() -> None:
    assert log_text(None) == -log(257) and log_text("é") == pytest.approx(-3 * log(257))
    assert sum(256**n * np.exp(log_text("x" * n or None)) for n in range(100)) == pytest.approx(
        1 - (256 / 257) ** 100
    )


def test_drawn_rows_have_the_codes_and_the_probability_they_say() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": generator.integers(0, 5_000, 3_000),
            "x": generator.normal(size=3_000),
            "c": generator.choice(list("abcd"), 3_000),
            "h": np.where(generator.random(3_000) < 0.1, np.nan, generator.integers(0, 9, 3_000)),
            "t": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(generator.integers(0, 900, 3_000), unit="h"),
        }
    )
    format = fitted(frame)
    regular = [kind.regular for kind in format.schema.kinds]
    codes = torch.from_numpy(
        np.stack([generator.integers(0, count, 2_000) for count in regular], axis=1)
    )
    drawn = format.draw(codes, generator)
    again = format.events(format.rows(drawn))
    assert torch.equal(drawn.codes, again.codes) and torch.equal(drawn.codes.long(), codes)
    assert torch.allclose(drawn.log_within, again.log_within)
    assert (format.rows(drawn).dtypes == frame.dtypes).all()


def test_the_open_code_is_drawn_as_other() -> None:
    frame = pd.DataFrame({"c": list("abc") * 9, "n": [1, 2, 3] * 9})
    format = fitted(frame)
    drawn = format.draw(torch.tensor([[3, format.schema.codes[1] - 1]]), np.random.default_rng(0))
    assert format.rows(drawn)["c"].tolist() == ["<other>"] and format.rows(drawn)["n"].isna().all()
    assert drawn.log_within.item() == pytest.approx(2 * log_text("<other>"))


def test_questions_are_filled_where_they_were_open_and_nowhere_else() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"c": list("abcd") * 30, "n": generator.integers(0, 900, 120) / 10, "b": [True, False] * 60}
    )
    format = fitted(frame)
    asked = frame.astype({"b": object}).copy()
    asked.loc[::2, "c"], asked.loc[::3, "n"], asked.loc[::5, "b"] = None, np.nan, None
    asked.loc[1, "c"] = "never seen"
    questions = format.questions(asked)
    assert torch.equal(questions.observed, torch.from_numpy(asked.notna().to_numpy()))
    assert (questions.codes[~questions.observed] == 0).all()
    codes = torch.from_numpy(
        np.stack([generator.integers(0, k.regular, 120) for k in format.schema.kinds], axis=1)
    )
    filled = format.fill(questions, codes, generator)
    rows, seen = format.rows(filled), asked.notna()
    assert filled.observed is None and not rows.isna().any().any()
    assert (rows.astype(object)[seen] == asked[seen]).where(seen, True).all().all()
    assert torch.equal(filled.codes[~questions.observed].long(), codes[~questions.observed])
    assert torch.equal(format.events(rows).codes, filled.codes)
    assert torch.allclose(format.events(rows).log_within, filled.log_within)


def test_a_question_may_lack_whole_columns() -> None:
    format = fitted(pd.DataFrame({"a": [1, 2, 3] * 9, "b": [True, False, True] * 9}))
    questions = format.questions(pd.DataFrame({"a": [2, 3]}))
    assert questions.observed.tolist() == [[True, False]] * 2
    assert (
        format.rows(format.fill(questions, torch.ones(2, 2), np.random.default_rng(0)))[
            "b"
        ].tolist()
        == [True] * 2
    )


def test_everything_is_learned_from_the_training_rows_only(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": range(100), "c": ["a", "b"] * 45 + ["new"] * 10})
    data = load(frame, split="time=t", kinds={"t": "integer"})
    describe = {column["name"]: column for column in data.format.describe()}
    assert describe["c"]["levels"] == ["a", "b"] and describe["t"]["range"] == ["0", "74"]
    assert data.format.rows(data.test)["c"].tolist() == ["new"] * 10


@pytest.mark.parametrize(
    ("word", "kind"),
    [("category", Category), ("integer", Grid), ("number", Grid), ("id", None), ("drop", None)],
)
def test_a_kind_can_be_chosen(tmp_path: Path, word: str, kind: type | None) -> None:
    data = from_text(
        tmp_path, csv_of(zip=[10115, 20095, 80331] * 9, y=["a", "b", "c"] * 9), kinds={"zip": word}
    )
    if kind is None:
        assert data.format.names == ("y",)
    else:
        assert isinstance(data.schema.kinds[0], kind)
    rows = data.format.rows(data.format.events(load_rows(str(tmp_path / "t.csv"), data.format)))
    assert ("zip" in rows) == (word != "drop")


def test_typed_cells_of_a_text_file(tmp_path: Path) -> None:
    data = from_text(
        tmp_path,
        csv_of(
            i=[1, 2, 9] * 9,
            h=["1", "2", ""] * 9,
            f=["1.5", "2", "3"] * 9,
            b=[True, False, True] * 9,
            s=["x", "y", "01"] * 9,
        ),
    )
    rows = data.format.rows(data.train)
    assert [str(dtype) for dtype in rows.dtypes] == [
        "int64",
        "Int64",
        "float64",
        "bool",
        str(pd.Series(["a"]).dtype),
    ]


def test_other_ways_to_give_the_same_cells(tmp_path: Path) -> None:
    frame = pd.DataFrame({"i": [1, 2, 3] * 9, "f": [0.5, 1.5, 2.0] * 9, "s": list("xyz") * 9})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.arrow")
    data = load(str(tmp_path / "t.csv"))
    for name in ("t.csv", "t.parquet", "t.arrow"):
        events = data.format.events(load_rows(str(tmp_path / name), data.format))
        assert torch.equal(events.codes, data.format.events(frame).codes)
    assert (
        load(str(tmp_path / "t.parquet")).format.rows(load(frame).train).dtypes.equals(frame.dtypes)
    )


def test_writing_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    data = from_text(tmp_path, csv_of(x=[1, 2, 3] * 9))
    rows = data.format.rows(data.train)
    for name in ("o.csv", "o.tsv", "o.csv.gz", "o.parquet", "o.arrow"):
        data.format.output(tmp_path / name).write_all(rows, tmp_path / name)
        assert_frame_equal(
            data.format.rows(data.format.events(load_rows(str(tmp_path / name), data.format))), rows
        )
    with pytest.raises(UserError, match="csv"):
        data.format.output(tmp_path / "o.xls").write_all(rows, tmp_path / "o.xls")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError):
        data.format.output(tmp_path / "folder.csv").write_all(rows, tmp_path / "folder.csv")
    assert not list(tmp_path.glob(".*"))


def test_special_cells_in_memory() -> None:
    frame = pd.DataFrame(
        {
            "d": [date(2020, 1, 1), date(2020, 1, 2), None] * 5,
            "m": [Decimal("1.10"), Decimal("2.25"), Decimal("3")] * 5,
            0: np.array([0.1, 0.2, -0.0] * 5, dtype=np.float32),
        }
    )
    assert_frame_equal(fitted(frame).rows(fitted(frame).events(frame)), frame)
