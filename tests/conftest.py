"""One thread a worker, since two-thread regions on shared cores run many times slower; and the same examples each time."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings
from oracles import REAL_SETS

from plausibly.cli.commands import app, exit_status, run_command

pytest_plugins = ["allowance", "pytester"]
torch.set_num_threads(1)
settings.load_profile(
    "ci"
)  # derandomised, without deadlines; other examples: --hypothesis-profile=default

# the tests of a file share what it fits, so they go to one worker together; the last tiers fill up what is left
GROUPED = ("processes", "documents", "fits")
TIERS = (*GROUPED, "contract", "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: TIERS.index(item.path.parent.name))
    for item in items:
        if item.path.parent.name in GROUPED:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if item.get_closest_marker("real") and not REAL_SETS.is_dir():
            item.add_marker(pytest.mark.skip("REAL_SETS names no folder of real data sets"))


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Runs a command in this process, in an empty folder: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        def command():
            found, bound, _ = app.parse_args(
                [str(word) for word in words], print_error=False, exit_on_error=False
            )
            run_command(found, bound)

        try:
            status = exit_status(command)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
