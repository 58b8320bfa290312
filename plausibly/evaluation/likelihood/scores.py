"""A row for each row: how plausible it is, how that ranks among calibration rows, and which variables say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import DensityModel, Trainable
from plausibly.data.events import Events
from plausibly.data.formats.format import Format, log_beside
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.anomalies import (
    Calibration,
    CrossCalibration,
    check_level,
    discovery_level,
)
from plausibly.evaluation.likelihood.excess import Usual
from plausibly.evaluation.likelihood.likelihood import plausibility_by_variable, sign_of
from plausibly.tasks.full_conditionals import full_conditionals, rows_per_call
from plausibly.tasks.score import conditionals

if TYPE_CHECKING:
    import pandas as pd

ScoreColumns = dict[str, object]
CountAsOdd = Callable[[Events], np.ndarray]
AS_ODD = "as_odd"  # a column that only ranking sees: rows of a cross-calibration that are at least as odd
Scored = Mapping[str, Any] | Any  # columns by name, or a frame
MAX_USUAL_ROWS = 5000  # validation rows that tell what a column costs
PLACE_OF_RANKS = 3  # the first column that calibration rows give, among those of a score


def score_events(
    model: Trainable,
    format: Format,
    events: Events,
    calibration: Calibration | None,
    usual: Usual | None,
    fdr: float | None,
    each: bool,
    rows_together: int,
    count_as_odd: CountAsOdd | None = None,
) -> tuple[ScoreColumns, dict[str, Any]]:
    """The columns that `Fitted.score` tells of events, so many of which are looked at together; notes and warnings.

    `count_as_odd` tells how many rows of a cross-calibration are at least as odd as each event.
    """
    refused = full_conditionals_refusal(model, min(rows_together, len(events)))
    word = full_conditionals.word(type(model))
    ranking = ScoreRanking(calibration, fdr, each, refused, word)
    starts = range(0, len(events), rows_together)
    own = [events[start : start + rows_together] for start in starts]
    rest = each and refused is None
    pieces = [score_columns(model, format, part, usual, each, rest) for part in own]
    if count_as_odd is not None:
        pieces = [
            piece | {AS_ODD: count_as_odd(part)} for piece, part in zip(pieces, own, strict=True)
        ]
    ranking.find_threshold(pieces)
    ranked = [ranking.rank_columns(piece) for piece in pieces]
    return (ranked[0] if len(ranked) == 1 else join_columns(ranked)), ranking.describe()


def join_columns(pieces: Sequence[ScoreColumns]) -> ScoreColumns:
    """Columns one below the other; where a piece has none of that name, its cells are holes."""
    import pandas as pd

    frame = pd.concat(map(pd.DataFrame, pieces), ignore_index=True)
    return {str(name): frame[name].array for name in frame}


def score_rows(
    model: Trainable, format: Format, events: Events, usual: Usual | None, each: bool, rest: bool
) -> pd.DataFrame:
    """The columns of `score_columns` as a frame."""
    import pandas as pd

    return pd.DataFrame(score_columns(model, format, events, usual, each, rest))


def score_columns(
    model: Trainable, format: Format, events: Events, usual: Usual | None, each: bool, rest: bool
) -> ScoreColumns:
    """The columns of a score that need no other rows; `rest` asks for -log2 p(value | all others).

    `sign` is of the nats: = where they are log p, >= where they are a lower bound, so that the bits are an upper one.
    """
    own = own_variables(model)
    log_p, along = plausibility_by_variable(model, format, events)
    nats = log_p.numpy()
    columns: ScoreColumns = {
        "sign": sign_of(model),
        "nats": nats,
        "bits_per_variable": -nats / np.log(2) / len(own),
    }
    if along is not None:
        names, told = add_besides(format, events, along, own)
        columns |= {} if usual is None else {"excess": usual.excess(told).numpy()}
        columns["surprising"] = top_variables(told, names, usual)
        columns |= bit_columns(told, names, "bits({})") if each else {}
    return columns | (rest_columns(model, format, events) if rest else {})


def own_variables(model: Trainable) -> list[int]:
    """The variables that are no context."""
    return [i for i in range(model.schema.size) if i not in model.context]


def plausibility_by_column(
    model: Trainable, format: Format, events: Events
) -> tuple[Tensor, Tensor | None]:
    """log p of rows, (rows,), and log p(value | earlier) of what is no context, (rows, columns), where it is told."""
    nats, along = plausibility_by_variable(model, format, events)
    if along is None:
        return nats, None
    return nats, add_besides(format, events, along, own_variables(model))[1]


def learn_usual(model: Trainable, format: Format, valid: Events) -> Usual | None:
    """The usual costs of columns, of the first validation rows; None where a model does not tell log p column by column."""
    each = plausibility_by_column(model, format, valid[:MAX_USUAL_ROWS])[1]
    return None if each is None else Usual.of_rows(each)


def calibrate(
    model: Trainable, format: Format, events: Events, usual: Usual | None, source: str
) -> Calibration:
    """The rows to rank scores against, with their excess where it is told what is usual."""
    nats, each = plausibility_by_column(model, format, events)
    excess = None if usual is None or each is None else usual.excess(each).numpy()
    return Calibration(nats.numpy(), source, excess)


def add_besides(
    format: Format, events: Events, along: Tensor, variables: Sequence[int]
) -> tuple[list[str], Tensor]:
    """Names, and log p of the value given earlier ones, (rows, names): of variables, then of what is told besides.

    `along` has log p of the codes of all variables.
    """
    besides = log_beside(format, events.values)
    own = (along + format.log_within(events))[:, variables]
    names = [*(format.names[i] for i in variables), *besides]
    return names, torch.cat([own, *(nats[:, None] for nats in besides.values())], 1)


def rest_columns(model: Trainable, format: Format, events: Events) -> ScoreColumns:
    """-log2 p(value | all others) of each variable for which it is known."""
    nats = full_conditionals(model, events.codes) + format.log_within(events)
    known = [i for i in range(model.schema.size) if not nats[:, i].isnan().all()]
    return bit_columns(nats[:, known], [format.names[i] for i in known], "bits({} | rest)")


def conditional_columns(model: Trainable, format: Format, events: Events) -> ScoreColumns:
    """`p(NAME)` of each variable's value given earlier ones, and `bits(NAME)`, the same as surprisal, each (rows,)."""
    along = conditionals(model, events.codes)
    names, nats = add_besides(format, events, along, range(model.schema.size))
    columns: ScoreColumns = {
        f"p({name})": np.exp(nats[:, i].numpy()) for i, name in enumerate(names)
    }
    return columns | bit_columns(nats, names, "bits({})")


