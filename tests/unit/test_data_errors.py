"""Whatever is wrong with data is said in one line: what, where, and what would have worked."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from plausibly.data import load, load_rows
from plausibly.data.formats.builders import format_from_json
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError

GOOD = "a,b\n" + "1,x\n2,y\n3,z\n" * 9


def refused(source: object, *words: str, **options: object) -> None:
    with pytest.raises(UserError) as caught:
        load(source, **options)
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in words), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("a,b\n", ["header", "no rows"]),
        ("a,b\n1,2\n", ["1 row ", "training"]),
        ("a,b\n1,2\n3,4\n", ["2 rows"]),
        ("a,b\n1,2\n3,4,5\n", ["line 3", "3 cells", "header has 2"]),
        ("a,b\n1,2\n3\n", ["line 3", "1 cell,"]),
        ('a,b\n"1\n2",2\n3\n', ["line 4"]),
        ('a,b\n1,2\n3,"4\n', ["line 3"]),
        ("a,b,a\n1,2,3\n", ["more than one column", "'a'"]),
        (
            "a,b\n" + "1,2\n" * 9,
            ["t.csv: nothing to model in 7 training rows: 'a' is constant", "--kind"],
        ),
        ("a,b\n" + "1,2\n2,inf\n3,1\n" * 9, ["t.csv, row 2", "'b'", "infinite"]),
    ],
)
def test_text_files(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    refused(str(path), *words)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(GOOD.encode() + "4,é\n".encode("latin-1"))
    refused(str(path), "UTF-8", "line 29", f"byte {len(GOOD) + 2}", "iconv -f ISO-8859-1")
    path.write_bytes(GOOD.encode() + "4,€\n".encode("cp1252"))
    refused(str(path), "UTF-8", "line 29", "iconv -f WINDOWS-1252 -t UTF-8")
    for wide in ("utf-16-le", "utf-16-be", "utf-32"):
        path.write_bytes(GOOD.encode(wide))
        refused(
            str(path), f"iconv -f {wide.upper().replace('-LE', 'LE').replace('-BE', 'BE')} -t UTF-8"
        )
    path.write_bytes(GOOD.encode("utf-16")[:-1])
    refused(str(path), "begins as UTF-16 does")
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(str(path)).format.names == ("a", "b")


@pytest.mark.parametrize("name", ["t.csv.gz", "t.npy.gz", "t-idx3-ubyte.gz"])
def test_broken_gzip(tmp_path: Path, name: str) -> None:
    path, packed = tmp_path / name, gzip.compress(GOOD.encode() * 50)
    for data in (packed[:-20], b"no gzip at all", packed[:30] + b"\xff" * 20 + packed[50:]):
        path.write_bytes(data)
        refused(str(path), name, "gzip")


def test_a_gzip_file_that_breaks_off_while_it_is_read_in_pieces(tmp_path: Path) -> None:
    packed = bytearray(
        gzip.compress("\n".join(["a,b", *(f"{n},{n * n % 97}" for n in range(5000))]).encode())
    )
    packed[len(packed) // 2 : len(packed) // 2 + 300] = bytes(300)
    (tmp_path / "t.csv.gz").write_bytes(packed)
    with pytest.raises(UserError, match="is not a whole gzip file"):
        list(open_source(tmp_path / "t.csv.gz").frames(100))


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.npz", "t.npy", "t-idx3-ubyte"])
def test_broken_binary_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0\0\x08\x03 this is something else")
    refused(str(tmp_path / name), name)


def test_unknown_sources(tmp_path: Path) -> None:
    refused("digit", "there is no 'digit'", "did you mean 'digits'", ".csv", "toy-bars")
    refused(str(tmp_path / "none.csv"), "there is no")
    (tmp_path / "t.odd").write_text("x")
    refused(str(tmp_path / "t.odd"), "t.odd", ".parquet")
    refused(
        "toy-bits:tset",
        "there is no split 'tset' (did you mean 'test'?); toy-bits has train, valid, test",
    )
    refused("digits:foo", "there is no split 'foo'; digits has train, valid, test")
    refused(str(tmp_path), "no images")
    (tmp_path / "secret.csv").mkdir()
    refused(str(tmp_path / "secret.csv"), "secret.csv")


def test_options(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": range(30), "colour": list("abc") * 10})
    refused(frame, "no column 'aeg'", "did you mean 'age'", kinds={"aeg": "integer"})
    refused(frame, "'categroy'", "did you mean 'category'", "boolean", kinds={"age": "categroy"})
    refused(frame, "cannot be integer", "'a'", kinds={"colour": "integer"})
    refused(frame, "cannot be boolean", kinds={"age": "boolean"})
    refused(frame, "cannot be date", kinds={"colour": "date"})
    refused(frame, "cannot be real", "'a'", kinds={"colour": "real"})
    refused(frame, "no column 'x'", drop=["x"])
    refused(frame, "time=COLUMN", split="by time")
    refused(frame, "no column 'ag'", "did you mean 'age'", split="time=ag")
    refused(frame, "not both", split="time=age", test=frame)
    refused(frame, "no size", size=8)
    refused(np.zeros((9, 2)), "named columns", split="time=a")
    refused("toy-bits", "no kinds", kinds={"0": "category"})


def test_columns_that_differ_between_training_and_test() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3] * 9, "b": list("xyz") * 9})
    refused(frame, "lacks 'b'", "has 'c' besides", test=frame.rename(columns={"b": "c"}))
    refused(frame, "cannot be split", test=np.zeros((3, 2)))


def test_cells_that_a_closed_column_does_not_know() -> None:
    rows = np.stack([np.arange(40) % 2, np.arange(40) * 1000], axis=1)
    other = rows.copy()
    other[16, 0] = 2
    refused(
        rows, "row 17, column '0': '2' is not 0 or 1; `--kind 0=integer` would take it", test=other
    )


def test_messages_name_the_file(tmp_path: Path) -> None:
    good, other = tmp_path / "good.csv", tmp_path / "other.csv"
    good.write_text(GOOD)
    other.write_text(GOOD.replace("b", "c"))
    refused(str(good), "other.csv: the columns differ", test=str(other))
    other.write_text(GOOD.replace("3,z", "inf,z"))
    refused(str(good), "other.csv, row 3, column 'a': the number is infinite", test=other)
    other.write_text("a,b\n")
    refused(str(good), "other.csv has a header line but no rows", valid=str(other))
    bits = np.zeros((30, 4, 4), dtype=np.uint8)
    bits[::2] = 1
    np.savez(tmp_path / "a.npz", train=bits, test=bits * 7)
    refused(str(tmp_path / "a.npz"), "a.npz:test, row 1, pixel 0,0: 7 is not")
    np.savez(tmp_path / "empty.npz")
    refused(str(tmp_path / "empty.npz"), "empty.npz holds no arrays")
    np.save(tmp_path / "zero.npy", np.float64(3))
    refused(str(tmp_path / "zero.npy"), "zero.npy", "has no rows")
    wide = np.arange(3 * 1_001 * 1_000, dtype=np.uint8).reshape(3, 1_001, 1_000)
    refused(wide, "more than 1,000,000 entries")


def test_dressed_numbers_are_no_integers() -> None:
    frame = pd.DataFrame({"b": [f"{n:,}" for n in range(900, 1_100)], "y": ["a", "b"] * 100})
    refused(
        frame,
        "column 'b' cannot be integer",
        "looks like numbers with ','",
        "write them plainly",
        kinds={"b": "integer"},
    )
    refused(frame, "cannot be number", "looks like numbers with ','", kinds={"b": "number"})


@pytest.mark.parametrize("size", [0, -1, 4097, (0, 8), (8, 8, 8), 2.5])
def test_sizes_that_no_image_has(tmp_path: Path, size: object) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    refused(str(tmp_path), "--size", "1 to 4,096", size=size)


def test_images_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(4):
        image = np.random.default_rng(place).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    refused(str(tmp_path), "--size 1000: 4 colour images", "--size 577 would do", size=1000)
    monkeypatch.setattr("plausibly.data.files.images.MAX_BYTES", 4 * 3 * 36)
    refused(str(tmp_path), "--size 7: 4 colour images", "--size 6 would do", size=7)
    assert load(str(tmp_path), size=6).schema.shape == (3, 6, 6)


def test_cells_that_cannot_be_recorded() -> None:
    refused(pd.DataFrame({"x": [1, "a", 2.5] * 9}), "column 'x'", "mixed")
    refused(pd.DataFrame({"x": [[1], [2], [3]] * 9, "y": list("abc") * 9}), "column 'x'")
    refused(pd.DataFrame({"x": [1j, 2j, 3j] * 9}), "column 'x'", "complex")
    refused(pd.DataFrame({"x": [1.0, np.inf, 3.0] * 9}), "row 2, column 'x'", "infinite")
    refused(pd.DataFrame(), "no rows")
    refused(pd.DataFrame([[1, 2]] * 9, columns=["a", "a"]), "more than one column")
    refused(pd.DataFrame(index=range(9)), "nothing to model")


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"format": "pickle"},
        {"format": "table"},
        {"format": "table", "columns": [], "labels": [], "dialect": None, "dropped": []},
        {
            "format": "table",
            "columns": [{"column": "grid"}],
            "labels": ["x"],
            "dialect": None,
            "dropped": [],
        },
        {"format": "table", "columns": 5, "labels": 5, "dialect": None, "dropped": []},
        {
            "format": "array",
            "schema": {"shape": [2], "kinds": []},
            "layout": "flat",
            "dtype": "|u1",
        },
        {
            "format": "array",
            "schema": {"shape": [10**12], "kinds": []},
            "layout": "flat",
            "dtype": "|u1",
        },
        {
            "format": "array",
            "schema": {"shape": [1], "kinds": [{"count": 1, "kind": "grid"}]},
            "layout": "flat",
            "dtype": "|u1",
        },
        {
            "format": "array",
            "schema": {"shape": [1], "kinds": [{"count": 1, "kind": "category"}]},
            "layout": "hw",
            "dtype": "O",
        },
        {"format": "numeric-array", "table": {}, "dtype": "<f8"},
    ],
)
def test_malformed_formats(document: object) -> None:
    with pytest.raises(UserError):
        format_from_json(document)


def test_a_format_with_a_damaged_column() -> None:
    good = load(
        pd.DataFrame({"a": [1, 2, 3] * 9, "b": list("xyz") * 9, "c": ["0", "1", "1"] * 9})
    ).format.to_json()
    for place, field, value in [
        (0, "decimals", -1),
        (0, "style", "x"),
        (1, "levels", ["x"]),
        (1, "levels", [["x"], "y", "z"]),
        (1, "levels", ["x", "x", "z"]),
        (0, "name", 5),
        (1, "kind", {}),
    ]:
        columns = [dict(column) for column in good["columns"]]
        columns[place][field] = value
        with pytest.raises(UserError):
            format_from_json(good | {"columns": columns})


def test_rows_for_later_commands_need_a_named_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train=np.eye(4, dtype=np.uint8), test=np.eye(4, dtype=np.uint8))
    format = load(str(tmp_path / "a.npz")).format
    for source, words in [
        (tmp_path / "a.npz", "a.npz:test"),
        ("digits", "digits:test"),
        (f"{tmp_path}/a.npz:tset", "'test'"),
    ]:
        with pytest.raises(UserError, match=words):
            load_rows(str(source), format)


def test_rows_of_another_sort(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3] * 9, "b": list("xyz") * 9})
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "t.npy", np.eye(5))
    with pytest.raises(UserError, match=r"t.npy is no table"):
        load_rows(str(tmp_path / "t.npy"), load(frame).format)
    with pytest.raises(UserError, match=r"t.csv, column 'b': not all cells are numbers"):
        load_rows(str(tmp_path / "t.csv"), load(np.eye(5)).format)
