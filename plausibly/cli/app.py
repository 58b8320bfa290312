"""The application that commands register with, and what is set before the first of them runs."""

from __future__ import annotations

from cyclopts import App

from plausibly.cli.options import CommonOptions
from plausibly.errors import UserError
from plausibly.system import processes
from plausibly.system.versions import __version__

app = App(
    name="plausibly",
    version=__version__,
    help="Learns what your data looks like, and tells how plausible anything is.\n\n"
    "DATA is a .csv, .tsv, .parquet, .arrow, .npy, .npz (a split by name: file.npz:test) or idx file, a folder of images, "
    "or a built-in: digits, digits-binary, toy-bits, toy-mixed, toy-ising, toy-bars, toy-ring, toy-checkerboard. "
    "Start with: plausibly compare DATA",
    help_format="plaintext",
)


def check_numbers(common: CommonOptions) -> None:
    """UserError for a number of threads or a seed that cannot be."""
    if common.threads is not None and common.threads < 1:
        raise UserError(f"--threads {common.threads}; at least 1 is needed")
    if not 0 <= common.seed < 1 << 62:
        raise UserError(f"--seed {common.seed}; a seed is a whole number from 0 on")


def start(common: CommonOptions) -> None:
    """Sets threads and device, before the first tensor."""
    import os

    import torch

    check_numbers(common)
    cores = os.cpu_count() or 1
    torch.set_num_threads(common.threads or max(1, cores // 2 // processes.local_process_count()))
    try:
        if torch.zeros(1, device=common.device).is_meta:
            raise RuntimeError("no memory")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"--device {common.device!r} is not to be had here; cpu always is"
        ) from error
