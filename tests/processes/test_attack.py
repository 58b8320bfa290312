"""A hundredth of the attacks, with the seed of the day it was written: nothing fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        and kinds[-1] == "all"
    )
