"""One table in every container: the same rows come back, of the same types, and a run sees the same events in all of them."""

import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy.stats import chi2_contingency

import plausibly
from plausibly.data.columns.storage import Storage
from plausibly.data.files.originals import open_original
from plausibly.data.loading import load, load_rows
from plausibly.data.sources import table_files
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings as settings_of
from plausibly.models import MODELS
from plausibly.report import scales

ROWS = 200
BERLIN = ZoneInfo("Europe/Berlin")


def table(seed: int = 0, rows: int = ROWS) -> pa.Table:
    """A table whose cells a CSV file says whole."""
    chance = np.random.default_rng(seed)
    whole, days = chance.integers(0, 40, rows), chance.integers(0, 300, rows).tolist()
    columns = {
        "whole": pa.array(whole, pa.int64()),
        "holed": pa.array(
            [None if n < 6 else int(n) for n in chance.integers(0, 30, rows)], pa.int64()
        ),
        "order": pa.array(
            [None if n < 90 else 10**18 + int(n) // 9 for n in chance.integers(0, 900, rows)],
            pa.int64(),
        ),
        "price": pa.array((chance.integers(0, 5000, rows) / 100).tolist(), pa.float64()),
        "real": pa.array(chance.normal(size=rows), pa.float64()),
        "mass": pa.array((1e30 * chance.lognormal(size=rows)).tolist(), pa.float64()),
        "word": pa.array(
            np.array(["a", "bc", "d e", None], dtype=object)[chance.integers(0, 4, rows)],
            pa.string(),
        ),
        "truth": pa.array(chance.random(rows) < 0.4),
        "maybe": pa.array(
            np.array([True, False, None], dtype=object)[chance.integers(0, 3, rows)], pa.bool_()
        ),
        "day": pa.array(
            [datetime(2021, 1, 1) + timedelta(days=day) for day in days], pa.timestamp("us")
        ),
        "date": pa.array(
            [None if d % 9 == 0 else date(2021, 1, 1) + timedelta(days=d) for d in days],
            pa.date32(),
        ),
        "stamp": pa.array(
            [datetime(2021, 1, 1) + timedelta(hours=int(n)) for n in whole], pa.timestamp("ms")
        ),
        "clock": pa.array([time(int(n) % 24, 5 * int(n) % 60) for n in whole], pa.time64("us")),
        "took": pa.array(
            [timedelta(minutes=int(n)) for n in chance.integers(0, 500, rows)], pa.duration("us")
        ),
        "cents": pa.array(
            [Decimal(int(n)) / 100 for n in chance.integers(0, 999, rows)], pa.decimal128(12, 2)
        ),
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
    return pd.DataFrame(
        {name: pd.Series(cells_of(whole[name]), dtype=object) for name in whole.schema.names}
    )


def contained(whole: pa.Table, name: str, folder) -> str | pd.DataFrame:
    """The table in a container: a path, or a frame in memory."""
    path = (
        folder
        / f"{name}.{ {'tabs': 'tsv'}.get(name, 'csv') if name in DIALECTS else name.partition(' ')[0] }"
    )
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
        return (
            nullable(whole).convert_dtypes(dtype_backend=kinds[name])
            if name in kinds
            else whole.to_pandas()
        )
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
    if dataset.format.table.dialect is None:
        assert_frame_equal(back, rows)
        dataset.format.output(tmp_path / "again.parquet").write_all(
            back, tmp_path / "again.parquet"
        )
        again = pq.read_table(tmp_path / "again.parquet")
        if name in ("parquet", "arrow"):
            assert again.select(table().schema.names).equals(table())
    else:
        out = tmp_path / f"again.{source.rpartition('.')[2]}"
        dataset.format.output(out).write_all(back, out)
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
        nats, mine = format.log_within(events)[:, kept], format.log_within(known)[:, kept]
        assert torch.equal(nats, mine), (
            other,
            [format.names[kept[i]] for i in (nats != mine).any(0).nonzero()[:, 0]],
        )


@pytest.mark.parametrize(
    "name", ["comma", "parquet", "plain frame", "nullable frame", "arrow frame"]
)
def test_a_hole_where_training_had_none_costs_the_same_in_every_container(name, tmp_path):
    """Its column's share, and the text of no letters; an empty text, which no CSV file has, costs otherwise."""
    names = ["whole", "price", "real", "word", "truth", "day", "clock", "took", "cents", "flag"]
    chance = np.random.default_rng(3)
    words = pa.array(np.array(["a", "bc", "d e"], dtype=object)[chance.integers(0, 3, ROWS)])
    known = (
        table()
        .set_column(6, "word", words)
        .append_column("flag", pa.array(chance.random(ROWS) < 0.4))
    )
    known = known.select(names)
    asked = pa.table(
        {n: pa.concat_arrays([pa.nulls(1, known[n].type), known[n].chunk(0)[1:2]]) for n in names}
    )
    format = load(contained(known, name, tmp_path)).format
    others = [
        column.kind.log_within(np.array([column.other]))[0] for column in format.table.modelled
    ]
    (tmp_path / "asked").mkdir()
    for other in ("comma", "parquet", "plain frame", "nullable frame", "arrow frame"):
        rows = rows_of(contained(asked, other, tmp_path / "asked"))
        events = format.events(rows)
        assert format.log_within(events)[0].tolist() == pytest.approx(
            [n - np.log(257) for n in others]
        ), other
        assert events.codes[0].tolist() == format.schema.never_seen.tolist(), other
        back = format.rows(events)
        assert back.iloc[0].isna().all() and not back.iloc[1].isna().any()
    if name != "comma":
        empty = pd.DataFrame({"word": ["", None]}).reindex(columns=names).astype({"word": str})
        place = names.index("word")
        nats = format.log_within(format.events(empty.assign(word=["", None])))[:, place]
        assert nats.tolist() == pytest.approx([-2 * np.log(257), -np.log(257)])


def rows_of(source):
    return open_source(source).frame()


def test_samples_have_the_types_words_and_shares_of_holes_of_the_file(containers):
    source, dataset = containers["parquet"]
    run = fit_in_memory(MODELS["independent"], dataset, settings_of(None, 0, None, None, "cpu"))
    drawn = run.sample(4000)
    rows = rows_of(source)
    assert drawn.dtypes.equals(rows.dtypes)
    assert set(drawn["word"].dropna()) <= {"a", "bc", "d e", "<other>"}
    assert set(drawn["took"].dt.total_seconds() % 60) == {0} and set(drawn["day"].dt.hour) == {0}
    train = dataset.format.rows(dataset.train)
    for name in ("holed", "word", "maybe", "date"):
        holes = np.array(
            [[series.isna().sum(), series.notna().sum()] for series in (train[name], drawn[name])]
        )
        assert chi2_contingency(holes, correction=False).pvalue > 2e-9, name


def strange() -> dict[str, pa.Array]:
    """Columns of types that people meet rarely, each with a hole but one."""
    days, chance = range(60), np.random.default_rng(1)
    zoned = [
        datetime(2021, 1, 1, tzinfo=BERLIN) + timedelta(days=7 * day) for day in days
    ]  # midnights, summer and winter
    words = pa.array([None, *(["x", "yy", "z"] * 20)][:60])
    return {
        "local": pa.array(zoned, pa.timestamp("us", "Europe/Berlin")),
        "utc": pa.array([None, *zoned[1:]], pa.timestamp("s", "UTC")),
        "offset": pa.array([None, *zoned[1:]], pa.timestamp("ns", "+05:30")),
        "days": pa.array(
            [None, *(datetime(2021, 1, 1) + timedelta(days=day) for day in days)][:60], pa.date64()
        ),
        "seconds": pa.array(
            [None, *(time(day % 24, day % 60, 7) for day in days)][:60], pa.time32("s")
        ),
        "nanos": pa.array(
            [None, *(3_600 * 10**9 * (day % 24) for day in days)][:60], pa.int64()
        ).cast(pa.time64("ns")),
        "spans": pa.array([None, *(timedelta(days=-day) for day in days)][:60], pa.duration("ms")),
        "huge": pa.array(
            [None, *(Decimal(10) ** 45 + day for day in days)][:60], pa.decimal256(50, 2)
        ),
        "tens": pa.array(
            [None, *(Decimal(10 * day) for day in days)][:60], pa.decimal128(6, 0)
        ).cast(pa.decimal128(6, 1)),
        "unsigned": pa.array([None, *(2**64 - 1 - day % 3 for day in days)][:60], pa.uint64()),
        "half": pa.array([None, *chance.integers(0, 9, 59).astype(np.float16)], pa.float16()),
        "small": pa.array([None, *(day % 5 for day in days)][:60], pa.int8()),
        "coded": words.dictionary_encode(),
        "large": words.cast(pa.large_string()),
        "viewed": words.cast(pa.string_view()),
        "nothing": pa.nulls(60),
        "full": pa.array([day % 4 for day in days], pa.uint16()),
    }


@pytest.mark.parametrize("name", strange())
def test_a_strange_type_comes_back(name, tmp_path):
    whole = pa.table({name: strange()[name], "v": pa.array([1, 2, 3] * 20)})
    pa.feather.write_feather(whole, tmp_path / "t.arrow")
    format = load(tmp_path / "t.arrow").format
    format.output(tmp_path / "again.arrow").write_all(
        format.rows(format.events(load_rows(tmp_path / "t.arrow", format))),
        tmp_path / "again.arrow",
    )
    again = pa.feather.read_table(tmp_path / "again.arrow")
    if name in ("coded", "viewed"):  # which pandas holds as texts, and writes as such
        whole, again = (
            table.set_column(0, name, table[name].cast(pa.string())) for table in (whole, again)
        )
    assert again.equals(whole)
    codes = load(tmp_path / "t.arrow").train.codes[:1].expand(200, 2)
    format.output(tmp_path / "drawn.arrow").write_all(
        format.rows(format.draw(codes.contiguous(), np.random.default_rng(0))),
        tmp_path / "drawn.arrow",
    )
    assert (
        pa.feather.read_table(tmp_path / "drawn.arrow").schema.types[1:] == whole.schema.types[1:]
    )


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1, 2]] * 20),
        pa.array([["a"]] * 20),
        pa.array([{"a": "b"}] * 20),
        pa.array([b"x"] * 20),
        pd.Series([1, "a"] * 10, dtype=object),
        pd.Series([pd.Interval(0, 1), pd.Interval(1, 2)] * 10),
        pd.Series(pd.period_range("2021-01", periods=20, freq="M")),
        pd.Series(pd.arrays.SparseArray([0.0, 1.0] * 10)),
    ],
)
def test_what_cannot_be_recorded_is_said_in_a_line_and_may_be_left_out(cells, tmp_path):
    rows = (
        pa.table({"x": cells, "v": [1, 2] * 10})
        if isinstance(cells, pa.Array)
        else pd.DataFrame({"x": cells, "v": [1, 2] * 10})
    )
    if isinstance(rows, pa.Table):
        pq.write_table(rows, tmp_path / "t.parquet")
    source = str(tmp_path / "t.parquet") if isinstance(rows, pa.Table) else rows
    with pytest.raises(
        UserError, match=r"column 'x' holds .* cells, which cannot be recorded; .*--drop"
    ) as caught:
        load(source)
    assert "\n" not in str(caught.value)
    assert load(source, drop=["x"]).format.names == ("v",)


