"""Runs: a fitted model in a folder, as data and never as code, and what one can ask it.

run.json              model, arguments, format, data, seed, plan, versions, results; checksums of itself and what follows
weights.safetensors   the best validated weights
heldout.safetensors   log p of the test rows
calibration.safetensors   log p of the rows that scores are ranked against, where the data were split here
log.jsonl             a line for each validation
report.html           one page to look at
checkpoint.safetensors, checkpoint.json   only while a run can go on
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from plausibly import models, tasks
from plausibly.capabilities import (
    AnyOrderModel,
    Model,
    Quantiser,
    TractableModel,
    Trainable,
    Variational,
    device_of,
)
from plausibly.contract.checks import run_checks
from plausibly.contract.result import Result
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress, join_events, silent
from plausibly.data.formats.format import Format
from plausibly.data.formats.labelled import LABEL
from plausibly.data.formats.tables import TableFormat
from plausibly.data.labels import label_text
from plausibly.data.loading import load
from plausibly.data.origins import naming
from plausibly.data.questions import free_variable, place_of, question
from plausibly.data.rows import load_rows
from plausibly.data.splits import group_column, groups_of
from plausibly.errors import UserError, did_you_mean
from plausibly.evaluation.answers.answers import Answer, make_answer
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.answers.reconstruction import Error, reconstruction
from plausibly.evaluation.answers.regression import Regression, regression
from plausibly.evaluation.likelihood.annealed import Annealed, anneal, pick_evenly
from plausibly.evaluation.likelihood.anomalies import TEST_ROWS, Calibration
from plausibly.evaluation.likelihood.by_column import ByColumn, by_column
from plausibly.evaluation.likelihood.codebook import CodebookUse, codebook_use
from plausibly.evaluation.likelihood.elbo import ElboParts, elbo_parts
from plausibly.evaluation.likelihood.likelihood import (
    AtLeast,
    Estimate,
    Exact,
    Likelihood,
    likelihood,
    plausibility,
    sign_of,
)
from plausibly.evaluation.likelihood.orders import Disagreement, disagreement
from plausibly.evaluation.likelihood.scores import Ranking, bit_columns, score_rows, unaffordable
from plausibly.evaluation.samples.features import Extractor, find_extractor
from plausibly.evaluation.samples.readers import ONNX, Classifier, OnnxFile, label_place
from plausibly.evaluation.samples.samples import (
    DRAW_REPEATS,
    MAX_DRAWS,
    SAMPLE_ROWS,
    ReferenceRows,
    Samples,
    check_rows,
    measure_samples,
    measure_table,
    pick_rows,
    rows_to_learn,
)
from plausibly.evaluation.samples.usefulness import target_of
from plausibly.events.kinds import Category, Likeliest
from plausibly.families import mixtures
from plausibly.families.proposals import EffectiveSampleSize, all_effective
from plausibly.models import MODELS
from plausibly.runs import user_models
from plausibly.runs.building import build, check_size
from plausibly.runs.record import BEST, ENSEMBLE, read_record
from plausibly.system.randomness import Stream, generator_for
from plausibly.system.seals import check_file, digest_file, write_sealed
from plausibly.tasks.sample import EVENTS_PER_BATCH

if TYPE_CHECKING:
    import pandas as pd

SEALED_FILES = (
    "heldout.safetensors",
    "calibration.safetensors",
    "log.jsonl",
)  # beside the weights, where there are any
MAX_SHARD_ROWS, MAX_SHARD_CELLS = 10_000, 4_000_000  # rows of a shard at most, and their cells
TASKS = tasks.load_tasks()
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


class Run:
    """A model with the format of its data. Rows in, rows out; nats inside, bits where it says so."""

    def __init__(
        self, path: Path, record: dict[str, Any], model: Trainable, format: Format
    ) -> None:
        self.path, self.record, self.model, self.format = path, record, model, format

    @classmethod
    def open(
        cls, path: Path | str, device: str = "cpu", model: str | type[Trainable] | None = None
    ) -> Run:
        """Loads a run. UserError, in seconds and without much memory, for whatever is not a sound run.

        A run whose model is not plausibly's needs `model`, its `FILE.py:CLASS` or the class: a run never executes code.
        """
        path = Path(path)
        return cls.of_record(path, read_record(path), device, model)

    @classmethod
    def of_record(
        cls,
        path: Path,
        record: dict[str, Any],
        device: str = "cpu",
        model: str | type[Trainable] | None = None,
    ) -> Run:
        """Loads the run at `path` as its record says it is."""
        kind = record_class(record, path, model)
        try:
            format = Format.from_json(record["format"])
            weights = find_weights(record, path)
            check_size(kind, format.schema, record["arguments"], weights)
            fitted = build(kind, format.schema, record["arguments"])
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

    @property
    def names(self) -> tuple[str, ...]:
        return self.format.names

    @property
    def in_memory(self) -> bool:
        """Whether the data that the run was fitted to were no file, and so are gone."""
        return str(self.record["data"]["source"]).startswith("<")

    def test(self) -> Likelihood | None:
        """The held-out result that is on record, as one number for each test row."""
        file = self.find_file("heldout.safetensors") if self.record.get("test") else None
        if file is None:
            return None
        kinds: dict[str, type[Likelihood]] = {"=": Exact, ">=": AtLeast, "~": Estimate}
        nats, groups = load_nats(
            file, f"`plausibly evaluate {self.path}` computes its numbers anew"
        )
        return kinds[self.record["test"]["sign"]](
            nats, self.model.schema.size - len(self.model.context), groups
        )

    def find_file(self, name: str) -> Path | None:
        """The file of that name, where the record names it. UserError where it is not what was written."""
        file, digests = self.path / name, self.record.get("files_sha256")
        if digests is None:  # a run without checksums, or one that was never written
            return file if file.exists() else None
        if name not in digests:
            return None
        check_run_file(self.record, self.path, name)
        return file

    @property
    def sign(self) -> str:
        """What `log_prob` and the nats of `score` are of log p: = or >=, a lower bound."""
        return sign_of(self.model)

    @property
    def can_sample(self) -> bool:
        """Whether it samples."""
        return isinstance(self.model, Model)

    def dataset(self) -> Dataset:
        """The data that the run was fitted to. UserError where the file has changed since."""
        return reload_data(self.record, self.path)

    def events(self, data: Any) -> Events:
        """Events of rows, a file or a built-in's split, in this run's format; events as they are."""
        if isinstance(data, Events):
            return data
        with naming(data):
            rows = load_rows(data, self.format)
            events = self.format.events(rows)
        if not len(events):
            raise UserError("there are no rows to look at")
        events.groups = self._groups(rows)
        return events

    def _groups(self, rows: Any) -> np.ndarray | None:
        """Which of the rows came together, where the run's data were split by a column that they have too."""
        name = group_column(self.record.get("data", {}).get("options", {}).get("split"))
        labels = [label for label in getattr(rows, "columns", ()) if label_text(label) == name]
        return groups_of(rows[labels[0]]) if labels else None

    def test_events(self, data: Any = None) -> Events | None:
        """The events of `data`, or the test rows of the run's own data; None where these were only in memory."""
        if data is not None:
            return self.events(data)
        return None if self.in_memory else self.dataset().test

    def evaluate(
        self, data: Any = None, draws: int | None = None, heard: RowProgress = silent
    ) -> Likelihood | None:
        """The held-out likelihood of `data`, by default of the test rows of the run's own data.

        `draws` for each row count for models with latent variables, whose bound is the tighter the more there are; `heard`
        is told how many rows are done, of how many.
        """
        if data is None and self.in_memory and draws is None:
            return (
                self.test()
            )  # rows that were only in memory are gone; what they gave is on record
        return likelihood(self._with_draws(draws), self._require_events(data), heard)

    def elbo(self, data: Any = None) -> ElboParts | None:
        """The parts of the ELBO over the first of the same rows; None without latent variables, or where rows are gone."""
        if not isinstance(self.model, Variational) or (data is None and self.in_memory):
            return None
        return elbo_parts(
            self.model,
            self._require_events(data),
            generator_for(device_of(self.model), Stream.ELBO_PARTS),
        )

    def codebook(self, data: Any = None) -> CodebookUse | None:
        """How much of its codebook the same rows use; None without one, or where rows are gone."""
        if not isinstance(self.model, Quantiser) or (data is None and self.in_memory):
            return None
        return codebook_use(self.model, self._require_events(data))

    def disagreement(self, data: Any = None) -> Disagreement | None:
        """By how much orders differ about the first of the same rows; None of models of one order or of one joint."""
        if not isinstance(self.model, AnyOrderModel) or isinstance(self.model, TractableModel):
            return None
        if data is None and self.in_memory:
            return None
        return disagreement(self.model, self._require_events(data))

    def anneal(
        self,
        data: Any = None,
        rows: int = 100,
        chains: int = 16,
        distributions: int = 1000,
        sigma: float | str | None = None,
        seed: int = 0,
        heard: RowProgress = silent,
    ) -> Annealed:
        """Bounds on log p of so many of the same rows by annealed importance sampling, and how far they can be off.

        `sigma` asks for the decoder's mean image with noise N(0, sigma^2) instead of the model's own p(x | z), for pixels
        alone; "validation" finds the sigma at which the run's validation rows are most probable.
        """
        TASKS["annealed"].require(self.model)
        if isinstance(sigma, str) and sigma != "validation":
            raise UserError(f"sigma {sigma!r}; it is a number above 0, or validation")
        if rows < 1:
            raise UserError(f"{rows} rows; at least 1 is needed")
        noise = generator_for(device_of(self.model), seed, Stream.ANNEALED_CHAINS)
        events, valid = pick_evenly(self._require_events(data), rows), None
        if isinstance(sigma, str):
            sigma, valid = None, self.dataset().valid
        return anneal(
            self.model, self.format, events, noise, chains, distributions, sigma, valid, heard
        )

    def samples(
        self,
        data: Any = None,
        rows: int = SAMPLE_ROWS,
        seed: int = 0,
        extractor: str | None = None,
        label: str | None = None,
        target: str | None = None,
        heard: RowProgress = silent,
        drawing: RowProgress = silent,
    ) -> Samples:
        """How close so many samples are to as many held-out rows: those of `data`, by default the run's own test rows.

        `extractor` names what distances and kernels are taken of: columns, random-convolutions (the default for images),
        classifier, which learns to tell the `label` column of the run's data, or a FILE.onnx. Of a table, `target` names the
        column that trees learn to predict from samples: by default its last category of 2 to 20 levels. `heard` is told of
        the judge's folds, `drawing` of the draws that tables take besides.
        """
        TASKS["sample"].require(self.model)
        place = self._tree_target(target)
        real, dataset = (
            self._require_events(data, whole=True),
            self._dataset_or_none(needed=data is None),
        )
        n = check_rows(rows, len(real))
        control = (dataset.valid, dataset.test) if dataset else ()
        train, relations = (dataset.shown, dataset.relations) if dataset else (None, ())
        compared = ReferenceRows(pick_rows(real, n, seed), train, control, real, relations)
        chosen = self.extractor(extractor, label, compared)
        found = measure_samples(
            self.format, self.sample_events(n, seed), compared, chosen, seed, heard
        )
        if not isinstance(self.format, TableFormat):
            return found
        draws = self._draws(
            n * MAX_DRAWS if compared.train is None else len(compared.train), n, seed, drawing
        )
        return measure_table(found, self.format, draws, compared, place, seed)

    def _tree_target(self, target: str | None) -> int | None:
        """The variable that trees predict. UserError where the target is none, or there is no table."""
        if target is not None and not isinstance(self.format, TableFormat):
            raise UserError(
                "a target is a column of a table, and this run's data are none; leave --target out"
            )
        return target_of(self.format, target)

    def _draws(self, train: int, rows: int, seed: int, heard: RowProgress) -> list[Events]:
        """Several draws, each of as many samples as there are training rows, if that does not take too long."""
        each, draws = (
            rows_to_learn(train, rows, self.record.get("rows_sampled_per_second")),
            list[Events](),
        )
        heard(0, DRAW_REPEATS)
        for repeat in range(1, DRAW_REPEATS + 1):
            draws.append(self.sample_events(each, seed + (repeat << 40)))
            heard(repeat, DRAW_REPEATS)
        return draws

    def by_column(self, data: Any = None) -> ByColumn | None:
        """Where the nats of the same rows go, column by column; None of what is no table, of models that do not factorise,
        and where rows are gone."""
        if not isinstance(self.format, TableFormat) or (data is None and self.in_memory):
            return None
        return by_column(self.model, self.format, self._require_events(data))

    def extractor(self, name: str | None, label: str | None, rows: ReferenceRows) -> Extractor:
        """The extractor of that name, which learns from the training rows, or else from the real ones."""
        if name == "classifier":
            return self._classifier(label)
        if label is not None:
            raise UserError(
                "a label is for the extractor that learns to tell it: --extractor classifier"
            )
        if name is not None and name.endswith(ONNX):
            return OnnxFile(self.format, Path(name))
        return find_extractor(name)(self.format, rows.real if rows.train is None else rows.train)

    def _classifier(self, label: str | None) -> Classifier:
        """Learned from the training rows and their labels, or kept from an earlier time, in the run's folder."""
        if label is None:
            raise UserError(
                f"which column holds the labels? --label NAME says so; columns: {', '.join(self.names[:20])}"
            )
        if self.in_memory:
            raise UserError(
                f"{self.path} was fitted to rows that were only in memory: no classifier can learn from them"
            )
        place, parts = None, [self.dataset().shown, self.dataset().test]
        if label in self.names or label != LABEL:
            place = label_place(self.format, label)
            labels = [self.format.schema.event_codes(part.codes)[:, place] for part in parts]
        else:  # beside the rows of their source, as arrays have them
            kept = self.record["data"]
            beside = load(kept["source"], **kept["options"] | {"labelled": True})
            labels = [part.codes[:, 0].long() for part in (beside.train, beside.test)]
        file = f"classifier-{hashlib.sha256(label.encode()).hexdigest()[:8]}.safetensors"
        learned = Classifier(self.format, parts[0], labels[0], place, label).keep(self.path / file)
        return learned.measure_accuracy(parts[1], labels[1])

    def _dataset_or_none(self, needed: bool) -> Dataset | None:
        """The data that the run was fitted to; None where they are gone, and not needed."""
        try:
            return None if self.in_memory else self.dataset()
        except UserError:
            if needed:
                raise
            return None

    def _require_events(self, data: Any, whole: bool = False) -> Events:
        """The rows to look at; their `log_within` leaves the context out, unless they are wanted whole."""
        events = self.test_events(data)
        if events is None:
            raise UserError(
                f"{self.path} was fitted to rows that were only in memory: give rows to evaluate"
            )
        return events if whole else self.format.without(events, self.model.context)

    def _with_draws(self, draws: int | None) -> Trainable:
        """The model, or a view of it that takes so many draws."""
        if draws is None:
            return self.model
        if not isinstance(self.model, Variational):
            raise UserError(
                f"draws count for models with latent variables; {self.record['model']} takes none"
            )
        if not 1 <= draws <= 1_000_000:
            raise UserError(f"{draws:,} draws; 1 to 1,000,000 can be taken")
        finer = copy(self.model)
        finer.draws = draws
        return finer

    def sample(
        self, n: int, seed: int = 0, given: Mapping[str, Any] | None = None, complete: bool = False
    ) -> Any:
        """`n` rows: a DataFrame for tables, else an array. `given` fixes columns to values, never by rejection.

        With `complete` no cell is a hole: rows are drawn given that. They are what rows with holes would be without them
        only where holes tell nothing of what they hide (missing at random), which data cannot show.
        Nobody knows what a value never seen would be: rows are drawn given that none occurs.
        """
        return self.sample_with_ess(n, seed, given, complete)[0]

    def sample_with_ess(
        self, n: int, seed: int = 0, given: Mapping[str, Any] | None = None, complete: bool = False
    ) -> tuple[Any, EffectiveSampleSize | None]:
        """The same; and, of draws by weight, how many tell something."""
        if n < 1:
            raise UserError(f"{n} rows cannot be drawn; at least 1 can")
        parts = [
            self.sample_shard(shard, rows, seed, given, complete)
            for shard, rows in enumerate(self.shards(n))
        ]
        drawn, told = zip(*parts, strict=True)
        return self.format.rows(join_events(drawn)), all_effective(told)

    def sample_shard(
        self,
        shard: int,
        rows: int,
        seed: int,
        given: Mapping[str, Any] | None,
        complete: bool = False,
    ) -> tuple[Events, EffectiveSampleSize | None]:
        """The first so many events of a shard of samples, given the values of some columns, and `complete` or not."""
        if not given and not complete:
            return self.draw_shard(shard, rows, seed), None
        asked = question(self.format, given or {})[torch.zeros(rows, dtype=torch.long)]
        return self.fill_shard(shard, asked, seed, holes=not complete)

    def sample_events(self, n: int, seed: int = 0) -> Events:
        """`n` events with values, as `sample` draws them."""
        return join_events(
            [self.draw_shard(shard, rows, seed) for shard, rows in enumerate(self.shards(n))]
        )

    def draw_shard(self, shard: int, rows: int, seed: int = 0) -> Events:
        """The first so many events of a shard of samples: (seed, shard) decides them."""
        codes, generator = (
            self._sample_codes(rows, seed, shard),
            np.random.default_rng((seed, 1, shard)),
        )
        return self.format.draw(codes, generator, shard * self.shard_rows)

    @property
    def shard_rows(self) -> int:
        """Rows of a shard, but for the last: so many batches of samples, fewer of wide rows."""
        return EVENTS_PER_BATCH * max(
            1,
            min(
                MAX_SHARD_ROWS // EVENTS_PER_BATCH,
                MAX_SHARD_CELLS // (EVENTS_PER_BATCH * self.model.schema.size),
            ),
        )

    def shards(self, n: int) -> list[int]:
        """The numbers of rows of the shards of `n` rows."""
        return [min(self.shard_rows, n - start) for start in range(0, n, self.shard_rows)]

    def _sample_codes(self, n: int, seed: int, shard: int) -> Tensor:
        """Codes of `n` events without open codes: the few drawn with one are drawn again."""
        drawable, kept = (
            self.model.schema.code_mask(holes=True),
            torch.empty(0, *self.model.schema.shape),
        )
        starts = torch.tensor([0, *self.model.schema.codes]).cumsum(0)[:-1]
        first = shard * self.shard_rows // EVENTS_PER_BATCH
        for attempt in range(50):
            drawn = TASKS["sample"](self.model, n - len(kept), seed + attempt * (1 << 32), first)
            sound = drawable[self.model.schema.event_codes(drawn) + starts].all(1)
            kept = torch.cat([kept, drawn[sound]])
            if len(kept) == n:
                return kept
        raise UserError(
            f"{self.path} draws hardly any row without values never seen; it is hardly trained"
        )

    def query(
        self,
        target: str,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
        particles: int = 1000,
    ) -> Answer:
        """The distribution of column `target` given others, all else summed out; it says whether it is exact.

        `particles` counts for estimates only.
        """
        given = given or {}
        place, asked = free_variable(self.format, target, given), question(self.format, given)
        noise = generator_for(device_of(self.model), seed, Stream.QUERIES)
        found = TASKS["query"](self.model, asked.codes, asked.observed, place, noise, particles)
        return make_answer(
            self.format, place, {str(name): value for name, value in given.items()}, found
        )

    def entropy(self, given: Mapping[str, Any] | None = None) -> float:
        """H of all columns that are not given, together, in nats: -E log p(them | given). Differential where one is real."""
        asked = question(self.format, given or {})
        return float(TASKS["entropy"](self.model, asked.codes, asked.observed))

    def information(self, a: str, b: str, given: Mapping[str, Any] | None = None) -> float:
        """The mutual information of two columns in nats, given others."""
        given = given or {}
        places = [free_variable(self.format, name, given) for name in (a, b)]
        if places[0] == places[1]:
            raise UserError(f"{a!r} tells all about itself; name two columns")
        asked = question(self.format, given)
        return float(TASKS["information"](self.model, asked.codes, asked.observed, *places))

    def impute(self, data: Any, seed: int = 0) -> Any:
        """The rows with every hole filled by a draw from p(unobserved | observed); observed cells stay as they are."""
        return self.fill(data, seed)[0]

    def fill(self, data: Any, seed: int = 0) -> tuple[Any, EffectiveSampleSize | None]:
        """The same; and, of draws by weight, how many tell something."""
        filled, told = self.fill_events(data, seed)
        return restore_index(self.format.rows(filled), data), told

    def fill_events(self, data: Any, seed: int = 0) -> tuple[Events, EffectiveSampleSize | None]:
        """The same as events, in which the cells of a text file are spelled as they are."""
        with naming(data):
            events = self.format.questions(load_rows(data, self.format))
        if not len(events):
            raise UserError("there are no rows to fill")
        places = [
            slice(start, start + self.shard_rows)
            for start in range(0, len(events), self.shard_rows)
        ]
        filled, told = zip(
            *(self.fill_shard(shard, events[own], seed) for shard, own in enumerate(places)),
            strict=True,
        )
        return join_events(filled), all_effective(told)

    def fill_shard(
        self, shard: int, asked: Events, seed: int, holes: bool = False
    ) -> tuple[Events, EffectiveSampleSize | None]:
        """A shard of questions answered by draws that (seed, shard) decides; with `holes` a drawn cell may be one."""
        noise = generator_for(device_of(self.model), seed, Stream.FILLED_HOLES, shard=shard)
        codes, told = TASKS["impute"](self.model, asked.codes, asked.observed, noise, holes)
        generator = np.random.default_rng((seed, 2, shard))
        return self.format.fill(asked, codes, generator, shard * self.shard_rows), told

    def complete(self, data: Any, holes: bool = False) -> Any:
        """The rows with all holes of a row filled by what is most probable together; observed cells stay as they are.

        A filled cell is never a value never seen, and a hole only with `holes`, of columns that are not real.
        """
        return restore_index(self.format.rows(self.complete_events(data, holes)), data)

    def complete_events(self, data: Any, holes: bool = False) -> Events:
        """The same as events, in which the cells of a text file are spelled as they are."""
        with naming(data):
            events = self.format.questions(load_rows(data, self.format))
        if not len(events):
            raise UserError("there are no rows to fill")
        codes = TASKS["complete"](self.model, events.codes, events.observed, holes)
        return self.format.fill(events, codes, Likeliest())

    def encode(self, data: Any) -> np.ndarray:
        """The latents that stand for each row, (rows, latents) float32: their mean where there are several."""
        latents: Tensor = TASKS["encode"](self.model, self.events(data).codes)
        return latents.numpy()

    def reconstruct(self, data: Any) -> Any:
        """Each row from its latents alone: decoded, the most probable value of each cell."""
        codes = TASKS["reconstruct"](self.model, self.events(data).codes)
        return restore_index(self.format.rows(self.format.draw(codes, Likeliest())), data)

    def reconstruction(self, data: Any) -> dict[str, Error]:
        """How far reconstructed rows are off, by unit: a share of wrong cells, or a mean absolute difference."""
        TASKS["reconstruct"].require(self.model)
        return reconstruction(self.model, self.format, self.events(data))

    def interpolate(self, a: Any, b: Any, steps: int = 8) -> Any:
        """`steps` rows from a row `a` to a row `b`, decoded along the straight line between their latents.

        The ends are the reconstructions of `a` and `b`. Several rows are taken in pairs: the steps of one pair after the
        other's.
        """
        first, last = self.events(a), self.events(b)
        if len(first) != len(last):
            raise UserError(
                f"{len(first)} rows and {len(last)} make no pairs; give as many of both"
            )
        if steps < 2:
            raise UserError(f"{steps} steps; both ends count, so at least 2 are needed")
        codes = TASKS["interpolate"](self.model, first.codes, last.codes, steps).flatten(0, 1)
        return self.format.rows(self.format.draw(codes, Likeliest()))

    def log_prob(self, data: Any) -> Tensor:
        """log p of each row in nats, (rows,) float64: a density where a column is real.

        Where `sign` is >= each number is a lower bound on log p, which a warning says once.
        """
        events = self.events(data)
        warn_of_bounds(self.model)
        nats: Tensor = TASKS["score"](self.model, events.codes)
        return nats + events.log_within

    def calibration(self, rows: Any = None) -> Calibration | None:
        """What scores are ranked against: `rows` of the caller's, else the run's calibration rows, else its test rows."""
        if rows is not None:
            named = (
                "calibration rows given" if not isinstance(rows, str | Path) else f"rows of {rows}"
            )
            return Calibration(
                plausibility(self.model, self.format, self.events(rows)).numpy(), named
            )
        file = self.find_file("calibration.safetensors")
        if file is not None:
            return Calibration(
                load_nats(file, "give `score` rows with --calibrate, or fit anew")[0].numpy(),
                "calibration rows",
            )
        if self.model.context:  # rows are ranked given it, and what the test keeps is not
            if self.in_memory:
                return None
            return Calibration(
                plausibility(self.model, self.format, self.dataset().test).numpy(), TEST_ROWS
            )
        held = self.test()
        return Calibration(held.nats.numpy(), TEST_ROWS) if held else None

    def score(
        self, data: Any, calibrate: Any = None, fdr: float | None = None, each: bool = False
    ) -> pd.DataFrame:
        """A row for each row, in these columns:

        sign, nats, bits_per_variable: log p of the row (given its context, where the model has one), and -log2 p by the
        number of variables; where the sign is >= the nats are a lower bound on log p, and the bits an upper one.
        p_value: (1 + calibration rows at most as likely) / (n + 1), small where a row is implausible; the calibration
        rows are `calibrate`, else the run's own, else its test rows. more_likely: than 99.9 % of them (never below 1,000).
        anomaly: with `fdr`, whether the row is marked at that false discovery rate among all rows (Benjamini-Hochberg).
        surprising: the variables with most surprisal -log2 p(x_i | earlier).
        With `each` all of these, `bits(NAME)`, which add up to the row's bits, and `bits(NAME | rest)`, surprisal given
        all other variables, which do not. All are of values, not only of their codes.

        `attrs` of the frame says the sign, which and how many the calibration rows are, and holds notes and warnings.
        """
        import pandas as pd

        events = self.events(data)
        refused = unaffordable(self.model, min(self.shard_rows, len(events)))
        word = TASKS["full_conditionals"].word(type(self.model))
        ranking = Ranking(self.calibration(calibrate), fdr, each, refused, word)
        starts = range(0, len(events), self.shard_rows)
        rest = each and refused is None
        own = [events[start : start + self.shard_rows] for start in starts]
        pieces = [score_rows(self.model, self.format, part, each, rest) for part in own]
        ranking.find_threshold(piece["nats"].to_numpy() for piece in pieces)
        found = pd.concat(map(ranking.add_ranks, pieces), ignore_index=True)
        found.attrs = ranking.describe()
        return restore_index(found, data)

    def conditionals(self, data: Any) -> pd.DataFrame:
        """p(x_i | earlier) of each cell's value, and the same as surprisal in bits: columns `p(NAME)` and `bits(NAME)`.

        The bits of a row add up to those of its score; p is a density where a column is real.
        Only for models that factorise log p(x); the order is that of `run.model.order`.
        """
        import pandas as pd

        events = self.events(data)
        besides = self.format.besides(events)
        own = TASKS["conditionals"](self.model, events.codes) + self.format.log_within(events)
        nats, names = (
            torch.cat([own, *(each[:, None] for each in besides.values())], 1),
            (*self.names, *besides),
        )
        columns = {f"p({name})": np.exp(nats[:, i].numpy()) for i, name in enumerate(names)}
        return restore_index(pd.DataFrame(columns | bit_columns(nats, names, "bits({})")), data)

    def classify(self, data: Any, target: str | None = None) -> Classification:
        """p(label | the rest of the row) for the labels of the `target` column, by Bayes' rule from the joint.

        `target` is by default the run's lone context, or the lone variable that it models. The rows may hold the label
        or leave it out. What a cell holds that was never seen is no label.
        """
        i = self._target(target)
        kind = self.model.schema.kinds[i]
        if not isinstance(kind, Category) or kind.rare:
            raise UserError(
                f"{self.names[i]!r} has no labels, each with a code of its own; a column of few levels has"
            )
        with naming(data):
            rows = load_rows(data, self.format)
            events = self.format.questions(rows)
        events.groups = self._groups(rows)
        observed, codes = self._complete(events, i, self.format.present(rows))
        found = TASKS["classify"](self.model, codes, observed, i)
        logs = found.log_probs[:, : kind.regular]
        truth = torch.where(observed[:, i], codes.flatten(1)[:, i].long(), -1)
        named = {c["name"]: c["levels"] for c in self.format.describe() if "levels" in c}
        levels = named.get(
            self.names[i], range(kind.regular)
        )  # an array's columns are described together
        known = torch.where(truth < kind.regular, truth, -1)
        told = found.effective, TASKS["classify"].word(type(self.model)) or "", events.groups
        return Classification(
            tuple(map(str, levels)), logs.softmax(1).numpy(), known.numpy(), *told
        )

    def regress(
        self, data: Any, target: str | None = None, seed: int = 0, particles: int = 1000
    ) -> Regression:
        """The distribution of the number in the `target` column given the rest of each row: mean and quantiles.

        The rows may hold the number or leave it out. `particles` count for estimates, `seed` for these and for the PIT.
        """
        i = self._target(target)
        if isinstance(self.model.schema.kinds[i], Category):
            raise UserError(
                f"{self.names[i]!r} holds no number; `classify` tells how probable its levels are"
            )
        with naming(data):
            rows = load_rows(data, self.format)
            events = self.format.questions(rows)
        events.groups = self._groups(rows)
        observed, codes = self._complete(events, i, self.format.present(rows))
        unknown = observed.clone()
        unknown[:, i] = False
        noise = generator_for(device_of(self.model), seed, Stream.REGRESSIONS)
        found = TASKS["query"](self.model, codes, unknown.view(codes.shape), i, noise, particles)
        return regression(self.format, events, i, found, np.random.default_rng((seed, 3)))

    def is_number(self, target: str | None = None) -> bool:
        """Whether the column that `classify` or `regress` would tell holds numbers."""
        return not isinstance(self.model.schema.kinds[self._target(target)], Category)

    def _target(self, name: str | None) -> int:
        context, rest = (
            self.model.context,
            [i for i in range(self.model.schema.size) if i not in self.model.context],
        )
        if name is not None:
            return place_of(self.format, name)
        for lone in (context, rest):
            if len(lone) == 1:
                return lone[0]
        raise UserError(
            f"which column holds the labels? --target NAME says so; columns: {', '.join(self.names[:20])}"
        )

    def _complete(
        self, events: Events, target: int, present: Collection[str]
    ) -> tuple[Tensor, Tensor]:
        """Which cells are known, (rows, variables), and events in which a hole of a column that is there is evidence.

        It is the code of holes, or that of what is not foreseen. UserError where the model must know what is not.
        """
        assert events.observed is not None
        observed, codes = events.observed.flatten(1).clone(), events.codes.flatten(1).clone()
        for i, kind in enumerate(self.model.schema.kinds):
            unknown = ~observed[:, i]
            if i == target or not unknown.any():
                continue
            if self.names[i] in present and (kind.missing or kind.open):
                codes[unknown, i] = codes.new_tensor(kind.event_of_hole)
                observed[:, i] = True
            elif not isinstance(self.model, AnyOrderModel | Variational):
                row = int(unknown.nonzero()[0, 0]) + 1
                raise UserError(
                    f"row {row}, column {self.names[i]!r}: a hole, where there was none in training"
                )
        return observed, codes.view(events.codes.shape)

    def check(self) -> list[Result]:
        """The contract's promises, checked on this fitted model."""
        return list(run_checks(self.model))

    def summary(self) -> dict[str, Any]:
        """What `--json` prints of a run."""
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
        return {"run": str(self.path), **{key: self.record.get(key) for key in keys}}

    def __repr__(self) -> str:
        test = self.record.get("test")
        number = f", {test['sign']} {test['value']:.4f} {test['unit']}" if test else ""
        return f"<Run {self.path}: {self.record['model']}, {self.record['parameters']:,} parameters{number}>"


