"""A model from its class, a schema and arguments, as run.json keeps them.

An argument `context` goes to models that take one; of any other tractable model it makes one for each label (Stratified).
An argument `target` goes to models whose order is free; any other one has it noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from plausibly.capabilities import TractableModel, Trainable
from plausibly.errors import UserError, did_you_mean
from plausibly.events.schema import Schema
from plausibly.families.stratified import Stratified, stratification_refusal, stratify
from plausibly.models import model_name

MAX_PARAMETERS = 2_000_000_000  # parameters
GENERAL_ARGUMENTS = ("context", "target")  # of every model


def takes_context(kind: type[Trainable]) -> bool:
    return "context" in signature(kind).parameters


def building_refusal(
    kind: type[Trainable], schema: Schema, context: Sequence[int] = (), names: Sequence[str] = ()
) -> str | None:
    """Why the model cannot be built for such data, given such a context, or None; with `names` of variables, where known."""
    if not context or takes_context(kind):
        return kind.accepts(schema)
    if not issubclass(kind, TractableModel):
        return f"{model_name(kind)}: it takes no context"
    called = [names[context[0]]] if names else []
    reason = stratification_refusal(kind, schema, context, *called)
    return None if reason is None else reason if ": " in reason else f"{model_name(kind)}: {reason}"


def instantiate(kind: type[Trainable], schema: Schema, arguments: dict[str, Any]) -> Trainable:
    """The model, without a look at whether it can be."""
    context, own = arguments.get("context"), signature(kind).parameters
    settings = {
        key: value
        for key, value in arguments.items()
        if key not in GENERAL_ARGUMENTS or (key in own and value is not None)
    }
    if context and not takes_context(kind):
        assert issubclass(kind, TractableModel)
        model: Trainable = stratify(kind, schema, context, settings)
    else:
        model = kind(schema, **settings)
    if arguments.get("target") is not None:
        model.target = arguments["target"]
    return model


def arguments_of(model: Trainable) -> dict[str, Any]:
    """The arguments that make this model again from its class, as JSON can hold them."""
    own = model.arguments
    if isinstance(model, Stratified):
        own = {"context": list(model.context), **model.settings}
    return own if model.target is None else own | {"target": model.target}


def build(kind: type[Trainable], schema: Schema, arguments: dict[str, Any]) -> Trainable:
    """A new model. UserError for an unknown argument or one out of range."""
    name, known = (
        model_name(kind),
        [parameter for parameter in signature(kind).parameters if parameter != "schema"],
    )
    for argument in arguments:
        if argument not in (*known, *GENERAL_ARGUMENTS):
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UserError(
                f"{name} has no argument {argument!r}{did_you_mean(argument, known)}; {takes}"
            )
    context = arguments.get("context") or ()
    if not isinstance(context, list | tuple) or not all(type(place) is int for place in context):
        raise UserError(f"{name}: context = {context!r}; it is a list of places of variables")
    target = arguments.get("target")
    if target is not None and (type(target) is not int or target not in range(schema.size)):
        raise UserError(f"{name}: target = {target!r}; it is the place of a variable")
    if reason := building_refusal(kind, schema, context):
        raise UserError(f"{reason}: not for this data; `plausibly models` lists those that fit")
    try:
        with torch.device("meta"):
            elements = sum(p.numel() for p in instantiate(kind, schema, arguments).parameters())
        if elements > MAX_PARAMETERS:
            raise ValueError(f"{name}: {elements:,} parameters")
        return instantiate(kind, schema, arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} cannot be built: {error}") from error


def check_size(
    kind: type[Trainable], schema: Schema, arguments: dict[str, Any], weights: Path
) -> None:
    """UserError where the file cannot hold this model's tensors, before anything is allocated for them."""
    with torch.device("meta"):
        expected = sum(t.numel() for t in instantiate(kind, schema, arguments).parameters())
    with safe_open(weights, "pt") as file:
        held = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    if expected > 16 * (held + 1024):
        raise UserError(
            f"{weights} holds {held:,} numbers, but run.json asks for a model of {expected:,}"
        )
