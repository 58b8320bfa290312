"""How often the 95 % intervals that are printed hold what they should: fresh rows and samples, the fitted model as it is.

python -m benchmarks.intervals [--repeats 2000] [--slow 300] [--rows 50] [--only means,features,trees]
Of each law of rows, normal, skewed and mixed, a model is fitted once to 400 rows. In every repeat so many fresh rows, the
fewest for which there is an interval, are drawn anew, and as many samples; what a mean should be is that over 40,000 rows,
what other numbers should be is their mean over the repeats. `error` is the mean standard error by the spread over repeats.
Below .93 an interval holds too little; above .98 it is conservative. Judges and trees are taught anew, in --slow repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

import plausibly
from plausibly.data.events import Events
from plausibly.evaluation.intervals import MIN_UNITS, Interval, Mean
from plausibly.evaluation.likelihood.by_column import by_column
from plausibly.evaluation.likelihood.likelihood import likelihood, likelihood_difference
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples import tables
from plausibly.evaluation.samples.coverage import (
    closest_records,
    copy_share,
    coverage_numbers,
    nearer_to_training,
)
from plausibly.evaluation.samples.distances import kernel_number
from plausibly.evaluation.samples.features import ColumnFeatures
from plausibly.evaluation.samples.samples import judge_auc, pick_rows, portions
from plausibly.evaluation.samples.two_samples import mmd_number
from plausibly.evaluation.samples.usefulness import PredictionContest, usefulness

POOL, LEARNED, TOGETHER = 40_000, 400, 4  # rows: of a law, learned from, of a group
Found = dict[str, tuple[float, float | None, Interval | None]]


def normal(rows: int, chance: np.random.Generator) -> pd.DataFrame:
    x = chance.normal(size=rows)
    return pd.DataFrame({"x": x, "y": 0.6 * x + chance.normal(size=rows)})


def skewed(rows: int, chance: np.random.Generator) -> pd.DataFrame:
    x = chance.exponential(size=rows)
    return pd.DataFrame({"x": x, "y": x + chance.gamma(2.0, size=rows)})


def mixed(rows: int, chance: np.random.Generator) -> pd.DataFrame:
    town, x = chance.choice(3, rows, p=[0.5, 0.3, 0.2]), chance.normal(size=rows)
    sure = 1 / (1 + np.exp(-2 * x - town + 1))
    columns = {
        "town": np.array(list("abc"))[town],
        "x": x + town,
        "label": np.where(chance.random(rows) < sure, "yes", "no"),
    }
    return pd.DataFrame(columns)


LAWS: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    "normal": normal,
    "skewed": skewed,
    "mixed": mixed,
}


@dataclass
class Setting:
    """A law's rows and a fitted model's samples, and what is known of each of them."""

    law: str
    run: plausibly.Run
    other: plausibly.Run
    data: plausibly.Dataset
    pool: Events
    made: Events
    rows: int

    @classmethod
    def of(cls, law: str, rows: int) -> Setting:
        chance = np.random.default_rng(1)
        frame = LAWS[law](LEARNED + 2 * rows, chance)
        data = plausibly.load(
            frame, kinds={"x": "real", "y": "real"} if law != "mixed" else {"x": "real"}
        )
        with TemporaryDirectory() as folder:
            runs = [
                plausibly.fit(frame, name, out=f"{folder}/{name}", kinds=kinds_of(data))
                for name in MODELS[law]
            ]
        data = plausibly.load(frame, kinds=kinds_of(data))
        pool = data.format.events(LAWS[law](POOL, chance))
        return cls(law, *runs, data, pool, runs[0].sample_events(POOL), rows)

    def draws(self, repeats: int) -> Iterator[tuple[Events, Events, np.ndarray, np.ndarray]]:
        for seed in range(repeats):
            chance = np.random.default_rng((seed, 5))
            real, made = (chance.choice(POOL, self.rows, replace=False) for _ in range(2))
            yield self.pool[real], self.made[made], real, made


def kinds_of(data: plausibly.Dataset) -> dict[str, str]:
    return {name: "real" for name in data.format.names if name in "xy"}


MODELS = {
    "normal": ("gaussian", "independent"),
    "skewed": ("gaussian", "independent"),
    "mixed": ("chow_liu", "independent"),
}


def means(setting: Setting, repeats: int) -> Iterator[Found]:
    """Means over rows of numbers that each row has: the first is what they should be."""
    of, other = (likelihood(run.model, setting.pool) for run in (setting.run, setting.other))
    assert of is not None and other is not None
    columns = by_column(setting.run.model, setting.data.format, setting.pool)
    each = {
        "log p": of.nats.numpy(),
        "log p, difference": likelihood_difference(of, other).nats.numpy(),
    }
    each |= (
        {f"log p of {name}": columns.nats[:, i].numpy() for i, name in enumerate(columns.names)}
        if columns
        else {}
    )
    if setting.law == "mixed":
        told = setting.run.classify(setting.data.format.rows(setting.pool), "label")
        each |= {"log loss": told._losses().each, "accuracy": told._right().each}
    yield {name: (float(nats.mean()), None, None) for name, nats in each.items()}
    groups = np.arange(TOGETHER * setting.rows) // TOGETHER
    for _, _, real, _ in setting.draws(repeats):
        found = {name: Mean(nats[real]) for name, nats in each.items()}
        # rows that come in groups: a group's are neighbours among 200, in the order of their log p
        order = np.argsort(of.nats.numpy())
        start = (
            np.random.default_rng((int(real[0]), 6)).integers(0, POOL // 200, setting.rows) * 200
        )
        picked = order[
            (
                start[:, None]
                + np.random.default_rng(int(real[1])).integers(0, 200, (setting.rows, TOGETHER))
            ).ravel()
        ]
        told = {
            name: (mean.value, mean.error, interval_of(name, mean)) for name, mean in found.items()
        }
        together = Mean(of.nats.numpy()[picked], groups)
        yield told | {"log p, groups": (together.value, together.error, together.interval)}


def interval_of(name: str, mean: Mean) -> Interval | None:
    return mean.interval_of_share if name == "accuracy" else mean.interval


def features(setting: Setting, repeats: int) -> Iterator[Found]:
    """Numbers of samples that are quick to find."""
    columns, data = ColumnFeatures(setting.data.format, setting.data.train), setting.data
    real, made, train = columns(setting.pool), columns(setting.made), columns(data.train)
    cells = [tables.cell_values(data.format, events) for events in (setting.pool, setting.made)]
    taught = [
        tables.cell_values(data.format, part) for part in portions([data.train], setting.rows)
    ]
    for _, _, ours, theirs in setting.draws(repeats):
        chance = np.random.default_rng((int(ours[0]), 7))
        control, more = (
            chance.choice(POOL, size, replace=False) for size in (setting.rows, 10 * setting.rows)
        )
        x, y = real[ours], made[theirs]
        found = coverage_numbers(x, y, "")
        found |= {"mmd": mmd_number(x, y, ""), "kernel_distance": kernel_number(x, y, "")}
        found["nearer_to_training"] = nearer_to_training(
            y, train[: setting.rows], real[control], ""
        )
        found |= closest_records(y, x, train, "")
        found["copies"] = copy_share(y.round(1), x.round(1), train.round(1))
        draws = np.split(cells[1][more], 10)
        apart = tables.table_distances(
            data.format.names, data.schema.kinds, cells[0][ours], draws, taught
        )
        yield told(found | apart.numbers())


def told(found: dict[str, Number]) -> Found:
    return {
        name: (number.value, number.standard_error, number.interval)
        for name, number in found.items()
    }


def trees(setting: Setting, repeats: int) -> Iterator[Found]:
    """Numbers for which judges or trees are taught."""
    for seed, (real, made, _, _) in enumerate(setting.draws(repeats)):
        found = {"two_sample_auc": judge_auc(setting.data.format, made, real)}
        contest = PredictionContest(setting.data.format, setting.data.schema.size - 1, real)
        draws = [pick_rows(setting.made, LEARNED // 2, seed, k) for k in range(3)]
        skill = usefulness(contest, setting.data.train[: LEARNED // 2], draws)
        yield told(found | (skill if isinstance(skill, dict) else {}))


def line(
    law: str,
    name: str,
    each: list[tuple[float, float | None, Interval | None]],
    truth: float | None,
) -> str:
    values = np.array([value for value, _, _ in each])
    ends = np.array([interval for _, _, interval in each if interval is not None])
    should = float(values.mean()) if truth is None else truth
    if not len(ends):
        return f"| {law} | {name} | {should:.4f} | | no interval | |"
    held = float(((ends[:, 0] <= should) & (should <= ends[:, 1])).mean())
    error = np.sqrt(np.mean([(error or 0.0) ** 2 for _, error, _ in each])) / values.std()
    word = "too little" if held < 0.93 else "conservative" if held > 0.98 else ""
    return f"| {law} | {name} | {should:.4f} | {error:.2f} | {held:.3f} | {word} |"


def simulated(
    setting: Setting, trial: Callable[[Setting, int], Iterator[Found]], repeats: int
) -> Iterator[str]:
    found, truths = (
        dict[str, list[tuple[float, float | None, Interval | None]]](),
        dict[str, float](),
    )
    for each in trial(setting, repeats):
        for name, (value, error, interval) in each.items():
            if trial is means and name not in truths and name != "log p, groups":
                truths[name] = value
            else:
                found.setdefault(name, []).append((value, error, interval))
    truths |= {"log p, groups": truths["log p"]} if trial is means else {}
    for name, each in found.items():
        yield line(setting.law, name, each, truths.get(name))


TRIALS = {"means": means, "features": features, "trees": trees}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=300)
    parser.add_argument("--rows", type=int, default=MIN_UNITS)
    parser.add_argument("--only", default=",".join(TRIALS))
    parser.add_argument("--laws", default=",".join(LAWS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| law | number | should be | error | held | |\n|---|---|---:|---:|---:|---|")
    for law in given.laws.split(","):
        setting = Setting.of(law, given.rows)
        for name in given.only.split(","):
            for told in simulated(
                setting, TRIALS[name], given.slow if name == "trees" else given.repeats
            ):
                print(told, flush=True)


if __name__ == "__main__":
    main()
