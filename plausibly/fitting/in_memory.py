"""A fit without a folder."""

from __future__ import annotations

from collections import deque

from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.fitting.settings import Listener, Settings, make_plan
from plausibly.fitting.threads import choose_threads
from plausibly.fitting.untrained import build_untrained, learns_by_steps
from plausibly.runs.fitted import Fitted
from plausibly.system.threads import take_threads
from plausibly.training.loop import Training, fit_by_counting


def fit_in_memory(kind: type[Trainable], dataset: Dataset, chosen: Settings) -> Fitted:
    """Trains to the end without a folder: nothing is written, tested, or can be taken up again."""
    return Fitted(train_in_memory(kind, dataset, chosen), dataset.format)


def train_in_memory(kind: type[Trainable], dataset: Dataset, chosen: Settings) -> Trainable:
    """The model alone."""
    model = build_untrained(kind, dataset, chosen.arguments, chosen.seed).to(chosen.device)
    train = dataset.train.codes
    valid = dataset.valid.codes
    if learns_by_steps(model):
        with take_threads(choose_threads(model, dataset, chosen, Listener().log)):
            plan = make_plan(chosen, model, dataset)
            training = Training(model, train, valid, plan, dataset.names)
            deque(training.run(), maxlen=0)
            training.finish()
    else:
        deque(fit_by_counting(model, train, valid), maxlen=0)
    return model.eval()
