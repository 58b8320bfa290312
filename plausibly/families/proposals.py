"""Latents of rows that are known in part, by weighted draws: an encoder is taught whole rows only.

    p(observed) = E over p(z) of prod p(x_i | z) over the observed i            the terms of all others are dropped

Draws come in equal numbers from the parts of a mixture, and each is weighed as one of the whole mixture (the balance
heuristic of Veach & Guibas 1995; Owen & Zhou 2000):

    q(z) = 1/(M + 1) [p(z) + sum over m of q(z | completion m)]        w = p(observed | z) p(z) / q(z)

No w is above (M + 1) p(observed | z). Their mean is an unbiased estimate of p(observed), so the log of it is in expectation
a lower bound on log p(observed); and w / sum w are the weights of what the draws say of the unobserved. A completion is
where a few rounds of encoding and decoding lead from a sample of the model (Rezende et al. 2014, arXiv:1401.4082). Rounds
alone answer wrongly wherever q(z | x) is not p(z | x) (Mattei & Frellsen 2018, arXiv:1802.04826), so they only propose.

What of a context is unobserved is drawn from p(context), of which z is independent; what is observed of it is weighed too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import Variational, device_of
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.families.variational import NUMBERS_PER_BATCH, output_width
from plausibly.networks.pairs import rest_of
from plausibly.outcomes.categorical import gumbel_max
from plausibly.outcomes.outcome import Outcome

MIXTURE_PARTS = 16  # of the mixture: p(z) and the completions
ENCODING_ROUNDS = 5  # of encoding and decoding
MIN_DRAWS = 8.0  # effective draws: a share of one half has an error of .18


@dataclass(frozen=True)
class EffectiveSampleSize:
    """The number of draws of equal weight that would tell as much, (rows,): 1 to `draws` (Kong 1992)."""

    rows: Tensor
    draws: int

    @property
    def least(self) -> float:
        return float(self.rows.min()) if len(self.rows) else float(self.draws)

    @property
    def few(self) -> int:
        """Rows of which too few draws tell something for their digits to mean anything."""
        return int((self.rows < MIN_DRAWS).sum())

    def line(self) -> str:
        several = len(self.rows) > 1
        least = "at least " if several else ""
        where = f" in {self.few:,} of {len(self.rows):,} rows" if several else ""
        few = f", too few to mean anything{where} (below {MIN_DRAWS:g})" if self.few else ""
        return f"{least}{self.least:,.1f} effective of {self.draws:,} weighted draws{few}"

    def to_json(self) -> dict[str, Any]:
        return {"effective": self.least, "draws": self.draws, "rows_with_too_few": self.few}


def join_effective_sizes(parts: Sequence[EffectiveSampleSize | None]) -> EffectiveSampleSize | None:
    """Those of rows after rows; None where none of them was drawn by weight."""
    known = [part for part in parts if part is not None]
    if known:
        return EffectiveSampleSize(
            torch.cat([part.rows for part in known]), max(part.draws for part in known)
        )
    return None


def effective_size(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 of each row, (rows,), from (rows, draws)."""
    return (2 * log_weights.logsumexp(1) - (2 * log_weights).logsumexp(1)).exp()


