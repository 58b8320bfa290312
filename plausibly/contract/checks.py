"""What every model promises, as checks that anyone can run: `results(model)` runs all that apply to its type.

Small models are checked over all their events; large ones over the first variables of their order (as many as have at
most 65,536 events together) and each conditional. Thresholds stand at six sigma, seeds are fixed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import log, prod
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    BoundedModel,
    DecomposableModel,
    DensityModel,
    Encoder,
    Model,
    Quantiser,
    TractableModel,
    Trainable,
    Variational,
    device_of,
    drive,
)
from plausibly.coding.streams import Reader, Writer
from plausibly.errors import Unsupported
from plausibly.events.bins import Binning
from plausibly.events.kinds import HOLE, UNFORESEEN, Kind, Real
from plausibly.events.moments import likeliest_inside
from plausibly.events.schema import Schema
from plausibly.families.mixtures import FreeWeights, free_log_weights
from plausibly.families.variational import context_values
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature
from plausibly.system.randomness import Stream, drawing, generator_for
from plausibly.tasks import load_tasks
from plausibly.tasks.complete import Ascent
from plausibly.tasks.compress import compress
from plausibly.tasks.score import score

SIX_SIGMA = 2e-9
SPARE_BITS = (
    256  # bits that bytes may take besides, for their end and for what bits-back begins with
)
MAX_LISTED_EVENTS = 65_536
MAX_BOUND_EVENTS, BOUND_ROUNDS = (
    1024,
    16,
)  # events of which bounds are added up, and how often each is drawn


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
Kept = TypeVar("Kept", bound=Trainable)


def run_checks(model: Trainable) -> Iterator[Result]:
    """Runs every check that applies to the model, in evaluation mode. A check that raises counts as broken."""
    training = model.training
    model.eval()
    try:
        for check in checks_for(model):
            try:
                yield check(model)
            except Exception as error:  # whatever a faulty model raises is a promise not kept
                yield Result(
                    check.__name__, False, float("nan"), 0.0, f"{type(error).__name__}: {error}"
                )
    finally:
        model.train(training)


def checks_for(model: Trainable) -> Iterator[Check]:
    """The checks of each capability that the model has."""
    for capability, rules in CHECKS.items():
        if isinstance(model, capability):
            yield from rules


def shake_weights(model: Kept, seed: int = 0) -> Kept:
    """The model with its parameters moved: weights that start at zero would hide a leak."""
    generator = generator_for(torch.device("cpu"), seed, Stream.CHECKED_WEIGHTS)
    model.initialise(generator)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.4 * torch.randn(p.shape, generator=generator))
    return model


def near(name: str, worst: Tensor | float, tolerance: float, says: str) -> Result:
    """Holds where the largest deviation is within the tolerance."""
    value = float(torch.as_tensor(worst).detach())
    return Result(name, value <= tolerance, value, tolerance, says)


def draw_events(model: Model, n: int, seed: int = 0) -> Tensor:
    """`n` events, or an eighth of them where each has many variables."""
    n = n if model.schema.size <= 256 else n // 8
    with torch.no_grad():
        return model.sample(n, generator_for(device_of(model), seed, Stream.CHECKED_SAMPLES))


@dataclass(frozen=True)
class Nodes:
    """Points that stand for all events of some variables: log p at each plus `log_weights`, and the sum is one.

    A discrete variable's nodes are its codes; a real one's are those of a quadrature, and its special codes. `cells` are
    the nodes' codes.
    """

    variables: tuple[int, ...]
    points: Tensor  # (nodes, variables), float32
    log_weights: Tensor  # (nodes,), float64
    cells: Tensor


def nodes_of(model: Model, variables: tuple[int, ...]) -> Nodes:
    """All combinations of the variables' nodes. Only the first in the order may be real: its outcome is always the same."""
    columns = []
    for i in variables:
        outcome = first_outcome(model, i) if isinstance(model.schema.kinds[i], Real) else None
        columns.append([side[:, 0] for side in quadrature(model.schema.kinds[i], outcome, 1)])
    points = torch.cartesian_prod(*(points for points, _ in columns)).reshape(-1, len(variables))
    weights = (
        torch.cartesian_prod(*(weights.log() for _, weights in columns))
        .reshape(len(points), -1)
        .sum(1)
    )
    return Nodes(variables, points, weights, model.schema.first(variables).event_codes(points))


def first_outcome(model: Model, i: int) -> Single:
    assert isinstance(model, AutoregressiveModel) and i == model.order[0]
    return model.predict(torch.zeros(1, *model.schema.shape, device=device_of(model))).one(i)


