"""The node that the pack is named after."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..editing.assumptions.recipe import recipe_from_lines
from ..editing.errors import EditError
from .comfy.edited_model import edited, model_and_clip, model_and_edit
from .comfy.placement import AUTOMATIC
from .comfy.recipe_inputs import chance_inputs, place_input, recipe_settings, setting_inputs
from .comfy.schemas import schema, strength_input


class EditAssumption(io.ComfyNode):
    """Source and destination in, edited model out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumption",
            display_name="Edit Assumption",
            description="Changes what the model takes for granted: wherever it would think of the source, it thinks of the "
            "destination. Takes about a second, trains nothing, writes to no model file. The first edit with a text encoder "
            "reads 5,302 short prompts, once: about 100 seconds on one CPU core for SD 1.5, far less on a GPU.",
            search_aliases=[
                "erase concept",
                "change default",
                "debias",
                "concept slider",
                "TIME",
                "model editing",
                "UCE",
                "forget",
            ],
            inputs=[
                *model_and_clip(),
                io.String.Input(
                    "source",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a pack of roses",
                    tooltip="A prompt for which the model assumes something. One prompt per line for several edits that are "
                    "solved together.",
                ),
                io.String.Input(
                    "destination",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a pack of blue roses",
                    tooltip="What the source should mean from now on, one line for each source line. An empty line forgets its "
                    "source, an empty box all of them. Variants with a vertical bar between them, a share such as 60% "
                    "before one or not: every picture draws one by chance.",
                ),
                strength_input("0 is off, 1 is full. Negative pushes the source away from the destination."),
                *setting_inputs(),
                *chance_inputs(),
                place_input(),
            ],
            outputs=model_and_edit(),
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        source: str,
        destination: str,
        strength: float,
        model: Any = None,
        applied_to: str = AUTOMATIC,
        **settings: Any,
    ) -> io.NodeOutput:
        """Solve and patch."""
        if not source.strip():
            raise EditError("The source is empty; write the prompt whose assumption you want to change.")
        recipe = recipe_from_lines(source, destination, strength, **recipe_settings(**settings))
        return edited(clip, recipe, model, applied_to)


NODES = [EditAssumption]
