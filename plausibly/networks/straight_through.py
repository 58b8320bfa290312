"""Events as numbers, drawn by a network so that gradients flow through the draw: what a generator paints and a critic sees.

    code      one-hot argmax(logits + Gumbel noise), with the gradient of softmax
    rank      v = (levels - 1) sigmoid(parameter), rounded, with the gradient of v: ordered kinds of three levels or more
    number    the parameter itself: real kinds

(Jang et al. 2017, arXiv:1611.01144; Bengio et al. 2013, arXiv:1308.3432.)

Both sides see the same numbers, so that nothing tells real events from made ones but what they are: a number for a bit, a
one-hot code, or one number in [-1, 1] for a rank (a real number as it is, within +-10) and flags for holes and for what is
not foreseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.events.kinds import UNFORESEEN, Kind
from plausibly.events.schema import Schema
from plausibly.networks.heads import free_log_softmax, free_logits
from plausibly.system.randomness import by_row

# beyond which real numbers, and logits, look alike to a critic: gradients pass, so that a generator comes back
MAX_NUMBER, MAX_LOGIT = 10.0, 12.0
# gains of a generator's outputs, which begins with small weights
LOGIT_GAIN = 100.0
NUMBER_GAIN = 10.0


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """`hard`, with the gradient of `soft`."""
    return soft + (hard - soft).detach()


def clamp_logits(logits: Tensor) -> Tensor:
    """No farther from 0 than where a softmax has a gradient left; beyond, what passes is the gradient there."""
    return straight_through(logits.clamp(-MAX_LOGIT, MAX_LOGIT), logits)


class VariableSampler:
    """Draws variables of one layout from `parameters` numbers each, seen as `width` numbers each."""

    def __init__(self, kind: Kind) -> None:
        self.real, self.levels = kind.continuous, kind.regular
        self.coded = not self.real and (not kind.ordered or kind.regular < 3)
        self.specials = kind.specials
        one_hot = kind.codes - (kind.codes == 2)
        self.width = one_hot if self.coded else 1 + len(self.specials)
        self.parameters = one_hot if self.coded else self.width + bool(self.specials)
        self.layout = (self.real, self.coded, self.levels, tuple(self.specials))

    def encode(self, x: Tensor) -> Tensor:
        """The numbers of events, (batch, variables, width) from (batch, variables)."""
        if self.coded:
            return (
                x.unsqueeze(-1) if self.width == 1 else F.one_hot(x.long(), self.width).to(x.dtype)
            )
        special = x >= (UNFORESEEN if self.real else self.levels)
        flags = [(x == mark).to(x.dtype) for mark in self.specials]
        return torch.stack(
            [self._scale(x.masked_fill(special, 0.0)).masked_fill(special, 0.0), *flags], -1
        )

    def _scale(self, x: Tensor) -> Tensor:
        if self.real:
            return straight_through(x.clamp(-MAX_NUMBER, MAX_NUMBER), x)
        return 2 * x / (self.levels - 1) - 1

    def sample(self, parameters: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Events, (batch, variables), and their numbers, from parameters and as many numbers in (0, 1)."""
        logits = clamp_logits(parameters[..., self.real :])
        if not self.coded:
            return self._sample_number(
                torch.cat([parameters[..., : self.real], logits], -1), uniform
            )
        if self.width == 1:
            noisy = logits + uniform.logit()
            bit = straight_through((noisy > 0).to(noisy.dtype), noisy.sigmoid())
            return bit[..., 0], bit
        one_hot = straight_through_argmax(logits + gumbel_noise(uniform))
        codes = torch.arange(self.width, device=one_hot.device).to(one_hot.dtype)
        return one_hot @ codes, one_hot

    def _sample_number(self, parameters: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        event = parameters[..., 0] if self.real else self._level(parameters[..., 0])
        seen = self._scale(event)
        if not self.specials:
            return event, seen.unsqueeze(-1)
        flags = straight_through_argmax(parameters[..., 1:] + gumbel_noise(uniform[..., 1:]))
        marks = torch.tensor(self.specials, device=event.device, dtype=event.dtype)
        event = torch.where(flags[..., 0] > 0.5, event, flags[..., 1:].detach() @ marks)
        return event, torch.cat([(seen * flags[..., 0]).unsqueeze(-1), flags[..., 1:]], -1)

    def _level(self, number: Tensor) -> Tensor:
        place = (self.levels - 1) * number.sigmoid()
        return straight_through(place.round(), place)

    def from_marginals(self, x: Tensor) -> Tensor:
        """Parameters, (parameters,), at which draws have about the marginal of events, (rows,), or its mean."""
        if self.coded:
            free = free_logits(torch.bincount(x.long(), minlength=max(self.width, 2)))
            return free if self.width == 1 else free_log_softmax(free)
        special = x >= (UNFORESEEN if self.real else self.levels)
        mean = x[~special].double().mean().float().nan_to_num(0.0)
        place = mean if self.real else ((mean + 0.5) / self.levels).clamp(0.02, 0.98).logit()
        counts = torch.stack([(~special).sum(), *((x == mark).sum() for mark in self.specials)])
        return torch.cat(
            [place[None], free_log_softmax(free_logits(counts))] if self.specials else [place[None]]
        )


def gumbel_noise(uniform: Tensor) -> Tensor:
    return -(-uniform.log()).log()


def straight_through_argmax(logits: Tensor) -> Tensor:
    """The one-hot argmax over the last dimension, with the gradient of softmax."""
    soft = logits.softmax(-1)
    return straight_through(F.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype), soft)


