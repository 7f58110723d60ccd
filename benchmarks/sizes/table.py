"""Points as Markdown: one table of ratios, one of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..timing import readable
from .measure import Point
from .methods import AGAINST, CONCEPTS, EMCID, ENCODE, OURS, READ, TIME, UCE

_COLUMNS = {TIME: "TIME", UCE: "UCE", CONCEPTS: "concepts", EMCID: "EMCID", READ: "read once", ENCODE: "encode once"}
NOTES = (
    "Every cell is of solve and apply together. × is how many times as long a method takes as Edit Assumption, EMCID as the "
    "second stage of Edit Assumption's concepts. “≈” stands before what was measured on fewer pairs: see the other table.",
    "A pair is one sentence of 77 random tokens. They are the hardest case: a map of full rank, where a trained text encoder's "
    "tokens need a few dozen directions. Encoding is left out, but for the floor.",
    "TIME: `edit_model` of diffusers' StableDiffusionModelEditingPipeline, one pair after the other, lambda 0.1. The class "
    "looks for a name that diffusers has given up, so it is handed the projections. It is not made for Flux.",
    "UCE: our reading of the authors' scripts, lambda 0.5, nothing preserved. It edits one token of a pair where Edit "
    "Assumption and TIME edit 77; in Flux the pooled embedding, too, as Edit Assumption does.",
    "EMCID: our reading of its second stage as released, in float64, on the layers of the authors' scripts. The column "
    "“concepts” is our second stage on the same keys and layers.",
    "The floor: all numbers of the projections summed once, from the processor's cache where they fit; both prompts of every "
    "pair encoded in one batch.",
    "Memory: all tensors that torch holds at once, beyond model and prompts. Copies of projections and outputs that a method "
    "keeps are counted for the whole model. Files are in float32: an edit here, the edited matrices elsewhere.",
)
"""What the columns mean, for a reader of the benchmark."""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(names: Sequence[str], left: int) -> list[str]:
    return [_line(names), _line(["---"] * left + ["---:"] * (len(names) - left))]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value < 0.001 else f"{value:.3g}"


def _time(duration: float) -> str:
    return readable(duration) if duration < 1000 else f"{float(f'{duration:.3g}'):,.0f} s"


def grouped(points: Sequence[Point]) -> Mapping[tuple[str, int], Mapping[str, Point]]:
    """Size and pairs to method to point."""
    groups: dict[tuple[str, int], dict[str, Point]] = {}
    for point in points:
        groups.setdefault((point.size, point.pairs), {})[point.method] = point
    return groups


def ratio(group: Mapping[str, Point], method: str) -> float | None:
    """How many times as long a method takes as ours; None where either is not there."""
    theirs, mine = group.get(method), group.get(AGAINST[method])
    return theirs.total / mine.total if theirs and mine else None


def _ratio_cell(group: Mapping[str, Point], method: str) -> str:
    if method not in AGAINST:
        return _time(group[method].total) if method in group else "–"
    value = ratio(group, method)
    if value is None:
        return "–"
    shown = f"{value:.1e}" if value < 0.001 else f"{_number(value)}"
    return f"{'≈ ' * group[method].scaled}{shown}×"


def ratios(points: Sequence[Point]) -> str:
    """A row for each size and number of pairs, a column for each method."""
    lines = _head(["model", "pairs", "Edit Assumption", *_COLUMNS.values()], 1)
    for (size, pairs), group in grouped(points).items():
        cells = [_ratio_cell(group, method) for method in (OURS, *_COLUMNS)]
        lines.append(_line([size, f"{pairs:,}", *cells]))
    return "\n".join(lines)


def everything(points: Sequence[Point]) -> str:
    """A row for each point."""
    names = ["model", "pairs", "method", "solve", "apply", "memory, MB", "file, MB", "as LoRA, MB", "measured on"]
    lines = [_line(names), _line(["---", "---:", "---", *["---:"] * 5, "---"])]
    for (size, pairs), group in grouped(points).items():
        for point in (group[method] for method in (OURS, *_COLUMNS) if method in group):
            apply = "–" if point.apply is None else _time(point.apply)
            sizes = map(_number, (point.memory, point.file, point.lora))
            remarks = "; ".join(filter(None, (point.details, point.measured)))
            solve = f"{'≈ ' * point.scaled}{_time(point.solve)}"
            lines.append(_line([size, f"{pairs:,}", point.method, solve, apply, *sizes, remarks or "all"]))
    return "\n".join(lines)
