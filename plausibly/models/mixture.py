"""A mixture of simple models, p(x) = sum_k w_k p_k(x): exact about everything, as its parts are.

Trained by expectation maximisation (Dempster et al. 1977): a pass through the data sums up the statistics of every
component, each event weighed by r_k = w_k p_k(x) / p(x), and the components become the likeliest for theirs. Each gets `s`
rows more, drawn from independent variables with the marginals of all data, so that none collapses. What never falls is

    sum_x log p(x) + s sum_k E_independent[log p_k] + sum_k log w_k

The mixture grows by splitting the heaviest components in two; each attempt begins from the best mixture so far on
validation, which decides on the number of components and on s. Then it starts anew from seeds, a few times.
Mixtures of trees: Meila & Jordan 2000.
"""

from __future__ import annotations

from math import ceil, log
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from plausibly.capabilities import TractableModel, Unrolled, device_of
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.families.mixtures import TractableSum, free_log_weights
from plausibly.families.tabular import nearest_centre
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.gaussian import Gaussian
from plausibly.models.independent import Independent
from plausibly.objectives import Objective, Pass
from plausibly.system.arguments import is_whole_number

PARTS: dict[str, type[TractableModel]] = {
    "independent": Independent,
    "chow_liu": ChowLiu,
    "gaussian": Gaussian,
}
MAX_STATISTICS = 1 << 24  # numbers summed up for all components together
# of trees, so many that each pass takes a moment: more are asked for with parts=chow_liu
MAX_TREE_PAIRS = 1 << 20
RESTARTS = 2


class Mixture(TractableSum):
    """A mixture of simple models, learned by expectation maximisation (Dempster et al. 1977).

    Args:
        parts: the model of each component, independent, chow_liu or gaussian (default gaussian for
            real variables, else chow_liu, or independent where its tables would be large).
        components: largest number of components, 1 to 1,000 (default 16).
        iterations: largest number of passes after each split, 2 or more (default 30).

    >>> from plausibly.events.schema import binary
    >>> model = Mixture(binary(2), components=2)
    >>> half = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    >>> for each in model.objective.passes(model):
    ...     each.update(each.sums(half), [half])
    >>> first = Evidence(half, torch.tensor([[True, False]] * 4))
    >>> model.log_marginal(first).exp()
    tensor([0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64)
    """

    formula = "2Kn - 1, K <= 16"

    def __init__(
        self, schema: Schema, parts: str | None = None, components: int = 16, iterations: int = 30
    ) -> None:
        super().__init__()
        if parts not in (*PARTS, None):
            raise ValueError(f"parts = {parts!r}; they are {', '.join(PARTS)}")
        if not is_whole_number(components) or not 1 <= components <= 1000:
            raise ValueError(f"components = {components}; 1 to 1,000 of them")
        if not is_whole_number(iterations) or iterations < 2:
            raise ValueError(f"iterations = {iterations}; at least 2 passes after each split")
        self.schema, self.parts = schema, parts
        self.components, self.iterations = components, iterations
        self.objective = ExpectationMaximisation()
        self.part = PARTS[parts or default_parts(schema, components)]
        if reason := self.part.accepts(schema):
            raise ValueError(reason)
        self.strength = 1.0
        self.allocate(1)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        size = sum(schema.codes)
        if 16 * size <= MAX_STATISTICS:
            return None
        return f"mixture: {16 * size:,} numbers in its tables, more than {MAX_STATISTICS:,}"

    @classmethod
    def count(cls, schema: Schema) -> int:
        return 16 * (PARTS[default_parts(schema, 16)].count(schema) + 1) - 1

    @classmethod
    def tiny(cls, schema: Schema) -> Mixture:
        model = cls(schema, components=3)
        model.allocate(3)
        return model

    @torch.no_grad()
    def allocate(self, number: int) -> None:
        """Makes it a mixture of so many equal components."""
        device = device_of(self) if hasattr(self, "members") else None
        self.members = nn.ModuleList([self.part(self.schema) for _ in range(number)])
        self.logits = nn.Parameter(torch.zeros(number - 1))
        if device is not None:
            self.to(device)

    def expand(self) -> None:
        self.allocate(self.components)

    def restore(self, state: dict[str, Tensor]) -> None:
        self.allocate(len(state["logits"]) + 1)
        super().restore(state)

    def log_weights(self, evidence: Evidence) -> Tensor:
        return free_log_weights(self.logits).expand(len(evidence), -1)

    def unroll(self, n: int) -> Unrolled:
        return self.unroll_inside(n, free_log_weights(self.logits).detach().expand(n, -1))

    def log_joint(self, x: Tensor) -> Tensor:
        members: Any = self.members
        if self.part is not Independent:
            return super().log_joint(x)
        own = members[0].hot(x) @ torch.stack([member.flat() for member in members], 1)
        inside = (
            members[0].binning.digitise(x.flatten(1))[1].sum(1)
        )  # the density inside bins is everybody's
        return free_log_weights(self.logits) + own.double() + inside[:, None]

    # learning

    @torch.no_grad()
    def responsibilities(self, x: Tensor) -> Tensor:
        """p(component | x), (batch, components), float64."""
        return self.log_joint(x).softmax(1)

    def statistics(self, x: Tensor, responsibilities: Tensor | None = None) -> Tensor:
        """For each component the rows that it is responsible for, and their statistics: (components, 1 + statistics)."""
        shares = self.responsibilities(x) if responsibilities is None else responsibilities
        part: Any = self.members[0]
        if isinstance(part, Independent):  # all components in one product
            sums = shares.float().T @ part.hot(x)
        else:
            sums = torch.stack([part.statistics(x, share).flatten() for share in shares.unbind(1)])
        return torch.cat([shares.sum(0)[:, None].double(), sums.double()], 1)

    def begin(self, sums: Tensor) -> None:
        """One component for all the data, whose marginals all components are drawn towards."""
        first: Any = self.members[0]
        self.shape = first.statistics(torch.zeros(0, *self.schema.shape, device=sums.device)).shape
        self.prior = first.prior(sums[0, 1:].view(self.shape)).flatten()
        self.refit(sums[:1])

    @torch.no_grad()
    def refit(self, sums: Tensor) -> None:
        """The likeliest components and weights for their statistics and `strength` rows of the prior each."""
        if len(sums) != len(self.members):
            self.allocate(len(sums))
        members: Any = self.members
        for member, own in zip(members, sums[:, 1:] + self.strength * self.prior, strict=True):
            member.take(own.view(self.shape))
        weights = (sums[:, 0] + 1).log()
        self.logits.copy_(weights[1:] - weights[0])

    def refit_best(self, sums: Tensor, validation: list[Tensor]) -> None:
        """The same with the strength, of this one and its neighbours half a decade away, that is best on validation."""
        strengths, scores = [self.strength * 10**half for half in (0, -0.5, 0.5)], []
        for self.strength in strengths if validation else strengths[:1]:
            self.refit(sums)
            scores.append(sum(float(self.log_prob(x).detach().sum()) for x in validation))
        self.strength = strengths[scores.index(max(scores))]
        self.refit(sums)


