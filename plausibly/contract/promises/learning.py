"""Promises of whatever learns: it can be made again, is judged by one rule a task, and learns with all its parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, Encoder, Model, Trainable, device_of
from plausibly.contract.draws import draw_events
from plausibly.contract.examination import DRAWS_PER_ROUND, Examination
from plausibly.contract.promise import Finding, promise
from plausibly.contract.result import NotMeasured, larger
from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for, lend_noise
from plausibly.tasks import load_tasks


@promise(
    Trainable,
    "sampled cells, nats and latents that differ in a model made from arguments and saved tensors",
    within=1e-5,
)
def arguments_rebuild(exam: Examination[Trainable]) -> float:
    model, twin = exam.model, rebuild(exam.model)
    x, different = exam.events(), 0.0
    if isinstance(model, Model) and isinstance(twin, Model):
        x = exam.draw_round(0)
        different += float((x != draw_events(twin, DRAWS_PER_ROUND)).sum())
    if isinstance(model, DensityModel) and isinstance(twin, DensityModel):
        different += float((model.log_prob(x) - twin.log_prob(x)).abs().max())
    if isinstance(model, Encoder) and isinstance(twin, Encoder):
        different += float((model.encode(x) - twin.encode(x)).abs().max())
    return different


def rebuild(model: Trainable) -> Trainable:
    """A model of the same class from what is kept of it on disk."""
    arguments = json.loads(json.dumps(model.arguments))
    schema = Schema.from_json(json.loads(json.dumps(model.schema.to_json())))
    twin = type(model)(schema, **arguments)
    twin.restore({name: tensor.clone() for name, tensor in model.state_dict().items()})
    return twin.to(device_of(model)).eval()


@promise(Trainable, "tasks whose rule depends on the order of base classes")
def each_task_has_one_rule(exam: Examination[Trainable]) -> float:
    clashes = 0
    for task in load_tasks().values():
        found = task.candidates(type(exam.model))
        clashes += sum(not issubclass(a, b) for a, b in zip(found, found[1:], strict=False))
    return clashes


@promise(
    Trainable, "p(values | their code) summed up beyond 1, or a density off its bin", within=1e-9
)
def remainders_sum_to_one(exam: Examination[Trainable]) -> float:
    return reduce(larger, map(excess, set(exam.schema.kinds)), 0.0)


def excess(kind: Kind) -> float:
    """The excess over 1 of p(value | code), summed over distinct values drawn inside a code."""
    if kind.continuous:
        return scaling_error(kind)
    codes = np.repeat(np.arange(kind.codes), 50)
    values = kind.draw(codes, np.random.default_rng(0))
    if not np.array_equal(kind.code(values), codes):
        return float("inf")
    logs, worst = kind.log_within(values), 0.0
    for code in range(kind.regular):
        _, first = np.unique(values[codes == code], return_index=True)
        worst = larger(worst, float(np.exp(logs[codes == code][first]).sum() - 1))
    return worst


def scaling_error(kind: Kind) -> float:
    """The distance from one of the integral of a density of events, taken over to values by `log_within`."""
    events = np.linspace(-1, 1, 101)
    values = kind.draw(events, np.random.default_rng(0))
    back = np.abs(kind.standardise(values) - events).max()
    integral = np.exp(kind.log_within(values)).mean() * (values[-1] - values[0]) / 2
    return larger(back, abs(integral - 1))


@promise(Trainable, "parameters without gradient:")
def gradients_reach_every_parameter(exam: Examination[Trainable]) -> Finding:
    """In training mode, over some steps, since noise may leave parts out of one. A lone variable sees nothing: 0 will do."""
    model, alone = exam.model, exam.schema.size == 1
    learning = {own: p for own, p in model.named_parameters() if p.numel() and p.requires_grad}
    if not learning or not (isinstance(model, BoundedModel) or model.objective.turns(model)):
        raise NotMeasured("it learns without gradients")
    reached = set[str]()
    for _ in take_gradients(exam, steps=8):
        grads = {own: p.grad for own, p in learning.items() if p.grad is not None}
        reached |= {own for own, grad in grads.items() if alone or grad.any()}
    missed = [own for own in learning if own not in reached]
    return Finding(len(missed), str(missed or "none"))


def take_gradients(exam: Examination[Trainable], steps: int) -> Iterator[None]:
    """Yields after each of so many steps backward, with other events and noise, and leaves no gradient behind."""
    model = exam.model.train()
    try:
        for step in range(steps):
            noise = generator_for(exam.device, step, Stream.CHECKED_GRADIENTS)
            model.zero_grad()
            with lend_noise(model, noise), torch.enable_grad():
                training_loss(model, exam.events(step), noise).backward()
            yield
    finally:
        model.zero_grad()
        model.eval()


def training_loss(model: Trainable, x: Tensor, noise: torch.Generator) -> Tensor:
    """The source of gradients: the losses of all turns, else the bound on log p(x)."""
    turns = model.objective.turns(model)
    if isinstance(model, BoundedModel) and not turns:
        return model.log_bound(x, noise).sum()
    return torch.stack([turn.loss(x, noise, 0.5).total.sum() for turn in turns]).sum()
