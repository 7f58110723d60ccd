"""Efficacy, generality, specificity, as TIME and ReFACT define them: shares of pictures that show what they ought to.

*Unlisted* is specificity where neither captions nor preserve lists name what the unrelated prompts are about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, harmonic_mean

import torch
from diffusers import StableDiffusionPipeline

from ..editing.assumptions.context_map import ContextMap
from ..pipelines.generate import generate
from ..pipelines.text_map import TextMap
from ..pocket.judge import SceneClassifier
from ..pocket.model import STEPS
from .held_out import HALVES
from .joint_groups import cases_of
from .suite import Question, SuiteEdit
from .suite_methods import Method, Seen

MEASURES = ("efficacy", "generality", "specificity")
UNLISTED = "unlisted"
ALL_MEASURES = (*MEASURES, UNLISTED)
_RESAMPLED = 2000


@dataclass
class Scores:
    """What one method reached.

    Args:
        method: its name.
        together: how many edits were solved together.
        shares: measure to a share from 0 to 1 for each edit.
    """

    method: str
    together: int = 1
    shares: dict[str, list[float]] = field(default_factory=lambda: {measure: [] for measure in ALL_MEASURES})

    def add(self, shares: Mapping[str, Sequence[float]]) -> None:
        """More edits' shares."""
        for measure in ALL_MEASURES:
            self.shares[measure].extend(shares[measure])

    def mean(self, measure: str) -> float:
        """Over all edits."""
        return fmean(self.shares[measure])

    def harmonic(self) -> float:
        """Harmonic mean of the first three measures' means."""
        return harmonic_mean([self.mean(measure) for measure in MEASURES])

    def interval(self, measure: str, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the mean, from resampled edits."""
        return interval(self.shares[measure], level)


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the values' mean, by resampling them."""
    chance = random.Random(0)
    means = sorted(fmean(chance.choices(values, k=len(values))) for _ in range(_RESAMPLED))
    tail = round((1 - level) / 2 * _RESAMPLED)
    return means[tail], means[-1 - tail]


class Gallery:
    """Draws and judges pictures, each distinct one once.

    Args:
        pipe, judge: the model and who looks at its pictures.
        seeds: of every prompt.
        steps: of the sampler.
        advance: told how many pictures were drawn.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        judge: SceneClassifier,
        seeds: Sequence[int],
        steps: int = STEPS,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.pipe, self.judge, self.seeds, self.steps, self.advance = pipe, judge, list(seeds), steps, advance
        self.seen = Seen.of(pipe)
        self._plain: dict[str, list[dict[str, str]]] = {}

    def _draw(self, prompts: Sequence[str], context_map: TextMap | None) -> dict[str, list[dict[str, str]]]:
        texts = [prompt for prompt in prompts for _ in self.seeds]
        images = generate(
            self.pipe, texts, self.seeds * len(prompts), context_map, steps=self.steps, advance=self.advance
        ) if texts else torch.zeros(0)  # fmt: skip
        answers = self.judge.answers(images) if texts else []
        count = len(self.seeds)
        return {prompt: answers[n * count : (n + 1) * count] for n, prompt in enumerate(prompts)}

    def answers(self, prompts: Sequence[str], context_map: TextMap | None = None) -> dict[str, list[dict[str, str]]]:
        """For each prompt the judge's answers, one for each seed."""
        prompts = list(dict.fromkeys(prompts))
        if context_map is not None:
            return self._draw(prompts, context_map)
        self._plain |= self._draw([prompt for prompt in prompts if prompt not in self._plain], None)
        return {prompt: self._plain[prompt] for prompt in prompts}


def score_group(
    gallery: Gallery, method: Method, group: Sequence[SuiteEdit], measured: Sequence[SuiteEdit]
) -> dict[str, list[float]]:
    """A method on edits that are solved together.

    Args:
        gallery: what draws and judges.
        method: what is tried.
        group: what is solved.
        measured: those of the group whose prompts are drawn, with all of the group in the model.

    Returns:
        Measure to a share from 0 to 1 for each measured edit.
    """

    def prompt_of(case: Question) -> str:
        return case.oracle if method.oracle else case.prompt

    def right(case: Question, answers: Mapping[str, list[dict[str, str]]]) -> list[bool]:
        return [
            all(answer[question] == value for question, value in case.wanted.items()) for answer in answers[prompt_of(case)]
        ]

    context_map = method.solve(gallery.seen, group)
    asked = [cases_of(edit, group) for edit in measured]
    answers = gallery.answers([prompt_of(case) for own in asked for cases in own.values() for case in cases], context_map)
    shown = {
        measure: [[picture for case in own[measure] for picture in right(case, answers)] for own in asked]
        for measure in MEASURES
    }
    shown[UNLISTED] = [[] for _ in asked]
    for half in HALVES:
        unlisted = [[case for case in own["specificity"] if case.wanted["thing"] in half] for own in asked]
        told_less = method.solve(replace(gallery.seen, held_out=half), group)
        theirs = answers
        if not _equal(told_less, context_map):
            theirs = gallery.answers([prompt_of(case) for cases in unlisted for case in cases], told_less)
        for pictures, cases in zip(shown[UNLISTED], unlisted, strict=True):
            pictures.extend(picture for case in cases for picture in right(case, theirs))
    return {measure: list(map(fmean, of_edits)) for measure, of_edits in shown.items()}


def _equal(one: TextMap | None, other: TextMap | None) -> bool:
    if not isinstance(one, ContextMap) or not isinstance(other, ContextMap):
        return one == other
    return one.rank == other.rank and torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
