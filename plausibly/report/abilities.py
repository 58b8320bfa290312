"""The questions that each model answers and refuses, read off the tasks and the ladder of capabilities."""

from __future__ import annotations

from dataclasses import dataclass

from plausibly.capabilities import Trainable
from plausibly.report.subjects import Subject
from plausibly.tasks import load_tasks


@dataclass(frozen=True)
class AbilityRow:
    """One model: its rungs on the ladder, the formula of its parameters, and an answer for each task."""

    model: str
    rungs: list[str]
    formula: str
    answers: list[str]  # a word, or the number of a refusal


@dataclass(frozen=True)
class AbilitySection:
    tasks: list[str]
    models: list[AbilityRow]
    refusals: list[str]

    @property
    def rungs(self) -> list[str]:
        """All classes that any of the models has, the most general first."""
        ordered = sorted(self.models, key=lambda model: len(model.rungs))
        return list(dict.fromkeys(rung for model in ordered for rung in model.rungs))


def capability_ladder(model: type) -> list[str]:
    """The capability classes of a model, the most general first."""
    return [
        kind.__name__ for kind in reversed(model.__mro__) if kind.__module__ == Trainable.__module__
    ]


def ability_section(shown: list[Subject]) -> AbilitySection:
    """A row for each class of model, in the board's order, companions last; equal refusals are said once."""
    models = {subject.row.model: type(subject.run.model) for subject in shown}
    beside = [subject.run.companion for subject in shown]
    models |= {run.record.model: type(run.model) for run in beside if run}
    tasks, refusals = load_tasks(), list[str]()
    rows = []
    for name, model in models.items():
        answers = []
        for task in tasks.values():
            word = task.word(model)
            reason = f"{task.name}: {task.refusal}"
            if word is None and reason not in refusals:
                refusals.append(reason)
            answers.append(word or f"no {refusals.index(reason) + 1}")
        rows.append(AbilityRow(name, capability_ladder(model), model.formula, answers))
    return AbilitySection(list(tasks), rows, refusals)
