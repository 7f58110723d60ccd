"""How well text alone foretells pictures: ``edit-assumption measure text``.

Methods and variants of ours on edits of the pocket suite: what :mod:`.papers.text_alone` says of each beside the share of
pictures that show what they ought to, and the agreement of their ranks (Spearman). Unedited model and oracle are left out, as
text alone gives them 0 and 1 by definition.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import StatisticsError, correlation, fmean, harmonic_mean

from tqdm import tqdm

from ..console import plain_output, run
from ..editing.errors import EditError
from ..editing.whole_file import check_place, save_somewhere, save_whole_text
from ..pocket.judge import load_judge
from ..pocket.model import STEPS, pipeline
from .measures import MEASURES, Gallery, score_group
from .papers.edit_set import Case, PaperEdit
from .papers.paper_methods import PaperMethod
from .papers.text_alone import TextAlone
from .suite import Question, SuiteEdit, pocket_suite
from .suite_methods import Method, Seen, ablation, methods, unchanged

Pairs = dict[str, dict[str, list[tuple[float, float]]]]
"""Measure to method to (text's value, pictures' share) of each edit."""


def ranks(values: Sequence[float]) -> list[float]:
    """From 1 on; what is equal shares the mean of its ranks."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The correlation of ranks; None where one side is all the same."""
    try:
        return correlation(*(ranks(side) for side in zip(*pairs, strict=True)))
    except StatisticsError:
        return None


def compared() -> dict[str, Method]:
    """Methods and variants that change something."""
    return {name: method for name, method in {**methods(), **ablation()}.items() if method.solve is not unchanged}


def as_paper_edit(edit: SuiteEdit) -> PaperEdit:
    """An edit of the suite as files have them."""

    def case(question: Question) -> Case:
        return Case(question.prompt, question.oracle, question.prompt, (question.oracle,))

    return PaperEdit(edit.source, edit.destination, {name: tuple(map(case, own)) for name, own in edit.measures.items()})


def measure(
    edits: Sequence[SuiteEdit], names: Sequence[str], gallery: Gallery, advance: Callable[[], object] = lambda: None
) -> Pairs:
    """Both sides, each edit alone.

    Args:
        edits: of the suite.
        names: of :func:`compared`.
        gallery: draws and judges.
        advance: told after each edit of each method.
    """
    text, seen = TextAlone(gallery.pipe), Seen.of(gallery.pipe)
    pairs: Pairs = {name: {} for name in MEASURES}
    for name in names:
        method = compared()[name]
        alone = PaperMethod(name, lambda pipe, own, method=method: method.solve(seen, own))
        for edit in edits:
            paper = as_paper_edit(edit)
            (told,) = text.score_group(alone, [paper], [paper])
            shown = score_group(gallery, method, [edit], [edit])
            for what in MEASURES:
                pairs[what].setdefault(name, []).append((told[what], shown[what][0]))
            advance()
    return pairs


def table(pairs: Pairs) -> str:
    """The agreement: of the methods' means, of the methods on each edit (the mean over edits), of everything."""
    lines = ["| measure | methods' means | methods on one edit | all edits of all methods |", "|---|---:|---:|---:|"]
    for what, by_method in pairs.items():
        means = spearman(list(_means(pairs, what).values()))
        by_edit = [rho for rho in map(spearman, zip(*by_method.values(), strict=True)) if rho is not None]
        everything = spearman([pair for own in by_method.values() for pair in own])
        lines.append(f"| {what} | {_cell(means)} | {_cell(fmean(by_edit) if by_edit else None)} | {_cell(everything)} |")
    told = [_means(pairs, what) for what in pairs]
    whole = [_harmonic([own[name] for own in told]) for name in told[0]]
    return "\n".join([*lines, f"| harmonic mean | {_cell(spearman(whole))} | – | – |"])


def _means(pairs: Pairs, what: str) -> dict[str, tuple[float, float]]:
    """Method to the means of both sides."""
    sides = {name: zip(*own, strict=True) for name, own in pairs[what].items()}
    return {name: (fmean(text), fmean(shown)) for name, (text, shown) in sides.items()}


def _harmonic(means: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of both sides, from each measure's means; what lies below 0 counts as 0, as in reports."""
    text, shown = ([max(0.0, own) for own in side] for side in zip(*means, strict=True))
    return harmonic_mean(text), harmonic_mean(shown)


def _cell(rho: float | None) -> str:
    return "–" if rho is None else f"{rho:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure text",
        description="Compares what text alone says of methods with what the bundled model's pictures show.",
    )
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="which edits of the suite")
    parser.add_argument("--edits", type=int, default=12, metavar="N", help="so many of them, spread over the suite")
    parser.add_argument("--seeds", type=int, default=4, help="pictures for each prompt")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--method", action="append", default=[], metavar="NAME", help="may be repeated; all if not given")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where every pair goes, as JSON, if given")
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    if options.out:
        check_place(options.out)
    names = options.method or list(compared())
    for name in names:
        if name not in compared():
            raise EditError(f"There is no method “{name}” that changes something; choose from {', '.join(compared())}.")
    edits = [edit for edit in pocket_suite() if edit.split == options.split]
    count = min(max(options.edits, 1), len(edits))
    edits = [edits[number * len(edits) // count] for number in range(count)]
    with tqdm(desc="edits of methods", total=len(names) * len(edits), mininterval=2) as bar:
        gallery = Gallery(pipeline(), load_judge(), range(1, options.seeds + 1), options.steps)
        pairs = measure(edits, names, gallery, bar.update)
    if options.out:
        text = json.dumps({"edits": len(edits), "seeds": options.seeds, "pairs": pairs}) + "\n"
        save_somewhere(lambda path: save_whole_text(path, text), options.out, "What was measured", table(pairs))
    return table(pairs)
