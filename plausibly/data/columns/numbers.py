"""Numbers as they are written: texts <-> whole numbers of steps of a power of ten, never through floats.

And what kind a column of numbers is: a `Grid` where nearly all of them are multiples of such a step, else `Real`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plausibly.events.kinds import Grid, Real

NUMBER = re.compile(r"\s*+([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?\s*", re.ASCII)
SCIENTIFIC_NUMBER = re.compile(r"-?\d\.(\d+)([eE])[+-]\d\d+", re.ASCII)
INFINITE_NUMBER = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
LEADING_ZERO = re.compile(r"-?0\d+")
MAX_STEPS = 2**53
MAX_REAL = 1e300  # of a real number: differences must not overflow
MAX_ATOMS = 256
MAX_BINS = 128
ROWS_PER_BIN = 20
MAX_REPEATS = 1024  # values without a code of their own, whose share of an interval is known
MIN_REPEAT_WEIGHT = 0.02  # below which all values of an interval are alike
MIXING_ROUNDS = 50
MIN_SHARE = 0.99
FEW_VALUES = 64
MANY_ROWS = 300
USUAL_DECIMALS = 6  # that are looked for in any column
MAX_DECIMALS = 15  # that are looked for where its numbers are exact enough

MAX_CHARACTERS = 3_000  # of a number; Python makes none of more than 4,300 digits

ExactNumber = tuple[int, int]  # digits and decimals: digits / 10^decimals


def parse_number(text: str) -> ExactNumber | None:
    """The number a text writes, without needless decimals; None where it writes none."""
    if len(text) > MAX_CHARACTERS:
        return None
    if text.isdecimal() and text.isascii():
        return int(text), 0
    found = NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    fraction = (found[3] or "").rstrip("0")
    digits = int(found[1] + (found[2] + fraction or "0"))
    decimals = len(fraction) - int(found[4] or 0)
    if found[4] is None:
        return digits, decimals
    while decimals > 0 and digits % 10 == 0:
        digits, decimals = digits // 10, decimals - 1 if digits else 0
    return (digits, decimals) if decimals >= 0 else (digits * 10**-decimals, 0)


def number_in_steps(number: ExactNumber | None, decimals: int) -> int | None:
    """The number in steps of 10^-decimals; None where it is no multiple or too large."""
    if number is None or number[1] > decimals:
        return None
    steps = number[0] * 10 ** (decimals - number[1])
    return steps if abs(steps) < MAX_STEPS else None


def format_number(steps: int, decimals: int, style: str) -> str:
    """The text of a number of steps. Styles: `fixed:K` decimals, `shortest`, `dotted` (at least one decimal)."""
    if not decimals and style in ("shortest", "fixed:0"):
        return str(steps)
    whole, fraction = divmod(abs(steps), 10**decimals)
    digits = str(fraction).zfill(decimals) if decimals else ""
    if style.startswith("fixed:"):
        digits = digits.ljust(int(style[6:]), "0")
    else:
        digits = digits.rstrip("0") or ("0" if style == "dotted" else "")
    return f"{'-' if steps < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def number_style(texts: list[str], counts: np.ndarray, units: list[int], decimals: int) -> str:
    """The style of a column's numbers: as most of its texts are printed, which are so many units of 10^-decimals."""
    places = Counter[int]()
    for text, count in zip(texts, counts.tolist(), strict=True):
        places[len(text.partition(".")[2])] += count
    fixed = [f"fixed:{place}" for place, _ in places.most_common(2)]
    styles = [*fixed, "shortest", "dotted"] if len(fixed) == 1 else ["shortest", "dotted", *fixed]
    alike = dict[str, int]()
    for style in styles:
        pairs = zip(texts, units, strict=True)
        printed = [format_number(unit, decimals, style) == text for text, unit in pairs]
        alike[style] = int(counts[printed].sum())
        if all(printed):
            break
    return max(alike, key=alike.__getitem__)


def style_of_reals(texts: list[str]) -> str:
    """The style of real numbers: `dotted`, `shortest`, or with K decimals and an exponent (`e:K`, `E:K`) as all are."""
    found = [SCIENTIFIC_NUMBER.fullmatch(text) for text in texts]
    alike = {(match[2], len(match[1])) if match else None for match in found}
    if len(alike) == 1 and (only := alike.pop()):
        return f"{only[0]}:{only[1]}"
    return "dotted" if all("." in text or "e" in text.lower() for text in texts) else "shortest"


