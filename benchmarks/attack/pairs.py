"""Two jobs at once on one output: it is the result of one of them, whole, and who comes too late says so."""

from __future__ import annotations

import time
from random import Random

from benchmarks.attack.commands import start
from benchmarks.attack.stage import JOBS, Job, copied, left_in, result_of, seconds_of, undisturbed
from benchmarks.attack.verdicts import HELD, REFUSED, Attack, Verdict

PAIRED = ("fit", "fit, the best", "compare", "sample", "impute", "compress", "decompress")


def at_once(job: Job, random: Random) -> Verdict:
    """The job twice, with two seeds, the second one somewhere in the middle of the first."""
    wait = random.choice([0, 0, random.random()]) * seconds_of(job)
    with copied() as folder:
        first = start(job.line(seed=0), folder)
        time.sleep(wait)
        second = start(job.line(seed=1), folder)
        found = [first.end(), second.end()]
        told = f"the second after {wait:.2f} s"
        for each in found:
            if each.fault:
                return Verdict.of_fault(each).saying(told)
        done = [seed for seed, each in enumerate(found) if each.status == 0]
        if left := left_in(folder):
            return Verdict("left behind", left).saying(told)
        if not any(result_of(job, folder, found[seed]) == undisturbed(job, seed) for seed in done):
            return Verdict("mixed", f"{len(done)} of 2 say that they are done").saying(told)
        return HELD if len(done) == 2 else REFUSED


def attacks() -> list[Attack]:
    return [
        Attack("two jobs at once", name, 15, lambda r, n, job=JOBS[name]: at_once(job, r))
        for name in PAIRED
    ]
