"""Frames: how the process that answers HTTP and the one that computes talk over a pipe.

A frame is two lengths of four bytes, a JSON document of the first and bytes of the second: what is asked or said, and a body.
Nothing of it is ever a pickle.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")


def pack_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    text = json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


def read_frame(file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """The next frame. EOFError where the other side has gone."""
    text, body = (read_all(file, size) for size in LENGTHS.unpack(read_all(file, LENGTHS.size)))
    return json.loads(text), body


def read_all(file: BinaryIO, size: int) -> bytes:
    """So many bytes. EOFError where there are fewer."""
    found = file.read(size)
    if len(found) < size:
        raise EOFError
    return found
