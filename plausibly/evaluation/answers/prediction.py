"""Labels and numbers of one column, told from the rest of each row and compared with those that are known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    Trainable,
    Variational,
    device_of,
)
from plausibly.data.events import Events, RowProgress, ignore_progress
from plausibly.data.formats.following_blocks import RestoredVariable
from plausibly.data.formats.format import Format
from plausibly.data.questions import Question, variable_named
from plausibly.errors import UserError
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.answers.regression import (
    Regression,
    evaluate_regression,
    join_regressions,
)
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category
from plausibly.families.proposals import EffectiveSampleSize, join_effective_sizes
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks import Task, grade_word
from plausibly.tasks.classify import PARTICLES, classify
from plausibly.tasks.query import OrderedQuery, QueryOutcome, query

ROWS_AT_ONCE = 512  # rows that are asked together, after which progress is told


def find_target(model: Trainable, format: Format, name: str | None) -> int:
    """The variable of that name, else the run's target, its lone context, or the lone variable that it models.

    UserError where there is none of these.
    """
    if name is not None:
        return variable_named(format, name)
    if model.target is not None:
        return model.target
    rest = [i for i in range(model.schema.size) if i not in model.context]
    for lone in (model.context, rest):
        if len(lone) == 1:
            return lone[0]
    raise UserError(
        f"which column holds the labels? --target NAME says so; columns: {', '.join(format.names[:20])}"
    )


def find_label_target(model: Trainable, format: Format, name: str | None) -> int:
    """The same. UserError where the variable has no labels."""
    i = find_target(model, format, name)
    kind = model.schema.kinds[i]
    if not isinstance(kind, Category) or kind.rare:
        raise UserError(
            f"{format.names[i]!r} has no labels, each with a code of its own; a column of few levels has"
        )
    return i


def find_number_target(model: Trainable, format: Format, name: str | None) -> int:
    """The same. UserError where the variable holds no numbers."""
    i = find_target(model, format, name)
    if not model.schema.kinds[i].ordered:
        raise UserError(
            f"{format.names[i]!r} holds no number; `classify` tells how probable its levels are"
        )
    return i


def classify_rows(
    model: Trainable, format: Format, asked: Question, on_progress: RowProgress = ignore_progress
) -> Classification:
    """p(label | the rest of the row), as `ask_rows` asks. UserError where the model must know what is not."""
    kind, i = model.schema.kinds[asked.target], asked.target
    assert isinstance(kind, Category)
    require_known(model, format, asked)
    noise = generator_for(device_of(model), Stream.CLASSIFICATIONS)
    shared = {"query": OrderedQuery(model, i, noise, PARTICLES)} if has_one_order(model) else {}
    chances = np.empty((len(asked.evidence), kind.regular))
    told = list[EffectiveSampleSize | None]()
    for places in rows_alike(model, asked, on_progress):
        found = classify(model, asked.evidence[places], i, **shared)
        chances[places] = found.log_probs[:, : kind.regular].softmax(1)
        told.append(found.effective)
    rows = asked.evidence.flatten()
    truth = torch.where(rows.observed[:, i], rows.x[:, i].long(), -1)
    if isinstance(variable := format.variable_in(asked.events, i), RestoredVariable):
        codes = np.stack([variable.codes_of(level) for level in range(kind.regular)], 1)
        chances = np.take_along_axis(chances, codes, 1)
        truth = torch.from_numpy(restore_levels(truth.numpy(), codes))
    return Classification(
        name_labels(format, i, kind),
        chances,
        torch.where(truth < kind.regular, truth, -1).numpy(),
        join_effective_sizes(told),
        word_for_rows(classify, model, asked) or "",
        asked.events.groups,
    )


def restore_levels(codes: np.ndarray, codes_of_levels: np.ndarray) -> np.ndarray:
    """The level of each row's code, of which `codes_of_levels` (rows, levels) are those of its levels; others as they are."""
    levels = (codes[:, None] == codes_of_levels).argmax(1)
    return np.where((codes[:, None] == codes_of_levels).any(1), levels, codes)


def has_one_order(model: Trainable) -> TypeGuard[AutoregressiveModel]:
    """True of a model that answers along its order."""
    return isinstance(model, AutoregressiveModel) and not isinstance(model, AnyOrderModel)


