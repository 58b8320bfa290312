"""A fitted model judged on rows: numbers with their uncertainty, each from a function of the model and events."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

from plausibly.capabilities import (
    AnyOrderModel,
    Quantiser,
    TractableModel,
    Trainable,
    Variational,
    device_of,
)
from plausibly.contract.checks import run_checks
from plausibly.contract.result import Result
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, RowProgress, ignore_progress
from plausibly.data.formats.format import leave_out
from plausibly.errors import UserError
from plausibly.evaluation.answers.reconstruction import ReconstructionError, reconstruction_errors
from plausibly.evaluation.likelihood.annealed import Annealed, anneal, pick_evenly
from plausibly.evaluation.likelihood.by_column import ByColumn, by_column
from plausibly.evaluation.likelihood.codebook import CodebookUse, codebook_use
from plausibly.evaluation.likelihood.elbo import ElboParts, elbo_parts
from plausibly.evaluation.likelihood.likelihood import Likelihood, likelihood
from plausibly.evaluation.likelihood.orders import Disagreement, disagreement
from plausibly.runs.sharded import Sharded
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.annealed import annealed
from plausibly.tasks.reconstruct import reconstruct


class Judged(Sharded):
    """A fitted model that is judged on rows of the caller's; a run has test rows of its own besides."""

    @property
    def in_memory(self) -> bool:
        """True where the data that the model was fitted to were no file, and so are gone."""
        return True

    def dataset(self) -> Dataset:
        """The data that the model was fitted to. UserError where they are gone."""
        raise UserError(f"{self.title} was fitted to rows that were only in memory")

    def test(self) -> Likelihood | None:
        """The held-out result that is on record, as one number for each test row; None where there is none."""
        return None

    def test_events(self, data: Any = None) -> Events | None:
        """The events of `data`, or the test rows of the run's own data; None where these were only in memory."""
        if data is not None:
            return self.events(data)
        return None if self.in_memory else self.dataset().test

    def evaluate(
        self, data: Any = None, draws: int | None = None, on_progress: RowProgress = ignore_progress
    ) -> Likelihood | None:
        """The held-out likelihood of `data`, by default of the test rows of the run's own data.

        `draws` for each row count for models with latent variables, whose bound is the tighter the more there are;
        `on_progress` is told how many rows are done, of how many.
        """
        if data is None and self.in_memory and draws is None:
            # rows that were only in memory are gone; what they gave is on record
            return self.test()
        return likelihood(self._with_draws(draws), self._require_events(data), on_progress)

    def elbo(self, data: Any = None) -> ElboParts | None:
        """The parts of the ELBO over the first of the same rows; None without latent variables, or where rows are gone."""
        if not isinstance(self.model, Variational) or (data is None and self.in_memory):
            return None
        return elbo_parts(
            self.model,
            self._require_events(data),
            generator_for(device_of(self.model), Stream.ELBO_PARTS),
        )

    def codebook(self, data: Any = None) -> CodebookUse | None:
        """The use that the same rows make of the model's codebook; None without one, or where rows are gone."""
        if not isinstance(self.model, Quantiser) or (data is None and self.in_memory):
            return None
        return codebook_use(self.model, self._require_events(data))

    def disagreement(self, data: Any = None) -> Disagreement | None:
        """The nats by which orders differ about the first of the same rows; None of models of one order or of one joint."""
        if not isinstance(self.model, AnyOrderModel) or isinstance(self.model, TractableModel):
            return None
        if data is None and self.in_memory:
            return None
        return disagreement(self.model, self._require_events(data))

    def anneal(
        self,
        data: Any = None,
        rows: int = 100,
        chains: int = 16,
        distributions: int = 1000,
        sigma: float | str | None = None,
        seed: int = 0,
        on_progress: RowProgress = ignore_progress,
    ) -> Annealed:
        """Bounds on log p of so many of the same rows by annealed importance sampling, and how far they can be off.

        `sigma` asks for the decoder's mean image with noise N(0, sigma^2) instead of the model's own p(x | z), for pixels
        alone; "validation" finds the sigma at which the run's validation rows are most probable.
        """
        annealed.require(self.model)
        if isinstance(sigma, str) and sigma != "validation":
            raise UserError(f"sigma {sigma!r}; it is a number above 0, or validation")
        if rows < 1:
            raise UserError(f"{rows} rows; at least 1 is needed")
        noise = generator_for(device_of(self.model), seed, Stream.ANNEALED_CHAINS)
        events, valid = pick_evenly(self._require_events(data), rows), None
        if isinstance(sigma, str):
            sigma, valid = None, self.dataset().valid
        return anneal(
            self.model, self.format, events, noise, chains, distributions, sigma, valid, on_progress
        )

    def by_column(self, data: Any = None) -> ByColumn | None:
        """Where the nats of the same rows go, column by column; None of what is no table, of models that do not factorise,
        and where rows are gone."""
        if self.format.table is None or (data is None and self.in_memory):
            return None
        return by_column(self.model, self.format, self._require_events(data))

    def reconstruction(self, data: Any) -> dict[str, ReconstructionError]:
        """The error of reconstructed rows, by unit: a share of wrong cells, or a mean absolute difference."""
        reconstruct.require(self.model)
        return reconstruction_errors(self.model, self.format, self.events(data))

    def check(self) -> list[Result]:
        """The contract's promises, checked on this fitted model, and on its companion where it has one."""
        found = [replace(each, model=self.by) for each in run_checks(self.model)]
        return found + (self.companion.check() if self.companion else [])

    def _require_events(self, data: Any, whole: bool = False) -> Events:
        """The rows to look at; their `log_within` leaves the context out, unless they are wanted whole."""
        events = self.test_events(data)
        if events is None:
            raise UserError(
                f"{self.title} was fitted to rows that were only in memory: give rows to evaluate"
            )
        return events if whole else leave_out(self.format, events, self.model.context)

    def _with_draws(self, draws: int | None) -> Trainable:
        """The model, or a view of it that takes so many draws."""
        if draws is None:
            return self.model
        if not isinstance(self.model, Variational):
            raise UserError(
                f"draws count for models with latent variables; {self.model_title} takes none"
            )
        if not 1 <= draws <= 1_000_000:
            raise UserError(f"{draws:,} draws; 1 to 1,000,000 can be taken")
        finer = copy(self.model)
        finer.draws = draws
        return finer
