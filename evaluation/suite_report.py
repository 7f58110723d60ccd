"""Scores as JSON, as a Markdown table, as plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from ..editing.whole_file import save_whole_text
from ..pictures.save import save_picture
from .measures import ALL_MEASURES, MEASURES, UNLISTED, Scores

FILES = ("results.json", "table.md", "methods.png", "together.png")
_KNOWN = {"unedited": "#9aa3ad", "oracle": "#30343a", "TIME": "#b5523b", "UCE": "#c9952c", "ours": "#4f8f5b"}
_OTHERS = ("#3b6fb5", "#7b5aa6", "#2b8c8c", "#a0527a", "#6b6f2a", "#9aa3ad", "#b5523b", "#c9952c", "#30343a")


def _colours(results: Sequence[Scores]) -> dict[str, str]:
    """Method to colour for lines: the same in every picture for the ones that are compared everywhere."""
    others = [name for name in dict.fromkeys(scores.method for scores in results) if name not in _KNOWN]
    return {**_KNOWN, **{name: _OTHERS[number % len(_OTHERS)] for number, name in enumerate(others)}}


def table(results: Sequence[Scores]) -> str:
    """A row for each result: shares in percent with their 95 % confidence intervals."""
    lines = [
        f"| method | edits together | {' | '.join(MEASURES)} | harmonic mean | {UNLISTED} |",
        f"|---|---:|{'---:|' * (len(ALL_MEASURES) + 1)}",
    ]
    for scores in results:
        cells = []
        for measure in ALL_MEASURES:
            low, high = scores.interval(measure)
            cells.append(f"{100 * scores.mean(measure):.1f} ({100 * low:.0f}–{100 * high:.0f})")
        cells.insert(len(MEASURES), f"{100 * scores.harmonic():.1f}")
        lines.append(f"| {scores.method} | {scores.together} | {' | '.join(cells)} |")
    return "\n".join(lines)


def bars(results: Sequence[Scores]) -> Figure:
    """A panel for each measure, a bar for every method, one edit at a time."""
    single = [scores for scores in results if scores.together == 1]
    figure = Figure(figsize=(11, 0.9 + 0.32 * len(single)), layout="constrained")
    names = [scores.method for scores in single]
    colours = [_KNOWN.get(name, _OTHERS[0]) for name in names]
    for axes, measure in zip(figure.subplots(1, len(ALL_MEASURES), sharey=True), ALL_MEASURES, strict=True):
        means = [100 * scores.mean(measure) for scores in single]
        ends = [scores.interval(measure) for scores in single]
        errors = [
            [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
            [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
        ]
        axes.barh(names, means, xerr=errors, color=colours, error_kw={"lw": 0.8})
        axes.set(title=measure, xlim=(0, 103))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()
    figure.supxlabel("pictures that show what they ought to, %", fontsize="medium")
    return figure


def curves(results: Sequence[Scores]) -> Figure:
    """Each measure over the number of edits that are solved together."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    colours, counts = _colours(results), sorted({scores.together for scores in results})
    for axes, measure in zip(figure.subplots(1, len(ALL_MEASURES), sharey=True), ALL_MEASURES, strict=True):
        for method in dict.fromkeys(scores.method for scores in results):
            points = sorted((scores.together, 100 * scores.mean(measure)) for scores in results if scores.method == method)
            axes.plot(*zip(*points, strict=True), marker="o", ms=4, color=colours[method], label=method)
        axes.set(title=measure, xscale="log", xlabel="edits together", ylim=(0, 105))
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("pictures that show what they ought to, %")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center")
    return figure


def write(results: Sequence[Scores], folder: Path, about: dict[str, object]) -> str:
    """Write results.json, table.md and the plots into a folder; the table. Raises :class:`OSError`."""
    answer = {**about, "results": [asdict(scores) for scores in results]}
    save_whole_text(folder / "results.json", json.dumps(answer, indent=1) + "\n")
    text = table(results)
    save_whole_text(folder / "table.md", text + "\n")
    if any(scores.together == 1 for scores in results):
        save_picture(bars(results), folder / "methods.png", 120)
    if any(scores.together > 1 for scores in results):
        save_picture(curves(results), folder / "together.png", 120)
    return text
