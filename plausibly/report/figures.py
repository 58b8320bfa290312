"""Figures about the numbers: the board as dots, the course of training, surprisal by variable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plausibly.evaluation.likelihood.elbo import ElboParts
from plausibly.events.schema import Schema
from plausibly.report.drawing import FAINT, heat_colours, png, quiet_frame, shorten, svg
from plausibly.report.subjects import Subject, labels
from plausibly.runs.board import Board
from plausibly.tasks import load_tasks

PAGE_INCHES = 9.6  # inches of the page
MAX_BARS = 40
MARKERS = {"=": "o", ">=": ">", "<=": "<", "~": "D"}


def board_plot(board: Board, shown: list[Subject]) -> Markup | None:
    """Log-likelihood by model, best on top, with standard errors; None where no model has one."""
    rows = [row for row in board.ranking() if row.test]
    if not rows:
        return None
    names = labels(board)
    colours = {id(subject.row): subject.colour for subject in shown}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            assert row.test is not None
            error = row.test.standard_error if isfinite(row.test.standard_error) else 0.0
            colour = colours.get(id(row), FAINT)
            look: dict[str, Any] = {
                "fmt": MARKERS[row.test.sign],
                "ms": 6,
                "lw": 1.6,
                "capsize": 3.5,
            }
            axes.errorbar(row.test.value, place, xerr=error, color=colour, **look)
            if not row.run:
                axes.axvline(row.test.value, color=FAINT, lw=0.8, dashes=(4, 3), zorder=0)
        axes.set_yticks(range(len(rows)), [names[id(row)] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.06)
        axes.set_xlabel("log p of a test row, nats: further right is better")
        quiet_frame(axes, "x")

    return svg(PAGE_INCHES, 0.75 + 0.3 * len(rows), "log-likelihood of test rows by model", draw)


def bytes_plot(board: Board, shown: list[Subject]) -> Markup | None:
    """The size of test rows as bytes, by each model and by others, least on top; None where none was measured."""
    names, colours = labels(board), {id(subject.row): subject.colour for subject in shown}
    bars = [
        (row.coded.bits_per_variable, names[id(row)], colours.get(id(row), FAINT))
        for row in board.rows
        if row.coded
    ]
    if not bars:
        return None
    assert board.first_coded is not None
    bars = sorted(
        bars + [(bits, shorten(name), FAINT) for name, bits in board.first_coded.others.items()]
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        lengths, labelled, shades = zip(*bars, strict=True)
        drawn = axes.barh(range(len(bars)), lengths, color=shades, height=0.62)
        axes.bar_label(drawn, [f"{bits:.4f}" for bits in lengths], padding=3, fontsize=8)
        axes.set_yticks(range(len(bars)), labelled)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.margins(x=0.08)
        whole = ", the context's included" if board.conditional is not None else ""
        axes.set_xlabel(f"bits per variable{whole} that test rows took as bytes: less is better")
        quiet_frame(axes, "x")

    return svg(
        PAGE_INCHES,
        0.75 + 0.3 * len(bars),
        "bytes of test rows by model and by other compressors",
        draw,
    )


@dataclass(frozen=True)
class Course:
    """One training: what was logged at each validation, smaller is better."""

    steps: list[float]
    losses: list[float]
    validations: list[float]
    health: list[dict[str, float]]


def read_course(path: Path) -> Course | None:
    """The course that log.jsonl tells; None where there are fewer than two sound lines."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = [numbers for line in lines if (numbers := _numbers(line))]
    return Course(*map(list, zip(*found, strict=True))) if len(found) > 1 else None


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


