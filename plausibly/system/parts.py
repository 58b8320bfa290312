"""Parts of a model that an argument chooses by name: an objective, a prior, a network.

`prior=vamp prior.components=100` on the command line, `prior={"name": "vamp", "components": 100}` in run.json and in
Python, or the part itself. Its own arguments are those that its constructor takes by keyword only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import Parameter, cleandoc, signature
from typing import Any, ClassVar, NamedTuple, TypeVar

Kind = TypeVar("Kind", bound="Part")


class Part:
    name: ClassVar[str] = ""

    @property
    def spec(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them."""
        own = {argument: getattr(self, argument) for argument in list_part_arguments(type(self))}
        return {"name": self.name, **own}


def list_part_arguments(kind: type[Part]) -> list[str]:
    """The names of the arguments that choose something."""
    given = signature(kind).parameters.items()
    return [name for name, each in given if each.kind is Parameter.KEYWORD_ONLY]


def build_part(what: str, kinds: Sequence[type[Kind]], spec: Any, *first: Any) -> Kind:
    """The part that `spec` asks for, made with the arguments `first` besides its own. ValueError where there is none."""
    if isinstance(spec, tuple(kinds)):
        return spec  # type: ignore[return-value]
    given = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
    found = _find_kind(what, kinds, given)
    del given["name"]
    known = list_part_arguments(found)
    for name in given:
        if name not in known:
            raise ValueError(
                f"{what} {found.name} has no argument {name!r}; it takes {', '.join(known) or 'none'}"
            )
    return found(*first, **given)


def _find_kind(what: str, kinds: Sequence[type[Kind]], given: dict[str, Any]) -> type[Kind]:
    """The kind of the name that is given. ValueError where there is none."""
    names = ", ".join(kind.name for kind in kinds)
    if "name" not in given:
        raise ValueError(
            f"{what}.{next(iter(given), '')} needs {what}=NAME beside it; names: {names}"
        )
    for kind in kinds:
        if kind.name == given["name"]:
            return kind
    raise ValueError(f"{what} = {given['name']!r}; it is one of {names}")


class Argument(NamedTuple):
    """An argument of a constructor as its class describes it."""

    name: str
    default: Any
    description: str


def list_arguments(kind: type) -> list[Argument]:
    """The arguments that a person chooses: of a model all but the schema, of a part those by keyword only."""
    described = describe_arguments(kind)
    return [
        Argument(
            each.name,
            None if each.default is Parameter.empty else each.default,
            described.get(each.name, ""),
        )
        for each in signature(kind).parameters.values()
        if _is_chosen(kind, each)
    ]


def _is_chosen(kind: type, argument: Parameter) -> bool:
    return (
        argument.name != "schema"
        and (argument.kind is Parameter.KEYWORD_ONLY or not issubclass(kind, Part))
        and argument.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    )


def describe_arguments(kind: type) -> dict[str, str]:
    """Each argument in `Args:` of the class docstring, `name: description`, those of base classes too."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        found |= parse_arguments(vars(each).get("__doc__") or "")
    return found


def parse_arguments(docstring: str) -> dict[str, str]:
    """The entries below the line `Args:`; what is indented deeper than an entry goes on with it."""
    lines = iter(cleandoc(docstring).split("\n"))
    found: dict[str, str] = {}
    if "Args:" not in map(str.strip, lines):  # goes on behind it
        return found
    name = ""
    for line in lines:
        if line and not line.startswith(" "):
            break
        entry = re.fullmatch(r" {1,4}(\w+): (.*)", line)
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found
