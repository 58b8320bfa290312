"""Outcomes: distributions over variables, batched like the parameters that they were made from.

A variable's number is its code, or for a real one its event: standardised, or `UNFORESEEN` or `HOLE`. The log p of a real
number is the log of a density.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from math import log, pi
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad, softplus

from plausibly.events.kinds import HOLE, UNFORESEEN
from plausibly.system.randomness import by_row

Index = Tensor | tuple[Tensor, Tensor]


class Outcome(ABC):
    """A distribution over one variable, x of shape (batch,), or over several side by side, (batch, variables).

    Those side by side are independent of each other given what the outcome was predicted from.
    """

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Nats of each variable, in the shape of `x`."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of each variable, float32."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable number of each variable, float32."""

    @abstractmethod
    def one(self, i: int) -> Single:
        """The distribution of variable `i` alone."""


class Single(Outcome):
    """An outcome whose form is that of one variable."""

    @abstractmethod
    def truncate(self, allowed: Tensor) -> tuple[Single, Tensor]:
        """The distribution given that the code is `allowed`, bool (codes,), and the log p of that.

        The code of a real number is its bin, of which no part may be barred, then come the unforeseen and the hole.
        """

    @abstractmethod
    def rows(self, index: Index) -> Single:
        """The outcome of some rows of the batch; or of cells, by their rows and their variables."""

    @abstractmethod
    def beside(self, others: Sequence[Any]) -> Single:
        """Those rows and the others', which are outcomes of the same form."""


class Numeric(Single):
    """An outcome of a real variable."""

    @abstractmethod
    def number(self) -> Tensor:
        """The probability of being a number at all, (...)."""

    @abstractmethod
    def mean(self) -> Tensor:
        """The mean of the number, given that it is one, float64."""

    @abstractmethod
    def below(self, x: Tensor) -> Tensor:
        """The probability of a number at most `x`, given that it is one, float64."""

    @abstractmethod
    def cuts(self) -> Tensor:
        """Places, (..., n), between which the density is smooth and beyond which hardly any is left."""


class Categorical(Single):
    """Codes 0 to K - 1 with the normalised `log_probs`, (..., K). The code `unseen` was never seen: it is never drawn."""

    unseen: int | None = None

    def __init__(self, log_probs: Tensor, unseen: int | None = None) -> None:
        self.log_probs, self.unseen = log_probs, unseen

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_probs.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        return gumbel_max(without(self.log_probs, self.unseen), generator).float()

    def mode(self) -> Tensor:
        return without(self.log_probs, self.unseen).argmax(-1).float()

    def one(self, i: int) -> Categorical:
        return Categorical(self.log_probs[:, i], self.unseen)

    def rows(self, index: Index) -> Categorical:
        return Categorical(self.log_probs[index], self.unseen)

    def beside(self, others: Sequence[Any]) -> Categorical:
        return Categorical(torch.cat([one.log_probs for one in (self, *others)]), self.unseen)

    def truncate(self, allowed: Tensor) -> tuple[Categorical, Tensor]:
        masked = self.log_probs.masked_fill(~allowed.to(self.log_probs.device), -torch.inf)
        mass = masked.logsumexp(-1)
        return Categorical(masked - mass.unsqueeze(-1), self.unseen), mass


def without(logs: Tensor, place: int | None) -> Tensor:
    """Log weights, (..., K), with none at one place."""
    return (
        logs
        if place is None
        else logs.index_fill(-1, torch.tensor(place, device=logs.device), -torch.inf)
    )


