"""Rows drawn anew until they hold nothing but what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from plausibly.events.evidence import Evidence
from plausibly.events.kinds import UNFORESEEN
from plausibly.events.schema import Schema

MAX_DRAWS = 100  # of a row


class NothingAllowed(Exception):
    """Rows hold nothing that is allowed of a `variable`, however often they are drawn."""

    def __init__(self, variable: int) -> None:
        super().__init__(f"variable {variable} is drawn outside of what is allowed again and again")
        self.variable = variable


def redraw_rows(
    x: Tensor, barred: Tensor, draw: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> Tensor:
    """Events whose rows with `barred` cells, (batch, variables), are drawn until they have none.

    `draw(rows)` gives those rows and their barred cells. NothingAllowed names the variable that is barred most in the end.
    """
    x, barred = x.clone(), barred.clone()
    for _ in range(MAX_DRAWS):
        rows = barred.any(1).nonzero()[:, 0]
        if not len(rows):
            return x
        x[rows], barred[rows] = draw(rows)
    if barred.any():
        raise NothingAllowed(int(barred.sum(0).argmax()))
    return x


def barred_cells(schema: Schema, drawn: Evidence, generator: torch.Generator | None) -> Tensor:
    """Which unobserved cells of drawn events are not allowed, bool (batch, variables).

    Of a code of which a share is allowed the generator says it; without one it is.
    """
    rows, allowed = drawn.flatten(), drawn.allowed
    if allowed is None:
        return torch.zeros_like(rows.observed)
    starts = torch.tensor([0, *schema.codes]).cumsum(0)[:-1]
    shares = allowed.log_shares.cpu()[schema.event_codes(rows.x.cpu()) + starts].to(rows.x.device)
    luck = torch.full_like(shares, -torch.inf)
    if generator is not None:
        luck = torch.rand(shares.shape, generator=generator, device=shares.device).log()
    continuous = torch.tensor([kind.continuous for kind in schema.kinds], device=rows.x.device)
    out = ~continuous & (shares < luck) | (shares == -torch.inf)
    if allowed.ends is not None:
        low, high = allowed.ends.to(rows.x).T
        out |= continuous & (rows.x < UNFORESEEN) & ((rows.x < low) | (rows.x > high))
    return out & ~rows.observed
