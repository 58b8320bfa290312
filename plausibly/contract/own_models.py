"""A user's own model is held to the contract before it learns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import log

import torch

from plausibly.capabilities import Trainable
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.contract.draws import random_events
from plausibly.contract.result import Result, failure
from plausibly.errors import BrokenPromises
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS, model_name
from plausibly.training.loop import Training, fit_by_counting, prepare
from plausibly.training.plan import Plan


def hold_to_contract(kind: type[Trainable], schema: Schema) -> None:
    """Runs the contract on tiny instances. BrokenPromises has a line for each promise that does not hold.

    Plausibly's own models are tested elsewhere.
    """
    if kind in MODELS.values():
        return
    if broken := find_broken(kind, schema):
        raise BrokenPromises(
            [*broken, f"{model_name(kind)} is not trained: its numbers would not hold"]
        )


@lru_cache(64)  # an estimator is fitted many times
def find_broken(kind: type[Trainable], schema: Schema) -> tuple[str, ...]:
    """A line for each promise that does not hold, the first time that it does not."""
    broken: dict[str, str] = {}
    for small in small_schemas(kind, schema):
        for result in check_tiny_model(kind, small):
            if result.broken:
                broken.setdefault(
                    result.name, f"{model_name(kind)} breaks {result.name}: {_measure_line(result)}"
                )
    return tuple(broken.values())


def _measure_line(result: Result) -> str:
    if result.value != result.value:  # it raised
        return result.says
    return f"{result.says}: {result.value:.3g}, tolerance {result.tolerance:.3g}"


def small_schemas(kind: type[Trainable], schema: Schema) -> list[Schema]:
    """The data's own schema where its events can be listed, else its first variables and a few that are like any data."""
    if schema.log_events <= log(4096):
        return [schema]
    image = len(schema.shape) == 3
    few = (
        Schema((schema.shape[0], 2, 2), schema.kinds[: schema.shape[0] * 4])
        if image
        else schema.first(_few_variables(schema))
    )
    table = Schema(
        (3,), (Category(levels=3, open=True, missing=True), Category(levels=2), Level(levels=4))
    )
    pixels = Schema((1, 2, 3), (Level(levels=3),) * 6)
    accepted = [each for each in (few, binary(6), table, pixels) if kind.accepts(each) is None]
    return accepted or [schema]


def _few_variables(schema: Schema) -> tuple[int, ...]:
    """Up to three variables, those with few codes first."""
    return tuple(sorted(sorted(range(schema.size), key=lambda i: schema.codes[i])[:3]))


def check_tiny_model(kind: type[Trainable], schema: Schema) -> Iterator[Result]:
    """The contract's results on a tiny instance with shaken weights, and whether it learns."""
    try:
        model = shake_weights(kind.tiny(schema))
    except Exception as error:
        yield failure("can_be_built", error)
        return
    yield from run_checks(model)
    try:
        yield can_learn(model)
    except Exception as error:
        yield failure("learns", error)


def can_learn(model: Trainable) -> Result:
    """Two steps, or all passes, on random events leave the tensors finite and can be validated."""
    events = random_events(model.schema, 64, 12).view(-1, *model.schema.shape)
    prepare(model, events, 0)
    if model.objective.turns(model):
        training = Training(model, events, events[:16], Plan(2, every=1))
        seen = list(training.run())
        training.finish()
    else:
        seen = list(fit_by_counting(model, events, events[:16]))
    faults = sum(not bool(t.isfinite().all()) for t in model.state_dict().values()) + (not seen)
    faults += sum(not torch.tensor(progress.validation).isfinite() for progress in seen)
    says = "tensors and validations that are not finite after two steps, or none"
    return Result("learns", faults == 0, float(faults), 0.0, says)
