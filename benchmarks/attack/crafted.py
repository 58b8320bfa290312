"""Files made by hand that are huge, odd or lie, by kind and name, each made when it is tried."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.attack import sound
from benchmarks.attack.damage import png_chunk
from benchmarks.attack.stage import KIT

BOMB_BYTES = 3 << 30  # unpacked
PIECE_BYTES = 16 << 20
LONG = 20_000_000  # characters
GOOD = b"a,b\n" + b"1,x\n2,y\n3,z\n" * 20


def gzip_bomb(start: bytes, piece: bytes) -> bytes:
    """A gzip file that unpacks to `BOMB_BYTES`, of members that each unpack to some."""
    member = gzip.compress(piece * (PIECE_BYTES // len(piece)), 9)
    return gzip.compress(start) + member * (BOMB_BYTES // PIECE_BYTES)


def deflated(size: int) -> bytes:
    """Zeros, deflated without a mark."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(PIECE_BYTES)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (size // PIECE_BYTES) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def npy_head(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def npy(shape: str, dtype: str = "'<f8'", order: str = "False", body: bytes = bytes(800)) -> bytes:
    return npy_head(f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}") + body


def npz(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return packed.getvalue()


def npz_bomb() -> bytes:
    """One member, whose directory says what it unpacks to, and which does."""
    rows = BOMB_BYTES // 8
    head = npy(f"({rows},)", body=b"")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + deflated(BOMB_BYTES)
    size, name = BOMB_BYTES + len(head), b"rows.npy"
    local = struct.pack(
        "<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, 0, len(body), size, len(name), 0
    )
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 0, 0, len(body), size, len(name), 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    start = len(local) + len(name) + len(body)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central) + len(name), start, 0)
    return local + name + body + central + name + end


def png(width: int, height: int, body: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_bomb() -> bytes:
    """So many pixels that Pillow only warns of, all black, in a few bytes."""
    return png(12_000, 12_000, b"\x78\xda" + deflated(160_000_000) + bytes(4))


def parquet(**columns: object) -> bytes:
    return sound.written(lambda file: pq.write_table(pa.table(columns), file))


def parquet_bomb() -> bytes:
    """Many rows of one value, which encodings make small."""
    packed = io.BytesIO()
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])
    piece = pa.table({"a": ["x" * 200] * 1_000_000, "b": np.arange(1_000_000) % 2}, schema)
    with pq.ParquetWriter(packed, schema, compression="zstd") as file:
        for _ in range(40):
            file.write_table(piece)
    return packed.getvalue()


def stream(**columns: object) -> bytes:
    held = pa.table(columns)

    def write(file: object) -> None:
        with pa.ipc.new_stream(file, held.schema) as opened:
            opened.write_table(held)

    return sound.written(write)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def pls_claiming(rows: int, block: int) -> bytes:
    """A compressed file whose header says so many rows, with checksums that are right."""
    data = (KIT / "embedded.pls").read_bytes()
    length, _ = struct.unpack("<II", data[-8:])
    start = len(data) - 8 - length
    document = json.loads(zlib.decompress(data[start:-8])) | {"rows": rows, "block": block}
    entries = 8 * len(range(0, min(rows, 10**6), block))
    header = zlib.compress(json.dumps(document).encode())
    tail = bytes(entries) + header
    return data[:start] + tail + struct.pack("<II", len(header), zlib.crc32(tail))


def run_with(**changes: object) -> bytes:
    """A record with other entries, without a seal that is right."""
    return json.dumps(json.loads((KIT / "net/run.json").read_bytes()) | changes).encode()


def weights_head(header: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if claimed is None else claimed) + header


