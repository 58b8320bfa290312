"""How Sphinx builds these pages: `make docs`. Nothing is fetched, then or by the reader: mathematics is MathML."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

from plausibly import __version__

project, release = "Plausibly", __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links out of docs/, which work in the repository
exclude_patterns = ["README.md"]
html_theme, html_title = "furo", f"Plausibly {release}"
html_static_path, html_css_files = ["style"], ["guide.css"]
html_show_copyright = html_show_sourcelink = html_copy_source = False
html_math_renderer = "mathml"

THIN = '<mspace width="0.17em"></mspace>'  # after log, which browsers set too close


def mathml(writer: Any, node: nodes.Element) -> None:
    """Writes a formula as MathML, which browsers draw themselves."""
    block = isinstance(node, nodes.math_block)
    try:
        formula = tex2mathml(node.astext(), as_block=block)
        formula = re.sub(
            r"&ApplyFunction;</mo>(?=\s*<m(?:i|n|frac|sub)>)", rf"\g<0>{THIN}", formula
        )
    except MathError as error:
        logging.getLogger(__name__).warning("%s in %s", error, node.astext(), location=node)
        raise nodes.SkipNode from error
    writer.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def generated(app: Sphinx, page: str, text: list[str]) -> None:
    """Puts each entry of the glossary into a paragraph of its own."""
    if page == "glossary":
        text[0] = text[0].replace("\n**", "\n\n**")


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("source-read", generated)
