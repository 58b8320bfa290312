"""The likelihood of decoders by annealed importance sampling and by Parzen windows (Wu et al. 2016, arXiv:1611.04273).

python -m benchmarks.decoders --data FOLDER [--rows 10] [--chains 4] [--distributions 250] [--steps 6000]
FOLDER holds mnist.npz; its images are taken at 16 levels of grey, as numbers on [0, 1]. A VAE and a GAN with the same
perceptron behind z, of 10 latents and of 50, each get noise N(0, sigma^2) about their mean image. A Parzen window is a
normal about each of 10,000 samples' mean images. Both sigmas are those at which validation rows are most probable.
"""

from __future__ import annotations

import argparse
import tempfile
from math import log, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import plausibly
from plausibly.cli.progress import RowMeter
from plausibly.evaluation.likelihood.annealed import Annealed
from plausibly.runs.run import Run
from plausibly.system.randomness import generator_for
from plausibly.tasks.annealed import mean_image, white_level

DECODERS: dict[str, dict[str, Any]] = {
    name: {
        "latents": latents,
        "network": {"name": "mlp", "hidden": 256, "layers": 2, "dropout": 0.0},
    }
    for name, latents in (("small", 10), ("large", 50))
}
SIGMAS = np.geomspace(0.05, 0.5, 19)
LEVELS, CENTRES, TESTED = 16, 10_000, 1000


def coarser(data: Path, out: Path) -> Path:
    with np.load(data / "mnist.npz") as kept:
        np.savez(
            out,
            train=kept["train"] // (256 // LEVELS),
            test=kept["test"][:TESTED] // (256 // LEVELS),
        )
    return out


@torch.no_grad()
def centres(run: Run) -> Tensor:
    """Mean images of draws of the prior, (centres, pixels) on [0, 1]."""
    generator = generator_for(torch.device("cpu"), 1)
    drawn = run.model.latent_prior().sample(CENTRES, generator)
    return torch.cat([mean_image(run.model, z) for z in drawn.split(500)])


def parzen(centres: Tensor, images: Tensor, sigma: float) -> Tensor:
    """log density of images, (n, pixels), by windows N(centre, sigma^2), (n,)."""
    squares = torch.cdist(images.double(), centres.double()).square()
    constant = log(len(centres)) + images.shape[1] * (log(sigma) + 0.5 * log(2 * pi))
    return (-0.5 * squares / sigma**2).logsumexp(1) - constant


def windowed(run: Run, rows: int = TESTED) -> tuple[float, float, float]:
    """The mean log density of test images, its standard error, and the window's width."""
    found, data, white = centres(run), run.dataset(), white_level(run.model)
    valid, test = (part.codes[:rows].flatten(1) / white for part in (data.valid, data.test))
    sigma = max(map(float, SIGMAS), key=lambda width: float(parzen(found, valid, width).mean()))
    each = parzen(found, test, sigma)
    return float(each.mean()), float(each.std() / len(each) ** 0.5), sigma


def row(name: str, model: str, found: Annealed, window: tuple[float, float, float]) -> str:
    cells = [
        name,
        model,
        f">= {found.test.value:.1f} ± {found.test.standard_error:.1f}",
        f"{found.gap.value:.1f}",
        f"{found.sigma:.3f}",
        f"{window[0]:.1f} ± {window[1]:.1f}",
        f"{window[2]:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--distributions", type=int, default=250)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--only", default=",".join(DECODERS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    source = str(coarser(given.data, folder / "mnist-16.npz"))
    print(
        "| decoder | model | AIS | gap | sigma | Parzen windows | width |\n|---|---|---:|---:|---:|---:|---:|"
    )
    for name in given.only.split(","):
        for model in ("vae", "gan"):
            chosen = DECODERS[name]
            run = plausibly.fit(
                source, model, set=chosen, steps=given.steps, seed=1, out=folder / f"{name}-{model}"
            )
            on_progress = RowMeter("transitions")
            found = run.anneal(
                None, given.rows, given.chains, given.distributions, "validation", 0, on_progress
            )
            print(row(name, model, found, windowed(run)), flush=True)


if __name__ == "__main__":
    main()
