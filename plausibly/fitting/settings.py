"""Settings of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.loading import load
from plausibly.data.relations.finding import Roles
from plausibly.errors import UserError, did_you_mean
from plausibly.runs.building import GENERAL_ARGUMENTS
from plausibly.runs.record import Record
from plausibly.training.estimates import steps_within
from plausibly.training.plan import Plan, TrainingProgress, default_every, default_steps

MAX_SETTING = 10**9  # of training: steps would take years


@dataclass
class Listener:
    """Who hears about the progress: `log` gets lines, `progress` each validation, `read` how many cells of how many are read.

    Silent unless told otherwise.
    """

    log: Callable[[str], None] = lambda line: None
    progress: Callable[[str, TrainingProgress], None] = lambda name, progress: None
    read: RowProgress = ignore_progress


@dataclass(frozen=True)
class Settings:
    """The user's wishes about a fit."""

    arguments: dict[str, Any]
    train: dict[str, Any]
    seed: int = 0
    budget: float | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class DataRequest:
    """The user's wishes about data: `source` and `reading` are for `plausibly.load`, the rest names columns.

    `context` names columns that the others are modelled given, `event` those that are modelled given all others, and `target`
    the column that will be told from all others.
    """

    source: Any
    seed: int = 0
    context: Sequence[str] = ()
    event: Sequence[str] = ()
    reading: dict[str, Any] = field(default_factory=dict)
    target: str | None = None

    def load(self, on_progress: RowProgress = ignore_progress) -> Dataset:
        """The data, as they are asked for."""
        roles = Roles(self.target, tuple(self.context), tuple(self.event))
        return load(
            self.source, seed=self.seed, roles=roles, on_progress=on_progress, **self.reading
        )


def general_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that are asked of every model: its context, and its target."""
    asked = {name: arguments.get(name) for name in GENERAL_ARGUMENTS}
    return {name: value for name, value in asked.items() if value not in (None, [], ())}


def make_settings(
    values: Mapping[str, Any] | None,
    seed: int,
    budget: float | None,
    steps: int | None,
    device: str,
) -> Settings:
    """Sorts `hidden=256 train.rate=1e-3` into constructor arguments and the plan. UserError for an unknown one."""
    values = dict(values or {})
    train = {
        key.removeprefix("train."): values.pop(key)
        for key in list(values)
        if key.startswith("train.")
    }
    check_train_settings(train)
    arguments = nest_arguments(values)
    if budget is not None and not 0 < budget < inf:
        raise UserError(f"a budget of {budget} s is none; 60 is")
    if steps is not None:
        train["steps"] = steps
    if budget is not None and ("steps" in train or "epochs" in train):
        raise UserError("give either a budget or a number of steps, not both")
    return Settings(arguments, train, seed, budget, device)


def settings_on_record(
    record: Record, path: Path, arguments: dict[str, Any], device: str
) -> Settings:
    """The settings with which several models go on. UserError where the record keeps none."""
    if not record.settings:
        raise UserError(f"{path / 'run.json'} is damaged: 'settings' are none")
    kept = record.settings
    return Settings(arguments, kept.train, record.seed, kept.budget, device)


def check_train_settings(train: Mapping[str, Any]) -> None:
    """Looks at the names and the values of settings of the plan. UserError for one that cannot be."""
    known = [*(f.name for f in fields(Plan) if f.name != "seed"), "epochs"]
    for name, value in train.items():
        if name not in known:
            hint = did_you_mean(name, known).replace("'", "'train.", 1)
            raise UserError(
                f"there is no setting 'train.{name}'{hint}; settings: {', '.join(known)}, each with train. before"
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"train.{name} = {value!r}; it is a number")
        if not abs(value) <= MAX_SETTING:
            raise UserError(f"train.{name} = {value}; it is a number up to {MAX_SETTING:,}")
    types = plan_types()
    for name, value in train.items():
        if types.get(name) is int and value != int(value):
            raise UserError(f"train.{name} = {value}; it is a whole number")
    if train.get("epochs", 1) <= 0 or train.get("batch", 1) < 1:
        raise UserError("train.epochs must be more than 0 and train.batch at least 1")


def plan_types() -> dict[str, type]:
    """The type of each setting of the plan."""
    return {f.name: type(getattr(Plan(1), f.name)) for f in fields(Plan)}


def nest_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """`objective="rate-distortion"` and `objective.beta=4` as one value: the part's name and its arguments."""
    found = {key: value for key, value in values.items() if "." not in key}
    for key, value in values.items():
        part, dot, argument = key.partition(".")
        if dot:
            own = found.get(part, {})
            found[part] = {**(own if isinstance(own, dict) else {"name": own}), argument: value}
    return found


def make_plan(chosen: Settings, model: Trainable, dataset: Dataset) -> Plan:
    """The plan of a gradient run: steps as asked for, or from the budget, or by default."""
    train = {**model.plan, **chosen.train}
    batch = int(train.get("batch", 100))
    rounds = int(train.pop("rounds", 100))
    epochs = train.pop("epochs", None)
    if epochs is not None:
        train["steps"] = max(1, round(epochs * -(-len(dataset.train) // max(batch, 1))))
    train.setdefault("steps", default_steps(len(dataset.train), batch, rounds))
    train.setdefault("every", default_every(len(dataset.train), batch))
    types = plan_types()
    plan = Plan(seed=chosen.seed, **{name: types[name](value) for name, value in train.items()})
    if chosen.budget is not None:
        return steps_within(chosen.budget, model, dataset.train.codes, dataset.valid.codes, plan)
    return replace(plan, every=max(1, min(plan.every, -(-plan.steps // 10))))
