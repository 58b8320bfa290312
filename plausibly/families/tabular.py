"""Models made of conditional tables: trained by counting, and tractable.

Evidence becomes log weights, one for every code of every variable, so that one
recursion answers marginals, conditionals and "not a hole" alike. Where a cell may be never seen, tables tell what it is,
and it shows a code never seen with the kind's share, whatever it is: p(x) = eps p(the other cells), summed out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import log, log1p

import torch
import torch.nn.functional as F
from torch import Tensor

from plausibly.capabilities import DecomposableModel, Unrolled
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema
from plausibly.families.semirings import MAX, SUM, Semiring, temper
from plausibly.families.tables import LOG_NEVER, ConditionalTables, smooth_counts
from plausibly.objectives import Counting
from plausibly.outcomes.categorical import Categorical, gumbel_max
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import product_of_variables

STRENGTHS = [
    10.0 ** (half / 2) for half in range(-2, 13)
]  # pseudo-counts tried on the validation split


class TabularModel(DecomposableModel):
    """A tractable model over codes whose parameters are `tables`."""

    family = "explicit"
    objective = Counting()
    tables: ConditionalTables

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema, self.binning = schema, Binning(schema)
        self.barred = [impossible_codes(kind) for kind in schema.kinds]

    def initialise(self, generator: torch.Generator) -> None:
        """Tables start even: counting decides."""

    @abstractmethod
    def row(self, x: Tensor, i: int) -> Tensor:
        """Which row of its table variable `i` is in, (batch,), from codes (batch, variables), int64."""

    def configurations(self, x: Tensor) -> Tensor:
        """The row of every variable, (batch, variables)."""
        return torch.stack([self.row(x, i) for i in range(x.shape[1])], 1)

    @abstractmethod
    def log_mass(self, weights: Tensor, over: Semiring = SUM) -> Tensor:
        """log sum_x p(x) prod_i exp(weights_i(x_i)), (batch,), from log weights (batch, sum of codes), float64.

        `over` says what takes the place of the sum.
        """

    @abstractmethod
    def decide(self, weights: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        """Codes (batch, variables), int64, chosen one after the other.

        `choose` is given the log of what is left to add up for each code, (batch, codes), and returns indices, (batch,).
        """

    @abstractmethod
    def marginals(self, weights: Tensor) -> list[Tensor]:
        """log sum of p(x) prod_j exp(weights_j(x_j)) over all x with each code of each variable, each (batch, codes).

        By sums of logs alone, so that neither much evidence nor long odds get lost.
        """

    def scores(self, over: Semiring) -> list[Tensor]:
        """The tables as a recursion takes them."""
        return [over.power * table for table in self.tables.each()]

    def draw(self, weights: Tensor, generator: torch.Generator) -> Tensor:
        """Codes (batch, variables), int64, drawn from p(x) prod_i exp(weights_i(x_i)) up to its scale."""
        return self.decide(weights, SUM, lambda logs: gumbel_max(logs, generator))

    def to_events(self, codes: Outcome) -> Outcome:
        """The outcome of events from that of their codes."""
        return Histogram(codes, self.binning) if self.binning.any else codes

    def predict(self, x: Tensor) -> Outcome:
        codes = self.binning.codes(x.flatten(1))
        return self.to_events(self.emit(self.tables(self.configurations(codes)), x))

    def emit(self, outcome: Outcome, x: Tensor) -> Outcome:
        """The outcome of what cells show given what earlier ones show, from that of what they are
        given what earlier ones are."""
        if not self.schema.has_unforeseen:
            return outcome
        each = [outcome.one(i) for i in range(self.schema.size)]
        return product_of_variables(
            [
                self.emit_one(one.log_probs, x, i)
                for i, one in enumerate(each)
                if isinstance(one, Categorical)
            ]
        )

    def emit_one(self, logs: Tensor, x: Tensor, i: int) -> Tensor:
        """The same of one variable, as log p, (batch, codes): behind a cell never seen by summing out what it is."""
        if not self.schema.has_unforeseen:
            return logs
        found, place = emission_logs(logs, self.schema.kinds[i]), self.order.index(i)
        earlier = torch.zeros(x.flatten(1).shape[1], dtype=torch.bool, device=x.device)
        earlier[list(self.order[:place])] = True
        rows = (self.schema.is_unseen(x) & earlier).any(1).nonzero()[:, 0]
        if not len(rows):
            return found
        own = self.posteriors(Evidence(x[rows], earlier.expand(len(rows), -1)))[i]
        return found.index_put((rows,), own.to(found.dtype))

    def each_log_prob(self, x: Tensor) -> Tensor:
        """log p of each table's variable, (batch, tables): the sum is log p(x)."""
        flat = x.flatten(1)
        codes, inside = self.binning.digitise(flat) if self.binning.any else (flat.long(), 0.0)
        return self.tables.score(self.configurations(codes), codes) + inside

    @property
    def _is_plain(self) -> bool:
        """True where each variable has a table of its own, and what a cell shows is what it is."""
        return len(self.tables.codes) == self.schema.size and not self.schema.has_unforeseen

    def log_conditionals(self, x: Tensor) -> Tensor:
        return self.each_log_prob(x) if self._is_plain else super().log_conditionals(x)

    def log_prob_by_variable(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self._is_plain:
            return super().log_prob_by_variable(x)
        each = self.each_log_prob(x)
        return each.sum(1), each

    def log_prob(self, x: Tensor) -> Tensor:
        nats = self.each_log_prob(x).sum(1)
        if not self.schema.has_unforeseen:
            return nats
        nats = nats + torch.log1p(-self.schema.chance_unforeseen).sum().to(nats)
        rows = self.schema.is_unseen(x).any(1).nonzero()[:, 0]
        if not len(rows):
            return nats
        return nats.index_put((rows,), self.log_seen(Evidence.whole(x[rows])).to(nats))

    def unroll(self, n: int) -> Unrolled:
        tables = [table.float() for table in self.tables.each()]
        x = torch.zeros(n, self.schema.size, device=tables[0].device)
        codes = x.long()
        for i in self.order:
            outcome = Categorical(
                self.emit_one(tables[i][self.row(codes, i)], x, i),
                code_of_unseen(self.schema.kinds[i]),
            )
            x[:, i] = yield i, self.alone(outcome, i)
            codes[:, i] = self.binning.digitise(x[:, i], (i,))[0]
        return x.reshape(n, *self.schema.shape)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws by the law of `unroll`, in one go."""
        codes = self.codes(n, generator)
        return self.binning.draw_inside(codes, generator).reshape(n, *self.schema.shape)

    def codes(self, n: int, generator: torch.Generator) -> Tensor:
        """The codes of `n` events, (n, variables), int64, each drawn given those before it in the order."""
        tables = self.tables.each()
        codes = torch.zeros(n, self.schema.size, dtype=torch.long, device=tables[0].device)
        for i in self.order:
            codes[:, i] = sample_codes(tables[i], self.row(codes, i), generator)
        return codes

    def alone(self, codes: Categorical, i: int) -> Single:
        """The outcome of variable `i` from that of its code."""
        return Histogram(codes, self.binning, (i,)) if self.binning.is_real(i) else codes

    def statistics(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """The counts that learning needs of a batch, to be summed over batches; each event counts
        as its `weight`, (batch,)."""
        codes = self.binning.codes(x.flatten(1))
        return self.tables.count(self.configurations(codes), codes, weight)

    def learn(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        """Sets the tables from the summed statistics, each smoothed by the strength that is best on validation."""
        self.fill(sums, self.strengths(partial(self.fill, sums), list(validation)))

    def fill(self, sums: Tensor, strengths: Sequence[float]) -> None:
        for i, counts in self.tables.split(sums):
            self.tables.set_table(i, smooth_counts(counts, strengths[i]))

    @torch.no_grad()
    def side(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """Cuts the model in two: 1 for events nearer to the first of two drawn ones, and 0."""
        centres = self.sample(2, generator)
        return lambda x: nearest_centre(x, centres, self.schema)[:, 0]

    @torch.no_grad()
    def fits(self, x: Tensor) -> Tensor:
        """Log p of each table summed over events, (tables,), float64: what the choice of strengths compares.

        Cells never seen tell of no table.
        """
        nats = self.each_log_prob(x).double()
        return nats.where(nats > LOG_NEVER / 2, 0.0).sum(0)

    def strengths(
        self, fill: Callable[[list[float]], None], validation: Sequence[Tensor]
    ) -> list[float]:
        """The best pseudo-count of each table, by log p on the validation batches; `fill` smooths by the given ones."""
        if not validation:
            return [1.0] * len(self.tables.codes)
        scores = []
        for strength in STRENGTHS:
            fill([strength] * len(self.tables.codes))
            scores.append(torch.stack([self.fits(x) for x in validation]).sum(0))
        return [STRENGTHS[best] for best in torch.stack(scores).argmax(0).tolist()]

    def weigh_codes(self, evidence: Evidence) -> Tensor:
        """Log weights, (batch, sum of codes): 0 for an observed cell's code, and what is allowed of those of any other."""
        allowed = evidence.allowed
        free = torch.zeros(sum(self.schema.codes)) if allowed is None else allowed.log_shares
        return self.weigh_observed(evidence, free)

    def weigh_observed(self, evidence: Evidence, free: Tensor) -> Tensor:
        """The same with the log weights `free`, (sum of codes,), for the codes of what is not observed."""
        rows, columns = evidence.flatten(), []
        flat, seen = self.binning.codes(rows.x), rows.observed
        for i, open_ones in enumerate(
            free.to(flat.device, torch.float64).split(list(self.schema.codes))
        ):
            weights = torch.full(
                (len(flat), len(open_ones)), -torch.inf, dtype=torch.float64, device=flat.device
            )
            weights.scatter_(1, flat[:, i, None], 0.0)
            columns.append(torch.where(seen[:, i, None], weights, open_ones))
        return torch.cat(columns, 1)

    def per_variable(self, weights: Tensor) -> list[Tensor]:
        """Log weights of codes variable by variable, each (batch, codes)."""
        return list(weights.split(list(self.schema.codes), 1))

    def weigh_cells(self, evidence: Evidence) -> Tensor:
        """Log weights of what cells are, from those of what they show."""
        weights = self.weigh_codes(evidence)
        if not self.schema.has_unforeseen:
            return weights
        pairs = zip(self.per_variable(weights), self.schema.kinds, strict=True)
        return torch.cat([cell_weights(own, kind) for own, kind in pairs], 1)

    @torch.no_grad()
    def log_marginal(self, evidence: Evidence) -> Tensor:
        return self.log_seen(evidence)

    def log_seen(self, evidence: Evidence) -> Tensor:
        mass, rows = self.log_mass(self.weigh_cells(evidence)), evidence.flatten()
        inside = self.binning.digitise(rows.x)[1] if self.binning.any else torch.zeros_like(rows.x)
        return mass + (inside * rows.observed).sum(1)

    @torch.no_grad()
    def sample_given(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        codes = self.draw(self.weigh_cells(evidence), generator)
        ends = None if evidence.allowed is None else evidence.allowed.ends
        drawn = self.binning.draw_inside(codes, generator, ends=ends)
        return evidence.fill(drawn.reshape(evidence.x.shape))

    @torch.no_grad()
    def complete(self, evidence: Evidence, weights: Tensor) -> Tensor:
        both = self.weigh_observed(evidence, weights + self.binning.peaks())
        codes = self.decide(both, MAX, lambda logs: logs.argmax(1))
        return evidence.fill(self.binning.middle(codes).reshape(evidence.x.shape))

    @torch.no_grad()
    def entropy_given(self, evidence: Evidence) -> Tensor:
        """log Z - d log Z(b) / db at b = 1, with Z(b) = sum of p(x)^b exp((1 - b) h(x)) over what fits, and h(x) the
        entropy inside the bins of x."""
        device, weights = evidence.x.device, self.weigh_codes(evidence.with_allowed(None))
        unknown, codes = ~evidence.flatten().observed, torch.tensor(self.schema.codes)
        inside = self.binning.entropies().to(device)
        free = torch.repeat_interleave(unknown, codes.to(device), 1)
        one = torch.ones((), dtype=torch.float64, device=device)

        def mass(power: Tensor) -> Tensor:
            return self.log_mass(weights + (1 - power) * inside * free, temper(power))

        log_z, slope, *_ = torch.func.jvp(mass, (one,), (one,))
        return log_z - slope

    @torch.no_grad()
    def predict_given(self, evidence: Evidence) -> Outcome:
        return self.to_events(product_of_variables(self.posteriors(evidence)))

    def posteriors(self, evidence: Evidence) -> list[Tensor]:
        """log p(what an unobserved cell shows | observed) of each variable, (batch, codes), float64."""
        logs = self.marginals(self.weigh_cells(evidence.with_allowed(None)))
        pairs = zip(logs, self.schema.kinds, strict=True)
        return [emission_logs(own.log_softmax(1), kind) for own, kind in pairs]


def code_of_unseen(kind: Kind) -> int | None:
    """The code of a cell never seen, where training rows have none such."""
    return kind.other_code if kind.unforeseen else None


def impossible_codes(kind: Kind) -> Tensor:
    """Which codes no cell is, bool (codes,)."""
    place = code_of_unseen(kind)
    return torch.arange(kind.codes, device="cpu") == (-1 if place is None else place)


def emission_logs(logs: Tensor, kind: Kind) -> Tensor:
    """log p of what a cell shows, from that of what it is, (..., codes)."""
    place = code_of_unseen(kind)
    if place is None:
        return logs
    return (logs + log1p(-kind.unforeseen)).index_fill(
        -1, torch.tensor(place, device=logs.device), log(kind.unforeseen)
    )


def cell_weights(weights: Tensor, kind: Kind) -> Tensor:
    """Log weights of what a cell is, from those of what it shows, (..., codes): the transpose of `emission_logs`."""
    place = code_of_unseen(kind)
    if place is None:
        return weights
    lost = log(kind.unforeseen) + weights[..., place, None]
    return torch.logaddexp(weights + log1p(-kind.unforeseen), lost)


def pairwise_information(pairs: Tensor, codes: tuple[int, ...]) -> Tensor:
    """I(x_i; x_j) in nats of every pair of variables, (n, n), from the counts of pairs of codes."""
    p = pairs / (pairs.diagonal().sum() / len(codes))
    own = p.diagonal()
    terms = torch.where(p > 0, p * (p / (own[:, None] * own[None])).log(), 0.0)
    owner = torch.repeat_interleave(torch.arange(len(codes)), torch.tensor(codes)).to(p.device)
    rows = torch.zeros(len(codes), len(own), dtype=p.dtype, device=p.device).index_add_(
        0, owner, terms
    )
    return torch.zeros(len(codes), len(codes), dtype=p.dtype, device=p.device).index_add_(
        1, owner, rows
    )


def sample_codes(logs: Tensor, row: Tensor, generator: torch.Generator) -> Tensor:
    """A code for each `row` of a table of log p, (rows, codes): with u uniform the first with p(at most it) > u."""
    below = logs.exp().cumsum(1)
    # row r lies between r and r + 1 of one rising line
    line = (
        below / below[:, -1:] + torch.arange(len(below), device=below.device)[:, None]
    ).flatten()
    u = torch.rand(len(row), generator=generator, dtype=line.dtype, device=line.device)
    codes = torch.searchsorted(line, u + row, right=True) - row * logs.shape[1]
    return codes.clamp(0, logs.shape[1] - 1)


def nearest_centre(x: Tensor, centres: Tensor, schema: Schema) -> Tensor:
    """1 at the centre nearest to each event, else 0, (batch, centres), float64.

    Two codes that differ are as far apart as two reals by one scale.
    """
    real = torch.tensor([kind.continuous for kind in schema.kinds], device=x.device)
    flat, points = x.flatten(1).clamp(max=1e3), centres.flatten(1).clamp(max=1e3)
    away = [
        torch.where(real, (flat - point).square(), (flat != point).float()).sum(1)
        for point in points
    ]
    return F.one_hot(torch.stack(away, 1).argmin(1), len(points)).double()
