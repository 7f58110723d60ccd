"""Before and after, side by side, as a labelled picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from .style import GROUPS, INK, PALE


@dataclass(frozen=True)
class Row:
    """A prompt's pictures.

    Args:
        prompt: the label.
        group: "source", "related", "preserved", "unrelated", or "" for none.
        before, after: (seeds, 3, height, width) from -1 to 1, from the same seeds.
    """

    prompt: str
    group: str
    before: torch.Tensor
    after: torch.Tensor


def before_after_grid(rows: Sequence[Row], seeds: Sequence[int], title: str, note: str) -> Figure:
    """A row for each prompt, a pair of columns for each seed: before on the left of a pair, after on its right."""
    columns = 2 * len(seeds)
    figure = Figure(figsize=(2.6 + 1.05 * columns, 1.1 + 1.02 * len(rows)))
    left, top = 2.6 / figure.get_figwidth(), 1 - 0.8 / figure.get_figheight()
    grid = figure.add_gridspec(
        len(rows), 3 * len(seeds) - 1, left=left, right=0.99, top=top, bottom=0.28 / figure.get_figheight(),
        wspace=0.04, hspace=0.06, width_ratios=([1, 1, 0.12] * len(seeds))[:-1],
    )  # fmt: skip
    for number, row in enumerate(rows):
        for pair in range(len(seeds)):
            for side, pictures in enumerate((row.before, row.after)):
                axes = figure.add_subplot(grid[number, 3 * pair + side])
                axes.imshow(((pictures[pair] + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy())
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_color(GROUPS.get(row.group, PALE) if side else "#ffffff")
                axes.spines[:].set_linewidth(1.6 if side else 0)
                if number == 0:
                    axes.set_title(("before", "after")[side], fontsize=9, color=PALE if side == 0 else INK, pad=3)
                if pair == side == 0:
                    beside = {"transform": axes.transAxes, "ha": "right", "va": "center"}
                    axes.text(-0.12, 0.58, row.prompt, fontsize=9, color=INK, **beside)
                    axes.text(-0.12, 0.34, row.group, fontsize=7.5, color=GROUPS.get(row.group, PALE), **beside)
    figure.suptitle(title, x=0.5, y=1 - 0.12 / figure.get_figheight(), va="top", color=INK, fontweight="bold")
    figure.text(0.5, 0.1 / figure.get_figheight(), note, ha="center", va="bottom", fontsize=8, color=PALE)
    return figure
