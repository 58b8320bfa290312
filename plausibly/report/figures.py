"""Figures about the numbers: the board as dots, the course of training, surprisal by variable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plausibly.evaluation.likelihood.elbo import ElboParts
from plausibly.events.schema import Schema
from plausibly.report.drawing import FAINT, heat_colours, png, shorten, style_axes, svg
from plausibly.report.subjects import Subject, subject_labels
from plausibly.runs.board import Board, BoardRow
from plausibly.tasks import load_tasks

PAGE_INCHES = 9.6  # inches of the page
MAX_BARS = 40
WHISKERS: dict[str, Any] = {"lw": 1.6, "capsize": 3.5}
MARKERS = {"=": "o", ">=": ">", "<=": "<", "~": "D"}


def board_plot(board: Board, shown: list[Subject]) -> Markup | None:
    """Log-likelihood by model, best on top, with standard errors; None where no model has one."""
    rows = [row for row in board.ranking() if row.test]
    if not rows:
        return None
    names, colours = subject_labels(board), colours_of(shown)
    lines = [(row, names[id(row)], colours.get(id(row), FAINT)) for row in rows]
    label = "log-likelihood of test rows by model"
    return svg(PAGE_INCHES, 0.75 + 0.3 * len(rows), label, partial(draw_board, lines))


def colours_of(shown: list[Subject]) -> dict[int, str]:
    """The colour of each subject, by the id of its row."""
    return {id(subject.row): subject.colour for subject in shown}


def draw_board(lines: Sequence[tuple[BoardRow, str, str]], figure: Figure) -> None:
    """Draws rows with their names and colours, the first on top."""
    axes = figure.subplots()
    for place, (row, _, colour) in enumerate(lines):
        mark_row(axes, place, row, colour)
    axes.set_yticks(range(len(lines)), [name for _, name, _ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.set_xlabel("log p of a test row, nats: further right is better")
    style_axes(axes, "x")


def mark_row(axes: Axes, place: int, row: BoardRow, colour: str) -> None:
    """Draws one row's test; the truth, which is no run, has a line through all others."""
    assert row.test is not None
    error, marker = finite_or_zero(row.test.standard_error), MARKERS[row.test.sign]
    axes.errorbar(row.test.value, place, xerr=error, color=colour, fmt=marker, ms=6, **WHISKERS)
    if not row.run:
        axes.axvline(row.test.value, color=FAINT, lw=0.8, dashes=(4, 3), zorder=0)


def finite_or_zero(error: float) -> float:
    return error if isfinite(error) else 0.0


def bytes_plot(board: Board, shown: list[Subject]) -> Markup | None:
    """The size of test rows as bytes, by each model and by others, least on top; None where none was measured."""
    names, colours = subject_labels(board), colours_of(shown)
    bars = [
        (row.coded.bits_per_variable, names[id(row)], colours.get(id(row), FAINT))
        for row in board.rows
        if row.coded
    ]
    if not bars:
        return None
    assert board.first_coded is not None
    bars += [(bits, shorten(name), FAINT) for name, bits in board.first_coded.others.items()]
    whole = ", the context's included" if board.conditional is not None else ""
    draw = partial(draw_bytes, sorted(bars), whole)
    label = "bytes of test rows by model and by other compressors"
    return svg(PAGE_INCHES, 0.75 + 0.3 * len(bars), label, draw)


def draw_bytes(bars: Sequence[tuple[float, str, str]], whole: str, figure: Figure) -> None:
    """Draws bits with their names and colours, the first on top; `whole` says more of the bits."""
    axes = figure.subplots()
    lengths, labelled, shades = zip(*bars, strict=True)
    drawn = axes.barh(range(len(bars)), lengths, color=shades, height=0.62)
    axes.bar_label(drawn, [f"{bits:.4f}" for bits in lengths], padding=3, fontsize=8)
    axes.set_yticks(range(len(bars)), labelled)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel(f"bits per variable{whole} that test rows took as bytes: less is better")
    style_axes(axes, "x")


@dataclass(frozen=True)
class PlottedTraining:
    """One training: what was logged at each validation, smaller is better."""

    steps: list[float]
    losses: list[float]
    validations: list[float]
    health: list[dict[str, float]]


