"""Annealed importance sampling: log p(x) of a decoder from below, and, where z is known, from above.

Between the prior and the posterior lie p_t(z), proportional to p(z) p(x | z)^b_t, 0 = b_0 < ... < b_T = 1. A chain starts
with z_0 from p(z) and moves under p_1, ..., p_(T-1), each of which its transition keeps. Then

    log w  =  sum over t of (b_t - b_(t-1)) log p(x | z_(t-1)),        E w = p(x),        E log mean w  <=  log p(x)

over chains (Neal 2001, doi:10.1023/A:1008923215028; Wu et al. 2016, arXiv:1611.04273). The same chain backwards from an
exact draw of the posterior has E 1/w = 1/p(x), so that -log mean 1/w is at least log p(x) in expectation. For rows drawn
from the model, z first, the z of a row is such a draw: the gap between both bounds certifies the schedule (bidirectional
Monte Carlo, Grosse et al. 2015, arXiv:1511.02543).

Transitions are Hamiltonian (Neal 2011, arXiv:1206.1901). Their step sizes, one for each row and t, are adapted to an
acceptance of 0.65 on a preliminary run with draws of its own, and then fixed: what is measured stays unbiased.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, prod
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import Decoder, Trainable, device_of
from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.formats.format import Format, leave_out
from plausibly.errors import UserError
from plausibly.evaluation.intervals import with_error
from plausibly.evaluation.likelihood.likelihood import LikelihoodLowerBound, LikelihoodUpperBound
from plausibly.families.variational import NUMBERS_PER_BATCH
from plausibly.tasks.annealed import LatentJoint, annealed, noisy_joint, pixel_errors

if TYPE_CHECKING:
    from plausibly.data.events import Events

LEAPFROG_STEPS = 10  # of a transition
STEP_JITTER = 0.2  # a transition's steps are longer or shorter by at most this share, so that no orbit closes on itself
# what steps are adapted to, and how fast their logarithm moves
TARGET_ACCEPTANCE = 0.65
ADAPTATION_GAIN = 0.2
ADAPTATION_CHAINS = 4  # chains of each row that steps are adapted on
SIMULATED_ROWS = 25  # rows drawn from the model, at most
# sigmas among which the best is sought
MIN_SIGMA = 0.005
MAX_SIGMA = 1.0
TUNING = 50, 4, 30, 10  # with so many rows, chains of each, rounds, and transitions in a round


@dataclass(frozen=True)
class HMCPoint:
    """Where chains are: z (n, latents), both logs (n,), and their gradients."""

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    of_prior: Tensor
    of_likelihood: Tensor

    def log(self, power: float) -> Tensor:
        """log p_t but for its constant."""
        return self.log_prior + power * self.log_likelihood

    def slope(self, power: float) -> Tensor:
        return self.of_prior + power * self.of_likelihood

    def select(self, there: HMCPoint, which: Tensor) -> HMCPoint:
        """`there` for those chains, bool (n,), else here."""
        pairs = [(getattr(self, name), getattr(there, name)) for name in self.__dataclass_fields__]
        return HMCPoint(*(torch.where(which.view(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs))


def hmc_point_at(joint: LatentJoint, x: Tensor, z: Tensor) -> HMCPoint:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        prior, likelihood = joint.log_prior(z), joint.log_likelihood(x, z)
        (of_prior,) = torch.autograd.grad(prior.sum(), z)
        (of_likelihood,) = torch.autograd.grad(likelihood.sum(), z)
    return HMCPoint(z.detach(), prior.detach(), likelihood.detach(), of_prior, of_likelihood)


def hmc_transition(
    joint: LatentJoint,
    x: Tensor,
    here: HMCPoint,
    power: float,
    step: Tensor,
    generator: torch.Generator,
) -> tuple[HMCPoint, Tensor]:
    """A Hamiltonian transition of every chain that keeps p_t, with steps (n,); and the probability to accept it, (n,)."""
    n, device = len(here.z), here.z.device
    shake = 1 - STEP_JITTER + 2 * STEP_JITTER * torch.rand(n, generator=generator, device=device)
    step = (step * shake).to(here.z.dtype)[:, None]
    start = torch.randn(here.z.shape, generator=generator, device=device).to(here.z.dtype)
    there, momentum = here, start
    for _ in range(LEAPFROG_STEPS):
        momentum = momentum + 0.5 * step * there.slope(power)
        there = hmc_point_at(joint, x, there.z + step * momentum)
        momentum = momentum + 0.5 * step * there.slope(power)
    kinetic = 0.5 * (momentum.square().sum(1) - start.square().sum(1))
    chance = (
        (there.log(power) - here.log(power) - kinetic).nan_to_num(nan=-torch.inf).exp().clamp(max=1)
    )
    accepted = torch.rand(n, generator=generator, device=device) < chance
    return here.select(there, accepted), chance


def adapt_steps(log_step: Tensor, chance: Tensor) -> Tensor:
    """Log step sizes of rows, (rows,), after transitions of their chains were accepted with so much chance, (chains,)."""
    return log_step + ADAPTATION_GAIN * (chance.view(len(log_step), -1).mean(1) - TARGET_ACCEPTANCE)


def move_and_adapt(
    joint: LatentJoint,
    x: Tensor,
    here: HMCPoint,
    power: float,
    log_step: Tensor,
    generator: torch.Generator,
) -> tuple[HMCPoint, Tensor]:
    """Chains after a transition, as many for each row; and the rows' log steps, (rows,), adapted to it."""
    step = log_step.exp().repeat_interleave(len(x) // len(log_step))
    here, chance = hmc_transition(joint, x, here, power, step, generator)
    return here, adapt_steps(log_step, chance)


def annealing_schedule(distributions: int) -> list[float]:
    """b_0 to b_T on a sigmoid's way from -4 to 4 (Wu et al. 2016): finest at both ends."""
    raw = torch.linspace(-4, 4, distributions + 1, dtype=torch.float64).sigmoid()
    return list(((raw - raw[0]) / (raw[-1] - raw[0])).tolist())


@dataclass
class ChainRunner:
    """Runs chains: so many for each row, through so many increments of b. `accepted` collects probabilities."""

    joint: LatentJoint
    chains: int
    distributions: int
    generator: torch.Generator
    # is told of so many transitions of one chain
    worked: Callable[[int], None] = lambda steps: None

    def __post_init__(self) -> None:
        self.powers, self.accepted = annealing_schedule(self.distributions), list[Tensor]()

    @property
    def acceptance(self) -> float:
        """Mean probability of measured transitions to be accepted; 1 where there are none."""
        return float(torch.stack(self.accepted).mean()) if self.accepted else 1.0

    @property
    def rows_at_once(self) -> int:
        """Rows that go together, so that memory stays small."""
        return max(1, NUMBERS_PER_BATCH // (self.joint.width * max(self.chains, ADAPTATION_CHAINS)))

    def lower(self, x: Tensor) -> Tensor:
        """Stochastic lower bounds on log p(x), (rows,) float64 nats, on the CPU."""
        return torch.cat([self._lower(few, self.steps(few)) for few in x.split(self.rows_at_once)])

    def both(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Stochastic lower and upper bounds for rows drawn with latents z, (rows, latents)."""
        lower, upper = [], []
        for few, exact in zip(x.split(self.rows_at_once), z.split(self.rows_at_once), strict=True):
            steps = self.steps(few)
            lower.append(self._lower(few, steps))
            upper.append(self._upper(few, exact, steps))
        return torch.cat(lower), torch.cat(upper)

    def steps(self, x: Tensor) -> Tensor:
        """Step sizes for b_1 to b_(T-1), (T - 1, rows), from a preliminary run."""
        many = x.repeat_interleave(ADAPTATION_CHAINS, 0)
        here = hmc_point_at(self.joint, many, self.joint.draw(len(many), self.generator))
        log_step = torch.full((len(x),), log(0.5), device=x.device)
        kept = log_step.new_empty(self.distributions - 1, len(x))
        for t, power in enumerate(self.powers[1:-1]):
            here, log_step = move_and_adapt(self.joint, many, here, power, log_step, self.generator)
            kept[t] = log_step.exp()
            self.worked(len(many))
        return kept

    def _lower(self, x: Tensor, steps: Tensor) -> Tensor:
        z = self.joint.draw(len(x) * self.chains, self.generator)
        return self._mean(self._weights(x, z, self.powers, steps))

    def _upper(self, x: Tensor, z: Tensor, steps: Tensor) -> Tensor:
        start = z.repeat_interleave(self.chains, 0)
        return -self._mean(self._weights(x, start, self.powers[::-1], steps.flip(0)))

    def _mean(self, logs: Tensor) -> Tensor:
        return (logs.view(-1, self.chains).logsumexp(1) - log(self.chains)).cpu()

    def _weights(self, x: Tensor, z: Tensor, powers: list[float], steps: Tensor) -> Tensor:
        """log w of chains from z on, or log 1/w where the powers fall, (rows * chains,) float64."""
        many = x.repeat_interleave(self.chains, 0)
        here = hmc_point_at(self.joint, many, z)
        logs = (powers[1] - powers[0]) * here.log_likelihood.double()
        for power, after, step in zip(powers[1:-1], powers[2:], steps, strict=True):
            step = step.repeat_interleave(self.chains)
            here, chance = hmc_transition(self.joint, many, here, power, step, self.generator)
            logs = logs + (after - power) * here.log_likelihood.double()
            self.accepted.append(chance.mean().double())
            self.worked(len(many))
        return logs


@dataclass(frozen=True)
class Annealed:
    """Bounds on log p of held-out rows, and both bounds on that of rows drawn from the model, which certify the first.

    With `sigma` all is about decoder + N(0, sigma^2), a density of pixels on [0, 1], which is not the model that was fitted.
    """

    test: LikelihoodLowerBound
    lower: LikelihoodLowerBound
    upper: LikelihoodUpperBound
    chains: int
    distributions: int
    acceptance: float
    sigma: float | None = None
    given: tuple[str, ...] = ()  # columns that are context

    @property
    def gap(self) -> LikelihoodUpperBound:
        """Upper less lower bound, by which the lower one misses log p(x) at most, in expectation."""
        return LikelihoodUpperBound(self.upper.nats - self.lower.nats, self.upper.variables)

    def to_json(self) -> dict[str, Any]:
        kept = ("sigma", "chains", "distributions", "acceptance")
        return {
            **self.test.to_json(),
            "model": self.what,
            "simulated": {
                each: getattr(self, each).to_json() for each in ("lower", "upper", "gap")
            },
            **{name: getattr(self, name) for name in kept},
            "given": list(self.given),
        }

    @property
    def what(self) -> str:
        """The model that the numbers are of."""
        return "the model" if self.sigma is None else f"decoder + N(0, {self.sigma:g}^2)"

    @property
    def _given_note(self) -> str:
        more = " ..." if len(self.given) > 3 else ""
        return f" given {', '.join(self.given[:3])}{more}" if self.given else ""

    def lines(self) -> list[str]:
        test, gap = self.test, self.gap
        unit, bits = "log density of pixels on [0, 1]", ""
        if self.sigma is None:
            unit = "log p"
            bits = f"; {test.bits_per_variable:.4f} bits per variable (lower is better)"
        return [
            f"{self.what}: {format_bound(test)}, {test.over} "
            f"({unit}{self._given_note}: higher is better){bits}",
            f"annealed importance sampling, a lower bound in expectation: {self.chains:,} chains a row, "
            f"{self.distributions:,} distributions, acceptance {self.acceptance:.2f}",
            f"of {gap.rows:,} rows drawn from it log p is {format_bound(self.lower)} and {format_bound(self.upper)}: "
            f"a gap of at most {with_error(gap.value, gap.standard_error)} in expectation; "
            "more distributions or chains make it smaller",
        ]


def format_bound(bound: LikelihoodLowerBound | LikelihoodUpperBound) -> str:
    return f"{bound.sign} {with_error(bound.value, bound.standard_error)} nats per row"


@dataclass
class TransitionTally:
    """Counts transitions of one chain, of so many in all, and tells of them."""

    total: int
    on_progress: RowProgress
    done: int = 0

    def __post_init__(self) -> None:
        self.on_progress(0, self.total)

    def __call__(self, steps: int) -> None:
        self.done += steps
        self.on_progress(self.done, self.total)


@torch.no_grad()
def anneal(
    model: Trainable,
    format: Format,
    events: Events,
    generator: torch.Generator,
    chains: int = 16,
    distributions: int = 1000,
    sigma: float | None = None,
    validation: Events | None = None,
    on_progress: RowProgress = ignore_progress,
) -> Annealed:
    """Bounds on log p of events, whose `log_within` is of what is no context, by the model's own observation model.

    With `sigma`, or `validation` rows by which the best one is found, by noise about its mean image instead. `on_progress` is
    told how much of the work is done, of how much. UserError where noise is asked for and the data are no pixels.
    """
    annealed.require(model)
    check_counts(chains=chains, distributions=distributions, rows=len(events))
    if (sigma is not None or validation is not None) and format.container.picture is None:
        raise UserError("noise is added to pixels, and these data are no images: leave sigma out")
    tuning = None if validation is None else pick_evenly(validation, TUNING[0])
    tuned = 0 if tuning is None else len(tuning)
    tally = TransitionTally(count_work(len(events), chains, distributions, tuned), on_progress)
    if tuning is not None:
        assert isinstance(model, Decoder)
        sigma = best_sigma(model, tuning.codes.float().to(device_of(model)), generator, tally)
    annealing = ChainRunner(annealed(model, sigma), chains, distributions, generator, tally)
    return measure_bounds(annealing, model, format, events, sigma)


def check_counts(**counts: int) -> None:
    """UserError where one of them is below 1."""
    for name, number in counts.items():
        if number < 1:
            raise UserError(f"{number} {name}; at least 1 is needed")


def count_work(rows: int, chains: int, distributions: int, tuned: int) -> int:
    """Transitions of one chain for bounds of so many rows, and for a sigma sought on so many others."""
    simulated = min(rows, SIMULATED_ROWS)  # for two bounds
    run = rows * (ADAPTATION_CHAINS + chains) + simulated * (ADAPTATION_CHAINS + 2 * chains)
    return run * (distributions - 1) + tuned * prod(TUNING[1:])


def measure_bounds(
    annealing: ChainRunner, model: Trainable, format: Format, events: Events, sigma: float | None
) -> Annealed:
    """The bound for events, then both bounds for rows drawn in the contexts of the first of them."""
    x = events.codes.float().to(device_of(model))
    test = annealing.lower(x)
    lower, upper = simulate_bounds(annealing, x[:SIMULATED_ROWS], format, model.context, sigma)
    rest = model.schema.size - len(model.context)
    return Annealed(
        LikelihoodLowerBound(test if sigma else test + events.log_within, rest, events.groups),
        LikelihoodLowerBound(lower, rest),
        LikelihoodUpperBound(upper, rest),
        annealing.chains,
        annealing.distributions,
        annealing.acceptance,
        sigma,
        tuple(format.names[i] for i in model.context),
    )


def simulate_bounds(
    annealing: ChainRunner, x: Tensor, format: Format, context: tuple[int, ...], sigma: float | None
) -> tuple[Tensor, Tensor]:
    """Both bounds for rows drawn from the model in the contexts of x, (rows,) float64 each."""
    joint, generator = annealing.joint, annealing.generator
    z = joint.draw(len(x), generator)
    drawn = joint.observe(x, z, generator)
    lower, upper = annealing.both(drawn, z)
    if sigma is not None:
        return lower, upper
    inside = np.random.default_rng(generator.initial_seed())  # torch's draws codes alone
    whole = format.beyond  # such rows follow p, whatever was seen
    within = leave_out(whole, whole.draw(drawn.cpu(), inside), context).log_within
    return lower + within, upper + within


def best_sigma(
    decoder: Decoder, x: Tensor, generator: torch.Generator, worked: Callable[[int], None]
) -> float:
    """The sigma, to three digits, at which events are most probable, by expectation maximisation along chains.

    Chains start at the prior and keep p(z | x) at the last sigma, whose square then becomes their mean squared distance.
    """
    chains, rounds, moves = TUNING[1:]
    many = x.repeat_interleave(chains, 0)
    z = noisy_joint(decoder, 1.0).draw(len(many), generator)
    log_step = x.new_zeros(len(x))
    logs = list[float]()
    for _ in range(rounds):
        width = float(pixel_errors(decoder, many, z).double().square().mean().sqrt())
        logs.append(log(min(max(width, MIN_SIGMA), MAX_SIGMA)))
        joint = noisy_joint(decoder, exp(logs[-1]))
        here = hmc_point_at(joint, many, z)
        for _ in range(moves):
            here, log_step = move_and_adapt(joint, many, here, 1.0, log_step, generator)
            worked(len(many))
        z = here.z
    return float(f"{exp(fmean(logs[rounds // 2 :])):.3g}")


def pick_evenly(events: Events, rows: int) -> Events:
    """So many events, or all, evenly over where they stand."""
    if len(events) <= rows:
        return events
    return events[torch.linspace(0, len(events) - 1, rows).long()]
