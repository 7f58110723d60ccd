"""Preview Edit: an edit as a picture, before any picture is drawn with it."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit_preview import preview
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_preview import preview_concepts
from ..editing.lines import prompt_lines
from ..editing.preview import Preview
from .comfy.clip_encoder import ComfyEncoder
from .comfy.images import image_of
from .comfy.schemas import NO_EDIT, edit_input, schema
from .comfy.text_encoders import text_encoders


class PreviewEdit(io.ComfyNode):
    """An edit into a picture and its numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionPreviewEdit",
            display_name="Preview Edit",
            description="Shows what an edit will do, from text alone: which word takes which meaning, how much each of your "
            "prompts will change, and whether unrelated ones will.",
            search_aliases=["inspect edit", "reach", "analyze edit", "alignment"],
            is_output_node=True,
            inputs=[
                edit_input("From an editing node or Load Edit."),
                io.Clip.Input("clip", tooltip="The CLIP that the edit was made with."),
                io.String.Input(
                    "related",
                    multiline=True,
                    dynamic_prompts=False,
                    default="",
                    tooltip="Prompts that ought to follow the edit, one per line.",
                ),
                io.String.Input(
                    "unrelated",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a cat\na house by the sea\na portrait of a woman",
                    tooltip="Prompts that ought to stay as they are, one per line; a warning names those that will not.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="IMAGE", tooltip="The picture."),
                io.String.Output(display_name="TEXT", tooltip="The numbers."),
            ],
        )

    @classmethod
    def execute(cls, clip: Any, related: str, unrelated: str, edit: AnyEdit | None = None) -> io.NodeOutput:
        """Look and draw."""
        if edit is None:
            return io.NodeOutput(ExecutionBlocker(None), NO_EDIT, ui=ui.PreviewText(NO_EDIT))
        tried = prompt_lines(related, "related"), prompt_lines(unrelated, "unrelated")
        if isinstance(edit, ConceptEdit):
            shown = preview_concepts(edit, text_encoders(clip), *tried)
        else:
            shown = preview(edit, ComfyEncoder(clip), *tried)
        image = image_of(lambda: _figure(shown))
        text = shown.text()
        return io.NodeOutput(image, text, ui={**ui.PreviewImage(image, cls=cls).as_dict(), **ui.PreviewText(text).as_dict()})


def _figure(shown: Preview) -> Any:
    from ..pictures.preview_chart import preview_picture

    return preview_picture(shown)


NODES = [PreviewEdit]
