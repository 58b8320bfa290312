"""Ratios of times, of memory and of work: each pair side by side in one run, interleaved, medians.

python -m benchmarks.speed [--threads 2] [--data FOLDER] [--only steps,memory,...] [--rounds 15]
FOLDER holds bmnist_larochelle.npz and tables/adult_train.csv.gz; without it rows have 13 % random ones. D = 784 variables,
H = 500 units, batches of 100. The eager reference is `benchmarks.nade.Eager`, whose source is printed with the table.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.nade import (
    BATCH,
    D,
    Eager,
    H,
    draw_times,
    interleaved,
    nade,
    rows_of,
    seconds,
    step_times,
    stepping,
)
from plausibly.contract.checks import shake_weights
from plausibly.events.schema import binary
from plausibly.kernels.nade import loop_table, recurrence
from plausibly.models import MODELS
from plausibly.training.loop import Training
from plausibly.training.plan import Plan


def row(name: str, ours: float, theirs: float, unit: str, wanted: str) -> None:
    ratio = theirs / ours if ours else float("inf")
    print(
        f"| {name} | {ours:.4g} {unit} | {theirs:.4g} {unit} | {ratio:.2f} | {wanted} |", flush=True
    )


def steps(data: Path | None, rounds: int) -> None:
    """NADE's training step against the eager loop and against two layers of the same width."""
    both, taken = step_times(data, rounds)
    row(
        "NADE training step / eager loop over variables",
        1e3 * both["ours"],
        1e3 * both["eager"],
        "ms",
        ">= 40",
    )
    row(
        "NADE training step / two layers of the same width",
        1e3 * taken["ours"],
        1e3 * taken["gemm"],
        "ms",
        ">= 0.286",
    )


def sampling(data: Path | None, rounds: int) -> None:
    """Drawing 100 rows, against the eager loop; and 16 rows, against one full pass for each variable."""
    generator, taken = torch.Generator().manual_seed(0), draw_times(data, rounds)
    row("100 rows of NADE / eager loop", 1e3 * taken["ours"], 1e3 * taken["eager"], "ms", ">= 20")
    others = {
        "made, 8,000 hidden": ("made", {"hidden": 8000}),
        "transformer, 8 layers of 64": ("transformer", {"layers": 8}),
    }
    for name, (kind, arguments) in others.items():
        model, x = shake_weights(MODELS[kind](binary(D), **arguments)).eval(), rows_of(data)[:16]
        with torch.no_grad():
            passes = median(seconds(lambda model=model, x=x: model.predict(x)) for _ in range(3))
            drawn = median(
                seconds(lambda model=model: model.sample(16, generator)) for _ in range(3)
            )
        row(f"16 rows of {name} / {D} full passes (3 timed)", drawn, D * passes, "s", ">= 50")


