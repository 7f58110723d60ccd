"""A run's report: Markdown, JSON, and a page with contact sheets, in one folder that can be moved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...editing.whole_file import save_whole_text
from .edit_set import EFFICACY, GENERALITY, MEASURES, SHARES, SPECIFICITY
from .kept_lpips import COLUMNS
from .page import page
from .published import published_lines
from .quality import QUALITY
from .run import Group
from .scores import PaperScores

TABLE, RESULTS, PAGE = "report.md", "results.json", "index.html"
FILES = (TABLE, RESULTS, PAGE)
_MEANING = {
    EFFICACY: "the source's images that are nearer to the destination than to the source",
    GENERALITY: "related prompts' images that are nearer to what the edit asks than to what was before",
    SPECIFICITY: "unrelated prompts' images that stay nearer to their own prompt than to what the edit would make of it",
}
_ALONE = {
    EFFICACY: "the source's share of the way to the oracle's embeddings",
    GENERALITY: "related prompts' share of the way to the oracle's embeddings",
    SPECIFICITY: "1 less how far unrelated prompts move, in lengths of the edit",
}


def table(results: Sequence[PaperScores]) -> str:
    """A row for each result: means with their 95 % confidence intervals; shares in percent; "–" where nothing was measured."""
    measures = [measure for measure in MEASURES if any(measure in entry.values for entry in results)]
    whole = any(entry.harmonic is not None for entry in results)
    quality = [name for name in (*QUALITY, *COLUMNS) if any(name in entry.quality for entry in results)]
    columns = [*measures, *(["harmonic mean"] if whole else ()), *quality]
    lines = [f"| method | edits together | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]
    for entry in results:
        cells = [_cell(entry, measure) for measure in measures]
        cells += [f"{100 * entry.harmonic:.1f}" if entry.harmonic is not None else "–"] if whole else []
        cells += [f"{entry.quality[name]:.3g}" if name in entry.quality else "–" for name in quality]
        lines.append(f"| {entry.method} | {entry.together} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(entry: PaperScores, measure: str) -> str:
    if measure not in entry.values:
        return "–"
    mean, (low, high) = entry.means[measure], entry.interval(measure)
    if measure in SHARES:
        return f"{100 * mean:.1f} ({100 * low:.0f} to {100 * high:.0f})"
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def markdown(results: Sequence[PaperScores], about: Mapping[str, object], text_only: bool) -> str:
    """The whole report as Markdown."""
    measured = {measure for entry in results for measure in entry.values}
    meaning = _ALONE if text_only else _MEANING
    what = [f"- *{measure}*: {meaning[measure]}, %." for measure in SHARES if measure in measured]
    if measured - set(SHARES):
        what.append(
            "- *bias Δ*: |F − 50| / 50 with F the percentage of women, the mean over professions (TIME's measure); 0 is best."
        )
    told = [f"- {name}: {_text(value)}" for name, value in about.items() if value not in (None, [], "")]
    return "\n".join(
        [
            f"# {'From text alone' if text_only else 'Results'}: {about['data']}",
            "",
            table(results),
            "",
            "Means over the edits with 95 % confidence intervals from resampled edits.",
            "",
            *what,
            "",
            "## What was measured",
            "",
            *told,
            "",
            "## Other people's numbers",
            "",
            "On their weights, with their judges; not measured here.",
            "",
            *published_lines(),
            "",
        ]
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def write(
    results: Sequence[PaperScores],
    folder: Path,
    about: Mapping[str, object],
    groups: Sequence[Group],
    seeds: Sequence[int] = (),
    text_only: bool = False,
) -> None:
    """Write the report. Raises :class:`OSError`.

    Args:
        results: rows of the table.
        folder: where it goes.
        about: what was measured.
        groups: for contact sheets.
        seeds: of pictures.
        text_only: whether no pictures were drawn.
    """
    answer = {
        "about": about,
        "results": [
            {"method": entry.method, "together": entry.together, "means": entry.means, "harmonic mean": entry.harmonic,
             "intervals": {measure: entry.interval(measure) for measure in entry.values}, "values": entry.values,
             "quality": entry.quality}
            for entry in results
        ],
        "others": published_lines(),
    }  # fmt: skip
    text = markdown(results, about, text_only)
    save_whole_text(folder / RESULTS, json.dumps(answer, indent=1) + "\n")
    save_whole_text(folder / TABLE, text)
    methods = list(dict.fromkeys(entry.method for entry in results))
    save_whole_text(folder / PAGE, page(text, folder, methods, () if text_only else groups, seeds))
