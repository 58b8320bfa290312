"""One task a file: a function that picks its rule by what the model can do, and refuses with a reason."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from re import sub
from typing import Any, Generic, TypeVar

from plausibly.errors import Unsupported

Rule = TypeVar("Rule", bound=Callable[..., Any])
GRADES = {"yes": 3, "exact": 3, "bound": 2, "estimate": 1, "approximate": 1}


def grade_word(word: str | None) -> int:
    """The rank of an answer by its word: 3 where it is exact, then bounds, then estimates; 0 where there is none."""
    return 0 if word is None else GRADES[word]


class Task(Generic[Rule]):
    """A function of a model and more. Each rule is for one capability and says how good its answer is.

    The words are `exact`, `bound`, `estimate`, `approximate`, and `yes` where the answer is no number.
    """

    def __init__(self, name: str, refusal: str) -> None:
        self.name, self.refusal = name, refusal
        self.rules: dict[type, tuple[str, Callable[..., Any]]] = {}
        self.words: dict[type, Callable[..., str | None]] = {}

    def rule(
        self, capability: type, word: str, word_for: Callable[..., str | None] | None = None
    ) -> Callable[[Rule], Rule]:
        """Registers a function; `word_for` finds the word of one question, where that may be another."""

        def register(function: Rule) -> Rule:
            self.rules[capability] = word, function
            if word_for is not None:
                self.words[capability] = word_for
            return function

        return register

    def candidates(self, model: type) -> list[type]:
        """The capabilities with a rule that the model has, most specific first."""
        return [capability for capability in model.__mro__ if capability in self.rules]

    def word(self, model: type) -> str | None:
        """The word for how good the answer is, or None where the task refuses."""
        found = self.candidates(model)
        return self.rules[found[0]][0] if found else None

    def word_for(self, model: object, *question: Any) -> str | None:
        """The same for one question, which a model may answer better than others, or not at all."""
        found = self.candidates(type(model))
        if found and found[0] in self.words:
            return self.words[found[0]](model, *question)
        return self.word(type(model))

    def require(self, model: object) -> None:
        """Unsupported, with the reason, where the task refuses."""
        if not self.candidates(type(model)):
            spoken = sub("(?<=[a-z])(?=[A-Z])", " ", type(model).__name__).lower()
            raise Unsupported(f"{spoken} does not answer {self.name}: {self.refusal}")

    def __call__(self, model: object, *arguments: Any, **options: Any) -> Any:
        self.require(model)
        return self.rules[self.candidates(type(model))[0]][1](model, *arguments, **options)


def load_tasks() -> dict[str, Task[Any]]:
    """Every task by its name: the `Task` objects in the files of this folder."""
    found: dict[str, Task[Any]] = {}
    for module in iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}")).values()
        found |= {task.name: task for task in members if isinstance(task, Task)}
    return dict(sorted(found.items()))
