"""Draws the figures of the guide, on one processor the same to the byte each time: `make figures`.

Every curve is computed here, from the package or from a formula; nothing is read from a file.
"""

from __future__ import annotations

from itertools import combinations
from math import e, log, pi
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from scipy.stats import norm

import plausibly
from plausibly.capabilities import TractableModel
from plausibly.data.toys.bits import random_joint
from plausibly.events.evidence import Evidence
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS

FOLDER = Path(__file__).parent / "figures"
BLUE, ORANGE, GREEN, PURPLE, GREY = "#2467b0", "#d2691e", "#2e8b57", "#8a4fa3", "#777777"
STYLE = {
    "svg.hashsalt": "plausibly",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 100,
}


def learned(name: str, x: torch.Tensor, schema: Schema) -> Any:
    """A counting model fitted to events, a ninth of them kept for its smoothing."""
    model, held = MODELS[name](schema), max(len(x) // 9, 1)
    assert isinstance(model, TractableModel)
    model.learn(model.statistics(x[held:]), [x[:held]])
    return model


def ladder() -> None:
    """The rungs of the ladder, each with what it adds and who stands there."""
    rungs = [
        ("Model", "draws events", "GANs"),
        ("BoundedModel", "a lower bound on log p(x)", "variational autoencoders"),
        ("DensityModel", "log p(x) itself", "flows"),
        ("AutoregressiveModel", "each p(xᵢ | earlier), in one order", "NADE, MADE, transformers"),
        ("AnyOrderModel", "each p(xᵢ | any others)", "networks for all orders"),
        ("TractableModel", "every marginal, all of one joint", "tables, trees, chains"),
    ]
    _, axes = pyplot.subplots(figsize=(7.6, 3.5))
    for step, (name, adds, who) in enumerate(rungs):
        left, low = 0.38 * step, 0.9 * step
        axes.add_patch(
            FancyBboxPatch(
                (left, low), 9.9 - left, 0.62, boxstyle="round,pad=0.06", fc="#e3edf8", ec=BLUE
            )
        )
        axes.text(left + 0.1, low + 0.31, name, va="center", weight="bold", color="#163a63")
        axes.text(left + 3.3, low + 0.31, adds, va="center")
        axes.text(10.15, low + 0.31, who, va="center", color=GREY)
    axes.annotate("", (0.1, 5.1), (0.1, 0.75), arrowprops={"arrowstyle": "->", "color": GREY})
    axes.set(xlim=(-0.1, 14.2), ylim=(-0.2, 5.4))
    axes.axis("off")


def parameters() -> None:
    """Free parameters against the number of bits, as the classes count them."""
    bits = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64]
    _, axes = pyplot.subplots(figsize=(6, 3.4))
    for name, label, colour in (
        ("joint", "table: $2^n - 1$", ORANGE),
        ("nade", "NADE, 256 hidden units", PURPLE),
        ("chow_liu", "chain or tree: $2n - 1$", BLUE),
        ("independent", "independent: $n$", GREEN),
    ):
        axes.plot(
            bits, [float(MODELS[name].count(binary(n))) for n in bits], color=colour, label=label
        )
    axes.set(xlabel="number of bits n", ylabel="free parameters", yscale="log", xlim=(0, 64))
    axes.legend()


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float) -> None:
    style = f"arc3,rad={bend}"
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=style,
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=9,
            shrinkB=9,
            color=BLUE,
        )
    )


def graphs() -> None:
    """Who looks at whom: no arrows, a chain, a tree, all arrows."""
    line = [(float(i), 0.0) for i in range(6)]
    branches = [(2.5, 1.0), (1.0, 0.0), (4.0, 0.0), (0.3, -1.0), (1.7, -1.0), (4.0, -1.0)]
    panels = [
        ("independent: n", line, []),
        ("Markov chain: 2n − 1", line, [(i, i + 1) for i in range(5)]),
        ("tree: 2n − 1", branches, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]),
        ("chain rule, all arrows: 2ⁿ − 1", line, list(combinations(range(6), 2))),
    ]
    _, grid = pyplot.subplots(2, 2, figsize=(7, 3.4))
    for axes, (title, places, arrows) in zip(grid.flat, panels, strict=True):
        for start, end in arrows:
            far = places is line and end - start > 1
            arrow(axes, places[start], places[end], -0.42 if far else 0)
        for number, (x, y) in enumerate(places, 1):
            axes.text(
                x,
                y,
                f"x{number}",
                ha="center",
                va="center",
                bbox={"boxstyle": "circle", "fc": "w", "ec": GREY},
            )
        axes.set(xlim=(-0.6, 5.6), ylim=(-1.45, 1.45), title=title)
        axes.axis("off")


