"""The outcome of one variable given any others: p(target | observed), all else summed out.

Exact for tractable models. Of a model of all orders it is what the model says in one pass: approximate, since its answers to
several questions need not agree. For a fixed order by

    p(target = k | observed) = p(observed with target = k) / sum over k'

exact where the unobserved variables that matter, those before the last of observed and target in the order, have at most
4,096 values together, each of which is weighed; and for a real target that is the next one. Otherwise an estimate by
weighted particles, with the same noise for each k.

With latents always an estimate, by weighted draws of these: what p(target | z) is on average; of a context, on which z does
not depend, p(target = k | observed) as above.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.capabilities import AnyOrderModel, AutoregressiveModel, TractableModel, Variational, device_of
from plausibly.families.proposals import Draws, Effective, Evidence, decodable, effective, pieces
from plausibly.kinds import HOLE, UNFORESEEN, Real
from plausibly.outcomes import Density, Finite, Single, blended, joined
from plausibly.tasks import Task
from plausibly.tasks.impute import Particles, at_once, is_prefix

query: Task[Any] = Task("query", "it has no conditional distributions")


MOST = 1 << 12  # values of the gaps that are weighed one by one
AT_ONCE = 512  # rows


class Found(NamedTuple):
    """An outcome of the batch, and how good it is, in a task's words; of draws by weight, how many tell something."""

    outcome: Single
    word: str
    effective: Effective | None = None


