"""Products and ratios of columns, or of sums of two, exactly at the column's resolution or nearly.

    log |c| = log k + sum_i +- log |a_i| + noise

A product is the one with the narrowest middle half of log |c| - log |g| among all pairs and triples; a longer one has
to be half as wide. It is near where held-out rows are within a tenth of the column's own spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import quote_name, read_formula
from plausibly.data.relations.sums import FACTORS, REGRESSION_ROWS, regress_sum
from plausibly.data.relations.table import MIN_ROWS, AmountTable

TRIAL_ROWS = 128
MAX_FACTORS = 40  # columns
MAX_TRIPLED = 10  # columns of which triples are tried
MAX_ADDED = 10  # columns of which pairs are added up
MIN_POSITIVE = 0.9  # share of rows in which a factor is no hole and above 0
NEAR = 0.1  # of the column's own spread
MIN_LEVELS = 20  # of a column that is a product
SIMPLER = 0.5  # the width of a longer product, as a share of the shorter one's
CLOSE_FACTOR = 0.005  # of a constant, relative


@dataclass(frozen=True)
class Factor:
    """A column, or the sum of two, and log of it in a few rows."""

    text: str
    logs: np.ndarray
    places: tuple[int, ...]


def find_products(table: AmountTable, follows: set[int]) -> list[Equation]:
    """The columns that are products or ratios of others, exact ones first, of those that do not follow by now."""
    trial = _trial_rows(table)
    if len(trial) < MIN_ROWS // 2:
        return []
    factors = _factors(table, trial)
    found = list[tuple[float, Equation]]()
    for place in np.flatnonzero(table.lattice & (table.levels >= MIN_LEVELS)).tolist():
        own = table.amounts[trial, place]
        if place in follows or (own > 0).mean() < MIN_POSITIVE:
            continue
        best = _narrowest(np.log(np.where(own > 0, own, np.nan)), factors, place)
        if best and (equation := _fit_constant(table, place, best)):
            # of exact ones that of the column with most values is first, of others the narrowest
            rank = _width_of(table, equation) if equation.near else -float(table.levels[place])
            found.append((rank, equation))
    return [equation for _, equation in sorted(found, key=lambda pair: pair[0])]


def _trial_rows(table: AmountTable) -> np.ndarray:
    rows = np.flatnonzero(table.sought)
    return rows[np.linspace(0, len(rows) - 1, min(TRIAL_ROWS, len(rows))).astype(int)]


def _factors(table: AmountTable, trial: np.ndarray) -> list[Factor]:
    rows = table.amounts[trial]
    sound = ((rows > 0).mean(0) >= MIN_POSITIVE) & (table.levels > 2)
    kept = np.flatnonzero(sound)[np.argsort(-table.levels[sound], kind="stable")][:MAX_FACTORS]
    kept = np.sort(kept)
    logs = np.log(np.where(rows > 0, rows, np.nan))
    names = [quote_name(name) for name in table.names]
    found = [Factor(names[p], logs[:, p], (p,)) for p in kept.tolist()]
    if len(kept) <= MAX_ADDED:
        for a, b in combinations(kept.tolist(), 2):
            if abs(np.nanmedian(logs[:, a]) - np.nanmedian(logs[:, b])) < 1:
                added = np.log(np.exp(logs[:, a]) + np.exp(logs[:, b]))
                found.append(Factor(f"({names[a]} + {names[b]})", added, (a, b)))
    return found


def _spread(logs: np.ndarray) -> np.ndarray:
    """The width of the middle half of each column, infinite where few rows have a number."""
    known = ~np.isnan(logs)
    with np.errstate(all="ignore"):
        low, high = np.nanquantile(np.where(known, logs, np.nan), [0.25, 0.75], axis=0)
    return np.where(known.mean(0) >= MIN_POSITIVE / 2, high - low, np.inf)


def _narrowest(own: np.ndarray, factors: Sequence[Factor], place: int) -> str | None:
    """The product that is nearest to a column, of which `own` is the log, but for a constant."""
    usable = [factor for factor in factors if place not in factor.places]
    base = float(_spread(own[:, None])[0])
    if not usable or not base > 0:
        return None
    logs = np.stack([factor.logs for factor in usable], 1)
    ones = _spread(own[:, None] - logs)
    first = int(ones.argmin())
    best, text = float(ones[first]), usable[first].text
    for longer in (_best_pair(own, logs, usable), _best_triple(own, logs, usable)):
        if longer and longer[0] < SIMPLER * best:
            best, text = longer
    return text if best < 2 * NEAR * base else None


def _best_triple(
    own: np.ndarray, logs: np.ndarray, usable: Sequence[Factor]
) -> tuple[float, str] | None:
    """The narrowest product of three columns, one of which may be divided by."""
    single = [at for at, factor in enumerate(usable) if len(factor.places) == 1][:MAX_TRIPLED]
    found: tuple[float, str] | None = None
    for a, b in combinations(single, 2):
        rest = (own - logs[:, a] - logs[:, b])[:, None]
        others = [at for at in single if at not in (a, b)]
        for sign, mark in ((1, "*"), (-1, "/")):
            wide = _spread(rest - sign * logs[:, others]) if others else np.array([np.inf])
            least = int(wide.argmin())
            if np.isfinite(wide[least]) and (found is None or wide[least] < 0.98 * found[0]):
                names = usable[a].text, usable[b].text, usable[others[least]].text
                found = float(wide[least]), f"{names[0]} * {names[1]} {mark} {names[2]}"
    return found


def _best_pair(
    own: np.ndarray, logs: np.ndarray, usable: Sequence[Factor]
) -> tuple[float, str] | None:
    """The narrowest product, or ratio, of two factors: its width and its text."""
    found: tuple[float, str] | None = None
    for at, factor in enumerate(usable):
        free = [o for o, f in enumerate(usable) if not {*f.places} & {*factor.places}]
        for sign, mark in ((1, "*"), (-1, "/")):
            others = [o for o in free if o > at or sign < 0]
            if not others:
                continue
            left = (own - factor.logs)[:, None] - sign * logs[:, others]
            wide = _spread(left)
            least = int(wide.argmin())
            if found is None or wide[least] < 0.98 * found[0]:
                found = float(wide[least]), f"{factor.text} {mark} {usable[others[least]].text}"
    return found


def _fit_constant(table: AmountTable, place: int, product: str) -> Equation | None:
    """The product with its constant, and what is added to it, where rows have it."""
    formula = read_formula(product, table.names)
    known = {name: table.amounts[:, table.names.index(name)] for name in formula.columns}
    own, found = table.amounts[:, place], formula.evaluate(known)
    with np.errstate(all="ignore"):
        ratios = (own / found)[table.sought]
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if len(ratios) < MIN_ROWS // 2:
        return None
    constant = float(np.median(ratios))
    for exact in _write_exact(constant, product):
        if equation := table.equation(place, exact):
            return equation
        for added in _write_added(table, place, exact):
            if equation := table.equation(place, added):
                return equation
    equation = table.equation(place, _write_product(_shorten(constant), product), True)
    return equation if equation and _is_near(table, equation) else None


def _shorten(constant: float) -> float:
    """A constant of few digits that is as good for a column that is only near."""
    nice = FACTORS[FACTORS > 0]
    nearest = float(nice[np.abs(np.log(nice / constant)).argmin()])
    return nearest if abs(nearest / constant - 1) < 0.01 else float(f"{constant:.3g}")


def _write_exact(constant: float, product: str) -> Iterator[str]:
    """The product with a constant of few digits, nearest to the one that rows tell."""
    nice = FACTORS[FACTORS > 0]
    nearest = float(nice[np.abs(np.log(nice / constant)).argmin()])
    if abs(nearest / constant - 1) <= CLOSE_FACTOR * 4:
        yield _write_product(nearest, product)
    for digits in (2, 3):
        short = float(f"{constant:.{digits}g}")
        if short != nearest and abs(short / constant - 1) <= CLOSE_FACTOR:
            yield _write_product(short, product)


def _write_product(constant: float, product: str) -> str:
    if constant == 1:
        return product
    if constant < 1 and round(1 / constant, 6) == round(1 / constant):
        return f"{product} / {round(1 / constant)}"
    return f"{constant:.12g} * {product}"


def _write_added(table: AmountTable, place: int, product: str) -> Iterator[str]:
    """The product with other columns added, as far as a regression of what it leaves tells."""
    formula = read_formula(product, table.names)
    others = [
        p
        for p in range(len(table.columns))
        if p != place and table.names[p] not in formula.columns and table.levels[p] > 1
    ][:MAX_FACTORS]
    known = {name: table.amounts[:, table.names.index(name)] for name in formula.columns}
    rest = table.amounts[:, place] - formula.evaluate(known)
    rows = np.concatenate([table.amounts[:, others], rest[:, None]], 1)[table.sought]
    rows = rows[np.isfinite(rows).all(1)][:REGRESSION_ROWS]
    if not others or len(rows) < 4 * len(others) + 20:
        return
    factors, constant = regress_sum(rows[:, :-1], rows[:, -1])
    if factors or constant:
        terms = [f"{f:+.12g} * {quote_name(table.names[others[p]])}" for p, f in factors.items()]
        terms = [term.replace("+1 * ", "+ ").replace("-1 * ", "- ") for term in terms]
        yield " ".join([product, *terms, *([f"{constant:+.12g}"] if constant else [])])


def _width_of(table: AmountTable, equation: Equation) -> float:
    """The spread that an equation leaves on held-out rows, by the column's own: of their middle half, or of nine tenths."""
    place = table.names.index(equation.column)
    known = {name: table.amounts[:, table.names.index(name)] for name in equation.of}
    found = equation.formula.evaluate(known)
    own = table.amounts[:, place]
    held = ~table.sought & np.isfinite(found) & (own > 0) & (found > 0)
    if held.sum() < MIN_ROWS:
        return np.inf
    logs = np.log(own[held])
    ends = [
        np.quantile(each, [0.05, 0.25, 0.75, 0.95]) for each in (logs - np.log(found[held]), logs)
    ]
    widths = [(q[2] - q[1], (q[3] - q[0]) / 2) for q in ends]
    return float(max(left / max(whole, 1e-300) for left, whole in zip(*widths, strict=True)))


def _is_near(table: AmountTable, equation: Equation) -> bool:
    return _width_of(table, equation) <= NEAR
