"""A hundredth of the attacks, with the seed of the day it was written: nothing fails."""

import faulthandler
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.attack import readers, stage
from plausibly.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="attacks fork")
def test_a_hundredth_of_the_attacks_fails_nowhere():
    command = [
        sys.executable,
        "-m",
        "benchmarks.attack",
        "--share",
        "0.01",
        "--seed",
        "0",
        "--jobs",
        "1",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    kinds = [
        line.split("|")[1].strip() for line in found.stdout.splitlines() if line.startswith("|")
    ]
    assert (
        "crash point" in kinds
        and "kill" in kinds
        and "two jobs at once" in kinds
        and "reader, parquet" in kinds
        and kinds[-1] == "all"
    )


def swell(path):
    print(len(b"x" * (readers.MAX_MORE_BYTES + (100 << 20))))


def hang(path):
    time.sleep(600)


def break_down(path):
    raise KeyError(path.name)


def die(path):
    faulthandler.disable()  # pytest's, which would print this as its own
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse_without_a_name(path):
    raise UserError("this is damaged")


def refuse_by_name(path):
    raise UserError(f"{path} is damaged")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="attacks fork")
@pytest.mark.parametrize(
    ("read", "word"),
    [(swell, "swelled"), (hang, "hang"), (break_down, "traceback"), (die, "died"), (refuse_without_a_name, "advice"),
     (refuse_by_name, "refused"), (lambda path: "4 instead of 3", "silent change"), (lambda path: None, "held")],
)  # fmt: skip
def test_what_becomes_of_a_reader_is_told(read, word, monkeypatch):
    monkeypatch.setattr(readers, "READ_SECONDS", 1 if read is hang else 60)
    stage.KIT.parent.mkdir()
    try:
        assert readers.examine(readers.Reader({}, read), "t.csv", b"a,b").word == word
    finally:
        shutil.rmtree(stage.KIT.parent)