def warn_of_bounds(model: Trainable) -> None:
    """Warns, once, where the numbers of a model are lower bounds."""
    if sign_of(model) == ">=":
        warnings.warn(f"{type(model).__name__} {BOUNDS_WARNING}", BoundWarning, stacklevel=2)


class BoundWarning(UserWarning):
    """Numbers that look like log p are bounds on it, or made of such."""


BOUNDS_WARNING = "has no exact log p: each number is a lower bound (>=), and differences of rows are estimates (~)"


def load_nats(file: Path, mend: str) -> tuple[Tensor, np.ndarray | None]:
    """The log p of rows that a run keeps, (rows,) float64, and their groups. UserError, with what would mend it, where it
    is damaged."""
    try:
        kept = load_file(file)
        nats, groups = kept["nats"], kept["groups"].numpy() if "groups" in kept else None
    except (SafetensorError, KeyError, OSError) as error:
        raise UserError(f"{file} is damaged; {mend}") from error
    if (
        nats.shape != (len(nats),)
        or nats.dtype != torch.float64
        or (groups is not None and groups.shape != nats.shape)
    ):
        raise UserError(f"{file} holds no number for each row; {mend}")
    return nats, groups


def restore_index(frame: Any, data: Any) -> Any:
    """The frame with the index of the frame it answers, whose levels are no columns besides."""
    if (
        hasattr(frame, "set_axis")
        and hasattr(data, "iloc")
        and hasattr(data, "columns")
        and len(frame) == len(data)
    ):
        levels = [
            name for name in data.index.names if name is not None and name not in data.columns
        ]
        return frame.drop(columns=levels, errors="ignore").set_axis(data.index, axis=0)
    return frame


