"""Real numbers by the bins they fall into, for models made of tables.

    log p(x) = log p(bin of x) + log density of x inside its bin

uniform in an inner bin, exponential in the two outermost. Discrete variables pass as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plausibly.events.kinds import HOLE, UNFORESEEN, Kind, Real, real_kinds
from plausibly.events.schema import Schema


class Binning(nn.Module):
    """Between events, (batch, variables), and codes of the same form, for the real variables of a schema."""

    edges: Tensor
    count: Tensor
    tails: Tensor
    last: Tensor
    holes: Tensor
    slot: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        real = real_kinds(schema.kinds)
        slot = torch.full((schema.size,), -1, device="cpu")
        slot[list(schema.continuous_variables)] = torch.arange(len(real), device="cpu")
        self.any = bool(real)
        self._keep("slot", slot)
        self._keep("edges", pad_with_infinity([kind.edges for kind in real]))
        self._keep("count", [len(kind.edges) for kind in real])
        self._keep("tails", [kind.tails for kind in real])
        self._keep("last", [kind.codes - 1 for kind in real])
        self._keep("holes", [kind.missing for kind in real])

    def _keep(self, name: str, numbers: Any) -> None:
        self.register_buffer(name, torch.as_tensor(numbers, device="cpu"), persistent=False)

    def is_real(self, i: int) -> bool:
        return self.schema.kinds[i].continuous

    def codes(self, x: Tensor) -> Tensor:
        """Codes of all variables, int64."""
        return self.digitise(x)[0] if self.any else x.long()

    def _slots(self, variables: Sequence[int] | None) -> tuple[Tensor, Tensor]:
        """Which of the given variables are real, as places among them, and their rows in the buffers."""
        slot = self.slot if variables is None else self.slot[list(variables)]
        places = (slot >= 0).nonzero()[:, 0]
        return places, slot[places]

    def digitise(self, x: Tensor, variables: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Codes, int64, and the log density inside the code's bin, 0 where it is none.

        `x` is (batch, variables) of the `variables` (default: all), or (batch,) of one.
        """
        if x.ndim == 1:
            codes, inside = self.digitise(x[:, None], variables)
            return codes[:, 0], inside[:, 0]
        places, slots = self._slots(variables)
        if not len(places):
            return x.long(), torch.zeros_like(x)
        codes, inside = self._digitise(x[:, places].T.contiguous(), slots)
        whole = x.masked_fill(x >= UNFORESEEN, 0.0).long()
        nats = torch.zeros(x.shape, dtype=inside.dtype, device=x.device)
        whole[:, places], nats[:, places] = codes.T, inside.T
        return whole, nats

    def _digitise(self, own: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """As `digitise`, of real variables alone, (variables, batch)."""
        codes = torch.searchsorted(self.edges[slots], own, right=True)
        codes = torch.minimum(codes, self.count[slots, None])
        inside = self._inside(own, codes, slots)
        codes = torch.where(own >= UNFORESEEN, self.count[slots, None] + 1, codes)
        return torch.where(own >= HOLE, self.last[slots, None], codes), inside

    def _inside(self, own: Tensor, codes: Tensor, slots: Tensor) -> Tensor:
        low, high = self._ends(codes, slots)
        first, last = codes == 0, codes == self.count[slots, None]
        distance = torch.where(first, high - own, own - low)
        tail = torch.where(first, self.tails[slots, 0, None], self.tails[slots, 1, None])
        nats = torch.where(first | last, -distance / tail - tail.log(), -(high - low).log())
        return nats.masked_fill(own >= UNFORESEEN, 0.0)

    def _ends(self, codes: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Both edges of each bin; of an outermost bin its one edge, twice."""
        edges, top = self.edges[slots], self.count[slots, None] - 1
        return edges.gather(1, (codes - 1).clamp(min=0)), edges.gather(1, torch.minimum(codes, top))

    def bins(self, i: int) -> int:
        """The number of bins of a real variable."""
        return int(self.count[self.slot[i]]) + 1

    def means(self, i: int) -> Tensor:
        """The mean of the events in each bin of a real variable, (bins,), float64."""
        return torch.from_numpy(self._kind(i).bin_means())

    def share(self, x: Tensor, codes: Tensor, variables: Sequence[int] | None) -> Tensor:
        """The share of a bin's probability at or below numbers, (batch,) of one variable, that lie in it; float64."""
        _, slots = self._slots(variables)
        low, high = (end[0].double() for end in self._ends(codes[None], slots))
        tails, top = self.tails[slots[0]].double(), self.count[slots[0]]
        inner = (x - low) / (high - low)
        outer = torch.where(
            codes == 0, ((x - high) / tails[0]).exp(), -((low - x) / tails[1]).expm1()
        )
        return torch.where((codes > 0) & (codes < top), inner, outer).clamp(0, 1)

    def draw_inside(
        self,
        codes: Tensor,
        generator: torch.Generator,
        variables: Sequence[int] | None = None,
        ends: Tensor | None = None,
    ) -> Tensor:
        """Events drawn inside codes, float32; numbers between `ends`, (variables, 2), where there are any."""
        return self._event_within(codes, variables, generator, ends)

    def middle(self, codes: Tensor, variables: Sequence[int] | None = None) -> Tensor:
        """The middle of each bin, and the edge of an outermost one, where its density is highest; float32."""
        return self._event_within(codes, variables, None)

    def _event_within(
        self,
        codes: Tensor,
        variables: Sequence[int] | None,
        generator: torch.Generator | None,
        ends: Tensor | None = None,
    ) -> Tensor:
        if codes.ndim == 1:
            return self._event_within(codes[:, None], variables, generator, ends)[:, 0]
        x = codes.float()
        places, slots = self._slots(variables)
        if not len(places):
            return x
        own = codes[:, places].T
        event = self._number_within(own, slots, generator, None if ends is None else ends[places])
        event = event.masked_fill(own > self.count[slots, None], UNFORESEEN)
        holes = (own == self.last[slots, None]) & self.holes[slots, None]
        x[:, places] = event.masked_fill(holes, HOLE).T
        return x

    def _number_within(
        self,
        codes: Tensor,
        slots: Tensor,
        generator: torch.Generator | None,
        ends: Tensor | None = None,
    ) -> Tensor:
        """A number within each bin, (variables, batch): drawn if there is a generator, else the middle or the one edge."""
        count = self.count[slots, None]
        low, high = self._ends(torch.minimum(codes, count), slots)
        if generator is None:
            share, away = torch.full_like(low, 0.5), torch.zeros_like(low)
        else:
            share = torch.rand(low.shape, generator=generator, device=low.device)
            away = torch.empty_like(low).exponential_(generator=generator)
        # rounding must not leave the bin
        under = torch.nextafter(high, torch.full_like(high, -torch.inf))
        inner = torch.minimum(low + share * (high - low), under)
        fall, rise = self.tails[slots, 0, None] * away, self.tails[slots, 1, None] * away
        if ends is not None:  # an exponential number modulo another is exponential below it
            least, most = ends.to(low).T[..., None]
            fall, rise = fall % (high - least), rise % (most - low)
            under = under.maximum(least)
        below, above = torch.minimum(high - fall, under), low + rise
        found = torch.where(codes == 0, below, torch.where(codes == count, above, inner))
        return found if ends is None else found.maximum(least).minimum(most)

    def peaks(self) -> Tensor:
        """log of the highest density inside each code, (sum of codes,), float64; 0 for codes that are no bin."""
        return torch.cat([log_bin_peaks(kind) for kind in self.schema.kinds])

    def entropies(self) -> Tensor:
        """The differential entropy inside each code in nats, (sum of codes,), float64; 0 for codes that are no bin."""
        parts = (-self.peaks()).split(list(self.schema.codes))
        for i in self.schema.continuous_variables:
            parts[i][[0, self.bins(i) - 1]] += 1  # an exponential's is 1 + log mean
        return torch.cat(parts)

    def cuts(self, i: int, away: Sequence[float]) -> Tensor:
        """The edges of a variable's bins, and places in its tails, so many means away."""
        kind = self._kind(i)
        low = [kind.edges[0] - kind.tails[0] * far for far in away]
        high = [kind.edges[-1] + kind.tails[1] * far for far in away]
        return torch.tensor([*low, *kind.edges, *high], device=self.slot.device)

    def _kind(self, i: int) -> Real:
        kind = self.schema.kinds[i]
        assert isinstance(kind, Real)
        return kind


def log_bin_peaks(kind: Kind) -> Tensor:
    """log of the highest density inside each code of a real kind, (codes,), float64; 0 for codes that are no bin."""
    if isinstance(kind, Real):
        return -torch.from_numpy(kind.bin_sizes()).log()
    return torch.zeros(kind.codes, dtype=torch.float64, device="cpu")


def pad_with_infinity(rows: Sequence[Sequence[float]]) -> Tensor:
    """Rows of different lengths as one, (rows, longest), filled up with infinity."""
    longest = max(map(len, rows), default=0)
    filled = [[*row, *[float("inf")] * (longest - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.float32, device="cpu")
