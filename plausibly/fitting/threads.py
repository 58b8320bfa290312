"""The threads that a fit trains with: given, measured once, or those that a run was begun with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from plausibly.capabilities import Trainable, device_of
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.fitting.settings import Settings, make_plan
from plausibly.fitting.untrained import learns_by_steps
from plausibly.runs.record import Record
from plausibly.system import processes
from plausibly.system.threads import training_limit
from plausibly.training.estimates import try_threads

MAX_THREADS = 1024


def choose_threads(
    model: Trainable, dataset: Dataset, chosen: Settings, log: Callable[[str], None]
) -> int:
    """The threads of a fit that begins: as many as were given, else one or the most of them, which a few steps decide."""
    limit = training_limit()
    if limit.given:
        return limit.most
    if not learns_by_steps(model) or device_of(model).type != "cpu":
        return torch.get_num_threads()
    most = processes.run_on_first(lambda: limit.most)
    if most == 1:
        return 1
    plan = make_plan(replace(chosen, budget=None), model, dataset)
    trial = try_threads(model, dataset.train.codes, dataset.valid.codes, plan, most)
    log(str(trial))
    return trial.number


def recall_threads(record: Record, path: Path) -> int:
    """The threads of a run that goes on: as many as were given, else those on record, so that it goes on to the bit."""
    limit = training_limit()
    if limit.given:
        return limit.most
    kept = str(record.versions.get("threads", torch.get_num_threads()))
    if not (re.fullmatch("[0-9]{1,4}", kept) and 1 <= int(kept) <= MAX_THREADS):
        raise UserError(f"{path / 'run.json'} is damaged: its 'threads' are {kept[:40]!r}")
    return int(kept)
