"""MADE's training step beside that of zuko's MAF of the same size, in processor time: interleaved, medians.

python -m benchmarks.made_step [--rounds 300] [--threads 1,2]
64 real numbers, 256 hidden units, batches of 100, AdamW; needs zuko (`make bench`). MADE sees more than the numbers: their
ranks among the training rows, and inputs past the hidden units. With two threads the time is that of both together. The
last line is what a fit of this model does by itself, by the clock: it tries steps with one and with as many threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
import zuko
from torch import Tensor, nn

from benchmarks.nade import stepping
from plausibly.contract.checks import shake_weights
from plausibly.events.kinds import Real
from plausibly.events.schema import Schema
from plausibly.models import MODELS
from plausibly.training.estimates import try_threads
from plausibly.training.plan import Plan

FEATURES, HIDDEN = 64, 256


class Flow(nn.Module):
    """zuko's MAF of one transform."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = zuko.flows.MAF(FEATURES, transforms=1, hidden_features=(HIDDEN,))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow().log_prob(x)


def made(x: Tensor) -> nn.Module:
    """MADE of one hidden layer, and one normal for each number."""
    edges = tuple(x[:, 0].quantile(torch.linspace(0, 1, 9)).tolist())
    schema = Schema((FEATURES,), (Real(edges=edges),) * FEATURES)
    model = MODELS["made"](schema, hidden=HIDDEN, blocks=0, dropout=0.0, components=1)
    return shake_weights(model).train()


def processor_seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def step_seconds(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each, taken in turn, after ten calls that do not count."""
    taken = [
        {name: processor_seconds(work) for name, work in works.items()} for _ in range(rounds + 10)
    ]
    return {name: median(one[name] for one in taken[10:]) for name in works}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--threads", default="1,2")
    given = parser.parse_args()
    x = torch.randn(5000, FEATURES, generator=torch.Generator().manual_seed(0))
    works = {"made": stepping(made(x), x), "zuko": stepping(Flow(), x)}
    print("| threads | made | zuko's MAF | made / zuko |\n|---:|---:|---:|---:|")
    for threads in map(int, given.threads.split(",")):
        torch.set_num_threads(threads)
        ours, theirs = step_seconds(works, given.rounds).values()
        times = f"{1e3 * ours:.3f} ms | {1e3 * theirs:.3f} ms"
        print(f"| {threads} | {times} | {ours / theirs:.2f} |", flush=True)
    trial = try_threads(made(x), x, x, Plan(steps=1000), threads)
    print(f"\na fit of made {trial}")


if __name__ == "__main__":
    main()
