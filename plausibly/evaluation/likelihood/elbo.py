"""The ELBO taken apart: what a model with latent variables spends on them, and by how much its bound misses log p(x).

    ELBO  =  reconstruction - rate                                   E log p(x | z) - KL(q(z | x) || p(z))
    log p(x) - ELBO  =  KL(q(z | x) || p(z | x))                     of which amortisation: what each row's own best q saves
    rate  =  I_q(x; z) + KL(q(z) || p(z))                            over rows, with q(z) the mean of their q(z | x)

Burda et al. 2016, arXiv:1509.00519; Cremer et al. 2018, arXiv:1801.03558; Hoffman & Johnson 2016, "ELBO surgery". All of it
is given the context, where the model has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import Variational, device_of
from plausibly.evaluation import intervals
from plausibly.families.variational import reconstruction_and_rate, sample_weights
from plausibly.outcomes.latents import Latents, Normal, without_gradients

if TYPE_CHECKING:
    from plausibly.data.events import Events

ELBO_ROWS = 500
BOUND_DRAWS = (1, 10, 100, 1000)
# rows whose own q is sought, by so many steps of Adam, at this rate falling to 0
TUNED_ROWS = 64
TUNING_STEPS = 200
TUNING_RATE = 0.05
ACTIVE_VARIANCE = (
    0.01  # variance over rows of E_q z above which a latent is in use (Burda et al. 2016)
)
ROWS_PER_BATCH = 64


@dataclass(frozen=True)
class MeanNats:
    """Mean nats over rows, with its standard error and 95 % interval over them; NaN and None of too few.

    `sign` says what the number is of what it is called: exact but for the noise of draws (=), at least or at most that.
    """

    value: float
    standard_error: float
    sign: str = "="
    interval: intervals.Interval | None = None

    @classmethod
    def over(cls, nats: Tensor, sign: str = "=", groups: np.ndarray | None = None) -> MeanNats:
        found = intervals.Mean(nats.double().cpu().numpy(), groups)
        return cls(found.value, found.error, sign, found.interval)

    def __str__(self) -> str:
        return f"{'' if self.sign == '=' else f'{self.sign} '}{intervals.with_error(self.value, self.standard_error, '.3f')}"


@dataclass(frozen=True)
class ElboParts:
    """The parts of the ELBO of `rows` rows, nats per row."""

    rows: int
    reconstruction: MeanNats
    rate: MeanNats
    elbo: MeanNats
    bounds: dict[int, MeanNats]  # importance weighted, by the number of draws
    gap: MeanNats  # log p - ELBO, at least
    amortisation: (
        MeanNats | None
    )  # what the best normal of each row saves, at least, over `tuned` rows; None: q is no normal
    tuned: int
    information: MeanNats  # I_q(x; z), at least
    marginal: MeanNats  # KL(q(z) || p(z)), at most
    active: int
    latents: int

    def to_json(self) -> dict[str, Any]:
        bounds = [{"draws": draws, **asdict(bound)} for draws, bound in self.bounds.items()]
        return {**asdict(self), "bounds": bounds, "unit": "nats per row"}

    def parts(self) -> list[tuple[str, str, str]]:
        """Name, number and meaning of each part, in the order in which they are read."""
        by = f"KL(q(z | x) || p(z | x)), by the bound of {max(self.bounds):,} draws"
        return [
            ("ELBO", str(self.elbo), "reconstruction - rate"),
            ("reconstruction", str(self.reconstruction), "E log p(x | z), z from q(z | x)"),
            ("rate", str(self.rate), "KL(q(z | x) || p(z))"),
            *self._bound_parts(),
            ("log p - ELBO", str(self.gap), by),
            self._amortisation_part(),
            *self._latent_parts(),
        ]

    def _bound_parts(self) -> list[tuple[str, str, str]]:
        names = [f"log p, {draws:,} draw{'s' if draws > 1 else ''}" for draws in self.bounds]
        bounds = map(str, self.bounds.values())
        return [(*named, "importance-weighted bound") for named in zip(names, bounds, strict=True)]

    def _amortisation_part(self) -> tuple[str, str, str]:
        if self.amortisation is None:
            return "amortisation gap", "unknown", "q is no normal"
        how = f"what an own q for each row saves, as far as sought, over {self.tuned:,} rows"
        return "amortisation gap", str(self.amortisation), how

    def _latent_parts(self) -> list[tuple[str, str, str]]:
        most = f"what z tells of x; this estimate cannot exceed {log(self.rows):.2f}"
        rest = "rate - I_q(x; z), q(z) the mean of these rows' q(z | x)"
        active = f"{self.active:,} of {self.latents:,}"
        return [
            ("I_q(x; z)", str(self.information), most),
            ("KL(q(z) || p(z))", str(self.marginal), rest),
            ("active latents", active, f"variance over rows of E z above {ACTIVE_VARIANCE}"),
        ]

    def title(self) -> str:
        return f"ELBO taken apart over {self.rows:,} rows, nats per row ± standard error"


def elbo_parts(
    model: Variational,
    events: Events,
    generator: torch.Generator,
    rows: int = ELBO_ROWS,
    draws: Sequence[int] = BOUND_DRAWS,
) -> ElboParts:
    """The parts over the first `rows` events; `draws` of the bounds divide the largest of them, whose draws serve all."""
    model, events = model.high_precision(), events[:rows]
    x = events.codes.float().to(device_of(model))
    with without_gradients(model):
        reconstruction, rate = draw_terms(model, x, max(draws), generator)
        gain, tuned = amortisation_gap(model, x[:TUNED_ROWS], generator), min(TUNED_ROWS, len(x))
        shared, means = latent_informations(model, x, generator).cpu(), model.encode(x)
    reconstruction = reconstruction + events.log_within[:, None]
    logs, mean_rate = reconstruction - rate, rate.mean(1)
    bounds = {k: (logs.unflatten(1, (-1, k)).logsumexp(2) - log(k)).mean(1) for k in draws}
    over, groups = partial(MeanNats.over, groups=events.groups), events.groups
    return ElboParts(
        rows=len(x),
        reconstruction=over(reconstruction.mean(1)),
        rate=over(mean_rate),
        elbo=over(logs.mean(1)),
        bounds={k: over(bound, ">=") for k, bound in bounds.items()},
        gap=over(bounds[max(draws)] - logs.mean(1), ">="),
        amortisation=None
        if gain is None
        else MeanNats.over(gain, ">=", None if groups is None else groups[:TUNED_ROWS]),
        tuned=0 if gain is None else tuned,
        information=over(shared, ">="),
        marginal=over(mean_rate - shared, "<="),
        active=int((means.var(0) > ACTIVE_VARIANCE).sum()) if len(x) > 1 else 0,
        latents=model.latents,
    )


@torch.no_grad()
def draw_terms(
    model: Variational, x: Tensor, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """log p(x | z) and log q(z | x) - log p(z) of draws, (rows, draws) float64 both, on the CPU."""
    parts = [
        reconstruction_and_rate(model, few, draws, generator) for few in x.split(ROWS_PER_BATCH)
    ]
    reconstruction, rate = (torch.cat(few).cpu() for few in zip(*parts, strict=True))
    return reconstruction, rate


def amortisation_gap(
    model: Variational, x: Tensor, generator: torch.Generator, draws: int = 100
) -> Tensor | None:
    """ELBO of each row's own normal less that of the encoder's, with the same noise, (rows,); None where q is no normal."""
    with torch.no_grad():
        q = model.posterior(x)
    if not isinstance(q, Normal):
        return None
    tuned, elbos = tune_posterior(model, x, q, generator), []
    with torch.no_grad():
        for each in (tuned, q):
            noise = generator.clone_state()
            reconstruction, rate = reconstruction_and_rate(
                model, x, draws, noise, FixedPosterior(each)
            )
            elbos.append((reconstruction - rate).mean(1).cpu())
    return elbos[0] - elbos[1]


def tune_posterior(
    model: Variational, x: Tensor, q: Normal, generator: torch.Generator, draws: int = 8
) -> Normal:
    """The normal of each row that has the highest ELBO, sought by Adam from `q` on."""
    centre, log_scale = (numbers.clone().requires_grad_() for numbers in (q.centre, q.log_scale))
    optimiser = torch.optim.Adam([centre, log_scale], lr=TUNING_RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, TUNING_STEPS)
    for _ in range(TUNING_STEPS):
        optimiser.zero_grad()
        weights = sample_weights(
            model, x, draws, generator, FixedPosterior(Normal(centre, log_scale))
        )
        (-weights.log_weights).mean(1).sum().backward()
        optimiser.step()
        falling.step()
    return Normal(centre.detach(), log_scale.detach())


@dataclass(frozen=True)
class FixedPosterior:
    """In place of an encoder: a normal for each row, whatever the row."""

    q: Normal

    def __call__(self, x: Tensor, draws: int) -> Latents:
        centre = self.q.centre.repeat_interleave(draws, 0)
        return Normal(centre, self.q.log_scale.repeat_interleave(draws, 0), draws)


@torch.no_grad()
def latent_informations(
    model: Variational, x: Tensor, generator: torch.Generator, draws: int = 8
) -> Tensor:
    """log q(z | x) - log q(z), the mean over draws z of q(z | x), (rows,) float64.

    q(z) is the mean over these rows, the own one included: so the mean is at most the log of their number, and in
    expectation at most I_q(x; z) (Poole et al. 2019, arXiv:1905.06922).
    """
    q, rows = model.posterior(x, draws), len(x)
    z = q.sample(generator)
    own = q.log_prob(z).sum(1).double()
    total = torch.full_like(own, -torch.inf)
    for k in range(rows):  # the density of each draw by the posterior of the row k places behind
        total = torch.logaddexp(
            total, q.log_prob(z.roll(k * draws, 0)).sum(1).double().roll(-k * draws, 0)
        )
    return (own - total + log(rows)).unflatten(0, (rows, draws)).mean(1)