def rows() -> None:
    """Exact divergence from a random joint of ten bits against the number of rows, mean of ten repeats."""
    truth, schema = random_joint((2,) * 10, np.random.default_rng(2_010)), binary(10)
    events, log_p = schema.all_events(), torch.from_numpy(truth.log_probs)
    sizes, chance = [30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000], np.random.default_rng(0)
    _, axes = pyplot.subplots(figsize=(6, 3.6))
    drawn = {
        n: [torch.from_numpy(truth.sample(n, chance)).float() for _ in range(10)] for n in sizes
    }
    for name, colour in (
        ("joint", ORANGE),
        ("chow_liu", BLUE),
        ("markov", PURPLE),
        ("independent", GREEN),
    ):
        means = []
        for n in sizes:
            logs = [learned(name, x, schema).log_prob(events).detach() for x in drawn[n]]
            means.append(float(np.mean([(log_p.exp() * (log_p - q)).sum() for q in logs])))
        axes.plot(sizes, means, "o-", markersize=3.5, color=colour, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="training rows", ylabel="KL(truth ∥ model), nats per row"
    )
    axes.legend()


def units() -> None:
    """One normal distribution in two units."""
    _, grid = pyplot.subplots(1, 2, figsize=(7, 2.6))
    for axes, unit, scale in zip(grid, ("cm", "m"), (1, 0.01), strict=True):
        x = np.linspace(140, 200, 100) * scale
        density = norm.pdf(x, 170 * scale, 8 * scale)
        axes.plot(x, density, color=BLUE)
        axes.fill_between(x, density, color=BLUE, alpha=0.15)
        axes.text(170 * scale, density.max() * 0.35, "area 1", ha="center")
        axes.set(xlabel=f"height in {unit}", ylabel=f"density per {unit}", ylim=(0, None))


def spikes() -> None:
    """Mass of 0.1 cm cells put into ever narrower spikes on the recorded values."""
    cells = np.round(np.arange(169.6, 170.45, 0.1), 1)
    mass = norm.pdf(cells, 170, 8) * 0.1
    _, grid = pyplot.subplots(1, 3, figsize=(7.4, 2.5), sharey=True)
    for axes, width in zip(grid, (0.1, 0.03, 0.01), strict=True):
        axes.bar(cells, mass / width, width=width, color=ORANGE, alpha=0.7, lw=0)
        best = log(0.1) - log(width) - 0.5 * log(2 * pi * e * 64)
        axes.set(title=f"width {width} cm: mean log p = {best:.2f}", xlabel="height in cm")
        axes.title.set_fontsize(9)
    grid[0].set(ylabel="density per cm", ylim=(0, None))


def ring() -> None:
    """Points on a ring, and the densities that two models learned from them, on one scale of colours."""
    data = plausibly.load("toy-ring")
    points = data.format.rows(data.test)[:500]
    line = np.linspace(-2.6, 2.6, 70)
    plane = np.stack(np.meshgrid(line, line), 2).reshape(-1, 2).astype(np.float32)
    _, (left, *others) = pyplot.subplots(1, 3, figsize=(7.2, 2.6), sharex=True, sharey=True)
    left.scatter(*points.T, s=3, color=BLUE, lw=0, rasterized=True)
    left.set(title="data", aspect="equal")
    for axes, name, steps in zip(others, ("independent", "nade"), (None, 1_000), strict=True):
        with TemporaryDirectory() as folder:
            density = (
                plausibly.fit("toy-ring", name, out=f"{folder}/run", steps=steps)
                .log_prob(plane)
                .exp()
            )
        axes.pcolormesh(
            line, line, density.reshape(70, 70).numpy(), cmap="Blues", vmax=0.25, rasterized=True
        )
        axes.set(title=name, aspect="equal")


def filled() -> None:
    """Digits of the test split, their lower half hidden and filled in three times by the exact conditional of a tree."""
    digits = plausibly.load("digits-binary")
    tree = learned("chow_liu", digits.train.codes.float(), digits.schema)
    x = digits.test.codes[[0, 1, 3, 4, 6, 9]].float()
    seen = torch.zeros_like(x, dtype=torch.bool)
    seen[:, :, :4] = True
    fills = [
        tree.sample_given(Evidence(x, seen), torch.Generator().manual_seed(k)) for k in range(3)
    ]
    hidden = torch.where(seen, x, 0.45)
    _, grid = pyplot.subplots(5, 6, figsize=(4.4, 3.9))
    for line, (title, images) in zip(
        grid,
        [("real", x), ("given", hidden), *((f"draw {k + 1}", f) for k, f in enumerate(fills))],
        strict=True,
    ):
        for axes, image in zip(line, images, strict=True):
            axes.pcolormesh(
                image[0].numpy()[::-1], cmap="Greys", vmin=0, vmax=1.15, rasterized=True
            )
            axes.set(xticks=[], yticks=[], aspect="equal")
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")


def bayes() -> None:
    """Two classes on a line: p(y) p(x | y), and their share, p(y | x)."""
    x = np.linspace(-4, 7, 120)
    first, second = 0.8 * norm.pdf(x, 0, 1), 0.2 * norm.pdf(x, 2.5, 1.2)
    _, (top, low) = pyplot.subplots(2, 1, figsize=(6, 3.8), sharex=True)
    for curve, name, colour in (
        (first, "first class, p(y) = 0.8", BLUE),
        (second, "second class, p(y) = 0.2", ORANGE),
    ):
        top.plot(x, curve, color=colour, label=name)
        top.fill_between(x, curve, color=colour, alpha=0.15)
    top.set(ylabel="p(y) p(x | y)", ylim=(0, None))
    top.legend()
    low.plot(x, second / (first + second), color=ORANGE)
    low.set(ylabel="p(second | x)", xlabel="x", ylim=(0, 1))


