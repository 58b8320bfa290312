"""Variants of the latent-variable models on one data set: objectives, priors, hierarchy, each with several seeds.

python -m benchmarks.latents [--data digits-binary] [--seeds 3] [--only NAME,NAME] [--out FOLDER]
The figure is the 100-draw bound on the test rows, higher is better, its mean over seeds and their standard deviation; the
baseline is the VAE with the plain ELBO and nothing else changed. Markov, a model with exact log p, stands beside them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

import plausibly

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "elbo": ("vae", {"objective": "elbo"}),
    "warm-up (default)": ("vae", {}),
    "free-bits, 0.2 nats": ("vae", {"objective": {"name": "free-bits", "nats": 0.2}}),
    "rate-distortion, beta 0.5": ("vae", {"objective": {"name": "rate-distortion", "beta": 0.5}}),
    "importance-weighted, 10 draws": (
        "vae",
        {"objective": {"name": "importance-weighted", "draws": 10}},
    ),
    "warm-up, vamp prior": ("vae", {"prior": "vamp"}),
    "warm-up, flow prior": ("vae", {"prior": "flow"}),
    "hierarchical_vae (default)": ("hierarchical_vae", {}),
    "vq_vae (default)": ("vq_vae", {}),
    "markov": ("markov", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits-binary")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder, baseline = given.out or Path(tempfile.mkdtemp()), float("nan")
    print(
        "| variant | set | bound, nats | above the baseline | seeds | fit |\n|---|---|---:|---:|---:|---:|"
    )
    for name, (model, settings) in VARIANTS.items():
        if given.only and not any(word in name for word in given.only.split(",")):
            continue
        values, seconds = [], []
        for seed in range(given.seeds):
            board = plausibly.compare(
                given.data, [model], set=settings, seed=seed, out=folder / f"{name}-{seed}"
            )
            (row,) = [row for row in board.rows if row.run]
            assert row.test is not None
            values.append(row.test.value)
            seconds.append(row.seconds or 0.0)
        baseline = mean(values) if name == "elbo" else baseline
        spread = stdev(values) if len(values) > 1 else float("nan")
        cells = [
            name,
            given.data,
            f"{mean(values):.3f} ± {spread:.3f}",
            f"{mean(values) - baseline:+.3f}",
        ]
        print(
            "| " + " | ".join([*cells, str(given.seeds), f"{mean(seconds):.0f} s"]) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
