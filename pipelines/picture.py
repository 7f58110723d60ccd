"""An edit as a picture: which token answers to which, and how much each prompt will be changed."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..editing.alignment import align
from ..editing.encoding import EncodedPrompt

_SOURCE, _DESTINATION, _PRESERVED, _OTHER, _INK = "#b5523b", "#3b6fb5", "#4f8f5b", "#9aa3ad", "#30343a"


def edit_picture(
    source: EncodedPrompt, destination: EncodedPrompt, reaches: Sequence[tuple[str, str, float]], title: str, note: str
) -> Figure:
    """The alignment above, a bar for each prompt below.

    Args:
        source, destination: the pair.
        reaches: (prompt, group, reach) with the groups "source", "related", "preserved" and "unrelated".
        title: above all.
        note: small, at the bottom.
    """
    figure = Figure(figsize=(9, 3.4 + 0.34 * len(reaches)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[2.2, 0.6 + 0.3 * len(reaches)])
    figure.suptitle(title, color=_INK, fontweight="bold")
    _draw_alignment(above, source, destination)
    _draw_reach(below, reaches)
    figure.supxlabel(note, fontsize=8, color=_OTHER)
    return figure


def _draw_alignment(axes: Axes, source: EncodedPrompt, destination: EncodedPrompt) -> None:
    shown = [[*prompt.words, prompt.chunks[-1].words.stop] for prompt in (source, destination)]
    step = 1.0 / max(map(len, shown))
    places = [{position: (index + 0.5) * step for index, position in enumerate(positions)} for positions in shown]
    answers = align(source, destination)
    taken = {answers[position] for position in places[0]}
    for position, x in places[0].items():
        if answers[position] in places[1]:
            axes.annotate(
                "", (places[1][answers[position]], 0.22), (x, 0.78), arrowprops={"arrowstyle": "->", "color": _OTHER, "lw": 1.2}
            )
    for row, y, color, name in ((0, 0.86, _SOURCE, "source"), (1, 0.14, _DESTINATION, "destination")):
        prompt = (source, destination)[row]
        axes.text(-0.02, y, name, ha="right", va="center", color=color)
        for position, x in places[row].items():
            new = row == 1 and position not in taken
            axes.text(
                x, y, prompt.tokens[position].removesuffix("</w>"), ha="center", va="center", color=color,
                fontweight="bold" if new else "normal",
            )  # fmt: skip
    axes.set(xlim=(-0.14, 1), ylim=(0, 1))
    axes.axis("off")


def _draw_reach(axes: Axes, reaches: Sequence[tuple[str, str, float]]) -> None:
    colors = {"source": _SOURCE, "related": _DESTINATION, "preserved": _PRESERVED, "unrelated": _OTHER}
    names = [prompt for prompt, _, _ in reaches]
    bars = axes.barh(range(len(reaches)), [reach for _, _, reach in reaches], color=[colors[group] for _, group, _ in reaches])
    axes.bar_label(bars, [f"{reach:.0%}" for _, _, reach in reaches], padding=3, fontsize=8, color=_INK)
    axes.set_yticks(range(len(reaches)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(0.01, *(reach for _, _, reach in reaches)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("reach: how far the words' embeddings move")
    for group, color in colors.items():
        if any(member == group for _, member, _ in reaches):
            axes.barh([0], [0], color=color, label=group)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
