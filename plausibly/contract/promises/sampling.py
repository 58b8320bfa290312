"""Promises of what can be drawn from."""

from __future__ import annotations

import torch

from plausibly.capabilities import Model
from plausibly.contract.draws import draw_events, wrong_cells
from plausibly.contract.examination import DRAWS_PER_ROUND, Examination
from plausibly.contract.promise import promise


@promise(Model, "samples that are no codes")
def samples_are_events(exam: Examination[Model]) -> float:
    return wrong_cells(exam.schema, exam.draws(64))


@promise(Model, "equal seeds differ, other seeds agree, global generator used")
def generator_decides_samples(exam: Examination[Model]) -> float:
    first, other = exam.draw_round(0), exam.draw_round(1)
    before = torch.get_rng_state()
    again = draw_events(exam.model, DRAWS_PER_ROUND, 0)
    touched = not torch.equal(before, torch.get_rng_state())
    return float(touched + (not torch.equal(first, again)) + torch.equal(first, other))
