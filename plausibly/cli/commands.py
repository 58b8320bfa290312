"""Every command: load, do the task, print. Only results go to stdout, all else to stderr.

Exit status: 0 done, 1 a bug, 2 the user can mend it, 130 stopped by Ctrl-C (the run is usable).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from cyclopts import CycloptsError

from plausibly.cli import ask, draw, judge, learn, look, represent, serve, store
from plausibly.cli.app import app, start
from plausibly.cli.options import CommonOptions
from plausibly.errors import BrokenPromises, Unsupported, UserError
from plausibly.printing import clean_errors, escape_unprintable
from plausibly.system import processes
from plausibly.system.memory import describe_limit, spare_addresses

OUT_OF_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "can't start new thread",
    "failed to launch worker thread",
    "failed to map segment",
    "bad_alloc",
)  # in the words of torch, Arrow, the loader of libraries and the system
ROOMS = (
    ask,
    draw,
    judge,
    learn,
    look,
    represent,
    serve,
    store,
)  # commands register as they are imported


def exit_status(call: Callable[[], Any]) -> int:
    """The exit status of a command; an error that the user can mend is one line, a bug its traceback."""
    with clean_errors():
        try:
            return status_of(call)
        except Exception:
            traceback.print_exc()
            return 1


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except BrokenPipeError:
        sys.stderr.close()
    except KeyboardInterrupt as stopped:
        processes.tell_error(f"plausibly: {str(stopped) or 'stopped'}")
        return 130
    except Exception as error:
        lines = explain_error(error)
        if lines is None:
            raise
        for line in lines:
            processes.tell_error(f"plausibly: {line}")
        return 2
    return 0


def explain_error(error: Exception) -> list[str] | None:
    """The lines about an error that the user can mend; None of a bug."""
    if isinstance(error, BrokenPromises):
        return [" ".join(line.split()) for line in error.lines]
    text = " ".join(str(error).split())
    if isinstance(error, UserError | Unsupported):
        return [text]
    if isinstance(error, CycloptsError) and text.startswith("Unknown option: -."):
        return ["`-` names no file: write what comes on standard input to one, and name that"]
    if isinstance(error, CycloptsError):
        return [f"{text} (plausibly --help)"]
    if is_out_of_memory(error):
        return [explain_memory()]
    if isinstance(error, UnicodeEncodeError) and "\udc80" <= error.object[error.start] <= "\udcff":
        return [f"{error.object!r}: a name in UTF-8 is needed here"]
    if isinstance(error, OSError):
        return [f"{error.filename or 'a file'}: {error.strerror or error}"]
    if isinstance(error, ValueError) and "embedded null" in text:
        return ["the name of a file holds a NUL character, which none can have"]
    return None


def explain_memory() -> str:
    """The line about memory that was not enough."""
    limit = describe_limit()
    said = f" ({limit})" if limit else ""
    return f"the memory is not enough for this{said}: fewer rows or a smaller model take less"


def is_out_of_memory(error: BaseException | None) -> bool:
    """True where an error, or the one that it came from, says that there was no memory, or no thread, to be had."""
    if isinstance(error, RuntimeError | ImportError | OSError):
        text = str(error).lower()
        if any(words in text for words in OUT_OF_MEMORY):
            return True
    return isinstance(error, MemoryError) or (
        error is not None and is_out_of_memory(error.__cause__)
    )


def run_command(command: Callable[..., Any], bound: Any) -> Any:
    """Runs a command; one that has no common options computes nothing itself, and needs no threads."""
    if "common" not in bound.signature.parameters:
        return command(*bound.args, **bound.kwargs)
    common = bound.arguments.get("common") or CommonOptions()
    if command is not learn.fit:
        processes.refuse_parallel(command.__name__)
    spare_addresses()
    with start(common):
        return command(*bound.args, **bound.kwargs)


def main() -> None:
    """The entry point."""

    def call() -> None:
        command, bound, _ = app.parse_args(sys.argv[1:], print_error=False, exit_on_error=False)
        if command.__module__.startswith("plausibly.cli."):
            run_command(command, bound)
        else:
            command(*bound.args, **bound.kwargs)

    escape_unprintable()
    sys.exit(exit_status(call))
