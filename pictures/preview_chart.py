"""The preview of an edit as a picture: alignment, reach, spectrum."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..editing.preview import Aligned, Preview
from .style import GROUPS, INK, PALE, WARNING

_PAIRS_SHOWN = 5
_PROMPTS_SHOWN = 12


def _alignment(axes: Axes, pair: Aligned, end_only: bool) -> None:
    """Source words above, the words whose meaning they take below, a line between each two that differ."""
    axes.set(xlim=(-0.6, max(len(pair.words) - 0.4, 3.6)), ylim=(-0.15, 1.5))
    axes.axis("off")
    note = "  (no word moves, only the end)" if end_only else ""
    axes.set_title(f"{pair.source}  →  {pair.destination or '(forgotten)'}{note}", loc="left", fontsize=9, color=INK)
    for place, (word, answer) in enumerate(pair.words):
        same = word == answer
        colour = PALE if same else GROUPS["source"]
        axes.text(place, 1, word, ha="center", va="bottom", fontsize=9, color=INK)
        axes.annotate("", (place, 0.38), (place, 0.95), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.2})
        axes.text(place, 0.3, answer, ha="center", va="top", fontsize=9, color=colour)


def _reach(axes: Axes, shown: Preview) -> None:
    groups = (("source", shown.sources), ("related", shown.related), ("unrelated", shown.unrelated))
    rows = [(name, prompt, amount) for name, entries in groups for prompt, amount in entries.items()]
    left_out = max(0, len(rows) - _PROMPTS_SHOWN)
    rows = rows[:_PROMPTS_SHOWN]
    leaking = set(shown.leaking)
    for place, (name, prompt, amount) in enumerate(rows):
        leaks = name == "unrelated" and prompt in leaking
        axes.barh(place, 100 * amount, color=WARNING if leaks else GROUPS[name], height=0.62, hatch="///" if leaks else None)
    names = [prompt if len(prompt) <= 34 else f"{prompt[:33]}…" for _, prompt, _ in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8, color=INK)
    axes.invert_yaxis()
    if shown.unrelated:
        axes.axvline(100 * shown.limit, color=WARNING, lw=0.8, ls=":")
    axes.set_xlabel("words move by, %", fontsize=8, color=PALE)
    note = f"; {left_out} more in the text" if left_out else ""
    axes.set_title(f"reach: source, related, unrelated{note}", loc="left", fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=PALE)
    axes.tick_params(axis="y", colors=INK)
    axes.spines[["top", "right"]].set_visible(False)


def _spectrum(axes: Axes, shown: Preview) -> None:
    sizes = shown.spectrum.tolist()
    axes.plot(range(1, len(sizes) + 1), sizes, color=GROUPS["related"], lw=1.4, marker="o" if len(sizes) < 12 else None, ms=3)
    axes.set(xscale="log", yscale="log", ylim=(max(sizes[0] * 1e-5, 1e-8), sizes[0] * 2))
    axes.set_title(f"spectrum of {shown.spectrum_of}", loc="left", fontsize=9, color=INK)
    axes.set_xlabel("direction", fontsize=8, color=PALE)
    axes.tick_params(labelsize=8, colors=PALE)
    axes.spines[["top", "right"]].set_visible(False)


def preview_picture(shown: Preview) -> Figure:
    """Alignments on top, then reach beside spectrum, then a warning where unrelated prompts will change."""
    pairs = shown.aligned[:_PAIRS_SHOWN]
    prompts = min(_PROMPTS_SHOWN, len(shown.sources) + len(shown.related) + len(shown.unrelated))
    heights = [0.85] * len(pairs) + [max(1.7, 0.5 + 0.22 * prompts)]
    figure = Figure(figsize=(9.2, sum(heights) + 1.0), layout="constrained")
    figure.patch.set_facecolor("white")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(1.6, 1))
    for row, pair in enumerate(pairs):
        _alignment(figure.add_subplot(grid[row, :]), pair, pair.source in shown.end_only)
    _reach(figure.add_subplot(grid[-1, 0]), shown)
    _spectrum(figure.add_subplot(grid[-1, 1]), shown)
    if len(shown.aligned) > len(pairs):
        figure.suptitle(f"{len(pairs)} of {len(shown.aligned)} edits", fontsize=9, color=PALE)
    if shown.leaking:
        warning = f"Unrelated prompts will change: {len(shown.leaking)} of {len(shown.unrelated)} beyond the dotted line"
        figure.supxlabel(warning, fontsize=9, color=WARNING)
    return figure