BYTES = npy("(100,)", "'|u1'", body=bytes(100))
TEXTS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a mark alone": lambda: b"\xef\xbb\xbf",
    "ends of lines alone": lambda: b"\n" * 1000,
    "a header alone": lambda: b"a,b\n",
    "one line without end": lambda: b"x" * LONG,
    "a quote that is not closed": lambda: GOOD + b'"' + b"x,y\n" * 1_000_000,
    "a cell of megabytes": lambda: GOOD + b"1," + b"y" * LONG + b"\n",
    "a quoted cell of megabytes": lambda: GOOD + b'1,"' + b"y,\n" * (LONG // 3) + b'"\n',
    "NUL": lambda: GOOD + b"1,\0\n",
    "NUL throughout": lambda: bytes(100_000),
    "a NUL name": lambda: GOOD.replace(b"a", b"\0", 1),
    "carriage returns alone": lambda: GOOD.replace(b"\n", b"\r"),
    "mixed ends of lines": lambda: GOOD + b"1,x\r\n2,y\r3,z\n",
    "a hundred thousand columns": lambda: b"\n".join(
        b",".join(b"%d" % (place + row) for place in range(100_000)) for row in range(3)
    ),
    "a hundred thousand empty names": lambda: b"," * 100_000 + b"\n1,2\n",
    "no names": lambda: GOOD.replace(b"a,b", b",", 1),
    "the same name twice": lambda: GOOD.replace(b"a,b", b"a,a", 1),
    "quotes within cells": lambda: GOOD + b'1,x"y"z\n2,""\n3,"a""b"\n',
    "a quote at the end": lambda: GOOD + b'1,"',
    "numbers of a thousand digits": lambda: b"a,b\n" + (b"9" * 1000 + b",1\n") * 30,
    "exponents": lambda: b"a,b\n" + b"".join(b"1e%d,%d\n" % (n * 30, n) for n in range(30)),
    "infinite and NaN": lambda: GOOD + b"inf,x\n-inf,y\nnan,z\n1e999,z\n",
    "years beyond all": lambda: b"t,b\n" + b"".join(b"%d-01-01,%d\n" % (9990 + n, n) for n in range(30)),
    "halves of surrogates": lambda: GOOD + "1,\ud800\n".encode("utf-8", "surrogatepass"),
    "bytes of no encoding": lambda: GOOD + b"1,\xff\xfe\n",
    "sep= alone": lambda: b"sep=\n" + GOOD,
    "sep=;": lambda: b"sep=;\n" + GOOD.replace(b",", b";"),
    "UTF-16 that breaks off": lambda: GOOD.decode().encode("utf-16")[:-1],
    "UTF-32": lambda: GOOD.decode().encode("utf-32"),
    "a PDF": lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 9,
    "JSON": lambda: json.dumps([{"a": 1, "b": "x"}] * 30).encode(),
    "gzip inside gzip": lambda: gzip.compress(gzip.compress(GOOD)),
}  # fmt: skip
CRAFTED: dict[str, dict[str, Callable[[], bytes]]] = {
    "csv": TEXTS,
    "csv.gz": {
        "a bomb of zeros": lambda: gzip_bomb(b"", bytes(1024)),
        "a bomb of lines": lambda: gzip_bomb(GOOD, b"1,x\n"),
        "a bomb of one line": lambda: gzip_bomb(GOOD, b"x"),
        "no gzip": lambda: GOOD,
        "nothing": lambda: b"",
        "half": lambda: gzip.compress(GOOD * 100)[:-12],
        "zeros behind": lambda: gzip.compress(GOOD) + bytes(1000),
        "other bytes behind": lambda: gzip.compress(GOOD) + b"and more",
        "inside another": lambda: gzip.compress(gzip.compress(GOOD)),
    },
    "parquet": {
        "a bomb": parquet_bomb,
        "nothing": lambda: b"",
        "marks alone": lambda: b"PAR1PAR1",
        "a footer that claims all": lambda: b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1",
        "no columns": lambda: parquet(),
        "no rows": lambda: parquet(a=pa.array([], pa.int64())),
        "lists": lambda: parquet(a=[[1, 2], [3], []] * 20, b=[*range(60)]),
        "structures": lambda: parquet(a=[{"x": 1}, {"x": 2}] * 30, b=[*range(60)]),
        "nothing but holes": lambda: parquet(a=pa.nulls(60), b=[*range(60)]),
        "bytes": lambda: parquet(a=[b"\xff\xfe", b"x"] * 30, b=[*range(60)]),
        "nests": lambda: parquet(a=nest(200), b=[*range(3)]),
        "ten thousand columns": lambda: parquet(**{f"c{n}": [n, n + 1, n] for n in range(10_000)}),
        "metadata of pandas that is no JSON": lambda: with_metadata(b"{"),
        "metadata of pandas that lies": lambda: with_metadata(b'{"index_columns": ["a", 3], "columns": 5}'),
        "metadata of pandas that is deep": lambda: with_metadata(nested(100_000)),
    },
    "arrow stream": {
        "nothing": lambda: b"",
        "a head alone": lambda: b"\xff\xff\xff\xff\x10\x00\x00\x00" + bytes(16),
        "a length that claims all": lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64),
        "categories": lambda: stream(a=pa.array(["x", "y"] * 30).dictionary_encode(), b=[*range(60)]),
        "nests": lambda: stream(a=nest(200), b=[*range(3)]),
        "no columns": lambda: stream(),
    },
    "npy": {
        "nothing": lambda: b"",
        "a mark alone": lambda: b"\x93NUMPY",
        "a header of 4 GiB": lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100),
        "terabytes": lambda: npy("(1000000000000,)"),
        "gigabytes": lambda: npy("(600000000,)"),
        "sides that overflow": lambda: npy("(4294967296, 4294967296)"),
        "a side below 0": lambda: npy("(-1, 4)"),
        "many sides": lambda: npy(str((1,) * 100)),
        "no sides": lambda: npy("()", body=bytes(8)),
        "no rows, many columns": lambda: npy("(0, 1000000000000)", body=b""),
        "many rows, no columns": lambda: npy("(1000000000000, 0)", body=b""),
        "a true side": lambda: npy("(True, 4)"),
        "objects": lambda: npy("(2,)", "'|O'", body=pickle.dumps([1, 2])),
        "records": lambda: npy("(50,)", "[('a', '<f8'), ('b', '<f8')]"),
        "texts": lambda: npy("(10,)", "'<U20'"),
        "texts of gigabytes": lambda: npy("(1,)", "'<U536870911'"),
        "times": lambda: npy("(100,)", "'<M8[ns]'"),
        "complex numbers": lambda: npy("(50,)", "'<c16'"),
        "long floats": lambda: npy("(50,)", "'<f16'"),
        "half floats": lambda: npy("(100, 4)", "'<f2'", body=np.arange(400).astype("<f2").tobytes()),
        "a type of no size": lambda: npy("(50,)", "'|V0'"),
        "a subarray": lambda: npy("(2,)", "('<f8', (1000000, 1000000))"),
        "code": lambda: npy_head("{'descr': __import__('os').system('touch owned')}"),
        "a deep header": lambda: npy_head("(" * 5000 + ")" * 5000),
        "a long number": lambda: npy("(" + "9" * 5000 + ",)"),
        "an order that is none": lambda: npy("(10, 10)", order="'C'"),
        "more than it says": lambda: npy("(10, 10)", body=bytes(8000)),
        "a pickle": lambda: pickle.dumps(np.arange(100)),
    },
    "npz": {
        "a bomb": npz_bomb,
        "nothing": lambda: npz(),
        "terabytes": lambda: npz(rows=npy("(1000000000000,)")),
        "objects": lambda: npz(rows=npy("(2,)", "'|O'", body=pickle.dumps([1, 2]))),
        "no npy": lambda: npz(rows=b"text"),
        "bits of terabytes": lambda: npz(rows=BYTES, rows_shape=npy("(2,)", "'<i8'", body=struct.pack("<2q", 10**12, 9))),
        "a shape that is no number": lambda: npz(rows=BYTES, rows_shape=npy("(1,)", body=struct.pack("<d", np.inf))),
        "a zip of texts": lambda: zipped({"people.csv": GOOD}),
        "a hundred thousand members": lambda: zipped({f"a{n}.npy": b"" for n in range(100_000)}),
        "a name that leads away": lambda: zipped({"../../up.npy": npy("(10, 10)")}),
    },
    "idx": {
        "nothing": lambda: b"",
        "a mark alone": lambda: b"\0\0\x08\x03",
        "255 sides": lambda: b"\0\0\x08\xff" + b"\xff" * 1020,
        "sides that overflow": lambda: b"\0\0\x08\x02" + b"\xff" * 8 + bytes(100),
        "no rows": lambda: b"\0\0\x08\x02" + bytes(8),
        "sides of 0 and all": lambda: b"\0\0\x08\x02" + bytes(4) + b"\xff" * 4,
        "a type that is none": lambda: b"\0\0\x07\x01\0\0\0\x04" + bytes(4),
        "40 sides of 1": lambda: b"\0\0\x08\x28" + b"\0\0\0\x01" * 40 + b"\x01",
    },
    "idx.gz": {"a bomb": lambda: gzip_bomb(b"\0\0\x08\x01\xff\xff\xff\xff", bytes(1024))},
    "png": {
        "nothing": lambda: b"",
        "a bomb": png_bomb,
        "all pixels": lambda: png(2**31 - 1, 2**31 - 1, b""),
        "no pixels": lambda: png(0, 0, b""),
        "one row of millions": lambda: png(50_000_000, 1, zlib.compress(bytes(50_000_001))),
        "deep": lambda: png(4, 4, zlib.compress(bytes(36)), 16),
        "a text in megabytes": lambda: text_png(),
        "no image": lambda: GOOD,
    },
    "pls": {
        "nothing": lambda: b"",
        "all rows": lambda: pls_claiming(2**47, 2**46),
        "rows without end": lambda: pls_claiming(2**80, 2**79),
        "blocks of one row": lambda: pls_claiming(2**47, 1),
        "a million blocks": lambda: pls_claiming(10**6, 1),
    },
    "run.json": {
        "nothing": lambda: b"",
        "nests": lambda: nested(100_000),
        "nests in an object": lambda: b'{"a":' + nested(100_000) + b"}",
        "a number of megabytes": lambda: b'{"a": ' + b"9" * 5_000_000 + b"}",
        "an array": lambda: b"[]",
        "megabytes": lambda: b'{"a": "' + b"x" * (63 << 20) + b'"}',
        "more than it may have": lambda: b" " * (65 << 20),
        "UTF-16": lambda: "{}".encode("utf-16"),
        "a network of terabytes": lambda: run_with(arguments={"hidden": 10**9}),
        "NaN": lambda: run_with(seed=float("nan")),
    },
    "weights": {
        "nothing": lambda: b"",
        "a header that claims all": lambda: weights_head(b"{}", 2**63),
        "a header of 2 GiB": lambda: weights_head(b"{}", 2**31),
        "no tensors": lambda: weights_head(b"{}"),
        "nests": lambda: weights_head(nested(100_000)),
        "terabytes": lambda: weights_head(b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
    },
}  # fmt: skip


def nest(depth: int) -> pa.Array:
    """Three rows of structures within structures."""
    held = pa.array([1, 2, 3])
    for _ in range(depth):
        held = pa.StructArray.from_arrays([held], ["x"])
    return held


def with_metadata(pandas: bytes) -> bytes:
    held = pa.table({"a": [1, 2, 3] * 20, "b": [*range(60)]}).replace_schema_metadata(
        {b"pandas": pandas}
    )
    return sound.written(lambda file: pq.write_table(held, file))


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def text_png() -> bytes:
    """Sixteen pixels, and a text beside them that unpacks to gigabytes."""
    plain = png(4, 4, zlib.compress(bytes(20)))
    text = png_chunk(b"zTXt", b"a\0\0\x78\xda" + deflated(BOMB_BYTES))
    return plain[:33] + text + plain[33:]
