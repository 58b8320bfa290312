"""Freezes what the package gives, so that a change that should change nothing can be seen to change nothing.

python -m benchmarks.golden --out FILE [--sources NAMES] [--models NAMES] [--workers 2]
python -m benchmarks.golden --compare BEFORE AFTER
python -m benchmarks.golden --compare BEFORE              (freezes anew first, and compares with that)

Eight sources are made from a seed, each model is fitted to each for 30 steps by the command line, on one thread, and asked.
The file holds an entry a line: short values as they are, else a SHA-256, of weights, scores, samples, filled rows, answers,
compressed bytes, `run.json`, help texts and messages. Times, speeds, versions, paths and the seal over them are left out.
Only the command that pyproject.toml names, and `plausibly.__all__`, are used: files may move inside the package, and this
stays.
Two files are of use side by side only where processor and torch are the same, which they name.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import platform
import struct
import sys
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from functools import cache, partial
from importlib import import_module
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ALONE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TZ": "UTC"}
os.environ.update(ALONE | PLAIN)  # before torch is imported, here and in each worker

import numpy as np  # noqa: E402

# of each fit; rows of a source that is made; rows that are scored, filled and compressed
STEPS = 30
ROWS = 400
ASKED = 20
# characters of a value that is kept as it is; levels of a document with entries of their own
SHORT = 64
DEEP = 3
LEFT_OUT = {"started", "seconds", "versions", "by", "bytes", "size", "threads", "seal"} | {
    f"{what}_per_second" for what in ("rows_scored", "rows_sampled", "scored", "sampled")
}
Entries = dict[str, Any]
Job = tuple[
    str, Callable[..., Iterator[tuple[str, Any]]], tuple[Any, ...]
]  # a name, and what gives its documents


class Source(NamedTuple):
    """What is fitted, what is asked of the runs, and further options of the fit."""

    data: str
    rows: str  # to be scored and compressed
    holes: str  # to be filled
    target: str
    given: str
    about: str
    options: tuple[str, ...] = ()
    whole: bool = False  # whether every command is asked, not only the main ones


SOURCES = {
    "toy-mixed": Source("toy-mixed", "mixed-rows.npy", "mixed-holes.npy", "0", "1=1", "2"),
    "csv": Source(
        "people.csv", "people-rows.csv", "people-holes.csv", "city", "member=yes", "age", whole=True
    ),
    "parquet": Source(
        "sales.parquet", "sales-rows.parquet", "sales-holes.parquet", "shop", "count=3", "open"
    ),
    "bits": Source("bits.npz", "bits-rows.npy", "bits-holes.npy", "0", "1=1", "2", whole=True),
    "reals": Source("reals.npy", "reals-rows.npy", "reals-holes.npy", "0", "1=0.5", "2"),
    "images": Source(
        "images.npz",
        "images-rows.npy",
        "images-holes.npy",
        "pixel 1,1",
        "pixel 1,2=100",
        "pixel 2,1",
    ),
    "labelled": Source(
        "labelled.npz",
        "labelled-rows.npz",
        "labelled-holes.npy",
        "3",
        "label=1",
        "4",
        ("--context", "label"),
    ),
    "toy-ring": Source("toy-ring", "ring-rows.npy", "ring-holes.npy", "0", "1=0.5", "1"),
}


def make_sources(folder: Path) -> None:
    """Writes every source, rows to be asked about, and the same with holes."""
    picks = np.random.default_rng(24)
    make_people(folder, picks)
    make_sales(folder, picks)
    hidden = picks.random((ROWS, 1)) < [[0.2] * 4 + [0.5] * 4 + [0.8] * 4]
    bits = (hidden ^ (picks.random((ROWS, 12)) < 0.15)).astype(np.uint8)
    np.savez(folder / "bits.npz", x_train=bits[:300], x_valid=bits[300:350], x_test=bits[350:])
    keep_asked(folder, "bits", bits, picks)
    reals = picks.normal(size=(ROWS, 3)) @ picks.normal(size=(3, 5)) + 0.1 * picks.normal(
        size=(ROWS, 5)
    )
    np.save(folder / "reals.npy", reals)
    keep_asked(folder, "reals", reals, picks)
    images = np.clip(
        picks.normal(120 + 100 * picks.random((ROWS, 1, 1)), 30, (ROWS, 4, 4)), 0, 255
    ).astype(np.uint8)
    np.savez(
        folder / "images.npz", x_train=images[:300], x_valid=images[300:350], x_test=images[350:]
    )
    keep_asked(folder, "images", images, picks)
    labels = bits[:, :4].sum(1) // 2
    parts = {"train": slice(0, 300), "valid": slice(300, 350), "test": slice(350, None)}
    named = {f"x_{part}": bits[own] for part, own in parts.items()} | {
        f"y_{p}": labels[own] for p, own in parts.items()
    }
    np.savez(folder / "labelled.npz", **named)
    np.savez(folder / "labelled-rows.npz", x=bits[:ASKED], y=labels[:ASKED])
    keep_asked(folder, "labelled", np.column_stack([labels, bits]), picks)
    sampled = picks.integers(0, 2, (ROWS, 10))
    keep_asked(folder, "mixed", sampled.astype(np.uint8), picks)
    keep_asked(folder, "ring", picks.normal(size=(ROWS, 2)).astype(np.float32), picks)


def keep_asked(folder: Path, name: str, rows: np.ndarray, picks: np.random.Generator) -> None:
    """The first rows of an array, and the same with a fifth of their entries unknown."""
    np.save(folder / f"{name}-rows.npy", rows[:ASKED])
    unknown = picks.random(rows[:ASKED].shape) < 0.2
    np.save(folder / f"{name}-holes.npy", np.where(unknown, np.nan, rows[:ASKED]))


def make_people(folder: Path, picks: np.random.Generator) -> None:
    """A table as text, with holes, dates, numbers and categories."""
    heading, lines = "joined,city,age,income,member,score", []
    for _ in range(ROWS):
        day = datetime(2015, 1, 1) + timedelta(days=int(picks.integers(0, 3000)))
        city, age = (
            picks.choice(["Bern", "Oslo", "Riga", "Rome"], p=[0.4, 0.3, 0.2, 0.1]),
            int(picks.integers(18, 80)),
        )
        income = f"{1000 * picks.lognormal(1, 0.4) + 20 * age:.2f}"
        member = "yes" if picks.random() < age / 100 else "no"
        cells = [
            f"{day:%Y-%m-%d}",
            str(city),
            str(age),
            income,
            member,
            f"{picks.normal(len(city), 1):.3f}",
        ]
        lines.append([cell if picks.random() > 0.06 else "" for cell in cells])
    write = partial(write_csv, heading)
    write(folder / "people.csv", lines)
    write(folder / "people-rows.csv", lines[:ASKED])
    write(
        folder / "people-holes.csv",
        [[c if picks.random() > 0.2 else "" for c in line] for line in lines[:ASKED]],
    )


def write_csv(heading: str, path: Path, lines: list[list[str]]) -> None:
    path.write_text(
        "\n".join([heading, *(",".join(line) for line in lines)]) + "\n", encoding="utf-8"
    )


def make_sales(folder: Path, picks: np.random.Generator) -> None:
    """A table with types, of which some columns have nulls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = datetime(2024, 3, 1, 8)
    columns: dict[str, list[Any]] = {
        "time": [
            start + timedelta(minutes=15 * int(step)) for step in picks.integers(0, 5000, ROWS)
        ],
        "shop": [str(name) for name in picks.choice(["north", "south", "west"], ROWS)],
        "count": [int(number) for number in picks.poisson(3, ROWS)],
        "price": [round(float(number), 2) for number in picks.gamma(3, 4, ROWS)],
        "open": [bool(truth) for truth in picks.random(ROWS) < 0.7],
    }
    columns["count"] = [None if picks.random() < 0.1 else number for number in columns["count"]]
    table = pa.table(columns)
    pq.write_table(table, folder / "sales.parquet")
    pq.write_table(table[:ASKED], folder / "sales-rows.parquet")
    holed = {
        name: [c if picks.random() > 0.2 else None for c in cells[:ASKED]]
        for name, cells in columns.items()
    }
    pq.write_table(pa.table(holed, schema=table.schema), folder / "sales-holes.parquet")


