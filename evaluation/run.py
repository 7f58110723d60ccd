"""Runs the pocket suite: methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..editing.errors import EditError
from ..pocket.judge import load_judge
from ..pocket.model import pipeline
from .measures import Gallery, score
from .methods import ablation, methods
from .report import write
from .suite import pocket_suite


def evaluate(
    split: str,
    names: Sequence[str],
    seeds: int,
    steps: int,
    together: Sequence[int],
    limit: int | None,
    out: Path,
    variants: bool = False,
) -> str:
    """Run, write JSON, table and plots into ``out`` after every method, and give the table.

    Args:
        split: "validation", "test" or "all".
        names: methods; empty means all.
        seeds: how many pictures for each prompt.
        steps: of the sampler.
        together: how many edits are solved at once, each a run of its own.
        limit: how many edits, spread over the suite; None means all.
        out: a folder.
        variants: try variants of our own method in place of the methods.

    Raises:
        EditError: a method is unknown.
    """
    known = ablation() if variants else methods()
    for name in names:
        if name not in known:
            raise EditError(f"There is no method “{name}”; choose from {', '.join(known)}.")
    chosen = [known[name] for name in names] or list(known.values())
    suite = pocket_suite()
    edits = [edit for edit in suite if split in ("all", edit.split)]
    if limit and limit < len(edits):
        edits = [edits[number * len(edits) // limit] for number in range(limit)]
    pipe = pipeline()
    results, text = [], ""
    with tqdm(desc="pictures", unit="picture", mininterval=2) as bar:
        gallery = Gallery(pipe, load_judge(), range(1, seeds + 1), steps, bar.update)
        for count in together:
            for method in chosen:
                bar.set_postfix_str(f"{method.name}, {count} together")
                results.append(score(gallery, method, edits, count, suite))
                text = write(results, out, {"split": split, "edits": len(edits), "seeds": seeds, "steps": steps})
    return text
