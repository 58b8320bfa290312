"""The probability of each label of a row: p(y | x), by Bayes' rule from the joint p(x, y).

    p(y | x) = p(x, y) / sum_y' p(x, y')

A density of x and y classifies, whatever its order: given the label first (generative, p(y) p(x | y)), or the label last
(discriminative, p(y | x) directly). A model of all orders is asked for p(y | x) itself, and answers approximately. With
latents it is an estimate, by weighted draws of these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    DensityModel,
    TractableModel,
    Variational,
    device_of,
)
from plausibly.events.batches import batches
from plausibly.events.evidence import Evidence
from plausibly.families.proposals import EffectiveSampleSize
from plausibly.outcomes.outcome import Single
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks import Task
from plausibly.tasks.query import OrderedQuery, query, word_in_order

DRAWS_PER_ROW = 128  # of latents, for each row
PARTICLES = 1000  # for each row in which too much is unknown to be summed out


class LabelLogProbs(NamedTuple):
    """log p of each label, (rows, codes of the target) float64; and, of draws by weight, how many tell something."""

    log_probs: Tensor
    effective: EffectiveSampleSize | None = None


classify: Task[Any] = Task("classify", "it has no exact log p(x) to compare labels by")


@classify.rule(TractableModel, "exact")
@classify.rule(AnyOrderModel, "approximate")
@torch.no_grad()
def classify_by_conditionals(
    model: AnyOrderModel, evidence: Evidence, target: int
) -> LabelLogProbs:
    """p(label | the observed others); what is not observed is summed out."""
    parts, labels = [], model.schema.codes[target]
    for part in evidence.without(target).batches(512, device_of(model)):
        outcome = model.predict_given(part).one(target)
        parts.append(code_log_probs(outcome, len(part), labels, part.x))
    return LabelLogProbs(torch.cat(parts).log_softmax(1))


@classify.rule(AutoregressiveModel, "exact", word_in_order)
@torch.no_grad()
def classify_in_order(
    model: AutoregressiveModel, evidence: Evidence, target: int, query: OrderedQuery | None = None
) -> LabelLogProbs:
    """p(label | the observed others). What is not observed is summed out, or drawn by weight where it has many values.

    `query` asks for several batches.
    """
    asked = evidence.without(target).flatten()
    if bool(asked.with_known(target, 0.0).observed.all()):
        return classify_by_densities(model, evidence, target)
    device = device_of(model)
    if query is None:
        noise = generator_for(device, Stream.CLASSIFICATIONS)
        query = OrderedQuery(model, target, noise, PARTICLES)
    found, rows = query.ask(asked), len(asked)
    logs = code_log_probs(found.outcome, rows, model.schema.codes[target], asked.x[:0].to(device))
    return LabelLogProbs(logs.log_softmax(1), found.effective)


@classify.rule(DensityModel, "exact")
@torch.no_grad()
def classify_by_densities(model: DensityModel, evidence: Evidence, target: int) -> LabelLogProbs:
    """p(label | all others), which must all be known."""
    parts, labels = [], model.schema.codes[target]
    for x in batches(evidence.x):
        x = x.to(device_of(model)).clone()  # each label is put into it
        if isinstance(model, AutoregressiveModel) and model.order[-1] == target:
            parts.append(code_log_probs(model.predict(x).one(target), len(x), labels, x))
            continue
        columns = []
        for code in range(labels):
            x.flatten(1)[:, target] = code
            columns.append(model.log_prob(x).double().cpu())
        parts.append(torch.stack(columns, 1))
    return LabelLogProbs(torch.cat(parts).log_softmax(1))


@classify.rule(Variational, "estimate")
@torch.no_grad()
def classify_by_latents(model: Variational, evidence: Evidence, target: int) -> LabelLogProbs:
    """p(label | the observed others); what is not observed is averaged out."""
    asked, labels, device = evidence.without(target), model.schema.codes[target], device_of(model)
    draws = DRAWS_PER_ROW * (
        labels if target in model.context else 1
    )  # there each label has draws of its own
    found = query(model, asked, target, generator_for(device, Stream.CLASSIFICATIONS), draws)
    logs = code_log_probs(found.outcome, len(asked), labels, asked.x[:0].to(device))
    return LabelLogProbs(logs.log_softmax(1), found.effective)


def code_log_probs(outcome: Single, rows: int, labels: int, x: Tensor) -> Tensor:
    """log p of every code of one variable, (rows, labels) float64."""
    codes = torch.arange(labels, dtype=torch.float32, device=x.device)
    return torch.stack([outcome.log_prob(code.expand(rows)).double().cpu() for code in codes], 1)
