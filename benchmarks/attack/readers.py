"""Files that are read are damaged, or crafted to be huge or odd: the same values as another reader's, or one line.

Each is read in a process of its own, which has ten seconds and 1 GiB of memory more than it began with.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch

from benchmarks.attack import damage, readings, sound
from benchmarks.attack.commands import Ended, start_call
from benchmarks.attack.crafted import CRAFTED
from benchmarks.attack.limits import with_memory
from benchmarks.attack.stage import KIT
from benchmarks.attack.verdicts import HELD, REFUSED, Attack, Verdict
from plausibly.cli.commands import exit_status

READ_SECONDS = 10
MAX_MORE_BYTES = 1 << 30  # of memory, than the process had when it began
FENCE_BYTES = 4 << 30  # of addresses more, which are not all memory
LINE_CHARACTERS = 1000  # at most, of a refusal
TRIES = 1000
MEMORY_WORDS = re.compile("memory is not enough|allocat|out of memory|bad_alloc", re.IGNORECASE)


@dataclass(frozen=True)
class Reader:
    """A kind of file: some that are `sound`, by name, ways to change them, and files that lie `beside`.

    read: says why another reader finds other values in a file, or in the folder that it is part of.
    """

    sound: dict[str, bytes]
    read: Callable[[Path], str | None]
    changes: tuple[damage.Change, ...] = damage.PLAIN
    beside: dict[str, bytes] = field(default_factory=dict)
    tries: int = TRIES


def readers() -> dict[str, Reader]:
    """All kinds of files by name."""
    gzipped = (*damage.PLAIN, damage.in_gzip(damage.TEXT))
    zipped = (*damage.PLAIN, damage.in_zip)
    images, run = sound.images(), sound.folder_of(KIT / "net")
    text, arrays = readings.read_text, (*damage.PLAIN, damage.claimed_digits)
    return {
        "csv": Reader(sound.texts("csv"), text, damage.TEXT),
        "csv.gz": Reader(sound.gzipped(sound.texts("csv")), text, gzipped),
        "tsv": Reader(sound.texts("tsv"), text, damage.TEXT),
        "csv, UTF-16": Reader(sound.wide_texts(), text, damage.TEXT),
        "parquet": Reader(sound.parquets(), readings.read_parquet),
        "feather": Reader(sound.feathers(), readings.read_arrow),
        "arrow stream": Reader(sound.streams(), readings.read_arrow),
        "npy": Reader(sound.npys(), readings.read_npy, arrays),
        "npz": Reader(sound.npzs(), readings.read_npz, zipped),
        "idx": Reader(sound.idxs(), readings.read_idx),
        "idx.gz": Reader(
            sound.gzipped(sound.idxs()),
            readings.read_idx,
            (*damage.PLAIN, damage.in_gzip(damage.PLAIN)),
        ),
        "png": Reader(
            {"images/1.png": images["images/1.png"]},
            readings.read_images,
            (*damage.PLAIN, damage.in_png),
            images,
        ),
        "pls": Reader({"embedded.pls": (KIT / "embedded.pls").read_bytes()}, readings.read_packed),
        "run.json": Reader(
            {"net/run.json": run["net/run.json"]}, readings.read_run, damage.TEXT, run
        ),
        "run.json, sealed": Reader(
            {"net/run.json": run["net/run.json"]}, readings.read_changed_run, (damage.in_seal,), run
        ),
        "weights": Reader(
            {"net/weights.safetensors": run["net/weights.safetensors"]},
            readings.read_run,
            damage.PLAIN,
            run,
        ),
    }


def on_damaged(reader: Reader, random: Random) -> Verdict:
    name, data = random.choice([*reader.sound.items()])
    change = random.choice(reader.changes)
    return examine(reader, name, change(data, random)).saying(getattr(change, "__name__", "inside"))


def on_crafted(reader: Reader, kind: str, number: int) -> Verdict:
    name, make = [*CRAFTED[kind].items()][number]
    return examine(reader, next(iter(reader.sound)), make()).saying(name)


def examine(reader: Reader, name: str, data: bytes) -> Verdict:
    """The verdict on a file of these bytes."""
    with TemporaryDirectory(dir=KIT.parent) as made:
        folder = Path(made)
        for each, content in (reader.beside | {name: data}).items():
            (folder / each).parent.mkdir(exist_ok=True)
            (folder / each).write_bytes(content)
        # a folder of images, or a run, is read by its own name
        source = Path(name).parent if "/" in name else Path(name)
        found = start_call(lambda: read_and_exit(reader, source), folder).end()
        return judged(found, str(source), found.peak - idle_bytes())


def read_and_exit(reader: Reader, source: Path) -> None:
    signal.alarm(READ_SECONDS)
    torch.set_num_threads(1)
    with_memory(FENCE_BYTES)()

    def read() -> None:
        print(reader.read(source) or "", end="")

    sys.exit(exit_status(read))


@cache
def idle_bytes() -> int:
    """The memory of a process that does nothing."""
    return start_call(list, KIT.parent).end().peak


def judged(found: Ended, name: str, more: int) -> Verdict:
    """What became of a process that read."""
    if found.fault and (found.fault == "hang" or found.status < 0):
        return Verdict.of_fault(found)
    if more > MAX_MORE_BYTES or MEMORY_WORDS.search(found.err):
        return Verdict("swelled", f"{more >> 20:,} MiB more: {found.last_line}")
    if found.fault:
        return Verdict.of_fault(found)
    if found.status:
        return judged_line(found.err.strip(), name)
    return Verdict("silent change", found.out) if found.out else HELD


def judged_line(line: str, name: str) -> Verdict:
    """The verdict on a refusal: it is one line that names what was read."""
    if "\n" in line or len(line) > LINE_CHARACTERS:
        lines = len(line.splitlines())
        return Verdict("advice", f"{lines} lines, {len(line)} characters: {line[:300]!r}")
    named = name in line or "people.csv" in line  # the rows that a run is asked for
    return REFUSED if named else Verdict("advice", f"names no {name}: {line}")


def attacks() -> list[Attack]:
    found = []
    for kind, reader in readers().items():
        found.append(
            Attack(
                f"reader, {kind}",
                "damaged",
                reader.tries,
                lambda r, n, reader=reader: on_damaged(reader, r),
            )
        )
        if kind in CRAFTED:
            found.append(
                Attack(
                    f"reader, {kind}",
                    "crafted",
                    len(CRAFTED[kind]),
                    lambda r, n, reader=reader, kind=kind: on_crafted(reader, kind, n),
                )
            )
    return found