def read_plotted_training(path: Path) -> PlottedTraining | None:
    """The course that log.jsonl tells; None where there are fewer than two sound lines."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = [numbers for line in lines if (numbers := _numbers(line))]
    return PlottedTraining(*map(list, zip(*found, strict=True))) if len(found) > 1 else None


def _numbers(line: str) -> tuple[float, float, float, dict[str, float]] | None:
    try:
        entry = json.loads(line)
        step, loss, validation = (float(entry[key]) for key in ("step", "loss", "validation"))
        norms = {
            f"gradient norm, {name}": float(norm) for name, norm in entry.get("norms", {}).items()
        }
        health = {name: float(value) for name, value in entry.get("health", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    return (
        (step, loss, validation, health and health | norms)
        if all(map(isfinite, (step, loss, validation)))
        else None
    )


def training_plot(
    courses: Sequence[tuple[Subject, PlottedTraining]], unit: str = "nats per row"
) -> Markup:
    """Validation (lines) and training loss (dashed) against steps; the best step is marked."""
    draw = partial(draw_training, courses, unit)
    return svg(PAGE_INCHES, 3.3, "loss on training and validation rows by step", draw)


def draw_training(
    courses: Sequence[tuple[Subject, PlottedTraining]], unit: str, figure: Figure
) -> None:
    axes = figure.subplots()
    for subject, found in courses:
        draw_course(axes, subject, found)
    axes.set_xlabel("steps")
    axes.set_ylabel(f"{unit}: lower is better")
    axes.set_ylim(*_window([found for _, found in courses]))
    put_legend(figure, len(courses))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    style_axes(axes)


def draw_course(axes: Axes, subject: Subject, found: PlottedTraining) -> None:
    """Draws one course in the colour of its subject."""
    steps, validations, colour = found.steps, found.validations, subject.colour
    best = int(np.argmin(validations))
    axes.plot(steps, found.losses, color=colour, lw=0.9, dashes=(3, 2), alpha=0.7)
    axes.plot(steps, validations, subject.dashes, color=colour, lw=1.6, label=subject.label)
    axes.plot(steps[best], validations[best], "o", color=colour, ms=6)


def put_legend(figure: Figure, names: int, *entries: Any) -> None:
    """Puts a legend of so many names above a figure: of all that is labelled, or of the handles and names given."""
    figure.legend(*entries, loc="outside upper left", ncols=min(names, 7))


def health_plot(courses: Sequence[tuple[Subject, PlottedTraining]]) -> Markup:
    """Health that games report, and the norms of their gradients, a panel each, against steps."""
    names = list(
        dict.fromkeys(name for _, found in courses for each in found.health for name in each)
    )
    down = -(-len(names) // 3)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(down, 3, squeeze=False).flatten().tolist()
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, names, strict=False):
            draw_health(axes, name, courses)

    return svg(PAGE_INCHES, 1.9 * down, "health of games by step", draw)


def draw_health(axes: Axes, name: str, courses: Sequence[tuple[Subject, PlottedTraining]]) -> None:
    """Draws one number of the health of games."""
    axes.set_title(shorten(name, 40), loc="left")
    for subject, found in courses:
        values = [health.get(name, np.nan) for health in found.health]
        axes.plot(found.steps, values, subject.dashes, color=subject.colour, lw=1.4)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    style_axes(axes)


def _window(courses: list[PlottedTraining]) -> tuple[float, float]:
    """From the lowest value to what each run had reached after a tenth of its way."""
    low = min(min(found.validations + found.losses) for found in courses)
    high = max(max(found.validations[len(found.validations) // 10 :]) for found in courses)
    high = max(high, *(found.validations[0] for found in courses)) if high - low < 1e-9 else high
    room = 0.06 * max(high - low, 1e-6)
    return low - room, high + room


def mean_surprisal(shown: list[Subject], codes: object) -> list[tuple[Subject, np.ndarray]]:
    """Mean bits -log2 p(x_i | earlier) of each variable, for the models that factorise."""
    task = load_tasks()["conditionals"]
    able = [(each, each.run.model) for each in shown if task.word(type(each.run.model))]
    return [(each, -task(model, codes).mean(0).numpy() / np.log(2)) for each, model in able]


@dataclass(frozen=True)
class PicturePanel:
    """A picture made of pixels, with what is written below it."""

    title: str
    source: str
    note: str = ""
    best: bool = False


def surprisal_maps(
    found: list[tuple[Subject, np.ndarray]], schema: Schema, codes: np.ndarray
) -> tuple[list[PicturePanel], float]:
    """A heat map in the image's shape for each model, after the mean test row; and the bits of the brightest colour."""
    maps = [bits.reshape(schema.shape).sum(0) for _, bits in found]
    top = max(float(each.max()) for each in maps)
    mean = codes.reshape(len(codes), *schema.shape).mean((0, 1))
    grey = (255 * mean / max(mean.max(), 1e-9)).round().astype(np.uint8)
    panels = [PicturePanel("mean of the test rows", png(grey))]
    for (subject, bits), each in zip(found, maps, strict=True):
        heat = png(heat_colours(each, 0, top))
        panels.append(PicturePanel(subject.label, heat, f"{bits.sum():.2f} bits per row"))
    return panels, top


