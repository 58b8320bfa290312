"""Events through a coder, by the model's probabilities: written and read by the same walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, drive
from plausibly.coding import reals
from plausibly.coding.stack import Putter, Stack, Taker
from plausibly.coding.streams import Coder, Symbols
from plausibly.families.mixtures import DensityMixture, normalised_logs
from plausibly.kinds import HOLE, REACH, UNFORESEEN, Kind
from plausibly.outcomes import Finite, Numeric, Single
from plausibly.tasks import Task

compress: Task[Any] = Task("compress", "it does not tell the probability of one variable after the other")
FEW, TOGETHER = 8, 256  # rows of a mixture whose components are known before their values: at the end, and at most


@compress.rule(AutoregressiveModel, "yes")
@torch.no_grad()
def in_order(model: AutoregressiveModel, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """Passes events, (rows, *shape), through a coder, one variable of all rows after the other; the events."""
    flat = None if codes is None else codes.flatten(1).numpy()

    def choose(i: int, outcome: Single) -> Tensor:
        own = None if flat is None else flat[:, i]
        return torch.from_numpy(value(coder, outcome, model.schema.kinds[i], rows, own)).float()

    return drive(model.unroll(rows), choose)


def value(coder: Coder, outcome: Single, kind: Kind, rows: int, own: Symbols) -> np.ndarray:
    """One variable's codes or real events through a coder."""
    if isinstance(outcome, Finite):
        return coder.finite(outcome.log_probs.double().numpy(), own)
    assert isinstance(outcome, Numeric)
    specials = [UNFORESEEN] * kind.open + [HOLE] * kind.missing
    masses = [outcome.number().double().log(), *(outcome.log_prob(torch.full((rows,), at)).double() for at in specials)]
    places = None if own is None else np.searchsorted([0.0, *specials], own.clip(0), side="right") - 1
    which = coder.finite(torch.stack([mass.expand(rows) for mass in masses], 1).numpy(), places)
    found = np.array([0.0, *specials], np.float32)[which]
    numbers = np.flatnonzero(which == 0)
    some = outcome.rows(torch.from_numpy(numbers)) if len(specials) else outcome
    assert isinstance(some, Numeric)

    def below(x: np.ndarray) -> np.ndarray:
        return some.below(torch.from_numpy(x)).numpy()

    found[numbers] = reals.event(coder, below, REACH, len(numbers), None if own is None else own[numbers])
    return found


@compress.rule(DensityMixture, "yes")
@torch.no_grad()
def by_bits_back(model: DensityMixture, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """Each row by one component, picked by bits that are there already, which come back: -log2 of the mixture in all.

    The picks are taken from a stack by p(component | row), the row is put on it by its component, then the pick by its
    weight (Townsend et al. 2019, arXiv:1901.04866, with an exact posterior). Few rows are put first, when there are few bits
    to pick by. The stack is coded as a whole.
    """
    parts = divided(rows)
    if codes is not None:
        stack = Stack()
        for own in reversed(codes.float().split(parts)):
            picks = Taker(stack).finite(posterior(model, own), None)
            putter = Putter(stack)
            picked(model, putter, own, len(own), picks)
            putter.put()
        coder.block(stack.written)
        return codes
    stack, found = Stack.of(coder.block(None)), list[Tensor]()
    for some in parts:
        x, picks = picked(model, Taker(stack), None, some, None)
        found.append(x)
        putter = Putter(stack)
        putter.finite(posterior(model, x), picks)
        putter.put()
    stack.emptied()
    return torch.cat(found)


def divided(rows: int) -> list[int]:
    """Numbers of rows that are taken together: fewer at the end."""
    parts: list[int] = []
    while rows:
        parts.append(min(rows, FEW * 4 ** min(len(parts), 3), TOGETHER))
        rows -= parts[-1]
    return parts[::-1]


def posterior(model: DensityMixture, x: Tensor) -> np.ndarray:
    """log p(component | row), (rows, components), float64."""
    logs = torch.stack([member.log_prob(x).double() for member in model.each()], 1)
    return (normalised_logs(model.logits) + logs).log_softmax(1).numpy()


def picked(
    model: DensityMixture, coder: Coder, x: Tensor | None, rows: int, picks: Symbols
) -> tuple[Tensor, np.ndarray]:
    """The component of each row, then the rows of each component, through a coder; the rows, and the components."""
    found, picks = (
        torch.zeros(rows, *model.schema.shape),
        coder.finite(normalised_logs(model.logits).expand(rows, -1).numpy(), picks),
    )
    for k, member in enumerate(model.each()):
        own = torch.from_numpy(np.flatnonzero(picks == k))
        if len(own):
            found[own] = compress(member, coder, None if x is None else x[own], len(own))
    return found, picks
