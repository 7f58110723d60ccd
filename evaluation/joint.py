"""Many concepts edited together: how well each edit holds, and what becomes of the rest, for any pipeline and any judge.

The measures are those of ICEB (Xiong et al. 2024). With s(pictures, name) the mean of what the judge gives:

* source forget: s(pictures of the source, source) before the edit less the same after it;
* source to destination: s(pictures of the source, destination) after the edit less the same before it; both in the sentences
  that the edit was made with, and in others;
* alias to destination: the second, for pictures of other names of the source;
* holdout delta: s(pictures of what was not edited, its own name) after the edit less the same before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

import torch

from ..editing.concepts.concept_lines import Concept
from ..editing.errors import EditError
from ..pipelines.draw import draw_pictures
from ..pipelines.pipeline_encoder import parts
from .measures import interval

Score = Callable[[torch.Tensor, Sequence[Any]], Iterable[float]]
"""Pictures, (n, 3, height, width) from -1 to 1, and what each is asked for, such as a name, to n scores from 0 to 1."""
Draw = Callable[[Any, Sequence[str], Sequence[int]], torch.Tensor]
"""A pipeline, n prompts, n seeds to such pictures; each depends on its own prompt and seed alone."""

MEASURES: Mapping[str, tuple[str, int]] = {
    "source forget": ("source", -1),
    "source to destination": ("destination", 1),
    "source forget, other sentences": ("source, other sentences", -1),
    "source to destination, other sentences": ("destination, other sentences", 1),
    "alias to destination": ("destination, alias", 1),
    "holdout delta": ("holdout", 1),
}
"""Measure to what is scored, and whether the score ought to rise or to fall."""


@dataclass(frozen=True)
class Shot:
    """A picture to be."""

    prompt: str
    seed: int


def shots(name: str, sentences: Sequence[str], seeds: Sequence[int]) -> tuple[Shot, ...]:
    """A name in sentences with ``{}``, the first with the first seed and so on; fewer of one are gone through again."""
    if not sentences or not seeds:
        return ()
    count = max(len(sentences), len(seeds))
    return tuple(Shot(sentences[n % len(sentences)].replace("{}", name), seeds[n % len(seeds)]) for n in range(count))


@dataclass(frozen=True)
class MeasuredConcept:
    """A concept and the pictures that show how its edit holds.

    Args:
        concept: what is edited.
        edited: pictures of the source in the sentences that the edit is made with.
        others: pictures of the source in other sentences.
        aliases: pictures of the source by other names.
        source, destination: the judge's names of them; the concept's own where empty.
    """

    concept: Concept
    edited: tuple[Shot, ...]
    others: tuple[Shot, ...] = ()
    aliases: tuple[Shot, ...] = ()
    source: str = ""
    destination: str = ""

    def asked(self) -> dict[str, list[tuple[Shot, str]]]:
        """What is scored to the pictures and the name that they are asked for."""
        source, destination = self.source or self.concept.source, self.destination or self.concept.destination
        pictures = {
            "source": [(shot, source) for shot in self.edited],
            "destination": [(shot, destination) for shot in self.edited if destination],
            "source, other sentences": [(shot, source) for shot in self.others],
            "destination, other sentences": [(shot, destination) for shot in self.others if destination],
            "destination, alias": [(shot, destination) for shot in self.aliases if destination],
        }
        return {what: entries for what, entries in pictures.items() if entries}


@dataclass(frozen=True)
class Held:
    """A picture of something that is not edited, and the judge's name of it."""

    shot: Shot
    name: str


@dataclass(frozen=True)
class JointMethod:
    """A way to edit concepts together.

    Args:
        name: for tables.
        put_on: a pipeline and concepts to a context in which the pipeline has the edit.
    """

    name: str
    put_on: Callable[[Any, Sequence[Concept]], AbstractContextManager[None]]


@dataclass
class JointScores:
    """What a method reached with so many concepts together.

    Args:
        method: its name.
        together: how many concepts were edited at once.
        scores: what is scored to (before, after) of each concept or, for "holdout", of each picture.
    """

    method: str
    together: int
    scores: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def values(self, measure: str) -> list[float]:
        """One for each concept or picture; empty where there are none for it."""
        what, sign = MEASURES[measure]
        return [sign * (after - before) for before, after in self.scores.get(what, ())]

    def mean(self, measure: str) -> float:
        """Over all of them."""
        return fmean(self.values(measure))

    def interval(self, measure: str) -> tuple[float, float]:
        """The mean's confidence interval, 95 %."""
        return interval(self.values(measure))


