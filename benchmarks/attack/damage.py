"""Damage to the bytes of a file: at random, where a format says how large something is, and below checksums."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from benchmarks.attack.mutations import another_digit, another_value, mutated
from plausibly.system.seals import SEAL, digest_document

Change = Callable[[bytes, Random], bytes]

HUGE = (2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 10**12)  # what a header may claim
HEADER_BYTES = 300  # at the start or the end of a file, where formats keep their sizes
SPLICED_BYTES = 4096
ZEROED_BYTES = 512
PNG_MARK = 8  # bytes before the chunks


def claimed(data: bytes, random: Random) -> bytes:
    """A whole number near the start or the end is huge, as bytes of either order."""
    size = random.choice([2, 4, 8])
    order = random.choice(["little", "big"])
    huge = (random.choice(HUGE) % 256**size).to_bytes(size, order)
    last = max(0, len(data) - size)
    near = random.randrange(min(last, HEADER_BYTES) + 1)
    start = random.choice([near, last - near])
    return data[:start] + huge + data[start + size :]


def claimed_digits(data: bytes, random: Random) -> bytes:
    """A whole number in digits is huge."""
    found = list(re.finditer(rb"\d+", data[: 1 << 16]))
    if not found:
        return claimed(data, random)
    one = random.choice(found)
    return data[: one.start()] + str(random.choice(HUGE)).encode() + data[one.end() :]


def spliced(data: bytes, random: Random) -> bytes:
    """A piece of the file stands in another place too, or instead of what is there."""
    start, place = random.randrange(len(data) + 1), random.randrange(len(data) + 1)
    piece = data[start : start + random.randrange(1, SPLICED_BYTES)]
    behind = place + random.choice([0, len(piece)])
    return data[:place] + piece + data[behind:]


def zeroed(data: bytes, random: Random) -> bytes:
    """A block is zero, as where a disk has lost it."""
    start = random.randrange(len(data) + 1)
    lost = min(len(data) - start, random.randrange(1, ZEROED_BYTES))
    return data[:start] + bytes(lost) + data[start + lost :]


PLAIN: tuple[Change, ...] = (mutated, mutated, claimed, spliced, zeroed)
TEXT: tuple[Change, ...] = (*PLAIN, another_digit, claimed_digits)


def any_of(changes: tuple[Change, ...]) -> Change:
    return lambda data, random: random.choice(changes)(data, random)


def in_gzip(changes: tuple[Change, ...]) -> Change:
    """The change of what a gzip file holds, packed again."""
    return lambda data, random: gzip.compress(any_of(changes)(gzip.decompress(data), random), 1)


def in_zip(data: bytes, random: Random) -> bytes:
    """The change of one file in a zip file, packed again."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        held = {name: file.read(name) for name in file.namelist()}
    name = random.choice([*held])
    held[name] = any_of((*PLAIN, claimed_digits))(held[name], random)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for each, content in held.items():
            file.writestr(each, content)
    return packed.getvalue()


def in_png(data: bytes, random: Random) -> bytes:
    """The change of one chunk of a PNG file, with a checksum that is right."""
    chunks, place = [], PNG_MARK
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += size + 12
    number = random.randrange(len(chunks))
    name, held = chunks[number]
    if name == b"IDAT" and random.random() < 0.5:
        held = zlib.compress(any_of(PLAIN)(zlib.decompress(held), random))
    else:
        held = any_of(PLAIN)(held, random)
    chunks[number] = name, held
    return data[:PNG_MARK] + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(name: bytes, held: bytes) -> bytes:
    return struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))


def in_seal(data: bytes, random: Random) -> bytes:
    """The change of one value of a sealed document, with a seal that is right."""
    document = json.loads(another_value(data, random))
    if isinstance(document, dict) and SEAL in document:
        document[SEAL] = digest_document(document)
    return json.dumps(document, indent=1).encode()
