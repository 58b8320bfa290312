"""Is a model that learned from samples as good on real rows as one that learned from real rows?

Boosted trees learn to predict one column, the target, from all others: once from training rows, and from as many samples
(train on synthetic, test on real: Esteban et al. 2017, arXiv:1706.02633). Both predict it for the same held-out rows:

    AUC   of categories: one level against the rest, the mean over the levels          0.5: nothing learned, 1 is best
    R^2   of numbers: 1 - E (y - prediction)^2 / E (y - mean)^2                        0: nothing learned, 1 is best
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.data.questions import variable_named
from plausibly.errors import UserError
from plausibly.evaluation.intervals import UnitInfluences, influence_by_unit
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import HELD_OUT_AND_DRAWS
from plausibly.evaluation.samples.judges import (
    boosting_options,
    categorical,
    single_core,
    tree_table,
)
from plausibly.evaluation.samples.two_samples import placements
from plausibly.events.kinds import Kind

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

MAX_LEVELS = 20
MIN_TARGET_ROWS = 20  # whose target is known


@dataclass(frozen=True)
class PredictionSkill:
    """The skill with which the target was predicted; `influence` of each held-out row on it, (rows,), with a mean of 0."""

    value: float
    influence: np.ndarray


def predictable(kind: Kind) -> bool:
    """Numbers, and categories of a few levels."""
    return kind.ordered or 2 <= kind.regular <= MAX_LEVELS


def target_of(format: Format, name: str | None = None) -> int | None:
    """The variable of that name, else the last category of a few levels, else the last number; None without any."""
    kinds = format.schema.kinds
    fitting = [i for i, kind in enumerate(kinds) if predictable(kind)]
    if name is None:
        return max(fitting, key=lambda i: (not kinds[i].ordered, i), default=None)
    place = variable_named(format, name)
    if place not in fitting:
        some = ", ".join(format.names[i] for i in fitting[:20]) or "no column of this table"
        levels = f"{kinds[place].regular:,} levels; a target has 2 to {MAX_LEVELS}, or is a number"
        raise UserError(f"{name!r} has {levels}: {some} would do")
    return place


def one_against_rest(truth: np.ndarray, scores: np.ndarray) -> PredictionSkill:
    """The AUC of scores (rows, levels), the mean over the levels that some of the rows have, not all of them."""
    return mean_skill(
        [level_skill(truth == level, scores[:, int(level)]) for level in np.unique(truth)]
    )


def level_skill(own: np.ndarray, scores: np.ndarray) -> PredictionSkill:
    """The AUC of scores (rows,), by which the rows that are the level's `own` should come first."""
    influence, (ours, theirs) = np.empty(len(own)), placements(scores[own], scores[~own])
    value = float(ours.mean())
    influence[own] = (ours - value) / own.mean()
    influence[~own] = (theirs - value) / (1 - own.mean())
    return PredictionSkill(value, influence)


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> PredictionSkill:
    """R^2 of predictions, (rows,)."""
    errors, spread = (truth - predicted) ** 2, (truth - truth.mean()) ** 2
    lost = errors.mean() / spread.mean()
    return PredictionSkill(float(1 - lost), (lost * spread - errors) / spread.mean())


