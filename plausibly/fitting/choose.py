"""The best of several models on validation rows: fitted one after the other, and gone on with after any stop.

Each learns in a folder of its own in `members`; the best one's files are put beside it, its record last, and the others go,
but for a companion, which answers what the best one refuses or only estimates.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from plausibly.capabilities import BoundedModel, DensityModel, Trainable
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import sign_of
from plausibly.fitting.budgets import BudgetClock, needed_seconds
from plausibly.fitting.choice import Candidate, choose_fits, cost_of_generality, held_out_candidate
from plausibly.fitting.companions import choose_companion, keep_companion
from plausibly.fitting.fit import Fit, promote_fit
from plausibly.fitting.folders import MEMBERS
from plausibly.fitting.going_on import resume_or_new, train_or_restore
from plausibly.fitting.portfolio import MAX_COUNTING_SECONDS, counting_seconds
from plausibly.fitting.settings import Listener, Settings, general_arguments, settings_on_record
from plausibly.fitting.untrained import initial_record, learns_by_steps, sketch_model
from plausibly.models import MODELS
from plausibly.runs.building import GENERAL_ARGUMENTS, building_refusal
from plausibly.runs.model_classes import builtin_model
from plausibly.runs.record import BEST, Origin, Record, SearchSettings, read_record, write_record
from plausibly.runs.run import reload_data
from plausibly.training.estimates import format_duration
from plausibly.training.plan import Diverged


def accepting_models(dataset: Dataset, chosen: Settings, tried: Sequence[str]) -> list[str]:
    """Those of the models `tried` by default that accept the data: those that count first, then by size."""
    context = chosen.arguments.get("context", ())
    reasons = {
        name: building_refusal(builtin_model(name), dataset.schema, context) for name in tried
    }
    names = [name for name, reason in reasons.items() if reason is None]
    if not names:
        raise UserError(f"no model accepts this data: {'; '.join(map(str, reasons.values()))}")
    given = {"context": context} if context else {}
    sketches = {name: sketch_model(builtin_model(name), dataset, given) for name in names}
    return sorted(names, key=lambda name: cost_order(sketches[name]))


def cost_order(model: Trainable) -> tuple[bool, int]:
    """The place of a model among others: those that count first, then by size."""
    return learns_by_steps(model), model.free_parameters


def leave_out_slow(
    names: Sequence[str], dataset: Dataset, budget: float | None, listener: Listener
) -> list[str]:
    """The models without those that would count for longer than twice the budget, or than ten minutes, which is said.

    One that counts may stop well before.
    """
    most, kept = 2 * budget if budget else MAX_COUNTING_SECONDS, list[str]()
    for name in names:
        sketch = sketch_model(builtin_model(name), dataset, {})
        seconds = 0.0 if learns_by_steps(sketch) else counting_seconds((name, {}), dataset)
        if seconds > most:
            listener.log(left_out_line(name, seconds))
        else:
            kept.append(name)
    if not kept:
        raise UserError(
            "each model would take longer than the budget: give a larger one, or name a model"
        )
    return kept


def left_out_line(name: str, seconds: float) -> str:
    """The words for a model that is not fitted since it would take so long."""
    return f"{name} is left out: it would take about {format_duration(seconds)}; name it to fit it all the same"


def default_models() -> list[str]:
    """The models that are tried where nobody names any."""
    return [name for name, kind in MODELS.items() if kind.by_default]


def models_to_try(dataset: Dataset, chosen: Settings) -> list[str]:
    """The models among which validation chooses by their likelihood: for tables, those whose log p is exact.

    Slow ones are among them where a budget or a number of steps limits them.
    """
    if chosen.arguments.get("context") or not dataset.format.table:
        return [name for name in default_models() if issubclass(MODELS[name], BoundedModel)]
    limited = chosen.budget is not None or not chosen.train.keys().isdisjoint(("steps", "epochs"))
    exact = [name for name, kind in MODELS.items() if issubclass(kind, DensityModel)]
    return exact if limited else [name for name in exact if name in default_models()]


def slow_models_note(tried: Sequence[str], among: type[Trainable] = Trainable) -> str:
    """The models that are left out by default, for a message."""
    slow = [
        name
        for name, kind in MODELS.items()
        if issubclass(kind, among) and not kind.by_default and name not in tried
    ]
    return f" ({', '.join(slow)}: slow, fitted when named)" if slow else ""


def share_budget(
    kinds: Sequence[type[Trainable]], dataset: Dataset, chosen: Settings, repeats: int = 1
) -> Settings:
    """The settings of each of several fits: the budget is divided among those that take steps."""
    given = {key: value for key, value in chosen.arguments.items() if key == "context"}
    stepping = sum(learns_by_steps(sketch_model(kind, dataset, given)) for kind in kinds) * repeats
    if chosen.budget is None or not stepping:
        return chosen
    return replace(chosen, budget=chosen.budget / stepping)


def fit_best(
    path: Path, dataset: Dataset, origin: Origin, chosen: Settings, listener: Listener, began: float
) -> Fit:
    """The best of all models that accept the data, at `path`: it has learned and is not yet tested.

    The budget is of all that was done since the clock showed `began`, and of the test.
    """
    if other := next(iter(chosen.arguments.keys() - {*GENERAL_ARGUMENTS}), None):
        raise UserError(f"{other} is an argument of one model: name it with --model")
    names = accepting_models(dataset, chosen, models_to_try(dataset, chosen))
    slow = slow_models_note(names, DensityModel)
    listener.log(f"no --model given: trying {', '.join(names)}; validation decides{slow}")
    record = initial_record(
        dataset,
        origin,
        chosen.seed,
        model=BEST,
        code=None,
        plan=None,
        arguments=chosen.arguments,
        settings=SearchSettings(chosen.train, chosen.budget).to_json(),
        candidates=names,
    )
    write_record(record.document, path)
    clock = BudgetClock(chosen.budget, began)
    return choose_best(path, names, dataset, origin, chosen, listener, clock)


def resume_best(path: Path, record: Record, device: str, listener: Listener) -> Fit:
    """Goes on with a choice that was stopped."""
    chosen = settings_on_record(record, path, general_arguments(record.arguments), device)
    clock = BudgetClock(chosen.budget, time.monotonic())
    dataset = reload_data(record.data, record.rows, path)
    return choose_best(path, record.candidates, dataset, record.data, chosen, listener, clock)


def choose_best(
    path: Path,
    names: Sequence[str],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
    clock: BudgetClock,
) -> Fit:
    """The best of the models of these names, which begin to learn, go on or have learned."""
    candidates = fit_each(path, names, dataset, origin, chosen, listener, clock)
    if not candidates:
        raise UserError("no model can be fitted to this data: each diverged")
    choice = choose_fits(candidates)
    best = choice.best
    told = f"{sign_of(best.model)} {best.record.validation:.3f} nats per row"
    listener.log(f"best on validation: {best.record.model}, {told}")
    if said := cost_of_generality(choice):
        listener.log(said)
    fits = [each.fit for each in candidates]
    own: dict[str, Any] = {"tried": {each.record.model: each.record.validation for each in fits}}
    own |= keep_companion(choose_companion(best, fits), path)
    if fits[-1].record.status == "interrupted":
        asked = read_record(path)
        own |= {
            "status": "interrupted",
            "candidates": asked.candidates,
            "settings": asked.document["settings"],
        }
    return promote_fit(best, path, **own)


def fit_each(
    path: Path,
    names: Sequence[str],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
    clock: BudgetClock,
) -> list[Candidate]:
    """The models of these names that do not diverge and end in time, up to one that was interrupted.

    Within a budget the quickest that counts comes first: what one of them needs is time that the others have not.
    """
    needs = counting_needs(path, names, dataset, chosen) if chosen.budget else {}
    names = sorted(names, key=lambda name: needs.get(name, inf))
    found = list[Candidate]()
    for waiting, name in zip(reversed(range(len(names))), names, strict=True):
        folder, own = path / MEMBERS / name, chosen
        if not (folder / "run.json").exists():
            seconds = needs.get(name) or needed_seconds(builtin_model(name), dataset, chosen)
            if found and not clock.allows(seconds, waiting):
                listener.log(left_out_line(name, seconds))
                continue
            own = replace(chosen, budget=clock.share(seconds, waiting))
        fit = resume_or_new(folder, builtin_model(name), dataset, origin, own, listener)
        try:
            found.append(held_out_candidate(train_or_restore(fit), dataset))
        except Diverged as error:
            listener.log(f"{name} is out: {error}")
            shutil.rmtree(fit.path)
            continue
        if fit.record.status == "interrupted":
            break
    return found


def counting_needs(
    path: Path, names: Sequence[str], dataset: Dataset, chosen: Settings
) -> dict[str, float]:
    """The seconds that each of the models takes that count; none where it has begun."""
    counting = [
        name
        for name in names
        if not learns_by_steps(sketch_model(builtin_model(name), dataset, chosen.arguments))
    ]
    return {
        name: 0.0
        if (path / MEMBERS / name / "run.json").exists()
        else needed_seconds(builtin_model(name), dataset, chosen)
        for name in counting
    }
