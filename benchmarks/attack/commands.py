"""Commands in forked processes, which may be broken, killed or limited, and what became of them.

The packages are imported and warm before the first fork, so that a command takes what its work takes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from plausibly.cli import commands
from plausibly.system import files

HANG_SECONDS = 120  # after which a command counts as hanging
PIPE = 1 << 20  # bytes that a command prints at most


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit status, that of a signal below 0, and what it printed."""

    status: int
    out: str
    err: str
    peak: int  # bytes of memory that it held at most

    @property
    def fault(self) -> str | None:
        """What must never happen, whatever was done to it. None where it is done or says in one line why not."""
        if self.status < 0:
            return "hang" if -self.status == signal.SIGALRM else signal.Signals(-self.status).name
        if "Traceback (most recent call last)" in self.err:
            return f"traceback: {self.last_line}"
        if self.status in (0, 130) or (
            self.status == 2 and self.last_line.startswith("plausibly: ")
        ):
            return None
        return f"status {self.status}: {self.last_line or 'nothing said'}"

    @property
    def last_line(self) -> str:
        return (self.err.strip().splitlines() or [""])[-1]


@dataclass(frozen=True)
class Started:
    """A command that is running."""

    process: int
    out: int
    err: int

    def end(self) -> Ended:
        """Waits for it."""
        out, err = read_all(self.out), read_all(self.err)
        _, status, used = os.wait4(self.process, 0)
        return Ended(os.waitstatus_to_exitcode(status), out, err, used.ru_maxrss << 10)


def read_all(outlet: int) -> str:
    """What comes out of a pipe or a terminal, to its end."""
    pieces = []
    with suppress(OSError):  # how a terminal ends
        while piece := os.read(outlet, PIPE):
            pieces.append(piece)
    os.close(outlet)
    return b"".join(pieces).decode("utf-8", "replace")


def unprepared() -> None:
    """Nothing is done to the command."""


def pipe() -> tuple[int, int]:
    outlet, inlet = os.pipe()
    fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, PIPE)
    return outlet, inlet


def start(
    words: list[str],
    folder: Path,
    prepare: Callable[[], None] = unprepared,
    channel: Callable[[], tuple[int, int]] = pipe,
) -> Started:
    """Starts a command in a folder; `prepare` breaks its process first, `channel` makes what it prints to."""

    def obey() -> None:
        sys.argv = ["plausibly", *words, "--threads", "1"]
        prepare()
        commands.main()

    return start_call(obey, folder, channel)


def start_call(
    call: Callable[[], object], folder: Path, channel: Callable[[], tuple[int, int]] = pipe
) -> Started:
    """Starts a call in a folder, in a process of its own that prints to channels."""
    pipes = [channel(), channel()]
    process = os.fork()
    if process:
        for _, inlet in pipes:
            os.close(inlet)
        return Started(process, pipes[0][0], pipes[1][0])
    status = 1
    try:
        for number, (outlet, inlet) in enumerate(pipes, 1):
            os.close(outlet)
            os.dup2(inlet, number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(HANG_SECONDS)
        os.chdir(folder)
        files.sweep_drafts.cache_clear()  # as in a new process
        call()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(words: list[str], folder: Path, prepare: Callable[[], None] = unprepared) -> Ended:
    return start(words, folder, prepare).end()


def ended_on_terminal(words: list[str], folder: Path) -> Ended:
    """The same on a terminal that knows no colours."""
    return start(words, folder, lambda: os.environ.update(TERM="dumb"), os.openpty).end()
