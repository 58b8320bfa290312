"""The best of several models on validation rows: fitted one after the other, and gone on with after any stop.

Each learns in a folder of its own in `members`; the best one's files are put beside it, its record last, and the others go,
but for a companion, which answers what the best one refuses or only estimates.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plausibly.capabilities import AnyOrderModel, BoundedModel, Trainable
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import sign_of
from plausibly.fitting.companions import choose_companion, keep_companion
from plausibly.fitting.fit import Fit, promote_fit
from plausibly.fitting.folders import MEMBERS
from plausibly.fitting.going_on import resume_or_new, train_or_restore
from plausibly.fitting.portfolio import MAX_COUNTING_SECONDS, counting_seconds
from plausibly.fitting.settings import Listener, Settings, general_arguments, settings_on_record
from plausibly.fitting.untrained import initial_record, learns_by_steps, sketch_model
from plausibly.models import MODELS
from plausibly.runs.building import GENERAL_ARGUMENTS, building_refusal
from plausibly.runs.model_classes import builtin_model, model_class
from plausibly.runs.record import BEST, Origin, Record, SearchSettings, read_record, write_record
from plausibly.runs.run import reload_data
from plausibly.training.estimates import format_duration
from plausibly.training.plan import Diverged


@dataclass(frozen=True)
class Choice:
    """The best of several fits on validation, and the best of those that answer any question; they may be one.

    `any_order` is None where none of them does.
    """

    best: Fit
    any_order: Fit | None


def choose_fits(fits: Sequence[Fit]) -> Choice:
    """The choice among fits that have learned, of which there is one at least."""
    ranked = sorted(fits, key=lambda each: -each.record.validation)
    return Choice(
        ranked[0], next((each for each in ranked if isinstance(each.model, AnyOrderModel)), None)
    )


def cost_of_generality(choice: Choice) -> str:
    """The words for what a model loses that answers any question; nothing where the best one does, or none of them."""
    best, general = choice.best.record, choice.any_order and choice.any_order.record
    if general is None or choice.best is choice.any_order:
        return ""
    worse = best.validation - general.validation
    return f"{general.model}, which answers any question: {general.validation:.3f} ({worse:.3f} nats per row worse)"


def accepting_models(
    dataset: Dataset, chosen: Settings, tried: Sequence[str], listener: Listener
) -> list[str]:
    """Those of the models `tried` by default that accept the data: those that count first, then by size.

    One that would count for longer than twice the budget, or than ten minutes, is left out: it may stop well before.
    """
    context = chosen.arguments.get("context", ())
    reasons = {name: building_refusal(model_class(name), dataset.schema, context) for name in tried}
    names = [name for name, reason in reasons.items() if reason is None]
    if not names:
        raise UserError(f"no model accepts this data: {'; '.join(map(str, reasons.values()))}")
    given = {"context": context} if context else {}
    sketches = {name: sketch_model(model_class(name), dataset, given) for name in names}
    if not context:
        leave_out_slow(sketches, dataset, chosen.budget, listener)
    if not sketches:
        raise UserError(
            "each model would take longer than the budget: give a larger one, or name a model"
        )
    return sorted(sketches, key=lambda name: cost_order(sketches[name]))


def cost_order(model: Trainable) -> tuple[bool, int]:
    """The place of a model among others: those that count first, then by size."""
    return learns_by_steps(model), model.free_parameters


def leave_out_slow(
    sketches: dict[str, Trainable], dataset: Dataset, budget: float | None, listener: Listener
) -> None:
    """Removes the models that would count for longer than twice the budget, or than ten minutes, and says so."""
    most = 2 * budget if budget else MAX_COUNTING_SECONDS
    for name in list(sketches):
        if learns_by_steps(sketches[name]):
            continue
        if (seconds := counting_seconds((name, {}), dataset)) > most:
            listener.log(
                f"{name} is left out: it would take about {format_duration(seconds)}; name it to fit it all the same"
            )
            del sketches[name]


def default_models() -> list[str]:
    """The models that are tried where nobody names any."""
    return [name for name, kind in MODELS.items() if kind.by_default]


def models_to_try(dataset: Dataset, chosen: Settings) -> list[str]:
    """The models among which validation chooses by their likelihood: for tables, those that answer any question."""
    if dataset.format.table and not chosen.arguments.get("context"):
        return [name for name, kind in MODELS.items() if issubclass(kind, AnyOrderModel)]
    return [name for name in default_models() if issubclass(MODELS[name], BoundedModel)]


def slow_models_note(tried: Sequence[str]) -> str:
    """The models that are left out by default, for a message."""
    slow = [name for name, kind in MODELS.items() if not kind.by_default and name not in tried]
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
    path: Path, dataset: Dataset, origin: Origin, chosen: Settings, listener: Listener
) -> Fit:
    """The best on validation of all models that accept the data, at `path`: it has learned and is not yet tested."""
    names = accepting_models(dataset, chosen, models_to_try(dataset, chosen), listener)
    if other := next(iter(chosen.arguments.keys() - {*GENERAL_ARGUMENTS}), None):
        raise UserError(f"{other} is an argument of one model: name it with --model")
    listener.log(
        f"no --model given: trying {', '.join(names)}; validation decides{slow_models_note(names)}"
    )
    share = share_budget([model_class(name) for name in names], dataset, chosen)
    record = initial_record(
        dataset,
        origin,
        chosen.seed,
        model=BEST,
        code=None,
        plan=None,
        arguments=chosen.arguments,
        settings=SearchSettings(share.train, share.budget).to_json(),
        candidates=names,
    )
    write_record(record.document, path)
    return choose_best(path, names, dataset, origin, share, listener)


def resume_best(path: Path, record: Record, device: str, listener: Listener) -> Fit:
    """Goes on with a choice that was stopped."""
    chosen = settings_on_record(record, path, general_arguments(record.arguments), device)
    dataset = reload_data(record.data, record.rows, path)
    return choose_best(path, record.candidates, dataset, record.data, chosen, listener)


def choose_best(
    path: Path,
    names: Sequence[str],
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
) -> Fit:
    """The best of the models of these names, which begin to learn, go on or have learned."""
    fits = fit_each(path, names, dataset, origin, chosen, listener)
    if not fits:
        raise UserError("no model can be fitted to this data: each diverged")
    choice = choose_fits(fits)
    best = choice.best
    told = f"{sign_of(best.model)} {best.record.validation:.3f}"
    inside = (
        "; the board adds what values inside codes cost" if dataset.valid.log_within.any() else ""
    )
    listener.log(f"best on validation: {best.record.model}, {told} nats per row{inside}")
    if said := cost_of_generality(choice):
        listener.log(said)
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
) -> list[Fit]:
    """The models of these names that do not diverge, up to one that was interrupted."""
    fits = list[Fit]()
    for name in names:
        folder = path / MEMBERS / name
        each = resume_or_new(folder, builtin_model(name), dataset, origin, chosen, listener)
        try:
            fits.append(train_or_restore(each))
        except Diverged as error:
            listener.log(f"{name} is out: {error}")
            shutil.rmtree(each.path)
            continue
        if each.record.status == "interrupted":
            break
    return fits
