"""scikit-learn estimators: a density of rows, and the classifier that follows from one of rows and labels.

    DensityEstimator    log p(x)
    DensityClassifier   p(y | x) = p(x, y) / sum_y' p(x, y'), one factor of log p(x, y) where the order is free

Both take arrays and DataFrames with columns of any type, learn in memory, and leave nothing on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, DensityMixin
from sklearn.utils import check_random_state, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from plausibly.capabilities import BoundedModel, Trainable
from plausibly.contract.own_models import hold_to_contract
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.data.files.arrays import as_array
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import share_of_new
from plausibly.data.sources.frames import as_table
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import SIGNS, sign_of
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema
from plausibly.fitting.in_memory import fit_in_memory, train_in_memory
from plausibly.fitting.settings import DataRequest, Settings, make_settings
from plausibly.models import model_name
from plausibly.runs.fitted import warn_of_bounds
from plausibly.runs.model_classes import model_class
from plausibly.tasks.classify import classify
from plausibly.tasks.sample import sample
from plausibly.tasks.score import score


class _Learner(BaseEstimator):  # type: ignore[misc]
    """The parameters of both estimators, and rows in the form that scikit-learn asks for.

    model: a name from `plausibly models`, `FILE.py:CLASS`, or a class. settings: its arguments and `train.` settings.
    kinds, relations: as `plausibly.load` takes them. steps, budget: of training, the budget in seconds.
    validation_fraction: of the rows, which choose smoothing and when to stop.
    """

    def __init__(
        self,
        model: str | type[Trainable] = "chow_liu",
        *,
        settings: Mapping[str, Any] | None = None,
        kinds: Mapping[str, str] | None = None,
        relations: bool | Sequence[str] | None = None,
        steps: int | None = None,
        budget: float | None = None,
        validation_fraction: float = 0.1,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.model, self.settings, self.kinds, self.relations = model, settings, kinds, relations
        self.steps, self.budget, self.device = steps, budget, device
        self.validation_fraction, self.random_state = validation_fraction, random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _training_rows(self, X: Any) -> Any:
        """Rows to learn from, a frame or an array; remembers how they came. ValueError in scikit-learn's words."""
        X = estimator_rows(X)
        self._columns = list(X.columns) if is_frame(X) else None
        if self._columns is None:
            return validate_data(self, X, ensure_all_finite="allow-nan", ensure_min_samples=2)
        validate_data(self, X, skip_check_array=True)
        if len(X) < 2:
            raise UserError(f"n_samples={len(X)}: training and validation need a row each")
        return X.reset_index(drop=True)  # as in all of scikit-learn, an index is no column

    def _rows(self, X: Any) -> Any:
        """Rows to look at, in the form of those learned from."""
        check_is_fitted(self)
        X = estimator_rows(X)
        if is_frame(X) and self._columns is not None:
            return validate_data(self, X, reset=False, skip_check_array=True)
        rows = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        return rows if self._columns is None else as_frame(rows, self._columns)

    def _settings(self) -> Settings:
        if not 0 < self.validation_fraction < 1:
            raise UserError(
                f"validation_fraction = {self.validation_fraction}; it lies between 0 and 1"
            )
        return make_settings(
            self.settings,
            seed_of_random_state(self.random_state),
            self.budget,
            self.steps,
            self.device,
        )

    def _dataset(self, rows: Any, held: np.ndarray) -> tuple[Dataset, np.ndarray]:
        """The rows as events, those `held` for validation, which teach the format nothing; and the places of the latter.

        A held row that the format has no room for is left out. There are no test rows: the one given is not looked at.
        """
        train = rows_at(rows, np.flatnonzero(~held))
        parts = {"valid": train[:1], "test": train[:1], "kinds": dict(self.kinds or {})}
        parts |= {"relations": self.relations}
        whole = DataRequest(train, reading=parts).load()
        places = np.flatnonzero(held)
        if not is_recordable(whole.format, rows_at(rows, places)):
            places = np.array(
                [place for place in places if is_recordable(whole.format, rows_at(rows, [place]))],
                dtype=int,
            )
        valid = whole.format.events(rows_at(rows, places)) if len(places) else whole.valid
        return replace(whole, valid=valid), places

    def _kind(self, dataset: Dataset) -> type[Trainable]:
        """The model's class; a user's own keeps its promises."""
        kind = model_class(self.model)
        if not issubclass(kind, BoundedModel):
            raise UserError(
                f"{model_name(kind)} has no likelihood, and an estimator of densities needs one"
            )
        if kind.accepts(dataset.schema) is None:
            hold_to_contract(kind, dataset.schema)
        return kind


