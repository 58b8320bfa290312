"""A number between two ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from plausibly.events.allowed import Allowed
from plausibly.events.kinds import UNFORESEEN
from plausibly.outcomes.outcome import Index, Numeric, Single

HALVINGS = 50  # of the interval in which a number is looked for


class WithinEnds(Single):
    """An outcome of a real variable given that its number, if it is one, lies between `ends`, (2,).

    The `inner` outcome says how probable it is to be a number at all, given that.
    """

    def __init__(self, inner: Numeric, ends: Tensor) -> None:
        self.inner, self.ends = inner, ends

    def _is_outside(self, x: Tensor) -> Tensor:
        return (x < UNFORESEEN) & ((x < self.ends[0]) | (x > self.ends[1]))

    def log_prob(self, x: Tensor) -> Tensor:
        inside = log_mass_between(self.inner, self.ends, x)
        nats = self.inner.log_prob(x) - torch.where(x < UNFORESEEN, inside, 0.0)
        return nats.masked_fill(self._is_outside(x), -torch.inf)

    def sample(self, generator: torch.Generator) -> Tensor:
        """A number beyond an end becomes the quantile within the ends of its share there, which is uniform."""
        x = self.inner.sample(generator)
        rows = self._is_outside(x).nonzero()[:, 0]
        if not len(rows):
            return x
        inner, own = cast(Numeric, self.inner.rows(rows)), x[rows]
        low, high = (inner.below(torch.full_like(own, end)) for end in self.ends.tolist())
        reached = inner.below(own)
        share = torch.where(own < self.ends[0], reached / low, (1 - reached) / (1 - high))
        wanted = low + share.clamp(0, 1).nan_to_num(0.5) * (high - low)
        first, last = (torch.full_like(wanted, end) for end in self.ends.tolist())
        for _ in range(HALVINGS):
            middle = (first + last) / 2
            less = inner.below(middle.to(x.dtype)) < wanted
            first, last = torch.where(less, middle, first), torch.where(less, last, middle)
        found = last.to(x.dtype).maximum(self.ends[0]).minimum(self.ends[1])  # as rounded
        return x.index_put((rows,), found)

    def mode(self) -> Tensor:
        """That of the inner outcome, or the end next to it."""
        x = self.inner.mode()
        return torch.where(x < UNFORESEEN, x.clamp(*self.ends.tolist()), x)

    def truncate(self, allowed: Allowed) -> tuple[WithinEnds, Tensor]:
        inner, mass = self.inner.truncate(Allowed(allowed.log_shares))
        return WithinEnds(cast(Numeric, inner), self.ends), mass

    def one(self, i: int) -> WithinEnds:
        return self

    def rows(self, index: Index) -> WithinEnds:
        return WithinEnds(cast(Numeric, self.inner.rows(index)), self.ends)

    def beside(self, others: Sequence[Any]) -> WithinEnds:
        inner = self.inner.beside([one.inner for one in others])
        return WithinEnds(cast(Numeric, inner), self.ends)


def log_mass_between(outcome: Numeric, ends: Tensor, like: Tensor) -> Tensor:
    """log p(between the ends, (2,), given that it is a number), in the form of a number of each row."""
    low, high = (outcome.below(torch.full_like(like, end)) for end in ends.tolist())
    return (high - low).clamp(min=0).log().to(like.dtype)


def truncate_number(
    outcome: Numeric,
    like: Tensor,
    special: Tensor | None,
    allowed: Allowed,
    with_special: Callable[[Tensor], Numeric],
) -> tuple[Single, Tensor]:
    """The outcome of a real variable given what is allowed, and the log p of that.

    `like` is a number of each row. `special`, (..., 1 + specials), is log p of being a number and of each special; with
    others of these it is `with_special(them)`.
    """
    ends, inside = None, torch.zeros_like(like)
    if allowed.ends is not None and allowed.ends.isfinite().all():
        ends = allowed.ends[0]
        inside = log_mass_between(outcome, ends, like)
    if special is None:
        return outcome if ends is None else WithinEnds(outcome, ends), inside
    shares = allowed.log_shares[1 - special.shape[-1] :].to(special)
    weighed = torch.cat([(special[..., 0] + inside)[..., None], special[..., 1:] + shares], -1)
    mass = weighed.logsumexp(-1)
    found = with_special(weighed - mass.unsqueeze(-1))
    return found if ends is None else WithinEnds(found, ends), mass
