"""The versions that a run was made by."""

from __future__ import annotations

import platform

import torch

import plausibly


def versions() -> dict[str, str]:
    import numpy

    return {
        "plausibly": plausibly.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "threads": str(torch.get_num_threads()),
    }
