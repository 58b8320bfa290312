"""The time and memory that a fit will take, before it begins: measured on a few trial steps or a part of a counting pass.

Memory is the most that the process has held so far, trial included: data, weights, moments and activations are there by then.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil
from statistics import median

import torch
from torch import Tensor

from plausibly.capabilities import Trainable, device_of
from plausibly.events.batches import batches
from plausibly.objectives import WholePass
from plausibly.system import processes
from plausibly.system.memory import format_bytes, peak_memory
from plausibly.system.threads import take_threads
from plausibly.training.loop import Training, counting_rows, validation_loss
from plausibly.training.plan import Diverged, Plan

# a trial of threads: so many pairs of steps at most, and seconds
MAX_PAIRS = 9
MAX_TRIAL_SECONDS = 0.5
MIN_SPEEDUP = 1.15  # by which several threads must be faster than one


def step_seconds(training: Training) -> float:
    """The seconds that a step takes, tried on a copy."""
    trial = Training(deepcopy(training.model), training.codes, training.validation, training.plan)
    started = time.monotonic()
    for taken in range(1, 5):
        try:
            trial.take_step()
        except Diverged:  # the run itself will say so
            break
        if taken == 1:  # the first is slower than all others
            started = time.monotonic()
    return (time.monotonic() - started) / max(taken - 1, 1)


@dataclass(frozen=True)
class ThreadTrial:
    """The median seconds of a step with one thread, and with `most`."""

    most: int
    alone: float
    together: float

    @property
    def number(self) -> int:
        """The threads to take: several only where they are clearly faster."""
        return self.most if self.alone > MIN_SPEEDUP * self.together else 1

    def __str__(self) -> str:
        one, several = "1 thread", f"{self.most} threads"
        alone, together = (f"{1000 * each:.3g} ms" for each in (self.alone, self.together))
        if self.number == 1:
            return f"trains with {one}: a step takes {alone}, with {several} {together}"
        return f"trains with {several}: a step takes {together}, with {one} {alone}"


def try_threads(
    model: Trainable, codes: Tensor, validation: Tensor, plan: Plan, most: int
) -> ThreadTrial:
    """Times steps of a copy, in turn with one thread and with `most`. Several processes go by the clock of the first."""
    trial = Training(deepcopy(model), codes, validation, plan)
    pairs = list[tuple[float, float]]()
    try:
        _time_step(trial, 1)  # the first is slower than all others
        started = read_shared_clock()
        while len(pairs) < MAX_PAIRS and (
            not pairs or read_shared_clock() - started < MAX_TRIAL_SECONDS
        ):
            pairs.append((_time_step(trial, 1), _time_step(trial, most)))
    except Diverged:  # the run itself will say so
        return ThreadTrial(most, 0.0, 0.0)
    alone, together = (median(each) for each in zip(*pairs, strict=True))
    return ThreadTrial(most, alone, together)


def _time_step(trial: Training, threads: int) -> float:
    with take_threads(threads):
        started = read_shared_clock()
        trial.take_step()
        return read_shared_clock() - started


@torch.no_grad()
def pass_seconds(model: Trainable, codes: Tensor) -> tuple[int, float]:
    """The number of counting passes at most, and the seconds that one takes, tried on a copy with one batch."""
    trial, rows = deepcopy(model).eval(), counting_rows(codes)
    trial.expand()
    passes = trial.objective.passes(trial)
    batch, started = next(batches(codes, rows)).to(device_of(model)), time.monotonic()
    middle = passes[len(passes) // 2]
    if isinstance(middle, WholePass):
        middle.part(codes[:2], codes[:2])  # what it needs is loaded
        started = time.monotonic()
        fifth = torch.arange(len(codes)) % 5 == 0
        share = middle.part(codes[~fifth], codes[fifth])
        return len(passes), (time.monotonic() - started) / share
    middle.sums(batch)
    return len(passes), (time.monotonic() - started) * ceil(len(codes) / rows)


def memory_line(device: torch.device) -> str:
    """The memory held at most so far, and that on a GPU, in words; empty where the system does not tell."""
    told = [f"{format_bytes(peak_memory())} of memory"] if peak_memory() else []
    if device.type == "cuda":
        told.append(f"{format_bytes(torch.cuda.max_memory_allocated(device))} on {device}")
    return f", {' and '.join(told)} (this process at its peak, trial included)" if told else ""


def format_duration(seconds: float) -> str:
    """Seconds as one reads them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def read_shared_clock() -> float:
    """Seconds by the first process's clock."""
    return processes.run_on_first(time.monotonic)


def steps_within(
    budget: float, model: Trainable, codes: Tensor, validation: Tensor, plan: Plan
) -> Plan:
    """The plan whose steps take about `budget` seconds, by timing a copy of the model once; validations included.

    Several processes go by the clock of the first.
    """
    trial = Training(deepcopy(model), codes, validation, plan)
    for _ in range(3):
        trial.take_step()
    started, timed = read_shared_clock(), 0
    while timed < 5 or (read_shared_clock() - started < min(0.05 * budget, 2.0) and timed < 500):
        trial.take_step()
        timed += 1
    step = (read_shared_clock() - started) / timed
    started = read_shared_clock()
    validation_loss(trial.averaged, trial.validation)
    each = step + (read_shared_clock() - started) / plan.every
    steps = max(1, int(0.9 * budget / each))
    return replace(plan, steps=steps, every=max(1, min(plan.every, ceil(steps / 10))))
