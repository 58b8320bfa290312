"""Attacks all that is written and opened, and prints what held as a table.

python -m benchmarks.attack [--seed 0] [--share 1] [--only KIND] [--jobs 2]: mutations of files, crash points, kills, pairs
of jobs, limits, hostile names, files that are read. A line that failed is repeated by `--only KIND/NAME --number N` with
the same seed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from math import ceil
from multiprocessing import get_context
from random import Random

from benchmarks.attack import crashes, limits, mutations, names, pairs, readers, stage
from benchmarks.attack.verdicts import FAILURES, Attack, Verdict

KINDS = (mutations, crashes, pairs, limits, names, readers)
Try = tuple[int, int, int]  # seed, attack, number
ATTACKS: list[Attack] = []


def chosen(seed: int, share: float, only: str, number: int | None) -> list[Try]:
    """The tries of a share of the attacks: of each kind that share, at least one."""
    kinds: dict[str, list[Try]] = {}
    for place, attack in enumerate(ATTACKS):
        name = f"{attack.kind}/{attack.name}"
        if name.startswith(only) if number is None else name == only:
            numbers = range(attack.tries) if number is None else [number]
            kinds.setdefault(attack.kind, []).extend((seed, place, each) for each in numbers)
    order = Random(f"order {seed}")
    return [
        each for tries in kinds.values() for each in order.sample(tries, ceil(share * len(tries)))
    ]


def attempt(one: Try) -> tuple[Try, Verdict]:
    seed, place, number = one
    attack = ATTACKS[place]
    try:
        return one, attack.attempt(Random(f"{seed} {attack.kind} {attack.name} {number}"), number)
    except Exception as error:
        return one, Verdict("died", f"the attack itself: {type(error).__name__}: {error}")


def show(found: list[tuple[Try, Verdict]]) -> None:
    """A row for each kind, and a line for each try that failed."""
    counts: dict[str, Counter[str]] = {}
    for (_, place, _), verdict in found:
        counts.setdefault(ATTACKS[place].kind, Counter())[verdict.word] += 1
    print(f"| attack | tried | held | refused in one line | {' | '.join(FAILURES)} |")
    print(f"|---|{'---:|' * (3 + len(FAILURES))}")
    counts["all"] = sum(counts.values(), Counter())
    for kind, count in counts.items():
        cells = [count.total(), *(count[word] for word in ("held", "refused", *FAILURES))]
        print(f"| {kind} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    for (seed, place, number), verdict in found:
        if verdict.failed:
            attack = ATTACKS[place]
            print(
                f"- {verdict.word}: --seed {seed} --only '{attack.kind}/{attack.name}' --number {number}: {verdict.told}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", default="", metavar="KIND")
    parser.add_argument("--number", type=int)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    try:
        stage.prepare()
        ATTACKS.extend(attack for kind in KINDS for attack in kind.attacks())
        tries = chosen(asked.seed, asked.share, asked.only, asked.number)
        with get_context("fork").Pool(asked.jobs) as pool:
            found = sorted(pool.imap_unordered(attempt, tries))
    finally:
        shutil.rmtree(stage.KIT.parent, ignore_errors=True)
    show(found)
    sys.exit(any(verdict.failed for _, verdict in found))


if __name__ == "__main__":
    main()
