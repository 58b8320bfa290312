"""A fitted model and the format of its data, in events: drawn and filled in shards, each decided by (seed, shard)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import Model, device_of
from plausibly.data.events import Events, join_events
from plausibly.data.questions import question
from plausibly.data.sources.opening import reading_source
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import sign_of
from plausibly.events.evidence import Evidence
from plausibly.families.proposals import EffectiveSampleSize, join_effective_sizes
from plausibly.families.within import NothingAllowed, barred_cells
from plausibly.models import model_name
from plausibly.runs.paired import Paired
from plausibly.system.randomness import LikeliestGenerator, Stream, generator_for
from plausibly.tasks.complete import complete
from plausibly.tasks.impute import impute
from plausibly.tasks.sample import EVENTS_PER_BATCH, sample

MAX_SHARD_ROWS, MAX_SHARD_CELLS = 10_000, 4_000_000  # rows of a shard at most, and their cells


class Sharded(Paired):
    """A fitted model and the format of its data, in events: (rows, *schema.shape) codes with what these leave open.

    What a shard holds is decided by (seed, shard), wherever and in which order shards are made.
    """

    @property
    def title(self) -> str:
        """The name by which messages call it."""
        return "<memory>"

    @property
    def model_title(self) -> str:
        """The name of the model."""
        return model_name(type(self.model))

    @property
    def names(self) -> tuple[str, ...]:
        return self.format.names

    @property
    def sign(self) -> str:
        """The relation of log p to `log_prob` and the nats of `score`: = or >=, a lower bound."""
        return sign_of(self.model)

    @property
    def can_sample(self) -> bool:
        """True where the model samples."""
        return isinstance(self.model, Model)

    def events(self, data: Any) -> Events:
        """Events of rows, a file or a built-in's split, in this run's format; events as they are."""
        if isinstance(data, Events):
            return data
        with reading_source(data) as source:
            rows = source.rows(self.format)
            events = self.format.events(rows)
        if not len(events):
            raise UserError("there are no rows to look at")
        events.groups = self._groups(rows)
        return events

    def _groups(self, rows: Any) -> np.ndarray | None:
        """Which of the rows came together; nobody knows where no data are on record."""
        return None

    def _require_questions(self, data: Any) -> Events:
        """Events of rows whose holes are unobserved. UserError where there are no rows."""
        with reading_source(data) as source:
            events = self.format.questions(source.rows(self.format))
        if not len(events):
            raise UserError("there are no rows to fill")
        return events

    def drawing_beyond(self) -> Self:
        """The same, whose draws are not kept within what was seen."""
        found = copy(self)
        found.format = self.format.beyond
        return found

    def sample_events(self, n: int, seed: int = 0) -> Events:
        """`n` events with values, as `sample` draws them."""
        return join_events(
            [self.draw_shard(shard, rows, seed) for shard, rows in enumerate(self.shards(n))]
        )

    def draw_shard(self, shard: int, rows: int, seed: int = 0) -> Events:
        """The first so many events of a shard of samples: (seed, shard) decides them."""
        codes, generator = (
            self.sample_codes(rows, seed, shard),
            np.random.default_rng((seed, 1, shard)),
        )
        return self.format.draw(codes, generator, shard * self.shard_rows)

    def sample_shard(
        self,
        shard: int,
        rows: int,
        seed: int,
        given: Mapping[str, Any] | None,
        complete: bool = False,
    ) -> tuple[Events, EffectiveSampleSize | None]:
        """The first so many events of a shard of samples, given the values of some columns, and `complete` or not."""
        if not given and not complete:
            return self.draw_shard(shard, rows, seed), None
        asked = question(self.format, given or {})[torch.zeros(rows, dtype=torch.long)]
        return self.fill_shard(shard, asked, seed, holes=not complete)

    @property
    def shard_rows(self) -> int:
        """Rows of a shard, but for the last: so many batches of samples, fewer of wide rows."""
        return EVENTS_PER_BATCH * max(
            1,
            min(
                MAX_SHARD_ROWS // EVENTS_PER_BATCH,
                MAX_SHARD_CELLS // (EVENTS_PER_BATCH * self.model.schema.size),
            ),
        )

    def shards(self, n: int) -> list[int]:
        """The numbers of rows of the shards of `n` rows."""
        return [min(self.shard_rows, n - start) for start in range(0, n, self.shard_rows)]

    def sample_codes(self, n: int, seed: int, shard: int = 0) -> Tensor:
        """Codes of `n` events of what was seen; where no kind knows that, the few drawn with open codes are drawn again."""
        schema, first = self.format.schema, shard * self.shard_rows // EVENTS_PER_BATCH
        allowed, kept = schema.allowed(holes=True), torch.empty(0, *schema.shape)
        if schema.knows_seen:
            with self._naming_column():
                drawn: Tensor = sample(self.model, n, seed, first, allowed)
                return drawn
        for attempt in range(50):
            drawn = sample(self.model, n - len(kept), seed + attempt * (1 << 32), first)
            asked = Evidence.nothing(drawn).with_allowed(allowed)
            kept = torch.cat([kept, drawn[~barred_cells(schema, asked, None).any(1)]])
            if len(kept) == n:
                return kept
        raise UserError(
            f"{self.title} draws hardly any row without values never seen; it is hardly trained"
        )

    @contextmanager
    def _naming_column(self) -> Iterator[None]:
        """Within, rows for which nothing is left are a UserError that names the column."""
        try:
            yield
        except NothingAllowed as error:
            raise UserError(
                f"{self.title} draws hardly anything of column {self.names[error.variable]!r} within what was seen; "
                "it is hardly trained, or draw with --beyond (`beyond=True`)"
            ) from error

    def fill_events(self, data: Any, seed: int = 0) -> tuple[Events, EffectiveSampleSize | None]:
        """The same as events, in which the cells of a text file are spelled as they are."""
        events = self._require_questions(data)
        places = [
            slice(start, start + self.shard_rows)
            for start in range(0, len(events), self.shard_rows)
        ]
        filled, told = zip(
            *(self.fill_shard(shard, events[own], seed) for shard, own in enumerate(places)),
            strict=True,
        )
        return join_events(filled), join_effective_sizes(told)

    def fill_shard(
        self, shard: int, asked: Events, seed: int, holes: bool = False
    ) -> tuple[Events, EffectiveSampleSize | None]:
        """A shard of questions answered by draws that (seed, shard) decides; with `holes` a drawn cell may be one."""
        noise = generator_for(device_of(self.model), seed, Stream.FILLED_HOLES, shard=shard)
        evidence = asked.evidence(self.format.schema.allowed(holes))
        with self._naming_column():
            codes, told = impute(self.model, evidence, noise)
        generator = np.random.default_rng((seed, 2, shard))
        return self.format.fill(asked, codes, generator, shard * self.shard_rows), told

    def complete_events(self, data: Any, holes: bool = False) -> Events:
        """The same as events, in which the cells of a text file are spelled as they are."""
        events = self._require_questions(data)
        codes = complete(self.model, events.evidence(), holes)
        return self.format.fill(events, codes, LikeliestGenerator())
