"""Prompt with Edits: a prompt that names saved edits."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..editing.prompt_edits import read_prompt
from .comfy.clip_encoder import ComfyEncoder
from .comfy.paths import saved_edits
from .comfy.saved_edits import file_state, put_saved_on, saved_as
from .comfy.schemas import schema


class PromptWithEdits(io.ComfyNode):
    """MODEL, CLIP and a prompt into the same with edits, and the prompt encoded."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionPrompt",
            display_name="Prompt with Edits",
            description="Encodes a prompt and puts on the saved edits that it names as <edit:name:0.8>, as in A1111. They "
            "are solved together.",
            search_aliases=["<edit:name:0.8>", "prompt", "extra networks", "text encode", "A1111", "lora tag", "lora prompt"],
            inputs=[
                io.Model.Input("model", tooltip="The model to edit. It is not changed; the edits are on the output."),
                io.Clip.Input("clip", tooltip="The CLIP to encode with; the edits must be made for it."),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    default="",
                    placeholder="a field of roses <edit:blue roses:0.8>",
                    tooltip="The prompt. <edit:name:0.8> puts a saved edit on at a strength of 0.8, <edit:name> at 1. A name's "
                    "folder, number and ending may be left out.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
                io.Clip.Output(
                    display_name="CLIP", tooltip="The CLIP, with the edits of concepts; for a negative prompt, too."
                ),
                io.Conditioning.Output(display_name="CONDITIONING", tooltip="The prompt without its edits, encoded."),
                io.String.Output(display_name="TEXT", tooltip="The prompt without its edits."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model: Any = None, clip: Any = None, text: str | None = None) -> str:
        """Run again when a file changed: one that is named, or any where the prompt is not known yet."""
        names = saved_edits() if text is None else [saved_as(edit.name) for edit in read_prompt(text)[1]]
        return "\n".join(map(file_state, names))

    @classmethod
    def execute(cls, model: Any, clip: Any, text: str) -> io.NodeOutput:
        """Read, put on, encode."""
        plain, named = read_prompt(text)
        ComfyEncoder(clip)  # refuses a checkpoint without one
        wanted = {saved_as(edit.name): edit.strength for edit in named}
        model, clip, report = put_saved_on(model, clip, list(wanted.items()))
        conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(plain))
        return io.NodeOutput(model, clip, conditioning, plain, ui=ui.PreviewText(report))


NODES = [PromptWithEdits]
