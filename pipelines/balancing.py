"""Balancing on a diffusers pipeline: rounds of its own pictures, which a judge looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.concepts.balance import Balance, Question, balanced_edit
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_recipe import ConceptRecipe
from .draw import draw_pictures
from .pipeline_concepts import edited_text
from .pipeline_encoder import parts
from .pipeline_judges import Judge

_AT_ONCE = 8
"""Pictures in a batch."""


@dataclass(frozen=True)
class Rounds:
    """How a recipe is balanced.

    Args:
        judge: says which variant a picture shows.
        budget: rounds at most.
        pictures: of each debiased concept in a round.
        steps, guidance: of the sampler.
        seed: of the first picture; every round has new ones.
    """

    judge: Judge
    budget: int
    pictures: int
    steps: int
    guidance: float
    seed: int = 0

    def run(
        self,
        pipe: Any,
        recipe: ConceptRecipe,
        write: Callable[[ConceptRecipe], ConceptEdit],
        advance: Callable[[], object] = lambda: None,
    ) -> tuple[ConceptEdit, Balance]:
        """The edit of the last round, and that round.

        Args:
            pipe: not changed.
            recipe: what is asked.
            write: stage two, with the values that stage one found.
            advance: told after each round.

        Raises:
            EditError: as :func:`~..editing.concepts.balance.balanced_edit`.
        """

        def look(edit: ConceptEdit, questions: Mapping[str, Question], number: int) -> dict[str, Sequence[int | None]]:
            seeds = range(self.seed + number * self.pictures, self.seed + (number + 1) * self.pictures)
            with edited_text(pipe, edit):
                drawn = {source: self._draw(pipe, asked.sentence, seeds) for source, asked in questions.items()}
            return {source: self.judge(drawn[source], asked.variants) for source, asked in questions.items()}

        return balanced_edit(recipe, write, look, self.budget, advance=advance)

    def _draw(self, pipe: Any, prompt: str, seeds: Sequence[int]) -> torch.Tensor:
        batches = parts(seeds, _AT_ONCE)
        return torch.cat([draw_pictures(pipe, [prompt] * len(own), own, self.steps, self.guidance) for own in batches])
