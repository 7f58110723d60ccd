"""Colours that all pictures share, and a figure as pixels."""

from __future__ import annotations

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PALE, WARNING = "#30343a", "#8a929b", "#b5523b"
GROUPS = {"source": "#b5523b", "related": "#3b6fb5", "preserved": "#4f8f5b", "unrelated": "#8a929b"}
SERIES = ("#3b6fb5", "#c9952c", "#4f8f5b", "#7b5aa6", "#b5523b", "#2b8c8c", "#a0527a", "#6b6f2a", "#9aa3ad", "#30343a")


def pixels(figure: Figure, dpi: int = 110) -> torch.Tensor:
    """The figure drawn: (height, width, 3) from 0 to 1."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    width, height = canvas.get_width_height()
    return drawn.reshape(height, width, 4)[..., :3].float() / 255