class DensityEstimator(DensityMixin, _Learner):  # type: ignore[misc]
    """log p(x) of rows by any model. After `fit`, `run_` answers what a run in a folder does: impute, query, ...

    `sign_` says what scores are: = log p, or >= a lower bound on it, of models with latent variables; a warning says it too.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns from rows, (rows, columns); `y` is ignored. UserError, a ValueError, for what the user can mend."""
        rows = self._training_rows(X)
        chosen = self._settings()
        held = holdout_mask(np.zeros(len(rows), dtype=int), self.validation_fraction, chosen.seed)
        dataset, _ = self._dataset(rows, held)
        self.run_ = fit_in_memory(self._kind(dataset), dataset, chosen)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row in nats, (rows,): a density where a column is real; a lower bound where `sign_` is >=."""
        rows = self._rows(X)
        return np.asarray(self.run_.log_prob(rows))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log p(x) in nats per row, or of the bounds where `sign_` is >=: higher is better."""
        return float(self.score_samples(X).mean())

    @property
    def sign_(self) -> str:
        """The relation of log p(x) to scores: = or >=."""
        check_is_fitted(self)
        return self.run_.sign

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """`n_samples` rows in the form and with the dtypes of those learned from; `random_state` is by default its own."""
        check_is_fitted(self)
        seed = seed_of_random_state(self.random_state if random_state is None else random_state)
        return self.run_.sample(n_samples, seed)


@dataclass
class LabelledDataset(Dataset):
    """Rows, of which `format` is, before one of the `classes`, the last variable of their events."""

    classes: Category = Category()  # noqa: RUF009 (frozen)

    @property
    def schema(self) -> Schema:
        return Schema((len(self.names),), (*self.format.schema.kinds, self.classes))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.format.names, "class")

    @classmethod
    def of(cls, rows: Dataset, train: np.ndarray, valid: np.ndarray) -> Self:
        """The dataset with the code of the class of each row, of which one may be never seen where tables come with such."""
        counts, opened = np.bincount(train), rows.format.table is not None
        share = share_of_new(int((counts == 1).sum()), len(train)) if opened else 0.0
        classes = Category(len(counts), open=opened, unforeseen=share)
        given = {field.name: getattr(rows, field.name) for field in fields(rows) if field.init}
        parts = {"train": label_events(rows.train, train), "valid": label_events(rows.valid, valid)}
        return cls(**(given | parts), classes=classes)


def label_events(rows: Events, labels: np.ndarray) -> Events:
    """The events of rows before the number of the class of each."""
    codes, few = rows.codes.flatten(1), labels.max(initial=0) < 256
    dtype = torch.promote_types(codes.dtype, torch.uint8 if few else torch.int16)
    last = torch.from_numpy(labels)[:, None].to(dtype)
    return Events(torch.cat([codes, last], 1), rows.log_within)


@dataclass(frozen=True)
class LabelledModel:
    """log p(x, y) of rows and the code of the class of each, the last variable, given that it is one of those seen.

    `format` is that of rows, and `codes`, (classes,), the code of each class: as in a table, the frequent ones come first.
    """

    model: Trainable
    format: Format
    codes: np.ndarray

    @property
    def place(self) -> int:
        """That of the class among the variables."""
        return self.model.schema.size - 1

    @property
    def proba_word(self) -> str:
        """A task's word for how good p(y | x) is."""
        return classify.word(type(self.model)) or "estimate"

    def log_joint(self, rows: Any) -> np.ndarray:
        """(rows, classes) in nats; of bounds a bound, which a warning says once."""
        warn_of_bounds(self.model)
        events = self.format.events(rows)
        each = [
            score(self.model, label_events(events, np.full(len(events), code)).codes)
            for code in self.codes
        ]
        seen = np.log1p(-self.model.schema.kinds[self.place].unforeseen)
        return np.asarray(torch.stack(each, 1) + events.log_within[:, None]) - seen

    def log_proba(self, rows: Any) -> np.ndarray:
        """log p(y | x), (rows, classes)."""
        if classify.word(type(self.model)) is None:
            joint = self.log_joint(rows)
            return np.asarray(joint - logsumexp(joint, axis=1, keepdims=True))
        warn_of_bounds(self.model)
        events = self.format.events(rows)
        asked = Evidence.whole(label_events(events, np.zeros(len(events))).codes.float())
        found = classify(self.model, asked, self.place).log_probs[:, self.codes]
        return np.asarray(found.log_softmax(1))

    def sample(self, n: int, seed: int) -> tuple[Any, np.ndarray]:
        """Rows and the number of the class of each."""
        allowed = self.model.schema.allowed(holes=True)
        drawn = sample(self.model, n, seed, 0, allowed).flatten(1)
        codes = drawn[:, : self.place].view(n, *self.format.schema.shape)
        rows = self.format.draw(codes, np.random.default_rng((seed, 1)))
        return self.format.rows(rows), self.codes.argsort()[drawn[:, self.place].long().numpy()]


