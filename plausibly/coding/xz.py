"""Bytes that LZMA packed, unpacked piece by piece."""

from __future__ import annotations

import lzma
from collections.abc import Iterator

from plausibly.system.memory import refuse_swelling

XZ_PIECE_BYTES = 4 << 20  # bytes that are unpacked at once
MAX_DICTIONARY_BYTES = 128 << 20  # what unpacking may take; of the best packing it takes 65 MiB


def unpack_xz(packed: bytes, name: object) -> Iterator[bytes]:
    """The pieces of what was packed.

    name: what a message calls it. LZMAError where it is damaged, UserError as soon as it swells as no data do.
    """
    unpacker = lzma.LZMADecompressor(memlimit=MAX_DICTIONARY_BYTES)
    held, unpacked = packed, 0
    while not unpacker.eof:
        piece = unpacker.decompress(held, XZ_PIECE_BYTES)
        held, unpacked = b"", unpacked + len(piece)
        refuse_swelling(name, len(packed), unpacked, "fetch the file again")
        yield piece
        if unpacker.needs_input and not unpacker.eof:
            raise lzma.LZMAError("it is cut short")