def memory(data: Path | None, rounds: int) -> None:
    """Of a step, above parameters, gradients and optimiser state: peak resident memory in fresh processes."""
    found = {}
    for name in ("nade", "eager"):
        command = [
            sys.executable,
            "-m",
            "benchmarks.speed",
            "--peak",
            name,
            "--threads",
            str(torch.get_num_threads()),
        ]
        found[name] = float(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
    row("memory of a NADE training step / eager", found["nade"], found["eager"], "MiB", ">= 50")


def peak(name: str) -> float:
    """MiB that a step takes at most beside what is there before it: here that is gradients and the optimiser's state too."""
    small = nade(64, 32).train() if name == "nade" else Eager(64, 32)
    stepping(small, rows_of(None, 64))()  # the loops are loaded
    model, rows = (nade().train() if name == "nade" else Eager(D, H)), rows_of(None)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    optimiser.zero_grad()
    (-model.log_prob(rows[:BATCH]).mean()).backward()
    optimiser.step()
    return (resident("VmHWM") - before) / 1024


def resident(field: str) -> int:
    """KiB."""
    return int(
        next(
            line
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith(field)
        ).split()[1]
    )


def loop(data: Path | None, rounds: int) -> None:
    """A step of `Training`, with its average of weights, gradient clipping and seeded noise, against a bare loop."""
    for hidden, wanted in ((H, ">= 0.91"), (8, "0.15 ms more")):
        variables = D if hidden == H else 16
        own = rows_of(None, variables)
        training = Training(
            nade(variables, hidden),
            own.to(torch.uint8),
            own[:100].to(torch.uint8),
            Plan(steps=10**6),
        )
        bare = stepping(nade(variables, hidden).train(), own)
        taken = interleaved({"ours": training.take_step, "bare": bare}, 20 * rounds)
        row(
            f"step of the trainer / bare loop, {variables} x {hidden}",
            1e3 * taken["ours"],
            1e3 * taken["bare"],
            "ms",
            wanted,
        )


def busy() -> None:
    while True:
        pass


def contention(data: Path | None, rounds: int) -> None:
    """A step by default, one thread on two cores, alone and while another process takes a core."""
    threads = torch.get_num_threads()
    for count in (1, threads):
        torch.set_num_threads(count)
        step = stepping(nade().train(), rows_of(data))
        alone = median(seconds(step) for _ in range(10 * rounds))
        other = multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
        other.start()
        time.sleep(3)
        taken = median(seconds(step) for _ in range(10 * rounds))
        other.kill()
        row(
            f"NADE step beside a busy process / alone, {count} threads",
            1e3 * taken,
            1e3 * alone,
            "ms",
            ">= 0.45",
        )
    torch.set_num_threads(threads)


def curves(data: Path | None, rounds: int) -> None:
    """How a training step and a draw of 100 rows of NADE grow, against the step and the draw at D, H and the batch above."""
    shapes = [(D, H, BATCH)] + [(d, H, BATCH) for d in (98, 196, 392, 1568)]
    shapes += [(D, h, BATCH) for h in (64, 128, 256, 1024)] + [
        (D, H, b) for b in (10, 50, 200, 400)
    ]
    generator, works = torch.Generator().manual_seed(0), dict[str, Callable[[], Any]]()
    for d, h, b in shapes:
        model, own = nade(d, h), rows_of(None, d)
        works[f"step, D = {d}, H = {h}, batch {b}"] = stepping(model.train(), own, b)
        if b == BATCH:
            works[f"100 rows, D = {d}, H = {h}"] = lambda model=model: model.sample(100, generator)
    taken = interleaved(works, rounds)
    first = {
        "step": taken[f"step, D = {D}, H = {H}, batch {BATCH}"],
        "100 ": taken[f"100 rows, D = {D}, H = {H}"],
    }
    for name in works:
        row(name, 1e3 * taken[name], 1e3 * first[name[:4]], "ms", "")


def roofline(data: Path | None, rounds: int) -> None:
    """The recurrence alone, forward and backward, against the time that its sums take at the rate of a large product."""
    model, x = nade(), rows_of(data)[:BATCH]
    table = loop_table([slice(i, i + 1) for i in range(D - 1)], [slice(i, i + 1) for i in range(D)])
    weights = [p.detach().requires_grad_() for p in (model.weight, model.readout, model.shift)]
    square, share = torch.randn(1500, 1500), float(x.mean())

    def both() -> None:
        start = model.bias.detach().expand(BATCH, -1)
        recurrence(
            x[:, :-1].contiguous(), weights[0], start, weights[1], weights[2], None, table, "relu"
        )[0].sum().backward()

    taken = interleaved({"ours": both, "product": lambda: square @ square}, 5 * rounds)
    rate = 2 * 1500**3 / taken["product"]
    work = (
        2 * BATCH * D * H * (3 + 4 * share)
    )  # read, two gradients; what ones add, take back, and two gradients of that
    moved = 4 * (4 * D * H + 2 * BATCH * (D + H))
    print(
        f"<!-- a product of matrices: {rate / 1e9:.0f} GFLOP/s; {work / 1e9:.2f} GFLOP, {moved / 2**20:.1f} MiB here -->"
    )
    row(
        "recurrence, forward and backward / its sums at that rate",
        1e3 * taken["ours"],
        1e3 * work / rate,
        "ms",
        "",
    )


def peers(data: Path | None, rounds: int) -> None:
    """The same job by libraries of PyPI: a masked autoregressive model of numbers by zuko, one hidden width, one batch."""
    import zuko

    from plausibly.events.kinds import Real
    from plausibly.events.schema import Schema

    features, hidden = 64, 256
    x = torch.randn(5000, features, generator=torch.Generator().manual_seed(0))
    edges = tuple(x[:, 0].quantile(torch.linspace(0, 1, 9)).tolist())
    schema = Schema((features,), (Real(edges=edges),) * features)
    ours = MODELS["made"](schema, hidden=hidden, blocks=0, dropout=0.0, components=1)
    shake_weights(ours).train()
    flow = zuko.flows.MAF(features, transforms=1, hidden_features=(hidden,))

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow = flow

        def log_prob(self, x: Tensor) -> Tensor:
            return self.flow().log_prob(x)

    taken = interleaved({"ours": stepping(ours, x), "zuko": stepping(Flow(), x)}, 10 * rounds)
    row(
        f"made's training step, {features} numbers / zuko MAF",
        1e3 * taken["ours"],
        1e3 * taken["zuko"],
        "ms",
        "",
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        draws = {
            "ours": lambda: ours.eval().sample(100, generator),
            "zuko": lambda: flow().sample((100,)),
        }
        taken = interleaved(draws, rounds)
    row("100 rows drawn / zuko MAF", 1e3 * taken["ours"], 1e3 * taken["zuko"], "ms", "")


def synthesizers(data: Path | None, rounds: int) -> None:
    """Of adult, by ctgan's TVAE after 30 epochs and by deepnade in as many seconds: how well trees tell samples; draws."""
    import pandas as pd
    from ctgan import TVAE

    import plausibly
    from benchmarks.tables.judge import judge

    if data is None:
        print("<!-- no --data: no adult_train.csv.gz for TVAE and deepnade -->")
        return
    frame = pd.read_csv(data / "tables" / "adult_train.csv.gz")
    whole = frame.fillna(
        {name: "?" for name in frame if not pd.api.types.is_numeric_dtype(frame[name])}
    )
    discrete = [name for name in whole if not pd.api.types.is_numeric_dtype(whole[name])]
    peer = TVAE(epochs=30, enable_gpu=False)
    spent = seconds(lambda: peer.fit(whole, discrete))
    with tempfile.TemporaryDirectory() as folder:
        run = plausibly.fit(frame, "deepnade", budget=spent, out=Path(folder) / "run")
        draws = {"ours": lambda: run.sample(5000), "tvae": lambda: peer.sample(5000)}
        taken = interleaved(draws, 5)
        pairs = (frame, run.sample(len(frame))), (whole, peer.sample(len(whole)))
        found = [judge(real, made).value for real, made in pairs]
        row(f"AUC of adult after {spent:.0f} s, 0.5 is perfect / TVAE", *found, "", "")
    row("5,000 rows of adult drawn / TVAE", 1e3 * taken["ours"], 1e3 * taken["tvae"], "ms", "")


PARTS = {
    part.__name__: part
    for part in (steps, sampling, memory, loop, contention, roofline, curves, peers, synthesizers)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.peak:
        print(peak(given.peak))
        return
    first = seconds(lambda: nade(64, 32).train().log_prob(rows_of(None, 64)[:8]).sum().backward())
    print(
        f"{given.threads} threads, {given.rounds} rounds; the first call of NADE's loops in this process: {first:.2f} s.\n"
    )
    print(f"```python\n{inspect.getsource(Eager)}```\n")
    print("| what / against | ours | theirs | ratio | wanted |\n|---|---:|---:|---:|---|")
    for name in given.only.split(","):
        PARTS[name](given.data, given.rounds)


if __name__ == "__main__":
    main()
