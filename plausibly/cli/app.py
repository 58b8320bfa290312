"""The application that commands register with, and what is set before the first of them runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cyclopts import App

from plausibly.cli.options import CommonOptions
from plausibly.errors import UserError
from plausibly.system import processes
from plausibly.system.versions import __version__

BEGAN = time.monotonic()  # when the command did, imports included

app = App(
    name="plausibly",
    version=__version__,
    help="Learns what your data looks like, and tells how plausible anything is.\n\n"
    "DATA is a .csv, .tsv, .parquet, .arrow, .npy, .npz (a split by name: file.npz:test) or idx file, a folder of images, "
    "or a built-in: digits, digits-binary, toy-bits, toy-mixed, toy-ising, toy-bars, toy-tints, toy-ring, toy-checkerboard. "
    "Start with: plausibly compare DATA",
    help_format="plaintext",
)


def check_numbers(common: CommonOptions) -> None:
    """UserError for a number of threads or a seed that cannot be."""
    if common.threads is not None and common.threads < 1:
        raise UserError(f"--threads {common.threads}; at least 1 is needed")
    if not 0 <= common.seed < 1 << 62:
        raise UserError(f"--seed {common.seed}; a seed is a whole number from 0 on")


def check_device(device: str) -> None:
    """UserError for a device that is not to be had."""
    import torch

    try:
        if torch.zeros(1, device=device).is_meta:
            raise RuntimeError("no memory")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {device!r} is not to be had here; cpu always is") from error


@contextmanager
def start(common: CommonOptions) -> Iterator[None]:
    """Sets the threads, before the first tensor, and within how many training may take."""
    import os

    from plausibly.system.threads import ThreadLimit, default_limit, limit_training, take_threads

    check_numbers(common)
    cores, sharing = os.cpu_count() or 1, processes.local_process_count()
    limit = ThreadLimit(common.threads, given=True) if common.threads else default_limit(sharing)
    with take_threads(common.threads or max(1, cores // 2 // sharing)), limit_training(limit):
        check_device(common.device)
        yield
