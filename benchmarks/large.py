"""A large table made by a seed, and what fitting, sampling and scoring of it take: time, rows a second, peak memory.

python -m benchmarks.large make orders.parquet [--rows 10000000]
python -m benchmarks.large measure orders.parquet --out FOLDER [--model chow_liu] [--set train.epochs=1]

The table has 20 columns of mixed types that depend on each other: a running number, whole numbers, amounts in cents,
categories of 4 to 5,000 levels, days, seconds, truths, and holes. `measure` runs each command in a process of its own and
prints a line for each: memory is the process's peak above that of one that only imports (resident bytes, MiB).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

AT_ONCE = 500_000  # rows of a row group
SEED = 20
COUNTRIES = np.array(
    [f"{first}{second}" for first in "ABCDEFGHIJ" for second in "NORTU"], dtype=object
)
PRODUCTS = np.array([f"P-{number:05d}" for number in range(5000)], dtype=object)
STATUS = np.array(["delivered", "shipped", "open", "cancelled"], dtype=object)
CHANNELS = np.array(["shop", "web", "phone"], dtype=object)
WAREHOUSES = np.array([f"W{number:03d}" for number in range(300)], dtype=object)
START = np.datetime64("2022-01-01")


def chunk(first: int, rows: int, seed: int = SEED) -> Any:
    """The rows from `first` on, as a DataFrame."""
    import pandas as pd

    draw = np.random.default_rng((seed, first))
    country = (draw.pareto(1.2, rows) * 3).astype(int) % len(COUNTRIES)
    product = (draw.pareto(0.9, rows) * 40).astype(int) % len(PRODUCTS)
    channel = (draw.random(rows) < 0.4 + 0.3 * (country % 2)).astype(int) + (
        draw.random(rows) < 0.05
    )
    quantity = draw.geometric(0.5 - 0.05 * channel)
    price = np.round(np.exp(draw.normal(1.5 + product % 60 / 20, 0.3)), 2)
    discount = np.where(draw.random(rows) < 0.2, draw.integers(1, 6, rows) * 5, 0)
    total = np.round(price * quantity * (100 - discount)) / 100
    second = draw.integers(0, 3 * 365 * 86_400, rows)
    late = draw.geometric(0.3, rows) + country % 5
    cancelled = draw.random(rows) < 0.03 + 0.05 * (late > 7)
    status = np.where(cancelled, 3, np.minimum(draw.geometric(0.7, rows) - 1, 2))
    age = np.clip(draw.normal(35 + 10 * (channel == 0), 13, rows), 16, 99).astype(int)
    columns = {
        "order_id": np.arange(first + 1, first + rows + 1),
        "country": COUNTRIES[country],
        "warehouse": WAREHOUSES[(country * 6 + draw.integers(0, 6, rows)) % len(WAREHOUSES)],
        "product": PRODUCTS[product],
        "group": product % 60,
        "channel": CHANNELS[channel],
        "quantity": quantity,
        "price": price,
        "discount": discount,
        "total": total,
        "tax": np.round(total * (0.07 + 0.02 * (country % 7)), 2),
        "ordered": (START + second.astype("timedelta64[s]")).astype("datetime64[s]"),
        "due": (START + (second // 86_400 + late).astype("timedelta64[D]")).astype("datetime64[s]"),
        "late": late,
        "status": STATUS[status],
        "returned": (status == 0) & (draw.random(rows) < 0.04 + 0.002 * discount),
        "gift": draw.random(rows) < 0.1,
        "member": pd.array(draw.random(rows) < age / 150, dtype="boolean"),
        "age": pd.array(age, dtype="Int64"),
        "rating": pd.array(
            np.clip(draw.normal(4.3 - 0.2 * late, 1, rows), 1, 5).round().astype(int), dtype="Int64"
        ),
    }
    frame = pd.DataFrame(columns)
    frame.loc[draw.random(rows) < 0.15, ["member", "age"]] = pd.NA
    frame.loc[draw.random(rows) < 0.6, "rating"] = pd.NA
    frame.loc[frame["status"] == "open", "due"] = pd.NaT
    return frame


def make(path: Path, rows: int, seed: int = SEED) -> None:
    """Writes so many rows as a .parquet or .csv file, a piece at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    starts = range(0, rows, AT_ONCE)
    frames = (chunk(first, min(AT_ONCE, rows - first), seed) for first in starts)
    if path.suffix == ".csv":
        for place, frame in enumerate(frames):
            frame.to_csv(path, index=False, header=not place, mode="a" if place else "w")
        return
    writer = None
    for frame in frames:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


STEPS = {
    "import": "import plausibly",
    "fit": "plausibly.fit({path!r}, {model!r}, set={settings!r}, out={run!r}, listener=Listener(print))",
    "sample": "bulk.sample_to(plausibly.open({run!r}), Path({out!r} + '/samples.parquet'), {rows})",
    "score": "bulk.score_to(plausibly.open({run!r}), {path!r}, Path({out!r} + '/scores.parquet'))",
}
AROUND = """
import resource, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import plausibly
import plausibly.evaluation.abilities
from plausibly.jobs import files as bulk
from plausibly.fitting.settings import Listener
started = time.monotonic()
{work}
print("SECONDS", time.monotonic() - started, "PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measured(work: str) -> tuple[float, float]:
    """Seconds, and peak resident MiB, of a process that does this, one statement, after its imports."""
    done = subprocess.run(
        [sys.executable, "-c", AROUND.format(work=work)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    print("\n".join(f"    {line}" for line in lines), end="\n" * bool(lines), flush=True)
    _, seconds, _, peak = last.split()
    return float(seconds), float(peak) / 1024


def measure(path: Path, out: Path, model: str, settings: dict[str, Any], only: list[str]) -> None:
    """Prints a line for each command: its time, rows a second, and memory above that of one that only imports."""
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(path).metadata.num_rows
    words = {
        "path": str(path),
        "model": model,
        "settings": settings,
        "run": str(out / "run"),
        "out": str(out),
    }
    _, base = measured(STEPS["import"])
    for name in only:
        seconds, peak = measured(STEPS[name].format(**words, rows=rows))
        speed, above = (
            f"{rows:,} rows in {seconds:,.0f} s, {rows / seconds:,.0f} rows/s",
            f"{peak - base:,.0f} MiB",
        )
        print(f"{name} {model}: {speed}, {above} above the import's {base:,.0f}", flush=True)


def numbers(words: list[str]) -> dict[str, Any]:
    """The settings that KEY=NUMBER words say."""
    return {
        key: float(value) if "." in value else int(value)
        for key, value in (word.split("=") for word in words)
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("make", "measure"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="chow_liu")
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--only", default="fit,sample,score")
    given = parser.parse_args()
    if given.command == "make":
        make(given.path, given.rows)
        return
    settings = numbers(given.set)
    measure(
        given.path, given.out or given.path.parent, given.model, settings, given.only.split(",")
    )


if __name__ == "__main__":
    main()
