"""Models from a user's file, `FILE.py:CLASS`: read, recognised, and held to the contract before they train.

A run is data, never code. run.json records the file's SHA-256 and the class so that a run can recognise its model; what
is executed is only a file that the user named for this very use, and exactly the bytes that were hashed.
"""

from __future__ import annotations

import contextlib
import hashlib
import linecache
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from inspect import getsourcefile, isabstract, signature
from math import log
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from plausibly.capabilities import Trainable
from plausibly.contract import checks as contract
from plausibly.errors import BrokenPromises, UserError
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS
from plausibly.training.loop import Plan, Training, count, prepare

FORM = "a model of your own is named FILE.py:CLASS, such as my_model.py:MyModel"


@dataclass(frozen=True)
class Code:
    """Where a class that is not plausibly's was found. `sha256` is None where no file holds it."""

    file: str
    name: str
    sha256: str | None


_FOUND: dict[type, Code] = {}


def is_reference(name: object) -> bool:
    """Whether a model's name names a file."""
    return isinstance(name, str) and (name.endswith(".py") or ".py:" in name)


def parted(reference: str) -> tuple[Path, str]:
    """File and class. UserError where either is missing."""
    file, mark, name = reference.rpartition(":")
    if not mark or not file.endswith(".py") or not name.isidentifier():
        raise UserError(f"{reference!r} does not say which class; {FORM}")
    return Path(file), name


def read(reference: str, sha256: str | None = None) -> type[Trainable]:
    """The class, by executing the file. UserError, before anything runs, where the bytes have not that SHA-256."""
    file, name = parted(reference)
    try:
        source = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; {FORM}") from error
    found = hashlib.sha256(source).hexdigest()
    if sha256 is not None and found != sha256:
        raise UserError(f"{file} has changed since the run was fitted; restore it as it was, or fit anew")
    kind = _class_in(_executed(file, source, found), name, file)
    _FOUND[kind] = Code(str(file.resolve()), name, found)
    return kind


def _executed(file: Path, source: bytes, sha256: str) -> ModuleType:
    """The module made of these bytes, once a process; what it prints goes to stderr."""
    title = f"plausibly_user_{sha256[:32]}"
    if title in sys.modules:
        return sys.modules[title]
    module = sys.modules[title] = ModuleType(title)  # known while it runs: dataclasses look their module up
    module.__file__ = str(file.resolve())
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, module.__file__, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[title]
        raise UserError(f"{file}{_line(error, module.__file__)}: {type(error).__name__}: {error}") from error
    linecache.checkcache(module.__file__)
    return module


def _line(error: BaseException, file: str) -> str:
    """Where in the file it went wrong, for a message."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    numbers, step = [], error.__traceback__
    while step is not None:
        numbers += [step.tb_lineno] * (step.tb_frame.f_code.co_filename == file)
        step = step.tb_next
    return f", line {numbers[-1]}" if numbers else ""


def _class_in(module: ModuleType, name: str, file: Path) -> type[Trainable]:
    """The class of that name. UserError where it is no finished model."""
    models = [k for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
    kind = vars(module).get(name)
    if not isinstance(kind, type):
        raise UserError(f"{file} has no class {name!r}; it has {', '.join(models) or 'none'}")
    return usable(kind, str(file))


def usable(kind: type, where: str) -> type[Trainable]:
    """The class as a model. UserError where it is none, is not finished, or has the name of one of plausibly's."""
    if not issubclass(kind, Trainable):
        raise UserError(f"{where}: {kind.__name__} is no model; it must extend a class of plausibly.capabilities")
    undecided = {"objective"} - {*dir(kind), *signature(kind).parameters}
    if isabstract(kind) or undecided:
        lacking = ", ".join(sorted(undecided | getattr(kind, "__abstractmethods__", frozenset())))
        raise UserError(f"{where}: {kind.__name__} is not finished; it must define {lacking}")
    absent = [word for word in ("family", "formula") if not isinstance(getattr(kind, word, None), str)]
    if absent:
        raise UserError(f"{where}: {kind.__name__} must say its {' and '.join(absent)}, a line of text each")
    if kind.__name__ in MODELS and MODELS[kind.__name__] is not kind:
        raise UserError(f"{where}: {kind.__name__} is the name of a model of plausibly's; take another")
    return kind


def name_of(kind: type) -> str:
    """The name on boards and of folders: the file's for plausibly's own models, else the class's."""
    return next((name for name, known in MODELS.items() if known is kind), kind.__name__)


def code_of(kind: type) -> dict[str, Any] | None:
    """What run.json keeps of where the class came from; None for plausibly's own models."""
    return None if kind in MODELS.values() else asdict(_code(kind))


