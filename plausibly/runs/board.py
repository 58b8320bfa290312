"""The board: one row a model, held-out numbers with their kind, and the difference to the best, paired."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.capabilities import Model
from plausibly.evaluation.answers.reconstruction import ReconstructionError, format_errors
from plausibly.evaluation.intervals import with_error
from plausibly.evaluation.likelihood.likelihood import (
    Likelihood,
    is_conditional,
    likelihood_difference,
)
from plausibly.evaluation.numbers import Number
from plausibly.printing import html_table
from plausibly.runs.record import Coded

if TYPE_CHECKING:
    import pandas as pd

    from plausibly.runs.run import Run

BITS_CAPTION = (
    " actual bits: all bytes of {rows:,} test rows, decoded again and found equal, over their variables{which}. Counted are"
    " places inside codes, columns that are set aside, and what a coder begins with, but not the model.{others}"
)
RECONSTRUCTION_CAPTION = " reconstruction error: of test rows decoded from their latents; lower is better, but no likelihood."
AUC_CAPTION = (
    " two-sample AUC: how well a classifier tells samples from test rows, ± standard error; 0.5 is perfect, lower is better,"
    " below 0.5 is no better ({rows} rows of each, {by})."
)
HEALTH_CAPTION = (
    " health: of a game, on validation rows at the step whose weights were kept. critic accuracy: of pairs of a real and a"
    " generated row, 0.5 where it cannot tell; gap to training: how much better it knows training rows; coverage: share of"
    " real rows with a generated one nearby, about 0.97 is perfect. Which step that is was chosen by the energy distance to"
    " these rows, looked at often; of fresh rows is the two-sample AUC."
)


@dataclass(frozen=True)
class BoardRow:
    """A fitted model, or one that refused (`refusal`), or the truth of a toy."""

    model: str
    family: str
    parameters: int | None = None
    test: Likelihood | None = None
    seconds: float | None = None
    scored: float | None = None  # rows a second
    sampled: float | None = None
    size: int | None = None  # bytes on disk
    run: Run | None = None
    refusal: str = ""
    reconstruction: dict[str, ReconstructionError] = field(
        default_factory=dict
    )  # by unit, where there is an encoder
    samples: Number | None = None  # two-sample AUC, where it was measured
    health: dict[str, float] = field(
        default_factory=dict
    )  # of a game, at the step whose weights were kept
    coded: Coded | None = None  # where it was measured

    @property
    def reason(self) -> str:
        """Why a fitted model has no likelihood, or nothing."""
        if self.test or self.run is None:
            return ""
        return "no likelihood" if isinstance(self.run.model, Model) else "no distribution"

    @property
    def is_interrupted(self) -> bool:
        """True where training was stopped by Ctrl-C."""
        return self.run is not None and self.run.record.status == "interrupted"


@dataclass(repr=False)
class Board:
    """Rows in the order in which they were fitted; `ranked` puts the best first."""

    rows: list[BoardRow] = field(default_factory=list)
    data: str = ""
    path: Path = Path()  # where the report is
    interrupted: bool = False  # whether Ctrl-C ended the comparison

    @property
    def best(self) -> BoardRow | None:
        """The highest log-likelihood, the truth of a toy apart. Only exact values and lower bounds are ranked."""
        ranked = [row for row in self.rows if row.run and row.test and row.test.sign in ("=", ">=")]
        return max(ranked, key=lambda row: row.test.value if row.test else nan, default=None)

    @property
    def first_coded(self) -> Coded | None:
        """One of what was coded: all are of the same rows."""
        return next((row.coded for row in self.rows if row.coded), None)

    def ranking(self) -> list[BoardRow]:
        """Best first, those without a likelihood after them, those that refused last."""
        return sorted(
            self.rows,
            key=lambda r: (bool(r.refusal), r.test is None, -r.test.value if r.test else 0),
        )

    def to_best(self, row: BoardRow) -> Likelihood | None:
        """This row's log p minus the best model's, paired by test row."""
        best = self.best
        if best is None or best.test is None or row.test is None or row is best:
            return None
        return likelihood_difference(row.test, best.test)

    def frame(self) -> pd.DataFrame:
        """The board as a DataFrame: nats per test row (higher is better), bits per variable (lower is better)."""
        import pandas as pd

        return pd.DataFrame([self._entry(row) for row in self.ranking()])

    def _entry(self, row: BoardRow) -> dict[str, Any]:
        gap = self.to_best(row)
        return {
            "model": row.model,
            "family": row.family,
            "parameters": row.parameters,
            "sign": row.test.sign if row.test else "",
            "log_likelihood": row.test.value if row.test else nan,
            "unit": "nats per row",
            "standard_error": row.test.standard_error if row.test else nan,
            "groups": row.test.group_count if row.test else None,
            "rows": row.test.rows if row.test else 0,
            "bits_per_variable": row.test.bits_per_variable if row.test else nan,
            "actual_bits_per_variable": row.coded.bits_per_variable if row.coded else nan,
            "to_best_sign": gap.sign if gap else "",
            "to_best": gap.value if gap else nan,
            "to_best_error": gap.standard_error if gap else nan,
            "seconds": row.seconds,
            "scored_per_second": row.scored,
            "sampled_per_second": row.sampled,
            "bytes": row.size,
            "reconstruction": format_errors(row.reconstruction),
            "two_sample_auc": row.samples.value if row.samples else nan,
            "two_sample_auc_error": row.samples.standard_error if row.samples else nan,
            "health": format_health(row.health),
            "refusal": row.refusal or row.reason,
        }

    def to_json(self) -> list[dict[str, Any]]:
        return [self._json(row) for row in self.ranking()]

    def _json(self, row: BoardRow) -> dict[str, Any]:
        gap = self.to_best(row)
        return {
            "model": row.model,
            "family": row.family,
            "run": str(row.run.path) if row.run else None,
            "parameters": row.parameters,
            "seconds": row.seconds,
            "test": row.test.to_json() if row.test else None,
            "to_best": gap.to_json() if gap else None,
            "rows_scored_per_second": row.scored,
            "rows_sampled_per_second": row.sampled,
            "bytes": row.size,
            "reconstruction": {unit: error.to_json() for unit, error in row.reconstruction.items()}
            or None,
            "samples": {"two_sample_auc": row.samples.value, **row.samples.to_json()}
            if row.samples
            else None,
            "health": row.health or None,
            "coded": row.coded.to_json() if row.coded else None,
            "reason": row.reason or None,
            "interrupted": row.is_interrupted,
            "refusal": row.refusal or None,
        }

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows as people read them, for the terminal and the page."""
        headings = [
            "model",
            "family",
            "parameters",
            "test log-likelihood",
            "bits/variable",
            "to best",
            "fit",
        ]
        headings += ["scored/s", "sampled/s", "on disk"]
        ranked = self.ranking()
        rows = [self._cells(row) for row in ranked]
        for heading, say in EXTRA_COLUMNS.items():
            if any(said := [say(row) for row in ranked]):
                headings.append(heading)
                rows = [[*row, cell] for row, cell in zip(rows, said, strict=True)]
        return headings, rows

    def _cells(self, row: BoardRow) -> list[str]:
        if row.refusal:
            return [row.model, row.family, "", f"refused: {row.refusal}", *[""] * 6]
        gap = self.to_best(row)
        return [
            self.label(row),
            row.family,
            f"{row.parameters:,}" if row.parameters is not None else "",
            f"{row.test.sign} {with_error(row.test.value, row.test.standard_error, '.3f')}"
            if row.test
            else row.reason or "none",
            f"{row.test.bits_per_variable:.4f}" if row.test else "",
            f"{gap.sign if gap.sign != '=' else ''}{with_error(gap.value, gap.standard_error, '+.3f')}"
            if gap
            else self._place(row),
            (f"{row.seconds:.1f} s" if row.seconds is not None else "")
            + (", stopped" if row.is_interrupted else ""),
            f"{row.scored:,.0f}" if row.scored else "",
            f"{row.sampled:,.0f}" if row.sampled else "",
            f"{row.size / 1000:,.0f} kB" if row.size else "",
        ]

    def label(self, row: BoardRow) -> str:
        """The model's name, or its folder's where a model was fitted several times."""
        twins = [other for other in self.rows if other.model == row.model]
        return row.run.path.name if len(twins) > 1 and row.run else row.model

    def _place(self, row: BoardRow) -> str:
        return "best" if row is self.best else ""

    def legend(self) -> str:
        """The line that says what the numbers of a short board are."""
        tested = [row.test for row in self.rows if row.test]
        if not tested:
            return f"{self.data}: no likelihoods; --explain"
        bound = "; >= a lower bound" if any(each.sign == ">=" for each in tested) else ""
        return f"nats per row, {tested[0].rows:,} test rows, higher is better{bound}; --explain"

    def caption(self) -> str:
        """The text that says what the numbers are."""
        tested = next((row.test for row in self.rows if row.test), None)
        if tested is None:
            return f"{self.data}: no likelihoods.{self._further()}"
        return (
            f"{self.data}: mean log p of {tested.rows:,} test rows{groups_note(tested)} in nats ± standard error, higher is "
            "better; = exact, >= a lower bound. bits/variable = -log2 p / variables, lower is better (1 nat = "
            f"{1 / log(2):.3f} bits). to best: paired over the same rows; <= and >= where a bound is involved."
            f"{self._condition()}{self._further()}"
        )

    def _further(self) -> str:
        """The text that says what the last columns are."""
        reconstructed, playing = (
            any(getattr(row, name) for row in self.rows) for name in ("reconstruction", "health")
        )
        return (
            self._bytes()
            + self._judges()
            + RECONSTRUCTION_CAPTION * reconstructed
            + HEALTH_CAPTION * playing
        )

    def _bytes(self) -> str:
        if self.first_coded is None:
            return ""
        others = ", ".join(f"{name} {bits:.4f}" for name, bits in self.first_coded.others.items())
        return BITS_CAPTION.format(
            rows=self.first_coded.rows,
            which=self._which(),
            others=others and f" Of the same rows: {others}.",
        )

    def _which(self) -> str:
        """Which variables actual bits are of, where they are not those of bits/variable."""
        run = self.conditional
        if run is None:
            return ""
        every, context = run.model.schema.size, len(run.model.context)
        names = list_context(run)
        return f" (all {every:,}, {names} included, while bits/variable is of the {every - context:,} others)"

    @property
    def conditional(self) -> Run | None:
        """The first run whose model has a context."""
        return next((row.run for row in self.rows if row.run and row.run.model.context), None)

    def _judges(self) -> str:
        judged = [row.samples for row in self.rows if row.samples]
        if not judged:
            return ""
        least, most = min(each.rows for each in judged), max(each.rows for each in judged)
        rows = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        return AUC_CAPTION.format(
            rows=rows, by=", ".join(dict.fromkeys(each.by for each in judged))
        )

    def _condition(self) -> str:
        """The text that says what the numbers are about where the models have a context."""
        run = self.conditional
        if run is None:
            return ""
        if is_conditional(run.model):
            return f" All numbers are log p of the other columns given {list_context(run)}."
        return f" {run.names[run.model.context[0]]} is summed out: log p(x) = log sum_y p(y) p(x | y) over its values y."

    def __repr__(self) -> str:
        best = self.best
        told = ""
        if best and best.test:
            number = with_error(best.test.value, best.test.standard_error, ".3f")
            told = f", best {self.label(best)} {best.test.sign} {number} nats per row"
        refused = sum(bool(row.refusal) for row in self.rows)
        others = f", {refused} refused" if refused else ""
        return f"<Board of {self.data}: {len(self.rows) - refused} models{told}{others}>"

    def _repr_html_(self) -> str:
        return f"{html_table(*self.cells())}<p>{html.escape(self.caption())}</p>"


def format_health(health: dict[str, float]) -> str:
    """As it stands on the board."""
    return ", ".join(f"{name} {value:.2f}" for name, value in health.items())


def groups_note(test: Likelihood) -> str:
    """A note of how many groups errors count, where rows came in groups; else nothing."""
    return "" if test.groups is None else f" ({test.over}: errors count groups)"


def format_auc(number: Number | None) -> str:
    """As it stands on the board."""
    return "" if number is None else with_error(number.value, number.standard_error, ".3f")


EXTRA_COLUMNS: dict[
    str, Callable[[BoardRow], str]
] = {  # columns that are there where any row has something to say
    "actual bits": lambda row: f"{row.coded.bits_per_variable:.4f}" if row.coded else "",
    "two-sample AUC": lambda row: format_auc(row.samples),
    "reconstruction error": lambda row: format_errors(row.reconstruction),
    "health": lambda row: format_health(row.health),
}


def list_context(run: Run) -> str:
    """The first names of what a model is conditioned on."""
    names = ", ".join(run.names[i] for i in run.model.context[:3])
    return f"{names} ..." if len(run.model.context) > 3 else names
