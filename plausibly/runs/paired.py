"""Two models of one run: the main one, and a companion, which answers what the main one refuses or only estimates.

No answer is made from both, and each says whose it is. Everything in events is in the format of the model at hand, so that
the one that answers is found first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from plausibly.capabilities import Trainable
from plausibly.data.formats.format import Format
from plausibly.data.questions import Question
from plausibly.tasks import Task, grade_word
from plausibly.tasks.classify import classify
from plausibly.tasks.complete import complete
from plausibly.tasks.impute import impute
from plausibly.tasks.information import entropy, information
from plausibly.tasks.query import query
from plausibly.tasks.score import conditionals

Either = TypeVar("Either", bound="Paired")

# the tasks that a companion does; scores, samples and compression are the main model's
QUESTIONS: tuple[Task[Any], ...] = (
    classify,
    complete,
    conditionals,
    entropy,
    impute,
    information,
    query,
)


class Paired:
    """A fitted model with the format of its data, which may have a companion.

    `by` is the name that its answers carry: that of the model where there are two, else nothing.
    """

    by = ""

    def __init__(self, model: Trainable, format: Format) -> None:
        self.model, self.format = model, format

    @property
    def companion(self) -> Self | None:
        """The fitted model that answers what this one refuses or only estimates; None where there is none."""
        return None

    @property
    def attribution(self) -> dict[str, str]:
        """The name that answers carry, as JSON; empty of a model alone."""
        return {"model": self.by} if self.by else {}

    def answerer(self, task: Task[Any]) -> Self:
        """The one that does a task: this model, or its companion where that does it better by the table of abilities."""
        if grade_word(task.word(type(self.model))) == grade_word("exact"):
            return self
        other = self.companion
        better = other is not None and answers_better(task, other.model, self.model)
        return other if other is not None and better else self


def answers_better(task: Task[Any], other: Trainable, model: Trainable) -> bool:
    """True where the one model does a task better than the other, as far as their types tell."""
    return grade_word(task.word(type(other))) > grade_word(task.word(type(model)))


def list_better_answers(other: Trainable, model: Trainable) -> list[str]:
    """The names of the questions that the one model, as a companion, answers better than the other."""
    return [task.name for task in QUESTIONS if answers_better(task, other, model)]


def pose_question(
    fitted: Either,
    word: Callable[[Trainable, Question], str | None],
    ask: Callable[[Either], Question],
) -> tuple[Either, Question]:
    """The one of two models that answers a question better by its word, and the question in its format, as `ask` puts it."""
    asked = ask(fitted)
    own = grade_word(word(fitted.model, asked)) if fitted.by else grade_word("exact")
    other = None if own == grade_word("exact") else fitted.companion
    if other is None:
        return fitted, asked
    again = ask(other)
    better = grade_word(word(other.model, again)) > own
    return (other, again) if better else (fitted, asked)


def name_rows(rows: Any, by: str) -> Any:
    """The rows; `attrs` of a frame of theirs say whose answer they are, where a name is given."""
    if by and hasattr(rows, "attrs"):
        rows.attrs["model"] = by
    return rows
