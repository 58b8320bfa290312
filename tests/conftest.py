"""One thread a worker, since two-thread regions on shared cores run many times slower; and the same examples each time."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # lines are as in a file, unless a test says how wide it is
os.unsetenv("COLUMNS")  # readline sets it where Python does not see it, but a child process does

import pytest
import torch
from hypothesis import settings
from undrawn import draw_by, leave_out

from plausibly.cli.commands import app, exit_status, run_command
from plausibly.report import drawing

pytest_plugins = ["allowance", "tiers", "pytester"]
torch.set_num_threads(1)
settings.load_profile(
    "ci"
)  # derandomised, without deadlines; other examples: --hypothesis-profile=default


@pytest.fixture(scope="session", autouse=True)
def undrawn():
    """Pages have all but the marks of their figures, which take most of the time of a small fit."""
    with pytest.MonkeyPatch.context() as patch:
        draw_by(patch, leave_out)
        yield


@pytest.fixture(scope="module")
def drawn():
    """Pages are whole, for the tests of a file that read what stands in the figures."""
    with pytest.MonkeyPatch.context() as patch:
        draw_by(patch, drawing.svg)
        yield


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
