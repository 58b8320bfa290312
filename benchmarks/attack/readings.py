"""Files that are read by Plausibly and by another reader: why their values differ, or nothing where they are the same."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.attack.stage import KIT
from plausibly.data.files.images import read_folder
from plausibly.data.loading import load
from plausibly.data.sources.opening import open_source
from plausibly.jobs.compression import read_compressed_rows
from plausibly.runs.run import Run

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_text(path: Path) -> str | None:
    load(str(path))
    source: Any = open_source(path)
    csv.field_size_limit(1 << 30)
    lines = io.StringIO(unpacked(path).decode(encoding_of(path)).removeprefix("\ufeff"), newline="")
    reader = csv.reader(
        lines, delimiter=source.written.delimiter, skipinitialspace=source.written.gap
    )
    rows = list(reader)
    if len(rows[0]) == 2 and rows[0][0] == "sep=":
        del rows[0]
    while not any(rows[0]):
        del rows[0]
    wide = len(rows[0]) > 1
    shown = source.frame()
    ours = [list(map(str, shown.columns)), *shown.fillna("").to_numpy().tolist()]
    theirs = [row or [""] for row in rows if row or not wide]
    return told(ours, theirs)


def encoding_of(path: Path) -> str:
    return "utf-16" if unpacked(path)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def told(ours: list[Any], theirs: list[Any]) -> str | None:
    """The first place where two lists differ."""
    if len(ours) != len(theirs):
        return f"{len(ours)} instead of {len(theirs)}"
    pairs = enumerate(zip(ours, theirs, strict=True))
    return next((f"{n}: {a!r} instead of {b!r}" for n, (a, b) in pairs if a != b), None)


def read_parquet(path: Path) -> str | None:
    load(str(path))
    return told_columns(open_source(path).frame(), pq.read_table(path))


def read_arrow(path: Path) -> str | None:
    load(str(path))
    return told_columns(open_source(path).frame(), arrow_table(path.read_bytes()))


def arrow_table(data: bytes) -> pa.Table:
    if data[:4] in (b"ARRO", b"FEA1"):
        return pyarrow.feather.read_table(io.BytesIO(data))
    return pa.ipc.open_stream(data).read_all()


def told_columns(frame: pd.DataFrame, table: pa.Table) -> str | None:
    ours = [(str(name), list(map(plain, frame[name].tolist()))) for name in frame]
    names = zip(table.column_names, table.columns, strict=True)
    theirs = [(name, list(map(plain, values_of(column)))) for name, column in names]
    return told(sorted(ours, key=str), sorted(theirs, key=str))


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """The cells of a column, by pandas where Python has no such dates."""
    try:
        return column.to_pylist()
    except OverflowError:
        return column.to_pandas().tolist()


def plain(cell: Any) -> Any:
    """A cell, None where there is none."""
    if cell is None or cell is pd.NA or cell is pd.NaT or (cell != cell):
        return None
    return cell.item() if isinstance(cell, np.generic) else cell


def read_npy(path: Path) -> str | None:
    load(str(path))
    return told_arrays(open_source(path).array(), np.load(path, allow_pickle=False))


def read_idx(path: Path) -> str | None:
    load(str(path))
    data = unpacked(path)
    start = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    return told_arrays(
        open_source(path).array(), np.frombuffer(data[start:], IDX_TYPES[data[2]]).reshape(shape)
    )


def told_arrays(ours: np.ndarray, theirs: np.ndarray) -> str | None:
    if ours.shape != theirs.shape or ours.dtype.kind != theirs.dtype.kind:
        return f"{ours.dtype} {ours.shape} instead of {theirs.dtype} {theirs.shape}"
    same = np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
    return None if same else "other entries"


def read_npz(path: Path) -> str | None:
    load(str(path))
    source: Any = open_source(path)
    with np.load(path, allow_pickle=False) as file:
        theirs = [held for name in file.files if (held := readable(file, name)) is not None]
    lost = (
        name
        for name, ours in source.parts().items()
        if all(told_arrays(ours, each) for each in theirs)
    )
    return next((f"{name} is none of the file's arrays" for name in lost), None)


def readable(file: Any, name: str) -> Any:
    """One array of an npz file; None where it is damaged."""
    with suppress(Exception):  # zipfile, zlib and numpy each raise their own
        return file[name]


def read_images(path: Path) -> str | None:
    load(str(path))
    images = []
    for file in sorted(path.iterdir()):
        with Image.open(file) as image:
            images.append((image.mode, np.asarray(image)))
    if {mode for mode, _ in images} != {"L"} or len({each.shape for _, each in images}) > 1:
        return None  # what is turned, shrunk or made gray has no other reader
    return told_arrays(read_folder(path).rows, np.stack([each for _, each in images]))


def read_packed(path: Path) -> str | None:
    same = read_compressed_rows(path).equals(sound_rows())
    return None if same else "other rows than were packed"


@cache
def sound_rows() -> Any:
    return read_compressed_rows(KIT / "embedded.pls")


def read_run(path: Path) -> str | None:
    same = scores_of(path) == sound_scores()
    return None if same else "other scores than the run's"


def read_changed_run(path: Path) -> None:
    """The run as somebody changed it who knows what seals are: any scores."""
    scores_of(path)


def scores_of(path: Path) -> list[float]:
    return list(map(float, Run.open(path).score(KIT / "people.csv")["nats"]))


@cache
def sound_scores() -> list[float]:
    return scores_of(KIT / "net")
