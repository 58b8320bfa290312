"""Plausibly elsewhere than on its authors' machines: an install and a home that cannot be written, no flock, no rusage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import plausibly

CELLS = "".join(f"{i % 50},{'Rome' if i % 3 else 'Oslo'}\n" for i in range(200))
TRY = """
import sys
sys.modules |= dict.fromkeys(sys.argv[2:])  # importing these raises ImportError
import plausibly
run = plausibly.fit("rows.csv", sys.argv[1], out="run", steps=2)
scores = plausibly.open("run").score("rows.csv")
print(plausibly.__file__, len(scores), len(run.sample(3)))
"""


@pytest.fixture
def read_only_install(tmp_path):
    """A copy of the package in which nothing can be written: no folder has room for compiled code, root's neither."""
    package = tmp_path / "site" / "plausibly"
    shutil.copytree(
        Path(plausibly.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    folders = [package, *(each for each in package.rglob("*") if each.is_dir())]
    for folder in folders:
        (folder / "__pycache__").touch()
        folder.chmod(0o555)
    yield package
    for folder in folders:
        folder.chmod(0o755)


def fit_elsewhere(folder, model, *blocked, **env):
    """Fits, samples and scores in a process of its own; what it printed."""
    (folder / "rows.csv").write_text(f"age,city\n{CELLS}")
    words = [sys.executable, "-c", TRY, model, *blocked]
    env = {"OMP_NUM_THREADS": "1", **os.environ, **env}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_nothing_can_be_written_but_the_run(read_only_install, tmp_path):
    home = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"}
    site = os.pathsep.join([str(read_only_install.parent), *sys.path])
    found = fit_elsewhere(tmp_path, "nade", PYTHONPATH=site, **home)
    assert found == [str(read_only_install / "__init__.py"), "200", "3"]


def test_systems_without_locks_and_usage(tmp_path):
    assert fit_elsewhere(tmp_path, "chow_liu", "fcntl", "resource")[1:] == ["200", "3"]