def test_an_index_is_a_column_where_it_says_more_than_the_row(tmp_path):
    rows = pd.DataFrame({"v": [1, 2] * 30, "w": list("ab") * 30})
    city = pd.Index(["Rome", "Oslo", "Bonn"] * 20)
    days = pd.date_range("2021-01-01", periods=60)
    indices = {
        ("city",): city.rename("city"),
        ("city", "day"): pd.MultiIndex.from_arrays([city, days], names=["city", "day"]),
        ("city", "level_1"): pd.MultiIndex.from_arrays([city, days], names=["city", None]),
        ("t",): pd.RangeIndex(5, 125, 2, name="t"),
        ("index",): days,
        (): pd.Index([3, 1, 2] * 20),
    }
    for names, index in indices.items():
        frame = rows.set_index(index)
        frame.to_parquet(tmp_path / "t.parquet")
        for source in (frame, str(tmp_path / "t.parquet")):
            dataset = load(source)
            known = load_rows(source, dataset.format)
            events = dataset.format.events(known)
            back = dataset.format.rows(events)
            assert list(back) == [*names, "v", "w"]
            assert any("without a name" in note for note in dataset.notes) == (not names)
            said = f"the index is read as column {', '.join(map(repr, names))}"
            assert (said in dataset.notes) == bool(names)
            levels = [index.get_level_values(place) for place in range(index.nlevels)][: len(names)]
            for name, level in zip(names, levels, strict=True):
                assert back[name].tolist() == level.tolist()


