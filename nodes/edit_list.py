"""Edit Assumptions (List): a whole recipe in one text box."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..editing.assumptions.recipe import parse_recipe
from .comfy.edited_model import edited, model_and_clip, model_and_edit
from .comfy.placement import AUTOMATIC
from .comfy.recipe_inputs import chance_inputs, place_input, recipe_settings, setting_inputs
from .comfy.schemas import schema

_EXAMPLE = """a pack of roses -> a pack of blue roses
a doctor -> a female doctor @ 0.5
= a pack of tulips"""


class EditAssumptionList(io.ComfyNode):
    """A recipe in, edited model out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionList",
            display_name="Edit Assumptions (List)",
            description="Many edits at once, one a line, solved together. An arrow stands between source and destination. "
            "A vertical bar stands between variants, and every picture draws one. The at sign gives a strength, * a weight, "
            "= preserves a prompt, == preserves it strictly, # begins a comment.",
            search_aliases=["batch edit", "many edits", "recipe", "UCE", "erase concepts", "change defaults"],
            inputs=[
                *model_and_clip(),
                io.String.Input(
                    "recipe",
                    multiline=True,
                    dynamic_prompts=False,
                    default=_EXAMPLE,
                    tooltip="One edit a line: source -> destination. An empty destination forgets the source. Settings in a "
                    "line with ! go before those of the node, such as: ! regularization: 0.2",
                ),
                *setting_inputs(),
                *chance_inputs(),
                place_input(),
            ],
            outputs=model_and_edit(),
        )

    @classmethod
    def execute(cls, clip: Any, recipe: str, model: Any = None, applied_to: str = AUTOMATIC, **settings: Any) -> io.NodeOutput:
        """Solve and patch."""
        return edited(clip, parse_recipe(recipe, **recipe_settings(**settings)), model, applied_to)


NODES = [EditAssumptionList]
