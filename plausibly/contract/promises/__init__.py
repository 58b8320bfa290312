"""The promises, one file a capability or family: the folder is the registry."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import UnionType

from plausibly.contract.promise import Promise


def load_promises() -> dict[str, Promise]:
    """Every promise by its name, those of simple capabilities first: the `Promise` objects in the files of this folder."""
    found: dict[str, Promise] = {}
    for module in iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}")).values()
        found |= {each.name: each for each in members if isinstance(each, Promise)}
    return dict(sorted(found.items(), key=lambda item: count_bases(item[1].capability)))


def count_bases(capability: type | UnionType) -> int:
    """The number of types that a capability inherits from, of several the fewest."""
    if isinstance(capability, UnionType):
        return min(map(count_bases, capability.__args__))
    return len(capability.__mro__)