@cache
def command() -> Callable[[], None]:
    """The command that the package installs."""
    project = tomllib.loads(
        (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    module, _, name = project["scripts"]["plausibly"].partition(":")
    return getattr(import_module(module), name)


def call(*words: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command, in this process."""
    before, out, err, status = sys.argv, io.StringIO(), io.StringIO(), 0
    sys.argv = ["plausibly", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            command()()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except Exception as error:  # a bug is an entry too
        return 1, "", f"{type(error).__name__}: {error}"
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue()


def ask(*words: str) -> Any:
    """The document that a command prints, or the line with which it refuses."""
    status, out, err = call(*words, "--json", "--threads", "1")
    if status == 0 or out.startswith("{"):
        return json.loads(out) | ({"status": status} if status else {})
    return f"exit {status}: {err.strip().splitlines()[-1] if err.strip() else ''}"


def entries(prefix: str, document: Any, deep: int = DEEP) -> Iterator[tuple[str, Any]]:
    """An entry for each part of a document, by its place; of a list of documents for each of their keys."""
    if isinstance(document, dict) and deep:
        for key, value in document.items():
            if key not in LEFT_OUT:
                yield from entries(f"{prefix}.{key}", value, deep - 1)
    elif (
        isinstance(document, list)
        and document
        and all(isinstance(each, dict) for each in document)
        and deep
    ):
        for key in dict.fromkeys(key for each in document for key in each):
            if key not in LEFT_OUT:
                yield from entries(f"{prefix}[].{key}", [each.get(key) for each in document], 0)
    else:
        text = json.dumps(document, ensure_ascii=False)
        yield prefix, document if len(text) <= SHORT else digest(text.encode())


def digest(data: bytes) -> str:
    return f"sha256 {hashlib.sha256(data).hexdigest()}"


def documents(source: Source, run: str) -> Iterator[tuple[str, Any]]:
    """What a run says to the main questions, and to all others where the source is for these."""
    yield "score", ask("score", run, source.rows)
    yield "sample", ask("sample", run, "-n", "500", "--seed", "3")
    yield "impute", ask("impute", run, source.holes)
    yield "query", ask("query", run, source.target, "--given", source.given)
    yield "compress", ask("compress", run, source.rows, packed := f"{run}.plsb")
    if Path(packed).exists():
        yield from payload(Path(packed))
    if not source.whole:
        return
    yield "evaluate", ask("evaluate", run)
    yield "each", ask("score", run, source.rows, "--each", "--fdr", "0.2")
    yield "conditionals", ask("score", run, source.rows, "--conditionals")
    yield "given", ask("sample", run, "-n", "50", "--given", source.given, "--complete")
    yield "information", ask("query", run, source.target, "--about", source.about)
    yield "most-probable", ask("impute", run, source.holes, "--most-probable")
    yield "classify", ask("classify", run, source.rows, "--target", source.target)
    yield "encode", ask("encode", run, source.rows)
    yield "reconstruct", ask("reconstruct", run, source.rows)
    yield "interpolate", ask("interpolate", run, source.rows, "--rows", "0", "5")
    if Path(source.data).suffix != ".csv":  # where it takes longer than all else together
        yield "check", ask("check", run)
    if Path(packed).exists():
        yield (
            "decompress",
            ask("decompress", run, packed, back := f"{run}-back{Path(source.rows).suffix}"),
        )
        yield "decompressed", digest(Path(back).read_bytes())
        yield "embedded", ask("compress", run, source.rows, f"{run}.embedded", "--embed")


def payload(packed: Path) -> Iterator[tuple[str, Any]]:
    """The bytes of a compressed file up to its header, which names a folder, and the header."""
    data = packed.read_bytes()
    length, _ = struct.unpack("<II", data[-8:])
    yield "payload", digest(data[: -8 - length])
    yield "header", json.loads(zlib.decompress(data[-8 - length : -8]))


def kept(run: Path) -> Iterator[tuple[str, Any]]:
    """The files of a run, but for times, and its report."""
    for file in sorted(run.rglob("*")):
        name = str(file.relative_to(run))
        if file.suffix == ".safetensors":
            yield name, digest(file.read_bytes())
        elif file.suffix == ".json":
            yield name, json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".jsonl":
            yield name, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        elif file.suffix == ".html":
            yield name, "there"


def study(name: str, models: list[str]) -> Iterator[tuple[str, Any]]:
    """Every model on one source: the board, and of each that accepts it the run and what it says."""
    source, folder, steps = SOURCES[name], Path(f"{name}-all"), ("--steps", str(STEPS))
    yield "data", ask("data", source.data)
    yield "models", ask("models", "--data", source.data)
    words = ("--models", ",".join(models), "--out", str(folder), *steps, *source.options)
    yield "board", ask("compare", source.data, *words)
    for model in models:
        if (folder / model).exists():
            for part, document in (*kept(folder / model), *documents(source, str(folder / model))):
                yield f"{model}/{part}", document
    runs = [str(folder / model) for model in ("nade", "made") if (folder / model).exists()]
    if source.whole and len(runs) == 2:
        yield "ensemble", ask("ensemble", *runs, "--out", f"{name}-mixed")
        yield from kept(Path(f"{name}-mixed"))


def fit(name: str) -> Iterator[tuple[str, Any]]:
    """A fit without a model's name: the best one, or a portfolio."""
    yield "fit", ask("fit", SOURCES[name].data, "--steps", str(STEPS), "--out", f"{name}-best")
    yield from kept(Path(f"{name}-best"))


def help_texts() -> Iterator[tuple[str, Any]]:
    """The help of the program and of each command, line by line."""
    _, text, _ = call("--help")
    words = [
        line.split()[1]
        for line in text.splitlines()
        if line.startswith("│ ") and line[2:3].isalpha()
    ]
    for word in ["", *words]:
        for number, line in enumerate(call(*word.split(), "--help")[1].splitlines(), 1):
            yield f"{word or 'plausibly'} {number:02}", line


def from_python() -> Iterator[tuple[str, Any]]:
    """What is not asked by a command: estimators, and rows in memory."""
    import plausibly

    rows = np.load("reals.npy")
    found = plausibly.DensityEstimator("gaussian", random_state=0).fit(rows)
    yield "estimator", found.score_samples(rows[:ASKED]).tolist()
    run = plausibly.fit(rows, "nade", steps=STEPS, out="memory")
    yield "memory", run.log_prob(rows[:ASKED]).tolist()
    yield "names", sorted(plausibly.__all__)


def work(folder: str, job: Job) -> tuple[Entries, float]:
    """The entries of a job, with the folder's name left out, and the seconds of its processor.

    The clock stands still but for a millisecond a look: how fast a machine seems decides how many rows are judged.
    """
    looks = count()
    time.monotonic = lambda: next(looks) / 1000
    name, make, words = job
    began, found = time.process_time(), Entries()
    with chdir(folder):
        for part, document in make(*words):
            named = json.loads(json.dumps(document).replace(json.dumps(folder)[1:-1], "<here>"))
            found |= entries(f"{name}/{part}", named)
    return found, time.process_time() - began


def jobs(sources: list[str], models: list[str]) -> Iterator[Job]:
    """All that is to be done, what takes long first."""
    yield from ((name, study, (name, models)) for name in sources)
    yield from ((f"{name}/best", fit, (name,)) for name in sources if SOURCES[name].whole)
    yield "help", help_texts, ()
    yield "python", from_python, ()


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def freeze(sources: list[str], models: list[str], workers: int) -> Entries:
    """Every entry, and what made them."""
    import torch

    with TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(workers) as pool:
        make_sources(Path(folder))
        with chdir(folder):
            models = models or [each["name"] for each in ask("models")["models"]]
        found: Entries = {}
        todo = list(jobs(sources, models))
        for number, (some, seconds) in enumerate(
            pool.imap_unordered(partial(work, folder), todo), 1
        ):
            found |= some
            print(
                f"{number}/{len(todo)} {next(iter(some)).rpartition('/')[0]} {seconds:.0f} s",
                file=sys.stderr,
            )
    made_by = {"processor": processor(), "torch": torch.__version__, "numpy": np.__version__}
    return {"made by": made_by, "entries": dict(sorted(found.items()))}


def differences(before: Entries, after: Entries) -> Iterator[str]:
    """A line for each entry that is not the same in both."""
    for name in before["made by"]:
        if before["made by"][name] != after["made by"].get(name):
            yield f"made by other {name}: {before['made by'][name]} | {after['made by'].get(name)}"
    old, new = before["entries"], after["entries"]
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"- {name}: {old[name]}"
        elif name not in old:
            yield f"+ {name}: {new[name]}"
        elif old[name] != new[name]:
            yield f"! {name}: {old[name]} | {new[name]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--compare", type=Path, nargs="+", default=[])
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--models", default="")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    read = [json.loads(path.read_text(encoding="utf-8")) for path in given.compare]
    if len(read) < 2:
        models = [name for name in given.models.split(",") if name]
        read.append(freeze(given.sources.split(","), models, given.workers))
    if given.out:
        given.out.write_text(
            json.dumps(read[-1], indent=0, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if given.compare:
        lines = list(differences(*read[:2]))
        print(*lines, f"{len(lines)} of {len(read[0]['entries']):,} entries differ", sep="\n")
        sys.exit(bool(lines))


if __name__ == "__main__":
    main()
