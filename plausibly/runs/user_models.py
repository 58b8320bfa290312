"""Models from a user's file, `FILE.py:CLASS`: read, recognised, and held to the contract before they train.

A run is data, never code. run.json records the file's SHA-256 and the class so that a run can recognise its model; what
is executed is only a file that the user named for this very use, and exactly the bytes that were hashed.
"""

from __future__ import annotations

import contextlib
import hashlib
import linecache
import sys
from dataclasses import asdict, dataclass
from inspect import getsourcefile, isabstract, signature
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from msgspec import Meta

from plausibly.capabilities import Trainable
from plausibly.errors import UserError
from plausibly.models import MODELS, REFERENCE_FORM, is_reference, parse_reference


@dataclass(frozen=True)
class ModelCode:
    """Where a class that is not plausibly's was found. `sha256` is None where no file holds it."""

    file: str
    name: Annotated[str, Meta(pattern=r"\A[^\W\d]\w*\Z")]  # an identifier
    sha256: str | None


_CODES: dict[type, ModelCode] = {}


def read_model(reference: str, sha256: str | None = None) -> type[Trainable]:
    """The class, by executing the file. UserError, before anything runs, where the bytes have not that SHA-256."""
    file, name = parse_reference(reference)
    try:
        source = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; {REFERENCE_FORM}") from error
    found = hashlib.sha256(source).hexdigest()
    if sha256 is not None and found != sha256:
        raise UserError(
            f"{file} has changed since the run was fitted; restore it as it was, or fit anew"
        )
    kind = _class_in(_execute(file, source, found), name, file)
    _CODES[kind] = ModelCode(str(file.resolve()), name, found)
    return kind


def _execute(file: Path, source: bytes, sha256: str) -> ModuleType:
    """The module made of these bytes, once a process; what it prints goes to stderr."""
    title = f"plausibly_user_{sha256[:32]}"
    if title in sys.modules:
        return sys.modules[title]
    module = sys.modules[title] = ModuleType(
        title
    )  # known while it runs: dataclasses look their module up
    module.__file__ = str(file.resolve())
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, module.__file__, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[title]
        raise UserError(
            f"{file}{_line(error, module.__file__)}: {type(error).__name__}: {error}"
        ) from error
    linecache.checkcache(module.__file__)
    return module


def _line(error: BaseException, file: str) -> str:
    """Where in the file it went wrong, for a message."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    numbers, step = [], error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == file:
            numbers.append(step.tb_lineno)
        step = step.tb_next
    return f", line {numbers[-1]}" if numbers else ""


def _class_in(module: ModuleType, name: str, file: Path) -> type[Trainable]:
    """The class of that name. UserError where it is no finished model."""
    models = [
        k
        for k, v in vars(module).items()
        if isinstance(v, type) and v.__module__ == module.__name__
    ]
    kind = vars(module).get(name)
    if not isinstance(kind, type):
        raise UserError(f"{file} has no class {name!r}; it has {', '.join(models) or 'none'}")
    return require_model(kind, str(file))


def require_model(kind: type, where: str) -> type[Trainable]:
    """The class as a model. UserError where it is none, is not finished, or has the name of one of plausibly's."""
    if not issubclass(kind, Trainable):
        raise UserError(
            f"{where}: {kind.__name__} is no model; it must extend a class of plausibly.capabilities"
        )
    undecided = {"objective"} - {*dir(kind), *signature(kind).parameters}
    if isabstract(kind) or undecided:
        lacking = ", ".join(sorted(undecided | getattr(kind, "__abstractmethods__", frozenset())))
        raise UserError(f"{where}: {kind.__name__} is not finished; it must define {lacking}")
    absent = [
        word for word in ("family", "formula") if not isinstance(getattr(kind, word, None), str)
    ]
    if absent:
        raise UserError(
            f"{where}: {kind.__name__} must say its {' and '.join(absent)}, a line of text each"
        )
    if kind.__name__ in MODELS and MODELS[kind.__name__] is not kind:
        raise UserError(
            f"{where}: {kind.__name__} is the name of a model of plausibly's; take another"
        )
    return kind


def code_of(kind: type) -> dict[str, Any] | None:
    """The record in run.json of where the class came from; None for plausibly's own models."""
    return None if kind in MODELS.values() else asdict(_code(kind))


def _code(kind: type) -> ModelCode:
    if kind in _CODES:
        return _CODES[kind]
    try:
        file = getsourcefile(kind)
        source = Path(file or "").read_bytes()
    except (TypeError, OSError):  # typed into a notebook
        return ModelCode(kind.__module__, kind.__name__, None)
    return ModelCode(str(file), kind.__name__, hashlib.sha256(source).hexdigest())


def resolve_model_class(kept: ModelCode, path: Path, model: str | type | None) -> type[Trainable]:
    """The class that a run was fitted with, from what the user names. UserError where that is nothing or another."""
    title = f"{Path(kept.file).name}:{kept.name}"
    if model is None:
        raise UserError(
            f"{path} needs code that is not plausibly's, and runs it only when you name it: add --model {title} "
            "(in Python model=...), the file as it was"
        )
    if isinstance(model, str) and not is_reference(model):
        raise UserError(f"{path} was fitted with {title}, not with {model}; {REFERENCE_FORM}")
    name = parse_reference(model)[1] if isinstance(model, str) else model.__name__
    if name != kept.name:
        raise UserError(f"{path} was fitted with {title}, not with {name}")
    if isinstance(model, str):
        return read_model(model, kept.sha256)
    if kept.sha256 not in (None, _code(model).sha256):
        raise UserError(
            f"the file of {name} has changed since {path} was fitted; restore it as it was, or fit anew"
        )
    return require_model(model, name)
