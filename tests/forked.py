"""Functions in processes of their own, forked from one that has imported what takes seconds to import.

That one, which each worker has at most once, trains nothing and has no other threads. What its processes take counts for
the whole run, when it ends, and for no test.
"""

import multiprocessing
import os
from multiprocessing import forkserver

import torch

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["plausibly.fitting.api", "plausibly.report", "pandas", "pytest"])


def start(work, *arguments, out=os.devnull, err=os.devnull):
    """The process, begun, in which a function of a test file is called; what it prints goes to two files."""
    process = PROCESSES.Process(target=redirect, args=(str(out), str(err), work, arguments))
    process.start()
    return process


def redirect(out, err, work, arguments):
    for place, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), place)
    torch.set_num_threads(1)
    work(*arguments)


def end_server():
    """Ends the one that forks; its processes have ended."""
    forkserver._forkserver._stop()
