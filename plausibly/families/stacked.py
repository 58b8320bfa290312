"""Stacked conditionals: p(x_i | earlier) mixes laws that learn in different ways, its weights by EM on held-out rows.

    p(x_i | earlier) = w_0 marginal + w_1 even + w_2 p(x_i | parent) + w_3 boosted(earlier)
        + sum_f sum_s w_fs leaves_f(earlier) spread_s

The parent is the earlier variable that tells held-out rows most. Forests are of trees grown by least squares; a leaf holds
how many training rows have each code. Where codes are ordered, what the leaves say is also taken spread over near codes.
Variables of few codes, or of ordered ones, have boosted trees besides. Stacking is Wolpert's (1992), that of densities Smyth
and Wolpert's (1999), forests are Breiman's (2001), those with places of splits drawn at random Geurts, Ernst and Wehenkel's
(2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plausibly.events.schema import Schema
from plausibly.families.boosting import (
    MAX_BOOSTED_CODES,
    MAX_HELD_OUT,
    Steps,
    Told,
    add_steps,
    axes_along,
    boost,
)
from plausibly.families.growing import FORESTS, first_places, grow_forests, order_levels
from plausibly.families.tables import smooth_counts
from plausibly.families.tabular import impossible_codes
from plausibly.kernels.leaves import UNKNOWN

BOOSTED_GROUPS = 64  # of ordered codes, where these are too many to be boosted each
SPREADS = (1.0, 3.0, 8.0)  # standard deviations, in codes
MIN_SPREAD_CODES = 9  # ordered codes, of which fewer are not spread
PARENT_STRENGTHS = (1.0, 10.0, 100.0)  # pseudo-counts of the marginal that are tried
EM_ROUNDS = 300
LEARNED = ("table", "nodes", "entries", "roots", "step_nodes", "step_values", "step_roots", "axes")
PRIOR_ROWS = 0.1  # rows that each law is given before EM counts those that it explains


@dataclass(frozen=True)
class SeenRows:
    """Rows as conditionals see them: codes (rows, variables) int64, and their features (rows, features) int16."""

    codes: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)


class Conditional(nn.Module):
    """p(x_i | earlier) of one variable, over its codes. Before it learns it is the marginal, first an even one."""

    places: Tensor
    weights: Tensor
    parent: Tensor
    table: Tensor
    nodes: Tensor
    entries: Tensor
    roots: Tensor
    step_nodes: Tensor
    step_values: Tensor
    step_roots: Tensor
    groups: Tensor
    axes: Tensor

    def __init__(self, schema: Schema, variable: int) -> None:
        super().__init__()
        self.schema, self.variable, self.kind = schema, variable, (kind := schema.kinds[variable])
        possible = (~impossible_codes(kind)).double()
        self.even = (possible / possible.sum()).numpy()
        self.spreads = SPREADS if kind.ordered and kind.regular >= MIN_SPREAD_CODES else ()
        self.is_boosted = kind.codes <= MAX_BOOSTED_CODES or kind.ordered
        laws = 3 + self.is_boosted + len(FORESTS) * (1 + len(self.spreads))
        self._keep("places", torch.from_numpy(first_places(kind)))
        self.logits = nn.Parameter(torch.zeros(kind.codes, device="cpu"), requires_grad=False)
        self._keep("weights", torch.eye(laws, dtype=torch.float64, device="cpu")[0])
        self._keep("parent", torch.tensor(-1, device="cpu"))
        self._keep("table", torch.empty(0, kind.codes, dtype=torch.float64, device="cpu"))
        self._keep("nodes", torch.empty(0, 5, dtype=torch.int32, device="cpu"))
        self._keep("entries", torch.empty(0, 2, dtype=torch.int16, device="cpu"))
        self._keep("roots", torch.empty(len(FORESTS), 0, dtype=torch.int32, device="cpu"))
        self._keep("groups", torch.zeros(kind.codes, dtype=torch.int64, device="cpu"))
        self._keep("axes", torch.empty(1, 0, device="cpu"))
        self._keep("step_nodes", torch.empty(0, 5, dtype=torch.int32, device="cpu"))
        self._keep("step_values", torch.empty(0, 0, device="cpu"))
        self._keep("step_roots", torch.empty(0, dtype=torch.int32, device="cpu"))

    def _keep(self, name: str, numbers: Tensor) -> None:
        self.register_buffer(name, numbers)

    def allocate(self, state: dict[str, Tensor], prefix: str) -> None:
        """Makes room for what has learned, saved under names with this prefix."""
        for name in LEARNED:
            own = getattr(self, name)
            self._keep(name, own.new_zeros(state[prefix + name].shape))

    def check(self, earlier: Sequence[int], features: np.ndarray) -> None:
        """ValueError where saved trees are none, or ask for more than the `features` of `earlier` variables."""
        code, count = self.entries.T
        sound = [
            *check_trees(self.nodes, self.roots, len(self.entries), features),
            *check_trees(self.step_nodes, self.step_roots, len(self.step_values), features),
            (code >= 0) & (code < self.kind.codes) & (count > 0),
            self.step_values.isfinite(),
            self.axes.isfinite(),
            (self.groups >= 0) & (self.groups < len(self.axes)),
        ]
        asked = self.step_values.shape[1] == self.axes.shape[1] and (
            not len(self.table)
            or (
                int(self.parent) in earlier
                and self.table.shape == (self.schema.codes[self.parent], self.kind.codes)
            )
        )
        if not asked or not all(bool(each.all()) for each in sound):
            raise ValueError("forest: the saved trees are none, or ask for what comes later")

    @property
    def free_parameters(self) -> int:
        splits = sum(int((nodes[:, 0] >= 0).sum()) for nodes in (self.nodes, self.step_nodes))
        free = (self.kind.codes - 1) * (1 + len(self.table)) + len(self.weights) - 1
        return free + 2 * splits + len(self.entries) + self.step_values.numel()

    def count(self, codes: np.ndarray) -> None:
        """Takes the marginal from codes, (rows,)."""
        counts = torch.from_numpy(np.bincount(codes, minlength=self.kind.codes)).double()
        self.logits.copy_(smooth_counts(counts[None], 0.0)[0].log())

    @property
    def marginal(self) -> np.ndarray:
        """The probabilities of all codes, whatever the rest, (codes,)."""
        own = self.logits.detach().cpu().double().exp().numpy() * (self.even > 0)
        return np.asarray(own / own.sum())

    @property
    def group_logits(self) -> np.ndarray:
        """log of the marginal of each group, (groups,)."""
        own = np.bincount(self.groups.cpu().numpy(), self.marginal, len(self.axes))
        with np.errstate(divide="ignore"):  # codes that cannot be
            return np.asarray(np.log(own))

    @property
    def steps(self) -> Steps:
        """The boosted trees."""
        learned = (self.step_nodes, self.step_values, self.step_roots)
        return Steps(*(each.cpu().numpy() for each in learned))

    def order_levels(self, codes: np.ndarray) -> None:
        """Takes the places of a category's levels from codes of all variables, (rows, variables)."""
        if len(self.places) == 1 or self.schema.size == 1:
            return
        others = [i for i in range(self.schema.size) if i != self.variable]
        pairs = np.concatenate([self._count_pairs(self.variable, i, codes) for i in others], 1)
        places = order_levels(pairs, len(self.places))
        if self.kind.unforeseen:
            places[:, self.kind.regular] = UNKNOWN
        self._keep("places", torch.from_numpy(places))

    def _count_pairs(self, one: int, other: int, codes: np.ndarray) -> np.ndarray:
        """The number of rows with each pair of codes, (codes of one, codes of the other)."""
        size, other_size = self.schema.codes[one], self.schema.codes[other]
        pairs = codes[:, one] * other_size + codes[:, other]
        return np.bincount(pairs, minlength=size * other_size).reshape(size, other_size)

    def see(self, codes: np.ndarray) -> np.ndarray:
        """The numbers by which trees see codes, (rows,): (rows, features) int16."""
        return np.asarray(self.places.cpu().numpy()[:, codes].T)

    def forward(self, rows: SeenRows) -> np.ndarray:
        """The probabilities of all codes, (rows, codes) float64."""
        weights = self.weights.cpu().numpy()
        found = np.zeros((len(rows), self.kind.codes))
        for weight, law in zip(weights, self._laws(rows), strict=False):
            found += weight * law
        return np.asarray(found / found.sum(1, keepdims=True))

    def _laws(self, rows: SeenRows) -> Iterator[np.ndarray]:
        """The laws that are mixed, each (rows, codes) or (codes,): two before it has learned."""
        yield self.marginal
        yield self.even
        if not len(self.table):
            return
        yield self.table.cpu().numpy()[rows.codes[:, int(self.parent)]]
        if self.is_boosted:
            yield self._ask_steps(rows.features)
        spreads = [self._spread(width) for width in self.spreads]
        for roots in self.roots.cpu().numpy():
            own = self._ask_trees(rows.features, roots)
            yield own
            yield from (own @ spread for spread in spreads)

    def _ask_steps(self, features: np.ndarray) -> np.ndarray:
        """The law of boosted trees: of groups, and of the codes of each by the marginal."""
        groups, logits = self.groups.cpu().numpy(), self.group_logits
        with np.errstate(invalid="ignore"):  # a code that cannot be
            shares = np.nan_to_num(self.marginal / np.exp(logits)[groups])
        found = add_steps(features, self.steps, logits, self.axes.cpu().numpy())
        return np.asarray(found[:, groups] * shares)

    def _ask_trees(self, features: np.ndarray, roots: np.ndarray) -> np.ndarray:
        from plausibly.kernels.leaves import add_leaves

        found = np.zeros((len(features), self.kind.codes))
        nodes, entries = self.nodes.cpu().numpy(), self.entries.cpu().numpy()
        add_leaves(features, nodes, entries, roots, found)
        return found

    def _spread(self, width: float) -> np.ndarray:
        """The law over which each code is spread: codes near it by their marginal, but itself for one that is no number."""
        places = self.places[0].cpu().numpy().astype(float)
        near = np.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
        near *= self.marginal
        near[self.kind.regular :] = near[:, self.kind.regular :] = 0.0
        specials = range(self.kind.regular, self.kind.codes)
        near[specials, specials] = 1.0
        return np.asarray(near / near.sum(1, keepdims=True))

    def learn(
        self,
        earlier: Sequence[int],
        features: np.ndarray,
        rows: SeenRows,
        held_out: SeenRows,
        trees: int,
        seed: int,
    ) -> None:
        """Learns what `earlier` variables say, and their `features`, these columns: so many trees a forest."""
        own, known = rows.codes[:, self.variable], self.even[held_out.codes[:, self.variable]] > 0
        held_out = SeenRows(held_out.codes[known], held_out.features[known])
        self._choose_parent(earlier, rows.codes, held_out.codes)
        nodes, entries, roots = grow_forests(
            rows.features[:, features], own, self.kind, self.places.cpu().numpy(), trees, seed
        )
        splits = nodes[:, 0] >= 0
        nodes[splits, 0] = features[nodes[splits, 0]]
        for name, grown in (("nodes", nodes), ("entries", entries), ("roots", roots)):
            self._keep(name, torch.from_numpy(grown))
        if self.is_boosted:
            self._boost(features, rows, held_out, seed)
        asked = np.arange(len(held_out)), held_out.codes[:, self.variable]
        laws = (
            np.broadcast_to(law, (len(held_out), self.kind.codes)) for law in self._laws(held_out)
        )
        told = np.stack([law[asked] for law in laws], 1)
        self._keep("weights", torch.from_numpy(mix_laws(told)))

    def _boost(self, features: np.ndarray, rows: SeenRows, held_out: SeenRows, seed: int) -> None:
        some = slice(None, None, -(-len(held_out) // MAX_HELD_OUT) or 1)
        held_out = SeenRows(held_out.codes[some], held_out.features[some])
        groups = self._group_codes()
        self._keep("groups", torch.from_numpy(groups))
        ordered = groups[self.kind.regular - 1] + 1 if self.kind.ordered else 0
        axes = axes_along(np.bincount(groups, self.marginal).astype(float), ordered)
        self._keep("axes", torch.from_numpy(axes))
        own, asked = (
            Told(
                np.ascontiguousarray(each.features[:, features].T),
                groups[each.codes[:, self.variable]],
            )
            for each in (rows, held_out)
        )
        steps = boost(own, asked, self.group_logits, axes, seed)
        splits = steps.nodes[:, 0] >= 0
        steps.nodes[splits, 0] = features[steps.nodes[splits, 0]]
        for name, grown in zip(("nodes", "values", "roots"), steps, strict=True):
            self._keep(f"step_{name}", torch.from_numpy(grown))

    def _group_codes(self) -> np.ndarray:
        """The group of each code, (codes,): itself, of few, or else near ones that are as probable together as others."""
        if self.kind.codes <= MAX_BOOSTED_CODES:
            return np.arange(self.kind.codes)
        own = self.marginal[: self.kind.regular]
        groups = np.arange(self.kind.codes) + BOOSTED_GROUPS
        groups[: len(own)] = (own.cumsum() - own / 2) / own.sum() * BOOSTED_GROUPS
        return np.unique(groups, return_inverse=True)[1]

    def _choose_parent(
        self, earlier: Sequence[int], codes: np.ndarray, held_out: np.ndarray
    ) -> None:
        """Takes the table of the earlier variable by which held-out rows are most probable."""
        best, own = -np.inf, held_out[:, self.variable]
        marginal = torch.from_numpy(self.marginal)
        for parent in earlier:
            counts = torch.from_numpy(self._count_pairs(parent, self.variable, codes)).double()
            for strength in PARENT_STRENGTHS:
                table = smooth_counts(counts, strength, marginal)
                if (told := float(table[held_out[:, parent], own].log().mean())) > best:
                    best = told
                    self._keep("table", table)
                    self._keep("parent", torch.tensor(parent, device="cpu"))


def check_trees(nodes: Tensor, roots: Tensor, ends: int, features: np.ndarray) -> list[Tensor]:
    """True where each node stands before its children, which are no other's, or holds entries up to `ends`, and asks for one
    of the features."""
    (feature, _, first, last, _), own = nodes.T.long(), torch.arange(len(nodes))
    split = feature >= 0
    below = (first > own) & (last > own) & (torch.maximum(first, last) < len(own))
    inside = (first >= 0) & (first < last) & (last <= ends)
    children = torch.cat([first[split], last[split], roots.flatten().long()])
    return [
        torch.where(split, below & torch.isin(feature, torch.from_numpy(features)), inside),
        (roots >= 0) & (roots < len(own)),
        children.unique(return_counts=True)[1] == 1,
    ]


def mix_laws(told: np.ndarray) -> np.ndarray:
    """Weights, (laws,), by which a mixture tells rows best, from the probability of each by each, (rows, laws)."""
    weights = np.full(told.shape[1], 1 / told.shape[1])
    for _ in range(EM_ROUNDS):
        shares = told * weights
        shares /= shares.sum(1, keepdims=True)
        weights = (shares.sum(0) + PRIOR_ROWS) / (len(told) + PRIOR_ROWS * len(weights))
    return weights
