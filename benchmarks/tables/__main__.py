"""How good the default is on tables: everything against rows that neither training nor choice saw.

python -m benchmarks.tables --data FOLDER --out FOLDER [--budget 120s] [--only titanic,penguins] [--scripted 10]
                            [--parts auc,trees] [--seed S] [--jobs 2]

Every fit is `plausibly fit FILE --budget B` in a process of its own, with one thread, and its seconds are those of the
whole command. Scripted tables have the seeds S, S + 1, ...; without --seed a new one is drawn, and told. What OUT has
already is not measured again: the same command goes on with a job that was stopped. Parts:

    auc         a judge tells samples from fresh rows; .5 is perfect, on either side
    one_tree, trees, tvae    the same of sequential trees, one or 30 a column, and of ctgan's TVAE
    rules       which rules of a scripted table give its samples away
    copies      whether samples are nearer to training rows than fresh rows are, and repeat them
    columns     the worst column's distance, by that of an independent draw
    prediction  a natural target, against histogram gradient boosting
    families    log p against each named family with the same budget
    pit         the PIT of numbers, 30 % of adult's cells removed
    planted     rows of a scripted table that cannot be, within the first 2 % of fresh rows
    large       memory and time of a forest on a million rows, the table `large`
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.tables.fits import Work
from benchmarks.tables.jobs import PARTS, Job
from benchmarks.tables.lines import Lines, markdown
from benchmarks.tables.sources import LARGE, SCRIPTED, find_tables
from plausibly.cli.options import parse_seconds


def settled(out: Path, budget: float, seed: int | None) -> int:
    """The seed of a job, which is kept in its folder with its budget; a folder is of one of each."""
    file = out / "settings.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    seed = kept.get("seed", secrets.randbelow(10**6)) if seed is None else seed
    settings = {"budget": budget, "seed": seed}
    if kept not in ({}, settings):
        sys.exit(f"{out} is of {kept}, not of {settings}: name another --out")
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings))
    return seed


def heading_of(part: str) -> str:
    """The part whose table holds the lines of this one."""
    return "auc" if part in ("one_tree", "trees", "tvae") else part


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--only")
    parser.add_argument("--scripted", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2))
    given = parser.parse_args()
    if unknown := set(given.parts.split(",")) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}")
    return given


def main() -> None:
    given = parse()
    budget = parse_seconds(given.budget)
    assert budget is not None
    seed = settled(given.out, budget, given.seed)
    print(f"seed {seed}, budget {budget:g} s", flush=True)
    tables = [*(find_tables(given.data) if given.data else []), LARGE]
    if given.only is not None:
        tables = [name for name in tables if name in given.only.split(",")]
    tables += [f"{SCRIPTED}{seed + k}" for k in range(given.scripted)]
    work = Work(given.out, budget, seed)
    jobs = [Job(name, given.parts.split(","), given.data, work) for name in tables]
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        failed = [told for each in pool.map(Job.run, jobs) for told in each]
    lines = Lines(given.out / "lines.jsonl").read()
    for heading in dict.fromkeys(map(heading_of, PARTS)):
        if found := [line for line in lines if heading_of(line["part"]) == heading]:
            found.sort(key=lambda line: str(line["table"]))
            print(f"\n{heading}\n\n{markdown(found)}")
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__":
    main()
