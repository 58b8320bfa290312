"""Labels and numbers of one column, told from the rest of each row and compared with those that are known."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from plausibly.capabilities import AnyOrderModel, Trainable, Variational, device_of
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.data.questions import variable_named
from plausibly.errors import UserError
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.answers.regression import Regression, evaluate_regression
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.classify import classify
from plausibly.tasks.query import query


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
    model: Trainable, format: Format, events: Events, present: Collection[str], i: int
) -> Classification:
    """p(label | the rest of the row) of questions, by variable `i`; `present` names the columns that there are."""
    kind = model.schema.kinds[i]
    assert isinstance(kind, Category)
    asked = take_holes_as_evidence(model, format, events, i, present)
    found, rows = classify(model, asked, i), asked.flatten()
    truth = torch.where(rows.observed[:, i], rows.x[:, i].long(), -1)
    return Classification(
        name_labels(format, i, kind),
        found.log_probs[:, : kind.regular].softmax(1).numpy(),
        torch.where(truth < kind.regular, truth, -1).numpy(),
        found.effective,
        classify.word(type(model)) or "",
        events.groups,
    )


def name_labels(format: Format, i: int, kind: Category) -> tuple[str, ...]:
    """The levels of variable `i` as the data spell them, or their codes: an array's columns are described together."""
    named = {c["name"]: c["levels"] for c in format.describe() if "levels" in c}
    return tuple(map(str, named.get(format.names[i], range(kind.regular))))


def regress_rows(
    model: Trainable,
    format: Format,
    events: Events,
    present: Collection[str],
    i: int,
    seed: int,
    particles: int,
) -> Regression:
    """The distribution of variable `i` given the rest of each row; `present` names the columns that there are."""
    asked = take_holes_as_evidence(model, format, events, i, present).without(i)
    noise = generator_for(device_of(model), seed, Stream.REGRESSIONS)
    found = query(model, asked, i, noise, particles)
    return evaluate_regression(format, events, i, found, np.random.default_rng((seed, 3)))


def take_holes_as_evidence(
    model: Trainable, format: Format, events: Events, target: int, present: Collection[str]
) -> Evidence:
    """Rows as evidence, of which a hole of a column that is there is a part.

    It is the code of holes, or that of what is not foreseen. UserError where the model must know what is not.
    """
    rows = events.evidence().flatten()
    codes, observed = rows.x.clone(), rows.observed.clone()
    for i, kind in enumerate(model.schema.kinds):
        unknown = ~observed[:, i]
        if i == target or not unknown.any():
            continue
        if format.names[i] in present and (kind.missing or kind.open):
            codes[unknown, i] = codes.new_tensor(kind.event_of_hole)
            observed[:, i] = True
        elif not isinstance(model, AnyOrderModel | Variational):
            row = int(unknown.nonzero()[0, 0]) + 1
            raise UserError(
                f"row {row}, column {format.names[i]!r}: a hole, where there was none in training"
            )
    shape = events.codes.shape
    return Evidence(codes.view(shape), observed.view(shape))
