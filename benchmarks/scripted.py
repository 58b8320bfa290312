"""Tables that a seed draws from a grammar, with as many fresh rows as one asks for, so that nothing can be tuned to them.

python -m benchmarks.scripted --seed S [--rows 10000] [--draw 0] [--out FILE.csv]

A table has 30 to 80 columns. Each is drawn from one rule, whose parents are columns before it, or groups that are not
written: mixtures of the groups, levels with rare ones, thresholds, interactions of three columns, sums with a spread that
grows, waves, heavy tails, prices from a short list, counts. Then holes are made, by chance or by what cells hold. `rules_of`
tells which rule each column has, so that results can be told by kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

Noise = np.random.Generator

MIN_COLUMNS, MAX_COLUMNS = 30, 80
GROUPS = 3  # columns of groups, which are not written
HOLE_SHARE = 0.3  # of columns that have holes
FIRST_ROWS = 4000  # of a table, which tell how its rules see numbers


class Columns(dict[str, np.ndarray]):
    """Columns drawn so far, and how rules see their numbers: by a middle and a spread of the table's first rows,
    so that the law of fresh rows is the same however many they are."""

    def __init__(self, scales: dict[str, tuple[float, float]]) -> None:
        super().__init__()
        self.scales = scales

    def see(self, name: str) -> np.ndarray:
        """Numbers within -2 and 2, 0 in the middle."""
        known = self[name].astype(float)
        if name not in self.scales:
            low, middle, high = np.percentile(known, [10, 50, 90])
            self.scales[name] = float(middle), float(high - low) or 1.0
        middle, spread = self.scales[name]
        return np.asarray(np.tanh((known - middle) / spread) * 2)


Draw = Callable[[Columns, Noise, int], np.ndarray]


@dataclass(frozen=True)
class Rule:
    """A column: the name of its rule, whether it holds levels, and how its cells are drawn from those before it."""

    name: str
    levels: int
    draw: Draw


@dataclass
class Parents:
    """What a rule may choose its parents from: the rules of columns so far, by name."""

    rules: dict[str, Rule]
    chance: Noise

    def pick(self, levels: bool) -> str:
        """A column of levels, or one of numbers, recent ones more often."""
        fit = [name for name, rule in self.rules.items() if bool(rule.levels) is levels]
        weights = np.arange(1, len(fit) + 1) ** 0.5
        return str(self.chance.choice(fit, p=weights / weights.sum()))

    def levels_of(self, name: str) -> int:
        return self.rules[name].levels


def draw_group(_: Parents, chance: Noise) -> Rule:
    shares = chance.dirichlet(np.full(levels := int(chance.integers(2, 6)), 2.0))
    return Rule("group", levels, lambda columns, noise, rows: noise.choice(levels, rows, p=shares))


def draw_mixture(parents: Parents, chance: Noise) -> Rule:
    """Normals, one for each level of a parent, rounded to a step of which there may be few or many."""
    parent = parents.pick(levels=True)
    means, spreads = chance.normal(0, 3, parents.levels_of(parent)), chance.gamma(2, 0.4, 99)
    scale, digits = 10.0 ** chance.integers(-1, 4), int(chance.integers(0, 4))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        own = columns[parent]
        return np.round((means[own] + spreads[own % 99] * noise.normal(size=rows)) * scale, digits)

    return Rule("mixture", 0, draw)


def draw_levels(parents: Parents, chance: Noise) -> Rule:
    """Levels by a table of a parent's; with a long tail of rare ones at times."""
    parent = parents.pick(levels=True)
    levels = int(chance.choice([2, 3, 5, 8, 20, 60]))
    even = 1 / np.arange(1, levels + 1) ** 1.5 if levels >= 20 else np.ones(levels)
    table = chance.dirichlet(even / even.sum() * chance.choice([1.0, 4.0, 20.0]) + 1e-3, 99)

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        bounds = table[columns[parent] % 99].cumsum(1)
        drawn = (noise.random(rows)[:, None] > bounds).sum(1)
        return np.minimum(drawn, levels - 1)

    return Rule("levels", levels, draw)


def draw_threshold(parents: Parents, chance: Noise) -> Rule:
    """A bit that is nearly decided by whether one number, or two, are above a threshold."""
    chosen = [parents.pick(levels=False) for _ in range(int(chance.integers(1, 3)))]
    cuts, sure = chance.normal(0, 0.7, len(chosen)), float(chance.uniform(0.85, 0.99))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        above = [columns.see(name) > cut for name, cut in zip(chosen, cuts, strict=True)]
        return np.where(np.all(above, 0), noise.random(rows) < sure, noise.random(rows) > sure) * 1

    return Rule("threshold", 2, draw)


def draw_interaction(parents: Parents, chance: Noise) -> Rule:
    """A level by the parity of three columns' halves, of which no two tell anything."""
    chosen = [parents.pick(levels=bool(chance.integers(2))) for _ in range(3)]
    sure = float(chance.uniform(0.8, 0.95))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        halves = [columns.see(name) > 0 for name in chosen]
        return (np.sum(halves, 0) % 2) ^ (noise.random(rows) > sure)

    return Rule("interaction", 2, draw)


def draw_sum(parents: Parents, chance: Noise) -> Rule:
    """A weighted sum of two numbers, with a spread that grows with a third."""
    first, second, third = (parents.pick(levels=False) for _ in range(3))
    weights, scale = chance.normal(0, 1, 2), 10.0 ** chance.integers(0, 3)

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        own = weights @ [columns.see(name) for name in (first, second)]
        spread = 0.3 * np.exp(0.7 * columns.see(third))
        return np.round((own + spread * noise.normal(size=rows)) * scale, 2)

    return Rule("sum", 0, draw)