class DensityClassifier(ClassifierMixin, _Learner):  # type: ignore[misc]
    """p(y | x) by any model with a likelihood of rows and labels together: p(x, y) over its sum for all labels.

    The label comes last in the order of a model that takes any, as with `fit --target`: p(y | x) is then one factor of
    p(x, y), and learned as such. A model in which columns tell nothing of each other (`independent`) has p(y) for it.
    Where a model has bounds alone, `sign_` of scores is >= and `proba_sign_` of probabilities is ~: estimates from bounds.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learns from rows, (rows, columns), and their labels, (rows,). UserError, a ValueError, for what can be mended."""
        rows = self._training_rows(X)
        y = self._check_labels(y, len(rows))
        self.classes_, labels = np.unique(y, return_inverse=True)
        chosen = self._settings()
        held = holdout_mask(labels, self.validation_fraction, chosen.seed)
        whole, valid = self._dataset(rows, held)
        codes = np.argsort(np.argsort(-np.bincount(labels[~held]), kind="stable"))
        held_out = labels[valid] if len(valid) else labels[~held][: len(whole.valid)]
        dataset = LabelledDataset.of(whole, codes[labels[~held]], codes[held_out])
        last = {"target": len(dataset.names) - 1}
        chosen = replace(chosen, arguments=chosen.arguments | last)
        model = train_in_memory(self._kind(dataset), dataset, chosen)
        self.joint_ = LabelledModel(model, dataset.format, codes)
        return self

    def _check_labels(self, y: Any, rows: int) -> Any:
        if np.ma.is_masked(y):
            raise UserError("some labels are masked; leave those rows out")
        _, y = check_X_y(np.zeros((rows, 1)), y, estimator=self)
        check_classification_targets(y)
        return y

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log p(y | x), (rows, classes), in the order of `classes_`; estimates from bounds where `proba_sign_` is ~."""
        rows = self._rows(X)
        return self.joint_.log_proba(rows)

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(y | x), (rows, classes), in the order of `classes_`; estimates from bounds where `proba_sign_` is ~."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, (rows,)."""
        places = self.predict_log_proba(X).argmax(1)
        return np.asarray(self.classes_[places])

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) = log sum_y p(x, y) of each row in nats, (rows,); a lower bound where `sign_` is >=."""
        rows = self._rows(X)
        return np.asarray(logsumexp(self.joint_.log_joint(rows), axis=1))

    @property
    def sign_(self) -> str:
        """The relation of log p(x) to scores: = or >=."""
        check_is_fitted(self)
        return sign_of(self.joint_.model)

    @property
    def proba_sign_(self) -> str:
        """The relation of p(y | x) to probabilities: = or ~, an estimate."""
        check_is_fitted(self)
        return SIGNS[self.joint_.proba_word]

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Any, np.ndarray]:
        """Rows and their labels, drawn from p(x, y)."""
        check_is_fitted(self)
        seed = seed_of_random_state(self.random_state if random_state is None else random_state)
        rows, labels = self.joint_.sample(n_samples, seed)
        return rows, self.classes_[labels]


def seed_of_random_state(random_state: Any) -> int:
    """A seed from what scikit-learn calls a random state: None, a number or a generator, which it moves on."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def holdout_mask(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows are for validation, bool (rows,): the share of each group, rounded down, but one row at least."""
    held, order = (
        np.zeros(len(groups), dtype=bool),
        np.random.default_rng(seed).permutation(len(groups)),
    )
    for group in range(groups.max() + 1):
        members = order[groups[order] == group]
        held[members[: int(share * len(members))]] = True
    if not held.any():
        largest = np.bincount(groups).argmax()
        held[order[groups[order] == largest][0]] = True
    return held


def is_recordable(format: Format, rows: Any) -> bool:
    """True where the format has room for all of these rows."""
    try:
        format.events(rows)
    except UserError:
        return False
    return True


def estimator_rows(X: Any) -> Any:
    """Rows as a frame or an array, in which what is masked is NaN. UserError, in scikit-learn's words, for a Series."""
    import pandas as pd

    if isinstance(X, pd.Series):
        raise UserError(
            "Expected 2D array, got 1D array instead: a Series; X.to_frame() is a table of one column"
        )
    X = as_table(X)
    known = isinstance(X, np.ma.MaskedArray | torch.Tensor) or (
        isinstance(X, np.ndarray) and has_holes(X)
    )
    return as_array(X) if known else X


def has_holes(X: np.ndarray) -> bool:
    """True where objects are missing in an array, which scikit-learn knows by the name of NaN alone."""
    import pandas as pd

    return X.dtype.kind == "O" and bool(pd.isna(X).any())


def is_frame(X: Any) -> bool:
    return hasattr(X, "iloc")


def rows_at(rows: Any, places: Any) -> Any:
    """The rows at some places, of a frame or an array."""
    return rows.iloc[places] if is_frame(rows) else rows[places]


def as_frame(rows: np.ndarray, columns: list[Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)
