"""What became of one try, and what is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from benchmarks.attack.commands import Ended


@dataclass(frozen=True)
class Verdict:
    """`held`: the same result as undisturbed; `refused`: in one line; else what failed."""

    word: str
    told: str = ""

    @property
    def failed(self) -> bool:
        return self.word not in ("held", "refused")

    @classmethod
    def of_fault(cls, found: Ended) -> Verdict:
        assert found.fault is not None
        said = found.fault.startswith(("traceback", "status"))
        return cls(
            "traceback" if said else "hang" if found.fault == "hang" else "died", found.fault
        )

    def saying(self, what: str) -> Verdict:
        """With what was done, before what came of it."""
        return replace(self, told=f"{what}: {self.told}" if self.told else what)


HELD, REFUSED = Verdict("held"), Verdict("refused")
FAILURES = (
    "silent change",
    "traceback",
    "died",
    "hang",
    "swelled",
    "advice",
    "mixed",
    "left behind",
)


@dataclass(frozen=True)
class Attack:
    """One way to attack one thing: `attempt` takes random numbers and the number of the try."""

    kind: str
    name: str
    tries: int
    attempt: Callable[[Random, int], Verdict]