def draw_wave(parents: Parents, chance: Noise) -> Rule:
    """A number that goes up and down with another."""
    parent, turns = parents.pick(levels=False), float(chance.uniform(1, 4))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        wave = np.sin(turns * columns.see(parent))
        return np.round(10 * wave + noise.normal(size=rows), 1)

    return Rule("wave", 0, draw)


def draw_tail(parents: Parents, chance: Noise) -> Rule:
    """A heavy tail, whose weight a level decides, in whole numbers or cents."""
    parent = parents.pick(levels=True)
    places, digits = chance.uniform(1, 6, 99), int(chance.choice([0, 2]))
    weight = float(chance.uniform(0.5, 1.2))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        return np.round(
            np.exp(places[columns[parent] % 99] + weight * noise.normal(size=rows)), digits
        )

    return Rule("tail", 0, draw)


def draw_prices(parents: Parents, chance: Noise) -> Rule:
    """Repeated reals: most cells are one of a few prices that a level has, the others free."""
    parent = parents.pick(levels=True)
    prices = np.round(chance.gamma(3, 20, (99, 4)), 2)
    free = float(chance.uniform(0, 0.2))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        listed = prices[columns[parent] % 99, noise.integers(0, 4, rows)]
        return np.where(noise.random(rows) < free, np.round(noise.gamma(3, 20, rows), 2), listed)

    return Rule("prices", 0, draw)


def draw_count(parents: Parents, chance: Noise) -> Rule:
    """Counts whose mean a number moves, with more zeros than such counts have."""
    parent, base = parents.pick(levels=False), float(chance.uniform(0, 2))
    zeros = float(chance.uniform(0, 0.4))

    def draw(columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        mean = np.exp(base + 0.6 * columns.see(parent))
        return np.where(noise.random(rows) < zeros, 0, noise.poisson(mean))

    return Rule("count", 0, draw)


RULES: tuple[Callable[[Parents, Noise], Rule], ...] = (
    draw_mixture,
    draw_levels,
    draw_threshold,
    draw_interaction,
    draw_sum,
    draw_wave,
    draw_tail,
    draw_prices,
    draw_count,
)


@dataclass(frozen=True)
class Holes:
    """Cells that are missing: by chance, or the more probably the higher a column's cell is, at times its own."""

    column: str
    by: str
    share: float
    steep: float

    def make(self, columns: Columns, noise: Noise, rows: int) -> np.ndarray:
        """Which rows have one, bool."""
        told = self.steep * columns.see(self.by)
        return np.asarray(noise.random(rows) < self.share * 2 / (1 + np.exp(-told)))


def draw_rules(seed: int) -> tuple[dict[str, Rule], list[Holes]]:
    """The rules of all columns by name, groups first, and the holes."""
    chance = np.random.default_rng([seed, 0])
    rules: dict[str, Rule] = {}
    parents = Parents(rules, chance)
    for k in range(GROUPS):
        rules[f"group{k}"] = draw_group(parents, chance)
    for k in range(int(chance.integers(MIN_COLUMNS, MAX_COLUMNS + 1))):
        make = draw_mixture if k < 2 else RULES[chance.integers(len(RULES))]
        rules[f"c{k:02d}"] = make(parents, chance)
    written = [name for name in rules if not name.startswith("group")]
    some = [name for name in written if chance.random() < HOLE_SHARE]
    holes = [
        Holes(name, str(chance.choice(written)), chance.uniform(0.01, 0.3), chance.choice([0, 2.0]))
        for name in some
    ]
    return rules, holes


def draw_columns(
    rules: dict[str, Rule], scales: dict[str, tuple[float, float]], noise: Noise, rows: int
) -> Columns:
    columns = Columns(scales)
    for name, rule in rules.items():
        columns[name] = rule.draw(columns, noise, rows)
    return columns


def draw_table(seed: int, rows: int, draw: int = 0) -> pd.DataFrame:
    """Rows of the table of a seed; each `draw` is of fresh ones."""
    rules, holes = draw_rules(seed)
    scales: dict[str, tuple[float, float]] = {}
    first = draw_columns(rules, scales, np.random.default_rng([seed, 1]), FIRST_ROWS)
    for each in holes:
        first.see(each.by)
    noise = np.random.default_rng([seed, 2, draw])
    columns = draw_columns(rules, scales, noise, rows)
    gone = {each.column: each.make(columns, noise, rows) for each in holes}
    return pd.DataFrame(
        {
            name: show_cells(columns[name], rule.levels).mask(gone.get(name, np.zeros(rows, bool)))
            for name, rule in rules.items()
            if rule.name != "group"
        }
    )


def show_cells(cells: np.ndarray, levels: int) -> pd.Series:
    """A column as a table has it: more levels than two by name."""
    own = pd.Series(cells)
    return own.map(lambda level: f"level {level}") if levels > 2 else own


def rules_of(seed: int) -> dict[str, str]:
    """The name of each written column's rule."""
    return {name: rule.name for name, rule in draw_rules(seed)[0].items() if rule.name != "group"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--draw", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    table = draw_table(given.seed, given.rows, given.draw)
    if given.out:
        table.to_csv(given.out, index=False)
    print(pd.DataFrame({"rule": rules_of(given.seed), "example": table.iloc[0]}).to_string())


if __name__ == "__main__":
    main()
