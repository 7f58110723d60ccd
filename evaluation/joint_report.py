"""Joint edits' scores as JSON, as a Markdown table, as curves over the number of concepts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from ..editing.errors import EditError
from ..editing.whole_file import save_whole_text, why
from ..pictures.save import save_picture
from .joint import MEASURES, JointScores

_COLOURS = {"EMCID": "#3b6fb5", "TIME": "#b5523b", "UCE": "#c9952c", "K/V": "#4f8f5b"}
_OTHERS = ("#7b5aa6", "#2b8c8c", "#a0527a", "#6b6f2a", "#30343a")
_RESULTS = "results.json"
FILES = (_RESULTS, "table.md", "curves.png")


def taken(results: Sequence[JointScores]) -> list[str]:
    """The measures that there are values for."""
    return [measure for measure in MEASURES if any(entry.values(measure) for entry in results)]


def table(results: Sequence[JointScores]) -> str:
    """A row for each result: means with their 95 % confidence intervals, "–" where there are no values."""
    measures = taken(results)
    lines = [f"| method | together | {' | '.join(measures)} |", f"|---|---:|{'---:|' * len(measures)}"]
    for entry in sorted(results, key=lambda entry: entry.together):
        cells = [_cell(entry, measure) for measure in measures]
        lines.append(f"| {entry.method} | {entry.together} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(entry: JointScores, measure: str) -> str:
    if not entry.values(measure):
        return "–"
    low, high = entry.interval(measure)
    return f"{entry.mean(measure):.2f} ({low:.2f} to {high:.2f})"


def curves(results: Sequence[JointScores]) -> Figure:
    """Each measure over the number of concepts edited together, a line for each method."""
    measures, counts = taken(results), sorted({entry.together for entry in results})
    columns = min(3, len(measures))
    rows = -(-len(measures) // columns)
    figure = Figure(figsize=(3.8 * columns, 3.3 * rows + 0.4), layout="constrained")
    methods = list(dict.fromkeys(entry.method for entry in results))
    others = iter(_OTHERS * len(methods))
    colours = {name: _COLOURS.get(name) or next(others) for name in methods}
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, measure in zip(places, measures, strict=False):
        axes.axhline(0, color="#9aa3ad", lw=0.8)
        for method in methods:
            points = [
                (entry.together, entry.mean(measure)) for entry in results if entry.method == method and entry.values(measure)
            ]
            if points:
                axes.plot(*zip(*sorted(points), strict=True), marker="o", ms=4, color=colours[method], label=method)
        axes.set(
            title=measure, xscale="log", xlabel="concepts together", ylim=(-1.05, 0.3) if "delta" in measure else (-0.3, 1.05)
        )
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[len(measures) :]:
        axes.set_visible(False)
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center")
    return figure


def write_joint(results: Sequence[JointScores], folder: Path, about: Mapping[str, object]) -> str:
    """Write results.json, table.md and curves.png into a folder; the table. Raises :class:`OSError`."""
    answer = {"about": about, "results": [asdict(entry) for entry in results]}
    save_whole_text(folder / _RESULTS, json.dumps(answer, indent=1) + "\n")
    text = table(results)
    save_whole_text(folder / "table.md", text + "\n")
    save_picture(curves(results), folder / "curves.png", 120)
    return text


def read_joint(folder: Path, about: Mapping[str, object]) -> list[JointScores]:
    """What an earlier run about the same wrote there; nothing where there is none, or it was about something else.

    Raises:
        EditError: it may not be read.
    """
    try:
        answer = json.loads((folder / _RESULTS).read_text(encoding="utf-8"))
        if answer["about"] != json.loads(json.dumps(about)):
            return []
        return [JointScores(**entry) for entry in answer["results"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EditError(f"“{folder / _RESULTS}” cannot be read: {why(error)}; give another folder.") from error
    except (ValueError, KeyError, TypeError):
        return []
