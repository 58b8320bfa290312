"""Too little memory, and disks that are full: one line, nothing half-written, and the earlier file as it was."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.attack.commands import ended
from benchmarks.attack.crashes import gone_on
from benchmarks.attack.stage import FILES, FITS, JOBS, Job, copied, left_in, result_of, undisturbed
from benchmarks.attack.verdicts import HELD, REFUSED, Attack, Verdict

EARLIER = b"what was there before"


def with_memory(more: int) -> Callable[[], None]:
    """So many bytes more than the process has."""

    def limit() -> None:
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + more, has + more))

    return limit


def with_files(size: int) -> Callable[[], None]:
    """No file of more bytes, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def limited(job: Job, prepare: Callable[[], None], told: str) -> Verdict:
    """A job under a limit: it is done, or nothing has happened, or what has happened is gone on with."""
    with copied() as folder:
        out, existing = (
            folder / job.result,
            not (folder / job.result).exists() and "." in job.result,
        )
        if existing:
            out.write_bytes(EARLIER)
        found = ended(job.line(), folder, prepare)
        if found.fault:
            return Verdict.of_fault(found).saying(told)
        if found.status == 0:
            same = result_of(job, folder, found) == undisturbed(job)
            return (
                HELD if same else Verdict("silent change", f"{told}: done, but with another result")
            )
        if existing and out.read_bytes() != EARLIER:
            return Verdict("mixed", f"{told}: the earlier file is not as it was; {found.last_line}")
        if (left := left_in(folder)) and "draft" in left:
            return Verdict("left behind", left).saying(told)
        after = gone_on(job, folder)
        return after.saying(f"{told}, then without") if after.failed else REFUSED


def on_memory(job: Job, random: Random) -> Verdict:
    more = int(2 ** random.uniform(20, 28))
    return limited(job, with_memory(more), f"{more >> 10:,} KiB of memory more")


def on_files(job: Job, random: Random) -> Verdict:
    size = int(2 ** random.uniform(0, 16))
    return limited(job, with_files(size), f"files of {size:,} bytes at most")


def on_full_disk(job: Job, random: Random) -> Verdict:
    """What is written goes to a device that is always full."""
    with copied() as folder:
        found = ended([word if word != job.result else "/dev/full" for word in job.line()], folder)
        if found.fault:
            return Verdict.of_fault(found)
        return (
            Verdict("silent change", "done, though nothing was written")
            if found.status == 0
            else REFUSED
        )


def attacks() -> list[Attack]:
    return [
        *(
            Attack("limit of memory", name, 15, lambda r, n, job=job: on_memory(job, r))
            for name, job in JOBS.items()
        ),
        *(
            Attack("limit of files", name, 15, lambda r, n, job=job: on_files(job, r))
            for name, job in (FITS | FILES).items()
        ),
        *(
            Attack(
                "limit of files",
                f"/dev/full, {name}",
                1,
                lambda r, n, job=FILES[name]: on_full_disk(job, r),
            )
            for name in ("compress",)
        ),
    ]
