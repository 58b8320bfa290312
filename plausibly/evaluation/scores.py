"""A row for each row: how plausible it is, how that ranks among calibration rows, and which variables say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from plausibly.capabilities import DensityModel, Trainable
from plausibly.data.formats import Events, Format
from plausibly.errors import UserError
from plausibly.evaluation.anomalies import Calibration, checked_level, discoveries
from plausibly.evaluation.likelihood import plausibility
from plausibly.tasks.full_conditionals import affordable, full_conditionals
from plausibly.tasks.score import conditionals

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, object]


def scores(
    model: Trainable, format: Format, events: Events, calibration: Calibration | None, fdr: float | None, each: bool
) -> pd.DataFrame:
    """The columns that `Run.score` tells of; `attrs` has what p-values are against, notes and warnings."""
    import pandas as pd

    rest = [i for i in range(model.schema.size) if i not in model.context]
    nats = plausibility(model, format, events).numpy()
    told = Told({"nats": nats, "bits_per_variable": -nats / np.log(2) / len(rest)})
    if calibration is not None:
        told.rank(nats, calibration, fdr)
    elif fdr is not None:
        raise UserError("a false discovery rate needs calibration rows, and this run has none; give some")
    if conditionals.word(type(model)):
        along, names = (
            (conditionals(model, events.codes) + format.within(events))[:, rest],
            [format.names[i] for i in rest],
        )
        told.columns["surprising"] = surprising(along, names)
        told.columns |= bits(along, names, "bits({})") if each else {}
    if each:
        told.rest(model, format, events)
    frame = pd.DataFrame(told.columns)
    against = {"rows": calibration.rows, "from": calibration.source} if calibration else None
    frame.attrs = {"calibration": against, "notes": told.notes, "warnings": told.warnings}
    return frame


@dataclass
class Told:
    """Columns as they come together, lines that say how to read them, and warnings."""

    columns: Columns
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def rank(self, nats: np.ndarray, calibration: Calibration, fdr: float | None) -> None:
        """What calibration rows tell."""
        p_values, likely = calibration.p_values(nats), calibration.more_likely(nats)
        self.columns |= {"p_value": p_values, "more_likely": likely}
        self.notes.append(calibration.note)
        self.warnings += calibration.too_likely(likely)
        if fdr is not None:
            anomalies = discoveries(p_values, checked_level(fdr))
            self.columns["anomaly"] = anomalies
            self.notes.append(f"anomalies at a false discovery rate of {fdr:g}: {anomalies.sum():,} rows")
            self.warnings += [] if anomalies.any() else calibration.too_few(len(nats), fdr)

    def rest(self, model: Trainable, format: Format, events: Events) -> None:
        """-log2 p(value | all other variables), for each variable where it is exact."""
        if not isinstance(model, DensityModel):
            self.warnings.append(f"bits(NAME | rest) is left out: {full_conditionals.refusal}")
            return
        if len(events) > (most := affordable(model)):
            most_rows = f"this model answers it for {most:,} rows at a time, not {len(events):,}"
            self.warnings.append(f"bits(NAME | rest) is left out: {most_rows}")
            return
        nats = full_conditionals(model, events.codes) + format.within(events)
        known = [i for i in range(nats.shape[1]) if not nats[:, i].isnan().all()]
        self.columns |= bits(nats[:, known], [format.names[i] for i in known], "bits({} | rest)")
        self.notes.append(
            "bits(NAME) are given earlier variables and add up to the row's bits; "
            "bits(NAME | rest) are given all others and do not"
        )


def bits(nats: Tensor, names: Sequence[str], title: str) -> Columns:
    """A column for each variable, (rows, variables) nats in bits."""
    values = -nats.numpy() / np.log(2) + 0.0  # no minus before a zero
    return {title.format(name): values[:, i] for i, name in enumerate(names)}


def surprising(nats: Tensor, names: Sequence[str], most: int = 3) -> list[str]:
    """The variables with the most bits of each row, in words."""
    found = -nats / float(np.log(2))
    top = found.topk(min(most, found.shape[1]), 1)
    rows = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return ["; ".join(f"{names[i]} {b:.1f} bits" for i, b in zip(*row, strict=True)) for row in rows]
