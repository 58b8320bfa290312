"""Events in a fixed order of which some cells are known, by weighted draws that look ahead at what is known later.

    q(x_i) ∝ p(x_i | earlier) a_i(x_i),     a_i(x_i) = tree's p(what is known of all that hang on x_i | x_i)

The tree is learned from draws of the model itself: each variable hangs on the earlier one that tells most of it, so that one
sweep backwards finds every a_i. It only proposes: weights make up for it (a twisted particle filter: Guarniero et al. 2017,
doi:10.1080/01621459.2016.1222291), and their mean estimates p(known) without bias. On the way, rows whose weights are uneven
are drawn anew by these. A number has its value picked from a few of p(x_i | earlier), by a_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.events.allowed import Allowed
from plausibly.events.bins import Binning
from plausibly.events.evidence import Evidence
from plausibly.families.proposals import effective_size
from plausibly.families.semirings import SUM
from plausibly.families.tables import smooth_counts
from plausibly.families.tabular import pairwise_information
from plausibly.outcomes.categorical import Categorical, gumbel_max
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Single

# rows that are drawn in one go, particles counted, and their cells
PARTICLES_PER_BATCH = 1 << 14
CELLS_PER_BATCH = 1 << 20
# rows that the tree is learned from: at least, at most, and their cells
TREE_ROWS = (1000, 8000, 1 << 18)
MAX_PAIRS = 1 << 24  # counts of pairs at most; of more codes nothing is looked ahead at
CANDIDATES = 32  # of a number
MAX_LOOKS = 16  # at weights on the way


def rows_per_batch_of(variables: int, particles: int) -> int:
    """The number of rows, with so many particles each, that are drawn in one go."""
    return max(1, min(PARTICLES_PER_BATCH, CELLS_PER_BATCH // variables) // particles)


class LookaheadTree:
    """Each variable's parent, an earlier one or -1, and log p(code | the parent's code), learned from draws."""

    @torch.no_grad()
    def __init__(self, model: AutoregressiveModel, generator: torch.Generator) -> None:
        self.order, self.schema = model.order, model.schema
        self.binning = Binning(model.schema).to(device_of(model))
        least, most, cells = TREE_ROWS
        n = min(most, max(least, cells // self.schema.size))
        codes = torch.cat(
            [self._sample_codes(model, part, generator) for part in torch.arange(n).split(least)]
        )
        self.parents = (
            self._parents(codes)
            if sum(self.schema.codes) ** 2 <= MAX_PAIRS
            else [-1] * self.schema.size
        )
        self.tables = [self._table(codes, i) for i in range(self.schema.size)]

    def _sample_codes(
        self, model: AutoregressiveModel, part: Tensor, generator: torch.Generator
    ) -> Tensor:
        return self.binning.codes(model.sample(len(part), generator).flatten(1))

    def _parents(self, codes: Tensor) -> list[int]:
        """For each the earlier variable that tells most of it, above what chance tells."""
        sizes = torch.tensor(self.schema.codes, device=codes.device)
        hot = torch.zeros(len(codes), int(sizes.sum()), device=codes.device)
        hot.scatter_(1, codes + sizes.cumsum(0) - sizes, 1.0)
        chance = (sizes[:, None] - 1) * (sizes - 1) / (2 * len(codes))
        told = pairwise_information((hot.T @ hot).double(), self.schema.codes) - chance
        parents = [-1] * self.schema.size
        for rank, i in enumerate(self.order):
            best = max(self.order[:rank], key=lambda j: float(told[i, j]), default=-1)
            parents[i] = best if best >= 0 and told[i, best] > 0 else -1
        return parents

    def _table(self, codes: Tensor, i: int) -> Tensor:
        """log p(code | configuration), (configurations, codes), float64."""
        parent, own = self.parents[i], self.schema.codes[i]
        rows = self.schema.codes[parent] if parent >= 0 else 1
        cell = codes[:, i] + own * codes[:, parent] if parent >= 0 else codes[:, i]
        return smooth_counts(
            torch.bincount(cell, minlength=rows * own).view(rows, own).double(), 1.0
        ).log()

    def code(self, x: Tensor, i: int) -> Tensor:
        """Codes of one variable, (batch,)."""
        return self.binning.digitise(x, (i,))[0] if self.binning.is_real(i) else x.long()


@dataclass
class LookaheadMessages:
    """The evidence from later variables: `below`, log a_i with what is known of x_i itself, (rows,
    codes), and what it tells the parent.

    None where nothing is known.
    """

    below: list[Tensor | None]
    message: list[Tensor | None]


def look_ahead(
    tree: LookaheadTree, evidence: Evidence, allowed: Sequence[Allowed]
) -> LookaheadMessages:
    """For rows, (rows, variables), that are known in part; `allowed` says of each variable what it may hold."""
    below = [lookahead_weights(tree, evidence, own, i) for i, own in enumerate(allowed)]
    message: list[Tensor | None] = [None] * len(allowed)
    for i in reversed(tree.order):
        own, parent = below[i], tree.parents[i]
        if own is None:
            continue
        sent = message[i] = SUM.product(own, tree.tables[i])
        if parent >= 0:
            known = below[parent]
            below[parent] = sent if known is None else known + sent
    return LookaheadMessages(below, message)


def lookahead_weights(
    tree: LookaheadTree, evidence: Evidence, allowed: Allowed, i: int
) -> Tensor | None:
    """log weights of the codes of one variable, (rows, codes), float64; None where it may be anything in every row."""
    x, seen = evidence.x[:, i], evidence.observed[:, i]
    # how much of a code is allowed is weighed where it is drawn
    free = torch.where(allowed.log_shares.isinf(), -torch.inf, 0.0).double()
    if not free.any() and not seen.any():
        return None
    only = torch.full((len(x), len(free)), -torch.inf, dtype=torch.float64, device=x.device)
    only.scatter_(1, tree.code(x.masked_fill(~seen, 0.0), i)[:, None], 0.0)
    return torch.where(seen[:, None], only, free)


@dataclass(frozen=True)
class ParticleCloud:
    """Weighted events, (rows, particles, variables), log weights (rows, particles) float64, and what all have told.

    `log_evidence` (rows,) estimates log p(known); `effective` (rows,) is how many draws would tell as much of it.
    """

    x: Tensor
    log_weights: Tensor
    log_evidence: Tensor
    effective: Tensor

    def resample(self, many: int, generator: torch.Generator) -> Tensor:
        """So many of each row's events, (rows, many, variables), drawn by weight."""
        index = resample_systematically(self.log_weights, many, generator)
        return self.x.gather(1, index[..., None].expand(-1, -1, self.x.shape[2]))