class Bernoulli(Categorical):
    """Codes 0 and 1 by the `logits` of 1, (...): log p is one pass over these, with nothing twice as large in between."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def log_probs(self) -> Tensor:  # type: ignore[override]
        return torch.stack([logsigmoid(-self.logits), logsigmoid(self.logits)], -1)

    def log_prob(self, x: Tensor) -> Tensor:
        return logsigmoid((2 * x - 1) * self.logits)

    def one(self, i: int) -> Bernoulli:
        return Bernoulli(self.logits[:, i])

    def rows(self, index: Index) -> Bernoulli:
        return Bernoulli(self.logits[index])


SHAPES = ("normal", "logistic")


class MixtureDensity(Numeric):
    """A real number: a mixture of normals or logistics, sum_c w_c f((x - m_c) / s_c) / s_c, all (..., components).

    `log_special`, (..., 1 + specials) or None: log p of being a number, of being unforeseen and of being a hole,
    as far as the kind knows these. The special at the place `unseen` was never seen: it is never drawn.
    """

    def __init__(
        self,
        log_weights: Tensor,
        means: Tensor,
        scales: Tensor,
        log_special: Tensor | None = None,
        shape: str = "normal",
        unseen: int | None = None,
    ) -> None:
        self.log_weights, self.means, self.scales = log_weights, means, scales
        self.log_special, self.shape, self.unseen = log_special, shape, unseen

    def _log_density(self, x: Tensor) -> Tensor:
        z = (x.unsqueeze(-1) - self.means) / self.scales
        standard = (
            -0.5 * z.square() - 0.5 * log(2 * pi)
            if self.shape == "normal"
            else -z - 2 * softplus(-z)
        )
        return (self.log_weights + standard - self.scales.log()).logsumexp(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        if self.log_special is None:
            return self._log_density(x)
        return specials_log_prob(
            self.log_special, x, self._log_density(x.masked_fill(x >= UNFORESEEN, 0.0))
        )

    def sample(self, generator: torch.Generator) -> Tensor:
        pick = gumbel_max(self.log_weights, generator).unsqueeze(-1)
        mean, scale = (
            self.means.gather(-1, pick).squeeze(-1),
            self.scales.gather(-1, pick).squeeze(-1),
        )
        if self.shape == "normal":
            noise = random_like(mean, torch.Tensor.normal_, generator)
        else:
            noise = (
                random_like(mean, torch.Tensor.uniform_, generator).clamp(1e-7, 1 - 1e-7).logit()
            )
        x = mean + scale * noise
        if self.log_special is None:
            return x
        return insert_specials(
            self.log_special, x, gumbel_max(without(self.log_special, self.unseen), generator)
        )

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
            self.log_special, x, without(self.log_special, self.unseen).argmax(-1)
        )

    def mean(self) -> Tensor:
        return (self.log_weights.double().exp() * self.means.double()).sum(-1)

    def number(self) -> Tensor:
        return (
            self.means.new_ones(()) if self.log_special is None else self.log_special[..., 0].exp()
        )

    def below(self, x: Tensor) -> Tensor:
        z = (x.double().unsqueeze(-1) - self.means.double()) / self.scales.double()
        share = torch.special.ndtr(z) if self.shape == "normal" else z.sigmoid()
        return (self.log_weights.double().exp() * share).sum(-1)

    def one(self, i: int) -> MixtureDensity:
        special = None if self.log_special is None else self.log_special[:, i]
        form = self.log_weights[:, i], self.means[:, i], self.scales[:, i]
        return MixtureDensity(*form, special, self.shape, self.unseen)

    def rows(self, index: Index) -> MixtureDensity:
        special = None if self.log_special is None else self.log_special[index]
        form = self.log_weights[index], self.means[index], self.scales[index]
        return MixtureDensity(*form, special, self.shape, self.unseen)

    def beside(self, others: Sequence[Any]) -> MixtureDensity:
        every = (self, *others)
        weights, means, scales = (
            torch.cat([getattr(one, n) for one in every])
            for n in ("log_weights", "means", "scales")
        )
        special = (
            None if self.log_special is None else torch.cat([one.log_special for one in every])
        )
        return MixtureDensity(weights, means, scales, special, self.shape, self.unseen)

    def truncate(self, allowed: Tensor) -> tuple[MixtureDensity, Tensor]:
        if self.log_special is None:
            return self, torch.zeros_like(self.means[..., 0])
        specials = self.log_special.shape[-1] - 1
        kept = torch.cat([allowed.new_ones(1), allowed[len(allowed) - specials :]])
        special, mass = Categorical(self.log_special).truncate(kept)
        form = self.log_weights, self.means, self.scales
        return MixtureDensity(*form, special.log_probs, self.shape, self.unseen), mass


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


TAIL_SCALES = (
    0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
    6.0,
    9.0,
    15.0,
    30.0,
)  # scales from a component's mean, or means of a tail


class Histogram(Numeric):
    """Variables of which some are real and known by the bin they fall into: `inner` is the outcome of the codes.

    `binning` turns events of the `variables` into codes and back, and knows the density inside a bin.
    """

    def __init__(
        self, inner: Outcome, binning: AnyBinning, variables: Sequence[int] | None = None
    ) -> None:
        self.inner, self.binning, self.variables = inner, binning, variables

    def log_prob(self, x: Tensor) -> Tensor:
        codes, inside = self.binning.digitise(x, self.variables)
        return self.inner.log_prob(codes) + inside

    def sample(self, generator: torch.Generator) -> Tensor:
        return self.binning.draw_inside(
            self.inner.sample(generator).long(), generator, self.variables
        )

    def mode(self) -> Tensor:
        return self.binning.middle(self.inner.mode().long(), self.variables)

    def one(self, i: int) -> Single:
        inner, variable = self.inner.one(i), i if self.variables is None else self.variables[i]
        return (
            Histogram(inner, self.binning, (variable,)) if self.binning.is_real(variable) else inner
        )

    def rows(self, index: Index) -> Histogram:
        assert isinstance(self.inner, Single)
        return Histogram(self.inner.rows(index), self.binning, self.variables)

    def beside(self, others: Sequence[Any]) -> Histogram:
        assert isinstance(self.inner, Single)
        return Histogram(
            self.inner.beside([one.inner for one in others]), self.binning, self.variables
        )

    def cuts(self) -> Tensor:
        assert self.variables is not None
        return self.binning.cuts(self.variables[0], TAIL_SCALES)

    def number(self) -> Tensor:
        return self._bins().sum(-1)

    def _bins(self) -> Tensor:
        """The probability of each bin, (batch, bins), float64."""
        assert isinstance(self.inner, Categorical) and self.variables is not None
        return self.inner.log_probs[..., : self.binning.bins(self.variables[0])].double().exp()

    def mean(self) -> Tensor:
        assert self.variables is not None
        bins = self._bins()
        return bins @ self.binning.means(self.variables[0]).to(bins.device) / bins.sum(-1)

    def below(self, x: Tensor) -> Tensor:
        bins, codes = self._bins(), self.binning.digitise(x.float(), self.variables)[0]
        own, upto = (each.gather(-1, codes[:, None])[:, 0] for each in (bins, bins.cumsum(-1)))
        return (upto - own * (1 - self.binning.share(x, codes, self.variables))) / bins.sum(-1)

    def truncate(self, allowed: Tensor) -> tuple[Histogram, Tensor]:
        assert isinstance(self.inner, Single)
        inner, mass = self.inner.truncate(allowed)
        return Histogram(inner, self.binning, self.variables), mass


class AnyBinning(Protocol):
    """Between real events and the codes of their bins; `variables` says which the last dimension of `x` holds.

    Without a last dimension `x` holds one variable.
    """

    def is_real(self, i: int) -> bool: ...

    def digitise(self, x: Tensor, variables: Sequence[int] | None) -> tuple[Tensor, Tensor]:
        """Codes, int64, and the log density inside the code's bin, 0 where it is none."""

    def draw_inside(
        self, codes: Tensor, generator: torch.Generator, variables: Sequence[int] | None
    ) -> Tensor:
        """Events drawn inside codes."""

    def middle(self, codes: Tensor, variables: Sequence[int] | None) -> Tensor:
        """The middle of each bin, and the edge of one without an end: where its density is highest."""

    def cuts(self, i: int, away: Sequence[float]) -> Tensor:
        """The edges of a variable's bins, and places in its tails, so many means away."""

    def bins(self, i: int) -> int: ...

    def means(self, i: int) -> Tensor:
        """The mean of the events in each bin of a real variable, (bins,), float64."""

    def share(self, x: Tensor, codes: Tensor, variables: Sequence[int] | None) -> Tensor:
        """The share of a bin's probability at or below numbers, (batch,) of one variable, that lie in it; float64."""


