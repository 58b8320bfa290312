"""The form of one event: its shape, and the kind of each of its variables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import log, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.events.allowed import Allowed
from plausibly.events.kinds import Category, Kind

MAX_VARIABLES = 1_000_000


@dataclass(frozen=True)
class Schema:
    """Shape of an event, (columns,) or (channels, height, width), and a kind for each variable in row-major order.

    An event is a float32 tensor of that shape; each of its numbers is the code of one variable, or a real one's event.
    """

    shape: tuple[int, ...]
    kinds: tuple[Kind, ...]

    def __post_init__(self) -> None:
        if (
            not self.shape
            or any(side < 1 for side in self.shape)
            or prod(self.shape) > MAX_VARIABLES
        ):
            raise ValueError(
                f"an event needs 1 to {MAX_VARIABLES:,} variables, not shape {self.shape}"
            )
        if len(self.kinds) != prod(self.shape):
            raise ValueError(
                f"shape {self.shape} has {prod(self.shape)} variables, but {len(self.kinds)} kinds are given"
            )

    @property
    def size(self) -> int:
        """Number of variables."""
        return len(self.kinds)

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """Number of codes of each variable."""
        return tuple(kind.codes for kind in self.kinds)

    @cached_property
    def continuous(self) -> bool:
        """True where a variable is real, so that events cannot be listed and log p is a density's."""
        return bool(self.continuous_variables)

    @cached_property
    def continuous_variables(self) -> tuple[int, ...]:
        """The real variables."""
        return tuple(i for i, kind in enumerate(self.kinds) if kind.continuous)

    def event_codes(self, events: Tensor) -> Tensor:
        """The codes of events on the CPU, int64 (rows, variables)."""
        flat = events.flatten(1)
        if not self.continuous:
            return flat.long()
        columns = [
            kind.event_codes(column.numpy())
            for kind, column in zip(self.kinds, flat.T, strict=True)
        ]
        return torch.from_numpy(np.stack(columns, 1))

    @cached_property
    def log_events(self) -> float:
        """Log of the number of different events, those of a real variable counted by its bins."""
        return sum(log(codes) for codes in self.codes)

    @cached_property
    def chance_unforeseen(self) -> Tensor:
        """The probability of a cell never seen, (variables,) float64; 0 where training rows had what is not foreseen."""
        return torch.tensor(
            [kind.unforeseen for kind in self.kinds], dtype=torch.float64, device="cpu"
        )

    @cached_property
    def never_seen(self) -> Tensor:
        """The event of each variable that is a cell never seen, NaN where there is none such, (variables,) float32."""
        marks = [torch.nan if kind.never_seen is None else kind.never_seen for kind in self.kinds]
        return torch.tensor(marks, device="cpu")

    @cached_property
    def has_unforeseen(self) -> bool:
        """True where a variable may be never seen."""
        return any(kind.unforeseen for kind in self.kinds)

    def is_unseen(self, x: Tensor) -> Tensor:
        """Which cells of events were never seen, bool (rows, variables)."""
        return x.flatten(1) == self.never_seen.to(x.device)

    def all_events(self) -> Tensor:
        """Every event of a small schema, in lexical order: (events, *shape). ValueError above 2^20 events."""
        if self.continuous:
            raise ValueError("real numbers cannot be listed")
        if self.log_events > 20 * log(2) + 1e-9:
            raise ValueError(f"{self.size} variables have more than 2^20 events; too many to list")
        columns = torch.cartesian_prod(
            *(torch.arange(codes, dtype=torch.float32) for codes in self.codes)
        )
        return columns.reshape(-1, *self.shape)

    def allowed(self, holes: bool) -> Allowed:
        """Allows a drawn cell what was seen, as far as kinds know it, no open code, and holes only if asked for."""
        shares = np.concatenate([kind.log_seen(holes) for kind in self.kinds])
        ends = torch.tensor([kind.event_ends for kind in self.kinds])
        return Allowed(torch.from_numpy(shares).float(), None if ends.isinf().all() else ends)

    @property
    def knows_seen(self) -> bool:
        """True where a variable knows which of its values were seen."""
        return any(kind.seen is not None for kind in self.kinds)

    def likeliest_inside(self, holes: bool) -> Tensor:
        """log p(its most probable value | code) of every code that a completed cell may take, else -inf: (sum of codes,).

        Open codes it may never take, holes only where asked for; those of real variables never, since a hole has a
        probability and a number a density, and the two cannot be weighed against each other.
        """
        own = torch.from_numpy(np.concatenate([kind.log_peaks() for kind in self.kinds]))
        shares = [torch.from_numpy(k.log_seen(holes and not k.continuous)) for k in self.kinds]
        return own.masked_fill(torch.cat(shares) == -torch.inf, -torch.inf)

    def first(self, variables: tuple[int, ...]) -> Schema:
        """The schema of some of the variables, as a flat event."""
        return Schema((len(variables),), tuple(self.kinds[i] for i in variables))

    def to_json(self) -> dict[str, Any]:
        runs = [(kind, len(list(equal))) for kind, equal in groupby(self.kinds)]
        return {
            "shape": list(self.shape),
            "kinds": [{"count": n, **kind.to_json()} for kind, n in runs],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Schema:
        """Raises ValueError where the document is no schema."""
        shape, runs = tuple(document["shape"]), document["kinds"]
        if sum(run["count"] for run in runs) > MAX_VARIABLES:
            raise ValueError(f"more than {MAX_VARIABLES:,} variables")
        kinds: list[Kind] = []
        for run in runs:
            kinds += [Kind.from_json({k: v for k, v in run.items() if k != "count"})] * run["count"]
        return cls(shape, tuple(kinds))


def binary(variables: int) -> Schema:
    """The schema of `variables` bits."""
    return Schema((variables,), (Category(levels=2),) * variables)
