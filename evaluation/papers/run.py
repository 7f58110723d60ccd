"""Draws and judges a file of edits, method by method, over as many processes as were launched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...pipelines.pipeline_judges import Judge
from ...pipelines.processes import Processes
from ..joint import ScoredPictures, Shot
from ..joint_groups import groups
from .edit_set import Case, EditSet, PaperEdit
from .paper_methods import PaperMethod
from .picture_files import UNEDITED, KeptPictures, slug
from .scores import Chosen, PartKey, Parts

Choice = tuple[str, str]
SHOWN = 2
"""Pictures of a prompt in contact sheets."""


def judged(judge: Judge) -> Callable[[torch.Tensor, Sequence[Any]], list[float]]:
    """A score of :mod:`..joint` for choices of (wanted, other): 1 where the judge finds a picture nearer to the wanted text."""

    def score(pictures: torch.Tensor, choices: Sequence[Choice]) -> list[float]:
        scores = [0.0] * len(choices)
        for choice in dict.fromkeys(choices):
            rows = [row for row, other in enumerate(choices) if other == choice]
            for row, number in zip(rows, judge(pictures[rows], choice), strict=True):
                scores[row] = float(number == 0)
        return scores

    return score


def shots_of(case: Case, seeds: Sequence[int], oracle: bool) -> list[Shot]:
    """The pictures of a prompt; for the oracle, with what one would have to write in turn."""
    texts = case.oracles if oracle else (case.prompt,)
    return [Shot(texts[place % len(texts)], seed) for place, seed in enumerate(case.seeds or seeds)]


@dataclass(frozen=True)
class Group:
    """Edits that are in the model together.

    Args:
        together, number: its size, and which one of that size it is.
        edits: all of them.
        drawn: number in the file to those whose prompts are drawn.
    """

    together: int
    number: int
    edits: Sequence[PaperEdit]
    drawn: Mapping[int, PaperEdit]

    def key(self, method: PaperMethod) -> PartKey:
        """Of a method on it."""
        return PartKey(method.name, self.together, self.number)


def groups_of(edit_set: EditSet, counts: Sequence[int]) -> list[Group]:
    """Every edit is drawn in one group of each size. Raises :class:`EditError` where there are not so many sources."""
    edits = edit_set.edits
    numbers = {id(edit): number for number, edit in enumerate(edits)}
    return [
        Group(count, place, together, {numbers[id(edit)]: edit for edit in drawn})
        for count in counts
        for place, (together, drawn) in enumerate(groups(edits, count, edits))
    ]


@dataclass(frozen=True)
class PaperRun:
    """Everything that a run needs.

    Args:
        pipe: the pipeline.
        groups: of :func:`groups_of`.
        methods: in the order of the tables.
        scored: draws and judges, through ``kept``.
        kept: where pictures go.
        parts: where answers go.
        seeds: of prompts that have none of their own.
    """

    pipe: Any
    groups: Sequence[Group]
    methods: Sequence[PaperMethod]
    scored: ScoredPictures
    kept: KeptPictures
    parts: Parts
    seeds: Sequence[int]

    def __call__(
        self, processes: Processes, done: Callable[[Mapping[PartKey, Chosen]], object] = lambda known: None
    ) -> dict[PartKey, Chosen]:
        """All parts, in the order of counts, methods, groups; those of an earlier run are taken over.

        Args:
            processes: share the groups out.
            done: told what this process knows, after each group.
        """
        keys = [group.key(method) for group in self.groups for method in self.methods]
        keys.sort(key=lambda key: key.together)  # stable: the groups of a size stay in their order
        known = dict(processes.gather(list(self.parts.read(keys).items())))
        fresh: dict[PartKey, Chosen] = {}
        for group in self.groups[processes.index :: processes.count]:
            for method in self.methods:
                key = group.key(method)
                if key not in known:
                    fresh[key] = self._score(method, group)
                    self.parts.write(key, fresh[key])
            done(self._ordered({**known, **fresh}))
        known |= dict(processes.gather(list(fresh.items())))
        return self._ordered(known)

    def _ordered(self, known: Mapping[PartKey, Chosen]) -> dict[PartKey, Chosen]:
        order = {method.name: place for place, method in enumerate(self.methods)}
        return {key: known[key] for key in sorted(known, key=lambda key: (key.together, order[key.method], key.group))}

    def _score(self, method: PaperMethod, group: Group) -> Chosen:
        asked = {number: dict(self._asked(method, edit)) for number, edit in group.drawn.items()}
        everything = [entry for measures in asked.values() for cases in measures.values() for case in cases for entry in case]
        shown = {
            shot for measures in asked.values() for cases in measures.values() for case in cases for shot, _ in case[:SHOWN]
        }
        if method.plain:
            self.kept.into(UNEDITED, shown)
            answers = self.scored.look_before(everything)
        else:
            self.kept.into(place_of(method.name, group.together, group.number), shown)
            with method.put_on(self.pipe, group.edits):
                answers = self.scored.look(everything)
        return {
            number: {measure: [answers[entry] for case in cases for entry in case] for measure, cases in measures.items()}
            for number, measures in asked.items()
        }

    def _asked(self, method: PaperMethod, edit: PaperEdit) -> Iterator[tuple[str, list[list[tuple[Shot, Any]]]]]:
        for measure, cases in edit.cases.items():
            if cases:
                yield measure, [[(shot, case.choice) for shot in shots_of(case, self.seeds, method.oracle)] for case in cases]


def place_of(method: str, together: int, number: int) -> str:
    """The folder of a method's pictures of one group."""
    return f"{slug(method)}/{together}-{number}"
