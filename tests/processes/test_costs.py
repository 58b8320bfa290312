"""What a fit will take is said before it begins, and comes true."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from plausibly.fitting.api import fit
from plausibly.fitting.settings import Listener
from plausibly.models import MODELS
from plausibly.system import memory
from plausibly.training import estimates


def table(rows: int = 400) -> pd.DataFrame:
    chance = np.random.default_rng(0)
    return pd.DataFrame({f"c{n}": chance.integers(0, 5, rows) for n in range(6)})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "nade",
            r"nade: 300 rows, [\d,]+ parameters, at most 7 steps, about [\d.]+ \w+, [\d,.]+ [MG]B of memory",
        ),
        (
            "chow_liu",
            r"chow_liu: 300 rows, [\d,]+ parameters, by counting, at most 1 round, about [\d.]+ \w+, [\d,.]+ [MG]B of",
        ),
        (
            "mixture",
            r"mixture: 300 rows, [\d,]+ parameters, by counting, at most [\d,]+ rounds, about [\d.]+ \w+, [\d,.]+ [MG]B of",
        ),
    ],
)
def test_rows_parameters_work_time_and_memory_are_said_first(
    model: str, words: str, tmp_path: Path
) -> None:
    said: list[str] = []
    steps = {"steps": 7} if model == "nade" else {}
    run = fit(table(), model, out=tmp_path / "run", listener=Listener(said.append), **steps)
    assert re.search(words, said[0]), said
    assert (
        f"{run.model.free_parameters:,} parameters" in said[0] or model == "mixture"
    )  # it finds its own size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the oracle is Linux's /proc")
def test_the_peak_is_the_one_that_the_system_knows() -> None:
    status = Path("/proc/self/status").read_text()
    assert memory.peak_memory() / 1024 == pytest.approx(
        int(re.search(r"VmHWM:\s+(\d+)", status)[1]), rel=0.02
    )
    before, held = memory.peak_memory(), np.ones(40_000_000)
    assert memory.peak_memory() >= max(before, held.nbytes)


SAID = """
import sys, torch, numpy as np, pandas as pd
torch.set_num_threads(1)
from plausibly.system import memory
from plausibly.fitting import api
from plausibly.fitting.settings import Listener
chance = np.random.default_rng(0)
frame = pd.DataFrame({f"c{n}": chance.integers(0, 5, 30_000) for n in range(20)})
api.run_test = lambda done: print(memory.peak_memory())
api.fit(frame, "made", steps=20, out=sys.argv[1], set={"hidden": 512}, listener=Listener(print))
"""


def test_the_memory_that_was_said_is_what_training_takes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAID, str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    number, unit = re.search(r"([\d,.]+) ([MG]B) of memory", done.stdout).groups()
    said = float(number.replace(",", "")) * {"MB": 1e6, "GB": 1e9}[unit]
    assert said == pytest.approx(int(done.stdout.split()[-1]), rel=0.1)


def test_trials_leave_no_trace() -> None:
    """Neither weights nor chance change: the run is a function of its seed and steps."""
    from plausibly.data import load

    dataset = load(table())
    model = MODELS["mixture"](dataset.schema)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    rounds, seconds = estimates.pass_seconds(model, dataset.train.codes)
    assert rounds > 1 and seconds > 0 and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_numbers_as_one_reads_them() -> None:
    assert [memory.format_bytes(n) for n in (4_000, 5_000_000, 812_345_678, 2_340_000_000)] == [
        "4 kB",
        "5 MB",
        "812 MB",
        "2.3 GB",
    ]
    assert [estimates.format_duration(n) for n in (3.2, 600, 7_300)] == ["3 s", "10 min", "2.0 h"]
