"""Mixtures, p(x) = sum_k w_k p_k(x): what is made of parts gets its class from its parts.

mixture(components, weights)     of tractable models is tractable; of autoregressive ones with one order is
                                 autoregressive, p(x_i | earlier) being the mixture of the parts' conditionals with the
                                 running weights w_k p_k(earlier); of densities a density; and of bounds a bound,
                                 log sum_k w_k exp(bound_k(x)) <= log p(x)
stratified(model, schema, ...)   p(y, x) = p(y) p_y(x): one finite variable, the label, says which part it is
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plausibly.capabilities import (
    AutoregressiveModel,
    BoundedModel,
    DecomposableModel,
    DensityModel,
    Model,
    TractableModel,
    Unrolled,
    device_of,
)
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.families.chains import (
    chain_conditionals,
    chain_mixture,
    chain_where,
    unroll_in_order,
    unroll_in_step,
)
from plausibly.objectives import MaximumLikelihood
from plausibly.outcomes.categorical import gumbel_max
from plausibly.outcomes.mixtures import mix_outcomes
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import join_variables


def weight_logits(weights: Sequence[float]) -> Tensor:
    """K - 1 free logits of K positive weights."""
    logs = torch.tensor(weights, dtype=torch.float64).log()
    return (logs[1:] - logs[0]).float()


def free_log_weights(logits: Tensor) -> Tensor:
    """log w, (parts,), float64, from the logits of all but the first."""
    return torch.cat([logits.new_zeros(1), logits]).double().log_softmax(0)


class Members(BoundedModel):
    """A model made of `members`."""

    family = "explicit"
    members: nn.ModuleList

    def each(self) -> Iterator[Any]:
        yield from self.members

    def restore(self, state: dict[str, Tensor]) -> None:
        members: Any = self.members
        for k, member in enumerate(members):
            start = f"members.{k}."
            member.restore(
                {key.removeprefix(start): t for key, t in state.items() if key.startswith(start)}
            )
        super().restore(state)

    def initialise(self, generator: torch.Generator) -> None:
        members: Any = self.members
        for member in members:
            member.initialise(generator)


class WeightedSum(Members, DensityModel):
    """A sum of members with log p(x), weighed by what `log_weights` says of the variables that they do not see."""

    @abstractmethod
    def log_weights(self, evidence: Evidence) -> Tensor:
        """log of each member's weight together with the evidence outside the members, (batch, members), float64."""

    @abstractmethod
    def log_joint(self, x: Tensor) -> Tensor:
        """log w_k p_k(x), (batch, members), float64."""

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_joint(x).logsumexp(1)

    def inside(self, x: Tensor) -> Tensor:
        """Events as the members know them."""
        return x

    def outside(self, inner: Tensor, pick: Tensor) -> Tensor:
        """Events from what the members know of them and which member it is."""
        return inner