def anomalies() -> None:
    """log p under a tree of digits: held-out ones, upside-down ones, ink and paper swapped, coin flips, blank paper."""
    digits = plausibly.load("digits-binary")
    tree = learned("chow_liu", digits.train.codes.float(), digits.schema)
    x = digits.test.codes.float()
    coins = torch.from_numpy(np.random.default_rng(0).integers(0, 2, x.shape)).float()
    _, axes = pyplot.subplots(figsize=(6.4, 2.8))
    shown = [
        ("held-out digits", x, BLUE),
        ("upside down", x.flip(2), PURPLE),
        ("coin flips", coins, ORANGE),
    ]
    for name, images, colour in shown:
        nats = tree.log_prob(images).detach().numpy()
        axes.hist(nats, bins=np.arange(-172, 0, 4), color=colour, alpha=0.6, label=name)
    blank = tree.log_prob(torch.zeros_like(x[:1])).item()
    axes.axvline(blank, color="k", ls=":", label="a blank image")
    axes.set(xlabel="log p in nats", ylabel="images")
    axes.legend(loc="upper left")


def elbo() -> None:
    """z a fair coin, p(x = 1 | z) = 0.2 and 0.9, x = 1 observed: the ELBO for every q."""
    q = np.linspace(0.01, 0.99, 100)
    bound = q * np.log(0.45 / q) + (1 - q) * np.log(0.1 / (1 - q))
    _, axes = pyplot.subplots(figsize=(6, 3))
    axes.axhline(log(0.55), color=ORANGE, label="log p(x), the same for every q")
    axes.plot(q, bound, color=BLUE, label="ELBO")
    axes.fill_between(q, bound, log(0.55), color=GREY, alpha=0.2, label="KL(q ∥ posterior)", lw=0)
    axes.plot(0.45 / 0.55, log(0.55), "o", color=BLUE)
    axes.annotate(
        "q = posterior", (0.45 / 0.55, log(0.55)), (0.7, -0.42), arrowprops={"arrowstyle": "-"}
    )
    axes.set(xlabel="q(z = 1)", ylabel="nats", ylim=(-2.3, -0.3))
    axes.legend(loc="lower right")


def discriminator() -> None:
    """Trained on draws of toy-bits and of its independent model, against the formula, for the likelier events."""
    from sklearn.linear_model import LogisticRegression

    toy = plausibly.load("toy-bits")
    events = toy.schema.all_events()
    model = learned("independent", toy.train.codes.float(), toy.schema)
    densities = [toy.truth.log_prob(events), model.log_prob(events).detach().double()]  # type: ignore[union-attr]
    p_data, p_model = (torch.softmax(values, 0).numpy() for values in densities)
    signs, chance = 2 * events.numpy() - 1, np.random.default_rng(0)
    sets = [list(bits) for k in (1, 2, 3) for bits in combinations(range(10), k)]
    features = np.stack([signs[:, bits].prod(1) for bits in sets], 1)
    shown = np.concatenate([chance.multinomial(200_000, p) for p in (p_data, p_model)])
    learner = LogisticRegression(C=1e6, max_iter=2_000)
    learner.fit(np.tile(features, (2, 1)), np.repeat([1, 0], 1024), sample_weight=shown)
    likely = np.argsort(p_data + p_model)[-250:]
    _, axes = pyplot.subplots(figsize=(3.9, 3.7))
    axes.plot([0, 1], [0, 1], color=GREY, lw=1)
    best, found = (p_data / (p_data + p_model))[likely], learner.predict_proba(features)[likely, 1]
    axes.scatter(
        best,
        found,
        4_000 * (p_data + p_model)[likely],
        color=BLUE,
        alpha=0.5,
        lw=0,
        rasterized=True,
    )
    axes.set(
        xlabel=r"$p_\mathrm{data} / (p_\mathrm{data} + p_\mathrm{model})$",
        ylabel="trained discriminator",
    )


FIGURES = (
    ladder,
    parameters,
    graphs,
    rows,
    units,
    spikes,
    ring,
    filled,
    bayes,
    anomalies,
    elbo,
    discriminator,
)


def main(folder: Path = FOLDER, suffix: str = "svg") -> None:
    matplotlib.use("svg" if suffix == "svg" else "agg")
    folder.mkdir(exist_ok=True)
    for draw in FIGURES:
        with pyplot.rc_context(STYLE):
            draw()
            pyplot.savefig(
                folder / f"{draw.__name__}.{suffix}",
                metadata={"Date": None} if suffix == "svg" else {},
            )
            pyplot.close()


if __name__ == "__main__":
    main()
