"""NADE's training step and draws against an eager loop and a network of two layers: ratios of medians, interleaved.

python -m benchmarks.nade [--json] [--threads 2] [--data FOLDER] [--rounds 15]
FOLDER holds bmnist_larochelle.npz; without it rows have 13 % random ones. D = 784 variables, H = 500 units, batches of 100.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.contract.checks import shake_weights
from plausibly.events.schema import binary
from plausibly.models import MODELS

D, H, BATCH = 784, 500, 100


class Eager(nn.Module):
    def __init__(self, variables: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.05 * torch.randn(variables, hidden))
        self.readout = nn.Parameter(0.05 * torch.randn(variables, hidden))
        self.bias, self.shift = (
            nn.Parameter(torch.zeros(hidden)),
            nn.Parameter(torch.zeros(variables)),
        )

    def log_prob(self, x: Tensor) -> Tensor:
        activation, logits = self.bias.expand(len(x), -1), []
        for i in range(x.shape[1]):
            logits.append(activation.relu() @ self.readout[i] + self.shift[i])
            activation = activation + x[:, i, None] * self.weight[i]
        return -F.binary_cross_entropy_with_logits(torch.stack(logits, 1), x, reduction="none").sum(
            1
        )

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        activation, x = self.bias.expand(n, -1), torch.zeros(n, len(self.shift))
        for i in range(x.shape[1]):
            logit = activation.relu() @ self.readout[i] + self.shift[i]
            x[:, i] = torch.bernoulli(logit.sigmoid())
            activation = activation + x[:, i, None] * self.weight[i]
        return x


class TwoLayers(nn.Module):
    """As wide as NADE, two products of matrices: what the hardware is best at."""

    def __init__(self, variables: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(variables, hidden), nn.ReLU(), nn.Linear(hidden, variables)
        )

    def log_prob(self, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(self.layers(x), x, reduction="none").sum(1)


def rows_of(data: Path | None, variables: int = D) -> Tensor:
    if data is None or variables != D:
        return (
            torch.rand(5000, variables, generator=torch.Generator().manual_seed(0)) < 0.13
        ).float()
    with np.load(data / "bmnist_larochelle.npz") as kept:
        return torch.from_numpy(np.unpackbits(kept["train"][: 5000 * 98])).view(-1, D).float()


def nade(variables: int = D, hidden: int = H) -> Any:
    return shake_weights(MODELS["nade"](binary(variables), hidden=hidden, dropout=0.0))


def stepping(
    model: nn.Module, rows: Tensor, batch: int = BATCH, rate: float = 1e-4
) -> Callable[[], None]:
    """A whole training step: batch, loss, gradients, AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    place = iter(range(10**9))

    def step() -> None:
        x = rows[(torch.arange(batch) + next(place) * batch) % len(rows)]
        optimiser.zero_grad()
        (-model.log_prob(x).mean()).backward()
        optimiser.step()

    return step


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one call that does not count."""
    for work in works.values():
        work()
    taken = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: median(one[name] for one in taken) for name in works}


def step_times(data: Path | None, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a step of ours beside an eager one, and of ours beside one of two layers.

    Apart, since a loop of many calls leaves caches and threads otherwise than a product of matrices does.
    """
    rows, ours = rows_of(data), nade().train()
    eager = interleaved(
        {"ours": stepping(ours, rows), "eager": stepping(Eager(D, H), rows)}, rounds
    )
    return eager, interleaved(
        {"ours": stepping(ours, rows), "gemm": stepping(TwoLayers(D, H), rows)}, 10 * rounds
    )


def draw_times(data: Path | None, rounds: int) -> dict[str, float]:
    """Seconds of 100 draws. NADE has learned for 300 steps, so that its draws have about as many ones as rows have."""
    generator, ours, eager = torch.Generator().manual_seed(0), nade().train(), Eager(D, H)
    learn = stepping(ours, rows_of(data), rate=2e-3)
    for _ in range(300):
        learn()
    ours.eval()
    return interleaved(
        {"ours": lambda: ours.sample(100, generator), "eager": lambda: eager.sample(100)}, rounds
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    (eager, gemm), draws = (
        step_times(given.data, given.rounds),
        draw_times(given.data, given.rounds),
    )
    found = {
        "step_vs_eager": eager["eager"] / eager["ours"],
        "step_vs_gemm": gemm["ours"] / gemm["gemm"],
        "sample_vs_eager": draws["eager"] / draws["ours"],
    }
    if given.json:
        print(json.dumps(found))
        return
    print(f"a training step is {found['step_vs_eager']:.1f} times as fast as the eager loop's")
    print(
        f"and takes {found['step_vs_gemm']:.2f} times as long as one of two layers of the same width;"
    )
    print(f"100 draws are {found['sample_vs_eager']:.1f} times as fast as the eager loop's.")


if __name__ == "__main__":
    main()