def decimal_resolution(numbers: list[ExactNumber | None], counts: np.ndarray) -> int | None:
    """Decimals of the grid that nearly all numbers lie on, the finest that 2^53 steps can span, or None."""
    places = np.array([-1 if number is None else number[1] for number in numbers])
    counts = drop_dominant(numbers, counts)
    least = MIN_SHARE * counts[places >= 0].sum()
    for decimals in sorted({*places[places >= 0].tolist()}, reverse=True):
        if counts[(places >= 0) & (places <= decimals)].sum() < least:
            return None
        steps = [
            number_in_steps(number, decimals) if decimals <= 30 else None for number in numbers
        ]
        if counts[[step is not None for step in steps]].sum() >= least:
            return int(decimals)
    return None


def drop_dominant(numbers: Sequence[ExactNumber | None], counts: np.ndarray) -> np.ndarray:
    """The counts without those of one number that most of all are, unless all are, as `varying`."""
    totals = Counter[ExactNumber]()
    for number, count in zip(numbers, counts.tolist(), strict=True):
        if number is not None:
            totals[number] += count
    ((usual, most),) = totals.most_common(1) or [((0, 0), 0)]
    if len(totals) < 2 or 2 * most <= totals.total():
        return counts
    return np.where([number == usual for number in numbers], 0, counts)


def number_lattice(values: np.ndarray, counts: np.ndarray) -> tuple[int, int]:
    """The `step` and `start` with all whole numbers `values` among start, start + step, ...; 1 and 0 where few show it.

    What lies off a lattice is an open code's text, some 40 nats; what lies on it is log(step) nats more probable.
    """
    if len(values) <= FEW_VALUES or counts.sum() < MANY_ROWS:
        return 1, 0
    step = int(np.gcd.reduce(values - values[0]))
    return step, int(values[0]) % step


