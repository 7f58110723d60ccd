"""Colours that all pictures share, text as it was written, and a figure as pixels."""

from __future__ import annotations

import logging
from functools import cache

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import is_color_like, to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.text import Text

INK, PALE, WARNING = "#30343a", "#8a929b", "#b5523b"
GROUPS = {"source": "#b5523b", "related": "#3b6fb5", "preserved": "#4f8f5b", "unrelated": "#8a929b"}
SERIES = ("#3b6fb5", "#c9952c", "#4f8f5b", "#7b5aa6", "#b5523b", "#2b8c8c", "#a0527a", "#6b6f2a", "#9aa3ad", "#30343a")

_DARK = {"#ffffff": "#1b1f24", INK: "#e4e7eb", PALE: "#9aa3ad", "#000000": "#9aa3ad"}
"""Colour on a light page to colour on a dark one; all others stay."""


def darken(figure: Figure) -> None:
    """Recolour a figure for a dark page."""
    FigureCanvasAgg(figure).draw()  # makes what is made no sooner, such as the labels of ticks
    for artist in figure.findobj():
        for part in ("color", "facecolor", "edgecolor"):
            told = getattr(artist, f"get_{part}", lambda: None)()
            colour = to_hex(told) if is_color_like(told) else None
            if colour in _DARK and to_rgba(told)[3]:
                getattr(artist, f"set_{part}")(_DARK[colour])


_FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "SimHei",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS", "Malgun Gothic",
    "Apple SD Gothic Neo", "Noto Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Apple Symbols", "Symbola", "Noto Sans Symbols2",
)  # fmt: skip
"""Fonts with glyphs that matplotlib's own lacks, of every system; those of emoji drawn in colour it cannot read."""
# Many of these fonts have one weight, which does for all.
logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "Failed to find font weight" not in record.getMessage())


@cache
def _families() -> list[str]:
    return ["DejaVu Sans", *(name for name in _FALLBACKS if name in get_font_names())]


def as_written(figure: Figure) -> Figure:
    """The figure, its texts drawn letter for letter: no formulas between dollars, and glyphs from whichever font has them."""
    texts = figure.findobj(Text)
    for text in texts:
        text.set_fontfamily(_families())
    powers = {id(text) for axes in figure.axes if axes.get_xscale() == "log" for text in axes.findobj(Text)}
    for text in texts:
        text.set_parse_math(id(text) in powers)
    return figure


def pixels(figure: Figure, dpi: int = 110) -> torch.Tensor:
    """The figure drawn: (height, width, 3) from 0 to 1."""
    as_written(figure).set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    width, height = canvas.get_width_height()
    return drawn.reshape(height, width, 4)[..., :3].float() / 255
