"""The shares of a subject's variants over the rounds of a debiasing, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from ..editing.shares import Round, Wanted
from .style import INK, PALE, SERIES


def shares_picture(wanted: Wanted, rounds: Sequence[Round]) -> Figure:
    """A line for each variant, its wanted share dashed."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    figure.patch.set_facecolor("white")
    axes = figure.subplots()
    numbers = range(1, len(rounds) + 1)
    for place, (variant, share) in enumerate(zip(wanted.variants, wanted.shares, strict=True)):
        colour = SERIES[place % len(SERIES)]
        percents = [100 * entry.shares[place] for entry in rounds]
        axes.plot(numbers, percents, marker="o", ms=4, color=colour, label=variant)
        axes.axhline(100 * share, color=colour, lw=0.9, ls="--")
    axes.set(ylim=(0, 100), xlim=(0.6, max(2, len(rounds)) + 0.4), xticks=list(numbers))
    axes.set_xlabel("round", color=PALE, fontsize=9)
    axes.set_ylabel("share of the pictures, %", color=PALE, fontsize=9)
    axes.set_title(wanted.subject, loc="left", color=INK, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
