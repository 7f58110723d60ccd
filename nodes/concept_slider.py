"""Concept Slider: one edit with a dial."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.recipe import Recipe
from ..editing.errors import EditError
from ..editing.lines import tidy
from .comfy.edited_model import edited, model_and_clip, model_and_edit
from .comfy.placement import AUTOMATIC
from .comfy.recipe_inputs import place_input, recipe_settings, setting_inputs
from .comfy.schemas import schema, strength_input


class ConceptSlider(io.ComfyNode):
    """A dial between two meanings of a concept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionConceptSlider",
            display_name="Concept Slider",
            description="Turns a concept more towards one meaning or the other, with a dial from -2 to 2, for every prompt "
            "about it. Connect the strength to an XY plot to see the whole range.",
            search_aliases=["concept slider", "slider", "attribute slider", "XY plot"],
            inputs=[
                *model_and_clip(),
                io.String.Input("concept", default="a person", tooltip="What the slider is about, such as: a person"),
                io.String.Input("more", default="an old person", tooltip="What it becomes at strength 1."),
                io.String.Input(
                    "less",
                    default="a young person",
                    tooltip="What it becomes at strength -1. Left empty, it is the opposite direction of “more”.",
                ),
                strength_input("0 is the model as it is, 1 all the way to “more”, -1 to “less”, 2 and -2 beyond."),
                *setting_inputs(),
                place_input(),
            ],
            outputs=model_and_edit(),
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        concept: str,
        more: str,
        less: str,
        strength: float,
        model: Any = None,
        applied_to: str = AUTOMATIC,
        **settings: Any,
    ) -> io.NodeOutput:
        """Solve and patch."""
        _check(concept, more, less)
        fields = recipe_settings(**settings)
        other_way = strength < 0 and bool(tidy(less))
        pair = PromptPair(
            concept,
            less if other_way else more,
            -strength if other_way else strength,
            augmentations=fields.pop("augmentations"),
        )
        return edited(clip, Recipe((pair,), **fields), model, applied_to)


def _check(concept: str, more: str, less: str) -> None:
    """Raise :class:`EditError`, in this node's own words, unless there are two ends to slide between."""
    if not tidy(concept):
        raise EditError("The concept is empty; write what the slider is about, such as: a person")
    if not tidy(more):
        raise EditError("“more” is empty; write what the concept becomes at strength 1, such as: an old person")
    for name, end in (("more", more), ("less", less)):
        if tidy(end) == tidy(concept):
            raise EditError(f"“{name}” is the concept itself, “{tidy(end)}”, so nothing would change; write what it becomes.")


NODES = [ConceptSlider]
