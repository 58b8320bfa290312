"""Loops that numba compiles at first use, and keeps on disk for later processes where it finds a folder to write to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compile_loops(**options: Any) -> Callable[[Any], Any]:
    """A decorator that compiles a function without Python's lock; `options` are numba's.

    Where neither the package's folder nor the user's cache can be written, each process compiles anew.
    """
    options |= {"nogil": True, "error_model": "numpy"}

    def compile_one(function: Any) -> Any:
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # numba has no folder to keep the code in
            return numba.njit(function, **options)

    return compile_one
