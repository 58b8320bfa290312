"""One normal distribution with a full covariance over real variables: every marginal and conditional is exact.

    p(x) = N(x; m, S),   p(x_i | x_K) = N(m_i + S_iK S_KK^-1 (x_K - m_K), S_ii - S_iK S_KK^-1 S_Ki)

Where a kind is open, a cell is not foreseen with a probability of its own, apart from all else, and the others follow
their marginal; that of a cell never seen is the kind's. The covariance is shrunk towards its diagonal,
(N S + s D) / (N + s), with s chosen on validation, and no direction is narrower than the floors of the kinds allow: the
likeliest such covariance has its small eigenvalues raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from math import e, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.capabilities import DecomposableModel, Unrolled
from plausibly.errors import Unsupported, count_phrase
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import UNFORESEEN
from plausibly.events.schema import Schema
from plausibly.families.normals import (
    JointNormal,
    NormalGiven,
    NormalSums,
    floor_covariance,
    missing_variables,
    missingness_patterns,
)
from plausibly.families.tabular import STRENGTHS
from plausibly.objectives import Counting
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import Product

MAX_DIMENSIONS = 4_000  # variables: the covariance has 16 million entries
MAX_OPEN_VARIABLES = (
    12  # variables that may be unforeseen, of which an entropy sums over all subsets
)


class Gaussian(DecomposableModel):
    """One normal distribution with a full covariance over real variables (Anderson 1958).

    >>> from plausibly.events.kinds import Real
    >>> model = Gaussian(Schema((2,), (Real(), Real())))  # the standard normal before it learns
    >>> round(model.log_prob(torch.zeros(1, 2)).item(), 4)  # -log 2 pi
    -1.8379
    >>> first = Evidence(torch.zeros(1, 2), torch.tensor([[True, False]]))
    >>> round(model.log_marginal(first).item(), 4)
    -0.9189
    """

    family = "explicit"
    formula = "n(n + 3) / 2"
    objective = Counting()
    floors: Tensor
    open: Tensor
    guarded: Tensor  # those that may be never seen
    fixed: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        if reason := self.accepts(schema):
            raise ValueError(reason)
        n = schema.size
        self.schema, self.order = schema, tuple(range(n))
        self.mean = nn.Parameter(torch.zeros(n))
        self.log_diagonal = nn.Parameter(torch.zeros(n))  # of the covariance's Cholesky factor
        self.below = nn.Parameter(torch.zeros(n * (n - 1) // 2))  # its other entries, row by row
        learned = sum(kind.open and not kind.unforeseen for kind in schema.kinds)
        self.unforeseen = nn.Parameter(torch.zeros(learned))  # logits
        floors = [kind.floor for kind in schema.kinds if kind.continuous]
        self.register_buffer("floors", torch.tensor(floors, device="cpu"), persistent=False)
        opened = torch.tensor([kind.open for kind in schema.kinds], device="cpu")
        self.register_buffer("open", opened, persistent=False)
        self.register_buffer("guarded", schema.chance_unforeseen > 0, persistent=False)
        fixed = torch.stack(
            [torch.log1p(-schema.chance_unforeseen), schema.chance_unforeseen.log()], 1
        )
        self.register_buffer("fixed", fixed, persistent=False)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        real = [kind for kind in schema.kinds if kind.continuous]
        of_all = f"of {count_phrase(schema.size, 'variable')}"
        if others := schema.size - len(real):
            remedy = "--kind COLUMN=real or --drop COLUMN"
            return f"gaussian: {others:,} {of_all} no real numbers; {remedy}"
        if holes := sum(kind.missing for kind in real):
            return f"gaussian: {holes:,} {of_all} with holes, and a normal distribution has none"
        return (
            None
            if schema.size <= MAX_DIMENSIONS
            else f"gaussian: {schema.size:,} variables, more than {MAX_DIMENSIONS:,}"
        )

    @classmethod
    def count(cls, schema: Schema) -> int:
        learned = sum(kind.open and not kind.unforeseen for kind in schema.kinds)
        return schema.size * (schema.size + 3) // 2 + learned

    def initialise(self, generator: torch.Generator) -> None:
        """Starts at the standard normal: counting decides."""

    # the distribution

    def factor(self) -> Tensor:
        """The lower Cholesky factor of the covariance, float64."""
        n = self.schema.size
        rows, columns = torch.tril_indices(n, n, -1, device=self.mean.device)
        return (
            self.log_diagonal.double().exp().diag().index_put((rows, columns), self.below.double())
        )

    def normal(self) -> JointNormal:
        return JointNormal(self.mean.double(), self.factor())

    def covariance(self) -> Tensor:
        return self.normal().covariance

    def _log_special(self) -> Tensor:
        """log p of being a number and of not being foreseen, (variables, 2), float64; log of 1 and 0 where not open."""
        logits = self.unforeseen.double()
        learned = torch.stack([-F.softplus(logits), -F.softplus(-logits)], 1)
        return self.fixed.index_put((self.open & ~self.guarded,), learned)

    def _cells(self, evidence: Evidence) -> Tensor:
        """log p of whether each observed cell is a number, summed, (batch,)."""
        logs, odd = self._log_special(), evidence.x >= UNFORESEEN
        each = torch.where(odd, logs[:, 1], logs[:, 0])
        return torch.where(evidence.observed, each, 0.0).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._log_density(Evidence.whole(x)).float()

    @torch.no_grad()
    def log_marginal(self, evidence: Evidence) -> Tensor:
        total = self._log_density(evidence)
        if evidence.allowed is None:
            return total
        barred = ~evidence.flatten().observed & self._numbers_only(evidence)
        return total + torch.where(barred, self._log_special()[:, 0], 0.0).sum(1)

    def _log_density(self, evidence: Evidence) -> Tensor:
        """log p of the observed cells, (batch,), float64."""
        known = evidence.flatten()
        rows, normal, total = known.x.double(), self.normal(), self._cells(known)
        numbers = torch.zeros_like(total)
        for index, given in missingness_patterns(known.observed & (rows < UNFORESEEN)):
            density = NormalGiven(normal, given, rows[index]).log_density()
            numbers = numbers.index_put((index,), density)
        return total + numbers

    def _numbers_only(self, evidence: Evidence) -> Tensor:
        """The variables that may be unforeseen but may not be drawn so."""
        allowed = evidence.allowed_by_variable(self.schema.codes)
        return self.open & torch.stack([own.log_shares[-1] == -torch.inf for own in allowed])

    def predict(self, x: Tensor) -> Outcome:
        rows = x.flatten(1).double()
        earlier = rows.new_ones(rows.shape[1], rows.shape[1]).triu(1)
        return self._conditional(rows, rows < UNFORESEEN, earlier)

    @torch.no_grad()
    def predict_given(self, evidence: Evidence) -> Outcome:
        given = evidence.flatten()
        rows = given.x.double()
        every = rows.new_ones(rows.shape[1], rows.shape[1])
        return self._conditional(rows, given.observed & (rows < UNFORESEEN), every)

    @torch.no_grad()
    def complete(self, evidence: Evidence, weights: Tensor) -> Tensor:
        """The conditional mean, where a normal density is highest."""
        outcome, x = self.predict_given(evidence), evidence.x
        means = [
            one.means for one in map(outcome.one, self.order) if isinstance(one, MixtureDensity)
        ]
        return evidence.fill(torch.cat(means, 1).to(x.dtype).reshape(x.shape))

    @torch.no_grad()
    def entropy_given(self, evidence: Evidence) -> Tensor:
        """That of being foreseen or not, and the mean over which are of 0.5 log det(2 pi e S_given); of what was seen."""
        given, n = evidence.flatten(), self.schema.size
        rows, seen = given.x, given.observed
        nats = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        for index, both in missingness_patterns(torch.cat([seen, seen & (rows < UNFORESEEN)], 1)):
            free = missing_variables(both[both < n], n)
            nats = nats.index_put(
                (index,), self._entropy_of(free, both[both >= n] - n).expand(len(index))
            )
        return nats

    def _entropy_of(self, free: Tensor, known: Tensor) -> Tensor:
        """The entropy of the `free` variables given the known ones, whatever their values."""
        logs, may = self._log_special()[free], (self.open & ~self.guarded)[free]
        if (many := int(may.sum())) > MAX_OPEN_VARIABLES:
            raise Unsupported(
                f"gaussian: {many} columns may hold what is no number; an entropy sums over {MAX_OPEN_VARIABLES}"
            )
        normal = self.normal()
        left = NormalGiven(normal, known, normal.mean[None]).covariance_of(free)
        total = torch.zeros((), dtype=torch.float64)
        for kept in product((True, False), repeat=many):
            number = torch.ones_like(may)
            number[may] = torch.tensor(kept, device=may.device, dtype=torch.bool)
            log_p = torch.where(number, logs[:, 0], logs[:, 1])[may].sum().cpu()
            own = left[number][:, number] * (2 * pi * e)
            total = total + log_p.exp() * (0.5 * torch.logdet(own).cpu() - log_p)
        return total.to(left.device)

    def _conditional(self, rows: Tensor, known: Tensor, tells: Tensor) -> Outcome:
        """The outcome of each variable given those known ones that tell of it, as `NormalGiven.predict` has it."""
        normal, means, variances = self.normal(), torch.zeros_like(rows), torch.ones_like(rows)
        for index, given in missingness_patterns(known):
            mean, left = NormalGiven(normal, given, rows[index]).predict(tells)
            means = means.index_put((index,), mean)
            variances = variances.index_put((index,), left.clamp(min=1e-12).expand(len(index), -1))
        return self._outcome(means, variances.sqrt())

    def _outcome(self, means: Tensor, scales: Tensor) -> Outcome:
        """Normals side by side; those of open kinds know their special code."""
        special = self._log_special().float().expand(len(means), -1, -1)
        forms = (
            (~self.open, False, None),
            (self.open & ~self.guarded, True, None),
            (self.guarded, True, 1),
        )
        groups = []
        for chosen, opened, unseen in forms:
            own = chosen.nonzero()[:, 0]
            if len(own):
                told = special[:, own] if opened else None
                groups.append((own, normal_outcome(means[:, own], scales[:, own], told, unseen)))
        return groups[0][1] if len(groups) == 1 else Product(groups)

    def unroll(self, n: int) -> Unrolled:
        factor, means = self.factor().detach(), self.mean.detach().double()
        x = torch.zeros(n, self.schema.size, device=means.device)
        z, sound = x.double(), torch.ones(n, dtype=torch.bool, device=means.device)
        special = self._log_special().detach().float()
        for i in self.order:
            mean, scale = means[i] + z[:, :i] @ factor[i, :i], factor[i, i].expand(n)
            if not sound.all():  # behind a cell that is no number the others follow their marginal
                odd = self.predict(x[~sound]).one(i)
                assert isinstance(odd, MixtureDensity)
                mean = mean.masked_scatter(~sound, odd.means.detach().double())
                scale = scale.masked_scatter(~sound, odd.scales.detach().double())
            own = special[i].expand(n, -1) if self.open[i] else None
            x[:, i] = yield i, normal_outcome(mean, scale, own, 1 if self.guarded[i] else None)
            sound = sound & (x[:, i] < UNFORESEEN)
            z[:, i] = ((x[:, i] - mean) / scale).masked_fill(~sound, 0.0)
        return x.reshape(n, *self.schema.shape)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        x = torch.zeros(n, *self.schema.shape, device=self.mean.device)
        return self.sample_given(Evidence.nothing(x), generator)

    @torch.no_grad()
    def sample_given(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        given = evidence.flatten()
        rows = given.x.double()
        noise = torch.empty_like(rows).normal_(generator=generator)
        normal, drawn = self.normal(), torch.zeros_like(rows)
        for index, known in missingness_patterns(given.observed & (rows < UNFORESEEN)):
            free = missing_variables(known, rows.shape[1])
            own = index[:, None], free
            drawn[own] = NormalGiven(normal, known, rows[index]).draw(free, noise[own])
        odd = self._draw_special(given, generator)
        drawn = drawn.float().masked_fill(odd, UNFORESEEN)
        return given.fill(drawn).reshape(evidence.x.shape)

    def _draw_special(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """Which cells are drawn not to be foreseen, bool like the rows."""
        x = evidence.x
        uniform = torch.rand(x.shape, generator=generator, device=x.device).double()
        odd = uniform.log() < self._log_special()[:, 1]
        return odd & ~(self.guarded | self._numbers_only(evidence))

    # learning

    def statistics(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """The flat sums of `NormalSums` over events."""
        rows = x.flatten(1).double()
        weight = torch.ones_like(rows[:, 0]) if weight is None else weight.double()
        return NormalSums.add_up(rows, rows >= UNFORESEEN, weight)

    @torch.no_grad()
    def learn(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        """Takes mean and covariance from the sums, shrunk by the strength that is best on validation."""
        batches, scores = list(validation), []
        for strength in STRENGTHS if batches else []:
            self.fill(sums, strength)
            scores.append(sum(float(self.log_prob(x).double().sum()) for x in batches))
        self.fill(sums, STRENGTHS[scores.index(max(scores))] if scores else 1.0)

    def fill(self, sums: Tensor, strength: float) -> None:
        """The covariance is (N S + s D) / (N + s), D the variances with one row of the standard normal added."""
        of = NormalSums.split(sums, self.schema.size)
        shrunk = of.whole * of.covariance + strength * of.variances.diag()
        self._store(of, shrunk / (of.whole + strength))

    def take(self, sums: Tensor) -> None:
        """The likeliest parameters that the floors allow."""
        of = NormalSums.split(sums, self.schema.size)
        self._store(of, of.covariance)

    def prior(self, sums: Tensor) -> Tensor:
        """The sums of one row whose variables are on their own."""
        return NormalSums.split(sums, self.schema.size).prior(0.5 * self.open)

    @torch.no_grad()
    def _store(self, sums: NormalSums, covariance: Tensor) -> None:
        n = self.schema.size
        factor = torch.linalg.cholesky(floor_covariance(covariance, self.floors.double()))
        self.mean.copy_(sums.mean)
        self.log_diagonal.copy_(factor.diagonal().log())
        rows, columns = torch.tril_indices(n, n, -1, device=factor.device)
        self.below.copy_(factor[rows, columns])
        odd = ((sums.odd + 0.5) / (sums.rows + 1))[self.open & ~self.guarded]
        self.unforeseen.copy_(odd.logit())

    @torch.no_grad()
    def side(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """Cuts the component in two along nearly its principal axis: a few steps of the power method from a drawn start."""
        covariance, mean = self.covariance(), self.mean.double()
        axis = torch.empty_like(mean).normal_(generator=generator)
        for _ in range(4):
            axis = F.normalize(covariance @ axis, dim=0)
        return lambda x: ((x.flatten(1).double() - mean).clamp(-1e6, 1e6) @ axis > 0).double()


def normal_outcome(
    means: Tensor, scales: Tensor, special: Tensor | None, unseen: int | None
) -> MixtureDensity:
    """Outcomes of one normal component each, by means and scales, (...), and what is said of their special codes."""
    means, scales = means.float().unsqueeze(-1), scales.float().unsqueeze(-1)
    return MixtureDensity(torch.zeros_like(means), means, scales, special, unseen=unseen)
