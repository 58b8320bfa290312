"""What every model promises, as checks that anyone can run: `results(model)` runs all that apply to its type.

Small models are checked over all their events; large ones over the first variables of their order (as many as have at
most 65,536 events together) and each conditional. Thresholds stand at six sigma, seeds are fixed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    BoundedModel,
    DensityModel,
    Model,
    TractableModel,
    device_of,
    drive,
)
from plausibly.kinds import Bins, Kind
from plausibly.nets.noise import drawing
from plausibly.outcomes import Finite
from plausibly.schema import Schema
from plausibly.tasks import load_tasks
from plausibly.training import generator_for

SIX_SIGMA = 2e-9
MOST_EVENTS = 65_536


@dataclass(frozen=True)
class Result:
    """How a promise stands: `value` is what was measured, and must be within `tolerance` of what `says` names."""

    name: str
    holds: bool
    value: float
    tolerance: float
    says: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Check = Callable[[Any], Result]


def results(model: Model) -> Iterator[Result]:
    """Runs every check that applies to the model, in evaluation mode. A check that raises counts as broken."""
    training = model.training
    model.eval()
    try:
        for check in checks(model):
            try:
                yield check(model)
            except Exception as error:  # whatever a faulty model raises is a promise not kept
                yield Result(check.__name__, False, float("nan"), 0.0, f"{type(error).__name__}: {error}")
    finally:
        model.train(training)


def checks(model: Model) -> Iterator[Check]:
    """The checks of each capability that the model has."""
    for capability, rules in CHECKS.items():
        if isinstance(model, capability):
            yield from rules


def shaken(model: Model, seed: int = 0) -> Model:
    """The model with its parameters moved: weights that start at zero would hide a leak."""
    generator = generator_for(torch.device("cpu"), seed, 6)
    model.initialise(generator)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.4 * torch.randn(p.shape, generator=generator))
    return model


def near(name: str, worst: Tensor | float, tolerance: float, says: str) -> Result:
    """Holds where the largest deviation is within the tolerance."""
    value = float(torch.as_tensor(worst).detach())
    return Result(name, value <= tolerance, value, tolerance, says)


def draw(model: Model, n: int, seed: int = 0) -> Tensor:
    """`n` events, or an eighth of them where each has many variables."""
    n = n if model.schema.size <= 256 else n // 8
    with torch.no_grad():
        return model.sample(n, generator_for(device_of(model), seed, 7))


def leading(model: AutoregressiveModel) -> tuple[int, ...]:
    """The first variables in the model's order that have at most 65,536 events together."""
    events, chosen = 1, []
    for i in model.order:
        events *= model.schema.codes[i]
        if events > MOST_EVENTS:
            break
        chosen.append(i)
    return tuple(chosen)


