"""Runs the pocket suite: methods side by side, over several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..editing.errors import EditError
from ..pocket.judge import load_judge
from ..pocket.model import pipeline
from .joint_groups import groups
from .measures import Gallery, Scores, score_group
from .peers.listed import peers
from .results_folder import results_folder
from .suite import SuiteEdit, named_edits, pocket_suite
from .suite_methods import Method, ablation, methods
from .suite_report import FILES, table, write

Group = tuple[list[SuiteEdit], list[SuiteEdit]]
_MOST_JOBS = 8
_EDITS_AT_ONCE = 5


def _known(variants: bool) -> dict[str, Method]:
    """Everything that can be named."""
    return ablation() if variants else {**methods(), **peers()}


class _Worker:
    """What each process keeps: the model, its judge, the methods."""

    gallery: Gallery
    variants: bool

    @classmethod
    def begin(cls, seeds: int, steps: int, variants: bool, threads: int, drawn: Any) -> None:
        torch.set_num_threads(threads)

        def advance(count: int) -> None:
            with drawn.get_lock():
                drawn.value += count

        cls.gallery = Gallery(pipeline(), load_judge(), range(1, seeds + 1), steps, advance)
        cls.variants = variants

    @classmethod
    def score(cls, name: str, part: Sequence[Group]) -> list[dict[str, list[float]]]:
        method = _known(cls.variants)[name]
        return [score_group(cls.gallery, method, group, measured) for group, measured in part]


def _parts(all_groups: Sequence[Group]) -> list[list[Group]]:
    """The groups in turns of a few measured edits each."""
    parts: list[list[Group]] = [[]]
    for entry in all_groups:
        if sum(len(measured) for _, measured in parts[-1]) >= _EDITS_AT_ONCE:
            parts.append([])
        parts[-1].append(entry)
    return parts


@dataclass(frozen=True)
class SuiteSettings:
    """What of the suite is measured, and on how many pictures.

    Args:
        split: "validation", "test" or "all".
        names: methods, in the order of the table; empty means those of :func:`~.suite_methods.methods`.
        seeds: how many pictures for each prompt.
        steps: of the sampler.
        together: how many edits are solved at once, each a run of its own.
        limit: how many edits, spread over the suite; None means all.
        variants: try variants of our own method in place of the methods.
        peers: the newer peers behind the methods that are named, or behind all of them.
    """

    split: str
    names: Sequence[str]
    seeds: int
    steps: int
    together: Sequence[int]
    limit: int | None = None
    variants: bool = False
    peers: bool = False

    def method_names(self) -> list[str]:
        """The names of those that are measured. Raises :class:`EditError` where one is unknown."""
        known = _known(self.variants)
        for name in self.names:
            if name not in known:
                raise EditError(f"There is no method “{name}”; choose from {', '.join(known)}.")
        if self.variants and self.peers:
            raise EditError("Variants of our own method are compared with each other; leave out either of the two options.")
        names = self.names or (known if self.variants else methods())
        return list(dict.fromkeys([*names, *(peers() if self.peers else ())]))

    def edits(self, suite: Sequence[SuiteEdit]) -> list[SuiteEdit]:
        """Those of the suite that are measured."""
        edits = [edit for edit in suite if self.split in ("all", edit.split)]
        if self.limit and self.limit < len(edits):
            return [edits[number * len(edits) // self.limit] for number in range(self.limit)]
        return edits


def evaluate(settings: SuiteSettings, out: Path, jobs: int = 0) -> str:
    """Run, write JSON, table and plots into ``out`` after every method, and give the table.

    Args:
        settings: what is measured.
        out: a folder.
        jobs: processes; 0 is one for each core.

    Raises:
        EditError: a method is unknown, or there are not so many edits to solve together, or ``out`` cannot be written.
    """
    names, suite = settings.method_names(), pocket_suite()
    edits, seeds, steps = settings.edits(suite), settings.seeds, settings.steps
    parts = {count: _parts(list(groups(edits, count, [*suite, *named_edits()]))) for count in settings.together}
    cores = os.cpu_count() or 1
    jobs = min(jobs or cores, _MOST_JOBS)
    context = multiprocessing.get_context("spawn")
    drawn = context.Value("q", 0)
    begin = (seeds, steps, settings.variants, max(1, cores // jobs), drawn)
    about = {"split": settings.split, "edits": len(edits), "seeds": seeds, "steps": steps}
    results: list[Scores] = []
    with (
        results_folder(out, FILES) as put,
        ProcessPoolExecutor(jobs, context, _Worker.begin, begin) as pool,
        tqdm(desc="pictures", unit="picture", mininterval=2) as bar,
    ):
        runs = [
            (Scores(name, count), [pool.submit(_Worker.score, name, part) for part in parts[count]])
            for count in settings.together
            for name in names
        ]
        try:
            for scores, waiting in runs:
                bar.set_postfix_str(f"{scores.method}, {scores.together} together")
                _watch(waiting, bar, drawn)
                for shares in (shares for future in waiting for shares in future.result()):
                    scores.add(shares)
                results.append(scores)
                put(lambda folder: write(results, folder, about), table(results))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return table(results)


def _watch(waiting: Sequence[Future], bar: tqdm, drawn: Any) -> None:
    """Wait for all, the bar going on meanwhile."""
    left = set(waiting)
    while left:
        _, left = wait(left, timeout=1, return_when=FIRST_COMPLETED)
        bar.update(drawn.value - bar.n)
