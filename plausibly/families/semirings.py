"""Ways in which a recursion over tables adds up: by sums of probabilities, or by their maxima.

    log_mass over SUM    log sum_x p(x) prod_i w_i(x_i)        marginals, conditionals, draws
    log_mass over MAX    log max_x p(x) prod_i w_i(x_i)        the most probable completion (Viterbi 1967)
    tempered(b)          SUM with p(x)^b; its derivative in b at 1 is the mean of log p(x), and so gives entropies

One recursion serves all of them, since each distributes over products (Aji & McEliece 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

NUMBERS_PER_BATCH = 1 << 22  # numbers that are added up one by one at a time
MIN_SUM = 1e-280  # a smaller sum may lack what fell below the least float64


@dataclass(frozen=True)
class Semiring:
    """`total(x, dim)` adds up logs; `product(weights, table)` takes (batch, k) and (c, k) to (batch, c), added up over k.

    Tables enter to the power `power`.
    """

    total: Callable[[Tensor, int], Tensor]
    product: Callable[[Tensor, Tensor], Tensor]
    power: float | Tensor = 1.0


def log_matmul(log_weights: Tensor, log_table: Tensor) -> Tensor:
    """log sum_k exp(log_weights[b, k] + log_table[c, k]), (batch, c), as one matrix product unless it gets too small."""
    top = log_weights.amax(1, keepdim=True).clamp(min=-1e300)
    sums = (log_weights - top).exp() @ log_table.exp().T
    if len(sums) and sums.amin() < MIN_SUM:
        return add_logs(log_weights, log_table, torch.logsumexp)
    return sums.log() + top


def max_matmul(log_weights: Tensor, log_table: Tensor) -> Tensor:
    """max_k (log_weights[b, k] + log_table[c, k]), (batch, c)."""
    return add_logs(log_weights, log_table, torch.amax)


def add_logs(
    log_weights: Tensor, log_table: Tensor, total: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """log_weights[b, k] + log_table[c, k] added up over k, (batch, c), without a product of their exponentials."""
    parts = log_table.split(max(NUMBERS_PER_BATCH // max(log_weights.numel(), 1), 1))
    return torch.cat([total(log_weights[:, None] + part, 2) for part in parts], 1)


SUM = Semiring(torch.logsumexp, log_matmul)
MAX = Semiring(torch.amax, max_matmul)


def temper(power: Tensor) -> Semiring:
    """Sums with every table to a power."""
    return replace(SUM, power=power)
