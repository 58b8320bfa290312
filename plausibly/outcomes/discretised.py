"""Outcomes of levels: logistics whose mass is counted between the levels (Salimans et al. 2017, arXiv:1701.05517)."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.outcome import Index


class DiscretisedLogistics(Categorical):
    """Levels 0 to `levels` - 1, evenly spread over -1 to 1: a mixture of logistics, all (..., components).

    A level has the mass between the middles to its neighbours, the first all below and the last all above, so that the sum
    over levels is one: with a < b the ends, log(s(b) - s(a)) = log s(b) + log s(-a) + log(1 - e^(a - b)) for the logistic
    function s, which neither rounds to 0 nor needs a density where levels are thin.
    `log_special`, (..., 1 + specials) or None: log p of being a level, and of each code behind the levels.
    """

    def __init__(
        self,
        log_weights: Tensor,
        means: Tensor,
        log_scales: Tensor,
        levels: int,
        log_special: Tensor | None = None,
    ) -> None:
        self.log_weights, self.means, self.log_scales = log_weights, means, log_scales
        self.levels, self.log_special = levels, log_special

    def log_components(self, x: Tensor) -> Tensor:
        """log p of levels, (...), by each component, (..., components); of other codes any number that is finite."""
        half, sharpness = 1 / max(self.levels - 1, 1), (-self.log_scales).exp()
        centred = place_levels(x, self.levels).unsqueeze(-1) - self.means
        low, high = (centred - half) * sharpness, (centred + half) * sharpness
        first, last = (x <= 0).unsqueeze(-1), (x >= self.levels - 1).unsqueeze(-1)
        below = logsigmoid(high).masked_fill(last, 0.0)
        above = logsigmoid(-low).masked_fill(first, 0.0)
        both = torch.log(-torch.expm1(-2 * half * sharpness))
        return below + above + both.masked_fill(first | last, 0.0)

    def log_prob(self, x: Tensor) -> Tensor:
        found = (self.log_weights + self.log_components(x)).logsumexp(-1)
        if self.log_special is None:
            return found
        which = (x.long() - self.levels + 1).clamp(min=0)
        special = self.log_special.gather(-1, which.unsqueeze(-1)).squeeze(-1)
        return special + found.masked_fill(which > 0, 0.0)

    @cached_property
    def log_probs(self) -> Tensor:  # type: ignore[override]
        special = 0 if self.log_special is None else self.log_special.shape[-1] - 1
        codes = torch.arange(
            self.levels + special, device=self.means.device, dtype=self.means.dtype
        )
        each = [self.log_prob(code.expand(self.means.shape[:-1])) for code in codes]
        return torch.stack(each, -1)

    def one(self, i: int) -> DiscretisedLogistics:
        return self._pick((slice(None), i))

    def rows(self, index: Index) -> DiscretisedLogistics:
        return self._pick(index)

    def _pick(self, index: Index | tuple[slice, int]) -> DiscretisedLogistics:
        special = None if self.log_special is None else self.log_special[index]
        form = self.log_weights[index], self.means[index], self.log_scales[index]
        return DiscretisedLogistics(*form, self.levels, special)


def place_levels(x: Tensor, levels: int) -> Tensor:
    """Where levels lie between -1 and 1; one beyond the last lies there too."""
    return x.clamp(max=levels - 1) * (2 / max(levels - 1, 1)) - min(levels - 1, 1)
