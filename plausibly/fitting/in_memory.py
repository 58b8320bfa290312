"""A fit without a folder."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from plausibly import models
from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.fitting.settings import Settings, make_plan
from plausibly.fitting.untrained import build_untrained
from plausibly.runs.run import Run
from plausibly.training.loop import Training, fit_by_counting


def fit_in_memory(kind: type[Trainable], dataset: Dataset, chosen: Settings) -> Run:
    """Trains to the end without a folder: nothing is written, tested, or can be taken up again."""
    model = build_untrained(kind, dataset, chosen.arguments, chosen.seed).to(chosen.device)
    train = dataset.train.codes
    valid = dataset.valid.codes
    if model.objective.turns(model):
        plan = make_plan(chosen, model, dataset)
        training = Training(model, train, valid, plan, dataset.format.names)
        deque(training.run(), maxlen=0)
        training.finish()
    else:
        deque(fit_by_counting(model, train, valid), maxlen=0)
    record = {
        "model": models.model_name(kind),
        "parameters": model.free_parameters,
        "test": None,
        "status": "done",
    }
    return Run(Path("<memory>"), record, model.eval(), dataset.format)
