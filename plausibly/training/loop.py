"""One loop for every model: gradient turns, or counting passes.

A run is a function of (seed, steps): every draw comes from a generator seeded by (seed, step), batches are picked by the
step's number, and a `Training` can be written down after any validation and taken up again, bit by bit (one CPU thread).
Under torchrun every process takes a share of each batch's rows and holds the same state after each step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from math import ceil, isfinite
from typing import Any, TypeVar

import torch
from torch import Tensor

from plausibly.capabilities import Trainable, device_of
from plausibly.events.batches import batches
from plausibly.objectives import Objective, Pass, Turn, WholePass
from plausibly.system import processes
from plausibly.system.randomness import RowGenerators, Stream, generator_for, lend_noise, sharing
from plausibly.training.diagnosis import diagnose
from plausibly.training.plan import Diverged, Plan, TrainingProgress

MAX_VALIDATION_ROWS, MAX_HEALTH_ROWS = 10_000, 1000  # at most so many are looked at each time
MAX_INITIAL_ROWS = 1_000_000  # rows, evenly spaced, that decide where outputs begin
Answer = TypeVar("Answer")
# counting passes without one that is better by such a share
MAX_STALE_PASSES = 4
MIN_IMPROVEMENT = 2e-5


def generators_for(x: Tensor, *numbers: int) -> RowGenerators:
    """A generator of events: what each draws depends on the numbers and the event, not on its place or those beside it."""
    cpu, found = torch.device("cpu"), RowGenerators(x.device)
    found.manual_seed(generator_for(cpu, *numbers).initial_seed())
    found.made = lambda: [generator_for(cpu, *numbers, key) for key in event_keys(x)]
    return found


def event_keys(x: Tensor) -> list[int]:
    """A number of 64 bits for each event, which tells different ones apart."""
    rows = (x.flatten(1).float() + 0.0).cpu().numpy()  # of both zeros one
    digests = [blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return [int.from_bytes(digest, "little") for digest in digests]


def prepare(model: Trainable, codes: Tensor, seed: int) -> None:
    """The state before the first step: weights from the seed, outputs at the marginals of events, (rows, *shape)."""
    model.initialise(generator_for(torch.device("cpu"), seed, Stream.INITIAL_WEIGHTS))
    model.initialise_from(codes[:: -(-len(codes) // MAX_INITIAL_ROWS)].flatten(1))


def clip(learned: Sequence[Tensor], most: float) -> Tensor:
    """Scales the gradients down to a norm of `most` together, in place; returns their norm before."""
    gradients = [p.grad for p in learned if p.grad is not None]
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm


class Training:
    """The state of one gradient run. `codes` and `validation` are events as whole numbers, (rows, *shape).

    `names` of the variables serve messages.
    """

    def __init__(
        self,
        model: Trainable,
        codes: Tensor,
        validation: Tensor,
        plan: Plan,
        names: Sequence[str] = (),
    ) -> None:
        self.model, self.codes, self.plan, self.names = model, codes, plan, names
        self.validation = validation[:MAX_VALIDATION_ROWS]
        self.objective = model.objective
        self.turns = self.objective.turns(model)
        self.optimisers = [self._optimiser(turn) for turn in self.turns]
        self.averaged = deepcopy(model).eval().requires_grad_(False)
        self.best = {name: t.clone() for name, t in model.state_dict().items()}
        self._learned = [list(turn.learner.parameters()) for turn in self.turns]
        self._followed: list[Tensor] = list(model.parameters())
        self._following: list[Tensor] = list(self.averaged.parameters())
        self._moving = [
            name for name, _ in model.named_buffers() if name in self.best
        ]  # others are constant
        self.step, self.best_validation, self.waited, self.seconds = 0, float("inf"), 0, 0.0
        self.norms: dict[str, Tensor] = {}  # of the last gradients, by turn
        self.slack = self._ask_objective(self.objective.slack, Stream.SLACK)
        self._permutation: tuple[int, Tensor] | None = None

    def _optimiser(self, turn: Turn) -> torch.optim.AdamW:
        decayed = [p for p in turn.learner.parameters() if p.ndim > 1]
        others = [p for p in turn.learner.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.plan.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        rate, betas = self.plan.rate, (turn.momentum, 0.99)
        return torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=rate, betas=betas, fused=True
        )

    @property
    def is_done(self) -> bool:
        steps = self.waited * self.plan.every
        waited = self.waited >= self.plan.patience and steps >= self.plan.still
        return self.step >= self.plan.steps or waited

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[TrainingProgress]:
        """Trains to the end of the plan, or until validation stops improving, pausing after each validation.

        Where `stop` says so after a step it pauses there; going on later makes no difference.
        """
        started, before = time.monotonic(), self.seconds
        losses: list[float] = []
        while not self.is_done:
            losses.append(self.take_step())
            self.seconds = before + time.monotonic() - started
            if self.step % self.plan.every == 0 or self.step == self.plan.steps:
                yield self._validate(sum(losses) / len(losses))
                losses = []
            if stop():
                return

    def finish(self) -> None:
        """Puts the best validated weights into the model, which refines them at the end where validation is better for it."""
        self.model.load_state_dict(self.best)
        self.model.eval()
        refined = self.is_done and self.model.recalibrate(self.codes)
        if (
            refined
            and not validation_loss(self.model, self.validation, self.plan.seed)
            <= self.best_validation
        ):
            self.model.load_state_dict(self.best)

    def rows(self, step: int) -> Tensor:
        """The row numbers of a step's batch: a new seeded permutation for each round through the data."""
        per_round = ceil(len(self.codes) / self.plan.batch)
        turn, place = divmod(step, per_round)
        if self._permutation is None or self._permutation[0] != turn:
            shuffle = generator_for(torch.device("cpu"), self.plan.seed, Stream.SHUFFLED_ROWS, turn)
            self._permutation = turn, torch.randperm(len(self.codes), generator=shuffle)
        return self._permutation[1][place * self.plan.batch : (place + 1) * self.plan.batch]

    def take_step(self) -> float:
        """One step of every turn; returns the sum of the turns' losses in nats per event."""
        if not self.model.training:
            self.model.train()
        rows = self.rows(self.step)
        own = processes.rows_of_rank(len(rows))
        x = self.codes[rows[own]].to(device_of(self.model)).float()
        total = 0.0
        for index in range(len(self.turns)):
            total += self._take_turn(index, x, rows, own)
        self.step += 1
        self._average()
        return total

    def _take_turn(self, index: int, x: Tensor, rows: Tensor, own: slice) -> float:
        """The steps of one turn; returns its last loss."""
        turn, optimiser = self.turns[index], self.optimisers[index]
        place = self.plan.seed, Stream.TRAINING_NOISE, self.step, index
        for repeat in range(turn.repeats):
            optimiser.zero_grad()
            noise = generator_for(x.device, *place, repeat)
            value = self._gradients(turn, x, rows, own, sharing(noise, own, len(rows)))
            self.norms[turn.name] = clip(self._learned[index], self.plan.clip)
            for group in optimiser.param_groups:
                group["lr"] = self.plan.rate_at(self.step)
            optimiser.step()
        return value

    def _gradients(
        self, turn: Turn, x: Tensor, rows: Tensor, own: slice, noise: torch.Generator
    ) -> float:
        """Leaves the gradients of the mean loss over all of the batch's `rows`, of which `x` are `own`; that mean."""
        each = x.new_zeros(0)
        if len(x):
            with lend_noise(self.model, noise):
                each = turn.loss(x, noise, self.step / self.plan.steps).total
        every = processes.gather_rows(each.detach(), own, len(rows))
        value = every.mean().item()
        if not isfinite(value):
            self._give_up(rows, every)
        if len(x):
            (each.sum() / len(rows)).backward()
        processes.add_gradients(turn.learner.parameters())
        return value

    @torch.no_grad()
    def _average(self) -> None:
        # early on the average follows quickly, so that it forgets the first weights
        follow = 1 - min(self.plan.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self._following, self._followed, follow)
        if self._moving:
            kept, current = (dict(model.named_buffers()) for model in (self.averaged, self.model))
            torch._foreach_copy_(
                [kept[name] for name in self._moving], [current[name] for name in self._moving]
            )

    def _validate(self, loss: float) -> TrainingProgress:
        value = validation_loss(self.averaged, self.validation, self.plan.seed)
        better = value < self.best_validation + self.slack
        self.best_validation = min(self.best_validation, value)
        self.waited = 0 if better else self.waited + 1
        if better:
            self.best = {name: t.clone() for name, t in self.averaged.state_dict().items()}
        rate = self.plan.rate_at(self.step - 1)
        norms = {name: float(norm) for name, norm in self.norms.items()}
        health = self._ask_objective(self.objective.health, Stream.HEALTH, self.step)
        told = (self.objective.unit, norms, health)
        return TrainingProgress(
            self.step, self.plan.steps, loss, value, rate, self.seconds, better, *told
        )

    @torch.no_grad()
    def _ask_objective(
        self, say: Callable[[Trainable, Tensor, Tensor, torch.Generator], Answer], *numbers: int
    ) -> Answer:
        """The objective's answer about as many training as held-out events."""
        device, rows = (
            device_of(self.model),
            min(MAX_HEALTH_ROWS, len(self.codes), len(self.validation)),
        )
        seen, held_out = (
            codes[:rows].to(device).float() for codes in (self.codes, self.validation)
        )
        self.model.eval()
        return say(self.model, seen, held_out, generator_for(device, self.plan.seed, *numbers))

    def _give_up(self, rows: Tensor, total: Tensor) -> None:
        x = self.codes[rows].to(total.device).float()
        message = diagnose(self.model, x, rows, total, self.step, self.names)
        self.finish()
        raise Diverged(message)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that going on needs: tensors, and numbers for JSON."""
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": self._moments(),
        }
        tensors = {f"{part}.{name}": t for part, own in parts.items() for name, t in own.items()}
        numbers = {
            "step": self.step,
            "best": self.best_validation,
            "waited": self.waited,
            "seconds": self.seconds,
        }
        return {k: v.contiguous().clone() for k, v in tensors.items()}, numbers

    def _moments(self) -> dict[str, Tensor]:
        """The state of the optimisers, by optimiser, parameter and name."""
        return {
            f"{i}.{j}.{name}": torch.as_tensor(value)
            for i, optimiser in enumerate(self.optimisers)
            for j, moments in optimiser.state_dict()["state"].items()
            for name, value in moments.items()
        }

    def resume(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Takes up what `state` gave."""
        parts: dict[str, dict[str, Tensor]] = {
            "best": {},
            "optimiser": {},
            "model": {},
            "averaged": {},
        }
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        self.model.load_state_dict(parts["model"])
        self.averaged.load_state_dict(parts["averaged"])
        self.best = parts["best"]
        self._resume_moments(parts["optimiser"])
        self.step, self.waited = int(numbers["step"]), int(numbers["waited"])
        self.best_validation, self.seconds = float(numbers["best"]), float(numbers["seconds"])

    def _resume_moments(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what `_moments` gave."""
        moments: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimisers]
        for key, value in tensors.items():
            i, j, name = key.split(".")
            moments[int(i)].setdefault(int(j), {})[name] = value
        for optimiser, own in zip(self.optimisers, moments, strict=True):
            optimiser.load_state_dict({**optimiser.state_dict(), "state": own})


@torch.no_grad()
def validation_loss(
    model: Trainable, codes: Tensor, seed: int = 0, by: Objective | None = None
) -> float:
    """The mean over events of what the model's objective, or another, watches on validation, in nats; smaller is better."""
    device, objective, parts = device_of(model), by or model.objective, []
    for i, x in enumerate(batches(codes)):
        parts.append(torch.zeros((), dtype=torch.float64, device=device))
        if processes.is_mine(i):
            parts[i] += (
                objective.validation_loss(
                    model, x.to(device), generator_for(device, seed, Stream.VALIDATION_NOISE, i)
                )
                .double()
                .sum()
            )
    return float(processes.sum_over_ranks(torch.stack(parts)).sum()) / len(codes)


@dataclass
class BestState:
    """The state of a model at its best validation so far; none at first."""

    value: float = float("inf")
    state: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, model: Trainable, value: float) -> bool:
        """Keeps the model's state, and returns True, if there was none or none so good."""
        better = value < self.value or not self.state
        if better:
            self.value = value
            self.state = {name: t.clone() for name, t in model.state_dict().items()}
        return better

    def restore(self, model: Trainable) -> None:
        if self.state:
            model.restore(self.state)


