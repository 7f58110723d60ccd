"""Edit Concepts' rounds: debiased lines in the shares that they ask for, by pictures of the graph's own model and a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ...editing.concepts.balance import Balance, Question, balanced_edit, wanted_shares
from ...editing.concepts.concept_edit import ConceptEdit
from ...editing.concepts.concept_recipe import ConceptRecipe
from .picture_judges import Judge, JudgeType
from .picture_rounds import JudgedPictures, Sampling, check_sight
from .progress import progress
from .schemas import advanced
from .text_encoders import with_edit


def balance_inputs() -> list[io.Input]:
    """The judge, what it needs to see pictures, and how these are drawn; all may be left out."""
    return [
        JudgeType.Input(
            "judge",
            optional=True,
            tooltip="From Pocket Judge or CLIP Judge: debiased lines come to their shares, by pictures that it sees. Needs "
            "model, vae and latent.",
        ),
        io.Vae.Input("vae", optional=True, tooltip="To see the pictures; needed with a judge."),
        io.Latent.Input("latent", optional=True, tooltip="An empty latent of the pictures' size; needed with a judge."),
        advanced(io.Int.Input("rounds", default=4, min=1, max=50, optional=True, tooltip="With a judge: at most so many.")),
        advanced(
            io.Int.Input(
                "round_pictures",
                default=16,
                min=2,
                max=512,
                optional=True,
                tooltip="With a judge: drawn of each debiased line in a round.",
            )
        ),
        advanced(io.Int.Input("steps", default=12, min=1, max=200, optional=True)),
        advanced(io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01, optional=True)),
        advanced(io.Combo.Input("sampler_name", options=comfy.samplers.KSampler.SAMPLERS, default="euler", optional=True)),
        advanced(io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="normal", optional=True)),
    ]


@dataclass(frozen=True)
class Rounds:
    """How a recipe is balanced.

    Args:
        judge: who says what a picture shows; None leaves the shares as they come.
        vae, latent: ComfyUI's; needed with a judge.
        rounds, round_pictures, steps, cfg, sampler_name, scheduler: as :func:`balance_inputs` has them.
    """

    judge: Judge | None = None
    vae: Any = None
    latent: Mapping[str, Any] | None = None
    rounds: int = 4
    round_pictures: int = 16
    steps: int = 12
    cfg: float = 7.0
    sampler_name: str = "euler"
    scheduler: str = "normal"

    def check(self, recipe: ConceptRecipe, model: Any) -> None:
        """Raise :class:`~...editing.errors.EditError` where there is a judge, and nothing to balance or to see."""
        if self.judge is None:
            return
        check_sight(model, self.vae, self.latent)
        wanted_shares(recipe)

    def run(
        self, model: Any, clip: Any, recipe: ConceptRecipe, write: Callable[[ConceptRecipe], ConceptEdit], seed: int
    ) -> tuple[ConceptEdit, Balance | None]:
        """The edit, and the round that it is of; None without a judge.

        Args:
            model, clip: ComfyUI's.
            recipe: what is asked.
            write: stage two.
            seed: of the first round's pictures.

        Raises:
            EditError: as :func:`~...editing.concepts.balance.balanced_edit`.
        """
        if self.judge is None:
            return write(recipe), None

        def look(edit: ConceptEdit, questions: Mapping[str, Question], number: int) -> dict[str, Sequence[int | None]]:
            edited, seen = with_edit(clip, edit), {}
            for source, asked in questions.items():
                judged = JudgedPictures(self._sampling(asked.sentence, seed), edited, self.vae, self.judge)
                seen[source] = self.judge(judged.draw(model, number), asked.variants)
            return seen

        return balanced_edit(recipe, write, look, self.rounds, advance=progress(self.rounds, "rounds"))

    def _sampling(self, prompt: str, seed: int) -> Sampling:
        shape = tuple(self.latent["samples"].shape)
        return Sampling(prompt, "", shape, self.round_pictures, seed, self.steps, self.cfg, self.sampler_name, self.scheduler)
