"""The outcome of one variable given any others: p(target | observed), all else summed out.

Exact for tractable models. Of a model of all orders it is what the model says in one pass: approximate, since its answers to
several questions need not agree. For a fixed order by

    p(target = k | observed) = p(observed with target = k) / sum over k'

exact where the unobserved variables that matter, those before the last of observed and target in the order, have at most
4,096 values together, each of which is weighed. Of a real target p(observed with target = x) is looked at where it matters
(`interpolation`), exact where they have at most 64. Otherwise an estimate by weighted particles, with the same noise for
each k; of a real target p(target | a particle's other variables), on average over particles. A target behind all that is
observed is told by its own factor, on average over what the others may be: no k is looked at for itself.

With latents always an estimate, by weighted draws of these: what p(target | z) is on average; of a context, on which z does
not depend, p(target = k | observed) as above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import ceil, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    TractableModel,
    Variational,
    device_of,
)
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, UNFORESEEN, Kind, Real
from plausibly.families.particles import LookaheadTree, ParticleCloud, Particles, rows_per_batch_of
from plausibly.families.proposals import (
    EffectiveSampleSize,
    LatentQuery,
    WeightedLatents,
    effective_size,
    events_per_decoding,
    split_alike,
)
from plausibly.outcomes.categorical import Bernoulli, Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.interpolation import interpolate_density
from plausibly.outcomes.mixtures import mix_outcomes
from plausibly.outcomes.outcome import Single
from plausibly.outcomes.rows import average_rows, concat_outcomes
from plausibly.tasks import Task
from plausibly.training.loop import generators_for

query: Task[Any] = Task("query", "it has no conditional distributions")


# values of the gaps that are weighed one by one, and where the target is real
MAX_GAP_VALUES = 1 << 12
MAX_REAL_GAP_VALUES = 1 << 6
PLACES_PER_TARGET = 1 << 9  # of a real target, about, that are looked at
PLACE_GAP = 0.02  # of a real target's least width, by which places stand apart
ROWS_PER_BATCH = 512  # rows


class QueryOutcome(NamedTuple):
    """An outcome of the batch, and how good it is, in a task's words; of draws by weight, how many tell something."""

    outcome: Single
    word: str
    effective: EffectiveSampleSize | None = None
    dense: bool = True  # whether it has a density, and is no list of values with their weights


