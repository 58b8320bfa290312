"""A file that was written or is read is changed somewhere: numbers stay as they were, or one line says why there are none."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.attack.commands import ended
from benchmarks.attack.stage import KIT, Job, copied, left_in, result_of
from benchmarks.attack.verdicts import HELD, REFUSED, Attack, Verdict

ANSWERS = (
    Job("score run people.csv --json", "", prints=True),
    Job("sample run -n 20 --json", "", prints=True),
    Job("impute run people.csv --json", "", prints=True),
    Job("query run pay --given city=Ulm --json", "", prints=True),
    Job("evaluate run --json", "", prints=True),
    Job("evaluate run people.csv --json", "", prints=True),
    Job("decompress people.pls rows.csv", "rows.csv"),
)
RESUMED = Job("fit --resume stopped", "stopped")
SAMPLED = Job("sample run -n 700 --out half.csv", "half.csv")
BOARD = (Job("compare --resume board", "board"), Job("report board", "board"))
UNPACKED = (
    Job("decompress embedded.pls rows.csv", "rows.csv"),
    Job("decompress people.pls rows.csv", "rows.csv"),
)

WRITTEN: dict[str, tuple[int, tuple[Job, ...]]] = {
    "run/run.json": (500, ANSWERS),
    "run/weights.safetensors": (150, ANSWERS[:4]),
    "run/calibration.safetensors": (100, ANSWERS[:1]),
    "run/heldout.safetensors": (100, ANSWERS[4:5]),
    "net/log.jsonl": (40, (Job("report net", "net"),)),
    "stopped/run.json": (100, (RESUMED,)),
    "stopped/checkpoint.safetensors": (100, (RESUMED,)),
    "stopped/log.jsonl": (100, (RESUMED,)),
    "board/compare.json": (60, BOARD),
    "board/markov/run.json": (60, BOARD),
    ".half.csv.shards/plan.json": (60, (SAMPLED,)),
    ".half.csv.shards/00000000.arrow": (120, (SAMPLED,)),
    "people.pls": (150, UNPACKED[1:]),
    "embedded.pls": (250, UNPACKED[:1]),
}


def mutated(data: bytes, random: Random) -> bytes:
    """Other bytes: some turned over, zeroed, cut out, cut off, doubled, put in or swapped."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice([1, 1, 2, 8, 64, len(data)]))
    span, noise = data[start:end], random.randbytes(end - start)
    return random.choice(
        [
            data[:start]
            + bytes(byte ^ 1 << random.randrange(8) for byte in span[:1])
            + data[start + 1 :],
            data[:start] + bytes(len(span)) + data[end:],
            data[:start] + noise + data[end:],
            data[:start] + data[end:],
            data[:start],
            data[:start] + span + span + data[end:],
            data[:start] + noise + data[start:],
            data[end:] + data[:end],
        ]
    )


def another_digit(data: bytes, random: Random) -> bytes:
    """One digit of a text is another one."""
    places = [place for place, byte in enumerate(data) if 48 <= byte < 58]
    place = random.choice(places) if places else 0
    return data[:place] + str(random.randrange(10)).encode() + data[place + 1 :]


def another_value(data: bytes, random: Random) -> bytes:
    """One value of a JSON document is another one, of any type, or is gone."""
    document = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in (
            value
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else ()
        ):
            places.append((value, key))
            walk(value[key])

    walk(document)
    holder, key = random.choice(places)
    old = holder[key]
    others = [
        None,
        True,
        -1,
        0,
        3,
        1e300,
        math.nan,
        math.inf,
        10**30,
        "",
        "\x1b[31m",
        [],
        {},
        [[]],
        [old],
        {"a": old},
    ]
    if random.random() < 0.2:
        del holder[key]
    else:
        holder[key] = random.choice(
            [*others, *([old + 1] if isinstance(old, int | float) else [str(old) + "x"])]
        )
    return json.dumps(document, indent=1).encode()


def changed(file: Path, random: Random) -> bytes:
    """What the file holds after one change."""
    data = file.read_bytes()
    ways = [mutated]
    if file.suffix in (".json", ".jsonl", ".csv", ".tsv"):
        ways.append(another_digit)
    if file.suffix == ".json":
        ways += [another_value, another_value]
    return random.choice(ways)(data, random)


def on_written(name: str, jobs: tuple[Job, ...], random: Random) -> Verdict:
    """What a job makes of a file of ours that was changed."""
    job = random.choice(jobs)
    with copied() as folder:
        (folder / name).write_bytes(new := changed(folder / name, random))
        found = ended(job.line(), folder)
        if found.fault:
            return Verdict.of_fault(found).saying(job.words)
        if left := left_in(folder):
            return Verdict("left behind", left).saying(job.words)
        if found.status:
            return REFUSED
        if new == (KIT / name).read_bytes() or result_of(job, folder, found) == sound(job):
            return HELD
        return Verdict("silent change", told_apart((KIT / name).read_bytes(), new)).saying(
            job.words
        )


def told_apart(old: bytes, new: bytes) -> str:
    """Where two contents begin to differ."""
    start = next(
        (place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
        min(len(old), len(new)),
    )
    return f"at byte {start}: {old[max(0, start - 20) : start + 12]!r} became {new[max(0, start - 20) : start + 12]!r}"


@cache
def sound(job: Job) -> Any:
    """What a job makes of the kit as it is."""
    with copied() as folder:
        found = ended(job.line(), folder)
        assert found.status == 0, found.err
        return result_of(job, folder, found)


def attacks() -> list[Attack]:
    return [
        Attack(
            "mutation of a file that we write",
            name,
            tries,
            lambda r, n, name=name, jobs=jobs: on_written(name, jobs, r),
        )
        for name, (tries, jobs) in WRITTEN.items()
    ]