def _code(kind: type) -> Code:
    if kind in _FOUND:
        return _FOUND[kind]
    try:
        file = getsourcefile(kind)
        source = Path(file or "").read_bytes()
    except (TypeError, OSError):  # typed into a notebook
        return Code(kind.__module__, kind.__name__, None)
    return Code(str(file), kind.__name__, hashlib.sha256(source).hexdigest())


def recognised(kept: dict[str, Any], path: Path, model: str | type | None) -> type[Trainable]:
    """The class that a run was fitted with, from what the user names. UserError where that is nothing or another."""
    title = f"{Path(kept['file']).name}:{kept['name']}"
    if model is None:
        raise UserError(
            f"{path} needs code that is not plausibly's, and runs it only when you name it: add --model {title} "
            "(in Python model=...), the file as it was"
        )
    if isinstance(model, str) and not is_reference(model):
        raise UserError(f"{path} was fitted with {title}, not with {model}; {FORM}")
    name = parted(model)[1] if isinstance(model, str) else model.__name__
    if name != kept["name"]:
        raise UserError(f"{path} was fitted with {title}, not with {name}")
    if isinstance(model, str):
        return read(model, kept["sha256"])
    if kept["sha256"] not in (None, _code(model).sha256):
        raise UserError(f"the file of {name} has changed since {path} was fitted; restore it as it was, or fit anew")
    return usable(model, name)


def hold_to_contract(kind: type[Trainable], schema: Schema) -> None:
    """Runs the contract on tiny instances. BrokenPromises has a line for each promise that does not hold.

    Plausibly's own models are tested elsewhere.
    """
    if kind in MODELS.values():
        return
    if broken := broken_promises(kind, schema):
        raise BrokenPromises([*broken, f"{name_of(kind)} is not trained: its numbers would not hold"])


@lru_cache(64)  # an estimator is fitted many times
def broken_promises(kind: type[Trainable], schema: Schema) -> tuple[str, ...]:
    """A line for each promise that does not hold, the first time that it does not."""
    broken: dict[str, str] = {}
    for small in small_schemas(kind, schema):
        for result in results(kind, small):
            if not result.holds:
                broken.setdefault(result.name, f"{name_of(kind)} breaks {result.name}: {_measured(result)}")
    return tuple(broken.values())


def _measured(result: contract.Result) -> str:
    if result.value != result.value:  # it raised
        return result.says
    return f"{result.says}: {result.value:.3g}, tolerance {result.tolerance:.3g}"


def small_schemas(kind: type[Trainable], schema: Schema) -> list[Schema]:
    """The data's own schema where its events can be listed, else its first variables and a few that are like any data."""
    if schema.log_events <= log(4096):
        return [schema]
    image = len(schema.shape) == 3
    few = Schema((schema.shape[0], 2, 2), schema.kinds[: schema.shape[0] * 4]) if image else schema.first(_few(schema))
    table = Schema((3,), (Category(levels=3, open=True, missing=True), Category(levels=2), Level(levels=4)))
    pixels = Schema((1, 2, 3), (Level(levels=3),) * 6)
    accepted = [each for each in (few, binary(6), table, pixels) if kind.accepts(each) is None]
    return accepted or [schema]


def _few(schema: Schema) -> tuple[int, ...]:
    """Up to three variables, those with few codes first."""
    return tuple(sorted(sorted(range(schema.size), key=lambda i: schema.codes[i])[:3]))


def results(kind: type[Trainable], schema: Schema) -> Iterator[contract.Result]:
    """The contract's results on a tiny instance with shaken weights, and whether it learns."""
    try:
        model = contract.shaken(kind.tiny(schema))
    except Exception as error:
        yield _failed("can_be_built", error)
        return
    yield from contract.results(model)
    try:
        yield learns(model)
    except Exception as error:
        yield _failed("learns", error)


def _failed(name: str, error: Exception) -> contract.Result:
    return contract.Result(name, False, float("nan"), 0.0, f"{type(error).__name__}: {error}")


def learns(model: Trainable) -> contract.Result:
    """Two steps, or all passes, on random events leave the tensors finite and can be validated."""
    events = contract.random_events(model.schema, 64, 12).view(-1, *model.schema.shape)
    prepare(model, events, 0)
    if model.objective.turns(model):
        training = Training(model, events, events[:16], Plan(2, every=1))
        seen = list(training.run())
        training.finish()
    else:
        seen = list(count(model, events, events[:16]))
    faults = sum(not bool(t.isfinite().all()) for t in model.state_dict().values()) + (not seen)
    faults += sum(not torch.tensor(progress.validation).isfinite() for progress in seen)
    return contract.near("learns", faults, 0, "tensors and validations that are not finite after two steps, or none")
