"""Samples beside real rows: grids of images; marginals and pairs of a table's columns."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, isqrt
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from plausibly.capabilities import Decoder, Model, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.events.schema import Schema
from plausibly.report.drawing import FAINT, png, shade_cells, shorten, style_axes, svg
from plausibly.report.figures import PAGE_INCHES, PicturePanel
from plausibly.report.scales import PlottedRows, Scale
from plausibly.report.subjects import Subject
from plausibly.system.randomness import Stream, generator_for
from plausibly.tasks.reconstruct import decode_events

# images a grid, numbers of all grids, pixels an image at least
MAX_IMAGES = 64
PICTURE_BYTES = 1_000_000
TILE_PIXELS = 32
MAX_SAMPLES = 1000
MIN_REAL_ROWS = 200
MAX_SECONDS = 60
MAX_MARGINALS = 24
MAX_PAIRS = 6
MAX_PAIR_COLUMNS = 80
MAX_PAIR_ROWS = 5000
COARSE_BINS = 8
NO_SAMPLES = "decoded from N(0, I): not samples of a distribution"


@torch.no_grad()
def draw_codes(model: Model, n: int, speed: float | None = None, seed: int = 0) -> Tensor:
    """Codes of `n` samples, on the CPU; of fewer where the model is known to be slow, by its samples a second."""
    n = min(n, max(16, int(MAX_SECONDS * speed))) if speed else n
    return model.sample(n, generator_for(device_of(model), seed, Stream.REPORT_SAMPLES)).cpu()


@torch.no_grad()
def decode_noise(model: Decoder, n: int, dataset: Dataset | None, seed: int = 0) -> Tensor | None:
    """Codes decoded from N(0, I), on the CPU, with the context of test rows; None where it has one that is not at hand."""
    device, given = device_of(model), None
    if model.context and dataset is None:
        return None
    if model.context and dataset is not None:
        test = dataset.test.codes.flatten(1)[:, list(model.context)].float()
        given = test[torch.arange(n) % len(test)].to(device)
    z = torch.randn(
        n,
        model.latents,
        generator=generator_for(device, seed, Stream.REPORT_SAMPLES),
        device=device,
    )
    return decode_events(model, z, given).cpu()


def image_grids(
    shown: list[Subject], dataset: Dataset | None, pixels: slice, schema: Schema
) -> list[PicturePanel]:
    """A grid of real test rows, where there are data, and one of each model's samples; `pixels` are the image's variables."""
    count = images_per_grid(schema, len(shown) + 1)

    def tile(codes: Tensor) -> str:
        return image_mosaic(codes.flatten(1)[:, pixels], schema)

    panels = []
    if dataset is not None:
        panels.append(PicturePanel("real test rows", tile(dataset.test.codes[:count])))
    for place, subject in enumerate(shown):
        if isinstance(model := subject.run.model, Model):
            drawn = draw_codes(model, count, subject.row.sampled)
            panels.append(PicturePanel(subject.label, tile(drawn), best=place == 0))
        elif (made := decoded_noise_of(subject, count, dataset)) is not None:
            panels.append(PicturePanel(subject.label, tile(made), NO_SAMPLES))
    return panels


def decoded_noise_of(subject: Subject, n: int, dataset: Dataset | None) -> Tensor | None:
    """Rows that a subject without a distribution decodes from N(0, I), where it decodes anything."""
    model = subject.run.model
    return decode_noise(model, n, dataset) if isinstance(model, Decoder) else None


def images_per_grid(schema: Schema, grids: int) -> int:
    """At most 64, fewer where images are large, so that the page stays light."""
    for side in range(isqrt(MAX_IMAGES), 1, -1):
        if side * side * schema.size * grids <= PICTURE_BYTES:
            return side * side
    return 1


def image_mosaic(codes: Tensor, schema: Schema) -> str:
    """Images as one square PNG, apart from each other; other than 1 or 3 channels lie side by side."""
    images = enlarge(codes, schema)
    count, _, height, width = images.shape
    columns, gap = ceil(count**0.5), max(2, height // 6)
    lines = ceil(count / columns)
    size = lines * (height + gap) - gap, columns * (width + gap) - gap, 4
    sheet = np.zeros(size, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        cell = sheet[top : top + height, left : left + width]
        cell[..., :3] = np.moveaxis(image, 0, 2)
        cell[..., 3] = 255
    return png(sheet)


def enlarge(codes: Tensor, schema: Schema) -> np.ndarray:
    """Images as uint8, (n, 1 or 3 channels, height, width), large enough to be seen."""
    white = max(max(schema.codes) - 1, 1)
    levels = codes.reshape(len(codes), *schema.shape).double().numpy() * 255 / white
    images = levels.round().astype(np.uint8)
    if schema.shape[0] not in (1, 3):
        images = np.concatenate(np.split(images, schema.shape[0], axis=1), axis=3)
    times = max(1, TILE_PIXELS // max(schema.shape[1:]))
    return images.repeat(times, 2).repeat(times, 3)


def real_events(dataset: Dataset) -> tuple[Events, str]:
    """The rows to hold samples against, and what they are: the test rows, or all where these are few."""
    if len(dataset.test) >= MIN_REAL_ROWS:
        return dataset.test[: 10 * MAX_SAMPLES], "test rows"
    largest = max((dataset.train, dataset.valid, dataset.test), key=len)
    return (
        (dataset.test, "test rows")
        if largest is dataset.test
        else (dataset.shown[: 10 * MAX_SAMPLES], "training rows")
    )


def worst_marginals(
    scales: list[Scale], real: PlottedRows, fake: PlottedRows
) -> list[tuple[Scale, float]]:
    """The columns to show with the distance of their marginals: all in order, or those farthest apart, worst first."""
    gaps = [float(abs(each.shares(real) - each.shares(fake)).sum() / 2) for each in scales]
    apart = list(zip(scales, gaps, strict=True))
    farthest = sorted(apart, key=lambda pair: -pair[1])[:MAX_MARGINALS]
    return apart if len(apart) <= MAX_MARGINALS else farthest


def marginal_plot(
    chosen: list[tuple[Scale, float]], real: PlottedRows, fake: PlottedRows, subject: Subject
) -> Markup:
    """For each column the share of rows in each bin: real filled, made up outlined or beside."""
    lines = ceil(len(chosen) / 4)

    def draw(figure: Figure) -> None:
        grid = list(figure.subplots(lines, 4, squeeze=False).flat)
        for axes, (scale, distance) in zip(grid, chosen, strict=False):
            _marginal(axes, scale, scale.shares(real), scale.shares(fake), subject.colour)
            axes.set_title(f"{shorten(scale.name, 20)}  {100 * distance:.0f}%", loc="left")
        for axes in grid[len(chosen) :]:
            axes.set_axis_off()

    return svg(
        PAGE_INCHES, 1.55 * lines, "share of rows by value, real and made up, for each column", draw
    )


def _marginal(axes: Axes, scale: Scale, real: np.ndarray, fake: np.ndarray, colour: str) -> None:
    bins = np.arange(scale.bins)
    if scale.has_order:
        edges = np.arange(scale.bins + 1) - 0.5
        axes.stairs(real, edges, fill=True, color=FAINT, alpha=0.4, lw=0)
        axes.stairs(fake, edges, color=colour, lw=1.5)
    else:
        axes.bar(bins - 0.2, real, 0.38, color=FAINT, alpha=0.55, lw=0)
        axes.bar(bins + 0.2, fake, 0.38, color=colour, alpha=0.9, lw=0)
    axes.set_ylim(0, 1.08 * max(real.max(), fake.max(), 1e-9))
    axes.set_xlim(-0.6, scale.bins - 0.4)
    axes.set_yticks([])
    _label(axes, scale, 2.1)
    style_axes(axes, "y")


def _label(axes: Axes, scale: Scale, width: float) -> None:
    """Ticks of an axis that many inches wide: upright where they have room, else aslant."""
    labels = [shorten(label, 12 if len(scale.labels) < 7 else 10) for label in scale.labels]
    spans = zip(pairwise(scale.ticks), pairwise(labels), strict=True)
    crowded = any(
        (b - a) / scale.bins * width < 0.075 * (len(x) + len(y) + 1) / 2 for (a, b), (x, y) in spans
    )
    turned: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    )
    axes.set_xticks(list(scale.ticks), labels, fontsize=6.5 if crowded else 8, **turned)


def dependent_pairs(train: np.ndarray, scales: list[Scale]) -> list[tuple[int, int, float]]:
    """The pairs of variables with the most mutual information in training, in bits: (i, j, bits), highest first.

    Estimated on at most 5,000 rows with many ordered codes merged into eight bins, less its expected bias.
    """
    rows = train[:: max(1, len(train) // MAX_PAIR_ROWS)]
    binned = {scale.variable: _coarse(rows[:, scale.variable], scale.has_order) for scale in scales}
    lively = sorted(binned, key=lambda i: -_entropy(np.bincount(binned[i])))[:MAX_PAIR_COLUMNS]
    lively = sorted(i for i in lively if len(np.unique(binned[i])) > 1)
    found = [
        (i, j, information_bits(binned[i], binned[j]))
        for k, i in enumerate(lively)
        for j in lively[k + 1 :]
    ]
    return sorted((pair for pair in found if pair[2] > 0), key=lambda pair: -pair[2])[:MAX_PAIRS]


def _coarse(codes: np.ndarray, ordered: bool) -> np.ndarray:
    """Codes as 0, 1, ... without gaps; at most eight for ordered ones."""
    distinct, index = np.unique(codes, return_inverse=True)
    if len(distinct) <= COARSE_BINS or not ordered:
        return np.minimum(index, 63)
    cuts = np.unique(np.quantile(codes, np.linspace(0, 1, COARSE_BINS + 1)[1:-1]))
    return np.asarray(np.unique(np.searchsorted(cuts, codes, side="right"), return_inverse=True)[1])


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def information_bits(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information in bits, less the (A - 1)(B - 1) / 2n nats expected of independent columns."""
    width = int(b.max()) + 1
    shared = (
        _entropy(np.bincount(a)) + _entropy(np.bincount(b)) - _entropy(np.bincount(a * width + b))
    )
    free = (len(np.unique(a)) - 1) * (len(np.unique(b)) - 1)
    return shared - free / (2 * len(a) * float(np.log(2)))


