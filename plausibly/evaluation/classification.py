"""How good probabilities of labels are: accuracy, log loss, calibration, each over rows whose label is known."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.families.proposals import Effective

if TYPE_CHECKING:
    import pandas as pd

BINS = 10


@dataclass(frozen=True)
class Classification:
    """Probabilities of the `labels`, (rows, labels), each row of sum 1, and the place of the true label, -1 where unknown."""

    labels: tuple[str, ...]
    probabilities: np.ndarray
    truth: np.ndarray
    effective: Effective | None = None  # draws by weight behind the probabilities

    @property
    def known(self) -> np.ndarray:
        return self.truth >= 0

    @property
    def predicted(self) -> np.ndarray:
        """The place of the most probable label of each row."""
        return np.asarray(self.probabilities.argmax(1))

    @property
    def rows(self) -> int:
        """Rows whose label is known."""
        return int(self.known.sum())

    def _right(self) -> np.ndarray:
        return np.asarray(self.predicted == self.truth)[self.known]

    def _losses(self) -> np.ndarray:
        """-log p(true label) in nats of the known rows."""
        own = self.probabilities[self.known, self.truth[self.known]]
        return -np.log(np.maximum(own, np.finfo(np.float64).tiny))

    def calibration(self) -> list[dict[str, float]]:
        """Rows in bins of equal number by their highest probability: its mean, and the share that was right."""
        sure, right = self.probabilities.max(1)[self.known], self._right()
        order = np.argsort(sure, kind="stable")
        parts = [part for part in np.array_split(order, BINS) if len(part)]
        return [{"rows": len(p), "said": float(sure[p].mean()), "right": float(right[p].mean())} for p in parts]

    def calibration_error(self) -> float:
        """Mean over rows of |said - right| by bin (Naeini et al. 2015): 0 is perfect, chance alone gives a little more."""
        bins = self.calibration()
        return sum(each["rows"] * abs(each["said"] - each["right"]) for each in bins) / self.rows

    def to_json(self) -> dict[str, Any]:
        """Accuracy (higher is better), log loss in nats and calibration error (lower is better); null without labels."""
        labels = list(self.labels)
        if not self.rows:
            none = dict.fromkeys(("accuracy", "log_loss", "calibration_error"))
            return {"labels": labels, "rows": 0, **none, "calibration": [], **self._draws()}
        right, losses = self._right(), self._losses()
        return {
            "labels": labels,
            "rows": self.rows,
            "accuracy": float(right.mean()),
            "accuracy_error": float(right.std() / self.rows**0.5),
            "log_loss": float(losses.mean()),
            "log_loss_error": float(losses.std() / self.rows**0.5),
            "unit": "nats per row",
            "calibration_error": self.calibration_error(),
            "calibration": self.calibration(),
            **self._draws(),
        }

    def _draws(self) -> dict[str, Any]:
        return self.effective.to_json() if self.effective else {}

    def frame(self) -> pd.DataFrame:
        """A row for each row: the most probable label, the true one where known, and p of each label."""
        import pandas as pd

        truth = [self.labels[place] if place >= 0 else None for place in self.truth]
        columns = {"predicted": [self.labels[place] for place in self.predicted], "label": truth}
        return pd.DataFrame(columns | {f"p({name})": self.probabilities[:, k] for k, name in enumerate(self.labels)})

    def line(self) -> str:
        """The same in words."""
        if not self.rows:
            return f"no row has a known label, so nothing is measured{self._told()}"
        found = self.to_json()
        accuracy, loss = (f"{found[k]:.4f} ± {found[k + '_error']:.4f}" for k in ("accuracy", "log_loss"))
        return (
            f"{found['rows']:,} rows with a known label: accuracy {accuracy} (higher is better), "
            f"log loss {loss} nats = {found['log_loss'] / log(2):.4f} bits, "
            f"calibration error {found['calibration_error']:.4f} (lower is better){self._told()}"
        )

    def _told(self) -> str:
        return f"; an estimate: {self.effective.line()}" if self.effective else ""
