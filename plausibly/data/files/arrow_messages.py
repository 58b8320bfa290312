"""The sizes that the batches of an Arrow file claim, read from its messages before any is unpacked.

A message is a FlatBuffer: each table begins with the distance back to a list of where its fields lie, 0 for one that is left
out. Arrow has held it against its schema before it is read here.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any, NamedTuple

START_BYTES = 8  # bytes before the first message of a file
BATCH_TYPES = {
    "dictionary": (2, 1),
    "record batch": (2,),
}  # fields that lead from a message to its batch
ROWS_FIELD, BUFFERS_FIELD, COMPRESSION_FIELD = 0, 2, 3  # of a batch
LENGTH_BYTES = (
    8  # bytes before a compressed buffer, which say what it unpacks to; -1: it is as it is
)


class BatchSize(NamedTuple):
    """The rows that a batch claims, none of one of categories, and the bytes that it unpacks to."""

    rows: int
    unpacked_bytes: int


def measure_batches(file: Any) -> list[BatchSize]:
    """The sizes of the batches of an open file, as far as its messages can be told one after the other."""
    import pyarrow as pa

    found: list[BatchSize] = []
    file.seek(START_BYTES)
    with suppress(pa.ArrowException, OSError, EOFError, struct.error):
        for message in pa.ipc.MessageReader.open_stream(file):
            if message.type in BATCH_TYPES:
                found.append(_measure_batch(message))
    return found


def _measure_batch(message: Any) -> BatchSize:
    data, body = message.metadata.to_pybytes(), message.body
    table = _follow(data, 0)
    for field in BATCH_TYPES[message.type]:
        table = _follow(data, _find(data, table, field))
    place = _find(data, table, ROWS_FIELD)
    rows = _read("<q", data, place) if place and message.type == "record batch" else 0
    if not _find(data, table, COMPRESSION_FIELD):
        return BatchSize(rows, body.size)
    vector = _follow(data, _find(data, table, BUFFERS_FIELD))
    start = vector + 4
    pairs = struct.iter_unpack("<qq", data[start : start + 16 * _read("<I", data, vector)])
    return BatchSize(rows, sum(_measure_buffer(body, *pair) for pair in pairs))


def _measure_buffer(body: Any, offset: int, length: int) -> int:
    """The bytes that a compressed buffer unpacks to, or has."""
    if length < LENGTH_BYTES:
        return length
    return max(_read("<q", body, offset), length - LENGTH_BYTES)


def _find(data: bytes, table: int, field: int) -> int:
    """The place of a table's field, 0 where it is left out."""
    fields = table - _read("<i", data, table)
    if 4 + 2 * field >= _read("<H", data, fields):
        return 0
    offset = _read("<H", data, fields + 4 + 2 * field)
    return table + offset if offset else 0


def _follow(data: bytes, place: int) -> int:
    """The place that an offset leads to."""
    return place + _read("<I", data, place)


def _read(form: str, data: Any, place: int) -> int:
    (found,) = struct.unpack_from(form, data, place)
    return int(found)
