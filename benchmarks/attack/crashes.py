"""A job is killed before its changes to files, or at any time, and gone on with as it says: the result is the same."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from random import Random

from benchmarks.attack.changes import dying_before
from benchmarks.attack.commands import Ended, ended, start
from benchmarks.attack.stage import (
    JOBS,
    Job,
    changes_of,
    copied,
    left_in,
    result_of,
    seconds_of,
    undisturbed,
)
from benchmarks.attack.verdicts import HELD, Attack, Verdict

ADVICE = 4  # lines of it that are followed
POINTS = 40  # of each job, of all its changes


def crash(job: Job, random: Random, number: int) -> Verdict:
    """Killed before one of its changes; the tries of a job are spread over them."""
    changes = changes_of(job)
    stride = max(1, changes // POINTS)
    change = (number * stride + random.randrange(stride)) % changes
    with copied() as folder:
        ended(job.line(), folder, dying_before(change))
        return gone_on(job, folder).saying(f"killed before change {change} of {changes}")


def interrupt(job: Job, random: Random, number: int) -> Verdict:
    """A signal at any time, in the same folder up to three times."""
    which = random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    words, told = job.line(), []
    with copied() as folder:
        for _ in range(random.randint(1, 3)):
            wait = random.random() * seconds_of(job)
            running = start(words, folder)
            time.sleep(wait)
            os.kill(running.process, which)
            found = running.end()
            told.append(f"{which.name} after {wait:.2f} s")
            if found.status not in (-which, 0) and (fault := found.fault):
                return Verdict("traceback", f"{'; '.join(told)}: {fault}")
            if (
                which == signal.SIGINT
                and found.status == 130
                and ".draft" in (left_in(folder) or "")
            ):
                return Verdict("left behind", f"{'; '.join(told)}: {left_in(folder)}")
            words = advised(found.err) or words
        return gone_on(job, folder, words).saying("; ".join(told))


def gone_on(job: Job, folder: Path, words: list[str] | None = None) -> Verdict:
    """The same command again, and then what each one says, until one is done."""
    words = words or job.line()
    for _ in range(ADVICE):
        found = ended(words, folder)
        if found.fault:
            return Verdict.of_fault(found)
        if found.status == 0 or "is finished: nothing is left to do" in found.err:
            return compared(job, folder, found)
        advice = advised(found.err)
        if removed := re.search(r"\bremove (\S+?),? ", found.err):
            shutil.rmtree(folder / removed[1])
        elif not advice:
            return Verdict("advice", f"none in: {found.last_line}")
        words = advice or words
    return Verdict("advice", f"does not end: {found.last_line}")


def advised(err: str) -> list[str] | None:
    """The command that a message says to give."""
    found = re.findall(r"plausibly ((?:fit|compare) --resume [^`\n]+)", err)
    return [*shlex.split(found[-1]), "--quiet"] if found else None


def compared(job: Job, folder: Path, found: Ended, seed: int = 0) -> Verdict:
    """Whether the result is that of the undisturbed job, and nothing else is left."""
    if result_of(job, folder, found) != undisturbed(job, seed):
        return Verdict("silent change", "another result than undisturbed")
    left = left_in(folder)
    return Verdict("left behind", left) if left else HELD


def attacks() -> list[Attack]:
    crashing = [
        Attack("crash point", name, POINTS, lambda r, n, job=job: crash(job, r, n))
        for name, job in JOBS.items()
    ]
    killing = [
        Attack("kill", name, 12, lambda r, n, job=job: interrupt(job, r, n))
        for name, job in JOBS.items()
    ]
    return crashing + killing
