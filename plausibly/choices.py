"""Parts of a model that an argument chooses by name: an objective, a prior, a network.

`prior=vamp prior.components=100` on the command line, `prior={"name": "vamp", "components": 100}` in run.json and in
Python, or the part itself. Its own arguments are those that its constructor takes by keyword only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, ClassVar, TypeVar

Kind = TypeVar("Kind", bound="Part")


class Part:
    name: ClassVar[str] = ""

    @property
    def spec(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them."""
        return {
            "name": self.name,
            **{argument: getattr(self, argument) for argument in arguments(type(self))},
        }


def arguments(kind: type[Part]) -> list[str]:
    """The names of the arguments that choose something."""
    return [
        name
        for name, each in signature(kind).parameters.items()
        if each.kind is Parameter.KEYWORD_ONLY
    ]


def build_part(what: str, kinds: Sequence[type[Kind]], spec: Any, *first: Any) -> Kind:
    """The part that `spec` asks for, made with the arguments `first` besides its own. ValueError where there is none."""
    if isinstance(spec, tuple(kinds)):
        return spec  # type: ignore[return-value]
    wanted = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
    names = ", ".join(kind.name for kind in kinds)
    if "name" not in wanted:
        raise ValueError(
            f"{what}.{next(iter(wanted), '')} needs {what}=NAME beside it; names: {names}"
        )
    found = next((kind for kind in kinds if kind.name == wanted["name"]), None)
    if found is None:
        raise ValueError(f"{what} = {wanted['name']!r}; it is one of {names}")
    given = {name: value for name, value in wanted.items() if name != "name"}
    for name in given:
        if name not in (known := arguments(found)):
            raise ValueError(
                f"{what} {found.name} has no argument {name!r}; it takes {', '.join(known) or 'none'}"
            )
    return found(*first, **given)