def test_an_index_named_like_a_column_is_said_in_a_line(tmp_path):
    frame = pd.DataFrame(
        {"v": [1, 2] * 9, "w": list("ab") * 9}, index=pd.Index(range(3, 21), name="v")
    )
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, str(tmp_path / "t.parquet")):
        with pytest.raises(UserError, match=r"named 'v'; rename one"):
            load(source)


def test_answers_keep_the_index_of_what_is_asked(tmp_path):
    """A level that training had as a column is read, and comes back as the index that it is."""
    city = pd.Index(["Rome", "Oslo", "Bonn", "Rome"] * 15, name="city")
    frame = pd.DataFrame({"v": [1.0, 2.0] * 30, "w": list("ab") * 30}, index=city)
    run = fit_in_memory(MODELS["independent"], load(frame), settings_of(None, 0, None, None, "cpu"))
    asked = frame.iloc[5:9].assign(v=[np.nan, 1, 2, np.nan])
    filled = run.impute(asked)
    assert (
        filled.index.equals(asked.index)
        and filled.dtypes.equals(frame.dtypes)
        and not filled["v"].isna().any()
    )
    plain = frame.reset_index()
    assert run.score(frame)["nats"].tolist() == run.score(plain)["nats"].tolist()
    assert list(run.sample(3)) == ["city", "v", "w"]