def training_plot(courses: Sequence[tuple[Subject, Course]], unit: str = "nats per row") -> Markup:
    """Validation (lines) and training loss (dashed) against steps; the best step is marked."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for subject, found in courses:
            axes.plot(
                found.steps, found.losses, color=subject.colour, lw=0.9, dashes=(3, 2), alpha=0.7
            )
            axes.plot(
                found.steps,
                found.validations,
                subject.dashes,
                color=subject.colour,
                lw=1.6,
                label=subject.label,
            )
            best = int(np.argmin(found.validations))
            axes.plot(found.steps[best], found.validations[best], "o", color=subject.colour, ms=6)
        axes.set_xlabel("steps")
        axes.set_ylabel(f"{unit}: lower is better")
        axes.set_ylim(*_window([found for _, found in courses]))
        figure.legend(loc="outside upper left", ncols=min(len(courses), 7))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        quiet_frame(axes)

    return svg(PAGE_INCHES, 3.3, "loss on training and validation rows by step", draw)


def health_plot(courses: Sequence[tuple[Subject, Course]]) -> Markup:
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
            axes.set_title(shorten(name, 40), loc="left")
            for subject, found in courses:
                values = [health.get(name, np.nan) for health in found.health]
                axes.plot(found.steps, values, subject.dashes, color=subject.colour, lw=1.4)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            quiet_frame(axes)

    return svg(PAGE_INCHES, 1.9 * down, "health of games by step", draw)


def _window(courses: list[Course]) -> tuple[float, float]:
    """From the lowest value to what each run had reached after a tenth of its way."""
    low = min(min(found.validations + found.losses) for found in courses)
    high = max(max(found.validations[len(found.validations) // 10 :]) for found in courses)
    high = max(high, *(found.validations[0] for found in courses)) if high - low < 1e-9 else high
    room = 0.06 * max(high - low, 1e-6)
    return low - room, high + room


def mean_surprisal(shown: list[Subject], codes: object) -> list[tuple[Subject, np.ndarray]]:
    """Mean bits -log2 p(x_i | earlier) of each variable, for the models that factorise."""
    task = load_tasks()["conditionals"]
    able = [subject for subject in shown if task.word(type(subject.run.model))]
    return [
        (subject, -task(subject.run.model, codes).mean(0).numpy() / np.log(2)) for subject in able
    ]


@dataclass(frozen=True)
class Panel:
    """A picture made of pixels, with what is written below it."""

    title: str
    source: str
    note: str = ""
    best: bool = False


def surprisal_maps(
    found: list[tuple[Subject, np.ndarray]], schema: Schema, codes: np.ndarray
) -> tuple[list[Panel], float]:
    """A heat map in the image's shape for each model, after the mean test row; and the bits of the brightest colour."""
    maps = [bits.reshape(schema.shape).sum(0) for _, bits in found]
    top = max(float(each.max()) for each in maps)
    mean = codes.reshape(len(codes), *schema.shape).mean((0, 1))
    panels = [
        Panel(
            "mean of the test rows",
            png((255 * mean / max(mean.max(), 1e-9)).round().astype(np.uint8)),
        )
    ]
    for (subject, bits), each in zip(found, maps, strict=True):
        panels.append(
            Panel(subject.label, png(heat_colours(each, 0, top)), f"{bits.sum():.2f} bits per row")
        )
    return panels, top


def colour_bar() -> str:
    return png(heat_colours(np.linspace(0, 1, 256)[None], 0, 1))


def surprisal_bars(found: list[tuple[Subject, np.ndarray]], names: Sequence[str]) -> Markup:
    """Bars by variable for the first model, dots for the others; where there are many, the most surprising."""
    first, bits = found[0]
    chosen = (
        np.arange(len(bits))
        if len(bits) <= MAX_BARS
        else np.sort(np.argsort(-bits, kind="stable")[:MAX_BARS])
    )
    places = np.arange(len(chosen))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh(
            places, bits[chosen], height=0.66, color=first.colour, alpha=0.45, label=first.label
        )
        for k, (subject, others) in enumerate(found[1:]):
            marker = "osD^v"[k % 5]
            axes.plot(
                others[chosen], places, marker, color=subject.colour, ms=4, label=subject.label
            )
        axes.set_yticks(places, [shorten(names[i]) for i in chosen])
        axes.set_ylim(len(chosen) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel("bits: shorter is better known beforehand")
        quiet_frame(axes, "x")
        if len(found) > 1:
            handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            order = [subject.label for subject, _ in found]
            figure.legend(
                [handles[name] for name in order],
                order,
                loc="outside upper left",
                ncols=min(len(found), 7),
            )

    return svg(
        PAGE_INCHES, 1.0 + 0.2 * len(chosen), "mean surprisal of each variable in bits", draw
    )


def bounds_plot(found: list[tuple[Subject, ElboParts]]) -> Markup:
    """The importance-weighted bounds by draws, a line a model, with standard errors."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (subject, parts) in enumerate(found):
            draws = (
                np.array(list(parts.bounds)) * 1.04**place
            )  # so that whiskers stand beside each other
            values = [bound.value for bound in parts.bounds.values()]
            errors = [
                bound.standard_error if isfinite(bound.standard_error) else 0.0
                for bound in parts.bounds.values()
            ]
            look: dict[str, Any] = {
                "fmt": "o",
                "ls": subject.dashes,
                "ms": 5,
                "lw": 1.6,
                "capsize": 3.5,
            }
            axes.errorbar(
                draws, values, yerr=errors, color=subject.colour, label=subject.label, **look
            )
        axes.set_xscale("log")
        axes.set_xticks(list(found[0][1].bounds), [f"{draws:,}" for draws in found[0][1].bounds])
        axes.minorticks_off()
        axes.set_xlabel("draws: 1 is the ELBO")
        axes.set_ylabel("log p at least, nats per row")
        quiet_frame(axes)
        if len(found) > 1:
            figure.legend(loc="outside upper left", ncols=min(len(found), 7))

    return svg(PAGE_INCHES, 2.8, "lower bounds on log p by draws of the latents", draw)
