"""diffusers' pipeline for TIME (Orgad, Kawar and Belinkov 2023), with its name and arguments, and with an effect.

diffusers' own class looks for layers of a class that was renamed in 2023, finds none, edits nothing and says nothing.

Imported as ``edit_assumption.diffusers``. The file lies in a folder of its own because hosts search the package's own folder
for top-level modules, where its name would hide the library's.
"""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionPipeline
from edit_assumption.editing.assumptions.closed_form import EXACT
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.pipelines.pipeline_edit import PipelineEdit, apply_edit, edit_pipeline
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder

AUGS_CONST = ["A photo of ", "An image of ", "A picture of "]
"""The sentences that TIME repeats an edit in."""


class StableDiffusionModelEditingPipeline(StableDiffusionPipeline):
    """Text to image with an editable Stable Diffusion 1.x or 2.x model.

    Args:
        vae, text_encoder, tokenizer, unet, scheduler, safety_checker, feature_extractor, image_encoder: the model's parts, see
            ``StableDiffusionPipeline``.
        requires_safety_checker: whether to warn where the safety checker is None.
        with_to_k: whether keys are edited along with values.
        with_augs: what is put before source and destination to edit them in several sentences; ``[]`` for none.
    """

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        safety_checker: Any,
        feature_extractor: Any,
        requires_safety_checker: bool = True,
        with_to_k: bool = True,
        with_augs: list = AUGS_CONST,  # diffusers looks for a class here
        image_encoder: Any = None,
    ) -> None:
        super().__init__(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
            requires_safety_checker=requires_safety_checker,
        )
        self.with_to_k = with_to_k
        self.with_augs = list(with_augs)
        self._edits: list[PipelineEdit] = []

    def edit_model(
        self, source_prompt: str, destination_prompt: str, lamb: float | None = None, restart_params: bool = True
    ) -> PipelineEdit:
        """Apply model editing by TIME's closed form. No weight is written to.

        Args:
            source_prompt: what the model assumes something about, such as "a pack of roses".
            destination_prompt: what it should mean, such as "a pack of blue roses".
            lamb: the paper's lambda, 0.1 there, with the identity as regularizer: then the result is TIME's. None is this
                project's default, which holds in place what the text encoder knows.
            restart_params: take earlier edits off first.

        Returns:
            The edit, which can be switched off, scaled, removed and saved.

        Raises:
            EditError: the edit cannot be solved, or would not act.
        """
        if restart_params:
            self.restart_params()
        recipe = Recipe(
            (PromptPair(source_prompt, destination_prompt, augmentations=tuple(self.with_augs)),),
            projections="keys and values" if self.with_to_k else "values",
            **({} if lamb is None else {"regularizer": "identity", "regularization": lamb}),
        )
        if lamb is None:
            made = edit_pipeline(self, recipe)
        else:
            made = apply_edit(self, make_edit(recipe, PipelineEncoder(self), scaled=False, tolerance=EXACT))
        self._edits.append(made)
        return made

    def restart_params(self) -> None:
        """Take all edits of :meth:`edit_model` off: the pipeline is as it was loaded."""
        while self._edits:
            self._edits.pop().remove()
