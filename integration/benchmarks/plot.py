"""Draw the table of a benchmark: a group of bars per measure, each client's median relative to the base client's."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.benchmarks.figures import Figures

COLORS = ("#1b6ca8", "#9aa0a6", "#892ca0", "#c98a1b", "#3a7d44")
"""Of the clients, in their order."""

LABEL_PX, BAR_PX, GAP_PX, SCALE_PX, TOP_PX, CLIENT_PX = 380, 13, 12, 160, 40, 165

MOST = 4.0
"""Bars are cut at so many times the base, with their figure beside them."""


def svg(figures: Figures, clients: Sequence[str], base: str) -> str:
    """Return an SVG document, without measures of which the base has no figure."""
    groups = [(measure, medians) for measure, medians in figures.rows() if medians.get(base)]
    height = TOP_PX + sum(len(medians) * BAR_PX + GAP_PX for _, medians in groups)
    width = LABEL_PX + int(MOST * SCALE_PX) + 150
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f'<rect {size} fill="white"/>',
    ]
    colors = dict(zip(clients, COLORS[: len(clients)], strict=True))
    for number, (client, color) in enumerate(colors.items()):
        lines.append(_text(LABEL_PX + number * CLIENT_PX, 16, client, color))
    top = TOP_PX
    for measure, medians in groups:
        lines.append(_text(LABEL_PX - 8, top + BAR_PX - 3, f"{measure.name} [{measure.unit}]", "black", anchor="end"))
        for client in (name for name in clients if name in medians):
            lines += _bar(top, medians[client], medians[base], colors[client], measure.decimals)
            top += BAR_PX
        top += GAP_PX
    x = LABEL_PX + SCALE_PX
    lines.append(f'<line x1="{x}" x2="{x}" y1="{TOP_PX - 8}" y2="{height}" stroke="black" stroke-dasharray="3 3"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(top: int, value: float, base: float, color: str, decimals: int) -> Iterator[str]:
    length = min(value / base, MOST) * SCALE_PX
    yield f'<rect x="{LABEL_PX}" y="{top}" width="{length:.1f}" height="{BAR_PX - 2}" fill="{color}"/>'
    yield _text(LABEL_PX + length + 4, top + BAR_PX - 3, f"{value:,.{decimals}f} ({value / base:.2f})", color)


def _text(x: float, y: float, text: str, color: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'
