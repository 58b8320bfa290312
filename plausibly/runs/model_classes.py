"""Which class a model's name stands for: plausibly's, an ensemble's, or one that the user names."""

from __future__ import annotations

from pathlib import Path

from plausibly import models
from plausibly.capabilities import Trainable
from plausibly.errors import UserError, did_you_mean
from plausibly.families import mixtures
from plausibly.models import MODELS
from plausibly.runs import user_models
from plausibly.runs.record import BEST, ENSEMBLE, Record


def record_class(
    record: Record, path: Path, model: str | type[Trainable] | None = None
) -> type[Trainable]:
    """The model class of a record; one that is not plausibly's only as the user names it."""
    if record.code is not None:
        return user_models.resolve_model_class(record.code, path, model)
    if model is not None and (not isinstance(model, str) or model != record.model):
        raise UserError(
            f"{path} was fitted with {record.model}, which comes with plausibly: leave --model out"
        )
    if record.model == ENSEMBLE:
        try:
            return mixtures.find_model_class(record.form, mixtures.FreeWeights)
        except ValueError as error:
            raise UserError(
                f"{path} holds no ensemble yet; go on with `plausibly fit --resume {path}`"
            ) from error
    if record.model == BEST:
        raise UserError(f"{path} holds no model yet; go on with `plausibly fit --resume {path}`")
    return builtin_model(record.model)


def model_class(name: object) -> type[Trainable]:
    """The model of that name, of that `FILE.py:CLASS`, or that class itself. UserError names the known ones."""
    if isinstance(name, type):
        return user_models.require_model(name, name.__module__)
    if isinstance(name, str) and models.is_reference(name):
        return user_models.read_model(name)
    return builtin_model(name)


def builtin_model(name: object) -> type[Trainable]:
    """The model of plausibly's with that name: all that a record can name. UserError names the known ones."""
    if not isinstance(name, str) or name not in MODELS:
        raise UserError(
            f"there is no model {name!r}{did_you_mean(str(name), MODELS)}; "
            f"models: {', '.join(MODELS)}; {models.REFERENCE_FORM}"
        )
    return MODELS[name]
