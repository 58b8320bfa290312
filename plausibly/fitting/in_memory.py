"""A fit without a folder."""

from __future__ import annotations

from collections import deque

from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.fitting.settings import Settings, make_plan
from plausibly.fitting.untrained import build_untrained
from plausibly.runs.fitted import Fitted
from plausibly.training.loop import Training, fit_by_counting


def fit_in_memory(kind: type[Trainable], dataset: Dataset, chosen: Settings) -> Fitted:
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
    return Fitted(model.eval(), dataset.format)
