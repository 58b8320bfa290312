"""A forest for each variable: trees of the earlier ones, whose leaves hold training rows, mixed with simpler laws.

Trees find thresholds, and how few variables matter together, in seconds, and take categories, numbers and holes as they
are. Real variables are known by the bin that they fall into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.events.bins import Binning
from plausibly.events.schema import Schema
from plausibly.families.network import arrange_variables, other_variables
from plausibly.families.stacked import Conditional, SeenRows
from plausibly.families.tabular import emission_logs
from plausibly.objectives import Growing
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import product_of_variables
from plausibly.system.arguments import check_range
from plausibly.system.threads import run_in_threads

MAX_VARIABLES = 2000
TINY_ROWS = 60
TRIAL_VARIABLES = 2  # which tell how long a look takes
MAX_TREE_ROWS = (
    30_000  # training rows, evenly spaced, that trees see; a leaf counts them in 15 bits
)


class Forest(AutoregressiveModel):
    """Three forests for each variable, mixed with its best parent and its marginal (Breiman 2001).

    Args:
        trees: trees of each forest, 1 to 1,000 (default 12).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).
        shuffle: seed of another order of the variables, 1 to 2,147,483,648, or 0 for their own
            order (default 0).
        target: place from 0 of the variable that comes last in the order (default none).

    >>> from plausibly.events.schema import binary
    >>> model = Forest(binary(3), trees=2)
    >>> model.initialise_from(torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    >>> model.log_prob(model.schema.all_events()).exp().sum()  # before it learns, the marginals
    tensor(1.)
    """

    family = "explicit"
    seed: Tensor
    formula = "3 T L (n - 1), T = 12 trees of L leaves that the rows fill"

    def __init__(
        self,
        schema: Schema,
        trees: int = 12,
        context: Sequence[int] = (),
        shuffle: int = 0,
        target: int | None = None,
    ) -> None:
        super().__init__()
        check_range("forest: trees", trees, 1, 1000)
        if reason := self.accepts(schema):
            raise ValueError(reason)
        self.schema, self.trees, self.shuffle = schema, trees, shuffle
        self.context, self.target = tuple(context), target
        self.rest = arrange_variables(other_variables(schema, self.context), shuffle, target)
        self.order = (*self.context, *self.rest)
        self.objective, self.binning = Growing(TRIAL_VARIABLES), Binning(schema)
        self.conditionals = nn.ModuleList(Conditional(schema, i) for i in range(schema.size))
        self.owners = np.repeat(range(schema.size), [len(each.places) for each in self.each()])
        self.register_buffer("seed", torch.tensor(0, device="cpu"))

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        if schema.size <= MAX_VARIABLES:
            return None
        return f"forest: {schema.size:,} variables, more than {MAX_VARIABLES:,}"

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        model = cls(schema, trees=2)
        model.grow(range(schema.size), *(model.draw_marginals(seed) for seed in (0, 1)))
        return model

    def draw_marginals(self, seed: int) -> Tensor:
        """Events with codes drawn from the marginals."""
        pick = torch.Generator("cpu").manual_seed(seed)
        each = [torch.from_numpy(one.marginal) for one in self.each()]
        codes = [own.multinomial(TINY_ROWS, replacement=True, generator=pick) for own in each]
        return self.binning.middle(torch.stack(codes, 1)).reshape(-1, *self.schema.shape)

    @property
    def free_parameters(self) -> int:
        return sum(each.free_parameters for each in self.each())

    def each(self) -> list[Conditional]:
        """The conditionals of all variables."""
        return [part for part in self.conditionals if isinstance(part, Conditional)]

    def initialise(self, generator: torch.Generator) -> None:
        self.seed = torch.randint(2**31, (), generator=generator, device="cpu")

    def initialise_from(self, x: Tensor) -> None:
        codes = self.binning.codes(x.float()).cpu().numpy()
        codes = codes[:: -(-len(codes) // MAX_TREE_ROWS)]
        for i, each in enumerate(self.each()):
            each.count(codes[:, i])
            each.order_levels(codes)

    def restore(self, state: dict[str, Tensor]) -> None:
        for i, each in enumerate(self.each()):
            each.allocate(state, f"conditionals.{i}.")
        super().restore(state)
        for rank, i in enumerate(self.order):
            self.each()[i].check(self.order[:rank], self.columns_of(self.order[:rank]))

    def columns_of(self, variables: Sequence[int]) -> np.ndarray:
        """The columns of features that some variables have."""
        return np.flatnonzero(np.isin(self.owners, list(variables)))

    def see(self, codes: np.ndarray) -> SeenRows:
        """Rows of codes, (rows, variables), beside the features of all variables."""
        seen = [each.see(codes[:, i]) for i, each in enumerate(self.each())]
        return SeenRows(codes, np.concatenate(seen, 1))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Outcome:
        rows = self.see(self.binning.codes(x.flatten(1)).cpu().numpy())
        logs: list[Tensor] = [x] * self.schema.size

        def ask(i: int) -> None:
            logs[i] = self._log_probs(i, rows).to(x.device)

        run_in_threads(range(self.schema.size), ask)
        outcome = product_of_variables(logs)
        return Histogram(outcome, self.binning) if self.binning.any else outcome

    def _log_probs(self, i: int, rows: SeenRows) -> Tensor:
        """log p(what cell i shows | earlier), (rows, codes)."""
        found = torch.from_numpy(self.each()[i](rows)).log()
        return emission_logs(found, self.schema.kinds[i]).float()

    @torch.no_grad()
    def unroll(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        rows = self.see(np.zeros((n, self.schema.size), np.int64))
        for i in self.order:
            one = Categorical(self._log_probs(i, rows).to(x.device))
            own = Histogram(one, self.binning, (i,)) if self.binning.is_real(i) else one
            x[:, i] = yield i, own
            codes = self.binning.digitise(x[:, i], (i,))[0].cpu().numpy()
            rows.codes[:, i] = codes
            rows.features[:, self.columns_of([i])] = self.each()[i].see(codes)
        return x.reshape(n, *self.schema.shape)

    @torch.no_grad()
    def grow(self, ranks: range, codes: Tensor, held_out: Tensor) -> None:
        """Learns the variables of some ranks in order, those of the others being kept."""
        some = codes[:: -(-len(codes) // MAX_TREE_ROWS)]
        rows, asked = (
            self.see(self.binning.codes(x.flatten(1).float()).cpu().numpy())
            for x in (some, held_out)
        )

        def learn(rank: int) -> None:
            earlier, variable = self.order[:rank], self.order[rank]
            if earlier and variable not in self.context:
                columns, seed = self.columns_of(earlier), int(self.seed) + variable
                self.each()[variable].learn(earlier, columns, rows, asked, self.trees, seed)

        run_in_threads(ranks, learn)

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.log_conditionals(x)[:, list(self.rest)].sum(1)
