"""Preserve Prompts: lists of what must not change."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..editing.assumptions.preserve_lists import NO_LIST, listed, preserve_lists
from ..editing.assumptions.recipe import preserve_from_lines
from ..editing.lines import escape, tidy
from .comfy.schemas import schema


class PreservePrompts(io.ComfyNode):
    """A list of prompts, for the input "preserve" of every editing node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionPreservePrompts",
            display_name="Preserve Prompts",
            description="A list of prompts that an edit must not change, to connect to “preserve” of an editing node: "
            "neighbours of what is edited, neutral prompts, and your own.",
            search_aliases=["preserve concepts", "keep", "protect", "retain", "null space"],
            inputs=[
                io.Combo.Input("list", options=[NO_LIST, *preserve_lists()], tooltip="A list that comes with the pack."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    dynamic_prompts=False,
                    default="",
                    tooltip="Your own prompts, one per line, beside the list.",
                ),
                io.String.Input(
                    "except_for",
                    default="",
                    tooltip="Leaves out prompts that contain one of these words, separated by commas: what is edited, such as: "
                    "rose, roses",
                ),
                io.Boolean.Input(
                    "strict",
                    default=False,
                    tooltip="Off: weighed against the edit. On: they do not change at all; room for a few prompts only, about "
                    "one for every hundred numbers of a token.",
                ),
                io.String.Input(
                    "more",
                    default="",
                    optional=True,
                    force_input=True,
                    tooltip="From another Preserve Prompts, to join two lists.",
                ),
            ],
            outputs=[io.String.Output(display_name="PRESERVE", tooltip="For “preserve”.")],
        )

    @classmethod
    def execute(cls, list: str, prompts: str, except_for: str, strict: bool, more: str = "") -> io.NodeOutput:
        """Put the list together."""
        left_out = {tidy(word).lower() for word in except_for.split(",")} - {""}
        shipped = [prompt for prompt in listed(list) if not left_out & set(prompt.lower().split())]
        own = preserve_from_lines(prompts, "prompts")
        marked = {**dict.fromkeys([*shipped, *own["preserve"]], strict), **dict.fromkeys(own["strict"], True)}
        lines = [f"== {escape(prompt)}" if strictly else escape(prompt) for prompt, strictly in marked.items()]
        text = "\n".join([*lines, *([more] if more else [])])
        return io.NodeOutput(text, ui=ui.PreviewText(text or "Nothing is preserved; choose a list or write a prompt."))


NODES = [PreservePrompts]