def rows_alike(
    model: Trainable, asked: Question, on_progress: RowProgress = ignore_progress
) -> Iterator[Tensor]:
    """The places of rows that are asked together, (some,): of a model of one order those that know the same cells."""
    known, done = asked.evidence.without(asked.target).observed.flatten(1), 0
    if not has_one_order(model) or not len(known):
        yield torch.arange(len(known))
        return
    patterns, owner = known.unique(dim=0, return_inverse=True)
    on_progress(0, len(known))
    for pattern in range(len(patterns)):
        for places in (owner == pattern).nonzero()[:, 0].split(ROWS_AT_ONCE):
            yield places
            done += len(places)
            on_progress(done, len(known))


def name_labels(format: Format, i: int, kind: Category) -> tuple[str, ...]:
    """The levels of variable `i` as the data spell them, or their codes: an array's columns are described together."""
    named = {c["name"]: c["levels"] for c in format.describe() if "levels" in c}
    return tuple(map(str, named.get(format.names[i], range(kind.regular))))


def regress_rows(
    model: Trainable,
    format: Format,
    asked: Question,
    seed: int,
    particles: int,
    on_progress: RowProgress = ignore_progress,
) -> Regression:
    """The distribution of the number given the rest of each row, as `ask_rows` asks. UserError as above."""
    require_known(model, format, asked)
    noise = generator_for(device_of(model), seed, Stream.REGRESSIONS)
    evidence, i = asked.evidence.without(asked.target), asked.target
    ask: Callable[[Evidence], QueryOutcome] = partial(
        query, model, target=i, generator=noise, particles=particles
    )
    if has_one_order(model):
        ask = OrderedQuery(model, i, noise, particles).ask
    chance, parts, order = np.random.default_rng((seed, 3)), list[Regression](), list[Tensor]()
    for places in rows_alike(model, asked, on_progress):
        found, events = ask(evidence[places]), asked.events[places]
        parts.append(evaluate_regression(format, events, i, found, chance))
        order.append(places)
    return join_regressions(parts, torch.cat(order).argsort().numpy())


def ask_rows(format: Format, events: Events, present: Collection[str], target: int) -> Question:
    """The question about variable `target` in rows; `present` names the columns that there are.

    A hole of these is a part of the evidence: the code of holes, or that of what is not foreseen.
    """
    rows = replace(events, early=None).evidence().flatten()
    codes, observed = rows.x.clone(), rows.observed.clone()
    for i, kind in enumerate(format.schema.kinds):
        unknown = ~observed[:, i]
        named = format.names[i] in present and (kind.missing or kind.open)
        if i != target and named and unknown.any():
            codes[unknown, i] = codes.new_tensor(kind.event_of_hole)
            observed[:, i] = True
    shape = events.codes.shape
    if events.early is not None:
        told = format.observe(events, observed.view(shape))
        return Question(told.evidence(), target, told)
    return Question(Evidence(codes.view(shape), observed.view(shape)), target, events)


def word_for_rows(task: Task[Any], model: Trainable, asked: Question) -> str | None:
    """The word for how good a model's answer is; None where it refuses, or must know what is not."""
    if find_unknown(model, asked) is not None:
        return None
    parts = [asked.evidence[places] for places in rows_alike(model, asked)]
    return min((task.word_for(model, part, asked.target) for part in parts), key=grade_word)


def find_unknown(model: Trainable, asked: Question) -> tuple[int, int] | None:
    """The first cell, as row and variable, that the model must know and that is not known; None where there is none."""
    unknown = ~asked.evidence.with_known(asked.target, 0.0).observed.flatten(1)
    if isinstance(model, AutoregressiveModel | Variational) or not unknown.any():
        return None
    i = int(unknown.any(0).nonzero()[0, 0])
    return int(unknown[:, i].nonzero()[0, 0]), i


def require_known(model: Trainable, format: Format, asked: Question) -> None:
    """UserError where the model must know what is not."""
    if (cell := find_unknown(model, asked)) is not None:
        row, i = cell
        raise UserError(
            f"row {row + 1}, column {format.names[i]!r}: a hole, where there was none in training"
        )
