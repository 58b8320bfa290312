"""Prints `docs/api.md`: the public names, each with its signature and what its docstring says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import plausibly
from plausibly import capabilities
from plausibly.evaluation.likelihood.by_column import ByColumn
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.samples import Samples
from plausibly.evaluation.samples.tables import Distance, Distances

OPENING = """# In Python

The names in `plausibly` are listed among [what scripts may rely on](promises.md); this page is what they take and return, and
the types that models are made of. It is printed by `python docs/names.py` from the docstrings, and a test holds it."""

FUNCTIONS = (
    plausibly.fit,
    plausibly.compare,
    plausibly.ensemble,
    plausibly.resume,
    plausibly.load,
    plausibly.compress,
    plausibly.decompress,
)
RETURNED = (Samples, Number, Distances, Distance, ByColumn)
TYPES = (
    capabilities.Trainable,
    capabilities.Model,
    capabilities.BoundedModel,
    capabilities.DensityModel,
    capabilities.AutoregressiveModel,
    capabilities.AnyOrderModel,
    capabilities.TractableModel,
)


def render_page() -> str:
    """The page as it stands in the repository."""
    parts = [
        OPENING,
        "## Fit, compare, open",
        *(render_function(function) for function in FUNCTIONS),
        "## A run\n\n`plausibly.open(path)` gives a `Run`.",
        render_class(plausibly.Run),
        "## Estimators as in scikit-learn",
        *(render_class(one) for one in (plausibly.DensityEstimator, plausibly.DensityClassifier)),
        "## Numbers that a run returns",
        *(render_class(one) for one in RETURNED),
        "## What a model can do\n\n`plausibly.capabilities`: each type adds to those that it is made of.",
        *(render_class(kind) for kind in TYPES),
    ]
    return "\n\n".join(parts) + "\n"


def render_function(function: Callable[..., Any]) -> str:
    name = "ensemble" if function is plausibly.ensemble else function.__name__
    return (
        f"### `{name}`\n\n```python\n{signature_text(name, function)}\n```\n\n{docstring(function)}"
    )


def signature_text(name: str, function: Callable[..., Any]) -> str:
    """The call on one line, or an argument a line where that is too long."""
    text = re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(inspect.signature(function)))
    text = re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)
    if len(name + text) <= 100:
        return name + text
    arguments, _, returned = text[1:].rpartition(") -> ")
    lines = re.split(r", (?=[*\w]+(?:[:,]|$))", arguments)
    return f"{name}(\n    " + ",\n    ".join(lines) + f",\n) -> {returned}"


def docstring(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").strip()


def render_class(kind: type) -> str:
    """A class with a table of its methods and properties, its own and those of the private classes below it."""
    bases = [base.__name__ for base in kind.__bases__ if is_public(base)]
    made_of = f" ({', '.join(bases)})" if bases else ""
    rows = [
        f"| `{call_text(name, member)}` | {text_on_a_line(member)} |"
        for name, member in public_members(kind)
    ]
    table = "\n\n| | |\n|---|---|\n" + "\n".join(rows) if rows else ""
    about = inspect.cleandoc(kind.__doc__ or "")
    fields = ", ".join(f"`{name}`" for name in getattr(kind, "__dataclass_fields__", ()))
    parts = [f"### `{kind.__name__}`{made_of}", about, fields and f"Fields: {fields}."]
    return "\n\n".join(part for part in parts if part) + table


def is_public(kind: type) -> bool:
    return kind.__module__.startswith("plausibly") and not kind.__name__.startswith("_")


def public_members(kind: type) -> list[tuple[str, Any]]:
    """Methods and properties with a docstring; inherited ones but those of a type with an entry of its own."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if not base.__module__.startswith("plausibly") or (base in TYPES and base is not kind):
            continue
        for name, member in vars(base).items():
            function = unwrapped(member)
            if not name.startswith("_") and function and docstring(function):
                found.setdefault(name, member)
    return list(found.items())


def unwrapped(member: Any) -> Any:
    """The function behind a method or a property; None for what is neither."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    return member if inspect.isfunction(member) else None


def call_text(name: str, member: Any) -> str:
    """A method with its arguments' names, defaults aside; a property by its name."""
    function = unwrapped(member)
    if isinstance(member, property | cached_property):
        return name
    taken = inspect.signature(function).parameters.values()
    named = [f"{each.name}=" if each.kind is each.KEYWORD_ONLY else each.name for each in taken]
    return f"{name}({', '.join(word for word in named if word not in ('self', 'cls'))})"


def text_on_a_line(member: Any) -> str:
    """A docstring fit for a cell of a table."""
    return re.sub(r"\s+", " ", docstring(unwrapped(member))).replace("|", "\\|")


if __name__ == "__main__":
    print(render_page(), end="")