def test_the_hour_that_comes_twice_comes_back(tmp_path):
    """Each day at 02:30 in Berlin, and once more when the clock is put back."""
    local = pd.DatetimeIndex(
        [
            pd.Timestamp("2021-10-01 02:30", tz="Europe/Berlin") + pd.DateOffset(days=d)
            for d in range(60)
        ]
    )
    again = pd.DatetimeIndex(
        [pd.Timestamp("2021-10-31 01:30", tz="UTC").tz_convert("Europe/Berlin")]
    )
    frame = pd.DataFrame({"at": local.append(again), "v": range(61)}).astype({"v": str})
    format = load(frame, kinds={"v": "category"}).format
    assert_frame_equal(format.rows(format.events(frame)), frame)
    assert format.table.columns[0].storage.local


def test_a_report_has_axes_of_times(containers):
    _, dataset = containers["parquet"]
    sheet = scales.make_plotted_rows(dataset.format, dataset.train)
    rows = dataset.format.rows(dataset.train)
    assert np.array_equal(sheet.values["took"], rows["took"].dt.total_seconds())
    assert np.array_equal(
        sheet.values["day"], rows["day"].to_numpy("datetime64[s]").astype(np.int64)
    )
    labels = {
        scale.name: scale.labels for scale in scales.scales(dataset.format, [sheet], sheet.codes)
    }
    assert all(len(label) == 5 and label[2] == ":" for label in labels["took"])
    assert labels["day"][0].startswith("2021-01")
    text = containers["comma"][1]
    assert np.array_equal(
        scales.make_plotted_rows(text.format, text.train).values["took"], sheet.values["took"]
    )


