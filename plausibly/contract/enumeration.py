"""All events of a few variables as points with weights, and how far distributions over them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, DensityModel, Model, device_of
from plausibly.events.kinds import Kind, Real
from plausibly.events.schema import Schema
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.quadrature import quadrature

MAX_LISTED_EVENTS = 65_536


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
    """All events can be listed."""
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
    return torch.stack([outcome.log_prob(point.to(x.device)).double().cpu() for point in points])


def change(one: Single, other: Single, kind: Kind, x: Tensor) -> float:
    """The largest difference of log p over the nodes of one; of densities it counts by how high they are there."""
    points = quadrature(kind, one, len(x))[0][:: 13 if isinstance(kind, Real) else 1]
    a, b = log_probs_at(one, points, x), log_probs_at(other, points, x)
    top = torch.maximum(a, b)
    share = (top - top.amax(0)).exp() if isinstance(kind, Real) else (top >= -30).double()
    return float(((a - b).abs().nan_to_num(0.0) * share).max())