def write_record(record: dict[str, Any], path: Path) -> None:
    """Writes a run's record, with its seal."""
    write_sealed(record, path / "run.json")


def record_checksums(record: dict[str, Any], path: Path, names: Collection[str]) -> None:
    """Puts the checksums of files that were just written on record, beside those of others that are still there."""
    earlier = record.get("files_sha256") or {}
    found = {
        name: digest_file(path / name) if name in names else earlier[name]
        for name in {**earlier, **dict.fromkeys(names)}
        if (path / name).is_file()
    }
    record["files_sha256"] = found


def check_run_file(record: dict[str, Any], path: Path, name: str) -> None:
    """Holds a file beside the weights to its checksum on record. BrokenSeal where it is gone or another."""
    removed = "remove it and " if (path / name).exists() else ""
    again = f"put a copy back, or {removed}`plausibly fit --resume {path}` makes it anew"
    check_file(path / name, record["files_sha256"][name], again)


def find_weights(record: dict[str, Any], path: Path) -> Path:
    """The file of a run's weights. BrokenSeal where they are not those on record, FileNotFoundError where there are none."""
    weights = path / "weights.safetensors"
    if not weights.exists():
        raise FileNotFoundError(weights)
    more = (
        "put a copy back, or fit anew"
        if record["status"] == "done"
        else f"`plausibly fit --resume {path}` goes on"
    )
    check_file(weights, record["weights_sha256"], more)
    return weights