def full_conditionals_refusal(model: Trainable, rows: int) -> str | None:
    """Why -log2 p(value | all others) cannot be told of so many rows together; None where it can."""
    if not isinstance(model, DensityModel):
        return full_conditionals.refusal
    most = rows_per_call(model)
    return (
        f"this model answers it for {most:,} rows at a time, not {rows:,}" if rows > most else None
    )


class ScoreRanking:
    """Puts p-values beside scores, piece after piece, and adds up what is told of all rows together.

    `refused` says why the bits given all others are left out, where they were asked for (`each`), `word` how good they are.
    """

    def __init__(
        self,
        calibration: Calibration | None,
        fdr: float | None,
        each: bool,
        refused: str | None,
        word: str | None,
    ) -> None:
        if calibration is None and fdr is not None:
            raise UserError(
                "a false discovery rate needs calibration rows, and this run has none; give some"
            )
        self.calibration, self.fdr = calibration, None if fdr is None else check_level(fdr)
        self.each, self.refused, self.word = each, refused, word
        self.threshold, self.anomalies, self.likely, self.sign = -1.0, 0, list[np.ndarray](), "="

    def find_threshold(self, pieces: Iterable[Scored]) -> None:
        """Finds the largest p-value that is marked, from the scores of all pieces; only a false discovery rate needs that."""
        if self.calibration is not None and self.fdr is not None:
            p_values = [find_p_values(self.calibration, piece) for piece in pieces]
            self.threshold = discovery_level(np.concatenate(p_values), self.fdr)

    def add_ranks(self, piece: pd.DataFrame) -> pd.DataFrame:
        """The frame with what calibration rows tell of it."""
        ranks = self._ranks(piece, piece["sign"].iloc[0])
        piece = piece.drop(columns=AS_ODD, errors="ignore")
        for place, (name, values) in enumerate(ranks.items(), PLACE_OF_RANKS):
            piece.insert(place, name, values)
        return piece

    def rank_columns(self, columns: ScoreColumns) -> ScoreColumns:
        """The columns with what calibration rows tell of them."""
        ranks = self._ranks(columns, str(columns["sign"]))
        items = [(name, values) for name, values in columns.items() if name != AS_ODD]
        return dict([*items[:PLACE_OF_RANKS], *ranks.items(), *items[PLACE_OF_RANKS:]])

    def _ranks(self, piece: Scored, sign: str) -> ScoreColumns:
        """The columns that calibration rows give, each (rows,); counts what is marked."""
        self.sign = sign
        if self.calibration is None:
            return {}
        p_values = find_p_values(self.calibration, piece)
        likely = self.calibration.more_likely(np.asarray(piece["nats"]))
        self.likely.append(likely)
        columns: ScoreColumns = {"p_value": p_values, "more_likely": likely}
        if self.fdr is not None:
            columns["anomaly"] = p_values <= self.threshold
            self.anomalies += int((p_values <= self.threshold).sum())
        return columns

    def describe(self) -> dict[str, Any]:
        """The rows that p-values are against, notes and warnings."""
        against = (
            {
                "rows": self.calibration.rows,
                "from": self.calibration.source,
                "statistic": self.calibration.statistic,
            }
            if self.calibration
            else None
        )
        return {
            "sign": self.sign,
            "calibration": against,
            "notes": list(self._notes()),
            "warnings": list(self._warnings()),
        }

    def _notes(self) -> Iterator[str]:
        if self.sign == ">=":
            yield "nats are lower bounds (>=) on log p, and bits upper ones: differences of rows are estimates (~)"
        if self.calibration is not None:
            yield self.calibration.note
        if self.fdr is not None:
            known = ", by simulation" if isinstance(self.calibration, CrossCalibration) else ""
            yield f"anomalies at a false discovery rate of {self.fdr:g}{known}: {self.anomalies:,} rows"
        if self.each and self.refused is None:
            yield (
                "bits(NAME) are given earlier variables and add up to the row's bits; "
                f"bits(NAME | rest) are given all others{', approximately,' if self.word != 'exact' else ''} and do not"
            )

    def _warnings(self) -> Iterator[str]:
        if self.calibration is not None and self.likely:
            marked = np.concatenate(self.likely)
            yield from self.calibration.too_likely(marked)
            if self.fdr is not None and not self.anomalies:
                yield from self.calibration.too_few(len(marked), self.fdr)
        if self.each and self.refused is not None:
            yield f"bits(NAME | rest) is left out: {self.refused}"


