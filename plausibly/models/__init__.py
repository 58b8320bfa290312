"""One file a model; the folder is the registry."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import iter_modules

from plausibly.capabilities import Trainable
from plausibly.errors import UserError


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


REFERENCE_FORM = "a model of your own is named FILE.py:CLASS, such as my_model.py:MyModel"


def is_reference(name: object) -> bool:
    """True where a model's name names a file."""
    return isinstance(name, str) and (name.endswith(".py") or ".py:" in name)


def parse_reference(reference: str) -> tuple[Path, str]:
    """File and class. UserError where either is missing."""
    file, mark, name = reference.rpartition(":")
    if not mark or not file.endswith(".py") or not name.isidentifier():
        raise UserError(f"{reference!r} does not say which class; {REFERENCE_FORM}")
    return Path(file), name


def model_name(kind: type) -> str:
    """The name on boards and of folders: the file's for plausibly's own models, else the class's."""
    return next((name for name, known in MODELS.items() if known is kind), kind.__name__)
