"""The contract: `run_checks(model)` measures every promise that binds the model, and anyone can run it.

Small models are checked over all their events; large ones over the first variables of their order (as many as have at
most 65,536 events together) and each conditional. Thresholds stand at six sigma, seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch

from plausibly.capabilities import Trainable
from plausibly.contract.examination import Examination
from plausibly.contract.promise import Promise
from plausibly.contract.promises import load_promises
from plausibly.contract.result import Result, failure
from plausibly.system.randomness import Stream, generator_for

Kept = TypeVar("Kept", bound=Trainable)


def run_checks(model: Trainable) -> Iterator[Result]:
    """Measures every promise that binds the model, in evaluation mode. One that raises counts as broken."""
    training = model.training
    exam = Examination(model.eval())
    try:
        for each in promises_for(model):
            try:
                yield each(exam)
            except Exception as error:  # whatever a faulty model raises is a promise not kept
                yield failure(each.name, error)
    finally:
        model.train(training)


def promises_for(model: Trainable) -> list[Promise]:
    """The promises of each capability that the model has."""
    return [each for each in load_promises().values() if each.binds(model)]


def shake_weights(model: Kept, seed: int = 0) -> Kept:
    """The model with its parameters moved: weights that start at zero would hide a leak."""
    generator = generator_for(torch.device("cpu"), seed, Stream.CHECKED_WEIGHTS)
    model.initialise(generator)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.4 * torch.randn(p.shape, generator=generator))
    return model
