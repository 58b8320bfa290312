"""A model before its first step, and the record of a run that begins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch

from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.runs import forms
from plausibly.runs.building import build, instantiate
from plausibly.runs.record import Origin, Record, make_record
from plausibly.system.threads import one_thread
from plausibly.system.versions import versions
from plausibly.training.loop import prepare


def initial_record(dataset: Dataset, origin: Origin, seed: int, **own: Any) -> Record:
    """The record of any run when it begins, with what it says of its `own` model last."""
    begun = {
        "plausibly_run": forms.RECORD_FORM,
        "status": "running",
        "files_sha256": {},
        "seed": seed,
        "data": origin.to_json(),
        "notes": dataset.notes,
        "rows": dataset.rows,
        "versions": versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "format": dataset.format.to_json(),
    }
    return make_record(begun | own)


def sketch_model(kind: type[Trainable], dataset: Dataset, arguments: dict[str, Any]) -> Trainable:
    """The model, without memory for its parameters."""
    with torch.device("meta"):
        return instantiate(kind, dataset.schema, arguments)


def learns_by_steps(model: Trainable) -> bool:
    return bool(model.objective.turns(model))


def build_untrained(
    kind: type[Trainable], dataset: Dataset, arguments: dict[str, Any], seed: int
) -> Trainable:
    """The model before its first step: weights from the seed, outputs at the marginals of the training rows.

    The same to the bit, however many threads train it.
    """
    model = build(kind, dataset.schema, arguments)
    with one_thread():
        prepare(model, dataset.train.codes, seed)
    return model