def find_p_values(calibration: Calibration, piece: Scored) -> np.ndarray:
    """The p-values of the rows of a piece, by its column `excess` where there is one, or by how many others are as odd."""
    if AS_ODD in piece:
        return (1 + np.asarray(piece[AS_ODD])) / (calibration.rows + 1)
    excess = np.asarray(piece["excess"]) if "excess" in piece else None
    return calibration.p_values(np.asarray(piece["nats"]), excess)


def bit_columns(nats: Tensor, names: Sequence[str], title: str) -> ScoreColumns:
    """A column for each variable, (rows, variables) nats in bits."""
    values = -nats.numpy() / np.log(2) + 0.0  # no minus before a zero
    return {title.format(name): values[:, i] for i, name in enumerate(names)}


def top_variables(
    nats: Tensor, names: Sequence[str], usual: Usual | None = None, most: int = 3
) -> list[str]:
    """The variables with the most bits of each row, in words; with what is usual, most above their mean, of those above."""
    found = -(nats if usual is None else usual.above(nats)) / float(np.log(2))
    least, sign = (-np.inf, "") if usual is None else (0.05, "+")  # less would read as none
    top = found.topk(min(most, found.shape[1]), 1)
    rows = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [
        "; ".join(f"{names[i]} {sign}{b:.1f} bits" for i, b in zip(*row, strict=True) if b >= least)
        for row in rows
    ]