@dataclass(frozen=True)
class PredictionContest:
    """Held-out rows of a table whose target is to be predicted."""

    format: Format
    target: int
    real: Events

    @property
    def levels(self) -> int | None:
        """The number of levels that the target has; None of a number."""
        kind = self.format.schema.kinds[self.target]
        return None if kind.ordered else kind.regular

    def tree_inputs(self, events: Events) -> tuple[np.ndarray, np.ndarray]:
        """The input of trees from the other columns, (rows, others), and the target, (rows,), of rows where it is no hole."""
        kind = self.format.schema.kinds[self.target]
        codes = self.format.schema.event_codes(events.codes)[:, self.target]
        table, seen = tree_table(self.format, events), codes.numpy() < kind.regular
        return np.delete(table, self.target, 1)[seen], table[seen, self.target]

    @property
    def groups(self) -> np.ndarray | None:
        """The groups of the held-out rows whose target is known."""
        if self.real.groups is None:
            return None
        codes = self.format.schema.event_codes(self.real.codes)[:, self.target].numpy()
        return self.real.groups[codes < self.format.schema.kinds[self.target].regular]

    def skill(self, events: Events, seed: int = 0) -> PredictionSkill | None:
        """The skill of trees that learned from these rows; None where too few of them, or of held-out rows, tell anything."""
        (table, truth), (rows, target) = self.tree_inputs(events), self.tree_inputs(self.real)
        if min(len(truth), len(target)) < MIN_TARGET_ROWS or len(np.unique(target)) < 2:
            return None
        trees = self._learner(len(truth), seed)
        with single_core():
            if self.levels is None:
                return r_squared(target, trees.fit(table, truth).predict(rows))
            scores = np.zeros((len(rows), self.levels))
            if len(levels := np.unique(truth).astype(int)) > 1:
                scores[:, levels] = trees.fit(table, truth).predict_proba(rows)
        return one_against_rest(target, scores)

    def _learner(self, rows: int, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        categories = categorical(self.format)
        del categories[self.target]
        kind = (
            HistGradientBoostingRegressor if self.levels is None else HistGradientBoostingClassifier
        )
        return kind(**boosting_options(rows, categories, seed))

    def __str__(self) -> str:
        return f"boosted trees, {'R^2' if self.levels is None else 'AUC'} of {self.format.names[self.target]}"


def usefulness(
    contest: PredictionContest, train: Events, made: Sequence[Events], seed: int = 0
) -> dict[str, Number] | str:
    """The skill learned from samples, the mean over draws of them, and what it lacks; or why there is none.

    Standard errors and intervals are over held-out rows, paired for the difference, and over the draws.
    """
    real, ours = contest.skill(train, seed), [contest.skill(events, seed) for events in made]
    found = [each for each in ours if each is not None]
    if real is None or len(found) < len(ours):
        return f"needs {MIN_TARGET_ROWS} rows that tell {contest.format.names[contest.target]}, not all of them the same"
    skill, draws = mean_skill(found), influence_by_unit(np.array([each.value for each in found]))
    gap = PredictionSkill(real.value - skill.value, real.influence - skill.influence)
    by = f"{contest}, {len(train):,} rows"
    return {
        "trained_on_samples": skill_number(contest, skill, draws, by, real.value),
        "training_gap": gap_number(contest, gap, draws, by),
    }


def mean_skill(skills: Sequence[PredictionSkill]) -> PredictionSkill:
    value = float(np.mean([each.value for each in skills]))
    return PredictionSkill(value, np.mean([each.influence for each in skills], 0))


def skill_number(
    contest: PredictionContest, skill: PredictionSkill, draws: np.ndarray, by: str, reference: float
) -> Number:
    """A skill with its error; real rows' is the reference, and perfect."""
    moved, rows = (
        UnitInfluences((influence_by_unit(skill.influence, contest.groups),), draws),
        len(skill.influence),
    )
    is_share = contest.levels is not None
    interval = (
        moved.interval_of_share(skill.value, rows)
        if is_share
        else moved.interval(skill.value, most=1.0)
    )
    told: dict[str, Any] = {
        "reference": reference,
        "interval": interval,
        "over": HELD_OUT_AND_DRAWS,
    }
    better = "higher is better; real rows' is perfect"
    return Number(skill.value, moved.error, rows, by, better, reference, **told)


def gap_number(
    contest: PredictionContest, gap: PredictionSkill, draws: np.ndarray, by: str
) -> Number:
    """The skill that samples lack, with its error."""
    moved = UnitInfluences((influence_by_unit(gap.influence, contest.groups),), draws)
    told: dict[str, Any] = {"interval": moved.interval(gap.value), "over": HELD_OUT_AND_DRAWS}
    better = "0 is perfect; above: samples teach less"
    return Number(gap.value, moved.error, len(gap.influence), by, better, 0.0, **told)
