"""Figures as inline SVG that follows the page's colours, and arrays of pixels as PNG data URIs.

matplotlib knows no style sheet: `INK` and the like are written as plain colours and become CSS variables afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from collections.abc import Callable
from html import escape
from io import BytesIO, StringIO
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# text; what stands back; grids
INK = "#0a0b0c"
FAINT = "#7a7b7c"
LINE = "#dadbdc"
CSS_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", LINE: "var(--line)"}
SERIES_COLOURS = (
    "#2f6fde",
    "#e0702a",
    "#2a9d63",
    "#a24bb0",
    "#c79a10",
    "#1c9bb0",
    "#d0405a",
    "#8a6f5a",
)
STYLE: dict[Any, Any] = {
    "text.usetex": False,
    "svg.image_inline": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "plausibly",
    "text.parse_math": False,  # a column may be called $x^$
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "path.simplify": True,
}


def svg(width: float, height: float, label: str, draw: Callable[[Figure], None]) -> Markup:
    """The marks that `draw` puts on a figure of that many inches, as an <svg> element that screen readers call `label`."""
    written = StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # glyphs that the measuring font lacks: the browser has them
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        FigureCanvasSVG(figure).print_svg(written)  # savefig draws twice
    return inline_svg(written.getvalue(), label)


def inline_svg(document: str, label: str) -> Markup:
    """A matplotlib SVG file as an element: no namespaces, no metadata, ids of its own."""
    box = re.search(r'viewBox="([\d. -]+)"', document)
    assert box is not None
    body = document[document.index(">", box.end()) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    mark = "g" + hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()[:8]
    body = re.sub(r'(<[^<>]*? )id="', rf'\1id="{mark}-', body)
    body = re.sub(r"url\(#", f"url(#{mark}-", body)
    body = body.replace('xlink:href="#', f'href="#{mark}-').replace('xlink:href="', 'href="')
    body = re.sub("font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1system-ui, sans-serif", body)
    for colour, variable in CSS_VARIABLES.items():
        body = body.replace(colour, variable)
    return Markup(f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(label)}">{body}')


def style_axes(axes: Axes, grid: str = "y") -> None:
    """A quiet frame: a faint grid along one direction, no ticks."""
    axes.grid(True, axis=grid)  # type: ignore[arg-type]
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(side != {"y": "left", "x": "bottom"}[grid])


def png(pixels: np.ndarray) -> str:
    """(h, w) or (h, w, 3 or 4) uint8 as a data URI."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def heat_colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(h, w) numbers as (h, w, 3) uint8, dark where low."""
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return np.asarray(matplotlib.colormaps["magma"](scaled, bytes=True))[..., :3]


def shade_cells(shares: np.ndarray, colour: str, top: float) -> np.ndarray:
    """(h, w) shares as (h, w, 4) uint8 of one colour, transparent at 0: right on any background."""
    cells = np.empty((*shares.shape, 4), dtype=np.uint8)
    cells[..., :3] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    cells[..., 3] = (255 * np.sqrt(np.clip(shares / max(top, 1e-12), 0, 1))).round()
    return cells


def shorten(text: object, longest: int = 26) -> str:
    """One line of at most so many characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * longest])
    line = " ".join(shown.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
