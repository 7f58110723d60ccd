"""Recipe Preset: a usual recipe as text."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..editing.assumptions.recipe import parse_recipe
from ..editing.assumptions.recipe_presets import preset_recipe, recipe_presets
from .comfy.schemas import schema


class RecipePreset(io.ComfyNode):
    """A name into the lines of a recipe."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionPreset",
            display_name="Recipe Preset",
            description="A recipe for a usual wish, to connect to “recipe” of Edit Assumptions (List): another default, more "
            "detail, balance, forgetting, a style.",
            search_aliases=["preset", "example recipe", "template", "recipe"],
            inputs=[
                io.Combo.Input("preset", options=list(recipe_presets()), tooltip="What the recipe is for."),
                io.String.Input(
                    "more_lines",
                    multiline=True,
                    dynamic_prompts=False,
                    default="",
                    tooltip="Lines of your own, behind those of the preset: source -> destination, one edit a line.",
                ),
            ],
            outputs=[io.String.Output(display_name="RECIPE", tooltip="For “recipe” of Edit Assumptions (List).")],
        )

    @classmethod
    def execute(cls, preset: str, more_lines: str = "") -> io.NodeOutput:
        """Look it up."""
        text = "\n".join(filter(None, [preset_recipe(preset), more_lines.strip()]))
        parse_recipe(text)  # so that this node tells of a line that cannot be read
        return io.NodeOutput(text, ui=ui.PreviewText(text))


NODES = [RecipePreset]
