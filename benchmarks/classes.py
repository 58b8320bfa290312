"""Digits three ways: class-conditional densities, read by Bayes' rule, beside the discriminative direction.

python -m benchmarks.classes [--data digits] [--out FOLDER]
p(x | label) by MADE, mixtures, trees and independent pixels with p(label) kept from training; p(label | x) by the same MADE
and NADE with the label last. All defaults, one split, scored once on its test rows.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import plausibly

GENERATIVE, DISCRIMINATIVE = {"context": ["label"]}, {"event": ["label"], "context": ["rest"]}
WAYS = [
    ("p(x given label)", GENERATIVE, ("made", "mixture", "chow_liu", "independent")),
    ("p(label given x)", DISCRIMINATIVE, ("made", "nade")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.out or Path(tempfile.mkdtemp())
    print(
        "| model | learned | log p of its own event, nats | accuracy | log loss, nats | calibration error | fit |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    for learned, way, models in WAYS:
        for name in models:
            run = plausibly.fit(given.data, name, out=folder / f"{name}-{learned[2]}", **way)
            found, test = run.classify(f"{given.data}:test").to_json(), run.test()
            assert test is not None
            accuracy, loss = (
                f"{found[k]:.3f} ± {found[k + '_error']:.3f}" for k in ("accuracy", "log_loss")
            )
            own = f"{test.sign} {test.value:.3f} ± {test.standard_error:.3f}"
            cells = [
                name,
                learned,
                own,
                accuracy,
                loss,
                f"{found['calibration_error']:.3f}",
                f"{run.record.seconds:.0f} s",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
