"""The things that are attacked, made once, and the jobs that work on them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.attack.changes import counting, dying_at
from benchmarks.attack.commands import Ended, ended
from plausibly.cli import commands
from plausibly.fitting import choose, ensemble, fit, portfolio, results
from plausibly.runs import sharded
from plausibly.system.files import is_draft, replacing

TIMES = {"seconds", "started", "rows_scored_per_second", "rows_sampled_per_second"}
KIT = Path(tempfile.gettempdir()) / f"attack-{os.getpid()}" / "kit"  # copied for each try


@dataclass(frozen=True)
class Job:
    """A command line, and where its result lies: a file or a run's folder."""

    words: str
    result: str
    prints: bool = False

    def line(self, seed: int = 0) -> list[str]:
        return [*self.words.split(), "--quiet", "--seed", str(seed)]


FITS = {
    "fit": Job("fit bits.npy --model nade --set hidden=4 --steps 30 --out new", "new"),
    "fit, the best": Job("fit people.csv --out new", "new"),
    "fit, a portfolio": Job("fit bits.npy --model auto --steps 10 --out new", "new"),
    "compare": Job("compare people.csv --models independent,markov --out new", "new"),
    "ensemble": Job("ensemble run net --out new", "new"),
}
FILES = {
    "sample": Job("sample run -n 700 --out new.csv", "new.csv"),
    "sample, parquet": Job("sample run -n 700 --out new.parquet", "new.parquet"),
    "impute": Job("impute run people.csv --out new.csv", "new.csv"),
    "score": Job("score run people.csv --out new.csv", "new.csv"),
    "compress": Job("compress run people.csv new.pls", "new.pls"),
    "decompress": Job("decompress people.pls new.csv", "new.csv"),
    "report": Job("report run", "run"),
}
JOBS = FITS | FILES


def hasten() -> None:
    """Few and small models, small shards, a checkpoint at every chance, and pages that nobody draws."""

    def finish_board(board: Any, data: Any, path: Path) -> None:
        with replacing(path / "report.html") as draft:
            draft.write_text("page")

    fit.CHECKPOINT_SECONDS = 0.0
    choose.models_to_try = lambda *_: ["independent", "markov"]
    portfolio.PORTFOLIO = (("independent", {}), ("nade", {"hidden": 4}))
    ensemble.DEFAULT_ORDERS = 1
    sharded.MAX_SHARD_ROWS = 250
    results.finish_board = finish_board
    results.judge_samples = lambda run, dataset: run  # nobody trains judges of samples


def prepare() -> None:
    """Makes the kit, in this process, which then is warm."""
    hasten()
    KIT.mkdir(parents=True)
    write_data(KIT)
    for words in (
        "fit people.csv --model chow_liu --out run",
        "fit people.csv --model nade --set hidden=8 --steps 200 --out net",
        "compare people.csv --models independent,markov --out board",
        "compress run people.csv people.pls",
        "compress run people.csv embedded.pls --embed",
    ):
        do_here(words.split())
    ended(
        [
            "fit",
            "bits.npy",
            "--model",
            "nade",
            "--set",
            "hidden=4",
            "--steps",
            "30",
            "--out",
            "stopped",
        ],
        KIT,
        dying_at("weights.safetensors"),
    )
    ended(["sample", "run", "-n", "700", "--out", "half.csv"], KIT, dying_at("half.csv"))


def write_data(folder: Path) -> None:
    """Made-up data in every form that is read."""
    generator, n = np.random.default_rng(0), 200
    people = pd.DataFrame(
        {
            "city": generator.choice(["Bonn", "Ulm", "Jena", None], n),
            "age": generator.integers(18, 80, n),
            "pay": generator.normal(30, 5, n).round(2),
        }
    )
    people.to_csv(folder / "people.csv", index=False)
    people.to_csv(folder / "people.csv.gz", index=False)
    people.to_csv(folder / "people.tsv", index=False, sep="\t")
    people.to_parquet(folder / "people.parquet", index=False)
    people.to_feather(folder / "people.arrow")
    bits = (generator.random((200, 6)) < 0.4).astype(np.uint8)
    np.save(folder / "bits.npy", bits)
    np.savez(folder / "bits.npz", train=bits[:100], valid=bits[100:150], test=bits[150:])
    (folder / "images").mkdir()
    for number in range(30):
        pixels = generator.integers(0, 256, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")


def do_here(words: list[str]) -> None:
    """A command in this process."""
    before, sys.argv = sys.argv, ["plausibly", *words, "--threads", "1"]
    quiet = io.StringIO()
    with (
        contextlib.chdir(KIT),
        redirect_stdout(quiet),
        redirect_stderr(quiet),
        contextlib.suppress(SystemExit),
    ):
        commands.main()
    sys.argv = before


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of the kit, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=KIT.parent) as folder:
        yield Path(shutil.copytree(KIT, Path(folder) / "kit"))


def undisturbed(job: Job, seed: int = 0) -> Any:
    """The result of a job to which nothing is done."""
    return _undisturbed(job, seed)[0]


def changes_of(job: Job) -> int:
    """How often it changes files."""
    return _undisturbed(job, 0)[1]


def seconds_of(job: Job) -> float:
    return _undisturbed(job, 0)[2]


@cache
def _undisturbed(job: Job, seed: int) -> tuple[Any, int, float]:
    with copied() as folder:
        started = time.monotonic()
        found = ended(job.line(seed), folder, counting(folder.parent / "changes"))
        taken = time.monotonic() - started
        assert found.status == 0, (job.words, found.err)
        changes = (folder.parent / "changes").stat().st_size
        return result_of(job, folder, found), changes, taken


def result_of(job: Job, folder: Path, found: Ended) -> Any:
    """What a job has made, apart from times: what it printed, a file's bytes, or the numbers of runs in a folder."""
    if job.prints:
        return numbers(found.out)
    path = folder / job.result
    if path.suffix == ".pls":  # which says where its run is
        ended(["decompress", job.result, "rows.csv"], folder)
        path = folder / "rows.csv"
    if path.is_dir():
        whole = [file.parent.relative_to(path) for file in path.rglob("report.html")]
        return sorted(map(str, whole)), {
            str(file.relative_to(path)): run_of(file) for file in path.rglob("run.json")
        }
    return path.read_bytes() if path.exists() else None


def run_of(file: Path) -> Any:
    """The numbers of a run, and the sum of its weights."""
    record, weights = json.loads(file.read_text()), file.with_name("weights.safetensors")
    kept = {
        key: record.get(key)
        for key in ("status", "steps", "validation", "test", "tried", "arguments")
    }
    return kept, hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else None


def numbers(text: str) -> Any:
    """A JSON document without times; other text as it is."""
    try:
        return without_times(json.loads(text))
    except ValueError:
        return text


def without_times(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: without_times(value) for key, value in document.items() if key not in TIMES}
    return [without_times(value) for value in document] if isinstance(document, list) else document


def left_in(folder: Path) -> str | None:
    """Something that no command should leave behind, in a copy of the kit."""
    found = (
        path for path in folder.rglob("*") if is_draft(path) or path.suffix in (".lock", ".shards")
    )
    own = (path.relative_to(folder) for path in found)
    return next((f"{path} is left" for path in own if not (KIT / path).exists()), None)
