"""The version of this package, and those that a run was made by."""

from __future__ import annotations

import platform

__version__ = "0.2.0.dev0"


def versions() -> dict[str, str]:
    """The versions of what computes, by name, with the number of threads at work."""
    import numpy  # here, so that `plausibly --help` does not wait for torch
    import torch

    return {
        "plausibly": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "threads": str(torch.get_num_threads()),
    }
