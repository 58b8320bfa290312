"""Fits that begin, go on or are finished, and their way to the folder where they stay."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from plausibly.capabilities import Trainable, device_of
from plausibly.data.dataset import Dataset
from plausibly.fitting.fit import Fit
from plausibly.fitting.settings import Listener, Settings
from plausibly.fitting.threads import recall_threads
from plausibly.runs import user_models
from plausibly.runs.record import Origin
from plausibly.runs.sealed_files import check_run_file, find_weights
from plausibly.system.threads import take_threads
from plausibly.training.estimates import format_duration, memory_line, pass_seconds, step_seconds
from plausibly.training.loop import Training
from plausibly.training.plan import Plan


def train_or_restore(fit: Fit) -> Fit:
    """A run that has begun, after its training: what is left of it."""
    weights = fit.path / "weights.safetensors"
    if fit.record.status == "done" and weights.exists():
        fit.model.restore(load_file(find_weights(fit.record, fit.path)))
        for name in fit.record.files_sha256 or {}:
            if (fit.path / name).exists():
                check_run_file(fit.record, fit.path, name)
        fit.model.eval()
    else:
        threads = recall_threads(fit.record, fit.path)
        fit.record = fit.record.replace(versions=fit.record.versions | {"threads": str(threads)})
        with take_threads(threads):
            announce_fit(fit)
            fit.learn()
    return fit


def resume_or_new(
    folder: Path,
    kind: type[Trainable],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
) -> Fit:
    """The fit that a folder is in the middle of or has behind it; a new one where there is none."""
    if (folder / "run.json").exists():
        named = kind if user_models.code_of(kind) else None
        return Fit.from_folder(folder, chosen.device, listener, named, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    return Fit.new(folder, kind, dataset, origin, chosen, listener)


def announce_fit(fit: Fit) -> None:
    """Before a long run: rows, parameters, steps or passes, and the time and memory that they may take."""
    codes = fit.dataset.train.codes
    if fit.record.plan:
        plan = Plan(**fit.record.plan)
        training = Training(fit.model, codes, fit.dataset.valid.codes, plan)
        seconds = step_seconds(training) * plan.steps
        work = f"at most {plan.steps:,} steps"
    else:
        passes, each = pass_seconds(fit.model, codes)
        seconds = passes * each
        work = f"by counting, at most {passes:,} round{'' if passes == 1 else 's'}"
    sizes = f"{len(codes):,} rows, {fit.model.free_parameters:,} parameters"
    took = f"about {format_duration(seconds)}{memory_line(device_of(fit.model))}"
    fit.listener.log(f"{fit.record.model}: {sizes}, {work}, {took}")
