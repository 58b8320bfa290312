"""Events through a coder, by the model's probabilities: written and read by the same walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, drive
from plausibly.coding.stack import Stack
from plausibly.coding.streams import Coder
from plausibly.errors import Unsupported
from plausibly.families.mixtures import DensityMixture, normalised_logs
from plausibly.outcomes import Finite, Single
from plausibly.tasks import Task

compress: Task[Any] = Task("compress", "it has no likelihood that can be coded one variable after the other")
FEW, TOGETHER = 8, 256  # rows of a mixture whose components are known before their values: at the end, and at most


@compress.rule(AutoregressiveModel, "yes")
@torch.no_grad()
def in_order(model: AutoregressiveModel, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """Passes events, (rows, *shape), through a coder, one variable of all rows after the other; the events."""
    flat = None if codes is None else codes.flatten(1).numpy()

    def choose(i: int, outcome: Single) -> Tensor:
        return torch.from_numpy(coder.finite(logs_of(outcome), None if flat is None else flat[:, i])).float()

    return drive(model.unroll(rows), choose)


def logs_of(outcome: Single) -> np.ndarray:
    """log p of each code, (rows, codes), float64. Unsupported where there are no codes."""
    if not isinstance(outcome, Finite):
        raise Unsupported("a variable is a real number, and these are not compressed yet")
    return outcome.log_probs.double().numpy()


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
            put(model, stack, own)
        coder.block(stack.written)
        return codes
    stack = Stack.of(coder.block(None))
    found = [taken(model, stack, some) for some in parts]
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


def weights(model: DensityMixture, rows: int) -> np.ndarray:
    return normalised_logs(model.logits).expand(rows, -1).numpy()


def put(model: DensityMixture, stack: Stack, x: Tensor) -> None:
    """Puts rows on the stack."""
    picks = stack.take(posterior(model, x))
    for k, member in reversed([*enumerate(model.each())]):
        own = x[picks == k]
        laws: list[tuple[np.ndarray, np.ndarray]] = []

        def seen(i: int, outcome: Single, own: Tensor = own, laws: list[Any] = laws) -> Tensor:
            value = own.flatten(1)[:, i]
            laws.append((logs_of(outcome), value.numpy()))
            return value

        if len(own):
            drive(member.unroll(len(own)), seen)
        for logs, symbols in reversed(laws):
            stack.put(logs, symbols)
    stack.put(weights(model, len(x)), picks)


def taken(model: DensityMixture, stack: Stack, rows: int) -> Tensor:
    """Takes rows from the stack."""
    x = torch.zeros(rows, *model.schema.shape)
    picks = stack.take(weights(model, rows))
    for k, member in enumerate(model.each()):
        own = np.flatnonzero(picks == k)
        if len(own):
            x[own] = drive(
                member.unroll(len(own)), lambda i, outcome: torch.from_numpy(stack.take(logs_of(outcome))).float()
            )
    stack.put(posterior(model, x), picks)
    return x
