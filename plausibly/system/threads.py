"""Work shared among the threads that torch keeps awake, or else among some of our own that do not outlive the call."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")


def _openmp() -> Any:
    """The function by which torch's OpenMP starts a loop, if that is of GNU's kind: f(body, data, threads, flags)."""
    try:
        return ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None


OPENMP = _openmp()


def run_in_threads(tasks: Sequence[Task], work: Callable[[Task], None]) -> None:
    """Does every task; each of at most as many threads as torch uses takes the next one. What one raises is raised."""
    left = iter(tasks)
    failed = list[BaseException]()

    def run(_: object = None) -> None:
        try:
            for task in left:
                work(task)
        except BaseException as error:  # which a call from C would only print
            failed.append(error)
            deque(left, 0)  # nobody goes on

    _call_in_threads(run, min(torch.get_num_threads(), len(tasks)))
    if failed:
        raise failed[0]


def _call_in_threads(run: Callable[..., None], threads: int) -> None:
    """Calls a function in this thread and in others besides."""
    if threads > 1 and OPENMP:
        OPENMP(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(run), None, threads, 0)
        return
    others = [Thread(target=run) for _ in range(threads - 1)]
    for other in others:
        other.start()
    run()
    for other in others:
        other.join()


@contextmanager
def one_thread() -> Iterator[None]:
    """Takes one thread within, so that results are the same to the bit, whatever the threads are otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
