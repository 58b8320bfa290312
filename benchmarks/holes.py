"""How well removed cells of a table are told from the others, beside scikit-learn's models of one column each.

python -m benchmarks.holes TABLE.csv.gz --out FOLDER [--share 0.3] [--model NAME] [--run RUN] [--set hidden=256]
Removes a share of all cells at random, fits the table with its holes, and asks for the distribution of each removed cell
given the rest of its row. In nats a cell, lower is better:

    log loss    of categories, and of numbers in 10 bins of equal share; beside histogram gradient boosting that takes holes
                as they are, trained on the rows whose cell is left, one model a column
    right       share of categories whose most probable level is the removed one, beside the most frequent level
    MAE         mean absolute error of the median, beside scikit-learn's IterativeImputer over numbers and ranks of levels
    PIT, 90 %   p-value of the randomised PIT's being uniform, and the share of numbers inside their 90 % interval
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - the next import needs it
from sklearn.impute import IterativeImputer

import plausibly
from benchmarks.large import numbers
from benchmarks.tables.judge import encode
from plausibly.evaluation.answers.curves import outcome_cdf
from plausibly.evaluation.answers.regression import without_hole
from plausibly.events.evidence import Evidence
from plausibly.fitting.settings import Listener
from plausibly.runs.run import Run
from plausibly.system.randomness import generator_for
from plausibly.tasks.query import query

BINS, FEW = 10, 5


def removed(frame: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    """Which cells to take away, bool (rows, columns): a share of those that are there."""
    return (np.random.default_rng(seed).random(frame.shape) < share) & frame.notna().to_numpy()


def binned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges that cut numbers into at most 10 bins of about equal share, and the bin of each; an edge is in the lower one."""
    edges = np.unique(
        np.quantile(values[~np.isnan(values)], np.arange(1, BINS) / BINS, method="inverted_cdf")
    )
    edges = edges[edges < np.nanmax(values)]
    return edges, np.searchsorted(edges, values)


def boosted(
    table: np.ndarray, categories: list[int], place: int, label: np.ndarray, cells: np.ndarray
) -> np.ndarray:
    """log p of every removed cell's label, by trees that saw the rows where it is left."""
    others = [i for i in range(table.shape[1]) if i != place]
    left = ~np.isnan(table[:, place])
    marked = [k for k, i in enumerate(others) if i in categories]
    levels, counts = np.unique(label[left], return_counts=True)
    rising = counts.argsort()
    few = levels[rising][
        np.append(0, counts[rising].cumsum()[:-1]) < FEW * (counts.min() < FEW)
    ]  # one class together
    trees = HistGradientBoostingClassifier(categorical_features=marked or None, random_state=0)
    trees.fit(table[left][:, others], np.where(np.isin(label[left], few), -1, label[left]))
    chances = trees.predict_proba(table[cells][:, others])
    at = {level: k for k, level in enumerate(trees.classes_)}
    known = np.array([at.get(-1 if level in few else level, -1) for level in label[cells]])
    found = np.where(known < 0, 0.0, chances[np.arange(len(known)), known]) / np.where(
        np.isin(label[cells], few), len(few), 1
    )
    return np.log(found.clip(1e-6))


def told(run: Run, rows: pd.DataFrame, name: str) -> Any:
    """The outcome of a column given the rest of each row, and that it is no hole."""
    events, place = run.format.questions(rows), run.names.index(name)
    noise = generator_for(torch.device("cpu"), 0, 24)
    found = query(run.model, Evidence(events.codes, events.observed), place, noise, 1000).outcome
    return without_hole(run.model.schema.kinds[place], found)


def shares(run: Run, rows: pd.DataFrame, name: str, edges: np.ndarray) -> np.ndarray:
    """The probability of each bin of a number, (rows, bins)."""
    place = run.names.index(name)
    found = outcome_cdf(run.model.schema.kinds[place], told(run, rows, name))
    start, end = run.format.variables[place].in_units(np.array([0.0, 1.0]))
    at = [found.below(np.full(len(rows), (edge - start) / (end - start))) for edge in edges]
    return np.diff(np.stack([np.zeros(len(rows)), *at, np.ones(len(rows))], 1), axis=1)


def category(
    run: Run, whole: pd.DataFrame, holed: pd.DataFrame, name: str, cells: np.ndarray
) -> tuple[float, float, float]:
    """log loss, share right, and share right of the most frequent level."""
    place, truth = run.names.index(name), whole.loc[cells, name]
    outcome = told(run, holed[cells], name)
    events = run.format.questions(holed[cells].assign(**{name: truth}))
    codes, inside = events.codes[:, place].float(), run.format.log_within(events)[:, place]
    loss = -float((outcome.log_prob(codes) + inside).mean())
    kind = run.model.schema.kinds[place]
    own = (outcome.mode() == codes) & (
        codes < kind.regular - bool(kind.rare)
    )  # rare levels share a code
    return loss, float(own.float().mean()), float((truth == holed[name].mode()[0]).mean())


def report(run: Run, whole: pd.DataFrame, gone: np.ndarray) -> None:
    holed = whole.mask(gone)
    (table,), categories = encode([holed])
    (full,), _ = encode([whole])
    filled = IterativeImputer(random_state=0).fit_transform(table)
    print(
        "| column | cells | log loss | boosted | right | frequent | MAE | iterative | PIT | 90 % |\n|---|---:|"
        + "---:|" * 8
    )
    sums = np.zeros(3)
    for place, name in enumerate(whole):
        if name not in run.names:
            continue
        cells = gone[:, place]
        if place in categories:
            label = full[:, place]
            loss, right, frequent = category(run, whole, holed, name, cells)
            ours, theirs = ["", ""], [f"{right:.3f}", f"{frequent:.3f}", "", ""]
        else:
            edges, label = binned(full[:, place])
            chances = shares(run, holed[cells], name, edges)
            loss = -np.log(chances[np.arange(cells.sum()), label[cells]].clip(1e-6)).mean()
            asked = holed[cells].assign(**{name: whole.loc[cells, name]})
            found = run.regress(asked, name).to_json()
            iterative = np.abs(filled[cells, place] - full[cells, place]).mean()
            theirs = ["", "", f"{found['mean_absolute_error']:.4g}", f"{iterative:.4g}"]
            ours = [f"{found['pit_p_value']:.2g}", f"{found['interval_90']:.3f}"]
        trees = -boosted(table, categories, place, label, cells).mean()
        sums += np.array([loss, trees, 1]) * cells.sum()
        print(
            "| "
            + " | ".join([name, f"{cells.sum():,}", f"{loss:.4f}", f"{trees:.4f}", *theirs, *ours])
            + " |",
            flush=True,
        )
    print(
        f"| all | {sums[2]:,.0f} | {sums[0] / sums[2]:.4f} | {sums[1] / sums[2]:.4f} | | | | | | |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--model")
    parser.add_argument("--run", type=Path, help="of an earlier time, instead of a fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    whole = pd.read_csv(given.table)
    gone = removed(whole, given.share, given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "holed.csv"
    frame = pd.read_csv(given.table, dtype=str, keep_default_na=False)
    frame.mask(gone, "").to_csv(path, index=False)
    settings = numbers(given.set)
    if given.run:
        run = plausibly.open(given.run)
    else:
        run = plausibly.fit(
            path,
            given.model,
            seed=given.seed,
            set=settings,
            out=given.out / "run",
            listener=Listener(print),
        )
    report(run, whole, gone)


if __name__ == "__main__":
    main()