def fit_by_counting(
    model: Trainable, codes: Tensor, validation: Tensor
) -> Iterator[TrainingProgress]:
    """Makes the model's counting passes and looks: sums over all batches, then an update. Keeps the best validated state.

    Passes of one name are an attempt: it begins from the best state so far, and ends where `STALE` passes in a row were no
    better on validation than the best of the same attempt before them.
    """
    passes, started = model.objective.passes(model), time.monotonic()
    model.eval()
    best = BestState()
    for _, attempt in groupby(enumerate(passes, 1), lambda one: one[1].name):
        best.restore(model)
        waited, own = 0, float("inf")
        for number, each in attempt:
            if waited == MAX_STALE_PASSES:
                continue
            _count_once(each, model, codes, validation)
            value = validation_loss(model, validation[:MAX_VALIDATION_ROWS])
            improved = value < own - MIN_IMPROVEMENT * abs(value)
            waited, own = (0, value) if improved else (waited + 1, own)
            better, seconds = best.offer(model, value), time.monotonic() - started
            loss = validation_loss(model, codes[:2000])
            yield TrainingProgress(number, len(passes), loss, value, 0.0, seconds, better)
    best.restore(model)


def _count_once(
    each: Pass | WholePass, model: Trainable, codes: Tensor, validation: Tensor
) -> None:
    if isinstance(each, WholePass):
        each.learn(codes, validation[:MAX_VALIDATION_ROWS])
        return
    device = device_of(model)
    sums = processes.sum_over_ranks(own_sums(each, codes, device))
    each.update(sums, [x.to(device) for x in batches(validation[:MAX_VALIDATION_ROWS])])


def counting_rows(codes: Tensor) -> int:
    """Rows of a batch of a counting pass."""
    return max(1, min(8192, (1 << 20) // max(codes[0].numel(), 1)))


def own_sums(each: Pass, codes: Tensor, device: torch.device) -> Tensor:
    """A pass's sums over this process's share of the batches; zeros where it has none."""
    sums = None
    for i, x in enumerate(batches(codes, counting_rows(codes))):
        if processes.is_mine(i):
            part = each.sums(x.to(device))
            sums = part if sums is None else sums.add_(part)
    if sums is None:  # the form of the sums is known only from some
        return torch.zeros_like(each.sums(next(batches(codes)).to(device)))
    return sums