def pair_plot(
    pairs: list[tuple[int, int, float]],
    scales: list[Scale],
    real: PlottedRows,
    fake: PlottedRows,
    subject: Subject,
) -> Markup:
    """For each pair of columns, real rows beside samples: shares of rows as shades."""
    across = min(2, len(pairs))
    lines = ceil(len(pairs) / across)

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained", wspace=0.04, hspace=0.06)
        grid = figure.subplots(lines, 4, squeeze=False).reshape(-1, 2)
        for (left, right), (i, j, _) in zip(grid, pairs, strict=False):
            tables = [_joint(scales[i], scales[j], each) for each in (real, fake)]
            top = max(float(table.max()) for table in tables)
            cells = shade_cells(tables[0], FAINT, top), shade_cells(tables[1], subject.colour, top)
            _heat(left, "real", cells[0], scales[i], scales[j])
            _heat(right, "sampled", cells[1], scales[i], scales[j])
            left.set_ylabel(shorten(scales[i].name, 22))
            right.set_yticklabels([])
        for axes in grid[len(pairs) :].flat:
            axes.set_axis_off()

    return svg(PAGE_INCHES, 2.3 * lines, "two columns at a time, real rows beside samples", draw)


def _joint(first: Scale, second: Scale, sheet: PlottedRows) -> np.ndarray:
    """Shares of rows, (bins of the first, bins of the second)."""
    place = first.places(sheet) * second.bins + second.places(sheet)
    counts = np.bincount(place, minlength=first.bins * second.bins)
    return counts.reshape(first.bins, second.bins) / max(len(sheet), 1)


def _heat(axes: Axes, title: str, cells: np.ndarray, first: Scale, second: Scale) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel(shorten(second.name, 22))
    axes.imshow(cells, aspect="auto", origin="lower", interpolation="none")
    _label(axes, second, 1.7)
    axes.set_yticks(list(first.ticks), [shorten(label, 12) for label in first.labels], fontsize=6.5)
    axes.set_ylim(-0.5, first.bins - 0.5)
    axes.set_xlim(-0.5, second.bins - 0.5)
    axes.tick_params(length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