def learn_grid(values: np.ndarray, counts: np.ndarray, missing: bool) -> Grid:
    """The grid of whole numbers `values`, seen `counts` times each."""
    order = np.argsort(values)
    values = values[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    values, counts = (
        values[starts],
        np.add.reduceat(counts[order], starts),
    )  # 1 and 1.0 are different texts
    span = int(values[-1] - values[0])
    far = span / 10 + 1
    if len(values) > 32 and (len(values) > MAX_ATOMS or counts.sum() < 5 * len(values)):
        return _learn_wide_grid(values, counts, far, missing)
    ends = (int(values[0]), int(values[-1]) + 1)
    # values seen once teach the code of the gaps how often a new value turns up (Good & Turing)
    atoms = values[(counts > 1) | (len(values) <= 32)]
    return Grid(tuple(atoms.tolist()), ends, (far, far), open=True, missing=missing)


def _learn_wide_grid(values: np.ndarray, counts: np.ndarray, far: float, missing: bool) -> Grid:
    """The grid of many values, of which those that are seen often are atoms."""
    heavy = counts >= max(5.0, 0.005 * int(counts.sum()))
    atoms = values[heavy]
    rest = np.repeat(values[~heavy], counts[~heavy])
    edges = _quantile_edges(rest, atoms)
    low = edges[0] - 1 - rest[rest < edges[0]]
    high = rest[rest >= edges[-1]] - edges[-1]
    tails = _tail(low, far), _tail(high, far)
    ends = tuple(int(edge) for edge in edges)
    grid = Grid(tuple(atoms.tolist()), ends, tails, open=True, missing=missing)
    return _add_repeats(grid, values[~heavy], counts[~heavy])


def _add_repeats(grid: Grid, values: np.ndarray, counts: np.ndarray) -> Grid:
    """The grid with those of `values` that were seen more than once, all `counts` being of what is no atom.

    In its interval a value has a mixture of an even share and of its share of rows, by the weight that is likeliest when
    each row is told by the others.
    """
    inner = (values >= grid.edges[0]) & (values < grid.edges[-1])
    values, counts = values[inner], counts[inner]
    places = np.searchsorted(grid.edges, values, side="right")
    rows, even = np.bincount(places, counts)[places], np.exp(grid.log_within(values))
    weight = _weigh_shares(even, (counts - 1) / np.maximum(rows - 1, 1), counts)
    if weight < MIN_REPEAT_WEIGHT:
        return grid
    known = (counts > 1) & (counts.argsort(kind="stable").argsort() >= len(counts) - MAX_REPEATS)
    # where others would have no room, the last one has what is left
    first = np.searchsorted(places, places)
    known &= (np.arange(len(places)) > first) | (np.bincount(places, known)[places] * even < 0.999)
    shares = (1 - weight) * even + weight * counts / rows
    repeats = tuple(values[known].tolist())
    return replace(grid, repeats=repeats, shares=tuple(shares[known].tolist()))


def _weigh_shares(even: np.ndarray, told: np.ndarray, counts: np.ndarray) -> float:
    """The weight of `told` in the mixture with `even` by which values, each seen so often, are likeliest."""
    weight = 0.5
    for _ in range(MIXING_ROUNDS):
        own = weight * told / (weight * told + (1 - weight) * even)
        weight = float((own @ counts + 0.5) / (counts.sum() + 1))
    return weight


def _quantile_edges(rest: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Cuts `rest` into equally full intervals; the outer edges enclose all atoms."""
    edges = _equal_edges(rest) if len(rest) else atoms[:1]
    if len(atoms):
        ends = [min(atoms[0], edges[0]), max(atoms[-1] + 1, edges[-1])]
        edges = np.unique(np.concatenate([edges, ends, _far_from(atoms, rest)]))
    return edges


def _far_from(atoms: np.ndarray, rest: np.ndarray) -> list[int]:
    """The ends of the others where an atom such as -999 or 9999-12-31 lies far beyond: between them there is nothing."""
    if not len(rest):
        return []
    low = int(rest.min())
    high = int(rest.max()) + 1
    far = (high - low) / 10
    ends = [low] if low - atoms[0] > far else []
    return [*ends, high] if atoms[-1] - high > far else ends


def _tail(excess: np.ndarray, far: float, least: float = 0.1) -> float:
    """Mean distance beyond the outermost edge; with hardly any row there, a tenth of the range."""
    return max(float(excess.mean()), least) if len(excess) >= 5 else float(far)


def learn_real(values: np.ndarray, missing: bool, closed: bool = False, step: float = 0.0) -> Real:
    """The kind of real `values`, one for each row; `step` is the resolution that they were recorded at, 0 for none.

    Location and scale are mean and standard deviation without the outermost half percent at either end; of a column that
    mostly holds one value the scale is how far the others are from there.
    """
    values = np.sort(values)  # so that sums do not depend on the order of rows
    middle = _middle(values)
    location = float((middle / len(middle)).sum())
    farthest = float(np.abs(values - location).max()) or 1.0
    apart = (_middle(varying_numbers(values)) - location) / farthest
    # so that none is out of reach
    scale = farthest * max(float(np.sqrt((apart * apart).mean())), 1e-5)
    events = ((values - location) / scale).astype(np.float32)
    edges = _equal_edges(events)
    usual = usual_number(values)
    if usual is not None:
        floor = Real(location, scale, step=step).floor
        at = (usual - location) / scale
        # an interval of two floors to either side of what most rows have, and no edge inside
        ends = np.array([at - 2 * floor, at + 2 * floor], dtype=np.float32)
        outside = edges[(edges < ends[0]) | (edges > ends[1])]
        edges = np.unique(np.concatenate([outside, ends]))
    shape = location, scale, tuple(edges.tolist()), _real_tails(events, edges)
    return Real(*shape, step, usual, open=not closed, missing=missing)


def _equal_edges(values: np.ndarray) -> np.ndarray:
    """Edges between which there are about equally many values."""
    bins = int(np.clip(len(values) // ROWS_PER_BIN, 2, MAX_BINS))
    return np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))


def _real_tails(events: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """The mean distances of events beyond the outermost edges."""
    far = float(events.max() - events.min()) / 10 or 1.0
    below = edges[0] - events[events < edges[0]]
    above = events[events >= edges[-1]] - edges[-1]
    return _tail(below, far, far * 1e-5), _tail(above, far, far * 1e-5)


def decimal_step(values: np.ndarray) -> float:
    """The power of ten that nearly all values are multiples of; 0 where there is none that is coarser than they are exact.

    One value that most of them are says nothing of it, but it is a multiple too.
    """
    others = varying_numbers(values)
    most = float(np.abs(others).max(initial=0.0))
    exact = 0.01 / float(np.finfo(values.dtype).eps)
    for decimals in range(MAX_DECIMALS + 1):
        if decimals > USUAL_DECIMALS and most * 10.0**decimals > exact:
            break
        most_fit = _fits_decimals(others, decimals).mean() >= MIN_SHARE
        if most_fit and _fits_decimals(np.setdiff1d(values, others), decimals).all():
            return float(10.0**-decimals)
    return 0.0


def _fits_decimals(values: np.ndarray, decimals: int) -> np.ndarray:
    """Which values have no more decimals."""
    return np.asarray(np.round(values.astype(np.float64), decimals).astype(values.dtype) == values)


def _middle(values: np.ndarray) -> np.ndarray:
    """The values without the outermost half percent at either end, which are moved in."""
    low, high = np.quantile(values, [0.005, 0.995])
    return values.clip(low, high) if high > low else values


def usual_number(values: np.ndarray) -> float | None:
    """The number that most of the values are, or None."""
    usual = np.quantile(values, 0.5, method="lower")
    return float(usual) if 2 * int((values == usual).sum()) > len(values) else None


def varying_numbers(values: np.ndarray) -> np.ndarray:
    """The values without one that most of them are, unless all are."""
    others = values[values != usual_number(values)]
    return others if len(others) else values