def leading(model: AutoregressiveModel) -> tuple[int, ...]:
    """The first variables in the model's order that have at most 65,536 nodes together, one real one at most."""
    nodes, chosen = 1, list[int]()
    for i in model.order:
        real = isinstance(model.schema.kinds[i], Real)
        if real and chosen:
            break
        nodes *= len(nodes_of(model, (i,)).points) if real else model.schema.codes[i]
        if nodes > MAX_LISTED_EVENTS:
            break
        chosen.append(i)
    return tuple(chosen)


def is_listable(schema: Schema) -> bool:
    """Whether all events can be listed."""
    return not schema.continuous and schema.log_events <= log(MAX_LISTED_EVENTS) + 1e-9


@torch.no_grad()
def enumerate_events(model: DensityModel) -> tuple[Nodes, Tensor]:
    """Nodes and the log p of each with its weight, float64: of all variables, or of the leading ones by the chain rule."""
    schema, device = model.schema, device_of(model)
    if is_listable(schema):
        nodes = nodes_of(model, tuple(range(schema.size)))
        events = nodes.points.view(-1, *schema.shape)
        logs = [model.log_prob(x.to(device)).double().cpu() for x in events.split(1024)]
        return nodes, torch.cat(logs)
    if not isinstance(model, AutoregressiveModel):
        return Nodes((), torch.zeros(1, 0), torch.zeros(1), torch.zeros(1, 0)), torch.zeros(
            1, dtype=torch.float64
        )
    nodes = nodes_of(model, leading(model))
    chosen = list(nodes.variables)
    rows = torch.zeros(len(nodes.points), schema.size)
    rows[:, chosen] = nodes.points
    logs = []
    for x in rows.split(max(1, (1 << 18) // schema.size)):
        each = model.predict(x.reshape(-1, *schema.shape).to(device)).log_prob(x.to(device))
        logs.append(each[:, chosen].double().sum(1).cpu())
    return nodes, torch.cat(logs) + nodes.log_weights


def scope(model: Model, variables: tuple[int, ...]) -> str:
    many = len(variables)
    return (
        "over all events"
        if many == model.schema.size
        else f"over the first {many} variables in order"
    )


# whatever learns, and what can be drawn from


def samples_are_events(model: Model) -> Result:
    return near(
        "samples_are_events",
        wrong_cells(model, draw_events(model, 64)),
        0,
        "samples that are no codes",
    )


def wrong_cells(model: Trainable, x: Tensor) -> float:
    """How many cells are no codes and no numbers; infinite where the form is not that of events."""
    codes = torch.tensor(model.schema.codes, device=x.device).view(model.schema.shape)
    real = torch.tensor([isinstance(k, Real) for k in model.schema.kinds], device=x.device).view(
        model.schema.shape
    )
    wrong = (~real & ((x != x.round()) | (x < 0) | (x >= codes))) | ~x.isfinite()
    right_form = x.shape[1:] == model.schema.shape and len(x) > 0 and x.dtype == torch.float32
    return float(wrong.sum()) if right_form else float("inf")


def generator_decides_samples(model: Model) -> Result:
    before = torch.get_rng_state()
    first, again, other = (
        draw_events(model, 200, 1),
        draw_events(model, 200, 1),
        draw_events(model, 200, 2),
    )
    untouched = torch.equal(before, torch.get_rng_state())
    faults = (
        int(not torch.equal(first, again)) + int(torch.equal(first, other)) + int(not untouched)
    )
    return near(
        "generator_decides_samples",
        faults,
        0,
        "equal seeds differ, other seeds agree, global generator used",
    )


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


def events_for(model: Trainable, seed: int = 0) -> Tensor:
    """64 random events, where the model is."""
    return random_events(model.schema, 64, seed).view(-1, *model.schema.shape).to(device_of(model))


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
    """How far p(value | code), summed over distinct values drawn inside a code, exceeds 1."""
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
    """How far a density of events, taken over to values by `log_within`, is from integrating to one."""
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
            with drawing(model, noise), torch.enable_grad():
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
    """What gradients come from: the losses of all turns, else the bound on log p(x)."""
    turns = model.objective.turns(model)
    if isinstance(model, BoundedModel) and not turns:
        return model.log_bound(x, noise).sum()
    return torch.stack([turn.loss(x, noise, 0.5).total.sum() for turn in turns]).sum()


# bounds and densities


@torch.no_grad()
def exp_bounds(model: BoundedModel) -> tuple[Tensor, Tensor] | None:
    """exp(bound) of all events by `ROUNDS` generators, (rounds, events) float64, and the events; None where too many.

    Of exact models `sums_to_one` says more.
    """
    if (
        isinstance(model, DensityModel)
        or not is_listable(model.schema)
        or model.schema.log_events > log(MAX_BOUND_EVENTS)
    ):
        return None
    device, events = device_of(model), model.schema.all_events()
    rounds = []
    for seed in range(BOUND_ROUNDS):
        noise = generator_for(device, seed, Stream.CHECKED_BOUNDS)
        x = events.view(-1, *model.schema.shape).to(device)
        rounds.append(
            torch.cat([model.log_bound(part, noise).double().cpu() for part in x.split(256)]).exp()
        )
    return torch.stack(rounds), events.flatten(1)


def bounds_sum_to_at_most_one(model: BoundedModel) -> Result:
    """A bound on log p(x) whose exponential has at most p(x) as its mean: over all events that is at most 1."""
    found = exp_bounds(model)
    if found is None:
        return near("bounds_sum_to_at_most_one", 0, 6, "too many events to list")
    totals = found[0].sum(1)
    error = float(totals.std()) / len(totals) ** 0.5 + 1e-6
    says = "standard errors by which the bounds' probabilities of all events exceed 1"
    return near("bounds_sum_to_at_most_one", max(0.0, float(totals.mean() - 1) / error), 6, says)


def single_precision_will_do(model: BoundedModel) -> Result:
    """Bounds by the same noise in float32 and in float64."""
    x = torch.cat([events_for(model), draw_events(model, 64)])
    return compare_precisions("single_precision_will_do", model, x, by_fixed_noise)


def losses_in_single_precision(model: Trainable) -> Result:
    """What each turn minimises, by the same noise in float32 and in float64."""
    return compare_precisions("losses_in_single_precision", model, events_for(model), losses)


def compare_precisions(
    name: str, model: Trainable, x: Tensor, told: Callable[[Any, Tensor], Tensor]
) -> Result:
    """What is told of events by a model in float32 against the same in float64; nats beyond one count as a share."""
    try:
        found, exact = told(deepcopy(model), x), told(deepcopy(model).double(), x.double())
    except (RuntimeError, TypeError) as refused:
        return near(name, 0.0, 1e-3, f"not computed in float64: {refused}")
    difference = (found - exact).abs() / exact.abs().clamp(min=1)
    worst = difference.max() if len(exact) else 0.0
    return near(
        name, worst, 1e-3, "nats, or share of them, between a row in float32 and in float64"
    )


@torch.no_grad()
def by_fixed_noise(model: BoundedModel, x: Tensor) -> Tensor:
    """The bound of each event, float64."""
    return model.log_bound(
        x, generator_for(device_of(model), 0, Stream.CHECKED_BOUND_PRECISION)
    ).double()


def losses(model: Trainable, x: Tensor) -> Tensor:
    """The losses of each event in all turns, one after the other, float64."""
    turns = model.objective.turns(model)
    each = [
        turn.loss(x, generator_for(device_of(model), 0, Stream.CHECKED_LOSS_PRECISION), 0.5)
        .total.detach()
        .double()
        for turn in turns
    ]
    return torch.cat([x.new_zeros(0, dtype=torch.float64), *each])


@torch.no_grad()
def rows_are_scored_alone(model: BoundedModel) -> Result:
    """What a row scores depends on the row, not on where it stands and on those beside it."""
    x = draw_events(model, 17)
    alone = torch.cat([score(model, event[None]) for event in x])
    places = torch.cat(
        [torch.arange(17), torch.zeros(48, dtype=torch.long), torch.arange(17).flip(0)]
    )
    difference = (score(model, x[places.to(x.device)]) - alone[places]).abs() / alone[
        places
    ].abs().clamp(min=1)
    says = "nats, or share of them, between a row scored alone and among others"
    return near("rows_are_scored_alone", difference.max(), 1e-3, says)


def samples_reach_the_bound(model: BoundedModel) -> Result:
    """Each event among samples at least as often as the bound says, in standard errors."""
    found = exp_bounds(model)
    if found is None:
        return near("samples_reach_the_bound", 0, 6, "too many events to list")
    p, error = found[0].mean(0), found[0].std(0) / len(found[0]) ** 0.5
    drawn = torch.cat([draw_events(model, 2000, seed) for seed in range(5)]).flatten(1).cpu()
    p, error = p / mass_foreseen(model.schema), error / mass_foreseen(model.schema)
    p[model.schema.is_unseen(found[1]).any(1)], drawn = (
        0.0,
        drawn[~model.schema.is_unseen(drawn).any(1)],
    )
    codes = list(model.schema.codes)
    counts = torch.bincount(place(drawn, codes), minlength=len(p)).double()[place(found[1], codes)]
    n = len(drawn)
    chance = (n * p * (1 - p).clamp(min=0) + (n * error).square() + 1).sqrt()
    worst = ((n * p - counts) / chance).max()
    return near(
        "samples_reach_the_bound",
        worst.clamp(min=0),
        6,
        "standard errors by which an event is too seldom drawn",
    )


@torch.no_grad()
def log_probs_are_at_most_zero(model: DensityModel) -> Result:
    worst = 0.0 if model.schema.continuous else model.log_prob(draw_events(model, 256)).max()
    return near("log_probs_are_at_most_zero", worst, 1e-5, "largest log p of codes")


@torch.no_grad()
def scoring_repeats(model: DensityModel) -> Result:
    x = draw_events(model, 64)
    return near(
        "scoring_repeats",
        (model.log_prob(x) - model.log_prob(x)).abs().max(),
        0,
        "nats between two scorings",
    )


@torch.no_grad()
def bytes_decode(model: DensityModel) -> Result:
    """Events through a coder come back, and take about -log2 p: of a real number, the density times the gap to the next."""
    says = f"bits that events take as bytes, beyond -log2 p and {SPARE_BITS}, as a share of -log2 p; they come back equal"
    x = codable(model, 512)
    if compress.word(type(model)) is None or device_of(model).type != "cpu":
        return near("bytes_decode", 0.0, 0.01, "not coded")
    writer = Writer()
    compress(model, writer, x, len(x))
    ideal = float(-(model.log_prob(x).double().sum() + log_gaps(model.schema, x)) / log(2))
    excess = (8 * len(writer.payload) - SPARE_BITS - ideal) / max(ideal, 1000.0)
    same = torch.equal(compress(model, Reader(writer.payload), None, len(x)), x)
    return near("bytes_decode", excess if same else float("inf"), 0.01, says)


@torch.no_grad()
def bytes_come_back(model: BoundedModel) -> Result:
    """Events through a coder come back, by what is hidden."""
    if device_of(model).type != "cpu":
        return near("bytes_come_back", 0.0, 0.0, "not coded")
    x, writer = codable(model, 100), Writer()
    try:
        compress(model, writer, x, len(x))
    except Unsupported as refused:
        return near("bytes_come_back", 0.0, 0.0, f"not coded: {refused}")
    back = compress(model, Reader(writer.payload), None, len(x))
    lost = float((back != x).flatten(1).any(1).float().mean())
    return near("bytes_come_back", lost, 0.0, "share of events that do not come back from bytes")


def codable(model: Model, n: int) -> Tensor:
    """Draws, on the CPU, of special events those that the kinds know: one may be drawn as the other. Some hold cells never
    seen."""
    x = draw_events(model, n).cpu()
    known = torch.tensor([HOLE if kind.missing else UNFORESEEN for kind in model.schema.kinds])
    flat, schema = torch.minimum(x.flatten(1), known), model.schema
    lost = (
        torch.rand(flat.shape, generator=generator_for(torch.device("cpu"), Stream.CHECKED_CODING))
        < 0.05
    ) & (schema.chance_unforeseen > 0)
    return torch.where(lost, schema.never_seen, flat).view(x.shape)


def mass_foreseen(schema: Schema, variables: Sequence[int] | None = None) -> float:
    """The probability that no cell was never seen; of these variables, by default of all."""
    shares = (
        schema.chance_unforeseen if variables is None else schema.chance_unforeseen[list(variables)]
    )
    return float((1 - shares).prod())


def log_gaps(schema: Schema, x: Tensor) -> Tensor:
    """log of the distance from each real number to the next one, as float32 numbers go, summed over all events."""
    real = [i for i, kind in enumerate(schema.kinds) if isinstance(kind, Real)]
    numbers = x.flatten(1)[:, real]
    numbers = numbers[numbers < UNFORESEEN]
    return (
        (torch.nextafter(numbers, torch.tensor(torch.inf)).double() - numbers.double()).log().sum()
    )


def sums_to_one(model: DensityModel) -> Result:
    """Of a mixture with too many events, and no order in which to take some variables: its members do."""
    nodes, logs = enumerate_events(model)
    total, variables = float(logs.exp().sum()), nodes.variables
    if not variables and isinstance(model, FreeWeights):
        each = [sums_to_one(member) for member in model.each()]
        total = float(
            free_log_weights(model.logits).detach().exp()
            @ torch.tensor([one.value for one in each]).double()
        )
        holds = all(one.holds for one in each) and abs(total - 1) <= 1e-5
        return Result(
            "sums_to_one",
            holds,
            total,
            1e-5,
            f"weighed total of its {len(each)} members, over first variables",
        )
    holds = bool(variables) and abs(total - 1) <= 1e-5 * max(len(variables), 10) / 10
    return Result(
        "sums_to_one",
        holds,
        total,
        1e-5 * max(len(variables), 10) / 10,
        f"total probability {scope(model, variables)}",
    )


def samples_follow_density(model: DensityModel) -> Result:
    """Chi-square of samples against probabilities, cells pooled until 10 samples are expected in each; both given that no
    cell was never seen, for nobody knows what such a cell would be."""
    from scipy.stats import chi2  # slow to import

    nodes, logs = enumerate_events(model)
    variables, codes = nodes.variables, [model.schema.codes[i] for i in nodes.variables]
    drawn = torch.cat(
        [draw_events(model, 500, s) for s in range(16 if model.schema.size <= 64 else 4)]
    ).cpu()
    drawn = drawn[~model.schema.is_unseen(drawn)[:, list(variables)].any(1)]
    possible = (
        ~model.schema.first(variables).is_unseen(nodes.points).any(1)
        if variables
        else torch.ones(1).bool()
    )
    logs = logs.masked_fill(~possible, -torch.inf) - log(mass_foreseen(model.schema, variables))
    n, cells = len(drawn), prod(codes)
    expected = n * torch.zeros(cells, dtype=torch.float64).index_add_(
        0, place(nodes.cells, codes), logs.exp()
    )
    places = place(model.schema.event_codes(drawn)[:, list(variables)], codes)
    seen = torch.bincount(places, minlength=cells).double()
    order = expected.argsort(descending=True)
    pool = (expected[order].cumsum(0) / 10).floor().long().clamp(max=2000)
    pooled = [
        torch.zeros(int(pool.max()) + 1, dtype=torch.float64).index_add_(0, pool, c[order])
        for c in (seen, expected)
    ]
    full = pooled[1] > 0
    statistic = float(((pooled[0] - pooled[1])[full] ** 2 / pooled[1][full]).sum())
    p = float(chi2.sf(statistic, max(int(full.sum()) - 1, 1)))
    return Result(
        "samples_follow_density",
        p > SIX_SIGMA,
        p,
        SIX_SIGMA,
        f"p-value of {n:,} samples {scope(model, variables)}",
    )


def place(cells: Tensor, codes: Sequence[int]) -> Tensor:
    """Where each row of codes, (n, variables), stands among all of them in lexical order."""
    strides = [prod(codes[i + 1 :]) for i in range(len(codes))]
    return (cells.long() * torch.tensor(strides, dtype=torch.long)).sum(1)


# encoders


@torch.no_grad()
def reconstructions_are_events(model: Encoder) -> Result:
    """decode(encode(x)), of events and of latents that no event has."""
    x = events_for(model)
    z, given = model.encode(x), context_values(model, x)
    far = 3 * torch.randn(
        z.shape, generator=generator_for(z.device, Stream.CHECKED_LATENTS), device=z.device
    ).to(z.dtype)
    wrong = 0.0 if z.shape == (len(x), model.latents) and z.isfinite().all() else float("inf")
    wrong += sum(wrong_cells(model, model.decode(each, given)) for each in (z, far))
    return near(
        "reconstructions_are_events",
        wrong,
        0,
        "decoded cells that are no codes, or latents of another form",
    )


@torch.no_grad()
def encoding_repeats(model: Encoder) -> Result:
    """The same event has the same latents, alone or in a batch."""
    x = events_for(model)[:17]
    z = model.encode(x)
    again = (model.encode(x) - z).abs().max()
    alone = (torch.cat([model.encode(event[None]) for event in x]) - z).abs().max()
    says = "difference of latents between two encodings, or alone and in a batch"
    return near("encoding_repeats", float("inf") if again else alone, 1e-3, says)


# chain rule


def order_is_a_permutation(model: AutoregressiveModel) -> Result:
    faults = int(sorted(model.order) != list(range(model.schema.size)))
    return near("order_is_a_permutation", faults, 0, "the order names every variable once")


@torch.no_grad()
def conditionals_sum_to_one(model: AutoregressiveModel) -> Result:
    x, worst = draw_events(model, 64), 0.0
    outcome = model.predict(x)
    for i, kind in enumerate(model.schema.kinds):
        totals = node_log_probs(outcome.one(i), kind, x).exp().sum(0)
        worst = max(worst, float((totals - 1).abs().max()))
    tolerance = 2e-4 if model.schema.continuous else 1e-5  # float32 nodes of a narrow density
    return near(
        "conditionals_sum_to_one",
        worst,
        tolerance,
        "largest deviation of a conditional's total from 1",
    )


def node_log_probs(outcome: Single, kind: Kind, x: Tensor) -> Tensor:
    """log p of one variable at its nodes with their weights, (nodes, rows of x), float64; x is what it was predicted from."""
    points, weights = quadrature(kind, outcome, len(x))
    return log_probs_at(outcome, points, x) + weights.log()


def log_probs_at(outcome: Single, points: Tensor, x: Tensor) -> Tensor:
    """log p of one variable at points (n, rows of x), float64."""
    return torch.stack([outcome.log_prob(point.to(x.device)).double().cpu() for point in points])


@torch.no_grad()
def no_variable_sees_a_later_one(model: AutoregressiveModel) -> Result:
    """Two sets of rows that agree up to a place in the order must agree on every conditional up to the next."""
    schema, shape, device, order = (
        model.schema,
        model.schema.shape,
        device_of(model),
        list(model.order),
    )
    x, y = (random_events(model.schema, 16, seed).to(device) for seed in (1, 2))
    ranks = (
        range(len(order))
        if len(order) <= 128
        else torch.linspace(0, len(order) - 1, 64).long().tolist()
    )
    predicted, worst = model.predict(x.view(-1, *shape)), 0.0
    for rank in ranks:
        mixed = y.clone()
        mixed[:, order[:rank]] = x[:, order[:rank]]
        other = model.predict(mixed.view(-1, *shape))
        i = order[rank]
        worst = max(worst, change(predicted.one(i), other.one(i), schema.kinds[i], x))
    return near(
        "no_variable_sees_a_later_one",
        worst,
        1e-4,
        "change of a conditional when only later variables change",
    )


def change(one: Single, other: Single, kind: Kind, x: Tensor) -> float:
    """The largest difference of log p over the nodes of one; of densities it counts by how high they are there."""
    points = quadrature(kind, one, len(x))[0][:: 13 if isinstance(kind, Real) else 1]
    a, b = log_probs_at(one, points, x), log_probs_at(other, points, x)
    top = torch.maximum(a, b)
    share = (top - top.amax(0)).exp() if isinstance(kind, Real) else (top >= -30).double()
    return float(((a - b).abs().nan_to_num(0.0) * share).max())


def random_events(schema: Schema, n: int, seed: int) -> Tensor:
    """Flat events with every code equally likely, (n, variables); real ones inside their bin."""
    uniform = torch.rand(
        n, schema.size, generator=generator_for(torch.device("cpu"), seed, Stream.CHECKED_CODES)
    )
    codes = (uniform * torch.tensor(schema.codes)).floor().long()
    return Binning(schema).draw_inside(
        codes, generator_for(torch.device("cpu"), seed, Stream.CHECKED_NUMBERS)
    )


@torch.no_grad()
def unroll_agrees_with_predict(model: AutoregressiveModel) -> Result:
    x = random_events(model.schema, 8, 3).to(device_of(model))
    predicted, worst, visited = model.predict(x.view(-1, *model.schema.shape)), 0.0, []

    def choose(i: int, outcome: Single) -> Tensor:
        nonlocal worst
        visited.append(i)
        worst = max(worst, change(outcome, predicted.one(i), model.schema.kinds[i], x))
        return x[:, i]

    returned = drive(model.unroll(len(x)), choose)
    if tuple(visited) != tuple(model.order) or not torch.equal(returned.flatten(1), x):
        worst = float("inf")
    return near(
        "unroll_agrees_with_predict",
        worst,
        1e-3,
        "difference of a conditional between unroll and predict",
    )


# any question


@torch.no_grad()
def answers_sum_to_one(model: AnyOrderModel) -> Result:
    """p(x_i | observed) of every variable that is not observed."""
    x, observed = some_observed(model, 64)
    outcome, worst = model.predict_given(x, observed), 0.0
    for i, kind in enumerate(model.schema.kinds):
        totals = (
            node_log_probs(outcome.one(i), kind, x).exp().sum(0)[~observed.flatten(1)[:, i].cpu()]
        )
        worst = max(worst, float((totals - 1).abs().max())) if len(totals) else worst
    tolerance = 2e-4 if model.schema.continuous else 1e-5  # float32 nodes of a narrow density
    return near(
        "answers_sum_to_one", worst, tolerance, "largest deviation of an answer's total from 1"
    )


@torch.no_grad()
def answers_see_observed_only(model: AnyOrderModel) -> Result:
    """Rows that agree in what is observed are answered alike."""
    x, observed = some_observed(model, 32)
    y = torch.where(observed, x, random_events(model.schema, len(x), 5).to(x.device).view(x.shape))
    outcome, other, worst = model.predict_given(x, observed), model.predict_given(y, observed), 0.0
    for i, kind in enumerate(model.schema.kinds):
        free = (~observed.flatten(1)[:, i]).nonzero()[:, 0]
        if len(free):
            one, two = outcome.one(i).rows(free), other.one(i).rows(free)
            worst = max(worst, change(one, two, kind, x[free]))
    return near(
        "answers_see_observed_only",
        worst,
        1e-4,
        "change of an answer when only unobserved cells change",
    )


@torch.no_grad()
def answers_follow_the_order(model: AnyOrderModel) -> Result:
    """p(x_i | all before it in the order) is the conditional that log p(x) is made of."""
    x, order = events_for(model)[:16], list(model.order)
    predicted, worst = model.predict(x), 0.0
    for rank in torch.linspace(0, len(order) - 1, min(len(order), 32)).long().tolist():
        observed, i = torch.zeros_like(x, dtype=torch.bool), order[rank]
        observed.flatten(1)[:, order[:rank]] = True
        answer = model.predict_given(x, observed).one(i)
        worst = max(worst, change(answer, predicted.one(i), model.schema.kinds[i], x.flatten(1)))
    return near(
        "answers_follow_the_order",
        worst,
        1e-3,
        "difference of a conditional between predict_given and predict",
    )


def some_observed(model: AnyOrderModel, n: int) -> tuple[Tensor, Tensor]:
    """Random events and a random subset of observed variables for each."""
    x = random_events(model.schema, n, 4)
    rate = torch.linspace(0, 1, n)[:, None]
    observed = (
        torch.rand(x.shape, generator=generator_for(torch.device("cpu"), Stream.CHECKED_HOLES))
        < rate
    )
    shape, device = (n, *model.schema.shape), device_of(model)
    return x.view(shape).to(device), observed.view(shape).to(device)


def marginals_agree(model: TractableModel) -> Result:
    """With enumeration where all events can be listed; else: all observed gives log p, and a variable more sums to less."""
    x, observed = some_observed(model, 24)
    got = model.log_marginal(x, observed).double().cpu()
    if is_listable(model.schema):
        want = marginal_by_listing(model, x.flatten(1).cpu(), observed.flatten(1).cpu())
        worst, says = (got - want).abs().max(), "nats from the sum over all events"
    else:
        whole = (model.log_marginal(x, torch.ones_like(observed)) - model.log_prob(x)).abs().max()
        worst, says = (
            torch.maximum(whole.cpu(), marginal_gap(model, x, observed, got)),
            "nats between a marginal and its parts",
        )
    return near("marginals_agree", worst, 1e-3, says)


def marginal_by_listing(model: TractableModel, x: Tensor, observed: Tensor) -> Tensor:
    nodes, logs = enumerate_events(model)
    rows = [
        logs[((nodes.points == row) | ~seen).all(1)].logsumexp(0)
        for row, seen in zip(x, observed, strict=True)
    ]
    return torch.stack(rows)


def marginal_gap(model: TractableModel, x: Tensor, observed: Tensor, got: Tensor) -> Tensor:
    """log p(observed) against the sum over one more variable's codes."""
    i = model.schema.size // 2
    more, flat = observed.flatten(1).clone(), x.flatten(1).clone()
    free = ~more[:, i].cpu()
    more[:, i] = True
    parts = []
    outcome = model.predict_given(x, observed).one(i)
    for point, weight in zip(*quadrature(model.schema.kinds[i], outcome, len(x)), strict=True):
        flat[:, i] = point
        parts.append(
            model.log_marginal(flat.view(x.shape), more.view(x.shape)).double().cpu() + weight.log()
        )
    return (
        (torch.stack(parts).logsumexp(0) - got)[free].abs().amax()
        if free.any()
        else torch.zeros(())
    )


def conditionals_agree(model: TractableModel) -> Result:
    """p(x_i | observed) against the ratio of two marginals, for some variables."""
    x, observed = some_observed(model, 12)
    outcome, base, worst = model.predict_given(x, observed), model.log_marginal(x, observed), 0.0
    for i in torch.linspace(0, model.schema.size - 1, min(6, model.schema.size)).long().tolist():
        flat, seen = x.flatten(1).clone(), observed.flatten(1).clone()
        free = ~seen[:, i]
        seen[:, i] = True
        points = quadrature(model.schema.kinds[i], outcome.one(i), len(x))[0]
        for point in points[:: max(1, len(points) // 8)]:
            flat[:, i] = point
            want = (model.log_marginal(flat.view(x.shape), seen.view(x.shape)) - base).exp()
            got = outcome.one(i).log_prob(flat[:, i]).exp()
            worst = max(worst, float((got - want)[free].abs().max()) if free.any() else 0.0)
    return near(
        "conditionals_agree",
        worst,
        1e-4,
        "probability between a conditional and the ratio of two marginals",
    )


def given_samples_follow(model: TractableModel) -> Result:
    """Draws given half of the variables: observed cells stay, and one free variable follows its conditional."""
    x, _ = some_observed(model, 1)
    observed = torch.zeros_like(x, dtype=torch.bool).flatten(1)
    observed[:, 1::2] = True
    many, seen = x.expand(4000, *x.shape[1:]), observed.view(x.shape).expand(4000, *x.shape[1:])
    drawn = model.sample_given(
        many, seen, generator_for(device_of(model), Stream.CHECKED_ANSWERS)
    ).flatten(1)
    kind, outcome = model.schema.kinds[0], model.predict_given(x, observed.view(x.shape)).one(0)
    cells = model.schema.first((0,)).event_codes(quadrature(kind, outcome, 1)[0])[:, 0]
    p = torch.zeros(kind.codes, dtype=torch.float64).index_add_(
        0, cells, node_log_probs(outcome, kind, x)[:, 0].exp()
    )
    counts = torch.bincount(model.schema.event_codes(drawn.cpu())[:, 0], minlength=len(p)).double()
    if kind.unforeseen:
        counts[kind.other_code], p[kind.other_code] = 0.0, 0.0
        p = p * counts.sum() / 4000 / (1 - kind.unforeseen)
    worst = ((counts - 4000 * p).abs() / (4000 * p * (1 - p) + 1).sqrt()).max()
    touched = (drawn[:, 1::2] != many.flatten(1)[:, 1::2]).any()
    return near(
        "given_samples_follow",
        float("inf") if touched else worst,
        6,
        "standard errors between counts and p",
    )


@torch.no_grad()
def completions_are_highest(model: DecomposableModel) -> Result:
    """The most probable completion against draws given the same, and against every value of one more cell."""
    x, observed = some_observed(model, 12)
    observed &= ~model.schema.is_unseen(x).view(x.shape)
    search = Ascent(model, likeliest_inside(model.schema, holes=False).to(x.device))
    best = model.complete(x, observed, search.weights)
    rivals = model.propose_completions(
        x, observed, search.weights, generator_for(device_of(model), Stream.CHECKED_COMPLETIONS)
    )
    heights = [search.height(y, observed) for y in [*rivals, search.climb(best, observed)]]
    own = search.height(best, observed)
    climbed = float((torch.stack(heights) - own).max())
    touched = (best != x)[observed].any() or not own.isfinite().all()
    worst = float("inf") if touched else max(climbed, 0.0)
    return near(
        "completions_are_highest", worst, 1e-3, "nats that another completion is more probable"
    )


@torch.no_grad()
def entropies_are_means(model: DecomposableModel) -> Result:
    """The entropy of an event, and of half of it given the other, against the mean of -log p over draws; both given that no
    cell was never seen."""
    x, _ = some_observed(model, 1)
    worst, n, possible = 0.0, 2000, possible_codes(model.schema)
    for first in (0, 1):
        observed = torch.zeros_like(x, dtype=torch.bool)
        observed.flatten(1)[:, first::2] = bool(first)
        observed &= ~model.schema.is_unseen(x).view(x.shape)
        many, seen = x.expand(n, *x.shape[1:]), observed.expand(n, *x.shape[1:])
        drawn = model.sample_given(
            many, seen, generator_for(device_of(model), Stream.CHECKED_ENTROPIES), possible
        )
        nats = (model.log_marginal(drawn, seen, possible) - model.log_prob(drawn)).double()
        error = max(float(nats.std()), 1e-4) / n**0.5
        worst = max(worst, abs(float(nats.mean() - model.entropy_given(x, observed))) / error)
    return near(
        "entropies_are_means",
        worst,
        6,
        "standard errors between an entropy and the mean of -log p over draws",
    )


def possible_codes(schema: Schema) -> Tensor:
    """All codes but those of cells never seen, bool (sum of codes,)."""
    marks = [
        [code != kind.other_code or not kind.unforeseen for code in range(kind.codes)]
        for kind in schema.kinds
    ]
    return torch.tensor([mark for own in marks for mark in own])


CHECKS: dict[type, list[Check]] = {
    Trainable: [
        arguments_rebuild,
        each_task_has_one_rule,
        remainders_sum_to_one,
        gradients_reach_every_parameter,
        losses_in_single_precision,
    ],
    Model: [samples_are_events, generator_decides_samples],
    Encoder: [reconstructions_are_events, encoding_repeats],
    BoundedModel: [
        bounds_sum_to_at_most_one,
        samples_reach_the_bound,
        single_precision_will_do,
        rows_are_scored_alone,
    ],
    Variational: [bytes_come_back],
    Quantiser: [bytes_come_back],
    DensityModel: [
        log_probs_are_at_most_zero,
        scoring_repeats,
        sums_to_one,
        samples_follow_density,
        bytes_decode,
    ],
    AutoregressiveModel: [
        order_is_a_permutation,
        conditionals_sum_to_one,
        no_variable_sees_a_later_one,
        unroll_agrees_with_predict,
    ],
    AnyOrderModel: [answers_sum_to_one, answers_see_observed_only, answers_follow_the_order],
    TractableModel: [marginals_agree, conditionals_agree, given_samples_follow],
    DecomposableModel: [completions_are_highest, entropies_are_means],
}
