"""Rows a second into bytes and out of them, on one thread: python -m benchmarks.compression RUN DATA [--rows N]

Reading, scoring, verifying and writing are not counted. Medians of three turns, encoding and decoding one after the other.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from plausibly.jobs.blocks import ROWS_PER_BLOCK, decode_block, encode_block
from plausibly.runs.run import Run
from plausibly.system.threads import one_thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=10_000)
    asked = parser.parse_args()
    run = Run.open(asked.run)
    events = run.events(asked.data)[: asked.rows]
    starts = range(0, len(events), ROWS_PER_BLOCK)
    parts = [events[start : start + ROWS_PER_BLOCK] for start in starts]
    times: dict[str, list[float]] = {"encoded": [], "decoded": []}
    with one_thread():
        encode_block(run, parts[0], 0)  # compiles what is compiled
        for _ in range(3):
            began = time.perf_counter()
            coded = [encode_block(run, *each) for each in zip(parts, starts, strict=True)]
            times["encoded"].append(time.perf_counter() - began)
            began = time.perf_counter()
            for block, part, start in zip(coded, parts, starts, strict=True):
                decode_block(run, block, len(part), start)
            times["decoded"].append(time.perf_counter() - began)
    for name, seconds in times.items():
        print(
            f"{len(events) / median(seconds):,.0f} rows a second {name}, {run.model.schema.size} variables"
        )


if __name__ == "__main__":
    main()
