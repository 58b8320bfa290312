"""Real numbers by what a function says of their log density at some places: log p is a straight line between neighbours.

    log p(x) = log p(a) + (x - a) / (b - a) (log p(b) - log p(a)),    a <= x <= b,    and exponential beyond the outermost

So total, F and mean are sums of closed forms. Places are added where the line may be wrong: where tangents of the
neighbouring lines enclose most probability with it (as in rejection sampling of Gilks & Wild 1992, doi:10.2307/2347565).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from math import log

import torch
from torch import Tensor

from plausibly.events.allowed import Allowed
from plausibly.outcomes.categorical import gumbel_max
from plausibly.outcomes.densities import insert_specials, specials_log_prob
from plausibly.outcomes.outcome import Index, Numeric, Single
from plausibly.outcomes.within import truncate_number

MAX_DOUBT = 1e-3  # of the probability, that lines and tangents may enclose in all
MAX_ROUNDS, LINES_PER_ROUND = 24, 32  # of adding places, and lines that are split in a round
QUARTERS = (0.25, 0.5, 0.75)


class InterpolatedDensity(Numeric):
    """`places` (batch, n), sorted, with log densities up to a constant; `log_special` as of `MixtureDensity`."""

    def __init__(self, places: Tensor, logs: Tensor, log_special: Tensor | None = None) -> None:
        self.places, self.logs, self.log_special = (
            places,
            logs - log_integral(places, logs)[:, None],
            log_special,
        )

    @cached_property
    def _cumulative(self) -> Tensor:
        """F at each place."""
        grown = line_masses(self.places, self.logs).exp().cumsum(1)
        return torch.cat([self.logs.new_zeros(len(self.logs), 1), grown], 1)

    def _line(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The line of each x: its number, its first place, its log density there, and its slope."""
        index = torch.searchsorted(self.places[:, 1:-1].contiguous(), x[:, None], right=True)
        low, high = (self.places.gather(1, i)[:, 0] for i in (index, index + 1))
        first, last = (self.logs.gather(1, i)[:, 0] for i in (index, index + 1))
        return index, low, first, (last - first) / (high - low).clamp(min=1e-300)

    def log_prob(self, x: Tensor) -> Tensor:
        own = x.double()
        inside = own.clamp(self.places[:, 0], self.places[:, -1])
        _, low, first, slope = self._line(inside)
        beyond = (own - inside).abs() * 30 / (self.places[:, -1] - self.places[:, 0])
        density = first + slope * (inside - low) - beyond
        return (
            density if self.log_special is None else specials_log_prob(self.log_special, x, density)
        )

    def below(self, x: Tensor) -> Tensor:
        inside = x.double().clamp(self.places[:, 0], self.places[:, -1])
        index, low, first, slope = self._line(inside)
        own = first.exp() * (inside - low) * expm1_share(slope * (inside - low))
        return (self._cumulative.gather(1, index)[:, 0] + own).clamp(0, 1)

    def mean(self) -> Tensor:
        rise, width = self.logs.diff(dim=1), self.places.diff(dim=1)
        flat = rise.abs() < 1e-3
        safe = rise.masked_fill(flat, 1.0)
        centre = torch.where(flat, 0.5 + rise / 12, -1 / torch.expm1(-safe) - 1 / safe)
        return (
            (self.places[:, :-1] + width * centre) * line_masses(self.places, self.logs).exp()
        ).sum(1)

    def sample(self, generator: torch.Generator) -> Tensor:
        u = torch.rand(
            len(self.places), 1, generator=generator, dtype=torch.float64, device=self.places.device
        )
        x = self._invert(u)[:, 0].float()
        if self.log_special is None:
            return x
        return insert_specials(self.log_special, x, gumbel_max(self.log_special, generator))

    def _invert(self, u: Tensor) -> Tensor:
        """The numbers at which F is `u`, (batch, 1)."""
        index = torch.searchsorted(self._cumulative[:, 1:-1].contiguous(), u, right=True)
        low, high = (self.places.gather(1, i) for i in (index, index + 1))
        start, end = (self._cumulative.gather(1, i) for i in (index, index + 1))
        rise = (self.logs.gather(1, index + 1) - self.logs.gather(1, index)).clamp(-700, 700)
        share = ((u - start) / (end - start).clamp(min=1e-300)).clamp(0, 1)
        flat = rise.abs() < 1e-9
        bent = torch.log1p(share * torch.expm1(rise)) / rise.masked_fill(flat, 1.0)
        return low + torch.where(flat, share, bent) * (high - low)

    def mode(self) -> Tensor:
        x = self.places.gather(1, self.logs.argmax(1, keepdim=True))[:, 0].float()
        if self.log_special is None:
            return x
        return insert_specials(self.log_special, x, self.log_special.argmax(-1))

    def number(self) -> Tensor:
        return (
            self.places.new_ones(()) if self.log_special is None else self.log_special[:, 0].exp()
        )

    def cuts(self) -> Tensor:
        return self.places

    def one(self, i: int) -> InterpolatedDensity:
        return self

    def rows(self, index: Index) -> InterpolatedDensity:
        special = None if self.log_special is None else self.log_special[index]
        return InterpolatedDensity(self.places[index], self.logs[index], special)

    def truncate(self, allowed: Allowed) -> tuple[Single, Tensor]:
        return truncate_number(self, self.logs[:, 0], self.log_special, allowed, self._with_special)

    def _with_special(self, special: Tensor) -> InterpolatedDensity:
        return InterpolatedDensity(self.places, self.logs, special)

    def beside(self, others: Sequence[InterpolatedDensity]) -> InterpolatedDensity:
        every = [self, *others]
        most = max(one.places.shape[1] for one in every)
        places, logs = (
            torch.cat([lengthen_rows(getattr(one, n), most) for one in every])
            for n in ("places", "logs")
        )
        special = [one.log_special for one in every if one.log_special is not None]
        return InterpolatedDensity(places, logs, torch.cat(special) if special else None)


