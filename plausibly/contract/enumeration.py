"""All events of a few variables as points with weights, and how far distributions over them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, DensityModel, Model, Trainable, device_of
from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature

MAX_LISTED_EVENTS = 65_536
MAX_POINTS_AT_ONCE = 8_192  # of one variable
MAX_COMPARED_POINTS = 1_024  # of a density


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
        outcome = first_outcome(model, i) if model.schema.kinds[i].continuous else None
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
        real = model.schema.kinds[i].continuous
        if real and chosen:
            break
        nodes *= len(nodes_of(model, (i,)).points) if real else model.schema.codes[i]
        if nodes > MAX_LISTED_EVENTS:
            break
        chosen.append(i)
    return tuple(chosen)


def is_listable(schema: Schema) -> bool:
    """All events can be listed."""
    return not schema.continuous and schema.log_events <= log(MAX_LISTED_EVENTS) + 1e-9


def list_variables(model: Trainable) -> tuple[int, ...]:
    """All variables where their events can be listed, else the leading ones in the model's order; none without one."""
    if is_listable(model.schema):
        return tuple(range(model.schema.size))
    return leading(model) if isinstance(model, AutoregressiveModel) else ()


@torch.no_grad()
def enumerate_events(model: DensityModel, variables: tuple[int, ...]) -> tuple[Nodes, Tensor]:
    """Nodes and the log p of each with its weight, float64: of all variables, or of leading ones by the chain rule."""
    nodes = nodes_of(model, variables)
    if is_listable(model.schema):
        events = nodes.points.view(-1, *model.schema.shape)
        logs = [model.log_prob(x.to(device_of(model))).double().cpu() for x in events.split(1024)]
        return nodes, torch.cat(logs)
    assert isinstance(model, AutoregressiveModel)
    return nodes, log_probs_of_leading(model, nodes) + nodes.log_weights


def log_probs_of_leading(model: AutoregressiveModel, nodes: Nodes) -> Tensor:
    """log p of the nodes of the first variables in order, whatever follows them, float64."""
    size, chosen, logs = model.schema.size, list(nodes.variables), list[Tensor]()
    rows = torch.zeros(len(nodes.points), size)
    rows[:, chosen] = nodes.points
    for x in rows.to(device_of(model)).split(max(1, (1 << 18) // size)):
        each = model.predict(x.view(-1, *model.schema.shape)).log_prob(x)
        logs.append(each[:, chosen].double().sum(1).cpu())
    return torch.cat(logs)


def describe_scope(schema: Schema, variables: Sequence[int]) -> str:
    """Words for what these variables are of all."""
    if len(variables) == schema.size:
        return "over all events"
    return f"over the first {len(variables)} variables in order"


def mass_foreseen(schema: Schema, variables: Sequence[int] | None = None) -> float:
    """The probability that no cell was never seen; of these variables, by default of all."""
    shares = (
        schema.chance_unforeseen if variables is None else schema.chance_unforeseen[list(variables)]
    )
    return float((1 - shares).prod())


def place(cells: Tensor, codes: Sequence[int]) -> Tensor:
    """Where each row of codes, (n, variables), stands among all of them in lexical order."""
    strides = [prod(codes[i + 1 :]) for i in range(len(codes))]
    return (cells.long() * torch.tensor(strides, dtype=torch.long)).sum(1)


def node_log_probs(outcome: Single, kind: Kind, x: Tensor) -> Tensor:
    """log p of one variable at its nodes with their weights, (nodes, rows of x), float64; x is what it was predicted from."""
    points, weights = quadrature(kind, outcome, len(x))
    return log_probs_at(outcome, points, x) + weights.log()


def log_probs_at(outcome: Single, points: Tensor, x: Tensor) -> Tensor:
    """log p of one variable at points (n, rows of x), float64."""
    logs, rows = list[Tensor](), torch.arange(len(x), device=x.device)
    for some in points.to(x.device).split(max(1, MAX_POINTS_AT_ONCE // len(x))):
        many = outcome.rows(rows.repeat(len(some)))
        logs.append(many.log_prob(some.flatten()).view(some.shape))
    return torch.cat(logs).double().cpu()


def change(one: Single, other: Single, kind: Kind, x: Tensor) -> float:
    """The largest difference of log p over nodes of one; of densities it counts by how high they are there.

    NaN where some log p is.
    """
    points = quadrature(kind, one, len(x))[0]
    if kind.continuous:
        points = points[:: max(13, len(points) // MAX_COMPARED_POINTS)]
    a, b = log_probs_at(one, points, x), log_probs_at(other, points, x)
    top = torch.maximum(a, b)
    share = (top - top.amax(0)).exp() if kind.continuous else (top >= -30).double()
    if top.isnan().any():
        return float("nan")
    return float(((a - b).abs().nan_to_num(0.0) * share).max())


def count_places(cells: Tensor, codes: Sequence[int]) -> Tensor:
    """The number of rows of codes in each place, float64."""
    return torch.bincount(place(cells, codes), minlength=prod(codes)).double()


def spread_ranks(n: int, most: int) -> list[int]:
    """All numbers below `n`, or as many as `most`, from the first to the last."""
    return list(range(n)) if n <= most else torch.linspace(0, n - 1, most).long().tolist()
