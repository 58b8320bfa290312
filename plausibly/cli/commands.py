"""Every command: load, do the task, print. Only results go to stdout, all else to stderr.

Exit status: 0 done, 1 a bug, 2 the user can mend it, 130 stopped by Ctrl-C (the run is usable).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from cyclopts import CycloptsError

from plausibly.cli import ask, draw, judge, learn, look, represent, store
from plausibly.cli.app import app, start
from plausibly.cli.options import CommonOptions
from plausibly.errors import BrokenPromises, Unsupported, UserError
from plausibly.printing import clean_errors, escape_unprintable
from plausibly.system import processes

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "can't start new thread")
ROOMS = (ask, draw, judge, learn, look, represent, store)  # commands register as they are imported


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
    if isinstance(error, OSError):
        return [f"{error.filename or 'a file'}: {error.strerror or error}"]
    if isinstance(error, ValueError) and "embedded null" in text:
        return ["the name of a file holds a NUL character, which none can have"]
    if is_out_of_memory(error):
        return ["the memory is not enough for this: fewer rows or a smaller model take less"]
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Python, numpy and Arrow raise a MemoryError; torch says it in words."""
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in OUT_OF_MEMORY)
    return isinstance(error, MemoryError)


def run_command(command: Callable[..., Any], bound: Any) -> Any:
    common = bound.arguments.get("common") or CommonOptions()
    if command is not learn.fit:
        processes.refuse_parallel(command.__name__)
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
