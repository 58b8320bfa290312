"""The quality of probabilities of labels: accuracy, log loss, calibration, each over rows whose label is known."""

from __future__ import annotations

import html
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.evaluation.intervals import Mean, finite_or_none, rows_text, with_error
from plausibly.evaluation.likelihood.likelihood import SIGNS
from plausibly.families.proposals import EffectiveSampleSize

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_BINS = 10
ROWS_SHOWN = 10  # in a notebook


@dataclass(frozen=True, repr=False)
class Classification:
    """Probabilities of the `labels`, (rows, labels), each row of sum 1, and the place of the true label, -1 where unknown.

    `word` says how good the probabilities are: exact, approximate, or an estimate. groups: (rows,), as of events.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray
    truth: np.ndarray
    effective: EffectiveSampleSize | None = None  # draws by weight behind the probabilities
    word: str = "exact"
    groups: np.ndarray | None = None
    model: str = ""  # the one that answers, of a run of two

    @property
    def sign(self) -> str:
        """The sign of each probability, and of the log loss: exact (=) or an estimate (~)."""
        return SIGNS[self.word]

    @property
    def is_known(self) -> np.ndarray:
        return self.truth >= 0

    @property
    def prediction(self) -> np.ndarray:
        """The place of the most probable label of each row."""
        return np.asarray(self.probabilities.argmax(1))

    @property
    def rows(self) -> int:
        """Rows whose label is known."""
        return int(self.is_known.sum())

    @property
    def _groups(self) -> np.ndarray | None:
        return None if self.groups is None else self.groups[self.is_known]

    def _right(self) -> Mean:
        right = np.asarray(self.prediction == self.truth)[self.is_known]
        return Mean(right.astype(np.float64), self._groups)

    def _losses(self) -> Mean:
        """-log p(true label) in nats of the known rows."""
        own = self.probabilities[self.is_known, self.truth[self.is_known]]
        return Mean(-np.log(np.maximum(own, np.finfo(np.float64).tiny)), self._groups)

    def calibration(self) -> list[dict[str, float]]:
        """Rows in bins of equal number by their highest probability: its mean, and the share that was right."""
        sure, right = self.probabilities.max(1)[self.is_known], self._right().each
        order = np.argsort(sure, kind="stable")
        parts = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
        return [
            {"rows": len(p), "said": float(sure[p].mean()), "right": float(right[p].mean())}
            for p in parts
        ]

    def calibration_error(self) -> float:
        """Mean over rows of |said - right| by bin (Naeini et al. 2015): 0 is perfect, chance alone gives a little more."""
        bins = self.calibration()
        return sum(each["rows"] * abs(each["said"] - each["right"]) for each in bins) / self.rows

    def to_json(self) -> dict[str, Any]:
        """Accuracy (higher is better), log loss in nats and calibration error (lower is better); null without labels.

        Intervals are of 95 %, over rows, or groups of them; that of the accuracy holds more.
        """
        about = {"labels": [*self.labels], "word": self.word, "sign": self.sign, "rows": self.rows}
        about |= {"model": self.model} if self.model else {}
        if self.rows:
            return about | self._measures() | self._draws()
        none = dict.fromkeys(("accuracy", "log_loss", "calibration_error"))
        return about | none | {"calibration": [], **self._draws()}

    def _measures(self) -> dict[str, Any]:
        """The numbers over rows whose label is known, of which there are some."""
        right, losses = self._right(), self._losses()
        return {
            "groups": None if self._groups is None else len(np.unique(self._groups)),
            "accuracy": right.value,
            "accuracy_error": finite_or_none(right.error),
            "accuracy_interval": right.interval_of_share,
            "log_loss": losses.value,
            "log_loss_error": finite_or_none(losses.error),
            "log_loss_interval": losses.interval,
            "unit": "nats per row",
            "calibration_error": self.calibration_error(),
            "calibration": self.calibration(),
        }

    def _draws(self) -> dict[str, Any]:
        return self.effective.to_json() if self.effective else {}

    def frame(self) -> pd.DataFrame:
        """A row for each row: the most probable label, the true one where known, and p of each label."""
        import pandas as pd

        truth = [self.labels[place] if place >= 0 else None for place in self.truth]
        columns = {"predicted": [self.labels[place] for place in self.prediction], "label": truth}
        return pd.DataFrame(
            columns | {f"p({name})": self.probabilities[:, k] for k, name in enumerate(self.labels)}
        )

    def __repr__(self) -> str:
        return f"<Classification of {len(self.truth):,} rows, {len(self.labels):,} labels: {self.line()}>"

    def _repr_html_(self) -> str:
        table = self.frame().head(ROWS_SHOWN).to_html(index=False)
        return f"{table}<p>{html.escape(self.line())}</p>"

    def line(self) -> str:
        """The same in words."""
        if not self.rows:
            return f"no row has a known label, so nothing is measured{self._notes()}"
        found = self.to_json()
        accuracy, loss = (
            with_error(found[k], found[f"{k}_error"]) for k in ("accuracy", "log_loss")
        )
        return (
            f"{rows_text(self.rows, self._groups)} with a known label: accuracy {accuracy} (higher is better), "
            f"log loss {'~ ' if self.sign == '~' else ''}{loss} nats = {found['log_loss'] / log(2):.4f} bits, "
            f"calibration error {found['calibration_error']:.4f} (lower is better)"
            + (f"; p(label) is {self.word}: ~" if self.sign == "~" else "")
            + self._notes()
        )

    def _notes(self) -> str:
        """Notes of draws, and of whose the answer is."""
        drawn = f"; an estimate: {self.effective.line()}" if self.effective else ""
        return drawn + (f"; by {self.model}" if self.model else "")
