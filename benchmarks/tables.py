"""How close samples of a table are to its rows, judged by scikit-learn and SciPy alone.

python -m benchmarks.tables --data FOLDER [--only adult,titanic] [--models deepnade,chow_liu] [--seed 0] [--set hidden=256]
FOLDER holds NAME.csv.gz; of adult, adult_train and adult_test. Without --models the default of `fit` is taken, and
the baselines mixture, chow_liu and independent. Columns:

    AUC         of histogram gradient boosting that tells samples from as many rows, 5 folds; 0.5 is perfect
    distance    worst over columns of Kolmogorov-Smirnov (numbers) or total variation (categories) between a half of the
                real rows and as many samples, by that between two halves, means of 20: 1 is as good as real rows
    copies      share of samples equal to a training row, and of test rows
    synthetic   ROC AUC on adult_test of the same trees that predict income, learned from samples: mean of three, and real
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import plausibly
from benchmarks.large import numbers
from plausibly.runs.run import Run

SETS = (
    "adult",
    "california_housing",
    "diamonds",
    "r_credit_data",
    "r_lending_club",
    "titanic",
    "penguins",
    "r_flights",
)
HALVES = 20
BASELINES = ("mixture", "chow_liu", "independent")


def encoded(frames: list[pd.DataFrame]) -> tuple[list[np.ndarray], list[int]]:
    """The frames as numbers, holes NaN, texts by their rank among the 254 most frequent; and which columns are categories."""
    whole = pd.concat(frames, ignore_index=True)
    columns, categories = [], []
    for place, name in enumerate(whole):
        column = whole[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns.append(column.to_numpy(float, na_value=np.nan))
            continue
        frequent = column.value_counts().index[:254]
        codes = column.map({level: code for code, level in enumerate(frequent)}).to_numpy(float)
        columns.append(np.where(column.isna(), np.nan, np.where(np.isnan(codes), 254, codes)))
        categories.append(place)
    table = np.stack(columns, 1)
    return np.split(table, np.cumsum([len(frame) for frame in frames])[:-1]), categories


def trees(categories: list[int]) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        early_stopping=False, categorical_features=categories or None, random_state=0
    )


def told(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """AUC of a judge on folds that it has not seen. Rows are shuffled by other seeds than folds, which would undo it."""
    n = min(len(real), len(made))
    parts, categories = encoded([real.sample(n, random_state=1), made.sample(n, random_state=2)])
    x, y = np.concatenate(parts), np.repeat([1, 0], n)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(
        roc_auc_score(
            y, cross_val_predict(trees(categories), x, y, cv=folds, method="decision_function")
        )
    )


def distance(a: np.ndarray, b: np.ndarray, category: bool) -> float:
    if not category:
        return float(ks_2samp(a[~np.isnan(a)], b[~np.isnan(b)]).statistic) if len(a) else 0.0
    values = np.union1d(a, b)
    shares = [
        np.array([(np.isnan(v) & np.isnan(x) | (x == v)).mean() for v in values]) for x in (a, b)
    ]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


def worst_distance(real: pd.DataFrame, made: pd.DataFrame) -> tuple[float, str]:
    """Over columns, the mean distance of samples to a half of the rows by the mean that random halves have; and the column.

    `made` holds HALVES times as many samples as a half has rows.
    """
    n, ratios = len(real) // 2, {}
    shuffles = [real.sample(frac=1, random_state=seed) for seed in range(HALVES)]
    draws = [made.iloc[k * n : (k + 1) * n] for k in range(HALVES)]
    parts, categories = encoded(
        [*draws, *(half for s in shuffles for half in (s.head(n), s.tail(n)))]
    )
    for i, name in enumerate(real):
        columns = [part[:, i] for part in parts]
        samples, heads, tails = columns[:HALVES], columns[HALVES::2], columns[HALVES + 1 :: 2]
        own, between = (
            np.mean([distance(a, b, i in categories) for a, b in zip(side, heads, strict=True)])
            for side in (samples, tails)
        )
        ratios[name] = float(own / max(between, 1e-9))
    worst = max(ratios, key=lambda name: ratios[name])
    return ratios[worst], worst


def copies(rows: pd.DataFrame, train: pd.DataFrame) -> float:
    known = set(map(tuple, train.astype(str).to_numpy()))
    return float(np.mean([row in known for row in map(tuple, rows.astype(str).to_numpy())]))


def learned(train: pd.DataFrame, test: pd.DataFrame, target: str) -> float:
    """ROC AUC on real test rows."""
    (a, b), categories = encoded([train.drop(columns=target), test.drop(columns=target)])
    labels = sorted(test[target].unique())
    scores = trees(categories).fit(a, train[target] == labels[1]).predict_proba(b)[:, 1]
    return float(roc_auc_score(test[target] == labels[1], scores))


def delayed(flights: pd.DataFrame) -> float:
    """Share of flights that left whose dep_delay is dep_time - sched_dep_time, clock times as hhmm, up to whole days."""
    left = flights.dropna(subset=["dep_time", "sched_dep_time", "dep_delay"])
    minutes = {
        name: left[name] // 100 * 60 + left[name] % 100 for name in ("dep_time", "sched_dep_time")
    }
    return float(
        ((minutes["dep_time"] - minutes["sched_dep_time"] - left["dep_delay"]) % 1440 == 0).mean()
    )


def modelled(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns that the model has: ids and constants are no feat."""
    return rows[[name for name in rows if name in run.names]]


def row(name: str, model: str | None, folder: Path, seed: int, settings: dict[str, Any]) -> str:
    path = folder / ("adult_train.csv.gz" if name == "adult" else f"{name}.csv.gz")
    with tempfile.TemporaryDirectory() as out:
        run = plausibly.fit(str(path), model, seed=seed, set=settings, out=Path(out) / "run")
        real = modelled(run, pd.read_csv(path))
        made = [
            modelled(run, run.sample(len(real), seed=1 + k))
            for k in range(3 if name == "adult" else 1)
        ]
        many = modelled(run, run.sample(HALVES * (len(real) // 2), seed=9))
    ratio, column = worst_distance(real, many)
    figures = [f"{told(real, made[0]):.3f}", f"{ratio:.2f} ({column})"]
    if name == "adult":
        test = modelled(run, pd.read_csv(folder / "adult_test.csv.gz"))
        figures[0] += f" train, {told(test, made[0]):.3f} test"
        synthetic = np.mean([learned(each, test, "income") for each in made])
        figures += [f"{copies(made[0], real):.4f} ({copies(test, real):.4f})"]
        figures += [f"{synthetic:.4f} ({learned(real, test, 'income'):.4f})"]
    if name == "r_flights":
        figures += [
            f"dep_delay holds in {delayed(made[0]):.4f} of samples, {delayed(real):.4f} of rows"
        ]
    found = run.record
    nats = f"{found.test.sign} {found.test.value:.3f}" if found.test else ""
    return "| " + " | ".join([name, found.model, nats, *figures, f"{found.seconds:.0f} s"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--models", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = numbers(given.set)
    models = given.models.split(",") if given.models else [None, *BASELINES]
    print(
        "| set | model | nats per row | AUC | distance | copies | synthetic | fit |\n|---|---|---:|---|---|---|---|---:|"
    )
    for name in given.only.split(","):
        for model in models:
            print(row(name, model, given.data, given.seed, settings), flush=True)


if __name__ == "__main__":
    main()