def colour_bar() -> str:
    return png(heat_colours(np.linspace(0, 1, 256)[None], 0, 1))


def surprisal_bars(found: list[tuple[Subject, np.ndarray]], names: Sequence[str]) -> Markup:
    """Bars by variable for the first model, dots for the others; where there are many, the most surprising."""
    chosen = np.sort(np.argsort(-found[0][1], kind="stable")[:MAX_BARS])
    some = [(subject, bits[chosen]) for subject, bits in found]
    draw = partial(draw_surprisal, some, [shorten(names[i]) for i in chosen])
    label = "mean surprisal of each variable in bits"
    return svg(PAGE_INCHES, 1.0 + 0.2 * len(chosen), label, draw)


def draw_surprisal(
    found: list[tuple[Subject, np.ndarray]], names: list[str], figure: Figure
) -> None:
    """Draws the bits of the named variables."""
    (first, bits), *others = found
    axes, places = figure.subplots(), np.arange(len(names))
    axes.barh(places, bits, height=0.66, color=first.colour, alpha=0.45, label=first.label)
    for k, (subject, dots) in enumerate(others):
        axes.plot(dots, places, "osD^v"[k % 5], color=subject.colour, ms=4, label=subject.label)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("bits: shorter is better known beforehand")
    style_axes(axes, "x")
    if others:
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        order = [subject.label for subject, _ in found]
        put_legend(figure, len(found), [handles[name] for name in order], order)


def bounds_plot(found: list[tuple[Subject, ElboParts]]) -> Markup:
    """The importance-weighted bounds by draws, a line a model, with standard errors."""
    label = "lower bounds on log p by draws of the latents"
    return svg(PAGE_INCHES, 2.8, label, partial(draw_bounds, found))


def draw_bounds(found: list[tuple[Subject, ElboParts]], figure: Figure) -> None:
    axes = figure.subplots()
    for place, (subject, parts) in enumerate(found):
        draw_bound(axes, place, subject, parts)
    axes.set_xscale("log")
    axes.set_xticks(list(found[0][1].bounds), [f"{draws:,}" for draws in found[0][1].bounds])
    axes.minorticks_off()
    axes.set_xlabel("draws: 1 is the ELBO")
    axes.set_ylabel("log p at least, nats per row")
    style_axes(axes)
    if len(found) > 1:
        put_legend(figure, len(found))


def draw_bound(axes: Axes, place: int, subject: Subject, parts: ElboParts) -> None:
    """Draws the line of one model, the further right the greater `place`, so that whiskers stand beside each other."""
    draws = np.array(list(parts.bounds)) * 1.04**place
    values = [bound.value for bound in parts.bounds.values()]
    errors = [finite_or_zero(bound.standard_error) for bound in parts.bounds.values()]
    look: dict[str, Any] = {"color": subject.colour, "label": subject.label, "ls": subject.dashes}
    axes.errorbar(draws, values, yerr=errors, fmt="o", ms=5, **look, **WHISKERS)
