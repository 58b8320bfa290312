"""One model on its way from data to a run: its settings, its plan, its folder while it learns, its one test."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from plausibly import models
from plausibly.capabilities import BoundedModel, DensityModel, Model, Trainable, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.data.formats.format import leave_out
from plausibly.errors import UserError
from plausibly.evaluation.answers.reconstruction import reconstruction_errors
from plausibly.evaluation.likelihood.beyond import mass_beyond
from plausibly.evaluation.likelihood.likelihood import Likelihood, likelihood
from plausibly.evaluation.likelihood.scores import calibrate, learn_usual
from plausibly.fitting.interrupts import interruptible
from plausibly.fitting.progress_log import digest_lines, read_log
from plausibly.fitting.settings import Listener, Settings, make_plan
from plausibly.fitting.threads import choose_threads
from plausibly.fitting.untrained import build_untrained, initial_record, learns_by_steps
from plausibly.objectives import MaximumLikelihood
from plausibly.runs import user_models
from plausibly.runs.building import arguments_of
from plausibly.runs.model_classes import record_class
from plausibly.runs.record import Origin, Record, read_record, write_record, write_tensors
from plausibly.runs.run import FOLDS, UNSOUND_ERRORS, Run, reload_data
from plausibly.runs.sealed_files import record_checksums
from plausibly.system import processes
from plausibly.system.files import open_within, replacing
from plausibly.system.randomness import Stream, generator_for
from plausibly.system.seals import (
    BrokenSeal,
    digest_file,
    read_sealed_tensors,
    write_sealed_tensors,
)
from plausibly.system.threads import take_threads
from plausibly.training.loop import Training, fit_by_counting, validation_loss
from plausibly.training.plan import Diverged, Plan, TrainingProgress

CHECKPOINT_SECONDS = 2.0


RESULT_FIELDS = (
    "test",
    "reconstruction",
    "rows_scored_per_second",
    "rows_sampled_per_second",
    "samples",
    "coded",
    "beyond",
)


HOLDOUT_FILES = ("heldout.safetensors", "calibration.safetensors")


class Fit:
    """One model on its way to a run at `path`."""

    def __init__(
        self, path: Path, record: Record, model: Trainable, dataset: Dataset, listener: Listener
    ) -> None:
        self.path = path
        self.record = record
        self.model = model
        self.dataset = dataset
        self.listener = listener if processes.rank() == 0 else Listener()

    @classmethod
    def new(
        cls,
        path: Path,
        kind: type[Trainable],
        dataset: Dataset,
        origin: Origin,
        chosen: Settings,
        listener: Listener,
    ) -> Fit:
        model = build_untrained(kind, dataset, chosen.arguments, chosen.seed).to(chosen.device)
        listener = listener if processes.rank() == 0 else Listener()
        with take_threads(choose_threads(model, dataset, chosen, listener.log)):
            record = initial_record(
                dataset,
                origin,
                chosen.seed,
                model=models.model_name(kind),
                code=user_models.code_of(kind),
                arguments=arguments_of(model),
                plan=asdict(make_plan(chosen, model, dataset)) if learns_by_steps(model) else None,
            )
        if (launch := processes.torchrun_launch()) is not None:
            record = record.replace(launch=launch, processes=processes.rank_count())
        fit = cls(path, record, model, dataset, listener)
        fit.save_record()
        return fit

    @classmethod
    def from_folder(
        cls,
        path: Path,
        device: str,
        listener: Listener,
        named: str | type[Trainable] | None = None,
        dataset: Dataset | None = None,
    ) -> Fit:
        """The fit that a run folder without a result is in the middle of; `named` as in `Run.open`.

        `dataset`: its data, where they are at hand.
        """
        record = read_record(path)
        kind = record_class(record, path, named)
        try:
            dataset = dataset or reload_data(record.data, record.rows, path)
            model = build_untrained(kind, dataset, record.arguments, record.seed)
            Plan(**(record.plan or {"steps": 1}))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path / 'run.json'} is damaged: {type(error).__name__}: {error}"
            ) from error
        return cls(path, record, model.to(device), dataset, listener)

    def learn(self) -> None:
        """Trains to the end, or until Ctrl-C; writes the weights and what became of it."""
        status = "done"
        self._unrecord("log.jsonl")
        try:
            if plan := self.record.plan:
                status = self._descend(Plan(**plan))
            else:
                self._count()
        except Diverged:
            self.keep("diverged", self.record.steps)
            raise
        self.keep(status, self.record.steps)
        if status == "done" and processes.rank() == 0:
            self.checkpoint_path.unlink(missing_ok=True)

    def _unrecord(self, name: str) -> None:
        """Takes a file that is about to change off the record."""
        digests = self.record.files_sha256 or {}
        if name in digests:
            rest = {other: digest for other, digest in digests.items() if other != name}
            self.record = self.record.replace(files_sha256=rest)
            self.save_record()

    def _count(self) -> None:
        with open_within(self._log_path, "w") as self.log:
            for progress in fit_by_counting(
                self.model, self.dataset.train.codes, self.dataset.valid.codes
            ):
                self._on_progress(progress)

    def _descend(self, plan: Plan) -> str:
        train, valid = self.dataset.train.codes, self.dataset.valid.codes
        training = Training(self.model, train, valid, plan, self.dataset.format.names)
        self._take_up(training)
        interrupted = self._take_steps(training)
        if interrupted:
            self._checkpoint(training)
            if training.best_validation == float("inf"):  # stopped before the first validation
                training.best = training.averaged.state_dict()
        training.finish()
        # also where none was left to take
        self.record = self.record.replace(steps=training.step, seconds=training.seconds)
        return "interrupted" if interrupted else "done"

    def _take_steps(self, training: Training) -> bool:
        """Trains, with a checkpoint now and then; true where it was stopped before the end."""
        saved = time.monotonic()
        with interruptible() as asked, open_within(self._log_path, "a") as self.log:

            def stop() -> bool:
                return processes.any_rank(asked())

            for progress in training.run(stop):
                self._on_progress(progress)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._checkpoint(training)
                    saved = time.monotonic()
            return stop() and not training.is_done

    def _on_progress(self, progress: TrainingProgress) -> None:
        self.log.write(json.dumps(asdict(progress)) + "\n")
        self.log.flush()
        health = {"health": progress.health} if progress.best and progress.health else {}
        self.record = self.record.replace(steps=progress.step, seconds=progress.seconds, **health)
        self.listener.progress(self.record.model, progress)

    def _checkpoint(self, training: Training) -> None:
        if processes.rank() != 0:
            return
        tensors, numbers = training.state()
        numbers["log"] = digest_lines(read_log(self._log_path, training.step))
        # the numbers travel inside the tensors' file, so that both change in one step
        text = torch.frombuffer(bytearray(json.dumps(numbers).encode()), dtype=torch.uint8)
        write_sealed_tensors(tensors | {"numbers": text}, self.checkpoint_path)

    def _take_up(self, training: Training) -> None:
        """Goes on from the checkpoint, if there is one; the log forgets what came after it."""
        lines: list[str] = []
        if self.checkpoint_path.exists():
            numbers = self._resume(training)
            lines = read_log(self._log_path, training.step)
            self._check_log(numbers, lines)
            self.listener.log(f"going on at step {training.step:,} of {training.plan.steps:,}")
        with open_within(self._log_path, "w") as log:
            log.writelines(line + "\n" for line in lines)

    def _check_log(self, numbers: Mapping[str, Any], lines: Sequence[str]) -> None:
        """Holds the log up to the checkpoint to what the checkpoint says of it, where there is one."""
        if numbers.get("log", digest_lines(lines)) == digest_lines(lines):
            return
        if self._log_path.is_file():
            raise BrokenSeal(
                f"{self._log_path} is not what was written; remove it, and the run goes on without it"
            )
        self.listener.log(f"{self._log_path} is gone: the course of training begins anew in it")

    def _resume(self, training: Training) -> dict[str, Any]:
        """Takes up the checkpoint; the numbers in it."""
        file = self.checkpoint_path
        is_sealed = self.record.files_sha256 is not None
        try:
            tensors = read_sealed_tensors(file) if is_sealed else load_file(file)
            numbers: dict[str, Any] = json.loads(tensors.pop("numbers").numpy().tobytes())
            training.resume(tensors, numbers)
        except BrokenSeal as error:
            raise BrokenSeal(f"{error}; remove it, and the run starts from step 0") from error
        except UNSOUND_ERRORS as error:
            raise UserError(
                f"{file} is not of this run; remove it, and the run starts from step 0"
            ) from error
        return numbers

    @property
    def _log_path(self) -> Path:
        return self.path / "log.jsonl" if processes.rank() == 0 else Path(os.devnull)

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "checkpoint.safetensors"

    def keep(self, status: str, steps: int) -> None:
        """Writes the weights, and the record without test results yet; those of earlier weights go."""
        self.model.eval()
        # exact, whatever was watched on the way
        by = MaximumLikelihood() if isinstance(self.model, DensityModel) else None
        validation = -validation_loss(self.model, self.dataset.valid.codes, by=by)
        if isinstance(self.model, BoundedModel):  # nats of values, as of the test
            valid = leave_out(self.dataset.format, self.dataset.valid, self.model.context)
            validation += float(valid.log_within.mean())
        parameters = self.model.free_parameters
        record = self.record.drop(*RESULT_FIELDS)
        record = record.replace(status=status, steps=steps, parameters=parameters)
        if processes.rank() == 0:
            record = self._write_weights(record)
        self.record = record.replace(validation=validation)
        self.save_record()

    def _write_weights(self, record: Record) -> Record:
        """Writes the weights, and removes what is of the weights that there were; the record with their checksums."""
        for name in (*HOLDOUT_FILES, "report.html"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / FOLDS, ignore_errors=True)
        weights = self.path / "weights.safetensors"
        write_tensors(self.model.state_dict(), weights)
        record = record.replace(weights_sha256=digest_file(weights))
        return record_checksums(record, self.path, ["log.jsonl"])

    def save_record(self) -> None:
        if processes.rank() == 0:
            write_record(self.record.document, self.path)

    def test(self) -> Run:
        """Looks at the test rows, once, and times scoring and sampling; of several processes the first does."""
        self.model.eval()
        if processes.rank() != 0:
            return Run(self.path, self.record, self.model, self.dataset.format)
        started = time.monotonic()
        format, test = self.dataset.format, self.dataset.test
        found = likelihood(self.model, leave_out(format, test, self.model.context))
        scored = len(test) / max(time.monotonic() - started, 1e-9)
        if found is not None:
            self._keep_held_out(found)
        errors = reconstruction_errors(self.model, format, test)
        left_out = mass_beyond(self.model, format, self.dataset.valid)
        if left_out:
            self.listener.log(f"{self.record.model}: {left_out}")
        written = HOLDOUT_FILES if found is not None else ()
        self.record = record_checksums(self.record, self.path, written).replace(
            test=found.to_json() if found else None,
            reconstruction={unit: error.to_json() for unit, error in errors.items()},
            rows_scored_per_second=scored if found else None,
            rows_sampled_per_second=sampling_speed(self.model),
            beyond=left_out.to_json() if left_out else None,
        )
        self.save_record()
        return Run(self.path, self.record, self.model, format)

    def _keep_held_out(self, found: Likelihood) -> None:
        """Keeps log p of the test and the calibration rows; with those that scores are ranked against, what ranks them."""
        kept = {"nats": found.nats}
        if found.groups is not None:
            kept["groups"] = torch.from_numpy(found.groups)
        if len(self.dataset.calibration):
            own = self._rank(self.dataset.calibration)
            write_tensors(own, self.path / "calibration.safetensors")
        else:
            kept = self._rank(self.dataset.test) | kept
        write_tensors(kept, self.path / "heldout.safetensors")

    def _rank(self, events: Events) -> dict[str, Tensor]:
        """log p of rows that scores are ranked against, and, where it is told column by column, their excess."""
        format = self.dataset.format
        usual = learn_usual(self.model, format, self.dataset.valid)
        found = calibrate(self.model, format, events, usual, "")
        own = {"nats": torch.from_numpy(found.nats)}
        if usual is None or found.excess is None:
            return own
        return own | {"excess": torch.from_numpy(found.excess)} | usual.tensors()


def sampling_speed(model: Trainable) -> float | None:
    """Rows sampled a second, in one batch: 250 rows, or 16 where a row has many variables; None where it has no samples."""
    if not isinstance(model, Model):
        return None
    n = 250 if model.schema.size <= 128 else 16
    generator = generator_for(device_of(model), Stream.SAMPLING_SPEED)
    started = time.monotonic()
    with torch.no_grad():
        model.sample(n, generator)
    return n / max(time.monotonic() - started, 1e-9)


def promote_fit(fit: Fit, path: Path, **more: Any) -> Fit:
    """The fit at `path`, where its files are put one after the other, the record with what it says `more` last."""
    for file in fit.path.iterdir():
        if file.is_file() and file.name not in ("run.json", fit.checkpoint_path.name):
            with replacing(path / file.name) as draft:
                shutil.copyfile(file, draft)
    fit.path = path
    fit.record = fit.record.replace(**more)
    fit.save_record()
    return fit
