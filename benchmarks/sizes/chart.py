"""How the cost grows with the number of pairs, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...pictures.style import INK, PALE, SERIES
from .measure import Point
from .methods import CONCEPTS, EMCID, ENCODE, OURS, READ, TIME, UCE

_LINES = {
    OURS: (SERIES[0], "-", "o"), TIME: (SERIES[4], "-", "s"), UCE: (SERIES[1], "-", "^"), CONCEPTS: (SERIES[5], "-", "o"),
    EMCID: (SERIES[3], "-", "D"), ENCODE: (PALE, "--", ""), READ: (PALE, ":", ""),
}  # fmt: skip
"""Method to colour, line and marker."""


def _line(axes: Axes, points: Sequence[Point], method: str) -> None:
    colour, style, marker = _LINES[method]
    pairs, times = zip(*((point.pairs, point.total) for point in points), strict=True)
    width = 2.2 if method == OURS else 1.3
    axes.plot(pairs, times, color=colour, ls=style, lw=width, marker=marker, ms=5, label=method)
    scaled = [(point.pairs, point.total) for point in points if point.scaled]
    if marker and scaled:
        axes.plot(*zip(*scaled, strict=True), color=colour, ls="", marker=marker, ms=5, mfc="white")


def cost_picture(points: Sequence[Point]) -> Figure:
    """Seconds of solve and apply over pairs: a panel for each size, a line for each method; hollow where on fewer pairs."""
    sizes = list(dict.fromkeys(point.size for point in points))
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    figure.patch.set_facecolor("white")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    shown = {}
    for axes, size in zip(panels, sizes, strict=True):
        for method in _LINES:
            chosen = sorted(
                (each for each in points if (each.size, each.method) == (size, method)), key=lambda each: each.pairs
            )
            if chosen:
                _line(axes, chosen, method)
        axes.set(xscale="log", yscale="log")
        numbers = sorted({point.pairs for point in points})
        axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
        axes.minorticks_off()
        axes.set_title(size, loc="left", color=INK, fontsize=11)
        axes.set_xlabel("pairs edited together", color=PALE, fontsize=9)
        axes.tick_params(colors=PALE, labelsize=9)
        axes.grid(visible=True, color="#e4e7eb", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        shown |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    panels[0].set_ylabel("solve and apply, seconds", color=PALE, fontsize=9)
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