class TractableSum(WeightedSum, TractableModel):
    """A sum of tractable members."""

    @property
    def order(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.inner_order()

    def codes_inside(self, values: Tensor) -> Tensor:
        """A value for each code, (sum of codes,), of those of the members' variables."""
        return values

    def allowed_inside(self, allowed: Allowed) -> Allowed:
        """The same of the cells that members know."""
        return allowed

    def evidence_inside(self, evidence: Evidence) -> Evidence:
        """Evidence as the members know it."""
        allowed = evidence.allowed and self.allowed_inside(evidence.allowed)
        return Evidence(self.inside(evidence.x), self.inside(evidence.observed), allowed)

    def assemble(self, singles: Sequence[Single], log_weights: Tensor) -> Outcome:
        """The outcome of all variables from those of the members' variables and the members' weights in each row."""
        return join_variables(singles)

    def _add_measure(
        self, logs: Tensor, measure: Callable[[TractableModel, Tensor], Tensor]
    ) -> Tensor:
        """`logs` plus what `measure` says of each member and the rows, (rows,), in which it has a weight."""
        columns = []
        for k, member in enumerate(self.each()):
            rows = (logs[:, k] > -torch.inf).nonzero()[:, 0]
            own = torch.full_like(logs[:, k], -torch.inf)
            columns.append(
                own.index_put((rows,), measure(member, rows).double()) if len(rows) else own
            )
        return logs + torch.stack(columns, 1)

    def log_joint(self, x: Tensor) -> Tensor:
        inner = self.inside(x)
        logs = self.log_weights(Evidence.whole(x))
        return self._add_measure(logs, lambda member, rows: member.log_prob(inner[rows]))

    def _log_evidence(self, evidence: Evidence) -> Tensor:
        """log w_k p_k(evidence), (batch, members), float64."""
        inner, logs = self.evidence_inside(evidence), self.log_weights(evidence)
        return self._add_measure(logs, lambda member, rows: member.log_marginal(inner[rows]))

    @torch.no_grad()
    def log_marginal(self, evidence: Evidence) -> Tensor:
        return self._log_evidence(evidence).logsumexp(1)

    @torch.no_grad()
    def predict_given(self, evidence: Evidence) -> Outcome:
        logs = self._log_evidence(evidence.with_allowed(None)).log_softmax(1)
        inner = self.evidence_inside(evidence)
        outcomes = [member.predict_given(inner) for member in self.each()]
        variables = range(next(self.each()).schema.size)
        return self.assemble(
            [mix_outcomes([o.one(i) for o in outcomes], logs) for i in variables], logs
        )

    def inner_order(self) -> tuple[int, ...]:
        """The order of the members' variables: theirs, where they agree."""
        orders = {member.order for member in self.each()}
        return orders.pop() if len(orders) == 1 else tuple(range(next(self.each()).schema.size))

    def predict(self, x: Tensor) -> Outcome:
        order, inner = self.inner_order(), self.inside(x)
        running = self.log_weights(Evidence.whole(x))
        columns = zip(self.each(), (running > -torch.inf).unbind(1), strict=True)
        chains = [chain_where(member, inner, order, weighs) for member, weighs in columns]
        free = self.log_weights(Evidence.nothing(x))
        return self.assemble(chain_mixture(chains, inner, order, running), free)

    def unroll_inside(self, n: int, running: Tensor) -> Unrolled:
        """Unrolls the members' variables, from the members' log weights `running`, (n, members)."""
        order = self.inner_order()
        unrolled = [
            m.unroll(n) if m.order == order else unroll_in_order(m, order, n) for m in self.each()
        ]
        return unroll_in_step(unrolled, order, running)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        nothing = Evidence.nothing(torch.zeros(n, *self.schema.shape, device=device_of(self)))
        pick = gumbel_max(self.log_weights(nothing), generator)
        return self._fill_cells(
            nothing, pick, lambda member, rows: member.sample(len(rows), generator)
        )

    @torch.no_grad()
    def sample_given(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        pick = gumbel_max(self._log_evidence(evidence), generator)
        inner = self.evidence_inside(evidence)
        return self._fill_cells(
            evidence, pick, lambda member, rows: member.sample_given(inner[rows], generator)
        )

    def propose_completions(
        self, evidence: Evidence, weights: Tensor, generator: torch.Generator
    ) -> list[Tensor]:
        """The most probable completion of each member, and some draws."""
        found = super().propose_completions(evidence, weights, generator)
        inner, own = self.evidence_inside(evidence), self.codes_inside(weights)
        for k, member in enumerate(self.each()):
            if isinstance(member, DecomposableModel):
                pick = torch.full((len(evidence),), k, device=evidence.x.device)
                whole = self.outside(member.complete(inner, own), pick)
                found.append(evidence.fill(whole))
        return found

    def _fill_cells(
        self, evidence: Evidence, pick: Tensor, draw: Callable[[TractableModel, Tensor], Tensor]
    ) -> Tensor:
        """Events whose unobserved cells each row's picked member draws."""
        drawn = self.inside(evidence.x).clone()
        for k, member in enumerate(self.each()):
            rows = (pick == k).nonzero()[:, 0]
            if len(rows):
                drawn[rows] = draw(member, rows)
        return evidence.fill(self.outside(drawn, pick))


def unrolls_as_one(model: Any) -> bool:
    """True where a model is autoregressive and its parts, and theirs, are unrolled in one order."""
    if not isinstance(model, AutoregressiveModel) or not isinstance(model, Members):
        return isinstance(model, AutoregressiveModel)
    members = list(model.each())
    return len({member.order for member in members}) == 1 and all(
        unrolls_as_one(member) for member in members
    )


def find_model_class(name: str, known: type[Any] = Model) -> type[Any]:
    """The model class of that name among all that are loaded. ValueError where there is none."""
    for kind in known.__subclasses__():
        if kind.__name__ == name:
            return kind
        try:
            return find_model_class(name, kind)
        except ValueError:
            continue
    raise ValueError(f"there is no model {name!r}")


def build_members(schema: Schema, parts: Sequence[Sequence[Any]]) -> nn.ModuleList:
    """Models from their class names and arguments."""
    return nn.ModuleList([find_model_class(name)(schema, **arguments) for name, arguments in parts])


class FreeWeights(Members):
    """sum_k w_k p_k(x) with free weights. `parts` gives the class name and the arguments of each component."""

    formula = "those of its parts and K - 1"
    objective = MaximumLikelihood()

    def __init__(
        self, schema: Schema, parts: Sequence[Sequence[Any]], weights: Sequence[float]
    ) -> None:
        super().__init__()
        self.schema, self.parts, self.weights = schema, list(parts), list(weights)
        self.members, self.logits = (
            build_members(schema, parts),
            nn.Parameter(weight_logits(weights)),
        )

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        pick = gumbel_max(free_log_weights(self.logits).expand(n, -1), generator)
        x = torch.zeros(n, *self.schema.shape, device=self.logits.device)
        for k, member in enumerate(self.each()):
            rows = (pick == k).nonzero()[:, 0]
            if len(rows):
                x[rows] = member.sample(len(rows), generator)
        return x

    def log_weights(self, evidence: Evidence) -> Tensor:
        return free_log_weights(self.logits).expand(len(evidence), -1)


class TractableMixture(FreeWeights, TractableSum):
    """A mixture of tractable models."""

    def unroll(self, n: int) -> Unrolled:
        return self.unroll_inside(n, free_log_weights(self.logits).detach().expand(n, -1))


class DensitySum(FreeWeights, WeightedSum):
    """A sum of models that know log p(x)."""

    def log_joint(self, x: Tensor) -> Tensor:
        logs = torch.stack([member.log_prob(x).double() for member in self.each()], 1)
        return free_log_weights(self.logits) + logs


class DensityMixture(DensitySum):
    """A mixture of models that know log p(x), in other orders or in none."""


class AutoregressiveMixture(DensitySum, AutoregressiveModel):
    """A mixture of autoregressive models of one order."""

    def __init__(
        self, schema: Schema, parts: Sequence[Sequence[Any]], weights: Sequence[float]
    ) -> None:
        super().__init__(schema, parts, weights)
        self.order = next(self.each()).order

    def predict(self, x: Tensor) -> Outcome:
        chains = [chain_conditionals(member, x, self.order) for member in self.each()]
        weights = free_log_weights(self.logits).expand(len(x), -1)
        return join_variables(chain_mixture(chains, x, self.order, weights))

    def unroll(self, n: int) -> Unrolled:
        running = free_log_weights(self.logits).detach().expand(n, -1)
        return unroll_in_step([member.unroll(n) for member in self.each()], self.order, running)


class MixtureOfBounds(FreeWeights):
    """A mixture of models that bound log p(x) from below; its own bound is the mixture of theirs."""

    def log_bound(self, x: Tensor, generator: torch.Generator) -> Tensor:
        logs = torch.stack([member.log_bound(x, generator) for member in self.each()], 1)
        return (free_log_weights(self.logits) + logs).logsumexp(1)


def mixture(components: Sequence[Any], weights: Sequence[float]) -> FreeWeights:
    """The mixture of models of one schema with positive weights; its class is what its parts allow.

    It holds copies. ValueError where the parts do not fit together.
    """
    positive = all(weight > 0 for weight in weights)
    if not components or len(components) != len(weights) or not positive:
        raise ValueError("a mixture needs at least one component, and a positive weight for each")
    if any(component.schema != components[0].schema for component in components):
        raise ValueError("the components of a mixture are of one schema")
    parts = [[type(component).__name__, component.arguments] for component in components]
    made = mixture_class(components)(components[0].schema, parts, weights)
    states = [component.state_dict() for component in components]
    inner = {
        f"members.{k}.{name}": t for k, state in enumerate(states) for name, t in state.items()
    }
    made.restore(inner | {"logits": made.logits.detach()})
    targets = {component.target for component in components}
    made.target = targets.pop() if len(targets) == 1 else None
    return made


def mixture_class(components: Sequence[object]) -> type[FreeWeights]:
    """The class of a mixture of such components."""
    if all(isinstance(component, TractableModel) for component in components):
        return TractableMixture
    orders = {
        component.order for component in components if isinstance(component, AutoregressiveModel)
    }
    if len(orders) == 1 and all(
        isinstance(component, AutoregressiveModel) for component in components
    ):
        return AutoregressiveMixture
    if all(isinstance(component, DensityModel) for component in components):
        return DensityMixture
    if all(isinstance(component, BoundedModel) for component in components):
        return MixtureOfBounds
    raise ValueError("a component has no likelihood")
