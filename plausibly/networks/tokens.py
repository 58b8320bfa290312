"""Laws of tokens, which are several codes together: what each code is, given those before it.

They turn parameters of tokens, (..., width), into the outcome of one code after the other.
"""

from __future__ import annotations

from collections.abc import Generator
from math import log

import torch
from torch import Tensor, nn

from plausibly.networks.heads import free_logits, symmetric_log_softmax, symmetric_logits
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.discretised import DiscretisedLogistics, place_levels
from plausibly.outcomes.outcome import Single

MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0  # of a logistic, where levels fill -1 to 1
UnrolledToken = Generator[Single, Tensor, None]


class JointLaw(nn.Module):
    """A probability for each of the codes^parts tokens: those of a part are sums over all later ones."""

    def __init__(self, codes: int, parts: int) -> None:
        super().__init__()
        self.codes, self.parts = codes, parts
        self.width = codes**parts - 1

    def number(self, codes: Tensor) -> Tensor:
        """The number of each token, int64 (...), of its codes, (..., parts), the first of which counts most."""
        found = codes[..., 0].long()
        for part in range(1, self.parts):
            found = found * self.codes + codes[..., part].long()
        return found

    def see(self, codes: Tensor) -> Tensor:
        """The codes that a network is told of each token, (..., 1)."""
        return self.number(codes)[..., None]

    def log_prob(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """log p of whole tokens, (...)."""
        logs = symmetric_log_softmax(parameters)
        return logs.gather(-1, self.number(codes)[..., None]).squeeze(-1)

    def unroll(self, parameters: Tensor) -> UnrolledToken:
        """Yields the outcome of each part in turn, and is sent its codes, (...)."""
        logs = symmetric_log_softmax(parameters)
        for _ in range(self.parts):
            table = logs.unflatten(-1, (self.codes, -1))
            x = yield Categorical(table.logsumexp(-1).log_softmax(-1))
            index = x.long()[..., None, None].expand(*table.shape[:-2], 1, table.shape[-1])
            logs = table.gather(-2, index).squeeze(-2)

    def marginals(self, codes: Tensor) -> Tensor:
        """Parameters, (width,), at which each token's law is the smoothed marginal of all tokens, (..., parts)."""
        counts = torch.bincount(self.number(codes).flatten(), minlength=self.codes**self.parts)
        return symmetric_logits(free_logits(counts))


class MixtureLaw(nn.Module):
    """Logistics over the levels of each part, mixed for all parts together (Salimans et al. 2017, arXiv:1701.05517).

    In a component the mean of a part moves with those before it, by a slope each. What these were says which component it is:
    the weights of a part are those of the token times the probabilities of the parts so far.
    """

    def __init__(self, levels: int, specials: int, parts: int, components: int) -> None:
        super().__init__()
        self.levels, self.specials, self.parts, self.components = (
            levels,
            specials,
            parts,
            components,
        )
        slopes = parts * (parts - 1) // 2
        self.sizes = [
            components - 1,
            *[parts * components] * 2,
            slopes * components,
            parts * specials,
        ]
        self.width = sum(self.sizes)

    def see(self, codes: Tensor) -> Tensor:
        """The codes that a network is told of each token, (..., parts)."""
        return codes

    def log_prob(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """log p of whole tokens, (...)."""
        law, total = self.unroll(parameters), codes.new_zeros(codes.shape[:-1])
        outcome = next(law)
        for part, x in enumerate(codes.unbind(-1)):
            total = total + outcome.log_prob(x)
            if part + 1 < self.parts:
                outcome = law.send(x)
        return total

    def unroll(self, parameters: Tensor) -> UnrolledToken:
        """Yields the outcome of each part in turn, and is sent its codes, (...)."""
        weights, means, scales, slopes, special = parameters.split(self.sizes, -1)
        log_weights = symmetric_log_softmax(weights)
        mean, scale = (each.unflatten(-1, (self.parts, -1)) for each in (means, scales))
        slope = slopes.unflatten(-1, (-1, self.components)).unbind(-2) if slopes.shape[-1] else ()
        special = special.unflatten(-1, (self.parts, -1))
        earlier, used = list[Tensor](), 0
        for part in range(self.parts):
            centre = mean[..., part, :]
            for x in earlier:
                centre = centre + slope[used] * x
                used += 1
            outcome = DiscretisedLogistics(
                log_weights,
                centre,
                scale[..., part, :].clamp(MIN_LOG_SCALE, MAX_LOG_SCALE),
                self.levels,
                symmetric_log_softmax(special[..., part, :]) if self.specials else None,
            )
            x = yield outcome
            level = (x < self.levels).unsqueeze(-1)
            told = outcome.log_components(x).where(level, 0.0)
            log_weights = (log_weights + told).log_softmax(-1)
            earlier.append(place_levels(x, self.levels).unsqueeze(-1).where(level, 0.0))

    def marginals(self, codes: Tensor) -> Tensor:
        """Parameters, (width,), at which components are spread over the levels of all tokens, (..., parts)."""
        flat = codes.flatten(0, -2).float()
        share = torch.linspace(0, 1, 2 * self.components + 1, device=codes.device)[1::2]
        means, special = list[Tensor](), list[Tensor]()
        for x in flat.unbind(-1):
            levels = x[x < self.levels]
            levels = levels if len(levels) else x.new_zeros(1)
            order = (share * (len(levels) - 1)).long()
            means.append(place_levels(levels.sort().values[order], self.levels))
            counts = torch.bincount(
                (x.long() - self.levels + 1).clamp(min=0), minlength=self.specials + 1
            )
            special.append(symmetric_logits(free_logits(counts)))
        weights, _, scales, slopes, _ = (flat.new_zeros(size) for size in self.sizes)
        return torch.cat([weights, *means, scales - log(self.components), slopes, *special])
