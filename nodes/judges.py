"""CLIP Judge and Pocket Judge: which of several prompts a picture shows."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .comfy.picture_judges import JudgeType, clip_judge, pocket_judge
from .comfy.schemas import schema


class ClipJudge(io.ComfyNode):
    """A judge from CLIP's two halves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            reports=False,
            node_id="EditAssumptionClipJudge",
            display_name="CLIP Judge",
            description="Says which of several prompts a picture shows, by CLIP's text and vision halves.",
            search_aliases=["judge", "classifier", "zero-shot"],
            inputs=[
                io.ClipVision.Input("clip_vision", tooltip="From Load CLIP Vision."),
                io.Clip.Input("clip", tooltip="The text half of the same CLIP, with its projection, from Load CLIP."),
            ],
            outputs=[JudgeType.Output(display_name="JUDGE", tooltip="For Debias Concept and Edit Concepts.")],
        )

    @classmethod
    def execute(cls, clip_vision: Any, clip: Any) -> io.NodeOutput:
        """Bind the two."""
        return io.NodeOutput(clip_judge(clip_vision, clip))


class PocketJudge(io.ComfyNode):
    """The pocket model's own judge."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            reports=False,
            node_id="EditAssumptionPocketJudge",
            display_name="Pocket Judge",
            description="Says what pictures of the pocket model show; it comes with the pack and sees nothing else.",
            search_aliases=["judge", "pocket model"],
            inputs=[],
            outputs=[JudgeType.Output(display_name="JUDGE", tooltip="For Debias Concept and Edit Concepts.")],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Load."""
        return io.NodeOutput(pocket_judge())


NODES = [ClipJudge, PocketJudge]
