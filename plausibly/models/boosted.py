"""Boosted trees, one sum for each bit: p(x_i = 1 | earlier) = sigmoid(b_i + sum_t tree_it(earlier bits)).

Each tree is grown by the second-order gains of Chen & Guestrin (2016), arXiv:1603.02754, from the bits that come before,
and held-out rows say with how many trees each bit does best. Trees find the few bits that matter, and how they matter
together, which is what sparse and structured data ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.network import arrange_variables
from plausibly.objectives import Growing
from plausibly.outcomes.categorical import Bernoulli
from plausibly.outcomes.outcome import Outcome
from plausibly.system.arguments import check_range
from plausibly.system.threads import run_in_threads

if TYPE_CHECKING:
    from plausibly.kernels.boosting import SortedRows

TRIAL_VARIABLES = 8  # which tell how long a look takes
# curvature of a child; rounds without a better one on held-out rows
MIN_CURVATURE = 0.01
PATIENCE_ROUNDS = 15


class Boosted(AutoregressiveModel):
    """A sum of boosted trees for the log-odds of each bit (Chen & Guestrin 2016, arXiv:1603.02754).

    Args:
        depth: questions from the root of a tree to a leaf, 1 to 12 (default 4).
        rounds: largest number of trees of each bit, 1 to 10,000 (default 1,000).
        rate: share of each tree that is added, 0.0001 to 1 (default 0.05).
        strength: curvature in nats added to that of a leaf, which keeps its value small, 0.000001
            to 1,000,000 (default 1).
        share: share of the rows that each tree is grown from, 0.01 to 1 (default 0.7).
        shuffle: seed of another order of the variables, 1 to 2,147,483,648, or 0 for their own
            order (default 0).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = Boosted(binary(2), depth=2)
    >>> model.initialise_from(torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]]))
    >>> model.base.exp()  # the odds of a 1 before the first tree, half a row added on both sides
    tensor([7.0000, 0.6000])
    """

    family = "explicit"
    formula = "n + (2^(D + 1) - 1) R (n - 1), depth D = 4, rounds R <= 1000"
    features: Tensor
    first: Tensor

    def __init__(
        self,
        schema: Schema,
        depth: int = 4,
        rounds: int = 1000,
        rate: float = 0.05,
        strength: float = 1.0,
        share: float = 0.7,
        shuffle: int = 0,
        target: int | None = None,
    ) -> None:
        super().__init__()
        check_range("boosted: depth", depth, 1, 12)
        check_range("boosted: rounds", rounds, 1, 10_000)
        check_range("boosted: rate", rate, 1e-4, 1)
        check_range("boosted: strength", strength, 1e-6, 1e6)
        check_range("boosted: share", share, 0.01, 1)
        if reason := self.accepts(schema):
            raise ValueError(reason)
        self.schema, self.depth, self.rounds, self.rate = schema, depth, rounds, rate
        self.strength, self.share, self.shuffle, self.target = strength, share, shuffle, target
        self.order = arrange_variables(range(schema.size), shuffle, target)
        self.objective = Growing(TRIAL_VARIABLES)
        # of each bit in its order, as are the trees
        self.base = nn.Parameter(torch.zeros(schema.size), requires_grad=False)
        self.allocate([0] * schema.size)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        others = sum(
            kind.continuous or kind.codes != 2 or kind.unforeseen > 0 for kind in schema.kinds
        )
        if others:
            return f"boosted: its trees know bits, and {others:,} of {schema.size:,} variables are none"
        return None

    @classmethod
    def count(cls, schema: Schema) -> int:
        return schema.size + 31 * 1000 * (schema.size - 1)

    @classmethod
    def tiny(cls, schema: Schema) -> Boosted:
        model = cls(schema, depth=2)
        model.allocate([0, *[2] * (schema.size - 1)])
        pick = torch.Generator("cpu").manual_seed(0)
        ranks = torch.arange(schema.size, device="cpu").repeat_interleave(model.first.diff().cpu())
        drawn = torch.rand(model.features.shape, generator=pick, device="cpu")
        model.features.copy_((drawn * ranks[:, None]).int())
        return model

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        ones = x[:, list(self.order)].double().sum(0)
        self.base.copy_(((ones + 0.5) / (len(x) - ones + 0.5)).log())

    @property
    def free_parameters(self) -> int:
        # there are none before it has learned
        splits = int((self.features >= 0).sum()) if len(self.features) else 0
        return self.schema.size + 2 * splits + len(self.features)

    @torch.no_grad()
    def allocate(self, trees: Sequence[int]) -> None:
        """Makes room for so many trees of each bit, which all add nothing."""
        device, number = self.base.device, sum(trees)
        self.register_buffer(
            "features",
            torch.full((number, 2**self.depth - 1), -1, dtype=torch.int32, device=device),
        )
        self.register_buffer("first", torch.tensor([0, *np.cumsum(trees)], device=device))
        self.leaves = nn.Parameter(
            torch.zeros(number, 2**self.depth, device=device), requires_grad=False
        )

    def restore(self, state: dict[str, Tensor]) -> None:
        trees, features = state["first"].diff().tolist(), state["features"].cpu()
        if (
            state["first"][0] != 0
            or len(trees) != self.schema.size
            or min(trees) < 0
            or sum(trees) != len(features)
        ):
            raise ValueError("boosted: the saved trees are not those of this many bits")
        self.allocate(trees)
        ranks = torch.arange(self.schema.size).repeat_interleave(torch.tensor(trees))
        if not bool(((features >= -1) & (features < ranks[:, None])).all()):
            raise ValueError("boosted: a saved tree asks for a bit that comes later")
        super().restore(state)

    def _add_trees(self, eights: np.ndarray, rank: int, logits: np.ndarray) -> None:
        from plausibly.kernels import boosting

        features, leaves = self.features.cpu().numpy(), self.leaves.cpu().numpy()
        start, end = self.first[rank : rank + 2].tolist()
        boosting.add_trees(eights, features, leaves, self.depth, start, end, logits)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Outcome:
        from plausibly.kernels import boosting

        order = list(self.order)
        eights = boosting.pack_bits(event_bits(x, order))
        logits = self.base.detach().double().cpu().repeat(len(x), 1).T.contiguous().numpy()
        run_in_threads(range(len(order)), lambda rank: self._add_trees(eights, rank, logits[rank]))
        found = torch.empty_like(torch.from_numpy(logits)).T
        found[:, order] = torch.from_numpy(logits).T
        return Bernoulli(found.to(self.base))

    @torch.no_grad()
    def unroll(self, n: int) -> Unrolled:
        eights = np.zeros((self.schema.size, -(-n // 8)), np.uint64)
        bits = eights.view(np.uint8)[:, :n]
        base = self.base.double().cpu()
        for rank, i in enumerate(self.order):
            logits = np.full(n, float(base[rank]))
            self._add_trees(eights, rank, logits)
            value = yield i, Bernoulli(torch.from_numpy(logits).to(self.base))
            bits[rank] = value.to("cpu", torch.uint8).numpy()
        x = torch.empty(n, self.schema.size, device=device_of(self))
        x[:, list(self.order)] = torch.from_numpy(bits).T.to(x)
        return x.reshape(n, *self.schema.shape)

    @torch.no_grad()
    def grow(self, ranks: range, codes: Tensor, held_out: Tensor) -> None:
        """Boosts the bits of some ranks, the trees of the others being kept."""
        from plausibly.kernels import boosting

        rows, asked = (boosting.sort_rows(event_bits(x, self.order)) for x in (codes, held_out))
        starts = self.first[1:-1].cpu()
        features = list(self.features.cpu().tensor_split(starts))
        leaves = list(self.leaves.cpu().tensor_split(starts))

        def boost(rank: int) -> None:
            features[rank], leaves[rank] = map(torch.from_numpy, self._boost(rank, rows, asked))

        run_in_threads(ranks, boost)
        self.allocate([len(each) for each in features])
        self.features.copy_(torch.cat(features))
        self.leaves.copy_(torch.cat(leaves))

    def _boost(
        self, rank: int, rows: SortedRows, held_out: SortedRows
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features and leaves of the best number of trees of a bit, whose base it sets."""
        from plausibly.kernels import boosting

        features = np.full((self.rounds, 2**self.depth - 1), -1, np.int32)
        leaves = np.zeros((self.rounds, 2**self.depth))
        plan = self.depth, self.rounds, self.rate, self.strength
        limits = MIN_CURVATURE, self.share, PATIENCE_ROUNDS
        noise = np.random.default_rng([self.shuffle, rank])
        trees, self.base[rank] = boosting.grow_trees(
            rows, held_out, rank, *plan, *limits, noise, features, leaves
        )
        return features[:trees].copy(), leaves[:trees].copy()


def event_bits(x: Tensor, order: Sequence[int]) -> np.ndarray:
    """Events as bits, (variables, rows), in that order."""
    return np.ascontiguousarray(x.flatten(1)[:, list(order)].to("cpu", torch.uint8).numpy().T)
