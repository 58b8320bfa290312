"""Promises of whatever learns: it can be made again, is judged by one rule a task, and learns with all its parameters."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import BoundedModel, DensityModel, Encoder, Model, Trainable, device_of
from plausibly.contract.draws import draw_events, events_for
from plausibly.contract.result import Result, near
from plausibly.events.kinds import Kind, Real
from plausibly.events.schema import Schema
from plausibly.system.randomness import Stream, generator_for, lend_noise
from plausibly.tasks import load_tasks


def arguments_rebuild(model: Trainable) -> Result:
    arguments = json.loads(json.dumps(model.arguments))
    twin = type(model)(
        Schema.from_json(json.loads(json.dumps(model.schema.to_json()))), **arguments
    )
    twin.restore({name: tensor.clone() for name, tensor in model.state_dict().items()})
    twin.to(device_of(model)).eval()
    x, different = events_for(model), 0.0
    with torch.no_grad():
        if isinstance(model, Model) and isinstance(twin, Model):
            x = draw_events(model, 64)
            different += float((x != draw_events(twin, 64)).sum())
        if isinstance(model, DensityModel) and isinstance(twin, DensityModel):
            different += float((model.log_prob(x) - twin.log_prob(x)).abs().max())
        if isinstance(model, Encoder) and isinstance(twin, Encoder):
            different += float((model.encode(x) - twin.encode(x)).abs().max())
    says = "sampled cells, nats and latents that differ in a model made from arguments and saved tensors"
    return near("arguments_rebuild", different, 1e-5, says)


def each_task_has_one_rule(model: Trainable) -> Result:
    clashes = 0
    for task in load_tasks().values():
        found = task.candidates(type(model))
        clashes += sum(not issubclass(a, b) for a, b in zip(found, found[1:], strict=False))
    return near(
        "each_task_has_one_rule",
        clashes,
        0,
        "tasks whose rule depends on the order of base classes",
    )


def remainders_sum_to_one(model: Trainable) -> Result:
    worst = max((excess(kind) for kind in set(model.schema.kinds)), default=0.0)
    return near(
        "remainders_sum_to_one",
        worst,
        1e-9,
        "p(values | their code) summed up beyond 1, or a density off its bin",
    )


def excess(kind: Kind) -> float:
    """The excess over 1 of p(value | code), summed over distinct values drawn inside a code."""
    if isinstance(kind, Real):
        return scaling_error(kind)
    codes = np.repeat(np.arange(kind.codes), 50)
    values = kind.draw(codes, np.random.default_rng(0))
    if not np.array_equal(kind.code(values), codes):
        return float("inf")
    logs, worst = kind.log_within(values), 0.0
    for code in range(kind.regular):
        _, first = np.unique(values[codes == code], return_index=True)
        worst = max(worst, float(np.exp(logs[codes == code][first]).sum() - 1))
    return worst


def scaling_error(kind: Real) -> float:
    """The distance from one of the integral of a density of events, taken over to values by `log_within`."""
    events = np.linspace(-1, 1, 101)
    values = kind.draw(events, np.random.default_rng(0))
    back = np.abs(kind.standardise(values) - events).max()
    return float(
        max(back, abs(np.exp(kind.log_within(values)).mean() * (values[-1] - values[0]) / 2 - 1))
    )


def gradients_reach_every_parameter(model: Trainable) -> Result:
    """In training mode, over some steps, since noise may leave parts out of one. A lone variable sees nothing: 0 will do."""
    name, reached, alone = "gradients_reach_every_parameter", set[str](), model.schema.size == 1
    still = not any(p.requires_grad for p in model.parameters())
    if still or (not isinstance(model, BoundedModel) and not model.objective.turns(model)):
        return near(name, 0, 0, "parameters without gradient: it learns without any")
    model.train()
    try:
        for step in range(8):
            noise = generator_for(device_of(model), step, Stream.CHECKED_GRADIENTS)
            model.zero_grad()
            with lend_noise(model, noise), torch.enable_grad():
                training_loss(model, events_for(model, step), noise).backward()
            reached |= {
                own
                for own, p in model.named_parameters()
                if p.grad is not None and (alone or p.grad.any())
            }
    finally:
        model.zero_grad()
        model.eval()
    missed = [
        own
        for own, p in model.named_parameters()
        if own not in reached and p.numel() and p.requires_grad
    ]
    return near(name, len(missed), 0, f"parameters without gradient: {missed or 'none'}")


def training_loss(model: Trainable, x: Tensor, noise: torch.Generator) -> Tensor:
    """The source of gradients: the losses of all turns, else the bound on log p(x)."""
    turns = model.objective.turns(model)
    if isinstance(model, BoundedModel) and not turns:
        return model.log_bound(x, noise).sum()
    return torch.stack([turn.loss(x, noise, 0.5).total.sum() for turn in turns]).sum()