def lengthen_rows(rows: Tensor, most: int) -> Tensor:
    """Rows with their last number repeated."""
    return torch.cat([rows, rows[:, -1:].expand(-1, most - rows.shape[1])], 1)


def expm1_share(d: Tensor) -> Tensor:
    """(exp(d) - 1) / d."""
    flat = d.abs() < 1e-9
    return torch.where(flat, 1.0, torch.expm1(d.clamp(max=700)) / d)


def line_masses(places: Tensor, logs: Tensor) -> Tensor:
    """log of the integral of each line's exponential: (batch, n - 1, ...) from places (batch, n) and logs (batch, n, ...)."""
    low, high = logs[:, :-1], logs[:, 1:]
    width = places.diff(dim=1).log()[(..., *[None] * (logs.ndim - 2))]
    return width + torch.maximum(low, high) + expm1_share(-(high - low).abs()).log()


def log_integral(places: Tensor, logs: Tensor) -> Tensor:
    return line_masses(places, logs).logsumexp(1)


def line_doubts(places: Tensor, logs: Tensor, gap: float) -> Tensor:
    """log of what a line and the tangents beside it enclose, (batch, n - 1); none where a line is too short to split."""
    width = places.diff(dim=1)
    slopes = logs.diff(dim=1) / width
    bend = slopes.diff(dim=1).abs()
    before, after = (torch.cat(pair, 1) for pair in ((bend[:, :1], bend), (bend, bend[:, -1:])))
    height = width * before * after / (before + after).clamp(min=1e-300)
    grown = torch.where(
        height > 30, height, torch.expm1(height.clamp(max=30)).clamp(min=1e-300).log()
    )
    return (line_masses(places, logs) + grown).masked_fill(width < 4 * gap, -torch.inf)


def separate_places(places: Tensor, gap: float) -> Tensor:
    """Places (batch, n) sorted, moved up where needed so that each is at least a gap above the one before; float32's."""
    columns = [places.sort(1).values[:, 0]]
    for column in places.sort(1).values.unbind(1)[1:]:
        least = columns[-1] + gap + 4e-7 * columns[-1].abs()
        columns.append(torch.maximum(column, least))
    return torch.stack(columns, 1).float().double()


LogDensity = Callable[
    [Tensor], Tensor
]  # log p at numbers (rows, n), one for each of several events besides: (rows, n, events)


def interpolate_density(
    look: LogDensity,
    places: Tensor,
    gap: float,
    specials: Sequence[float] = (),
    log_weights: Tensor | None = None,
) -> InterpolatedDensity:
    """The outcome of a number by sums over events besides: of p(number, event) as they are, or of p(number | event), weighed.

    `places` (rows, n) are where to begin, float64; none will be nearer to another than `gap`. `log_weights` (rows, events).
    """
    places = separate_places(places, gap)
    logs = look(places)
    odd = look(places.new_tensor(specials).expand(len(places), -1)) if specials else logs[:, :0]
    for _ in range(MAX_ROUNDS):
        pooled, _ = sum_events(places, logs, odd, log_weights)
        doubt = line_doubts(places, pooled, gap)
        if bool((doubt.logsumexp(1) - log_integral(places, pooled) < log(MAX_DOUBT)).all()):
            break
        places, logs = _add_places(look, places, logs, doubt)
    pooled, special = sum_events(places, logs, odd, log_weights)
    number = log_integral(places, pooled)[:, None]
    log_special = torch.cat([number, special], 1).log_softmax(1) if specials else None
    return InterpolatedDensity(places, pooled, log_special)


def _add_places(
    look: LogDensity, places: Tensor, logs: Tensor, doubt: Tensor
) -> tuple[Tensor, Tensor]:
    """Further places on the lines that are most in doubt, sorted among the others, with their log densities."""
    worst = doubt.topk(min(LINES_PER_ROUND, doubt.shape[1]), 1).indices
    low, width = places.gather(1, worst), places.diff(dim=1).gather(1, worst)
    more = torch.cat([low + share * width for share in QUARTERS], 1).float().double()
    places, order = torch.cat([places, more], 1).sort(1)
    logs = torch.cat([logs, look(more)], 1)
    return places, logs.gather(1, order[..., None].expand(-1, -1, logs.shape[2]))


def sum_events(
    places: Tensor, logs: Tensor, odd: Tensor, log_weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """log p over all events besides, at the places and at the specials."""
    if log_weights is not None:
        own = torch.cat([log_integral(places, logs)[:, None], odd], 1).logsumexp(1)
        logs, odd = (each + (log_weights - own)[:, None] for each in (logs, odd))
    return logs.logsumexp(2), odd.logsumexp(2)
