"""Fits a model by a recipe, and tells its importance-weighted bound on the test rows.

python -m benchmarks.recipe RECIPE --data FOLDER [--draws 1000] [--rows 10000] [--against RUN] [--out RUN]
RECIPE is a TOML file: data, model, steps, seed and the settings. A run that is there already, at OUT, is only measured.
`--against` names the run of another recipe on the same data: the difference is paired over test rows.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import torch

import plausibly
from plausibly.capabilities import Variational
from plausibly.data.formats import Dataset
from plausibly.families.variational import log_weights
from plausibly.runs import Run
from plausibly.training import batches, generator_for


def fitted(recipe: Path, data: Path, out: Path) -> Run:
    if (out / "weights.safetensors").exists():
        return Run.open(out)
    told = tomllib.loads(recipe.read_text())
    wanted = {"steps": told["steps"], "seed": told["seed"], "set": told["set"]}
    return plausibly.fit(str(data / told["data"]), told["model"], out=out, **wanted)


@torch.no_grad()
def bounds(run: Run, dataset: Dataset, draws: int, rows: int) -> torch.Tensor:
    """log 1/K sum_k w_k of the first test rows, (rows,) float64."""
    model, parts = run.model, []
    assert isinstance(model, Variational)
    for i, x in enumerate(batches(dataset.test.codes[:rows], 20)):
        logs = log_weights(model, x, draws, generator_for(torch.device("cpu"), 17, i))
        parts.append(logs.logsumexp(1) - torch.tensor(float(draws)).log())
        if i % 50 == 0:
            print(f"{sum(map(len, parts)):,} rows, {torch.cat(parts).mean():.3f}", flush=True)
    return torch.cat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--against", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    run = fitted(given.recipe, given.data, given.out or Path("runs") / given.recipe.stem)
    dataset = run.dataset()
    own = bounds(run, dataset, given.draws, given.rows)
    error = own.std() / len(own) ** 0.5
    print(
        f"{given.recipe.stem}: NLL <= {-own.mean():.3f} ± {error:.3f} nats, {given.draws} draws, {len(own):,} test rows, ",
        end="",
    )
    print(f"{run.record['steps']:,} steps in {run.record['seconds']:.0f} s")
    if given.against:
        gap = own - bounds(Run.open(given.against), dataset, given.draws, given.rows)
        print(
            f"bound above that of {given.against.name}: {gap.mean():+.3f} ± {gap.std() / len(gap) ** 0.5:.3f}, paired"
        )


if __name__ == "__main__":
    main()
