"""Outcomes of real variables: mixtures of normals or logistics, beside special events."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from plausibly.events.allowed import Allowed
from plausibly.events.kinds import HOLE, UNFORESEEN
from plausibly.outcomes.categorical import drop_code, gumbel_max
from plausibly.outcomes.outcome import Index, Numeric, Single
from plausibly.outcomes.within import truncate_number
from plausibly.system.randomness import random_like

DENSITIES = ("normal", "logistic")


class MixtureDensity(Numeric):
    """A real number: a mixture of normals or logistics, sum_c w_c f((x - m_c) / s_c) / s_c, all (..., components).

    `density` says which: normal or logistic.
    `log_special`, (..., 1 + specials) or None: log p of being a number, of being unforeseen and of being a hole,
    as far as the kind knows these. The special at the place `unseen` was never seen: it is never drawn.
    """

    def __init__(
        self,
        log_weights: Tensor,
        means: Tensor,
        scales: Tensor,
        log_special: Tensor | None = None,
        density: str = "normal",
        unseen: int | None = None,
    ) -> None:
        self.log_weights, self.means, self.scales = log_weights, means, scales
        self.log_special, self.density, self.unseen = log_special, density, unseen

    def _log_density(self, x: Tensor) -> Tensor:
        if self.density == "normal":
            density: Tensor = NormalMixture.apply(x, self.log_weights, self.means, self.scales)
            return density
        z = (x.unsqueeze(-1) - self.means) / self.scales
        standard = -z - 2 * softplus(-z)
        return (self.log_weights + standard - self.scales.log()).logsumexp(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        if self.log_special is None:
            return self._log_density(x)
        return specials_log_prob(
            self.log_special, x, self._log_density(x.masked_fill(x >= UNFORESEEN, 0.0))
        )

    def sample(self, generator: torch.Generator) -> Tensor:
        pick = gumbel_max(self.log_weights, generator).unsqueeze(-1)
        mean = self.means.gather(-1, pick).squeeze(-1)
        scale = self.scales.gather(-1, pick).squeeze(-1)
        x = mean + scale * self._noise(mean, generator)
        if self.log_special is None:
            return x
        special = gumbel_max(drop_code(self.log_special, self.unseen), generator)
        return insert_specials(self.log_special, x, special)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Draws of a component with mean 0 and scale 1."""
        if self.density == "normal":
            return random_like(like, torch.Tensor.normal_, generator)
        shares = random_like(like, torch.Tensor.uniform_, generator)
        return shares.clamp(1e-7, 1 - 1e-7).logit()

    def cuts(self) -> Tensor:
        away = self.means.new_tensor([sign * far for far in TAIL_SCALES for sign in (-1, 1)])
        return (self.means.unsqueeze(-1) + self.scales.unsqueeze(-1) * away).flatten(-2)

    def mode(self) -> Tensor:
        """The mean of a component at which the density is highest; a special where that is more probable than a number."""
        heights = torch.stack([self._log_density(m) for m in self.means.unbind(-1)], -1)
        x = self.means.gather(-1, heights.argmax(-1, keepdim=True)).squeeze(-1)
        if self.log_special is None:
            return x
        return insert_specials(
            self.log_special, x, drop_code(self.log_special, self.unseen).argmax(-1)
        )

    def mean(self) -> Tensor:
        return (self.log_weights.double().exp() * self.means.double()).sum(-1)

    def number(self) -> Tensor:
        return (
            self.means.new_ones(()) if self.log_special is None else self.log_special[..., 0].exp()
        )

    def below(self, x: Tensor) -> Tensor:
        z = (x.double().unsqueeze(-1) - self.means.double()) / self.scales.double()
        share = torch.special.ndtr(z) if self.density == "normal" else z.sigmoid()
        return (self.log_weights.double().exp() * share).sum(-1)

    def one(self, i: int) -> MixtureDensity:
        special = None if self.log_special is None else self.log_special[:, i]
        form = self.log_weights[:, i], self.means[:, i], self.scales[:, i]
        return MixtureDensity(*form, special, self.density, self.unseen)

    def rows(self, index: Index) -> MixtureDensity:
        special = None if self.log_special is None else self.log_special[index]
        form = self.log_weights[index], self.means[index], self.scales[index]
        return MixtureDensity(*form, special, self.density, self.unseen)

    def beside(self, others: Sequence[Any]) -> MixtureDensity:
        every = (self, *others)
        weights, means, scales = (
            torch.cat([getattr(one, n) for one in every])
            for n in ("log_weights", "means", "scales")
        )
        special = (
            None if self.log_special is None else torch.cat([one.log_special for one in every])
        )
        return MixtureDensity(weights, means, scales, special, self.density, self.unseen)

    def truncate(self, allowed: Allowed) -> tuple[Single, Tensor]:
        return truncate_number(
            self, self.means[..., 0], self.log_special, allowed, self._with_special
        )

    def _with_special(self, special: Tensor) -> MixtureDensity:
        form = self.log_weights, self.means, self.scales
        return MixtureDensity(*form, special, self.density, self.unseen)


class NormalMixture(torch.autograd.Function):
    """The log density of numbers, (...), under normals, (..., components), and its gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
        z = (x.unsqueeze(-1) - means) / scales
        parts = torch.addcmul(torch.rsub(scales.log(), -0.5 * log(2 * pi)), z, z, value=-0.5)
        if z.shape[-1] == 1:  # which has all the weight
            ctx.save_for_backward(z, scales)
            return parts.squeeze(-1)
        parts = parts + log_weights
        total = parts.logsumexp(-1)
        ctx.save_for_backward(z, scales, parts, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, scales, *mixed = ctx.saved_tensors
        grad, to_weights = grad.unsqueeze(-1), None
        if mixed:  # each component has its share of the density
            parts, total = mixed
            grad = to_weights = (parts - total.unsqueeze(-1)).exp_().mul_(grad)
        steep = grad / scales
        to_means = steep * z
        to_x = -to_means.sum(-1) if ctx.needs_input_grad[0] else None
        return to_x, to_weights, to_means, to_means * z - steep


def specials_log_prob(log_special: Tensor, x: Tensor, density: Tensor) -> Tensor:
    """log p of events of which a number has the log `density`: of specials what `log_special`, (..., 1 + specials), says."""
    last = log_special.shape[-1] - 1
    index = torch.where(x >= HOLE, last, 1).unsqueeze(-1)
    return torch.where(
        x >= UNFORESEEN, log_special.gather(-1, index).squeeze(-1), log_special[..., 0] + density
    )


def insert_specials(log_special: Tensor, x: Tensor, which: Tensor) -> Tensor:
    """`x` where `which` is 0, else the event of that special."""
    specials = x.new_tensor([0.0, UNFORESEEN, HOLE] if log_special.shape[-1] == 3 else [0.0, HOLE])
    return torch.where(which == 0, x, specials[which])


# scales from a component's mean, or means of a tail
TAIL_SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 15.0, 30.0)
