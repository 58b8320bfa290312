"""A mixture whose component is observed, p(y, x) = p(y) p_y(x): one finite variable, the label, says which part it is.

With independent parts this is naive Bayes, with normal ones quadratic discriminant analysis (Fisher 1936; Maron 1961).
The parts learn at the same time, each from the rows of its class; a class without rows learns from all. p(y) is counted,
with 1 / K added for each of K codes (Perks 1947). A label never seen is the mixture of all that were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plausibly.capabilities import TractableModel, Unrolled
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema
from plausibly.families.mixtures import TractableSum, find_model_class, free_log_weights
from plausibly.networks.heads import free_logits, insert_share, place_of_unseen
from plausibly.objectives import Objective, Pass
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import join_variables


class Stratified(TractableSum):
    """`part` is the class name of the parts, `settings` their arguments, `context` the place of the label.

    The order is the label, then the others in the parts' order.
    """

    formula = "2 (parts of n - 1) + 1"

    def __init__(
        self,
        schema: Schema,
        part: str,
        context: Sequence[int],
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.part, self.objective = schema, part, Strata()
        self.context, self.settings = tuple(context), dict(settings or {})
        if reason := stratification_refusal(find_model_class(part), schema, self.context):
            raise ValueError(reason)
        (self.label,) = self.context
        self.rest = [i for i in range(schema.size) if i != self.label]
        inner, make = schema.first(tuple(self.rest)), find_model_class(part)
        kind = schema.kinds[self.label]
        self.unseen = place_of_unseen(kind) if kind.unforeseen else None
        self.codes = [code for code in range(kind.codes) if code != self.unseen]  # of the members
        self.members = nn.ModuleList([make(inner, **self.settings) for _ in self.codes])
        self.logits = nn.Parameter(torch.zeros(len(self.members) - 1))

    def each(self) -> Iterator[Any]:
        """The part of every label: of one never seen, all parts together."""
        parts = list(self.members)
        if self.unseen is not None:
            parts.insert(self.unseen, PooledStrata(self.members, self.logits))
        yield from parts

    def log_labels(self) -> Tensor:
        """log p(y), (codes,), float64."""
        share = self.schema.chance_unforeseen[self.label].to(self.logits.device)
        return insert_share(free_log_weights(self.logits), self.unseen, share)

    @property
    def order(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.label, *(self.rest[i] for i in self.inner_order()))

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        label = x.flatten(1)[:, self.label].long()
        return self.log_prob(x) - self.log_labels()[label]

    def log_weights(self, evidence: Evidence) -> Tensor:
        """log p(y), minus infinity for the labels that the evidence rules out."""
        logs, rows = self.log_labels(), evidence.flatten()
        codes = torch.arange(len(logs), device=logs.device)
        seen, label = rows.observed[:, self.label, None], rows.x[:, self.label, None]
        free = rows.allowed_by_variable(self.schema.codes)[self.label].log_shares
        return logs + torch.where(seen, (label == codes).log(), free)

    def inside(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.rest]

    def codes_inside(self, values: Tensor) -> Tensor:
        each = values.split(list(self.schema.codes))
        return torch.cat([each[i] for i in self.rest])

    def allowed_inside(self, allowed: Allowed) -> Allowed:
        return allowed.some(self.rest, self.schema.codes)

    def outside(self, inner: Tensor, pick: Tensor) -> Tensor:
        x = torch.empty(len(inner), self.schema.size, device=inner.device)
        x[:, self.rest], x[:, self.label] = inner, pick.to(x.dtype)
        return x.reshape(-1, *self.schema.shape)

    def assemble(self, singles: Sequence[Single], log_weights: Tensor) -> Outcome:
        all_of_them = list(singles)
        all_of_them.insert(self.label, Categorical(log_weights))
        return join_variables(all_of_them)

    def unroll(self, n: int) -> Unrolled:
        logs = self.log_labels().detach().expand(n, -1)
        label = yield self.label, Categorical(logs, self.unseen)
        known = torch.arange(logs.shape[1], device=logs.device) == label[:, None]
        unrolled = self.unroll_inside(n, logs.masked_fill(~known, -torch.inf))
        i, outcome = next(unrolled)
        try:
            while True:
                value = yield self.rest[i], outcome
                i, outcome = unrolled.send(value)
        except StopIteration as done:
            return self.outside(done.value, label)

    def set_labels(self, counts: Tensor) -> None:
        """Takes p(y) from how often each label occurs."""
        self.logits.data.copy_(free_logits(counts))

    def strata(self, x: Tensor) -> list[Tensor]:
        """The events of each class, as the parts see them."""
        inner, labels = self.inside(x), x.flatten(1)[:, self.label]
        return [inner[labels == code] for code in self.codes]


class PooledStrata(TractableSum):
    """The parts of all labels, weighed by these: what is said of a label never seen."""

    def __init__(self, members: nn.ModuleList, logits: nn.Parameter) -> None:
        super().__init__()
        self.members, self.logits = members, logits
        self.schema = next(self.each()).schema

    def log_weights(self, evidence: Evidence) -> Tensor:
        return free_log_weights(self.logits).expand(len(evidence), -1)

    def unroll(self, n: int) -> Unrolled:
        return self.unroll_inside(n, free_log_weights(self.logits).detach().expand(n, -1))


class Strata(Objective):
    """The passes of all parts side by side."""

    def passes(self, model: Stratified) -> list[Pass]:
        members: Any = model.members
        together = zip(*(member.objective.passes(member) for member in members), strict=True)
        return [StrataPass(model, parts).whole for parts in together]


class StrataPass:
    """One pass of every part: sums are those of the parts one after the other, then the counts of the labels."""

    def __init__(self, model: Stratified, parts: Sequence[Pass]) -> None:
        self.model, self.parts = model, parts
        self.whole = Pass(parts[0].name, self.sums, self.update)

    def sums(self, x: Tensor) -> Tensor:
        strata = self.model.strata(x)
        own = [part.sums(rows) for part, rows in zip(self.parts, strata, strict=True)]
        self.shapes = [sums.shape for sums in own]
        rows = torch.tensor([len(rows) for rows in strata], dtype=torch.float64, device=x.device)
        return torch.cat([*(sums.flatten() for sums in own), rows])

    def update(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        *flat, rows = sums.split([*(shape.numel() for shape in self.shapes), len(self.parts)])
        self.model.set_labels(rows)
        own = [one.view(shape) for one, shape in zip(flat, self.shapes, strict=True)]
        strata = list(zip(*(self.model.strata(x) for x in validation), strict=True)) or [()] * len(
            own
        )
        for part, part_sums, count, parts in zip(
            self.parts, own, rows.tolist(), strata, strict=True
        ):
            part.update(
                part_sums if count else sum(own, start=torch.zeros_like(own[0])),
                [v for v in parts if len(v)],
            )


def stratification_refusal(
    model: type[TractableModel], schema: Schema, context: Sequence[int], name: str = "the context"
) -> str | None:
    """Why the model cannot have these variables, called `name`, as its context, or None."""
    if len(context) != 1 or not 0 <= context[0] < schema.size:
        return f"{len(context)} variables are the context; counting models take one label"
    if schema.kinds[context[0]].continuous:
        return f"{name} is a real number; the context of a counting model is a label"
    if schema.size == 1:
        return "there is nothing beside the label"
    return model.accepts(schema.first(tuple(i for i in range(schema.size) if i != context[0])))


def stratify(
    model: type[TractableModel],
    schema: Schema,
    context: Sequence[int],
    settings: dict[str, Any] | None = None,
) -> Stratified:
    """p(y) p_y(x) with one `model` a label; `context` is the label's place. ValueError where that cannot be."""
    return Stratified(schema, model.__name__, context, settings)
