"""The reason why a loss is not finite, as far as it can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Trainable


@torch.no_grad()
def diagnose(
    model: Trainable, x: Tensor, rows: Tensor, total: Tensor, step: int, names: Sequence[str] = ()
) -> str:
    """One line on a loss that is not finite: which tensor, which rows, which column, and what to try."""
    broken_rows = (~total.isfinite()).nonzero().flatten()
    if not len(broken_rows):  # each is finite and only their sum is not
        broken_rows = total.topk(min(5, len(total))).indices
    bad = rows[broken_rows.cpu()].tolist()
    where = f"training rows {', '.join(map(str, bad[:5]))}{' ...' if len(bad) > 5 else ''}"
    if isinstance(model, AutoregressiveModel):
        each = model.predict(x).log_prob(x.flatten(1))
        columns = (~each.isfinite()).any(0).nonzero().flatten().tolist()
        column = columns[0] if columns else int(each.sum(0).argmin())
        where += f", column {names[column]!r}" if names else f", variable {column}"
    return (
        f"the loss is not finite at step {step}: {_describe_worst_tensor(model)}; {where}. The last good weights are kept. "
        "Try a smaller rate (--set train.rate=0.0005) or clip (--set train.clip=1)"
    )


def _describe_worst_tensor(model: Trainable) -> str:
    """The first tensor with values that are not finite, or the one with the largest."""
    largest = {name: float(p.abs().max()) for name, p in model.named_parameters() if p.numel()}
    broken = next((name for name, size in largest.items() if not isfinite(size)), None)
    if broken is not None:
        return f"tensor {broken!r} holds non-finite values"
    worst = max(largest, key=lambda name: largest[name])
    return f"tensor {worst!r} holds values up to {largest[worst]:.3g}"
