"""Measures a PixelCNN for binary images of 28 x 28 before it has learned: what drawing, coding and a training step cost.

python -m benchmarks.pixels [--rounds 3]
Processor seconds on one thread, medians of rounds in which all is measured in turn. `by full passes` is a pass of the network
for each pixel, as without what layers keep: the time of one, times the pixels. `plain` is the same network with a one-hot
input, cross entropy and AdamW alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F

from plausibly.coding.streams import SymbolWriter
from plausibly.events.schema import binary
from plausibly.models.pixelcnn import PixelCNN
from plausibly.tasks.compress import code_in_order
from plausibly.training.loop import Training, prepare
from plausibly.training.plan import Plan

SIDE = 28
DRAWN, CODED, BATCH = 16, 100, 32


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def plain_step(model: PixelCNN) -> Callable[[torch.Tensor], None]:
    """A training step of the network alone."""
    network = model.network
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    none = torch.zeros(BATCH, 0)

    def step(x: torch.Tensor) -> None:
        patches = x.view(-1, SIDE // 2, 2, SIDE // 2, 2).transpose(2, 3).flatten(3).long()
        tokens = patches @ torch.tensor([8, 4, 2, 1])
        optimiser.zero_grad()
        found = network(F.one_hot(tokens, 16).float(), none)
        logits = F.pad(found, (1, 0)).flatten(0, 2)
        F.cross_entropy(logits, tokens.flatten(), reduction="sum").div(len(x)).backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    n, noise = SIDE * SIDE, torch.Generator().manual_seed(0)
    x = (torch.rand(1000, n, generator=noise) < 0.2).byte()
    model, other = PixelCNN(binary(n)), PixelCNN(binary(n))
    for each in (model, other):
        prepare(each, x, 0)
    training, plain = Training(model, x, x[:100], Plan(1000, batch=BATCH)), plain_step(other)
    batch, drawing = x[:BATCH].float(), PixelCNN(binary(n)).eval()
    prepare(drawing, x, 0)

    @torch.no_grad()
    def look() -> None:
        drawing.predict(x[:DRAWN].float())

    found: dict[str, list[float]] = {}
    works: dict[str, Callable[[], object]] = {
        "step": training.take_step,
        "plain": lambda: plain(batch),
        "pass": look,
        "draw": lambda: drawing.sample(DRAWN, noise),
        "code": lambda: code_in_order(drawing, SymbolWriter(), x[:CODED].float(), CODED),
    }
    for name, work in works.items():
        work()
        found[name] = []
    for _ in range(rounds):
        for name, work in works.items():
            repeats = 1 if name in ("draw", "code") else 5
            found[name] += [seconds(work) for _ in range(repeats)]
    each = {name: median(times) for name, times in found.items()}
    ratio = each["pass"] * n / each["draw"]
    print(f"{DRAWN} images drawn in {each['draw']:.2f} s, by full passes {ratio:.0f} times as long")
    print(f"coded: {CODED / each['code']:.0f} images a second")
    print(
        f"training step of {BATCH}: {1000 * each['step']:.0f} ms, plain {1000 * each['plain']:.0f} ms: ",
        end="",
    )
    print(f"{each['step'] / each['plain']:.3f} times as long")


if __name__ == "__main__":
    main()