@query.rule(TractableModel, "exact")
@torch.no_grad()
def query_exactly(
    model: AnyOrderModel,
    codes: Tensor,
    observed: Tensor,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> Found:
    """The outcome of the unobserved variable `target` in each row, (rows,), given the observed ones."""
    device, parts = device_of(model), zip(codes.split(AT_ONCE), observed.split(AT_ONCE), strict=True)
    each = [model.predict_given(x.to(device).float(), seen.to(device)).one(target) for x, seen in parts]
    return Found(joined(each), "exact")


@query.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def query_at_once(
    model: AnyOrderModel,
    codes: Tensor,
    observed: Tensor,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> Found:
    """As above, by what the model says of the target given the observed ones, whose other questions need not agree."""
    return query_exactly(model, codes, observed, target, generator)._replace(word="approximate")


@query.rule(AutoregressiveModel, "estimate")
@torch.no_grad()
def query_in_order(
    model: AutoregressiveModel,
    codes: Tensor,
    observed: Tensor,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> Found:
    """As above; each row with `particles` particles where it needs any."""
    place, device = model.order.index(target), device_of(model)
    first = is_prefix(model, with_target(observed, target)).all() and not last_observed(model, observed) > place
    if isinstance(model.schema.kinds[target], Real):
        if first:
            return Found(model.predict(codes.to(device).float()).one(target), "exact")
        return Found(in_parts(kernels, model, codes, observed, target, generator, particles), "estimate")
    many = combinations(model, observed, target)
    answer, many, word = (summed, many, "exact") if many <= MOST else (listed, particles, "estimate")
    return Found(in_parts(answer, model, codes, observed, target, generator, many), word)


Answer = Callable[[AutoregressiveModel, Tensor, Tensor, int, torch.Generator, int], Single]


def in_parts(
    answer: Answer,
    model: AutoregressiveModel,
    codes: Tensor,
    observed: Tensor,
    target: int,
    generator: torch.Generator,
    many: int,
) -> Single:
    """The answer for parts of the rows that have not too many particles together."""
    some = at_once(model.schema.size, many)
    pairs = zip(codes.float().split(some), observed.split(some), strict=True)
    return joined([answer(model, x, seen, target, generator, many) for x, seen in pairs])


def with_target(observed: Tensor, target: int) -> Tensor:
    known = observed.clone()
    known.flatten(1)[:, target] = True
    return known


def last_observed(model: AutoregressiveModel, observed: Tensor) -> int:
    """The last place in the order at which any row has an observed cell, or -1."""
    return max(observed.flatten(1).any(0)[list(model.order)].nonzero().flatten().tolist(), default=-1)


def gaps(model: AutoregressiveModel, known: Tensor) -> list[int]:
    """Variables before the last known one in the order that are not known in every row."""
    return [i for i in model.order[: last_observed(model, known) + 1] if not known.flatten(1)[:, i].all()]


def combinations(model: AutoregressiveModel, observed: Tensor, target: int) -> int:
    """How many values all gaps have together; more than can be weighed where one is real or a gap in some rows only."""
    known = with_target(observed, target)
    missing, schema = gaps(model, known), model.schema
    odd = any(isinstance(schema.kinds[i], Real) or known.flatten(1)[:, i].any() for i in missing)
    return MOST + 1 if odd else prod(schema.codes[i] for i in missing)


def summed(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, target: int, generator: torch.Generator, many: int
) -> Single:
    """With every value of the gaps, of which there are `many`, taken for observed."""
    known = with_target(observed, target)
    missing = gaps(model, known)
    x, observed = x.repeat_interleave(many, 0), observed.repeat_interleave(many, 0)
    if missing:
        values = torch.cartesian_prod(*(torch.arange(float(model.schema.codes[i])) for i in missing)).view(many, -1)
        x.flatten(1)[:, missing] = values.repeat(len(x) // many, 1)
        observed.flatten(1)[:, missing] = True
    logs = by_code(model, x, observed, target, generator, 1)
    return Finite(logs.unflatten(0, (-1, many)).logsumexp(1).log_softmax(1))


def listed(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, target: int, generator: torch.Generator, many: int
) -> Single:
    """With `many` particles for the gaps."""
    return Finite(by_code(model, x, observed, target, generator, many).log_softmax(1))


def by_code(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, target: int, generator: torch.Generator, many: int
) -> Tensor:
    """log p(observed with target = k), but for a constant, for every code k and with the same noise: (rows, codes)."""
    known, logs, noise = with_target(observed, target), [], generator.get_state()
    for code in range(model.schema.codes[target]):
        generator.set_state(noise)
        asked = x.clone()
        asked.flatten(1)[:, target] = code
        logs.append(advanced(model, asked, known, generator, many)[0].log_weights.logsumexp(1))
    return torch.stack(logs, 1)


def kernels(
    model: AutoregressiveModel, x: Tensor, observed: Tensor, target: int, generator: torch.Generator, many: int
) -> Single:
    """A real target's particles, each a normal as narrow as the kind allows."""
    kind = model.schema.kinds[target]
    assert isinstance(kind, Real)
    particles, drawn = advanced(model, x, observed, generator, many, target)
    return narrow(kind, particles.log_weights.log_softmax(1), drawn.view(len(x), -1))


def narrow(kind: Real, logs: Tensor, values: Tensor) -> Density:
    """A real variable's values with their normalised log weights, both (rows, many), as normals of the least width."""
    number = values < UNFORESEEN
    weights = logs.masked_fill(~number, -1e30).log_softmax(1)
    shares = [logs.masked_fill(~chosen, -torch.inf).logsumexp(1) for chosen in (
        number, *[values == UNFORESEEN] * kind.open, *[values == HOLE] * kind.missing)]  # fmt: skip
    special = torch.stack(shares, 1) if len(shares) > 1 else None
    return Density(weights, values.masked_fill(~number, 0.0), torch.full_like(values, kind.floor), special)


def advanced(
    model: AutoregressiveModel,
    x: Tensor,
    observed: Tensor,
    generator: torch.Generator,
    many: int,
    target: int | None = None,
) -> tuple[Particles, Tensor]:
    """Particles for all that matters: up to the last variable that is observed or the target, and the target's values."""
    anything = torch.ones(sum(model.schema.codes), dtype=torch.bool)
    particles = Particles(model, x, observed, generator, anything, many)
    last = max(last_observed(model, observed), -1 if target is None else model.order.index(target))
    unrolled, values = model.unroll(len(particles.flat)), torch.empty(0)
    i, outcome = next(unrolled)
    for _ in range(last):
        value = particles(i, outcome)
        values = value if i == target else values
        i, outcome = unrolled.send(value)
    value = particles(i, outcome)
    return particles, value if i == target else values


@query.rule(Variational, "estimate")
@torch.no_grad()
def query_by_latents(
    model: Variational,
    codes: Tensor,
    observed: Tensor,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> Found:
    """As above; each row with at least `particles` draws."""
    answer = averaged
    if target in model.context:
        answer = of_real_context if isinstance(model.schema.kinds[target], Real) else of_context
    found = [answer(evidence, target, particles, generator) for evidence in pieces(model, codes, observed, particles)]
    log_weights = torch.cat([weights for _, weights in found])
    told = Effective(effective(log_weights).cpu(), log_weights.shape[1])
    return Found(joined([outcome for outcome, _ in found]), "estimate", told)


Weighed = tuple[Single, Tensor]  # an outcome of the rows, and the log weights of the draws behind it, (rows, draws)


def averaged(evidence: Evidence, target: int, many: int, generator: torch.Generator) -> Weighed:
    """The mean of p(target | z) over draws, by their weights."""
    draws = evidence.draws(many, generator)
    each, weights = outcome_of(evidence.model, draws, target), draws.log_weights
    places = torch.arange(weights.numel(), device=weights.device).view(weights.shape)
    return blended([each.rows(column) for column in places.unbind(1)], weights.log_softmax(1)), weights


def outcome_of(model: Variational, draws: Draws, target: int) -> Single:
    """p(target | z) for every draw, (rows * draws,)."""
    z, given = draws.flat()
    some = torch.arange(len(z), device=z.device).split(decodable(model))
    return joined([model.observation(z[i], None if given is None else given[i]).one(target) for i in some])


def of_context(evidence: Evidence, target: int, many: int, generator: torch.Generator) -> Weighed:
    """By log p(observed with target = k) for each code k, with the same noise."""
    codes, weights, noise = evidence.model.schema.codes[target], list[Tensor](), generator.get_state()
    known = with_target(evidence.observed, target)
    for code in range(codes):
        generator.set_state(noise)
        x = evidence.x.clone()
        x[:, target] = code
        weights.append(Evidence(evidence.model, x, known).draws(ceil(many / codes), generator).log_weights)
    logs = torch.stack([each.logsumexp(1) for each in weights], 1)
    return Finite(logs.log_softmax(1)), torch.cat(weights, 1)


def of_real_context(evidence: Evidence, target: int, many: int, generator: torch.Generator) -> Weighed:
    """The target's own draws from p(context), by their weights."""
    draws, kind = evidence.draws(many, generator), evidence.model.schema.kinds[target]
    assert isinstance(kind, Real) and draws.given is not None
    values = draws.given[..., evidence.context.index(target)]
    return narrow(kind, draws.log_weights.log_softmax(1), values), draws.log_weights
