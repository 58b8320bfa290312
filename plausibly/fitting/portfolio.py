"""A portfolio of models, halved by validation, then mixed: what stands for a model where nobody names one.

1. Every setting of `PORTFOLIO` that the data allow is fitted, in the variables' own order.
2. The better half of those that take other orders, by their weights in the mixture of all so far, is fitted in `ORDERS` of
   them; where there is a budget, in up to `MOST`, each for as long as the first one took.
3. The mixture of all of them is the result. Its members are chosen greedily on validation rows (Caruana et al. 2004): again
   and again the model is added, or added once more, with which the mean log p of what there is so far is highest. Their
   weights are those after a few rounds of EM from equal ones, which stops before they follow the rows' noise.

Each fit is a run of its own in `members`, so that what was stopped goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from math import inf
from pathlib import Path
from typing import Any

import torch

from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import sign_of
from plausibly.fitting.ensemble import (
    DEFAULT_ORDERS,
    MAX_ORDERS,
    ensemble,
    exact_log_probs,
    greedy_weights,
)
from plausibly.fitting.fit import Fit, promote_fit
from plausibly.fitting.folders import MEMBERS
from plausibly.fitting.going_on import resume_or_new, train_or_restore
from plausibly.fitting.settings import Listener, Settings, general_arguments, settings_on_record
from plausibly.fitting.untrained import (
    build_untrained,
    initial_record,
    learns_by_steps,
    sketch_model,
)
from plausibly.models import MODELS
from plausibly.runs.building import building_refusal
from plausibly.runs.record import ENSEMBLE, Origin, Record, SearchSettings, write_record
from plausibly.runs.run import reload_data
from plausibly.training.estimates import format_duration, pass_seconds
from plausibly.training.plan import Diverged

FitJob = tuple[str, dict[str, Any]]
PORTFOLIO: tuple[FitJob, ...] = (
    ("independent", {}),
    ("markov", {}),
    ("joint", {}),
    ("gaussian", {}),
    ("boosted", {"depth": 3}),
    ("boosted", {"depth": 6, "strength": 3.0}),
    ("mixture", {}),
    ("nade", {}),
    ("made", {}),
    ("made", {"hidden": 512, "blocks": 2, "dropout": 0.5}),
)
# shares of what is left of the budget: of one that counts, and of all first ones that take steps
COUNTING_SHARE = 0.25
FIRST_SHARE = 0.4
MAX_COUNTING_SECONDS = 600.0  # seconds of one that counts, where nobody named it


def accepting_jobs(dataset: Dataset) -> list[FitJob]:
    """The portfolio's settings that the data allow."""
    return [
        (name, own)
        for name, own in PORTFOLIO
        if building_refusal(MODELS[name], dataset.schema) is None
    ]


def counting_seconds(job: FitJob, dataset: Dataset) -> float:
    """The seconds of a fit that counts."""
    name, own = job
    passes, each = pass_seconds(build_untrained(MODELS[name], dataset, own, 0), dataset.train.codes)
    return passes * each


