"""Bytes that LZMA packed, unpacked piece by piece."""

from __future__ import annotations

import lzma
from collections.abc import Iterator

from plausibly.system.memory import refuse_swelling

PACKED_PIECE_BYTES = 1 << 16  # bytes that are looked at at once
XZ_PIECE_BYTES = 4 << 20  # bytes that are unpacked at once
MAX_DICTIONARY_BYTES = 128 << 20  # what unpacking may take; of the best packing it takes 65 MiB


def unpack_xz(packed: bytes, name: object) -> Iterator[bytes]:
    """The pieces of what was packed.

    name: what a message calls it. LZMAError where it is damaged, UserError as soon as it swells as no data do.
    """
    unpacker = lzma.LZMADecompressor(memlimit=MAX_DICTIONARY_BYTES)
    read = unpacked = 0
    while not unpacker.eof:
        held = packed[read : read + PACKED_PIECE_BYTES] if unpacker.needs_input else b""
        if unpacker.needs_input and not held:
            raise lzma.LZMAError("it is cut short")
        piece = unpacker.decompress(held, XZ_PIECE_BYTES)
        read, unpacked = read + len(held), unpacked + len(piece)
        refuse_swelling(name, read, unpacked, "fetch the file again")
        yield piece
