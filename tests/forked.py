"""Functions in processes of their own, forked from one that has imported what takes seconds to import.

That one, which each worker has at most once, trains nothing and has no other threads. When it ends, with the session,
what its processes took is counted for the worker's last test.
"""

import multiprocessing
import os
from multiprocessing import forkserver

import pytest
import torch
from undrawn import draw_by, leave_out

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["plausibly.fitting.api", "plausibly.report", "torch._dynamo", "pandas", "pytest"]
)


def start(work, *arguments, out=os.devnull, err=os.devnull):
    """The process, begun, in which a function of a test file is called; what it prints goes to two files."""
    process = PROCESSES.Process(target=redirect, args=(str(out), str(err), work, *arguments))
    process.start()
    return process


def redirect(out, err, work, *arguments):
    for place, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), place)
    call(work, *arguments)


def call(work, *arguments):
    """Calls a function in a process that has just been forked, as in a worker: one thread, no figures in pages."""
    torch.set_num_threads(1)
    draw_by(pytest.MonkeyPatch(), leave_out)
    work(*arguments)


def end_server():
    """Ends the one that forks; its processes have ended."""
    forkserver._forkserver._stop()