class ScoredPictures:
    """Draws pictures and has them judged; what the unedited pipeline draws is judged once.

    Args:
        pipe: the pipeline.
        judge: who looks.
        draw: how pictures are drawn; None for ``steps`` and ``guidance`` of the pipeline's own sampler.
        steps, guidance: of the sampler.
        at_once: pictures in a batch.
        advance: told after each batch how many pictures came with it; may raise to stop.
    """

    def __init__(
        self,
        pipe: Any,
        judge: Score,
        draw: Draw | None = None,
        steps: int = 50,
        guidance: float = 7.5,
        at_once: int = 16,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.pipe, self.judge, self.at_once, self.advance = pipe, judge, at_once, advance
        self.draw = draw or partial(draw_pictures, steps=steps, guidance=guidance)
        self._plain: dict[tuple[Shot, str], float] = {}

    def look(self, asked: Iterable[tuple[Shot, str]]) -> dict[tuple[Shot, str], float]:
        """Pictures and names to scores, of the pipeline as it is now; each distinct picture is drawn once."""
        names: dict[Shot, dict[str, None]] = {}
        for shot, name in asked:
            names.setdefault(shot, {})[name] = None
        scored = {}
        for batch in parts(list(names), self.at_once):
            pictures = self.draw(self.pipe, [shot.prompt for shot in batch], [shot.seed for shot in batch])
            pairs = [(row, name) for row, shot in enumerate(batch) for name in names[shot]]
            scores = self.judge(pictures[[row for row, _ in pairs]], [name for _, name in pairs])
            scored |= {(batch[row], name): float(score) for (row, name), score in zip(pairs, scores, strict=True)}
            self.advance(len(batch))
        return scored

    def look_before(self, asked: Iterable[tuple[Shot, str]]) -> Mapping[tuple[Shot, str], float]:
        """The same, of the unedited pipeline, which it has to be now."""
        self._plain |= self.look(entry for entry in asked if entry not in self._plain)
        return self._plain


Group = tuple[Sequence[MeasuredConcept], Sequence[MeasuredConcept]]


def joint_groups(cases: Sequence[MeasuredConcept], together: int, measured: int | None = None) -> list[Group]:
    """Which cases are edited together, and which of them are drawn.

    Args:
        cases: all.
        together: how many at once.
        measured: how many of the first are drawn, always the same, in as many groups as they need; None for those of one group.

    Raises:
        EditError: there are not so many cases.
    """
    if not 0 < together <= len(cases):
        raise EditError(f"There are {len(cases)} concepts, so {together} cannot be edited together; ask for fewer.")
    drawn = cases[: together if measured is None else min(measured, len(cases))]
    groups = []
    for start in range(0, len(drawn), together):
        rest = [*cases[start:], *cases[:start]]  # the last group is filled up from the front
        groups.append((rest[:together], drawn[start : start + together]))
    return groups


def score_jointly(scored: ScoredPictures, method: JointMethod, groups: Sequence[Group], held: Sequence[Held]) -> JointScores:
    """A method on groups of one size; each is asked for a share of what is held out, so that all of it is drawn once."""
    result = JointScores(method.name, len(groups[0][0]))
    for number, (group, drawn) in enumerate(groups):
        asked = [case.asked() for case in drawn]
        kept = [(entry.shot, entry.name) for entry in held[number :: len(groups)]]
        everything = [*(entry for own in asked for entries in own.values() for entry in entries), *kept]
        before = scored.look_before(everything)
        with method.put_on(scored.pipe, [case.concept for case in group]):
            after = scored.look(everything)
        for own in asked:
            for what, entries in own.items():
                pair = tuple(fmean(seen[entry] for entry in entries) for seen in (before, after))
                result.scores.setdefault(what, []).append(pair)
        result.scores.setdefault("holdout", []).extend((before[entry], after[entry]) for entry in kept)
    return result


@dataclass(frozen=True)
class JointSuite:
    """What is edited together, and what ought to stay.

    Args:
        cases: all concepts; a count takes the first.
        held: what is not edited.
        counts: how many are edited together, each a run of its own.
        measured: as for :func:`joint_groups`.
    """

    cases: Sequence[MeasuredConcept]
    held: Sequence[Held]
    counts: Sequence[int]
    measured: int | None = None

    def groups(self) -> dict[int, list[Group]]:
        """Count to its groups.

        Raises:
            EditError: there are not so many cases, or a concept stands there twice.
        """
        sources = [case.concept.source.lower() for case in self.cases]
        if len(set(sources)) < len(sources):
            raise EditError("A concept stands there twice; leave one of its lines out.")
        return {count: joint_groups(self.cases, count, self.measured) for count in self.counts}


def run_jointly(
    scored: ScoredPictures,
    methods: Sequence[JointMethod],
    suite: JointSuite,
    known: Sequence[JointScores] = (),
    done: Callable[[list[JointScores]], object] = lambda results: None,
) -> list[JointScores]:
    """Methods side by side, for each count of concepts edited together.

    Args:
        scored: what draws and judges.
        methods: to compare.
        suite: what they are compared on.
        known: results of an earlier run, which are taken over.
        done: told all results after each new one.

    Raises:
        EditError: there are not so many cases, or a concept stands there twice.
    """
    groups = suite.groups()
    earlier = {(entry.method, entry.together): entry for entry in known}
    results: list[JointScores] = []
    for count in suite.counts:
        for method in methods:
            kept = earlier.get((method.name, count))
            results.append(kept or score_jointly(scored, method, groups[count], suite.held))
            if kept is None:
                done(results)
    return results