@torch.no_grad()
def enumerated(model: DensityModel) -> tuple[tuple[int, ...], Tensor, Tensor]:
    """(variables, their events (events, variables), log p of each): all variables, or the first in order of many."""
    schema, device = model.schema, device_of(model)
    if schema.log_events <= log(MOST_EVENTS) + 1e-9:
        every = schema.all_events()
        logs = [model.log_prob(x.to(device)).double().cpu() for x in every.split(1024)]
        return tuple(range(schema.size)), every.flatten(1), torch.cat(logs)
    if not isinstance(model, AutoregressiveModel):
        return (), torch.zeros(1, 0), torch.zeros(1, dtype=torch.float64)
    chosen = leading(model)
    few = schema.first(chosen).all_events()
    rows = torch.zeros(len(few), schema.size)
    rows[:, list(chosen)] = few
    logs = []
    for x in rows.split(max(1, (1 << 18) // schema.size)):
        each = model.predict(x.reshape(-1, *schema.shape).to(device)).log_prob(x.to(device))
        logs.append(each[:, list(chosen)].double().sum(1).cpu())
    return chosen, few, torch.cat(logs)


def scope(model: Model, variables: tuple[int, ...]) -> str:
    many = len(variables)
    return "over all events" if many == model.schema.size else f"over the first {many} variables in order"


# every model


def samples_are_events(model: Model) -> Result:
    x = draw(model, 64)
    codes = torch.tensor(model.schema.codes, device=x.device).view(model.schema.shape)
    wrong = (x != x.round()) | (x < 0) | (x >= codes)
    right_form = x.shape[1:] == model.schema.shape and len(x) > 0 and x.dtype == torch.float32
    return near("samples_are_events", wrong.sum() if right_form else float("inf"), 0, "samples that are no codes")


def generator_decides_samples(model: Model) -> Result:
    before = torch.get_rng_state()
    first, again, other = draw(model, 200, 1), draw(model, 200, 1), draw(model, 200, 2)
    untouched = torch.equal(before, torch.get_rng_state())
    faults = int(not torch.equal(first, again)) + int(torch.equal(first, other)) + int(not untouched)
    return near("generator_decides_samples", faults, 0, "equal seeds differ, other seeds agree, global generator used")


def arguments_rebuild(model: Model) -> Result:
    arguments = json.loads(json.dumps(model.arguments))
    twin = type(model)(Schema.from_json(json.loads(json.dumps(model.schema.to_json()))), **arguments)
    twin.restore({name: tensor.clone() for name, tensor in model.state_dict().items()})
    twin.to(device_of(model)).eval()
    x, again = draw(model, 64), draw(twin, 64)
    different = float((x != again).sum())
    if isinstance(model, DensityModel) and isinstance(twin, DensityModel):
        with torch.no_grad():
            different += float((model.log_prob(x) - twin.log_prob(x)).abs().max())
    says = "sampled cells and nats that differ in a model made from arguments and saved tensors"
    return near("arguments_rebuild", different, 1e-5, says)


def each_task_has_one_rule(model: Model) -> Result:
    clashes = 0
    for task in load_tasks().values():
        found = task.candidates(type(model))
        clashes += sum(not issubclass(a, b) for a, b in zip(found, found[1:], strict=False))
    return near("each_task_has_one_rule", clashes, 0, "tasks whose rule depends on the order of base classes")


def remainders_sum_to_one(model: Model) -> Result:
    worst = max((excess(kind) for kind in set(model.schema.kinds)), default=0.0)
    return near(
        "remainders_sum_to_one", worst, 1e-9, "p(values | their code) summed up beyond 1, or a density off its bin"
    )


def excess(kind: Kind) -> float:
    """How far p(value | code), summed over distinct values drawn inside a code, exceeds 1."""
    codes = np.repeat(np.arange(kind.codes), 50)
    values = kind.draw(codes, np.random.default_rng(0))
    if not np.array_equal(kind.code(values), codes):
        return float("inf")
    logs, worst = kind.log_within(values), 0.0
    if isinstance(kind, Bins):
        inner = (codes > 0) & (codes < len(kind.edges))
        widths = np.diff(np.asarray(kind.edges))[codes[inner] - 1]
        return float(np.abs(np.exp(logs[inner]) * widths - 1).max(initial=0.0))
    for code in range(kind.regular):
        _, first = np.unique(values[codes == code], return_index=True)
        worst = max(worst, float(np.exp(logs[codes == code][first]).sum() - 1))
    return worst


# bounds and densities


def gradients_reach_every_parameter(model: BoundedModel) -> Result:
    """In training mode, over some steps, since noise may leave parts out of one. A lone variable sees nothing: 0 will do."""
    reached: set[str] = set()
    alone = model.schema.size == 1
    model.train()
    try:
        for step in range(8):
            noise = generator_for(device_of(model), step, 8)
            model.zero_grad()
            with drawing(model, noise), torch.enable_grad():
                x = random_events(model.schema, 64, step).to(device_of(model))
                model.log_bound(x.view(-1, *model.schema.shape), noise).sum().backward()
            reached |= {name for name, p in model.named_parameters() if p.grad is not None and (alone or p.grad.any())}
    finally:
        model.zero_grad()
        model.eval()
    missed = [name for name, p in model.named_parameters() if name not in reached and p.numel()]
    return near("gradients_reach_every_parameter", len(missed), 0, f"parameters without gradient: {missed or 'none'}")


@torch.no_grad()
def log_probs_are_at_most_zero(model: DensityModel) -> Result:
    return near("log_probs_are_at_most_zero", model.log_prob(draw(model, 256)).max(), 1e-5, "largest log p of codes")


@torch.no_grad()
def scoring_repeats(model: DensityModel) -> Result:
    x = draw(model, 64)
    return near("scoring_repeats", (model.log_prob(x) - model.log_prob(x)).abs().max(), 0, "nats between two scorings")


@torch.no_grad()
def rows_are_scored_alone(model: DensityModel) -> Result:
    x = draw(model, 17)
    alone = torch.cat([model.log_prob(event[None]) for event in x])
    difference = (model.log_prob(x) - alone).abs().max()
    return near("rows_are_scored_alone", difference, 1e-3, "nats between a row scored alone and in a batch")


def sums_to_one(model: DensityModel) -> Result:
    variables, _, logs = enumerated(model)
    total = float(logs.exp().sum())
    holds = bool(variables) and abs(total - 1) <= 1e-5 * max(len(variables), 10) / 10
    return Result(
        "sums_to_one", holds, total, 1e-5 * max(len(variables), 10) / 10, f"total probability {scope(model, variables)}"
    )


def samples_follow_density(model: DensityModel) -> Result:
    """Chi-square of samples against probabilities, cells pooled until 10 samples are expected in each."""
    from scipy.stats import chi2  # slow to import

    variables, events, logs = enumerated(model)
    drawn = torch.cat([draw(model, 500, s) for s in range(16 if model.schema.size <= 64 else 4)])
    n, expected = len(drawn), len(drawn) * logs.exp()
    places = place(drawn.flatten(1)[:, list(variables)], events)
    seen = torch.bincount(places, minlength=len(events)).double()
    order = expected.argsort(descending=True)
    pool = (expected[order].cumsum(0) / 10).floor().long().clamp(max=2000)
    pooled = [
        torch.zeros(int(pool.max()) + 1, dtype=torch.float64).index_add_(0, pool, c[order]) for c in (seen, expected)
    ]
    full = pooled[1] > 0
    statistic = float(((pooled[0] - pooled[1])[full] ** 2 / pooled[1][full]).sum())
    p = float(chi2.sf(statistic, max(int(full.sum()) - 1, 1)))
    return Result(
        "samples_follow_density", p > SIX_SIGMA, p, SIX_SIGMA, f"p-value of {n:,} samples {scope(model, variables)}"
    )


def place(x: Tensor, events: Tensor) -> Tensor:
    """Where each row of `x` stands among all `events` in lexical order."""
    codes = (events.amax(0) + 1).long()
    strides = codes.flip(0).cumprod(0).flip(0) // codes
    return (x.cpu().long() * strides).sum(1)


# chain rule


def order_is_a_permutation(model: AutoregressiveModel) -> Result:
    faults = int(sorted(model.order) != list(range(model.schema.size)))
    return near("order_is_a_permutation", faults, 0, "the order names every variable once")


@torch.no_grad()
def conditionals_sum_to_one(model: AutoregressiveModel) -> Result:
    outcome, worst = model.predict(draw(model, 64)), 0.0
    for i in range(model.schema.size):
        totals = outcome.one(i).log_probs.double().exp().sum(-1)
        worst = max(worst, float((totals - 1).abs().max()))
    return near("conditionals_sum_to_one", worst, 1e-5, "largest deviation of a conditional's total from 1")


@torch.no_grad()
def no_variable_sees_a_later_one(model: AutoregressiveModel) -> Result:
    """Two sets of rows that agree up to a place in the order must agree on every conditional up to the next."""
    shape, device, order = model.schema.shape, device_of(model), list(model.order)
    x, y = (random_events(model.schema, 16, seed).to(device) for seed in (1, 2))
    ranks = range(len(order)) if len(order) <= 128 else torch.linspace(0, len(order) - 1, 64).long().tolist()
    predicted, worst = model.predict(x.view(-1, *shape)), 0.0
    for rank in ranks:
        mixed = y.clone()
        mixed[:, order[:rank]] = x[:, order[:rank]]
        other = model.predict(mixed.view(-1, *shape))
        i = order[rank]
        worst = max(worst, float((predicted.one(i).log_probs - other.one(i).log_probs).abs().max()))
    return near("no_variable_sees_a_later_one", worst, 1e-4, "change of a conditional when only later variables change")


def random_events(schema: Schema, n: int, seed: int) -> Tensor:
    """Flat events with every code equally likely, (n, variables)."""
    uniform = torch.rand(n, schema.size, generator=generator_for(torch.device("cpu"), seed, 9))
    return (uniform * torch.tensor(schema.codes)).floor()


@torch.no_grad()
def unroll_agrees_with_predict(model: AutoregressiveModel) -> Result:
    x = random_events(model.schema, 8, 3).to(device_of(model))
    predicted, worst, visited = model.predict(x.view(-1, *model.schema.shape)), 0.0, []

    def choose(i: int, outcome: Finite) -> Tensor:
        nonlocal worst
        visited.append(i)
        worst = max(worst, float((outcome.log_probs - predicted.one(i).log_probs).abs().max()))
        return x[:, i]

    returned = drive(model.unroll(len(x)), choose)
    if tuple(visited) != tuple(model.order) or not torch.equal(returned.flatten(1), x):
        worst = float("inf")
    return near("unroll_agrees_with_predict", worst, 1e-3, "difference of a conditional between unroll and predict")


# any question


def some_observed(model: AnyOrderModel, n: int) -> tuple[Tensor, Tensor]:
    """Random events and a random subset of observed variables for each."""
    x = random_events(model.schema, n, 4)
    rate = torch.linspace(0, 1, n)[:, None]
    observed = torch.rand(x.shape, generator=generator_for(torch.device("cpu"), 10)) < rate
    shape, device = (n, *model.schema.shape), device_of(model)
    return x.view(shape).to(device), observed.view(shape).to(device)


def marginals_agree(model: TractableModel) -> Result:
    """With enumeration where all events can be listed; else: all observed gives log p, and a variable more sums to less."""
    x, observed = some_observed(model, 24)
    got = model.log_marginal(x, observed).double().cpu()
    if model.schema.log_events <= log(MOST_EVENTS) + 1e-9:
        want = enumerated_marginal(model, x.flatten(1).cpu(), observed.flatten(1).cpu())
        worst, says = (got - want).abs().max(), "nats from the sum over all events"
    else:
        whole = (model.log_marginal(x, torch.ones_like(observed)) - model.log_prob(x)).abs().max()
        worst, says = (
            torch.maximum(whole.cpu(), summed_out(model, x, observed, got)),
            "nats between a marginal and its parts",
        )
    return near("marginals_agree", worst, 1e-3, says)


def enumerated_marginal(model: TractableModel, x: Tensor, observed: Tensor) -> Tensor:
    _, events, logs = enumerated(model)
    rows = [logs[((events == row) | ~seen).all(1)].logsumexp(0) for row, seen in zip(x, observed, strict=True)]
    return torch.stack(rows)


def summed_out(model: TractableModel, x: Tensor, observed: Tensor, got: Tensor) -> Tensor:
    """log p(observed) against the sum over one more variable's codes."""
    i = model.schema.size // 2
    more, flat = observed.flatten(1).clone(), x.flatten(1).clone()
    free = ~more[:, i].cpu()
    more[:, i] = True
    parts = []
    for code in range(model.schema.codes[i]):
        flat[:, i] = code
        parts.append(model.log_marginal(flat.view(x.shape), more.view(x.shape)).double().cpu())
    return (torch.stack(parts).logsumexp(0) - got)[free].abs().amax() if free.any() else torch.zeros(())


def conditionals_agree(model: TractableModel) -> Result:
    """p(x_i | observed) against the ratio of two marginals, for some variables."""
    x, observed = some_observed(model, 12)
    outcome, base, worst = model.predict_given(x, observed), model.log_marginal(x, observed), 0.0
    for i in torch.linspace(0, model.schema.size - 1, min(6, model.schema.size)).long().tolist():
        flat, seen = x.flatten(1).clone(), observed.flatten(1).clone()
        free = ~seen[:, i]
        seen[:, i] = True
        for code in range(min(model.schema.codes[i], 8)):
            flat[:, i] = code
            want = (model.log_marginal(flat.view(x.shape), seen.view(x.shape)) - base).exp()
            got = outcome.one(i).log_probs[:, code].exp()
            worst = max(worst, float((got - want)[free].abs().max()) if free.any() else 0.0)
    return near("conditionals_agree", worst, 1e-4, "probability between a conditional and the ratio of two marginals")


def given_samples_follow(model: TractableModel) -> Result:
    """Draws given half of the variables: observed cells stay, and one free variable follows its conditional."""
    x, _ = some_observed(model, 1)
    observed = torch.zeros_like(x, dtype=torch.bool).flatten(1)
    observed[:, 1::2] = True
    many, seen = x.expand(4000, *x.shape[1:]), observed.view(x.shape).expand(4000, *x.shape[1:])
    drawn = model.sample_given(many, seen, generator_for(device_of(model), 11)).flatten(1)
    p = model.predict_given(x, observed.view(x.shape)).one(0).log_probs[0].exp().double().cpu()
    counts = torch.bincount(drawn[:, 0].long().cpu(), minlength=len(p)).double()
    worst = ((counts - 4000 * p).abs() / (4000 * p * (1 - p) + 1).sqrt()).max()
    touched = (drawn[:, 1::2] != many.flatten(1)[:, 1::2]).any()
    return near("given_samples_follow", float("inf") if touched else worst, 6, "standard errors between counts and p")


CHECKS: dict[type, list[Check]] = {
    Model: [
        samples_are_events,
        generator_decides_samples,
        arguments_rebuild,
        each_task_has_one_rule,
        remainders_sum_to_one,
    ],
    BoundedModel: [gradients_reach_every_parameter],
    DensityModel: [
        log_probs_are_at_most_zero,
        scoring_repeats,
        rows_are_scored_alone,
        sums_to_one,
        samples_follow_density,
    ],
    AutoregressiveModel: [
        order_is_a_permutation,
        conditionals_sum_to_one,
        no_variable_sees_a_later_one,
        unroll_agrees_with_predict,
    ],
    TractableModel: [marginals_agree, conditionals_agree, given_samples_follow],
}