def default_parts(schema: Schema, components: int) -> str:
    """Normal components where all variables are real, else trees, where these have few pairs of codes to count."""
    if Gaussian.accepts(schema) is None:
        return "gaussian"
    return "chow_liu" if components * sum(schema.codes) ** 2 <= MAX_TREE_PAIRS else "independent"


class Responsibilities(Protocol):
    """Says which share of each event goes to which component, (batch, components)."""

    def __call__(self, x: Tensor) -> Tensor: ...


class SplitHeaviest:
    """The responsibilities of the mixture with its heaviest components cut in two."""

    def __init__(self, model: Mixture, seed: int) -> None:
        self.model, self.seed = model, seed

    def decide(self) -> None:
        """Which to cut and how, when the first batch comes."""
        model = self.model
        many = min(max(1, len(model.members) // 2), model.components - len(model.members))
        self.cut = free_log_weights(model.logits).topk(many).indices.tolist()
        noise = torch.Generator(model.logits.device).manual_seed(self.seed)
        members: Any = model.members
        self.sides = [members[k].side(noise) for k in self.cut]

    def __call__(self, x: Tensor) -> Tensor:
        if not hasattr(self, "cut"):
            self.decide()
        shares = self.model.responsibilities(x)
        new = [shares[:, k] * side(x) for k, side in zip(self.cut, self.sides, strict=True)]
        for k, share in zip(self.cut, new, strict=True):
            shares[:, k] -= share
        return torch.cat([shares, *[share[:, None] for share in new]], 1)


class NearestSeeds:
    """Each event to the nearest of as many events, drawn from the mixture, as it has components."""

    def __init__(self, model: Mixture, seed: int) -> None:
        self.model, self.seed = model, seed

    def __call__(self, x: Tensor) -> Tensor:
        if not hasattr(self, "centres"):
            noise = torch.Generator(self.model.logits.device).manual_seed(self.seed)
            self.centres = self.model.sample(len(self.model.members), noise)
        return nearest_centre(x, self.centres, self.model.schema)


class ExpectationMaximisation(Objective):
    """Passes in attempts of one name; each attempt begins from the best mixture so far (`training.count`)."""

    def passes(self, model: Mixture) -> list[Pass]:
        def everything(x: Tensor) -> Tensor:
            return model.statistics(x, torch.ones(len(x), 1, dtype=torch.float64, device=x.device))

        passes = [Pass("one component", everything, lambda sums, validation: model.begin(sums))]
        splits = ceil(log(model.components) / log(1.5)) + 1 if model.components > 1 else 0
        for number in range(splits):
            passes += em_attempt(model, f"split {number}", SplitHeaviest(model, number))
        for number in range(RESTARTS if splits else 0):
            passes += em_attempt(model, f"restart {number}", NearestSeeds(model, number))
        return passes


def em_attempt(model: Mixture, name: str, sharing: Responsibilities) -> list[Pass]:
    """A first pass that shares the events out anew, then expectation maximisation; every fourth pass looks for s."""

    def update(sums: Tensor, validation: Any) -> None:
        model.refit(sums)

    def tune(sums: Tensor, validation: Any) -> None:
        model.refit_best(sums, list(validation))

    first = Pass(name, lambda x: model.statistics(x, sharing(x)), update)
    return [
        first,
        *(
            Pass(name, model.statistics, update if i % 4 else tune)
            for i in range(1, model.iterations)
        ),
    ]
