"""Show Edits: which edits a MODEL and a CLIP carry."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..editing.carried_edits import carried_in_full
from .comfy.model_edits import carried_by
from .comfy.schemas import schema
from .comfy.text_encoders import concept_edits_on

_NOTHING = "Nothing is connected; connect a MODEL, a CLIP or both to see which edits they carry."


class ShowEdits(io.ComfyNode):
    """A MODEL, a CLIP or both into words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionShowEdits",
            display_name="Show Edits",
            description="Says which edits a model and a CLIP carry, in which order, which of them were solved together, and at "
            "what strength.",
            search_aliases=["list edits", "inspect model", "which edits", "edit info", "debug edits"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", optional=True, tooltip="A model behind the nodes that put edits on it."),
                io.Clip.Input("clip", optional=True, tooltip="A CLIP, which carries the edits of concepts."),
            ],
            outputs=[io.String.Output(display_name="TEXT", tooltip="The same words as under the node.")],
        )

    @classmethod
    def execute(cls, model: Any = None, clip: Any = None) -> io.NodeOutput:
        """Ask both."""
        shown = [] if model is None else [carried_in_full("MODEL", carried_by(model))]
        shown += [] if clip is None else [carried_in_full("CLIP", concept_edits_on(clip))]
        text = "\n".join(shown) or _NOTHING
        return io.NodeOutput(text, ui=ui.PreviewText(text))


NODES = [ShowEdits]
