"""Colours that all pictures share, and a figure as pixels."""

from __future__ import annotations

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import is_color_like, to_hex, to_rgba
from matplotlib.figure import Figure

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


def pixels(figure: Figure, dpi: int = 110) -> torch.Tensor:
    """The figure drawn: (height, width, 3) from 0 to 1."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    width, height = canvas.get_width_height()
    return drawn.reshape(height, width, 4)[..., :3].float() / 255
