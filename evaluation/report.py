"""Scores as JSON, as a Markdown table, as plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from .measures import MEASURES, Scores

_KNOWN = {"unedited": "#9aa3ad", "oracle": "#30343a", "TIME": "#b5523b", "UCE": "#c9952c", "ours": "#4f8f5b"}
_OTHERS = ("#3b6fb5", "#7b5aa6", "#2b8c8c", "#a0527a", "#6b6f2a", "#9aa3ad", "#b5523b", "#c9952c", "#30343a")


def _colours(results: Sequence[Scores]) -> dict[str, str]:
    """Method to colour: the same in every picture for the ones that are compared everywhere."""
    others = [name for name in dict.fromkeys(scores.method for scores in results) if name not in _KNOWN]
    return {**_KNOWN, **{name: _OTHERS[number % len(_OTHERS)] for number, name in enumerate(others)}}


def table(results: Sequence[Scores]) -> str:
    """A row for each result: shares in percent with their 95 % confidence intervals."""
    lines = [
        f"| method | edits together | {' | '.join(MEASURES)} | harmonic mean |",
        f"|---|---:|{'---:|' * (len(MEASURES) + 1)}",
    ]
    for scores in results:
        cells = []
        for measure in MEASURES:
            low, high = scores.interval(measure)
            cells.append(f"{100 * scores.mean(measure):.1f} ({100 * low:.0f}–{100 * high:.0f})")
        lines.append(f"| {scores.method} | {scores.together} | {' | '.join(cells)} | {100 * scores.harmonic():.1f} |")
    return "\n".join(lines)


def bars(results: Sequence[Scores]) -> Figure:
    """The three measures side by side for every method, one edit at a time."""
    single = [scores for scores in results if scores.together == 1]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(1, len(single))
    colours = _colours(single)
    for number, scores in enumerate(single):
        places = [group + (number - (len(single) - 1) / 2) * width for group in range(len(MEASURES))]
        means = [100 * scores.mean(measure) for measure in MEASURES]
        ends = [scores.interval(measure) for measure in MEASURES]
        errors = [
            [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
            [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
        ]
        colour = colours[scores.method]
        axes.bar(places, means, width * 0.92, yerr=errors, color=colour, label=scores.method, error_kw={"lw": 0.8})
    axes.set_xticks(range(len(MEASURES)), MEASURES)
    axes.set(ylim=(0, 105), ylabel="pictures that show what they ought to, %")
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def curves(results: Sequence[Scores]) -> Figure:
    """Each measure over the number of edits that are solved together."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    colours, counts = _colours(results), sorted({scores.together for scores in results})
    for axes, measure in zip(figure.subplots(1, len(MEASURES), sharey=True), MEASURES, strict=True):
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
    """Write results.json, table.md and the plots into a folder; the table."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = {**about, "results": [asdict(scores) for scores in results]}
    (folder / "results.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    text = table(results)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    if any(scores.together == 1 for scores in results):
        bars(results).savefig(folder / "methods.png", dpi=120)
    if any(scores.together > 1 for scores in results):
        curves(results).savefig(folder / "together.png", dpi=120)
    return text
