"""The result of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Result:
    """The state of a promise: `value` was measured, and must be within `tolerance` of what `says` names."""

    name: str
    holds: bool
    value: float
    tolerance: float
    says: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def near(name: str, worst: Tensor | float, tolerance: float, says: str) -> Result:
    """Holds where the largest deviation is within the tolerance."""
    value = float(torch.as_tensor(worst).detach())
    return Result(name, value <= tolerance, value, tolerance, says)
