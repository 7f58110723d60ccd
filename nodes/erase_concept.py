"""Erase Concept: forget, and forget what still evokes it."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..editing.assumptions.preserve_lists import NO_LIST, listed, preserve_lists
from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.recipe import PASSES_LIMIT, Recipe
from ..editing.errors import EditError
from ..editing.lines import prompt_lines, tidy
from .comfy.edited_model import edited, model_and_clip, model_and_edit
from .comfy.placement import AUTOMATIC
from .comfy.recipe_inputs import place_input, recipe_settings, setting_inputs
from .comfy.schemas import schema, strength_input


class EraseConcept(io.ComfyNode):
    """A concept out of a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionErase",
            display_name="Erase Concept",
            description="Makes the model forget a concept, a style or an artist's name, and in further passes what still "
            "evokes it (as RECE does). It makes the concept harder to get, not impossible: it is no safety measure.",
            search_aliases=["erase concept", "forget", "unlearn", "remove style", "ESD", "UCE", "RECE", "concept erasure"],
            inputs=[
                *model_and_clip(),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    dynamic_prompts=False,
                    default="Van Gogh",
                    tooltip="What is to be forgotten, one per line.",
                ),
                io.String.Input(
                    "instead",
                    default="",
                    tooltip="What is shown instead, such as: a painting. Left empty, what is drawn for no prompt at all.",
                ),
                io.Int.Input(
                    "passes",
                    default=2,
                    min=0,
                    max=PASSES_LIMIT,
                    tooltip="How many times what still evokes the concept is looked for and erased, too. Each changes more.",
                ),
                io.Combo.Input(
                    "keep",
                    options=[NO_LIST, *preserve_lists()],
                    default="neutral prompts",
                    tooltip="A list of prompts that are preserved; more of them under “preserve”.",
                ),
                strength_input("0 is off, 1 is full."),
                *setting_inputs(),
                place_input(),
            ],
            outputs=model_and_edit(),
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        concepts: str,
        instead: str,
        passes: int,
        keep: str,
        strength: float,
        model: Any = None,
        applied_to: str = AUTOMATIC,
        **settings: Any,
    ) -> io.NodeOutput:
        """Solve and patch."""
        fields = recipe_settings(**settings)
        sentences = fields.pop("augmentations")
        sources = prompt_lines(concepts, "concepts")
        if not sources:
            raise EditError("There is nothing to erase; write a concept, such as: Van Gogh")
        if tidy(instead) in sources:
            raise EditError(f"“{tidy(instead)}” is to be erased and to be shown instead; write something else, or nothing.")
        kept = [prompt for prompt in listed(keep) if prompt not in sources]
        fields["preserve"] = (*fields["preserve"], *kept)
        pairs = tuple(PromptPair(source, instead, strength, augmentations=sentences) for source in sources)
        return edited(clip, Recipe(pairs, passes=passes, **fields), model, applied_to)


NODES = [EraseConcept]