class Particles:
    """So many draws for each row of what is not observed, among what is allowed."""

    def __init__(
        self,
        model: AutoregressiveModel,
        tree: LookaheadTree,
        evidence: Evidence,
        many: int,
        generator: torch.Generator,
    ) -> None:
        self.model, self.tree, self.generator = model, tree, generator
        rows, device = evidence.flatten().to(device_of(model)), device_of(model)
        self.shape = len(rows), many
        self.allowed = rows.allowed_by_variable(model.schema.codes)
        self.ahead = look_ahead(tree, rows, self.allowed)
        self.row = torch.arange(len(rows), device=device).repeat_interleave(many)
        own = rows[self.row]
        self.x, self.seen = own.x.masked_fill(~own.observed, 0.0), own.observed
        self.weights = torch.zeros(len(self.x), dtype=torch.float64, device=device)
        self.log_evidence = self.weights.new_zeros(len(rows))
        self.uneven = self.weights.new_zeros(len(rows))

    @torch.no_grad()
    def draw_to(self, last: int) -> ParticleCloud:
        """Up to a place in the order; variables after it are 0."""
        looks, unrolled = self._looks(last), self.model.unroll(len(self.x))
        i, outcome = next(unrolled)
        for place in range(last + 1):
            self._take(i, outcome)
            if place == last:
                break
            if place in looks and self._resample():
                unrolled, i, outcome = self._replay(place)
            else:
                i, outcome = unrolled.send(self.x[:, i])
        self._tell(torch.ones_like(self.uneven, dtype=torch.bool))
        size = (self.shape[1] / (1 + self.uneven)).clamp(min=1)
        return ParticleCloud(
            self.x.view(*self.shape, -1), self.weights.view(self.shape), self.log_evidence, size
        )

    def _looks(self, last: int) -> set[int]:
        """Places of known cells, not too many, after which weights are looked at."""
        known = [place for place in range(last) if self.seen[:, self.model.order[place]].any()]
        return set(known[:: max(1, ceil(len(known) / MAX_LOOKS))])

    def _take(self, i: int, outcome: Single) -> None:
        """Draws variable `i`, or takes what is known of it, and weighs that."""
        seen, below, sent = self.seen[:, i], self.ahead.below[i], self.ahead.message[i]
        possible, mass = outcome.truncate(self.allowed[i])
        known = None if below is None else below[self.row]
        value, gained = self._sample_tilted(possible, known, i)
        self.x[:, i] = torch.where(seen, self.x[:, i], value)
        self.weights += torch.where(seen, outcome.log_prob(self.x[:, i]), mass).double()
        if known is not None:
            own = known.gather(1, self.tree.code(self.x[:, i], i)[:, None])[:, 0]
            self.weights += torch.where(seen, own, gained)
        parent = self.tree.parents[i]
        if sent is not None and parent >= 0:  # what was looked ahead at there is now known
            self.weights -= sent[self.row, self.tree.code(self.x[:, parent], parent)]

    def _sample_tilted(self, outcome: Single, logs: Tensor | None, i: int) -> tuple[Tensor, Tensor]:
        """Draws by p(x) exp(logs of x), and log of the sum of that, or an estimate of it."""
        if logs is None:
            return outcome.sample(self.generator), self.weights.new_zeros(len(self.x))
        if isinstance(outcome, Histogram):
            code, gained = self._sample_tilted(outcome.inner, logs, i)  # type: ignore[arg-type]
            return outcome.draw_inside(code, self.generator), gained
        if isinstance(outcome, Categorical):
            both = outcome.log_probs.double() + logs
            return gumbel_max(both, self.generator).float(), both.logsumexp(1)
        several = torch.stack([outcome.sample(self.generator) for _ in range(CANDIDATES)], 1)
        each = logs.gather(1, self.tree.code(several.flatten(), i).view(several.shape))
        pick = gumbel_max(each, self.generator)
        return several.gather(1, pick[:, None])[:, 0], each.logsumexp(1) - log(CANDIDATES)

    def _tell(self, rows: Tensor) -> None:
        """Counts the weights of those rows, (rows,), as told."""
        logs, many = self.weights.view(self.shape), self.shape[1]
        self.log_evidence += (logs.logsumexp(1) - log(many)).masked_fill(~rows, 0.0)
        self.uneven += (many / effective_size(logs) - 1).clamp(min=0).masked_fill(~rows, 0.0)

    def _resample(self) -> bool:
        """Draws the particles of rows with uneven weights anew by these; whether there were any."""
        logs, many = self.weights.view(self.shape), self.shape[1]
        rows = effective_size(logs) < many / 2
        if not rows.any():
            return False
        self._tell(rows)
        kept = torch.arange(many, device=logs.device).expand(self.shape)
        index = torch.where(
            rows[:, None], resample_systematically(logs, many, self.generator), kept
        )
        self.x = self.x[
            (index + many * torch.arange(len(rows), device=logs.device)[:, None]).flatten()
        ]
        self.weights = logs.masked_fill(rows[:, None], 0.0).flatten()
        return True

    def _replay(self, place: int) -> tuple[Unrolled, int, Single]:
        """The model unrolled anew, past a place in the order."""
        unrolled = self.model.unroll(len(self.x))
        i, outcome = next(unrolled)
        for _ in range(place + 1):
            i, outcome = unrolled.send(self.x[:, i])
        return unrolled, i, outcome


def resample_systematically(log_weights: Tensor, many: int, generator: torch.Generator) -> Tensor:
    """So many indices for each row of log weights, (rows, n) to (rows, many), each as often as its share within one."""
    reached = log_weights.softmax(1).cumsum(1)
    start = torch.rand(
        len(reached), 1, generator=generator, dtype=reached.dtype, device=reached.device
    )
    at = (start + torch.arange(many, device=reached.device)) / many * reached[:, -1:]
    return torch.searchsorted(reached, at, right=True).clamp(max=reached.shape[1] - 1)
