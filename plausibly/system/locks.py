"""One job at a time on one output: locks that die with the process that holds them.

Where the system has no `flock` nothing is locked.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from plausibly.errors import UserError
from plausibly.system.files import is_stream, is_there, lock, resolve_links

MAX_HOLDER_BYTES = 200  # bytes of who holds a lock


@contextmanager
def holding_lock(path: Path) -> Iterator[None]:
    """Keeps other processes from working on `path`, a file or a folder. UserError, which says who does, where one does."""
    if is_stream(path):
        yield
        return
    path = resolve_links(path)
    file = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _take_lock(file, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _take_lock(file: Path, path: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not lock(descriptor):
            holder = os.read(descriptor, MAX_HOLDER_BYTES).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{path} is being written by {holder or 'another process'}; wait until it ends, or give another --out"
            )
        if is_there(descriptor, file):  # else whoever held it has just taken it away
            _sign_lock(descriptor)
            return descriptor
        os.close(descriptor)


def _sign_lock(descriptor: int) -> None:
    """Writes who holds the lock, and since when."""
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = f"process {os.getpid()} on {platform.node()} since {began}\n"
    os.ftruncate(descriptor, 0)
    os.write(descriptor, holder.encode()[:MAX_HOLDER_BYTES])
