"""Evidence: what is known of events, as one value, of which a model is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from plausibly.events.allowed import Allowed


@dataclass(frozen=True, eq=False)
class Evidence:
    """Events `x` of which the `observed` cells are known; each other cell holds what is `allowed`, None for anything.

    What `x` holds where a cell is not observed means nothing. Methods that change something return another value.

    >>> two = Evidence(torch.zeros(2, 3), torch.tensor([[True, True, False]] * 2))
    >>> two.with_known(2, 1.0).x
    tensor([[0., 0., 1.],
            [0., 0., 1.]])
    >>> two.without(0).observed[0]
    tensor([False,  True, False])
    """

    x: Num[Tensor, "batch *shape"]
    observed: Bool[Tensor, "batch *shape"]
    allowed: Allowed | None = None

    @classmethod
    def whole(cls, x: Tensor) -> Evidence:
        """Events of which every cell is known."""
        return cls(x, torch.ones_like(x, dtype=torch.bool))

    @classmethod
    def nothing(cls, x: Tensor) -> Evidence:
        """As many events as in `x`, of which nothing is known."""
        return cls(x, torch.zeros_like(x, dtype=torch.bool))

    @classmethod
    def some(cls, x: Tensor, variables: Sequence[int]) -> Evidence:
        """Events of which some variables are known, and no others."""
        observed = torch.zeros_like(x, dtype=torch.bool).flatten(1)
        observed[:, list(variables)] = True
        return cls(x, observed.view(x.shape))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> Evidence:
        return self._each(lambda cells: cells[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Evidence:
        return replace(self, x=change(self.x), observed=change(self.observed))

    def batches(self, rows: int, device: torch.device) -> Iterator[Evidence]:
        """Some events at a time as a model takes them: float32, where the model is."""
        for start in range(0, max(len(self), 1), rows):
            yield self[start : start + rows].to(device)

    def to(self, device: torch.device) -> Evidence:
        """The events on a device, as float32; what is allowed stays where it is."""
        return replace(self, x=self.x.to(device).float(), observed=self.observed.to(device))

    def flatten(self) -> Evidence:
        """The events as rows, (batch, variables)."""
        return self._each(lambda cells: cells.flatten(1))

    def repeat(self, many: int) -> Evidence:
        """All events, so many times one after the other."""
        return self._each(lambda cells: cells.repeat(many, *[1] * (cells.ndim - 1)))

    def expand(self, many: int) -> Evidence:
        """One event so many times."""
        return self._each(lambda cells: cells.expand(many, *cells.shape[1:]))

    def with_known(self, i: int, value: Tensor | float) -> Evidence:
        """The same with variable `i` observed: its value in each event, or in all."""
        found = self._each(lambda cells: cells.clone(memory_format=torch.contiguous_format))
        found.x.flatten(1)[:, i] = value
        found.observed.flatten(1)[:, i] = True
        return found

    def without(self, i: int) -> Evidence:
        """The same with variable `i` unobserved."""
        observed = self.observed.clone(memory_format=torch.contiguous_format)
        observed.flatten(1)[:, i] = False
        return replace(self, observed=observed)

    def allowed_by_variable(self, codes: Sequence[int]) -> tuple[Allowed, ...]:
        """The values that are allowed of each variable, which have so many codes, where the events are."""
        allowed = self.allowed or Allowed(torch.zeros(sum(codes)))
        return allowed.to(self.x.device).split(codes)

    def with_allowed(self, allowed: Allowed | None) -> Evidence:
        """The same, whose unobserved cells hold what is allowed."""
        return replace(self, allowed=allowed)

    def with_events(self, x: Tensor) -> Evidence:
        """The same cells of other events."""
        return replace(self, x=x)

    def fill(self, drawn: Tensor) -> Tensor:
        """Events with the observed cells as they are and the others as drawn."""
        return torch.where(self.observed, self.x, drawn)
