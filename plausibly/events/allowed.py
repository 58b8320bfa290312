"""The values that a cell may hold that is not observed: of codes, of a share of a code's values, between two ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Allowed:
    """The values that unobserved cells may hold, variable by variable and the same for all events.

    `log_shares` are those of each code's values, in logs: 0 where all are allowed and minus infinity where none is. A real
    number lies between its two `ends`, which are events and may be infinite; None where no number has any.

    >>> some = Allowed.of_codes(torch.tensor([True, False, True]))
    >>> [one.is_everything for one in some.split((1, 2))]
    [True, False]
    """

    log_shares: Float[Tensor, "all_codes"]
    ends: Float[Tensor, "variables 2"] | None = None

    @classmethod
    def of_codes(cls, mask: Tensor) -> Allowed:
        """All values of some codes, bool (all_codes,)."""
        return cls(mask.log())

    @property
    def is_everything(self) -> bool:
        """True where nothing is barred."""
        return not self.log_shares.any() and (self.ends is None or bool(self.ends.isinf().all()))

    def split(self, codes: Sequence[int]) -> tuple[Allowed, ...]:
        """The same of each variable, which have so many codes."""
        ends = [None] * len(codes) if self.ends is None else self.ends.split(1)
        return tuple(map(Allowed, self.log_shares.split(list(codes)), ends))

    def some(self, variables: Sequence[int], codes: Sequence[int]) -> Allowed:
        """The same of some of the variables, which have so many codes each."""
        shares = self.log_shares.split(list(codes))
        ends = None if self.ends is None else self.ends[list(variables)]
        return Allowed(torch.cat([shares[i] for i in variables]), ends)

    def to(self, device: torch.device) -> Allowed:
        return Allowed(
            self.log_shares.to(device), None if self.ends is None else self.ends.to(device)
        )