@dataclass(frozen=True)
class WeightedLatents:
    """Latents of each row, (rows, draws, latents), the context with them, and log weights, (rows, draws) float64."""

    z: Tensor
    given: Tensor | None
    log_weights: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """log of the mean weight, (rows,): in expectation at most log p(observed)."""
        return self.log_weights.logsumexp(1) - log(self.log_weights.shape[1])

    def flat(self) -> tuple[Tensor, Tensor | None]:
        """Latents and contexts, (rows * draws, ...)."""
        return self.z.flatten(0, 1), None if self.given is None else self.given.flatten(0, 1)

    def one(self, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """A draw of each row, by weight: its latents and its context."""
        pick = gumbel_max(self.log_weights, generator)
        rows = torch.arange(len(pick), device=pick.device)
        return self.z[rows, pick], None if self.given is None else self.given[rows, pick]


class LatentQuery:
    """A question to a model about rows that are known in part; what is known is `evidence`, (rows, variables)."""

    def __init__(self, model: Variational, evidence: Evidence) -> None:
        self.model, self.context, self.rest = model, list(model.context), rest_of(model)
        rows = evidence.flatten()
        self.x, self.observed = rows.x.float().masked_fill(~rows.observed, 0.0), rows.observed
        self.evidence = Evidence(self.x, self.observed, evidence.allowed)

    @cached_property
    def restrictions(self) -> dict[int, Allowed]:
        """For each variable that may not be anything, and is unobserved somewhere, what it may hold."""
        if self.evidence.allowed is None:
            return {}
        free = (~self.observed).any(0).tolist()
        each = self.evidence.allowed_by_variable(self.model.schema.codes)
        return {i: own for i, own in enumerate(each) if free[i] and not own.is_everything}

    @property
    def row_keys(self) -> Tensor:
        """The numbers that tell rows apart, (rows, 2 x variables)."""
        return torch.cat([self.x, self.observed.float()], 1)

    @property
    def telling(self) -> Tensor:
        """True where what is known of a row tells anything of z, (rows,)."""
        barred = list(self.restrictions)
        return self.observed[:, self.rest].any(1) | (~self.observed[:, barred]).any(1)

    def rows(self, index: Tensor) -> LatentQuery:
        return LatentQuery(self.model, self.evidence[index])

    def times(self, many: int) -> LatentQuery:
        """Each row so many times, one after the other."""
        return self.rows(torch.arange(len(self.x), device=self.x.device).repeat_interleave(many))

    def log_seen(self, outcome: Outcome) -> Tensor:
        """log p(the observed, and that each other holds what is allowed) by each row's outcome, (rows,) float64."""
        logs = outcome.log_prob(self.x).double().masked_fill(~self.observed, 0.0).sum(1)
        for i, allowed in self.restrictions.items():
            mass = outcome.one(i).truncate(allowed)[1].double()
            logs = logs + mass.masked_fill(self.observed[:, i], 0.0)
        return logs

    def draw_unobserved(self, outcome: Outcome, generator: torch.Generator) -> Tensor:
        """Whole events, (rows, variables), whose unobserved cells are drawn from each row's outcome."""
        x = outcome.sample(generator)
        for i, allowed in self.restrictions.items():
            x[:, i] = outcome.one(i).truncate(allowed)[0].sample(generator)
        return self.evidence.fill(x)

    def contexts(self, generator: torch.Generator) -> Tensor | None:
        """The context of each row, drawn from p(context) where it is unobserved, (rows, its variables)."""
        if not self.context:
            return None
        seen = self.x[:, self.context]
        if self.observed[:, self.context].all():
            return seen
        anything = self.x.new_zeros(len(self.x), self.model.latents)
        return self.draw_unobserved(self.model.observation(anything, seen), generator)[
            :, self.context
        ]

    def fill(self, z: Tensor, given: Tensor | None, generator: torch.Generator) -> Tensor:
        """Whole events, (rows, *shape), of the context `given` and else drawn from p(x_i | z)."""
        x = self.draw_unobserved(self.model.observation(z, given), generator)
        if given is not None:
            x[:, self.context] = given
        return x.view(len(x), *self.model.schema.shape)

    def complete(self, generator: torch.Generator, rounds: int = ENCODING_ROUNDS) -> Tensor:
        """Whole events, (rows, *shape): from draws of the model, by encoding and decoding in turn."""
        z, given = (
            self.model.latent_prior().sample(len(self.x), generator),
            self.contexts(generator),
        )
        for _ in range(rounds):
            z = self.model.posterior(self.fill(z, given, generator)).sample(generator)
        return self.fill(z, given, generator)

    def propose(self, many: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """At least `many` latents of each row, (rows, draws, latents), and log p(z) - log q(z), (rows, draws) float64."""
        prior, rows = self.model.latent_prior(), len(self.x)
        parts = min(MIXTURE_PARTS, many)
        each = ceil(many / parts)
        # of the parts, those that are p(z)
        alone = 1 if parts > 1 and self.telling.any() else parts
        z = prior.sample(rows * alone * each, generator).unflatten(0, (rows, alone * each))
        if alone == parts:
            return z, torch.zeros(rows, alone * each, dtype=torch.float64, device=z.device)
        whole = self.times(parts - 1).complete(generator)
        theirs = self.model.posterior(whole, each).sample(generator)
        z = torch.cat([z, theirs.unflatten(0, (rows, (parts - 1) * each))], 1)
        return z, self._log_ratio(z, whole, parts)

    def _log_ratio(self, z: Tensor, whole: Tensor, parts: int) -> Tensor:
        """log p(z) - log q(z), where q mixes p(z) with the posteriors of whole events, `parts` - 1 of each row."""
        rows, draws = z.shape[:2]
        every = z.repeat_interleave(parts - 1, 0).flatten(0, 1)
        of_parts = self.model.posterior(whole, draws).log_prob(every).double().sum(1)
        of_parts = of_parts.view(rows, parts - 1, draws)
        of_prior = self.model.latent_prior().log_prob(z.flatten(0, 1)).double().sum(1)
        of_prior = of_prior.view(rows, 1, draws)
        mixed = torch.cat([of_prior, of_parts], 1).logsumexp(1) - log(parts)
        return of_prior[:, 0] - mixed

    @torch.no_grad()
    def draws(self, many: int, generator: torch.Generator) -> WeightedLatents:
        """At least `many` weighted draws for each row."""
        z, log_ratio = self.propose(many, generator)
        repeated = self.times(z.shape[1])
        given = repeated.contexts(generator)
        pieces = torch.arange(len(repeated.x), device=z.device).split(
            events_per_decoding(self.model)
        )
        flat = z.flatten(0, 1)
        logs = [
            repeated.rows(i).log_seen(
                self.model.observation(flat[i], None if given is None else given[i])
            )
            for i in pieces
        ]
        given = None if given is None else given.unflatten(0, z.shape[:2])
        return WeightedLatents(z, given, log_ratio + torch.cat(logs).view(z.shape[:2]))


def events_per_decoding(model: Variational) -> int:
    """The number of events that may be decoded in one go."""
    return max(
        1, NUMBERS_PER_BATCH // max(output_width(model.schema), MIXTURE_PARTS * model.latents)
    )


def split_alike(
    model: Variational, evidence: Evidence, many: int
) -> Iterator[tuple[Tensor, LatentQuery]]:
    """Some rows at a time, and the question about them, on the model's device, for `many` draws of each.

    Of all rows of a piece the same is known, so that whatever is decided for the piece is decided for each of them.
    """
    rows, device, model = (
        max(1, events_per_decoding(model) // many),
        device_of(model),
        model.high_precision(),
    )
    seen = evidence.observed.flatten(1)
    _, pattern, sizes = seen.unique(dim=0, return_inverse=True, return_counts=True)
    for alike in pattern.argsort(stable=True).split(sizes.tolist() or [0]):
        for index in alike.split(rows):
            yield index, LatentQuery(model, evidence[index].to(device))
