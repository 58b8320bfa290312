"""Every change of a file that a process makes is counted, or is where it dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.chmod",
    "os.truncate",
    "os.link",
    "os.symlink",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def on_change(do: Callable[[str], None]) -> Callable[[], None]:
    """Has something done before each change of a file, with the path that is changed."""
    busy = list[bool]()

    def hook(event: str, details: tuple[Any, ...]) -> None:
        written = event == "open" and isinstance(details[2], int) and details[2] & WRITES
        if (written or event in CHANGES) and not busy and not str(details[0]).startswith("/dev/"):
            busy.append(True)
            do(str(details[1] if event == "os.rename" else details[0]))
            busy.clear()

    return lambda: sys.addaudithook(hook)


def counting(counter: Path) -> Callable[[], None]:
    """Counts changes by the bytes of a file."""

    def count(path: str) -> None:
        with open(counter, "ab") as file:
            file.write(b".")

    return on_change(count)


def dying_before(change: int) -> Callable[[], None]:
    """Kills the process before its change of that number."""
    left = iter(range(change))
    return on_change(lambda path: None if next(left, None) is not None else die())


def dying_at(name: str) -> Callable[[], None]:
    """Kills the process before a file of that name is changed."""
    return on_change(
        lambda path: die() if Path(path).name == name and ".draft" not in path else None
    )


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
