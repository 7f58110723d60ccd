"""Comparison Grid: before and after, labelled."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..editing.errors import EditError
from ..editing.lines import prompt_lines
from .comfy.images import image_of
from .comfy.schemas import schema


class ComparisonGrid(io.ComfyNode):
    """Two batches of pictures into one labelled picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            reports=False,
            node_id="EditAssumptionComparisonGrid",
            display_name="Comparison Grid",
            description="Puts pictures before and after an edit side by side, with their prompts: a row for each prompt, a "
            "pair of columns for each seed.",
            search_aliases=["before after", "compare images", "grid", "image comparison"],
            is_output_node=True,
            inputs=[
                io.Image.Input("before", tooltip="Pictures without the edit: for each prompt in turn, one for each seed."),
                io.Image.Input("after", tooltip="Pictures with the edit, from the same prompts and seeds."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    dynamic_prompts=False,
                    default="",
                    tooltip="The prompts, one per line; the pictures are divided among them evenly.",
                ),
                io.String.Input("title", default="", tooltip="Above the picture."),
            ],
            outputs=[io.Image.Output(display_name="IMAGE")],
        )

    @classmethod
    def execute(cls, before: torch.Tensor, after: torch.Tensor, prompts: str, title: str) -> io.NodeOutput:
        """Draw."""
        labels = prompt_lines(prompts) or [""]
        if len(before) != len(after):
            raise EditError(
                f"There are {len(before)} pictures before and {len(after)} after; connect two batches from the same seeds."
            )
        if len(before) % len(labels):
            raise EditError(
                f"{len(before)} pictures cannot be divided among {len(labels)} prompts; write a line for each prompt that was "
                "drawn."
            )
        image = image_of(lambda: _figure(before, after, labels, title))
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


def _figure(before: torch.Tensor, after: torch.Tensor, labels: list[str], title: str) -> Any:
    from ..pictures.grid import Row, before_after_grid

    count = len(before) // len(labels)
    both = [pictures.movedim(-1, 1)[:, :3].float().cpu() * 2 - 1 for pictures in (before, after)]
    rows = [Row(label, "", *parts) for label, *parts in zip(labels, *(part.split(count) for part in both), strict=True)]
    return before_after_grid(rows, range(count), title, "")


NODES = [ComparisonGrid]