def reload_data(record: dict[str, Any], path: Path) -> Dataset:
    """The data that a record names, split as then. UserError where they are gone or have changed since."""
    kept = record["data"]
    dataset = load(kept["source"], **kept["options"])
    if dataset.fingerprint != kept["fingerprint"]:
        raise UserError(
            f"{kept['source']} has changed since {path} was fitted to it; fit anew, or restore the file"
        )
    if dataset.rows != {"calibration": 0, **record["rows"]}:
        raise UserError(
            f"{path} is of a plausibly that split data otherwise; fit anew, or name rows to look at"
        )
    return dataset


def record_class(
    record: dict[str, Any], path: Path, model: str | type[Trainable] | None = None
) -> type[Trainable]:
    """The model class of a record; one that is not plausibly's only as the user names it."""
    if record.get("code") is not None:
        return user_models.resolve(record["code"], path, model)
    if model is not None and (not isinstance(model, str) or model != record["model"]):
        raise UserError(
            f"{path} was fitted with {record['model']}, which comes with plausibly: leave --model out"
        )
    if record["model"] == ENSEMBLE:
        try:
            return mixtures.find_model_class(str(record.get("form")), mixtures.FreeWeights)
        except ValueError as error:
            raise UserError(
                f"{path} holds no ensemble yet; go on with `plausibly fit --resume {path}`"
            ) from error
    if record["model"] == BEST:
        raise UserError(f"{path} holds no model yet; go on with `plausibly fit --resume {path}`")
    return builtin_model(record["model"])


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
