"""Files that are as they should be, by name: some of each kind that is read."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from PIL import Image

ROWS = 120

Files = dict[str, bytes]


def table() -> pd.DataFrame:
    """Made-up rows with columns of several types, and holes."""
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "city": generator.choice(["Bonn", "Ulm", "Jena, Thuringia", 'the "Ruhr"', None], ROWS),
            "age": generator.integers(18, 80, ROWS),
            "pay": generator.normal(30, 5, ROWS).round(2),
            "member": generator.random(ROWS) < 0.3,
            "since": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(generator.integers(0, 900, ROWS), "D"),
        }
    )


def texts(suffix: str) -> Files:
    separators = {"csv": [",", ";"], "tsv": ["\t"]}[suffix]
    return {
        f"table{place}.{suffix}": table().to_csv(index=False, sep=mark).encode()
        for place, mark in enumerate(separators)
    }


def wide_texts() -> Files:
    held = texts("csv")["table0.csv"].decode()
    return {"wide.csv": held.encode("utf-16"), "big.csv": b"\xfe\xff" + held.encode("utf-16-be")}


def gzipped(files: Files) -> Files:
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files.items()}


def arrow_table() -> pa.Table:
    return pa.Table.from_pandas(table(), preserve_index=False)


def written(write: Callable[[Any], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def parquets() -> Files:
    held = arrow_table()
    return {
        f"{compression}.parquet": written(
            lambda file, compression=compression: pq.write_table(
                held, file, compression=compression, row_group_size=50
            )
        )
        for compression in ("none", "snappy", "zstd")
    }


def feathers() -> Files:
    held = arrow_table()
    return {
        f"{compression}.feather": written(
            lambda file, compression=compression: pyarrow.feather.write_feather(
                held, file, compression=compression, chunksize=50
            )
        )
        for compression in ("uncompressed", "lz4")
    }


def streams() -> Files:
    held = arrow_table()

    def write(file: Any) -> None:
        with pa.ipc.new_stream(file, held.schema) as stream:
            stream.write_table(held, max_chunksize=50)

    return {"stream.arrow": written(write)}


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    real = generator.normal(size=(60, 4))
    return {
        "bits": (generator.random((60, 6)) < 0.4).astype(np.uint8),
        "truths": generator.random((60, 4)) < 0.5,
        "images": generator.integers(0, 256, (60, 3, 5), dtype=np.uint8),
        "short": generator.integers(-9, 9, (60, 4)).astype(">i2"),
        "float": real.astype("f4"),
        "fortran": np.asfortranarray(real),
    }


def npys() -> Files:
    return {
        f"{name}.npy": written(lambda file, array=array: np.save(file, array))
        for name, array in arrays().items()
    }


def npzs() -> Files:
    bits = arrays()["bits"]
    parts = dict(train=bits[:40], valid=bits[40:50], test=bits[50:])
    return {
        "stored.npz": written(lambda file: np.savez(file, **parts)),
        "packed.npz": written(lambda file: np.savez_compressed(file, **parts)),
    }


def idxs() -> Files:
    held = arrays()
    return {
        "images-idx3-ubyte": idx(8, held["images"], "u1"),
        "reals.idx": idx(13, held["float"], ">f4"),
    }


def idx(kind: int, array: np.ndarray, dtype: str) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(dtype).tobytes()


def images() -> Files:
    generator = np.random.default_rng(3)
    return {
        f"images/{number}.png": png(generator.integers(0, 256, (4, 5), dtype=np.uint8))
        for number in range(20)
    }


def png(pixels: np.ndarray) -> bytes:
    return written(lambda file: Image.fromarray(pixels).save(file, "png"))


def folder_of(path: Path) -> Files:
    """The files in a folder, such as a run."""
    return {
        f"{path.name}/{file.name}": file.read_bytes() for file in path.iterdir() if file.is_file()
    }