@query.rule(TractableModel, "exact")
@torch.no_grad()
def query_exactly(
    model: AnyOrderModel,
    evidence: Evidence,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> QueryOutcome:
    """The outcome of the unobserved variable `target` in each row, (rows,), given the observed ones."""
    given = map(model.predict_given, evidence.batches(ROWS_PER_BATCH, device_of(model)))
    return QueryOutcome(concat_outcomes([outcome.one(target) for outcome in given]), "exact")


@query.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def query_at_once(
    model: AnyOrderModel,
    evidence: Evidence,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> QueryOutcome:
    """As above, by what the model says of the target given the observed ones, whose other questions need not agree."""
    return query_exactly(model, evidence, target, generator)._replace(word="approximate")


def word_in_order(model: AutoregressiveModel, evidence: Evidence, target: int) -> str:
    """`exact` where the values of the gaps are few enough to be weighed one by one."""
    known = observe_target(evidence, target)
    few = gap_combinations(model, known) <= max_gap_values(model, target)
    return "exact" if few else "estimate"


def observe_target(evidence: Evidence, target: int) -> Evidence:
    """The evidence in which the target is known too, whatever it is."""
    return evidence.with_allowed(None).with_known(target, evidence.flatten().x[:, target])


def max_gap_values(model: AutoregressiveModel, target: int) -> int:
    """The most values of the gaps that are weighed one by one."""
    return MAX_REAL_GAP_VALUES if model.schema.kinds[target].continuous else MAX_GAP_VALUES


@query.rule(AutoregressiveModel, "estimate", word_in_order)
@torch.no_grad()
def query_in_order(
    model: AutoregressiveModel,
    evidence: Evidence,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> QueryOutcome:
    """As above; each row with `particles` particles where it needs any."""
    return OrderedQuery(model, target, generator, particles).ask(evidence)


@dataclass
class OrderedQuery:
    """A question to a model of a fixed order, asked of several batches."""

    model: AutoregressiveModel
    target: int
    generator: torch.Generator
    particles: int

    @cached_property
    def tree(self) -> LookaheadTree:
        return LookaheadTree(self.model, self.generator)

    @torch.no_grad()
    def ask(self, evidence: Evidence) -> QueryOutcome:
        """The outcome of the target in each row, (rows,)."""
        model, target, generator = self.model, self.target, self.generator
        known, real = observe_target(evidence, target), model.schema.kinds[target].continuous
        many = gap_combinations(model, known)
        if many <= max_gap_values(model, target):
            asked = GapQuery(model, target, generator, many)
            exact = [asked.sum_gaps(part) for part in asked.parts(known)]
            return QueryOutcome(concat_outcomes(exact), "exact")
        asked = GapQuery(model, target, generator, self.particles)
        weighed = [asked.weigh_gaps(self.tree, part) for part in asked.parts(known)]
        outcomes, told = zip(*weighed, strict=True)
        one_cloud = real or asked.is_last(known)
        draws = self.particles * (1 if one_cloud else model.schema.codes[target])
        effective = EffectiveSampleSize(torch.cat(told).cpu(), draws)
        return QueryOutcome(concat_outcomes(outcomes), "estimate", effective)


def last_known(model: AutoregressiveModel, evidence: Evidence) -> int:
    """The last place in the order at which any row has a known cell."""
    known = evidence.observed.flatten(1).any(0).cpu()
    return max(known[list(model.order)].nonzero().flatten().tolist(), default=-1)


def gap_variables(model: AutoregressiveModel, evidence: Evidence) -> list[int]:
    """Variables before the last known one in the order that are not known in every row."""
    known = evidence.observed.flatten(1).all(0)
    return [i for i in model.order[: last_known(model, evidence) + 1] if not known[i]]


def gap_combinations(model: AutoregressiveModel, evidence: Evidence) -> int:
    """The number of values that all gaps have together.

    It is more than can be weighed where one is real or a gap in some rows only.
    """
    missing, schema = gap_variables(model, evidence), model.schema
    known = evidence.observed.flatten(1).any(0)
    odd = any(schema.kinds[i].continuous or known[i] for i in missing)
    return MAX_GAP_VALUES + 1 if odd else prod(schema.codes[i] for i in missing)


@dataclass(frozen=True)
class GapQuery:
    """A question to a model: variable `target`, with `many` values of the gaps for each row."""

    model: AutoregressiveModel
    target: int
    generator: torch.Generator
    many: int

    def is_last(self, known: Evidence) -> bool:
        """True where nothing is known behind the target in the order."""
        return self.model.order[last_known(self.model, known)] == self.target

    def parts(self, known: Evidence) -> Iterator[Evidence]:
        """Rows, (rows, variables), of which the target is known too: not too many to be weighed in one go."""
        searched = self.model.schema.kinds[self.target].continuous and not self.is_last(known)
        places = PLACES_PER_TARGET if searched else 1
        some = rows_per_batch_of(self.model.schema.size, self.many * places)
        return known.flatten().batches(some, device_of(self.model))

    def sum_gaps(self, known: Evidence) -> Single:
        """The target's outcome, summed over every value of the gaps, of which there are `many`."""
        missing = gap_variables(self.model, known)
        several = known.x.repeat_interleave(self.many, 0)
        if missing:
            values = torch.cartesian_prod(
                *(torch.arange(float(self.model.schema.codes[i])) for i in missing)
            )
            values = values.view(self.many, -1).to(several.device)
            several[:, missing] = values.repeat(len(known), 1)
        return self.target_outcome(
            several.unflatten(0, (-1, self.many)), last_known(self.model, known)
        )

    def target_outcome(
        self, several: Tensor, last: int, log_weights: Tensor | None = None
    ) -> Single:
        """The target's outcome by log p of the variables up to a place in the order.

        There are several events for each row, (rows, several, variables): they are summed up, or averaged with
        `log_weights` once each is p(target | all others).
        """
        kind = self.model.schema.kinds[self.target]
        if self.model.order[last] == self.target:
            return self.last_outcome(several, last, log_weights)
        look = partial(self.log_joint_at, several, self.model.order[: last + 1])
        if isinstance(kind, Real):
            own: Any = self.model.predict(self._as_events(several[:, 0])).one(self.target)
            cuts = own.cuts().double().expand(len(several), -1)
            edges = cuts.new_tensor(kind.edges).expand(len(cuts), -1)
            places, least = torch.cat([cuts, edges], 1), PLACE_GAP * kind.floor
            return interpolate_density(look, places, least, kind.specials, log_weights)
        codes = torch.arange(float(kind.codes), device=several.device).expand(len(several), -1)
        return Categorical(look(codes).logsumexp(2).log_softmax(1))

    def last_outcome(self, several: Tensor, last: int, log_weights: Tensor | None) -> Single:
        """The same by p(target | earlier) itself, each weighed by log p(earlier) or by `log_weights`."""
        flat = several.flatten(0, 1)
        outcome = self.model.predict(self._as_events(flat))
        own = outcome.one(self.target)
        if isinstance(own, Bernoulli):
            both = [own.log_prob(torch.full_like(own.logits, code)) for code in (0.0, 1.0)]
            own = Categorical(torch.stack(both, 1))
        if several.shape[1] == 1:
            return own
        if log_weights is None:
            each = outcome.log_prob(flat)[:, list(self.model.order[:last])]
            log_weights = each.double().sum(1).view(several.shape[:2])
        return average_rows(own, log_weights.log_softmax(1))

    def log_joint_at(self, several: Tensor, variables: Sequence[int], values: Tensor) -> Tensor:
        """log p of those variables with the target at values (rows, n): (rows, n, several), float64."""
        asked = several[:, None].expand(-1, values.shape[1], -1, -1).clone()
        asked[..., self.target] = values[..., None].float()
        logs = [
            self.model.predict(self._as_events(part))
            .log_prob(part)[:, list(variables)]
            .double()
            .sum(1)
            for part in batches(asked.flatten(0, 2))
        ]
        return torch.cat(logs).view(asked.shape[:3])

    def _as_events(self, flat: Tensor) -> Tensor:
        return flat.view(-1, *self.model.schema.shape)

    def weigh_gaps(self, tree: LookaheadTree, known: Evidence) -> tuple[Single, Tensor]:
        """The target's outcome by particles for the gaps; and how many of them tell something, (rows,)."""
        if self.model.schema.kinds[self.target].continuous:
            return self._numbers(tree, known)
        if self.is_last(known):
            last = last_known(self.model, known)
            cloud = self._cloud(tree, known.without(self.target), last - 1)
            return self.last_outcome(cloud.x, last, cloud.log_weights), cloud.effective
        logs, sizes, noise = [], [], self.generator.get_state()
        for code in range(self.model.schema.codes[self.target]):
            self.generator.set_state(noise)
            asked = known.with_known(self.target, code)
            cloud = self._cloud(tree, asked, last_known(self.model, known))
            logs.append(cloud.log_evidence)
            sizes.append(cloud.effective)
        p = torch.stack(logs, 1).log_softmax(1)
        return Categorical(p), 1 / (p.exp().square() / torch.stack(sizes, 1)).sum(1)

    def _cloud(self, tree: LookaheadTree, asked: Evidence, last: int) -> ParticleCloud:
        return Particles(self.model, tree, asked, self.many, self.generator).draw_to(last)

    def _numbers(self, tree: LookaheadTree, known: Evidence) -> tuple[Single, Tensor]:
        last, few = last_known(self.model, known), min(self.many, MAX_REAL_GAP_VALUES)
        before = last - 1 if self.is_last(known) else last
        cloud = self._cloud(tree, known.without(self.target), before)
        picked = cloud.resample(few, self.generator)
        return self.target_outcome(
            picked, last, torch.zeros(picked.shape[:2], dtype=torch.float64)
        ), cloud.effective


def narrow_density(kind: Kind, logs: Tensor, values: Tensor) -> MixtureDensity:
    """A real variable's values with their normalised log weights, both (rows, many), as normals of the least width."""
    number = values < UNFORESEEN
    weights = logs.masked_fill(~number, -1e30).log_softmax(1)
    shares = [logs.masked_fill(~chosen, -torch.inf).logsumexp(1) for chosen in (
        number, *[values == UNFORESEEN] * kind.open, *[values == HOLE] * kind.missing)]  # fmt: skip
    special = torch.stack(shares, 1) if len(shares) > 1 else None
    return MixtureDensity(
        weights, values.masked_fill(~number, 0.0), torch.full_like(values, kind.floor), special
    )


@query.rule(Variational, "estimate")
@torch.no_grad()
def query_by_latents(
    model: Variational,
    evidence: Evidence,
    target: int,
    generator: torch.Generator,
    particles: int = 1000,
) -> QueryOutcome:
    """As above; each row with at least `particles` draws, by noise that the row and the generator decide."""
    answer = mean_over_draws
    if target in model.context:
        answer = query_real_context if model.schema.kinds[target].continuous else query_context
    seed, rows, found = draw_seed(generator), list[Tensor](), list[WeightedOutcome]()
    for index, asked in split_alike(model, evidence.with_allowed(None), particles):
        rows.append(index)
        found.append(answer(asked, target, particles, generators_for(asked.row_keys, seed)))
    places = torch.cat(rows).argsort()
    log_weights = torch.cat([weights for _, weights in found])[places]
    told = EffectiveSampleSize(effective_size(log_weights).cpu(), log_weights.shape[1])
    outcome = concat_outcomes([each for each, _ in found]).rows(places)
    return QueryOutcome(outcome, "estimate", told, answer is not query_real_context)


def draw_seed(generator: torch.Generator) -> int:
    """A number that the generator decides."""
    return int(torch.randint(1 << 62, (), generator=generator, device=generator.device))


WeightedOutcome = tuple[
    Single, Tensor
]  # an outcome of the rows, and the log weights of the draws behind it, (rows, draws)


def mean_over_draws(
    asked: LatentQuery, target: int, many: int, generator: torch.Generator
) -> WeightedOutcome:
    """The mean of p(target | z) over draws, by their weights."""
    draws = asked.draws(many, generator)
    each, weights = outcome_of(asked.model, draws, target), draws.log_weights
    places = torch.arange(weights.numel(), device=weights.device).view(weights.shape)
    return mix_outcomes(
        [each.rows(column) for column in places.unbind(1)], weights.log_softmax(1)
    ), weights


def outcome_of(model: Variational, draws: WeightedLatents, target: int) -> Single:
    """p(target | z) for every draw, (rows * draws,)."""
    z, given = draws.flat()
    some = torch.arange(len(z), device=z.device).split(events_per_decoding(model))
    return concat_outcomes(
        [model.observation(z[i], None if given is None else given[i]).one(target) for i in some]
    )


def query_context(
    asked: LatentQuery, target: int, many: int, generator: torch.Generator
) -> WeightedOutcome:
    """The target's outcome by log p(observed with target = k) for each code k, with the same noise."""
    codes = asked.model.schema.codes[target]
    weights, noise = list[Tensor](), generator.get_state()
    for code in range(codes):
        generator.set_state(noise)
        known = LatentQuery(asked.model, asked.evidence.with_known(target, code))
        weights.append(known.draws(ceil(many / codes), generator).log_weights)
    logs = torch.stack([each.logsumexp(1) for each in weights], 1)
    return Categorical(logs.log_softmax(1)), torch.cat(weights, 1)


def query_real_context(
    asked: LatentQuery, target: int, many: int, generator: torch.Generator
) -> WeightedOutcome:
    """The target's own draws from p(context), by their weights."""
    draws, kind = asked.draws(many, generator), asked.model.schema.kinds[target]
    assert draws.given is not None
    values = draws.given[..., asked.context.index(target)]
    return narrow_density(kind, draws.log_weights.log_softmax(1), values), draws.log_weights
