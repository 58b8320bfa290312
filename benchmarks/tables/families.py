"""log p of the default against each named family with the same budget, on the held-out rows of the first split.

Every model with an exact log p is tried. `above` is the default's mean log p less the family's, nats a row, paired over
rows; the line marked best is of the family with the highest. A family that refuses the table says why.
"""

from __future__ import annotations

from collections.abc import Iterator

import plausibly
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table
from plausibly.capabilities import DensityModel
from plausibly.evaluation.likelihood.likelihood import likelihood_difference
from plausibly.models import MODELS


def measure_families(table: Table, work: Work) -> Iterator[Line]:
    split = table.splits[0]
    default, _ = work.fit(table, split.train)
    own = plausibly.open(default).evaluate(split.held_out)
    assert own is not None
    lines: list[Line] = []
    for name in [name for name, kind in MODELS.items() if issubclass(kind, DensityModel)]:
        try:
            run, cost = work.fit(table, split.train, name, ("--model", name))
            other = plausibly.open(run).evaluate(split.held_out)
        except RuntimeError as error:
            lines.append({"family": name, "refused": str(error).splitlines()[-1]})
            continue
        assert other is not None
        gap = likelihood_difference(own, other)
        about = {"above": gap.value, "error": gap.standard_error, "seconds": cost.seconds}
        lines.append({"family": name, "log p": other.value} | about)
    best = max((line["log p"] for line in lines if "log p" in line), default=None)
    for line in lines:
        yield line | ({"best": "best"} if line.get("log p") == best else {})
    yield {"family": "default", "log p": own.value, "error": own.standard_error}