class MixtureOutcome(Numeric):
    """A mixture of outcomes of one variable that have no common form; `log_weights` are normalised, (batch, parts)."""

    def __init__(self, parts: Sequence[Single], log_weights: Tensor) -> None:
        self.parts, self.log_weights = parts, log_weights

    def log_prob(self, x: Tensor) -> Tensor:
        return (
            self.log_weights + torch.stack([part.log_prob(x) for part in self.parts], -1)
        ).logsumexp(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        drawn = torch.stack([part.sample(generator) for part in self.parts], -1)
        return drawn.gather(-1, gumbel_max(self.log_weights, generator)[..., None]).squeeze(-1)

    def mode(self) -> Tensor:
        """The most probable of the parts' modes."""
        modes = torch.stack([part.mode() for part in self.parts], -1)
        best = torch.stack([self.log_prob(x) for x in modes.unbind(-1)], -1).argmax(
            -1, keepdim=True
        )
        return modes.gather(-1, best).squeeze(-1)

    def one(self, i: int) -> Single:
        return mix_outcomes([part.one(i) for part in self.parts], self.log_weights[:, i])

    def rows(self, index: Index) -> MixtureOutcome:
        return MixtureOutcome([part.rows(index) for part in self.parts], self.log_weights[index])

    def beside(self, others: Sequence[Any]) -> MixtureOutcome:
        parts = [part.beside([one.parts[k] for one in others]) for k, part in enumerate(self.parts)]
        return MixtureOutcome(parts, torch.cat([one.log_weights for one in (self, *others)]))

    def number(self) -> Tensor:
        return self._numbers().sum(-1)

    def _numbers(self) -> Tensor:
        """The probability that it is a part's number, (batch, parts), float64."""
        shares = torch.stack(
            [part.number().double().expand(len(self.log_weights)) for part in self.reals()], -1
        )
        return self.log_weights.double().exp() * shares

    def reals(self) -> list[Numeric]:
        return [part for part in self.parts if isinstance(part, Numeric)]

    def mean(self) -> Tensor:
        return self._number_mean([part.mean() for part in self.reals()])

    def below(self, x: Tensor) -> Tensor:
        return self._number_mean([part.below(x) for part in self.reals()])

    def _number_mean(self, each: Sequence[Tensor]) -> Tensor:
        """The mean of what each part says of its number, by how probable it is that the number is that part's."""
        numbers = self._numbers()
        return (numbers * torch.stack(list(each), -1)).sum(-1) / numbers.sum(-1)

    def cuts(self) -> Tensor:
        places = [part.cuts() for part in self.reals()]
        return torch.cat([place.expand(len(self.log_weights), -1) for place in places], -1)

    def truncate(self, allowed: Tensor) -> tuple[Single, Tensor]:
        parts, masses = zip(*(part.truncate(allowed) for part in self.parts), strict=True)
        weights = self.log_weights + torch.stack(masses, -1)
        total = weights.logsumexp(-1)
        return mix_outcomes(parts, weights - total.unsqueeze(-1)), total


def mix_outcomes(parts: Sequence[Single], log_weights: Tensor) -> Single:
    """The mixture of outcomes of one variable, in their common form where they have one.

    `log_weights` are normalised, (..., parts), batched like each part.
    """
    first = parts[0]
    if all(isinstance(part, Categorical) for part in parts):
        logs = torch.stack([part.log_probs for part in parts if isinstance(part, Categorical)], -1)
        return Categorical(
            (logs + log_weights.unsqueeze(-2)).logsumexp(-1), getattr(first, "unseen", None)
        )
    if isinstance(first, Histogram) and all(isinstance(part, Histogram) for part in parts):
        inner = [
            part.inner
            for part in parts
            if isinstance(part, Histogram) and isinstance(part.inner, Single)
        ]
        return Histogram(mix_outcomes(inner, log_weights), first.binning, first.variables)
    densities = [
        part
        for part in parts
        if isinstance(part, MixtureDensity) and part.shape == getattr(first, "shape", "")
    ]
    return (
        _mix_densities(densities, log_weights)
        if len(densities) == len(parts)
        else MixtureOutcome(parts, log_weights)
    )


def concat_outcomes(outcomes: Sequence[Single]) -> Single:
    """Outcomes of one variable and one form, of parts of a batch, as one."""
    return outcomes[0] if len(outcomes) == 1 else outcomes[0].beside(outcomes[1:])


def average_rows(single: Single, log_weights: Tensor) -> Single:
    """The mixture of several outcomes in a row for each event, (batch * several,), by normalised weights (batch, several)."""
    batch, several = log_weights.shape
    if isinstance(single, Categorical):
        logs = single.log_probs.unflatten(0, (batch, several)) + log_weights.unsqueeze(-1)
        return Categorical(logs.logsumexp(1), single.unseen)
    places = torch.arange(batch * several, device=log_weights.device).view(batch, several)
    return mix_outcomes([single.rows(own) for own in places.unbind(1)], log_weights)


def replace_rows(single: Single, rows: Tensor, own: Single) -> Single:
    """The outcome of one variable, (batch,), with that of some rows in place of theirs."""
    if isinstance(single, Categorical) and isinstance(own, Categorical):
        return Categorical(single.log_probs.index_put((rows,), own.log_probs), single.unseen)
    assert isinstance(single, MixtureDensity) and isinstance(own, MixtureDensity)
    wider = own.means.shape[-1] - single.means.shape[-1]
    form = []
    for name, blank in (("log_weights", -1e30), ("means", 0.0), ("scales", 1.0)):
        whole, part = (pad(one, (0, max(more, 0)), value=blank) for one, more in (
            (getattr(single, name), wider), (getattr(own, name), -wider)))  # fmt: skip
        form.append(whole.index_put((rows,), part))
    special = single.log_special
    if special is not None and own.log_special is not None:
        special = special.index_put((rows,), own.log_special)
    return MixtureDensity(form[0], form[1], form[2], special, single.shape, single.unseen)


def join_variables(singles: Sequence[Single]) -> Outcome:
    """Variables given one by one, (batch,) each, side by side."""
    return Product([(torch.tensor([i]), _as_column(single)) for i, single in enumerate(singles)])


def _as_column(single: Single) -> Single:
    """The outcome of one variable, (batch,), as one of a single column, (batch, 1)."""
    if isinstance(single, Categorical):
        return Categorical(single.log_probs[:, None], single.unseen)
    if isinstance(single, Histogram):
        assert isinstance(single.inner, Single)
        return Histogram(_as_column(single.inner), single.binning, single.variables)
    if isinstance(single, MixtureDensity):
        special = None if single.log_special is None else single.log_special[:, None]
        form = single.log_weights[:, None], single.means[:, None], single.scales[:, None]
        return MixtureDensity(*form, special, single.shape, single.unseen)
    assert isinstance(single, MixtureOutcome)
    return MixtureOutcome([_as_column(part) for part in single.parts], single.log_weights[:, None])


class Product(Outcome):
    """Variables of different forms, kept in groups of equal ones.

    `groups` pairs the variables, (n,), with their outcome, (batch, n).
    """

    def __init__(self, groups: Sequence[tuple[Tensor, Outcome]]) -> None:
        self.groups = groups

    def _scatter(self, parts: Sequence[Tensor]) -> Tensor:
        variables = torch.cat([index for index, _ in self.groups])
        return torch.cat(list(parts), dim=1)[:, variables.argsort()]

    def log_prob(self, x: Tensor) -> Tensor:
        return self._scatter([outcome.log_prob(x[:, index]) for index, outcome in self.groups])

    def sample(self, generator: torch.Generator) -> Tensor:
        return self._scatter([outcome.sample(generator) for _, outcome in self.groups])

    def mode(self) -> Tensor:
        return self._scatter([outcome.mode() for _, outcome in self.groups])

    def one(self, i: int) -> Single:
        for index, outcome in self.groups:
            place = (index == i).nonzero()
            if len(place):
                return outcome.one(int(place[0, 0]))
        raise IndexError(f"no variable {i}")


def side_by_side(log_probs: Sequence[Tensor]) -> Outcome:
    """The outcome of variables given one by one, each by its normalised (batch, codes)."""
    groups: dict[int, list[int]] = {}
    for i, table in enumerate(log_probs):
        groups.setdefault(table.shape[-1], []).append(i)
    return from_groups(
        [
            (torch.tensor(members), torch.stack([log_probs[i] for i in members], 1))
            for members in groups.values()
        ]
    )


def from_groups(groups: Sequence[tuple[Tensor, Tensor]]) -> Outcome:
    """The outcome of groups of variables, (n,), with their normalised log probabilities, (batch, n, codes)."""
    if len(groups) == 1:
        return Categorical(groups[0][1])
    return Product([(index, Categorical(log_probs)) for index, log_probs in groups])


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """The mixture, variable by variable and with equal weights, of outcomes of one layout."""
    first = outcomes[0]
    if len(outcomes) == 1:
        return first
    if isinstance(first, Product):
        columns = [o.groups for o in outcomes if isinstance(o, Product)]
        return Product(
            [
                (parts[0][0], average([outcome for _, outcome in parts]))
                for parts in zip(*columns, strict=True)
            ]
        )
    if isinstance(first, MixtureDensity):
        parts = [o for o in outcomes if isinstance(o, MixtureDensity)]
        even = torch.full((len(parts),), -log(len(parts)), device=parts[0].means.device)
        return _mix_densities(parts, even.expand(*parts[0].means.shape[:-1], -1))
    return Categorical(
        _mean_log([o.log_probs for o in outcomes if isinstance(o, Categorical)]),
        getattr(first, "unseen", None),
    )


def _mix_densities(parts: Sequence[MixtureDensity], log_weights: Tensor) -> MixtureDensity:
    """Components side by side: each part's weight is multiplied by its share of being a number at all."""
    special, shares = None, log_weights
    if parts[0].log_special is not None:
        numbers = torch.stack(
            [part.log_special for part in parts if part.log_special is not None], -1
        )
        special = (numbers + log_weights.unsqueeze(-2)).logsumexp(-1)
        shares = log_weights + numbers[..., 0, :]
    weights = torch.cat(
        [part.log_weights + shares[..., k, None] for k, part in enumerate(parts)], -1
    )
    means, scales = (
        torch.cat([getattr(part, name) for part in parts], -1) for name in ("means", "scales")
    )
    return MixtureDensity(
        weights.log_softmax(-1), means, scales, special, parts[0].shape, parts[0].unseen
    )


def _mean_log(logs: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(logs)).logsumexp(0) - log(len(logs))


def gumbel_max(log_probs: Tensor, generator: torch.Generator) -> Tensor:
    """One index drawn for each row of log probabilities, (..., K) to (...); they need not be normalised.

    The largest of log p plus Gumbel noise has the law p.
    """
    noise = random_like(log_probs, torch.Tensor.exponential_, generator)
    return (log_probs - noise.log()).argmax(-1)


def random_like(numbers: Tensor, fill: Callable[..., Tensor], generator: torch.Generator) -> Tensor:
    """Numbers of the same form, which `fill(them, generator=)` draws row by row."""

    def draw(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
        return fill(torch.empty(shape, dtype=numbers.dtype, device=device), generator=generator)

    return by_row(draw, tuple(numbers.shape), generator, numbers.device)
