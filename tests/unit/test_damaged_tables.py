"""Tables in files that are damaged, huge or odd end in one line, before they take time or memory."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from plausibly.data import load
from plausibly.data.files.arrow_messages import measure_batches
from plausibly.data.sources import table_files, text
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.system import memory

GOOD = "a,b\n" + "1,x\n2,y\n3,z\n" * 9
FRAME = pd.DataFrame({"n": range(60), "word": ["Rome", "Bonn", "Oslo"] * 20, "x": [0.5, 1.5] * 30})


def refused(source: object, *words: str) -> None:
    """By `load` and piece by piece alike, in one line that holds the words."""
    for read in (load, lambda given: list(open_source(given).frames(7))):
        with pytest.raises(UserError) as caught:
            read(source)
        said = str(caught.value)
        assert "\n" not in said and all(word in said for word in words), said


LONG = ["line 29", "longer than 8 MiB"]


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ('"' + "4,x\n" * 9, ["line 29", "a quote is not closed"]),
        ('"' + "4,x\n" * 900, ["line 29", "a quote is not closed"]),
        ("4," + "y" * 300 + "\n5\n", ["line 30", "1 cell, but the header has 2"]),
        ("4," + "y" * 3000 + "\n", LONG),
        ('4,"' + "y\n" * 3000 + '"\n', LONG),
        ("4," + "y" * 3000, LONG),
    ],
)
def test_lines_and_quotes_that_do_not_end(
    tmp_path: Path, added: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "BLOCK_BYTES", 1000)
    (tmp_path / "t.csv").write_text(GOOD + added)
    refused(tmp_path / "t.csv", "t.csv", *words)


def test_a_cell_and_a_name_may_be_long(tmp_path: Path) -> None:
    name = "a" * 140_000
    (tmp_path / "t.csv").write_text(GOOD.replace("a", name, 1) + f"4,{'y' * 140_000}\n")
    assert load(tmp_path / "t.csv").format.names == (name, "b")


@pytest.mark.parametrize("digits", [3_001, 5_000])
def test_more_digits_than_a_number_may_have_are_a_text(tmp_path: Path, digits: int) -> None:
    lines = [f"{'9' * digits}{n:02}.5,{n}\n" for n in range(30)]
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(lines))
    columns = load(tmp_path / "t.csv").format.describe()
    assert [column["kind"] for column in columns] == ["text", "integer"]


@pytest.mark.parametrize("rows", [60, 60_000])
def test_gzip_that_is_damaged_ends_in_one_line_wherever_it_is(tmp_path: Path, rows: int) -> None:
    lines = "".join(f"{n},{n * n % 97}\n" for n in range(rows))
    packed = bytearray(gzip.compress(f"a,b\n{lines}".encode()))
    packed[len(packed) // 2 : len(packed) // 2 + 30] = bytes(30)
    (tmp_path / "t.csv.gz").write_bytes(packed)
    refused(tmp_path / "t.csv.gz", "is not a whole gzip file", "fetch it again")


def test_what_is_unpacked_is_counted_before_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_UNDOUBTED_BYTES", 1 << 20)
    monkeypatch.setattr(memory, "MAX_SWELLING", 100)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(GOOD.encode() + b"4,y\n" * (1 << 20)))
    refused(tmp_path / "t.csv.gz", "t.csv.gz", "as no data do", "gunzip it")
    many = pa.table({"n": np.zeros(1 << 18), "word": ["Rome"] * (1 << 18)})
    pa.parquet.write_table(many, tmp_path / "t.parquet", compression="zstd")
    refused(tmp_path / "t.parquet", "t.parquet", "4 MB or more", "as no data do")
    pa.feather.write_feather(many.select(["n"]), tmp_path / "t.feather", compression="zstd")
    refused(tmp_path / "t.feather", "t.feather", "2 MB or more", "as no data do")


def test_a_long_text_that_a_dictionary_repeats_is_counted_as_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_UNDOUBTED_BYTES", 1 << 20)
    index = pa.array(np.zeros(3000, dtype=np.int32))
    texts = pa.DictionaryArray.from_arrays(index, pa.array(["y" * 5000]))
    table = pa.table({"text": texts, "n": np.arange(3000) % 2})
    pa.parquet.write_table(table, tmp_path / "t.parquet", store_schema=False, row_group_size=999)
    refused(tmp_path / "t.parquet", "t.parquet", "15 MB or more", "as no data do")


@pytest.mark.parametrize("compression", ["zstd", "lz4", "uncompressed"])
def test_messages_say_what_batches_unpack_to(compression: str) -> None:
    table = pa.Table.from_pandas(FRAME)
    file = io.BytesIO()
    pa.feather.write_feather(table, file, compression=compression, chunksize=25)
    sizes = measure_batches(pa.BufferReader(file.getvalue()))
    batches = pa.ipc.open_file(file)
    assert [size.rows for size in sizes] == [25, 25, 10]
    for place, size in enumerate(sizes):  # of buffers that are no longer packed 8 bytes stay
        own = batches.get_batch(place).nbytes
        assert 0 <= size.unpacked_bytes - own < 8 * 8


def test_damaged_cells_are_found_before_they_are_followed(tmp_path: Path) -> None:
    """The bytes that say where texts begin lead far beyond the file."""
    file = io.BytesIO()
    pa.feather.write_feather(FRAME, file, compression="uncompressed")
    offsets = np.arange(0, 4 * 61, 4, dtype="<i8").tobytes()
    data = file.getvalue()
    assert data.count(offsets) == 1
    broken = np.arange(0, 4 * 61, 4, dtype="<i8")
    broken[20] = 1 << 40
    (tmp_path / "t.feather").write_bytes(data.replace(offsets, broken.tobytes()))
    refused(tmp_path / "t.feather", "t.feather is not a whole feather file", "out of bounds")


def test_texts_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    word = pa.Array.from_buffers(pa.binary(), 60, pa.array([b"\xff", b"x"] * 30).buffers())
    table = pa.table({"word": word.view(pa.string()), "n": range(60)})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "Invalid UTF8")


@pytest.mark.parametrize(
    "metadata",
    [
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"index_columns": ["a", 3], "columns": 5}',
        b'{"columns": [{}], "index_columns": ["n"]}',
        json.dumps({"columns": [], "index_columns": [{"kind": "range", "name": "r"}]}).encode(),
    ],
)
def test_metadata_of_pandas_that_is_damaged(tmp_path: Path, metadata: bytes) -> None:
    table = pa.Table.from_pandas(FRAME).replace_schema_metadata({b"pandas": metadata})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    pa.feather.write_feather(table, tmp_path / "t.feather")
    for name in ("t.parquet", "t.feather"):
        refused(tmp_path / name, name, "what pandas wrote", "replace_schema_metadata")
    with pytest.raises(UserError, match="this table: what pandas wrote"):
        load(table)


def test_names_that_come_twice(tmp_path: Path) -> None:
    table = pa.table([FRAME["n"], FRAME["word"]], names=["n", "n"])
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "t.parquet has more than one column named 'n'; rename one")
    format = load(FRAME).format
    with pytest.raises(UserError, match="more than one column named 'x'"):
        format.events(pd.concat([FRAME, FRAME[["x"]]], axis=1))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.RunEndEncodedArray.from_arrays([30, 60], [1, 2]), ["'odd'", "run_end_encoded"]),
        (pa.array([b"a", b"b"] * 30, pa.binary_view()), ["'odd'", "binary_view"]),
        (pa.array(range(60), pa.timestamp("s", "No/Where")), ["'odd'", "No/Where"]),
    ],
)
def test_types_that_cannot_be_read(tmp_path: Path, column: pa.Array, words: list[str]) -> None:
    table = pa.table({"n": range(60), "odd": column})
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as file:
        file.write_table(table)
    refused(tmp_path / "t.arrow", "t.arrow", *words, "as text or numbers")


def test_days_of_no_calendar(tmp_path: Path) -> None:
    days = pa.array(np.arange(60, dtype=np.int32) + (1 << 30)).view(pa.date32())
    pa.parquet.write_table(pa.table({"n": range(60), "day": days}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="column 'day' holds days of no calendar"):
        load(tmp_path / "t.parquet")


def test_a_small_file_of_many_cells_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "LARGE_CELLS", 1000)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(GOOD.encode() * 1))
    assert not open_source(tmp_path / "t.csv.gz").is_large()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(GOOD.encode() + b"4,y\n" * 1000))
    assert open_source(tmp_path / "t.csv.gz").is_large()
    monkeypatch.setattr(text, "LARGE_BYTES", 100)
    (tmp_path / "t.csv").write_text(GOOD)
    assert open_source(tmp_path / "t.csv").is_large()


def test_a_name_with_a_byte_that_is_0_is_refused(tmp_path: Path) -> None:
    """Behind such a header Arrow leaves out the first row."""
    (tmp_path / "t.csv").write_bytes(b"n,\0day\n" + b"1,x\n2,y\n" * 30)
    refused(tmp_path / "t.csv", "t.csv, line 1", "a byte that is 0")
