"""The result of an examination in one promise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


class NotMeasured(Exception):
    """Raised where a promise cannot be measured on a model. The message says why not."""


@dataclass(frozen=True)
class Result:
    """The state of a promise: `value` was measured, and must be within `tolerance` of what `says` names.

    `holds` is None where nothing could be measured; `says` then tells why.
    """

    name: str
    holds: bool | None
    value: float
    tolerance: float
    says: str
    model: str = ""  # of a run of two, the one that promised

    @property
    def broken(self) -> bool:
        return self.holds is False

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        model = found.pop("model")
        return found | ({"model": model} if model else {})


def larger(worst: float, found: float) -> float:
    """The larger of two numbers, and NaN where either is: what is no number is not small."""
    return float(np.maximum(worst, found))


def failure(name: str, error: Exception) -> Result:
    """Whatever a faulty model raises is a promise not kept."""
    return Result(name, False, float("nan"), 0.0, f"{type(error).__name__}: {error}")
