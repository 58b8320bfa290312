"""How long starting takes: importing the package against importing torch, and showing help.

python -m benchmarks.startup [--rounds 7]: medians of whole processes, interleaved in one run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import plausibly": [sys.executable, "-c", "import plausibly"],
    "plausibly.fit, Run and load, all imported": [
        sys.executable,
        "-c",
        "from plausibly import fit, compare, Run, load",
    ],
    "plausibly --help": [sys.executable, "-m", "plausibly.cli", "--help"],
    "plausibly fit --help": [sys.executable, "-m", "plausibly.cli", "fit", "--help"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():
        seconds(command)
    taken = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(rounds)]
    print(
        f"| command | median s | / import torch |\n|---|---|---|  <!-- {rounds} rounds, interleaved -->"
    )
    for name in COMMANDS:
        ratio = median(one[name] / one["import torch"] for one in taken)
        print(f"| {name} | {median(one[name] for one in taken):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