def _ranges(widths: Sequence[int]) -> list[range]:
    """Ranges of these lengths, one behind the other."""
    return [range(end - width, end) for width, end in zip(widths, accumulate(widths), strict=True)]


class StraightThrough(nn.Module):
    """Some `variables` of a schema, in that order: `width` numbers that are seen, `parameters_width` that are told."""

    event_order: Tensor
    seen_order: Tensor

    def __init__(self, schema: Schema, variables: Sequence[int]) -> None:
        super().__init__()
        self.variables = list(variables)
        each = [VariableSampler(schema.kinds[i]) for i in self.variables]
        self.width = sum(form.width for form in each)
        self.parameters_width = sum(form.parameters for form in each)
        self.forms = list({form.layout: form for form in each}.values())
        seen = _ranges([form.width for form in each])
        self.slices = {i: slice(r.start, r.stop) for i, r in zip(self.variables, seen, strict=True)}
        self._keep_places(each, seen)

    def _keep_places(self, each: Sequence[VariableSampler], seen: Sequence[range]) -> None:
        """Keeps which variables each form has, and where they and their numbers stand."""
        told = _ranges([form.parameters for form in each])
        grouped: list[int] = []
        for g, form in enumerate(self.forms):
            places = [place for place, one in enumerate(each) if one.layout == form.layout]
            self._keep(f"members_{g}", places)
            self._keep(f"told_{g}", [slot for place in places for slot in told[place]])
            grouped += places
        self._keep("event_order", inverse_permutation(grouped))
        self._keep(
            "seen_order", inverse_permutation([slot for place in grouped for slot in seen[place]])
        )

    def _keep(self, name: str, places: Sequence[int]) -> None:
        self.register_buffer(
            name, torch.tensor(places, dtype=torch.long, device="cpu"), persistent=False
        )

    def slice(self, i: int) -> slice:
        """Where the numbers of variable `i` stand."""
        return self.slices[i]

    def forward(self, x: Tensor) -> Tensor:
        """The numbers of events, (batch, width), from (batch, *shape) of the whole schema."""
        own = x.flatten(1)[:, self.variables]
        parts = [
            form.encode(own[:, getattr(self, f"members_{g}")]).flatten(1)
            for g, form in enumerate(self.forms)
        ]
        return torch.cat([own.new_zeros(len(own), 0), *parts], 1)[:, self.seen_order]

    def sample(
        self, parameters: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Events, (batch, variables), and their numbers, (batch, width), from (batch, parameters_width).

        Without a generator, what is most probable of each variable.
        """
        uniform = torch.full_like(parameters, 0.5)
        if generator is not None:
            rolled = by_row(torch.rand, tuple(parameters.shape), generator, parameters.device)
            uniform = rolled.to(parameters.dtype).clamp(1e-6, 1 - 1e-6)
        drawn = [
            form.sample(*(self._own(g, numbers) for numbers in (parameters, uniform)))
            for g, form in enumerate(self.forms)
        ]
        events = torch.cat([event for event, _ in drawn], 1)[:, self.event_order]
        return events, torch.cat([seen.flatten(1) for _, seen in drawn], 1)[:, self.seen_order]

    def _own(self, g: int, numbers: Tensor) -> Tensor:
        return numbers[:, getattr(self, f"told_{g}")].unflatten(
            1, (len(getattr(self, f"members_{g}")), -1)
        )

    def gains(self) -> Tensor:
        """Factors that let a network's outputs matter from the start beside the noise of a draw."""
        gains = torch.full((self.parameters_width,), LOGIT_GAIN, device="cpu")
        for g, form in enumerate(self.forms):
            if not form.coded:
                gains[
                    self._own(g, torch.arange(self.parameters_width, device="cpu")[None])[0, :, 0]
                ] = NUMBER_GAIN
        return gains

    def from_marginals(self, x: Tensor) -> Tensor:
        """Parameters at the marginals of events, (rows, variables of the whole schema)."""
        whole = torch.zeros(self.parameters_width)
        for g, form in enumerate(self.forms):
            places = getattr(self, f"members_{g}").tolist()
            each = [form.from_marginals(x[:, self.variables[place]]) for place in places]
            whole[getattr(self, f"told_{g}").cpu()] = torch.cat(each).cpu()
        return whole


def inverse_permutation(places: Sequence[int]) -> list[int]:
    """Where each of 0, 1, ... stands among the places."""
    return sorted(range(len(places)), key=places.__getitem__)
