"""Runs: a fitted model in a folder, as data and never as code, and what one can ask it.

run.json              model, arguments, format, data, seed, plan, versions, results; checksums of itself and what follows
weights.safetensors   the best validated weights
heldout.safetensors   log p of the test rows
calibration.safetensors   log p of the rows that scores are ranked against, where the data were split here; of the one that
                      ranks, also the excess of its rows, and what is usual
log.jsonl             a line for each validation
folds                 runs of the same model, each without a part of the rows, where a table was calibrated by cross-fitting
companion             a run of its own, of a model that answers what this one refuses or only estimates
report.html           one page to look at
checkpoint.safetensors, checkpoint.json   only while a run can go on
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from plausibly.capabilities import Trainable, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress, ignore_progress
from plausibly.data.formats.array_blocks import LABEL
from plausibly.data.formats.builders import format_from_json
from plausibly.data.formats.format import Format
from plausibly.data.labels import label_text
from plausibly.data.loading import load
from plausibly.data.sources.rows import naming
from plausibly.data.splits import group_column, group_numbers
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.anomalies import TEST_ROWS, Calibration, CrossCalibration
from plausibly.evaluation.likelihood.excess import Usual
from plausibly.evaluation.likelihood.likelihood import (
    ExactLikelihood,
    Likelihood,
    LikelihoodEstimate,
    LikelihoodLowerBound,
)
from plausibly.evaluation.likelihood.scores import CountAsOdd, calibrate
from plausibly.evaluation.samples.comparison import (
    choose_extractor,
    compare_samples,
    reference_rows,
    tree_target,
)
from plausibly.evaluation.samples.features import Extractor
from plausibly.evaluation.samples.readers import ClassifierFeatures, label_place
from plausibly.evaluation.samples.samples import SAMPLE_ROWS, ReferenceRows, Samples, check_rows
from plausibly.printing import html_table
from plausibly.runs.building import build, check_size
from plausibly.runs.fitted import Fitted
from plausibly.runs.model_classes import record_class
from plausibly.runs.paired import list_better_answers
from plausibly.runs.record import COMPANION, Origin, Record, is_of_one_split, read_record
from plausibly.runs.sealed_files import (
    Ranking,
    check_run_file,
    find_weights,
    load_nats,
    load_ranking,
)
from plausibly.system.files import stat_file
from plausibly.system.seals import BrokenSeal
from plausibly.tasks.sample import sample

FOLDS = "folds"  # the folder of models that calibrate scores by cross-fitting

UNSOUND_ERRORS = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    OSError,
    SafetensorError,
)


class Run(Fitted):
    """A fitted model in a folder, with its record and the data that it was fitted to."""

    def __init__(self, path: Path, record: Record, model: Trainable, format: Format) -> None:
        super().__init__(model, format)
        self.path = path
        self.record = record
        self.by = record.model if record.companion else ""
        self._ranked: tuple[object, Ranking] | None = None

    @property
    def title(self) -> str:
        return str(self.path)

    @property
    def model_title(self) -> str:
        return self.record.model

    @classmethod
    def open(
        cls, path: Path | str, device: str = "cpu", model: str | type[Trainable] | None = None
    ) -> Self:
        """Loads a run. UserError, in seconds and without much memory, for whatever is not a sound run.

        A run whose model is not plausibly's needs `model`, its `FILE.py:CLASS` or the class: a run never executes code.
        """
        path = Path(path)
        return cls.of_record(path, read_record(path), device, model)

    @classmethod
    def of_record(
        cls,
        path: Path,
        record: Record,
        device: str = "cpu",
        model: str | type[Trainable] | None = None,
    ) -> Self:
        """Loads the run at `path` as its record says it is."""
        kind = record_class(record, path, model)
        try:
            with naming(str(path / "run.json")):
                format = format_from_json(record.format)
            weights = find_weights(record, path)
            check_size(kind, format.schema, record.arguments, weights)
            fitted = build(kind, format.schema, record.arguments)
            fitted.restore(load_file(weights))
            broken = [
                name for name, tensor in fitted.state_dict().items() if not tensor.isfinite().all()
            ]
            if broken:
                raise UserError(
                    f"{weights} is no sound model: tensor {broken[0]!r} holds values that are not finite"
                )
        except UserError:
            raise
        except FileNotFoundError as error:
            raise UserError(
                f"{path} has no weights yet; go on with `plausibly fit --resume {path}`"
            ) from error
        except UNSOUND_ERRORS as error:
            reason = "".join(str(error).splitlines()[:1])[:200]
            raise UserError(f"{path} is no sound run: {type(error).__name__}: {reason}") from error
        return cls(path, record, fitted.to(device).eval(), format)

    @cached_property
    def companion(self) -> Self | None:
        """The run in the folder `companion`, which answers what this one refuses or only estimates; None without one.

        It is opened when it is first asked for. UserError where it is not the one that was written.
        """
        kept, path = self.record.companion, self.path / COMPANION
        if kept is None:
            return None
        if not (path / "run.json").is_file():
            raise BrokenSeal(
                f"{path} is gone, where {kept.model} was; put a copy back, "
                f"or `plausibly seal {self.path}` to go on without it"
            )
        record = read_record(path).drop("companion")
        same = record.weights_sha256 == kept.weights_sha256
        if not same or not is_of_one_split(record, self.record):
            raise BrokenSeal(
                f"{path} is not what was written: it is another run; put a copy back, or `plausibly seal {self.path}` "
                "if you did that by hand"
            )
        found = type(self).of_record(path, record, str(device_of(self.model)))
        found.by = record.model
        return found

    @cached_property
    def folds(self) -> list[Self]:
        """The models that were fitted without a part of the rows each, to calibrate scores; none before `calibrate`."""
        found = sorted((self.path / FOLDS).glob("*/run.json"))
        return [type(self).open(file.parent, str(device_of(self.model))) for file in found]

    @property
    def count_as_odd(self) -> CountAsOdd | None:
        return self._count_as_odd if self.folds else None

    def _count_as_odd(self, events: Events) -> np.ndarray:
        rows, total = self.format.rows(events), np.zeros(len(events), dtype=np.int64)
        for fold in self.folds:
            against = fold.calibration()
            assert against is not None
            own = calibrate(fold.model, fold.format, fold.events(rows), fold.usual, "")
            total += against.count_as_odd(own.nats, own.excess)
        return total

    @property
    def in_memory(self) -> bool:
        """True where the data that the run was fitted to were no file, and so are gone."""
        return self.record.data.source.startswith("<")

    def test(self) -> Likelihood | None:
        """The held-out result that is on record, as one number for each test row."""
        held = self.record.test
        file = self.find_file("heldout.safetensors") if held else None
        if held is None or file is None:
            return None
        kinds: dict[str, type[Likelihood]] = {
            "=": ExactLikelihood,
            ">=": LikelihoodLowerBound,
            "~": LikelihoodEstimate,
        }
        again = f"`plausibly evaluate {self.path}` computes its numbers anew"
        nats, groups = load_nats(file, again)
        return kinds[held.sign](nats, self.model.schema.size - len(self.model.context), groups)

    def find_file(self, name: str) -> Path | None:
        """The file of that name, where the record names it. UserError where it is not what was written."""
        file, digests = self.path / name, self.record.files_sha256
        if digests is None:  # a run without checksums, or one that was never written
            return file if file.exists() else None
        if name not in digests:
            return None
        check_run_file(self.record, self.path, name)
        return file

    def dataset(self) -> Dataset:
        """The data that the run was fitted to. UserError where the file has changed since."""
        return reload_data(self.record.data, self.record.rows, self.path)

    def _groups(self, rows: Any) -> np.ndarray | None:
        """Which of the rows came together, where the run's data were split by a column that they have too."""
        name = group_column(self.record.data.options.split or None)
        labels = [label for label in getattr(rows, "columns", ()) if label_text(label) == name]
        return group_numbers(rows[labels[0]]) if labels else None

    def samples(
        self,
        data: Any = None,
        rows: int = SAMPLE_ROWS,
        seed: int = 0,
        extractor: str | None = None,
        label: str | None = None,
        target: str | None = None,
        on_progress: RowProgress = ignore_progress,
        drawing: RowProgress = ignore_progress,
    ) -> Samples:
        """The closeness of so many samples to as many held-out rows: those of `data`, by default the run's own test rows.

        `extractor` names what distances and kernels are taken of: columns, random-convolutions (the default for images),
        classifier, which learns to tell the `label` column of the run's data, or a FILE.onnx. Of a table, `target` names the
        column that trees learn to predict from samples: by default its last category of 2 to 20 levels. `on_progress` is told
        of the judge's folds, `drawing` of the draws that tables take besides.
        """
        sample.require(self.model)
        place = tree_target(self.format, target)
        real = self.format.plain_events(self._require_events(data, whole=True))
        dataset = self._dataset_or_none(needed=data is None)
        compared = reference_rows(real, check_rows(rows, len(real)), seed, dataset)
        chosen = self.extractor(extractor, label, compared)
        return compare_samples(
            self.format.plain,
            lambda n, seed: self.format.plain_events(self.sample_events(n, seed)),
            compared,
            chosen,
            seed,
            place,
            self.record.rows_sampled_per_second,
            on_progress,
            drawing,
        )

    def extractor(self, name: str | None, label: str | None, rows: ReferenceRows) -> Extractor:
        """The extractor of that name, which learns from the training rows, or else from the real ones."""
        return choose_extractor(
            self.format.plain, name, label, rows, lambda: self._classifier(label)
        )

    def _classifier(self, label: str | None) -> ClassifierFeatures:
        """Learned from the training rows and their labels, or kept from an earlier time, in the run's folder."""
        if label is None:
            raise UserError(
                f"which column holds the labels? --label NAME says so; columns: {', '.join(self.names[:20])}"
            )
        if self.in_memory:
            raise UserError(
                f"{self.path} was fitted to rows that were only in memory: no classifier can learn from them"
            )
        dataset = self.dataset().plain()
        place, parts = None, [dataset.shown, dataset.test]
        if label in self.names or label != LABEL:
            place = label_place(self.format, label)
            labels = [dataset.schema.event_codes(part.codes)[:, place] for part in parts]
        else:  # beside the rows of their source, as arrays have them
            kept = self.record.data
            beside = load(kept.source, **kept.options.given() | {"labelled": True})
            labels = [part.codes[:, 0].long() for part in (beside.train, beside.test)]
        file = f"classifier-{hashlib.sha256(label.encode()).hexdigest()[:8]}.safetensors"
        learned = ClassifierFeatures(self.format.plain, parts[0], labels[0], place, label).keep(
            self.path / file
        )
        return learned.measure_accuracy(parts[1], labels[1])

    def _dataset_or_none(self, needed: bool) -> Dataset | None:
        """The data that the run was fitted to; None where they are gone, and not needed."""
        try:
            return None if self.in_memory else self.dataset().plain()
        except UserError:
            if needed:
                raise
            return None

    def calibration(self, rows: Any = None) -> Calibration | None:
        """The rows to rank scores against: `rows` of the caller's, else the run's calibration rows, else its test rows."""
        if rows is not None:
            return super().calibration(rows)
        if self.folds:
            each = [fold.calibration() for fold in self.folds]
            return CrossCalibration.of_folds([one for one in each if one is not None])
        found = self._ranking.calibration
        if found is not None or not self.model.context or self.in_memory:
            return found
        return calibrate(self.model, self.format, self.dataset().test, self.usual, TEST_ROWS)

    @property
    def usual(self) -> Usual | None:
        return self._ranking.usual

    @property
    def _ranking(self) -> Ranking:
        """The numbers that rows are ranked by, read anew where a file has changed."""
        names = ("calibration.safetensors", "heldout.safetensors")
        state = (self.record, [stat_file(self.path / name) for name in names])
        if self._ranked is None or self._ranked[0] != state:
            self._ranked = (state, self._read_ranking())
        return self._ranked[1]

    def _read_ranking(self) -> Ranking:
        """The calibration rows, else the test rows, of the run's files, held to their checksums."""
        file = self.find_file("calibration.safetensors")
        if file is not None:
            return load_ranking(
                file, "give `score` rows with --calibrate, or fit anew", "calibration rows"
            )
        held = self.find_file("heldout.safetensors") if self.record.test else None
        if held is None:
            return Ranking(None, None)
        again = f"`plausibly evaluate {self.path}` computes its numbers anew"
        found = load_ranking(held, again, TEST_ROWS)
        # given a context rows are ranked given it, and what the test keeps is not
        return replace(found, calibration=None) if self.model.context else found

    def summary(self) -> dict[str, Any]:
        """The fields of a run that `--json` prints."""
        keys = (
            "model",
            "parameters",
            "seconds",
            "test",
            "samples",
            "reconstruction",
            "status",
            "steps",
        )
        found = {"run": str(self.path), **{key: self.record.document.get(key) for key in keys}}
        if self.companion is None:
            return found
        answers = list_better_answers(self.companion.model, self.model)
        return found | {"companion": {"model": self.companion.by, "answers": answers}}

    def describe_companion(self) -> str:
        """The questions that the companion answers, `chow_liu answers query, impute`; empty without one."""
        if self.companion is None:
            return ""
        answers = list_better_answers(self.companion.model, self.model)
        return f"{self.companion.by} answers {', '.join(answers)}"

    def __repr__(self) -> str:
        test, kept = self.record.test, self.record.companion
        number = f", {test.sign} {test.value:.4f} {test.unit}" if test else ""
        beside = f" with {kept.model}" if kept else ""
        return f"<Run {self.path}: {self.record.model}{beside}, {self.record.parameters:,} parameters{number}>"

    def _repr_html_(self) -> str:
        test, data = self.record.test, self.record.data.name
        number = f"{test.sign} {test.value:.4f} {test.unit}" if test else "none"
        cells = [self.record.model, data, number, f"{self.record.parameters:,}", str(self.path)]
        return html_table(["model", "data", "test log-likelihood", "parameters", "run"], [cells])


def reload_data(origin: Origin, rows: dict[str, int], path: Path) -> Dataset:
    """The data that a run or a comparison was made of, split as then. UserError where they are gone or have changed since."""
    dataset = load(origin.source, **{"relations": [], **origin.options.given()})
    if dataset.fingerprint != origin.fingerprint:
        raise UserError(
            f"{origin.source} has changed since {path} was fitted to it; fit anew, or restore the file"
        )
    if dataset.rows != {"calibration": 0, **rows}:
        raise UserError(
            f"{path} is of a plausibly that split data otherwise; fit anew, or name rows to look at"
        )
    return dataset
