"""One file a model; the folder is the registry."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from plausibly.capabilities import Trainable


def load_models() -> dict[str, type[Trainable]]:
    """Every model by the name of its file: the concrete class defined there."""
    found = {}
    for module in iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}")).values()
        (found[module.name],) = [
            kind
            for kind in members
            if isinstance(kind, type)
            and issubclass(kind, Trainable)
            and not isabstract(kind)
            and kind.__module__.endswith(f".{module.name}")
        ]
    return dict(sorted(found.items()))


MODELS = load_models()
