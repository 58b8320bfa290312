"""Folders of runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path

from plausibly.errors import UserError
from plausibly.runs.record import read_record
from plausibly.system import processes
from plausibly.system.files import is_draft, refuse_name
from plausibly.system.locks import holding_lock

COMPARISON = "compare.json"  # what a comparison was asked for, beside its runs
AUTO = "auto"
MEMBERS = "members"
RESUME_COMMANDS = {"run.json": "fit", COMPARISON: "compare"}


def new_folder(out: Path | str | None, name: str) -> Path:
    """`out`, which must not exist or be empty, or the next free `runs/NAME-1`, which is made."""
    if out is None:
        return next(
            path for number in count(1) if make_folder(path := Path("runs") / f"{name}-{number}")
        )
    path = Path(out)
    refuse_name(path)
    if path.exists() and (path.is_file() or any(not is_draft(file) for file in path.iterdir())):
        raise UserError(f"{path} already exists; give another --out{way_on(path)}")
    return path


def way_on(path: Path) -> str:
    """The words for what else can be done about a folder that is taken: to go on there, or to begin anew."""
    for file, command in RESUME_COMMANDS.items():
        if (path / file).exists():
            return f", or `plausibly {command} --resume {path}` to go on there"
    if (path / "weights.safetensors").exists():  # killed before its record was written
        return f", or remove {path}, which holds weights without a record, and begin anew"
    return ""


def make_folder(path: Path) -> bool:
    """Makes a folder; False where there was something."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror}") from error
    return True


@contextmanager
def fresh_folder(path: Path, anew: bool = False) -> Iterator[Path]:
    """Makes a folder for this process alone, which is removed again where the work in it fails before there are weights.

    With `anew` it must be as `new_folder` found it, though another job may have ended there since.
    """
    with hold_folder(path):
        if anew and processes.rank() == 0:
            new_folder(path, "")
        try:
            if processes.rank() == 0:
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {path}: {error.strerror}") from error
        try:
            yield path
        except BaseException:
            # torchrun may go on with one that has begun
            begun = processes.is_parallel() and (path / "run.json").exists()
            if not begun and processes.rank() == 0 and not any(path.rglob("*.safetensors")):
                shutil.rmtree(path, ignore_errors=True)
            raise


def hold_folder(path: Path) -> AbstractContextManager[None]:
    """Keeps other jobs from a folder; of torchrun's processes the first does."""
    return holding_lock(path) if processes.rank() == 0 else nullcontext()


def find_restarted(out: Path | str | None, name: str) -> str | None:
    """The folder of the run that torchrun's processes were in the middle of before torchrun started them again."""
    if not processes.is_restart():
        return None
    for folder in [Path(out)] if out is not None else sorted(Path("runs").glob(f"{name}-*")):
        with suppress(UserError):  # what is no run is not this one
            if read_record(folder).launch == processes.torchrun_launch():
                return str(folder)
    return None
