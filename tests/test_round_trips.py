"""One table in every container: the same rows come back, of the same types, and a run sees the same events in all of them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from pandas.testing import assert_frame_equal

from plausibly.data.loading import load, load_rows
from plausibly.data.reading import read_table

ROWS = 200
BERLIN = ZoneInfo("Europe/Berlin")


def table(seed: int = 0, rows: int = ROWS) -> pa.Table:
    """A table whose cells a CSV file says whole."""
    chance = np.random.default_rng(seed)
    whole, days = chance.integers(0, 40, rows), chance.integers(0, 300, rows).tolist()
    columns = {
        "whole": pa.array(whole, pa.int64()),
        "holed": pa.array([None if n < 6 else int(n) for n in chance.integers(0, 30, rows)], pa.int64()),
        "order": pa.array(
            [None if n < 90 else 10**18 + int(n) // 9 for n in chance.integers(0, 900, rows)], pa.int64()
        ),
        "price": pa.array((chance.integers(0, 5000, rows) / 100).tolist(), pa.float64()),
        "real": pa.array(chance.normal(size=rows), pa.float64()),
        "mass": pa.array((1e30 * chance.lognormal(size=rows)).tolist(), pa.float64()),
        "word": pa.array(np.array(["a", "bc", "d e", None], dtype=object)[chance.integers(0, 4, rows)], pa.string()),
        "truth": pa.array(chance.random(rows) < 0.4),
        "maybe": pa.array(np.array([True, False, None], dtype=object)[chance.integers(0, 3, rows)], pa.bool_()),
        "day": pa.array([datetime(2021, 1, 1) + timedelta(days=day) for day in days], pa.timestamp("us")),
        "date": pa.array([None if d % 9 == 0 else date(2021, 1, 1) + timedelta(days=d) for d in days], pa.date32()),
        "stamp": pa.array([datetime(2021, 1, 1) + timedelta(hours=int(n)) for n in whole], pa.timestamp("ms")),
        "clock": pa.array([time(int(n) % 24, 5 * int(n) % 60) for n in whole], pa.time64("us")),
        "took": pa.array([timedelta(minutes=int(n)) for n in chance.integers(0, 500, rows)], pa.duration("us")),
        "cents": pa.array([Decimal(int(n)) / 100 for n in chance.integers(0, 999, rows)], pa.decimal128(12, 2)),
    }
    return pa.table(columns)


DIALECTS = {
    "comma": {},
    "semicolon": {"sep": ";"},
    "tabs": {"sep": "\t"},
    "windows": {"lineterminator": "\r\n"},
    "quoted": {"quoting": 1},
    "marked": {"encoding": "utf-8-sig", "sep": ";"},
}


def cells_of(column: pa.ChunkedArray) -> list:
    """How people write a column's cells in a text file."""
    kind = column.type

    def written(cell):
        if cell is None:
            return None
        if pa.types.is_duration(kind):
            minutes = cell // timedelta(minutes=1)
            return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
        if isinstance(cell, datetime):
            return cell.strftime("%Y-%m-%d" if column.type.unit == "us" else "%Y-%m-%d %H:%M:%S")
        return repr(cell) if isinstance(cell, float) else str(cell)

    return [written(cell) for cell in column.to_pylist()]


def texts(whole: pa.Table) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(cells_of(whole[name]), dtype=object) for name in whole.schema.names})


def contained(whole: pa.Table, name: str, folder) -> str | pd.DataFrame:
    """The table in a container: a path, or a frame in memory."""
    path = folder / f"{name}.{ {'tabs': 'tsv'}.get(name, 'csv') if name in DIALECTS else name.partition(' ')[0] }"
    if name in DIALECTS:
        texts(whole).to_csv(path, index=False, **DIALECTS[name])
    elif name == "parquet":
        pq.write_table(whole, path, row_group_size=70)
    elif name == "arrow":
        pa.feather.write_feather(whole, path)
    elif name == "parquet of pandas":
        nullable(whole).to_parquet(path)
    elif name == "parquet with an index":
        nullable(whole).set_index(["whole", "holed"]).to_parquet(path)
    else:
        kinds = {"nullable frame": "numpy_nullable", "arrow frame": "pyarrow"}
        return nullable(whole).convert_dtypes(dtype_backend=kinds[name]) if name in kinds else whole.to_pandas()
    return str(path)


def nullable(whole: pa.Table) -> pd.DataFrame:
    """In pandas' types for holes, without which whole numbers with holes are floats."""
    return whole.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


FILES = [*DIALECTS, "parquet", "arrow", "parquet of pandas", "parquet with an index"]
FRAMES = ["plain frame", "nullable frame", "arrow frame"]


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    """The same table in every container, with the format learned from each."""
    folder, whole = tmp_path_factory.mktemp("containers"), table()
    sources = {name: contained(whole, name, folder) for name in (*FILES, *FRAMES)}
    return {name: (source, load(source)) for name, source in sources.items()}


@pytest.mark.parametrize("name", [*FILES, *FRAMES])
def test_rows_come_back_in_values_types_and_order(containers, name, tmp_path):
    source, dataset = containers[name]
    rows = load_rows(source, dataset.format)
    back = dataset.format.rows(dataset.format.events(rows))
    if dataset.format.dialect is None:
        assert_frame_equal(back, rows)
        dataset.format.write(back, tmp_path / "again.parquet")
        again = pq.read_table(tmp_path / "again.parquet")
        if name in ("parquet", "arrow"):
            assert again.select(table().schema.names).equals(table())
    else:
        out = tmp_path / f"again.{source.rpartition('.')[2]}"
        dataset.format.write(back, out)
        with open(source, "rb") as here, open(out, "rb") as there:
            assert here.read() == there.read()


@pytest.mark.parametrize("name", [*FILES, *FRAMES])
def test_a_run_sees_the_same_events_in_every_container(containers, name):
    own, dataset = containers[name]
    format = dataset.format
    known = format.events(rows_of(own))
    for other, (source, _) in containers.items():
        events = format.events(rows_of(source))
        lossy = {"order"} if "plain frame" in (name, other) else set()  # beyond 2^53, in floats
        kept = [place for place, column in enumerate(format.names) if column not in lossy]
        assert torch.equal(events.codes[:, kept], known.codes[:, kept]), other
        nats, mine = format.within(events)[:, kept], format.within(known)[:, kept]
        assert torch.equal(nats, mine), (other, [format.names[kept[i]] for i in (nats != mine).any(0).nonzero()[:, 0]])


def rows_of(source):
    return read_table(Path(source))[0] if isinstance(source, str) else source
