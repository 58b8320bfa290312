"""Answers to a query, in the words of the data: levels with probabilities, or mean and quantiles.

All from the probabilities of codes, or a density, and what values do inside a code (`interiors`); nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from plausibly.data.formats.block import Variable
from plausibly.data.formats.format import Format
from plausibly.evaluation.answers.curves import outcome_cdf
from plausibly.events.kinds import HOLE, UNFORESEEN, Category, Kind
from plausibly.families.proposals import EffectiveSampleSize
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.outcome import Numeric, Single
from plausibly.tasks.information import entropy_of
from plausibly.tasks.query import QueryOutcome

if TYPE_CHECKING:
    import pandas as pd

QUANTILE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Answer:
    """The distribution of one column given others.

    `levels` are a category's values as the file spells them with their probabilities; of a number there are `mean` and
    `quantiles` instead, given that it is a number that was foreseen. `hole` and `unforeseen` are the probabilities of a
    hole and of a value never seen. `entropy_bits` is of the value, and `differential` where the column is real: per unit
    of the column. It is None where weighted values have no density. `effective` is of weighted draws behind an estimate:
    where these are too few to mean anything, there are no numbers at all. `model` is the one that answers, of a run of two.
    """

    target: str
    given: Mapping[str, Any]
    word: str
    differential: bool
    hole: float | None = None
    unforeseen: float | None = None
    entropy_bits: float | None = None
    levels: list[tuple[str, float]] = field(default_factory=list)
    mean: float | str | None = None
    quantiles: dict[float, float | str] = field(default_factory=dict)
    effective: EffectiveSampleSize | None = None
    model: str = ""

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of a table: value and probability, or statistic and value."""
        import pandas as pd

        if self.hole is None:
            return pd.DataFrame({self.target: [], "probability": []})
        if self.levels:
            rows = [*self.levels, *self._specials()]
            return pd.DataFrame(rows, columns=[self.target, "probability"])
        rows = [
            ("mean", self.mean),
            *((f"{100 * q:g} %", value) for q, value in self.quantiles.items()),
        ]
        rows += [(f"p({name[1:-1]})", p) for name, p in self._specials()]
        return pd.DataFrame(rows, columns=[self.target, "value"])

    def _specials(self) -> list[tuple[str, Any]]:
        found = [("(hole)", self.hole), ("(never seen)", self.unforeseen)]
        return [(name, p) for name, p in found if p]

    def to_json(self) -> dict[str, Any]:
        numbers = {
            "mean": self.mean,
            "quantiles": {f"{q:g}": value for q, value in self.quantiles.items()},
        }
        levels = {"levels": [{"value": value, "probability": p} for value, p in self.levels]}
        keys = ("target", "word", "hole", "unforeseen", "entropy_bits", "differential")
        found = {key: getattr(self, key) for key in keys} | {
            "given": {k: str(v) for k, v in self.given.items()}
        }
        found |= self.effective.to_json() if self.effective else {}
        found |= {"model": self.model} if self.model else {}
        return found | (levels if self.levels else numbers)

    @property
    def note(self) -> str:
        """The quality of the answer, in words, and whose it is."""
        quality = self.word + (f", {self.effective.line()}" if self.effective else "")
        return quality + (f", by {self.model}" if self.model else "")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.given.items())
        return f"<p({self.target}{f' | {given}' if given else ''}), {self.note}>\n{self.frame.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False)


def make_answer(
    format: Format, place: int, given: Mapping[str, Any], found: QueryOutcome, variable: Variable
) -> Answer:
    """The answer to a query of one row about the variable `place`, whose values another tells."""
    outcome, kind = found.outcome, format.schema.kinds[place]
    blank = Answer(
        format.names[place], given, found.word, kind.continuous, effective=found.effective
    )
    if found.effective is not None and found.effective.few:
        return blank
    hole, unforeseen = special_probabilities(outcome, kind)
    bits = float(entropy_of(outcome, kind, 1)) / log(2) if found.dense else None
    values = summarise_outcome(variable, outcome, kind)
    return replace(blank, hole=hole, unforeseen=unforeseen, entropy_bits=bits, **values)


def is_of_codes(outcome: Single) -> bool:
    """It is known by the probabilities of codes."""
    return isinstance(outcome, Histogram) or not isinstance(outcome, Numeric)


def probabilities(outcome: Single) -> np.ndarray:
    """The probabilities of the codes of one row's variable, float64."""
    inner = outcome.inner if isinstance(outcome, Histogram) else outcome
    assert isinstance(inner, Categorical)
    logs: np.ndarray = inner.log_probs.double().reshape(-1).cpu().numpy()
    return np.exp(logs)


def code_probability(p: np.ndarray, code: int | None) -> float:
    return 0.0 if code is None else float(p[code])


def special_probabilities(outcome: Single, kind: Kind) -> tuple[float, float]:
    """The probabilities of a hole and of a value not foreseen."""
    if is_of_codes(outcome):
        p = probabilities(outcome)
        return code_probability(p, kind.missing_code), code_probability(p, kind.other_code)
    marks = ((HOLE, kind.missing), (UNFORESEEN, kind.open))
    hole, other = (
        float(outcome.log_prob(torch.tensor([m])).exp()) if has else 0.0 for m, has in marks
    )
    return hole, other


def summarise_outcome(variable: Variable, outcome: Single, kind: Kind) -> dict[str, Any]:
    """The levels of a category with their probabilities, or the mean and quantiles of a number."""
    if isinstance(kind, Category) and is_of_codes(outcome):
        return {"levels": level_shares(variable, kind, probabilities(outcome))}
    return number_summary(variable, outcome, kind)


def level_shares(variable: Variable, kind: Category, p: np.ndarray) -> list[tuple[str, float]]:
    """Every level with its probability, the most probable first."""
    values = np.arange(kind.levels + len(kind.rare))
    shares = p[np.minimum(values, kind.levels)] * np.exp(kind.log_within(values))
    order = np.argsort(-shares, kind="stable")
    return [
        (text, float(share))
        for text, share in zip(variable.spell(order), shares[order], strict=True)
    ]


def number_summary(variable: Variable, outcome: Single, kind: Kind) -> dict[str, Any]:
    """Mean and quantiles of a number, as its column shows them."""
    found = outcome_cdf(kind, outcome)
    places = found.quantiles(np.array(QUANTILE_LEVELS))[:, 0].tolist()
    shown = {q: variable.display(value) for q, value in zip(QUANTILE_LEVELS, places, strict=True)}
    return {"mean": variable.display(found.mean().item()), "quantiles": shown}
