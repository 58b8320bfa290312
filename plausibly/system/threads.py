"""The number of threads, and work shared among those that torch keeps awake, or else among our own.

Threads of our own do not outlive the call.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
def take_threads(number: int) -> Iterator[None]:
    """Takes so many threads within, and those of before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Takes one thread within, so that results are the same to the bit, whatever the threads are otherwise."""
    return take_threads(1)


# as many as torch takes by itself: the processor's cores, or OMP_NUM_THREADS
TORCH_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class ThreadLimit:
    """The threads that training takes: `most` where somebody gave that number, else as many up to it as are fastest."""

    most: int
    given: bool = False


def default_limit(processes: int) -> ThreadLimit:
    """The limit where nobody gives a number: both of two cores, half of more, shared among so many processes."""
    return ThreadLimit(max(1, min(TORCH_THREADS, max(2, TORCH_THREADS // 2)) // processes))


_limit: ContextVar[ThreadLimit | None] = ContextVar("limit", default=None)


@contextmanager
def limit_training(limit: ThreadLimit) -> Iterator[None]:
    """Holds training within to a limit, whatever the threads of all else are."""
    before = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(before)


def training_limit() -> ThreadLimit:
    """The limit of training: that of the command, or else as many threads as torch is set to."""
    return _limit.get() or ThreadLimit(torch.get_num_threads())