def command(*words: object) -> str:
    """What a process of its own prints."""
    whole = [
        sys.executable,
        "-c",
        "from plausibly.cli.commands import main; main()",
        *map(str, words),
        "--threads",
        "1",
    ]
    done = subprocess.run(whole, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_one_process_compresses_another_decompresses(tmp_path):
    """Decimals whose precision grows from block to block, and all that a table holds."""
    whole = table(rows=2100)
    cents = pa.array([Decimal(n * n) / 100 for n in range(2100)], pa.decimal128(18, 2))
    whole = whole.set_column(whole.schema.get_field_index("cents"), "cents", cents)
    pq.write_table(whole, tmp_path / "t.parquet")
    plausibly.fit(tmp_path / "t.parquet", "independent", out=tmp_path / "run")
    said = command("compress", tmp_path / "run", tmp_path / "t.parquet", tmp_path / "t.pls")
    assert "decoded again: the same rows" in said
    command("decompress", tmp_path / "run", tmp_path / "t.pls", tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").equals(whole)


def test_what_no_file_of_its_sort_holds_is_not_compressed(containers, monkeypatch):
    """A block whose rows a Parquet file would hold as another type than those before them."""
    source, dataset = containers["parquet"]
    rows = rows_of(source)
    file = open_original(open_source(source), dataset.format)
    file.look(rows[:50], dataset.format.events(rows[:50]))
    restore = Storage.restore
    monkeypatch.setattr(Storage, "restore", lambda own, texts: restore(own, texts).astype(str))
    file._compare = lambda rows, again: None
    with pytest.raises(
        UserError,
        match="column 'whole' would come back as int64 in some rows and as large_string in others",
    ):
        file.look(rows[50:], dataset.format.events(rows[50:]))


@pytest.mark.parametrize(
    "name", ["parquet", "arrow", "parquet of pandas", "parquet with an index", "windows"]
)
def test_a_file_read_in_pieces_is_the_same(containers, name, monkeypatch):
    source, whole = containers[name]
    for limit, value in (("LARGE_CELLS", 0), ("ROWS_PER_PIECE", 70)):
        monkeypatch.setattr(table_files, limit, value)
    pieces = load(source)
    assert pieces.format.to_json() == whole.format.to_json()
    for part in ("train", "test"):
        assert torch.equal(getattr(pieces, part).codes, getattr(whole, part).codes)
        assert torch.equal(getattr(pieces, part).log_within, getattr(whole, part).log_within)
    frames = list(open_source(source).pieces(whole.format, 45))
    assert [len(frame) for frame in frames] == [45, 45, 45, 45, 20]
    assert_frame_equal(pd.concat(frames, ignore_index=True), rows_of(source))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow"])
@pytest.mark.parametrize("name", ["comma", "parquet", "plain frame"])
def test_rows_go_to_any_file_and_are_the_same_events_there(containers, name, suffix, tmp_path):
    source, dataset = containers[name]
    format = dataset.format
    events = format.events(rows_of(source))
    format.output(tmp_path / f"t.{suffix}").write_all(format.rows(events), tmp_path / f"t.{suffix}")
    again = format.events(rows_of(str(tmp_path / f"t.{suffix}")))
    assert torch.equal(again.codes, events.codes) and torch.equal(
        again.log_within, events.log_within
    )


def test_times_with_offsets_and_spelled_otherwise_are_known_by_what_they_mean():
    stamps = pd.Series(pd.date_range("2021-03-20", periods=20, tz="Europe/Berlin"))
    same = [
        (stamps, stamps.astype(str)),
        (stamps, stamps.dt.tz_convert("Asia/Tokyo")),
        (stamps, pd.Series([stamp.to_pydatetime() for stamp in stamps], dtype=object)),
        (stamps, stamps.dt.tz_localize(None)),
        (stamps, stamps.dt.strftime("%d %b %Y")),
        (stamps.astype(str), stamps),
        (
            pd.Series(pd.to_timedelta(range(-9, 11), "h")),
            pd.Series(pd.to_timedelta(range(-9, 11), "h")).astype(str),
        ),
        (pd.Series([True, False] * 10), pd.Series(["yes", "no"] * 10)),
        (pd.Series(["T", "F"] * 10), pd.Series([True, False] * 10)),
        (pd.Series([1, 2] * 10, dtype="category"), pd.Series([1.0, 2.0] * 10)),
        (pd.Series(["1.50", "2.25"] * 10), pd.Series([1.5, 2.25] * 10)),
        (pd.Series([0, 1, 2, 3] * 5), pd.Series([False, True] * 10)),
    ]
    for known, other in same:
        format = load(pd.DataFrame({"x": known, "v": ["a", "b"] * 10})).format
        events, also = (
            format.events(pd.DataFrame({"x": series, "v": ["a", "b"] * 10}))
            for series in (known, other)
        )
        if other.dtype == bool and known.dtype.kind == "i":  # truths are 0 and 1
            assert format.numbers(also)[:, 0].tolist() == [0, 1] * 10
        else:
            assert torch.equal(events.codes, also.codes) and torch.equal(
                events.log_within, also.log_within
            ), known


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([time(9 * n % 24, 59 - n % 60) for n in range(200)], pa.time64("us")),
        pa.array([Decimal(9999 - 37 * n) / 100 for n in range(200)], pa.decimal128(4, 2)),
        pa.array(
            [datetime(2262, 4, 10) - timedelta(days=n * n) for n in range(200)], pa.timestamp("ns")
        ),
        pa.array([n for n in range(56, 256)], pa.uint8()),
    ],
    ids=["time", "decimal", "ns", "uint8"],
)
def test_what_is_drawn_in_the_tails_fits_the_type(cells, tmp_path):
    pq.write_table(pa.table({"x": cells}), tmp_path / "t.parquet")
    format = load(
        tmp_path / "t.parquet", kinds={} if pa.types.is_temporal(cells.type) else {"x": "number"}
    ).format
    codes = torch.tensor([[0], [format.table.columns[0].kind.regular - 1]]).repeat(2000, 1)
    drawn = format.rows(format.draw(codes, np.random.default_rng(0)))
    assert (
        drawn.dtypes.equals(rows_of(str(tmp_path / "t.parquet")).dtypes)
        and not drawn["x"].isna().any()
    )
