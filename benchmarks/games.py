"""Every game that a GAN can play, and every network that it can play it with, each with several seeds.

python -m benchmarks.games [--data FOLDER] [--seeds 3] [--only toy-modes,digits-binary,mnist] [--games NAME,NAME]
FOLDER holds mnist.npz. Figures: on toy-modes, 8 normals on a ring, the share of 10,000 samples within 4 sigma of a mode
and the share that the least of the modes has (0.125 is perfect); on digits-binary the two-sample AUC (0.5 is perfect),
on mnist coverage of 2,000 test images in random convolutions, after 1,500 steps. Means over seeds and their standard
deviation; the baseline is a model with a likelihood.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import torch

import plausibly
from plausibly.data.toys.planes import NormalsOnCircle
from plausibly.families.adversarial import GAMES
from plausibly.runs.run import Run


def on_ring(run: Run) -> dict[str, float]:
    modes = NormalsOnCircle()
    apart = np.linalg.norm(np.asarray(run.sample(10_000, seed=1))[:, None] - modes.centres, axis=2)
    near = apart.min(1) < 4 * modes.width
    least = np.bincount(apart.argmin(1)[near], minlength=modes.modes).min()
    found = {"within 4 sigma": float(near.mean()), "least mode": float(least / len(apart))}
    return found | {
        "0.9 and 0.05 reached": float(
            found["within 4 sigma"] >= 0.9 and found["least mode"] >= 0.05
        )
    }


def told(run: Run) -> dict[str, float]:
    return {"two-sample AUC": run.samples(rows=179)["two_sample_auc"].value}


def covered(run: Run) -> dict[str, float]:
    found = run.samples(rows=2000, extractor="random-convolutions")
    return {name: found[name].value for name in ("precision", "coverage")}


class Trial(NamedTuple):
    """A set, its figures, the baseline, and what is tried on it."""

    figures: Callable[[Run], dict[str, float]]
    baseline: str
    variants: dict[str, dict[str, Any]]
    steps: int | None = None


ALL = {game.name: {"objective": game.name} for game in GAMES}
NETWORKS = {
    "mlp, 512 units": {"network": {"name": "mlp", "hidden": 512, "layers": 2, "dropout": 0.0}},
    "convolutional": {"network": {"name": "convolutional", "layers": 0}},
    "convolutional, residual": {"network": {"name": "convolutional"}},
}
TRIALS = {
    "toy-modes": Trial(on_ring, "gaussian", ALL),
    "digits-binary": Trial(told, "independent", ALL),
    "mnist": Trial(covered, "independent", NETWORKS, 1500),
}


def figures(
    trial: Trial, source: str, model: str, settings: dict[str, Any], seeds: int, out: Path
) -> list[str]:
    """Cells of a row: each figure, the seeds and seconds."""
    found, seconds = [], []
    for seed in range(seeds):
        steps = trial.steps if model == "gan" else None
        run = plausibly.fit(
            source, model, set=settings, seed=seed, steps=steps, out=out / f"{seed}"
        )
        found.append(trial.figures(run))
        seconds.append(run.record.seconds)
    spread = {
        name: stdev([each[name] for each in found]) if seeds > 1 else float("nan")
        for name in found[0]
    }
    cells = [
        f"{name} {mean(each[name] for each in found):.3f} ± {spread[name]:.3f}" for name in found[0]
    ]
    return [", ".join(cells), str(seeds), f"{mean(seconds):.0f} s"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="toy-modes,digits-binary")
    parser.add_argument("--games", default="")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| game or network | set | figures | seeds | fit |\n|---|---|---|---:|---:|")
    for name in given.only.split(","):
        trial, folder = TRIALS[name], Path(tempfile.mkdtemp())
        source = str(given.data / f"{name}.npz") if name == "mnist" else name
        rows = {f"baseline: {trial.baseline}": (trial.baseline, {})}
        rows |= {variant: ("gan", settings) for variant, settings in trial.variants.items()}
        for row, (model, settings) in rows.items():
            if model == "gan" and given.games and row not in given.games.split(","):
                continue
            cells = figures(
                trial, source, model, settings, given.seeds, folder / row.replace(": ", "-")
            )
            print("| " + " | ".join([row, name, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