class Portfolio:
    """The fits so far, each with its job, at `path`."""

    def __init__(
        self, path: Path, dataset: Dataset, origin: Origin, chosen: Settings, listener: Listener
    ) -> None:
        self.path = path
        self.dataset = dataset
        self.origin = origin
        self.chosen = chosen
        self.listener = listener
        self.fits: list[tuple[FitJob, Fit]] = []

    @property
    def is_interrupted(self) -> bool:
        return any(fit.record.status == "interrupted" for _, fit in self.fits)

    def run(self, jobs: Sequence[FitJob] | None) -> None:
        """Everything but the mixture: `jobs`, if there are any, else the portfolio."""
        if jobs is not None:
            for job in jobs:
                self.fit_job(job, self.chosen.budget and self.chosen.budget / len(jobs))
            return
        first = accepting_jobs(self.dataset)
        self.listener.log(
            f"fitting {', '.join(map(job_name, first))}, then the better half of them in other orders"
        )
        self.fit_first(first)
        if not self.is_interrupted:
            self.fit_in_other_orders(self.better_half())

    def fit_first(self, jobs: Sequence[FitJob]) -> None:
        """Fits each in the variables' own order, those that count before those that take steps."""
        stepping = [job for job in jobs if self.steps(job)]
        for job in jobs:
            if job not in stepping and (self.folder(job).exists() or not self.is_too_long(job)):
                self.fit_job(job, None)
        share = FIRST_SHARE * self.seconds_left / max(len(stepping), 1)
        for job in stepping:
            self.fit_job(job, None if self.chosen.budget is None else share)

    def fit_in_other_orders(self, better: Sequence[tuple[FitJob, Fit]]) -> None:
        """Fits jobs anew in one order after the other, each for as long as the first time, while the budget lasts."""
        is_limited = self.chosen.budget is not None
        for shuffle in range(1, (MAX_ORDERS if is_limited else DEFAULT_ORDERS) + 1):
            for (name, own), fit in better:
                seconds = fit.record.seconds if is_limited else None
                if seconds is None or seconds <= self.seconds_left:
                    self.fit_job((name, own | {"shuffle": shuffle}), seconds)

    def better_half(self) -> list[tuple[FitJob, Fit]]:
        """The better half of the fits that can take another order: those with the largest weights in the mixture so far."""
        able = ["shuffle" in signature(MODELS[name]).parameters for (name, _), _ in self.fits]
        if not any(able):
            return []
        weights = greedy_weights(
            torch.stack([exact_log_probs(fit.model, self.dataset) for _, fit in self.fits], 1)
        ).tolist()
        heaviest = sorted(
            (k for k, can in enumerate(able) if can and weights[k] > 0), key=lambda k: -weights[k]
        )
        return [self.fits[k] for k in heaviest[: -(-sum(able) // 2)]]

    def steps(self, job: FitJob) -> bool:
        """A job of the kind that learns by steps."""
        return learns_by_steps(sketch_model(MODELS[job[0]], self.dataset, job[1]))

    @property
    def seconds_left(self) -> float:
        """Seconds of the budget."""
        return (self.chosen.budget or inf) - sum(fit.record.seconds for _, fit in self.fits)

    def is_too_long(self, job: FitJob) -> bool:
        """A first fit that counts is too long if it would take more than its part of what is left of the budget."""
        seconds = counting_seconds(job, self.dataset)
        if seconds > min(COUNTING_SHARE * self.seconds_left, MAX_COUNTING_SECONDS):
            self.listener.log(
                f"{job_name(job)} is left out: it would take about {format_duration(seconds)}"
            )
            return True
        return False

    def folder(self, job: FitJob) -> Path:
        name, own = job
        return self.path / MEMBERS / "-".join([name, *(f"{k}={v}" for k, v in own.items())])

    def fit_job(self, job: FitJob, budget: float | None) -> None:
        """Fits one, for `budget` seconds if it takes steps, or takes up what there is of it."""
        if self.is_interrupted:
            return
        arguments = job[1] | self.chosen.arguments
        kind, settings = MODELS[job[0]], replace(self.chosen, arguments=arguments, budget=budget)
        fit = resume_or_new(
            self.folder(job), kind, self.dataset, self.origin, settings, self.listener
        )
        try:
            train_or_restore(fit)
        except Diverged as error:
            self.listener.log(f"{job_name(job)} is out: {error}")
            shutil.rmtree(fit.path)
            return
        found = f"{sign_of(fit.model)} {fit.record.validation:.3f} nats per row"
        self.listener.log(f"{job_name(job)}: validation {found}")
        self.fits.append((job, fit))

    def mix(self, search: SearchSettings) -> Fit:
        """The mixture of the fits; the best one where no mixture is better."""
        members = [(fit.record, fit.model) for _, fit in self.fits]
        least = 1 if self.is_interrupted else 2
        found = ensemble(self.path, members, self.dataset, self.listener, least, search)
        if found is None:
            best = max((fit for _, fit in self.fits), key=lambda fit: fit.record.validation)
            return promote_fit(best, self.path)
        found.keep("interrupted" if self.is_interrupted else "done", found.record.steps)
        return found


def job_name(job: FitJob) -> str:
    name, own = job
    return f"{name} ({', '.join(f'{key} {value}' for key, value in own.items())})" if own else name


def fit_auto(
    path: Path,
    dataset: Dataset,
    origin: Origin,
    chosen: Settings,
    listener: Listener,
    jobs: Sequence[FitJob] | None = None,
) -> Fit:
    """The whole way, to a fit that has learned and is not yet tested; of `jobs` alone, where there are any."""
    check_no_arguments(chosen)
    portfolio = Portfolio(path, dataset, origin, chosen, listener)
    search = SearchSettings(chosen.train, chosen.budget)
    if not (path / "run.json").exists():
        begun = initial_record(
            dataset,
            origin,
            chosen.seed,
            arguments=chosen.arguments,
            model=ENSEMBLE,
            code=None,
            plan=None,
            settings=search.to_json(),
        )
        write_record(begun.document, path)
    portfolio.run(jobs)
    if not portfolio.fits:
        raise UserError(
            "no model of the portfolio can be fitted to this data; name one with --model"
        )
    return portfolio.mix(search)


def check_no_arguments(chosen: Settings) -> None:
    """UserError where something is asked for that only one model can do."""
    if chosen.arguments.get("context"):
        raise UserError("auto takes no context: leave --model out, or name a model that takes one")
    if other := next(iter(chosen.arguments.keys() - {"target"}), None):
        raise UserError(f"{other} is an argument of one model: name it with --model")


def resume_auto(path: Path, record: Record, device: str, listener: Listener) -> Fit:
    """Goes on with a portfolio that was stopped."""
    chosen = settings_on_record(record, path, general_arguments(record.arguments), device)
    dataset = reload_data(record.data, record.rows, path)
    return fit_auto(path, dataset, record.data, chosen, listener)
