"""Fits a model by a recipe, and tells its log-likelihood, or its bound, on the test rows.

python -m benchmarks.recipe RECIPE --data FOLDER [--draws 1000] [--against RUN] [--out RUN]
RECIPE is a TOML file: data, model, steps, seed and the settings. A run that is there already, at OUT, is only measured.
`--against` names the run of another recipe on the same data: the difference is paired over test rows.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import plausibly
from plausibly.capabilities import Variational
from plausibly.cli.progress import RowMeter
from plausibly.evaluation.likelihood.likelihood import Likelihood, likelihood_difference
from plausibly.runs.run import Run


def fitted(recipe: Path, data: Path, out: Path | None) -> Run:
    out = out or Path("runs") / recipe.stem
    if (out / "weights.safetensors").exists():
        return Run.open(out)
    told = tomllib.loads(recipe.read_text())
    wanted = {"steps": told.get("steps"), "seed": told["seed"], "set": told["set"]}
    return plausibly.fit(str(data / told["data"]), told["model"], out=out, **wanted)


def asked(about: str | None) -> argparse.ArgumentParser:
    """What every script about a recipe is told."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=None)
    return parser


def bound(run: Run, draws: int) -> Likelihood:
    found = run.evaluate(
        draws=draws if isinstance(run.model, Variational) else None, on_progress=RowMeter("rows")
    )
    assert found is not None
    return found


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--against", type=Path, default=None)
    given = parser.parse_args()
    run = fitted(given.recipe, given.data, given.out)
    own = bound(run, given.draws)
    sign, drawn = (
        ("<=", f"{given.draws:,} draws, ") if isinstance(run.model, Variational) else ("=", "")
    )
    print(
        f"{given.recipe.stem}: NLL {sign} {-own.value:.3f} ± {own.standard_error:.3f} nats, {drawn}",
        end="",
    )
    print(f"{own.rows:,} test rows, {run.record.steps:,} steps in {run.record.seconds:.0f} s")
    if given.critic_loss:
        gap = likelihood_difference(own, bound(Run.open(given.critic_loss), given.draws))
        print(
            f"bound above that of {given.critic_loss.name}: {gap.value:+.3f} ± {gap.standard_error:.3f}, paired"
        )


if __name__ == "__main__":
    main()
