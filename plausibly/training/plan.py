"""The plan of a fit, and what one hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, cos, pi

from plausibly.errors import UserError

# the least that settings of a plan can be
LEAST = {
    "steps": 1,
    "batch": 1,
    "every": 1,
    "patience": 1,
    "still": 1,
    "warmup": 0,
    "weight_decay": 0,
}
MAX_STEPS = 10**9  # which would take years


@dataclass(frozen=True)
class Plan:
    """The length and the pace of training. Saved with the run, which it decides together with the seed."""

    steps: int
    seed: int = 0
    batch: int = 100
    rate: float = 2e-3
    warmup: int = 100  # steps over which the rate rises
    weight_decay: float = 1e-2
    clip: float = 5.0  # largest gradient norm
    average: float = 0.998  # of the weights that are validated and kept
    every: int = 100  # steps between validations
    patience: int = 20  # validations without a better one, and
    still: int = 1500  # steps without a better one, before stopping

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise UserError(
                    f"train.{name} = {getattr(self, name)}; it must be at least {least}"
                )
        if self.steps > MAX_STEPS:
            raise UserError(f"{self.steps:,} steps of training; at most {MAX_STEPS:,} are taken")
        for name in ("rate", "clip"):
            if not getattr(self, name) > 0:
                raise UserError(f"train.{name} = {getattr(self, name)}; it must be more than 0")
        if not 0 <= self.average < 1:
            raise UserError(
                f"train.average = {self.average}; it must be at least 0 and less than 1"
            )

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero."""
        rising = min(1.0, (step + 1) / min(self.warmup + 1, self.steps))
        return self.rate * rising * 0.5 * (1 + cos(pi * step / self.steps))


@dataclass(frozen=True)
class TrainingProgress:
    """A report of the loop after each validation or pass, smaller is better; losses in nats per event."""

    step: int
    steps: int
    loss: float
    validation: float
    rate: float
    seconds: float
    best: bool
    unit: str = "nats per row"  # of the validation
    norms: dict[str, float] = field(default_factory=dict)  # of the last gradients, by turn
    health: dict[str, float] = field(default_factory=dict)  # what the objective has to say besides


class Diverged(UserError):
    """A loss stopped being finite; the weights are the last good ones."""


def default_steps(rows: int, batch: int, rounds: int = 100) -> int:
    """So many rounds through the data, but between 3,000 and 10,000 steps."""
    return max(3_000, min(10_000, rounds * ceil(rows / batch)))


def default_every(rows: int, batch: int) -> int:
    """Steps between validations: two rounds through few rows, where the best step may come early; at most 100."""
    return max(20, min(100, 2 * ceil(rows / batch)))
